/* Files of the model that are written: what is accepted, refused, and how it is said. */
#include "decoders/base/text.h"
#include "fs/fs.h"
#include "tests/unit/fs_session.h"
#include "tests/unit/unit.h"

#define METADATA "{\n  \"format\": \"pt\",\n  \"note\": \"as trained\"\n}\n"
#define EDITED "{\n  \"format\": \"pt\",\n  \"note\": \"pruned\"\n}\n"

static void reads(void)
{
	struct session s = {0};

	unit_begin("the tree shows a tensor as bytes, its type as JSON, and metadata");
	if (!session_begin(&s, "reads"))
		return;
	SHOWS(&s, "metadata.json", METADATA);
	SHOWS(&s, "layers/a/weight.json",
		"{\n  \"dtype\": \"float32\",\n  \"shape\": [2, 3]\n}\n");
	HAS(&s, "layers/a/weight.bin", 0, 1, 2, 3, 4, 5);
	CHECK(!session_exists(&s, "layers/a/weight"));
	CHECK(session_exists(&s, ".weightfs/info.json"));
	CHECK_INT(session_end(&s), 0);
}

static void overwrites(void)
{
	const float whole[] = {5, 4, 3, 2, 1, 0}, one = 42;
	struct session s = {0};

	unit_begin("a tensor that is overwritten is in the container when close returns");
	if (!session_begin(&s, "overwrites"))
		return;
	CHECK_INT(session_put(&s, "layers/a/weight.bin", whole, sizeof whole), 0);
	HAS(&s, "layers/a/weight.bin", 5, 4, 3, 2, 1, 0);
	session_again(&s);
	HAS(&s, "layers/a/weight.bin", 5, 4, 3, 2, 1, 0);

	unit_begin("a part of a tensor that is overwritten leaves the rest");
	CHECK_INT(session_patch(&s, "layers/a/bias.bin", 4, &one, sizeof one), 0);
	session_again(&s);
	HAS(&s, "layers/a/bias.bin", 6, 42, 8);

	unit_begin("a wrong size is refused, said once, kept, and changes nothing");
	CHECK_INT(session_put(&s, "layers/b/weight.bin", &one, sizeof one), -EINVAL);
	HAS(&s, "layers/b/weight.bin", 9, 10);
	session_logged(
		&s, "layers/b/weight.bin: expected 8 bytes (float32 [2]), found 4\n", 1);
	HAS(&s, ".weightfs/rejected/layers/b/weight.bin", 42);

	unit_begin("a later save of the same file makes up for it");
	CHECK_INT(session_put(&s, "layers/b/weight.bin", whole, 8), 0);
	CHECK_INT(session_end(&s), 0);
}

static void truncates(void)
{
	struct session s = {0};

	unit_begin("truncate(2) to a wrong size is refused at once");
	if (!session_begin(&s, "truncates"))
		return;
	CHECK_INT(session_truncate(&s, "layers/a/bias.bin", 4), -EINVAL);
	HAS(&s, "layers/a/bias.bin", 6, 7, 8);
	CHECK_INT(session_truncate(&s, "layers/a/bias.bin", 12), 0);

	unit_begin("a file that was truncated to nothing is judged when it is released");
	uint64_t handle;
	fs_ino ino;
	struct waiter waiter = WAITER;
	CHECK_INT(
		session_open(&s, "metadata.json", O_WRONLY | O_TRUNC, &ino, &handle), 0);
	CHECK_INT(session_flush(&s, ino, handle), 0);
	session_logged(&s, "layers", 1);
	fs_release(s.fs, ino, handle, &waiter.done);
	(void)waiter_wait(&waiter);
	session_logged(&s, "metadata.json:1:1: ", 2);
	SHOWS(&s, "metadata.json", METADATA);
	CHECK_INT(session_end(&s), 0);
}

static void documents(void)
{
	struct session s = {0};
	struct stat before, after;

	unit_begin("an edited document is in the container when close returns");
	if (!session_begin(&s, "documents"))
		return;
	CHECK_INT(session_puts(&s, "metadata.json", EDITED), 0);
	session_again(&s);
	SHOWS(&s, "metadata.json", EDITED);

	unit_begin("writing back what was read is no edit");
	CHECK(stat(s.model, &before) == 0);
	usleep(20000);
	CHECK_INT(session_puts(&s, "metadata.json", EDITED), 0);
	CHECK(stat(s.model, &after) == 0);
	CHECK(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec &&
		before.st_ino == after.st_ino);

	unit_begin("accepted bytes are shown as they were written");
	CHECK_INT(session_puts(&s, "metadata.json", "{\"format\":\"pt\"}"), 0);
	SHOWS(&s, "metadata.json", "{\"format\":\"pt\"}");
	session_again(&s);
	SHOWS(&s, "metadata.json", "{\n  \"format\": \"pt\"\n}\n");

	unit_begin("bad JSON is refused with its place, and the old content stands");
	CHECK_INT(session_puts(&s, "metadata.json", "{\"format\": pt}"), -EINVAL);
	session_logged(&s, "metadata.json:1:12: ", 1);
	SHOWS(&s, "metadata.json", "{\n  \"format\": \"pt\"\n}\n");
	SHOWS(&s, ".weightfs/rejected/metadata.json", "{\"format\": pt}");
	CHECK_INT(session_end(&s), -EIO);
	AUTO_TEXT kept = {0};
	text_printf(&kept, "%s.weightfs-rejected/metadata.json", s.model);
	CHECK(access(kept.bytes, R_OK) == 0);
}

static void sidecars(void)
{
	struct session s = {0};
	const float three[] = {1, 2, 3};

	unit_begin("another shape of the same size is a reshape");
	if (!session_begin(&s, "sidecars"))
		return;
	CHECK_INT(session_puts(&s, "layers/a/weight.json",
			  "{\"dtype\": \"float32\", \"shape\": [3, 2]}"),
		0);
	session_again(&s);
	SHOWS(&s, "layers/a/weight.json",
		"{\n  \"dtype\": \"float32\",\n  \"shape\": [3, 2]\n}\n");
	HAS(&s, "layers/a/weight.bin", 0, 1, 2, 3, 4, 5);

	unit_begin("a larger shape appends zeros, a smaller one cuts");
	CHECK_INT(session_puts(&s, "layers/b/weight.json",
			  "{\"dtype\": \"float32\", \"shape\": [3]}"),
		0);
	HAS(&s, "layers/b/weight.bin", 9, 10, 0);
	session_again(&s);
	HAS(&s, "layers/b/weight.bin", 9, 10, 0);
	HAS(&s, "layers/a/bias.bin", 6, 7, 8);

	unit_begin("the value of a scalar is edited as text");
	SHOWS(&s, "layers/scale.json",
		"{\n  \"dtype\": \"float32\",\n  \"shape\": [],\n  \"value\": 11.0\n}\n");
	CHECK_INT(session_puts(&s, "layers/scale.json",
			  "{\"dtype\": \"float32\", \"shape\": [], \"value\": 0.5}"),
		0);
	HAS(&s, "layers/scale.bin", 0.5f);
	session_again(&s);
	HAS(&s, "layers/scale.bin", 0.5f);

	unit_begin("a shape and elements that are open together are judged together");
	uint64_t text, bin;
	fs_ino text_ino, bin_ino;
	CHECK_INT(
		session_open(&s, "layers/a/bias.bin", O_WRONLY | O_TRUNC, &bin_ino, &bin),
		0);
	CHECK_INT(session_open(
			  &s, "layers/a/bias.json", O_WRONLY | O_TRUNC, &text_ino, &text),
		0);
	(void)fs_write(s.fs, bin_ino, bin, three, 4, 0);
	(void)fs_write(
		s.fs, text_ino, text, "{\"dtype\":\"float32\",\"shape\":[1]}", 31, 0);
	CHECK_INT(session_close(&s, bin_ino, bin), 0);
	CHECK_INT(session_close(&s, text_ino, text), 0);
	HAS(&s, "layers/a/bias.bin", 1);
	session_again(&s);
	HAS(&s, "layers/a/bias.bin", 1);
	CHECK_INT(session_end(&s), 0);
}

static void at_unmount(void)
{
	struct session s = {.options.commit_at_unmount = true};
	const float two[] = {1, 2};
	struct stat before, after;

	unit_begin("with commit=unmount nothing is written before the end, then all is");
	if (!session_begin(&s, "at_unmount"))
		return;
	CHECK(stat(s.model, &before) == 0);
	CHECK_INT(session_puts(&s, "metadata.json", EDITED), 0);
	CHECK_INT(session_put(&s, "layers/b/weight.bin", two, sizeof two), 0);
	CHECK_INT(session_puts(&s, "metadata.json", "{"), -EINVAL);
	CHECK_INT(session_puts(&s, "metadata.json", EDITED), 0);
	CHECK(stat(s.model, &after) == 0);
	CHECK(before.st_ino == after.st_ino &&
		before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	session_again(&s);
	SHOWS(&s, "metadata.json", EDITED);
	HAS(&s, "layers/b/weight.bin", 1, 2);
	CHECK_INT(session_end(&s), 0);
}

static void again_and_again(void)
{
	struct session s = {.options.commit_at_unmount = true};
	float v = 0;

	unit_begin(
		"a tensor can be written in part again and again before it is committed");
	if (!session_begin(&s, "again"))
		return;
	for (int i = 0; i < 1000; i++) {
		v = (float)i;
		CHECK_INT(
			session_patch(&s, "layers/a/weight.bin", 4 * (i % 3), &v, 4), 0);
	}
	HAS(&s, "layers/a/weight.bin", 999, 997, 998, 3, 4, 5);
	session_again(&s);
	HAS(&s, "layers/a/weight.bin", 999, 997, 998, 3, 4, 5);
	CHECK_INT(session_end(&s), 0);
}

static void read_only(void)
{
	struct session s = {.options.readonly = true};
	fs_ino ino;
	uint64_t handle;

	unit_begin("a read-only mount refuses changes and shows it in the modes");
	if (!session_begin(&s, "read_only"))
		return;
	CHECK(fs_readonly(s.fs) != NULL);
	CHECK_INT(session_open(&s, "metadata.json", O_WRONLY, &ino, &handle), -EROFS);
	CHECK_INT(session_open(&s, "new", O_WRONLY | O_CREAT, &ino, &handle), -EROFS);
	CHECK_INT(session_unlink(&s, "layers/a/bias.bin"), -EROFS);
	struct stat st;
	CHECK_INT(fs_path(s.fs, "metadata.json", &st), 0);
	CHECK((st.st_mode & 0222) == 0);
	CHECK_INT(session_end(&s), 0);
}

int main(void)
{
	reads();
	overwrites();
	truncates();
	documents();
	sidecars();
	at_unmount();
	again_and_again();
	read_only();
	return unit_end();
}
