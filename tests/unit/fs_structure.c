/* Names: what editors do with them, and what removing, renaming and adding means. */
#include "decoders/base/text.h"
#include "fs/fs.h"
#include "tests/unit/fs_session.h"
#include "tests/unit/unit.h"

#define METADATA "{\n  \"format\": \"pt\",\n  \"note\": \"as trained\"\n}\n"
#define EDITED "{\n  \"format\": \"pt\",\n  \"note\": \"pruned\"\n}\n"
#define TWO "{\"dtype\": \"float32\", \"shape\": [2]}"

static void vim(void)
{
	struct session s = {0};
	struct stat in = {0}, out;
	struct waiter waiter = WAITER;
	uint64_t handle;
	fs_ino ino;

	unit_begin("vim saves a document: backup by renaming, then a new file");
	if (!session_begin(&s, "vim"))
		return;
	CHECK_INT(session_puts(&s, ".metadata.json.swp", "swap"), 0);
	CHECK_INT(session_puts(&s, "4913", ""), 0);
	CHECK_INT(session_unlink(&s, "4913"), 0);
	CHECK_INT(session_rename(&s, "metadata.json", "metadata.json~"), 0);
	CHECK(!session_exists(&s, "metadata.json"));
	SHOWS(&s, "metadata.json~", METADATA);
	CHECK_INT(
		session_open(&s, "metadata.json", O_WRONLY | O_CREAT, &ino, &handle), 0);
	fs_setattr(s.fs, ino, handle, &in, FS_SET_SIZE, &out, &waiter.done);
	CHECK_INT(waiter_wait(&waiter), 0);
	CHECK_INT(fs_write(s.fs, ino, handle, EDITED, strlen(EDITED), 0), strlen(EDITED));
	CHECK_INT(session_flush(&s, ino, handle), 0); /* fsync */
	CHECK_INT(session_close(&s, ino, handle), 0);
	CHECK_INT(session_unlink(&s, "metadata.json~"), 0);
	CHECK_INT(session_unlink(&s, ".metadata.json.swp"), 0);
	SHOWS(&s, "metadata.json", EDITED);
	CHECK_INT(session_ino(&s, "metadata.json"), ino);
	session_logged(&s, "", 0);
	session_again(&s);
	SHOWS(&s, "metadata.json", EDITED);

	unit_begin(
		"what vim writes wrong is refused at fsync, and the old content is back");
	CHECK_INT(session_rename(&s, "metadata.json", "metadata.json~"), 0);
	CHECK_INT(
		session_open(&s, "metadata.json", O_WRONLY | O_CREAT, &ino, &handle), 0);
	CHECK_INT(fs_write(s.fs, ino, handle, "{]", 2, 0), 2);
	CHECK_INT(session_flush(&s, ino, handle), -EINVAL);
	CHECK_INT(session_close(&s, ino, handle), -EINVAL);
	session_logged(&s, "metadata.json:1:2: ", 1);
	SHOWS(&s, "metadata.json", EDITED);
	SHOWS(&s, "metadata.json~", EDITED);
	CHECK_INT(session_rename(&s, "metadata.json~", "metadata.json"), 0);
	SHOWS(&s, "metadata.json", EDITED);
	CHECK_INT(session_end(&s), 0);
}

static void sed(void)
{
	struct session s = {0};
	uint64_t handle;
	fs_ino ino, reader, found;
	struct fs_file old;
	struct stat st;
	char buf[100] = "";

	unit_begin("sed -i: a scratch file renamed over a document is a write to it");
	if (!session_begin(&s, "sed"))
		return;
	reader = session_ino(&s, "metadata.json");
	CHECK_INT(fs_open_file(s.fs, reader, O_RDONLY, &old), 0);
	CHECK_INT(
		session_open(&s, "sedAbCdE", O_WRONLY | O_CREAT | O_EXCL, &ino, &handle),
		0);
	CHECK_INT(fs_write(s.fs, ino, handle, EDITED, strlen(EDITED), 0), strlen(EDITED));
	CHECK_INT(session_close(&s, ino, handle), 0);
	CHECK_INT(session_rename(&s, "sedAbCdE", "metadata.json"), 0);
	CHECK(!session_exists(&s, "sedAbCdE"));
	SHOWS(&s, "metadata.json", EDITED);
	CHECK_INT(session_ino(&s, "metadata.json"), ino);

	unit_begin("who has the old file open goes on reading the old bytes");
	CHECK_INT(
		fs_read(s.fs, reader, old.handle, buf, sizeof buf, 0), strlen(METADATA));
	CHECK_STR(buf, METADATA);
	fs_release(s.fs, reader, old.handle, NULL);
	session_again(&s);
	SHOWS(&s, "metadata.json", EDITED);

	unit_begin("a rename that is refused changes nothing");
	CHECK_INT(session_puts(&s, "sedFgHiJ", "{"), 0);
	CHECK_INT(session_rename(&s, "sedFgHiJ", "metadata.json"), -EINVAL);
	SHOWS(&s, "sedFgHiJ", "{");
	SHOWS(&s, "metadata.json", EDITED);
	session_logged(&s, "metadata.json:1:2: ", 1);

	SHOWS(&s, ".weightfs/rejected/metadata.json", "{");

	unit_begin("who has only found the old file, and opens it now, looks again");
	found = session_ino(&s, "metadata.json");
	CHECK_INT(session_puts(&s, "sedKlMnO", METADATA), 0);
	CHECK_INT(session_rename(&s, "sedKlMnO", "metadata.json"), 0);
	CHECK_INT(fs_open_file(s.fs, found, O_RDONLY, &old), -ESTALE);
	CHECK_INT(fs_open_file(s.fs, found, O_WRONLY | O_TRUNC, &old), -ESTALE);
	CHECK_INT(fs_getattr(s.fs, found, &st), -ESTALE);
	SHOWS(&s, "metadata.json", METADATA);

	unit_begin("mv from elsewhere: unlink, then a new file");
	CHECK_INT(session_unlink(&s, "metadata.json"), 0);
	CHECK(!session_exists(&s, "metadata.json"));
	CHECK_INT(session_puts(&s, "metadata.json", METADATA), 0);
	CHECK_INT(session_unlink(&s, "layers/b/weight.bin"), 0);
	CHECK_INT(session_put(&s, "layers/b/weight.bin", (float[]){7, 8}, 8), 0);
	SHOWS(&s, "layers/b/weight.json",
		"{\n  \"dtype\": \"float32\",\n  \"shape\": [2]\n}\n");
	session_again(&s);
	SHOWS(&s, "metadata.json", METADATA);
	HAS(&s, "layers/b/weight.bin", 7, 8);
	CHECK_INT(session_end(&s), 0);
}

static void removes(void)
{
	struct session s = {0};

	unit_begin("removing NAME.bin removes the tensor; NAME.json stays until it goes");
	if (!session_begin(&s, "removes"))
		return;
	CHECK_INT(session_unlink(&s, "layers/a/bias.bin"), 0);
	CHECK(!session_exists(&s, "layers/a/bias.bin"));
	CHECK(session_exists(&s, "layers/a/bias.json"));
	CHECK_INT(session_unlink(&s, "layers/a/bias.json"), 0);
	CHECK(!session_exists(&s, "layers/a/bias.json"));
	session_again(&s);
	CHECK(!session_exists(&s, "layers/a/bias.json"));
	HAS(&s, "layers/a/weight.bin", 0, 1, 2, 3, 4, 5);
	HAS(&s, "layers/b/weight.bin", 9, 10);

	unit_begin("rm -r of a layer removes it; its folder goes with rmdir");
	CHECK_INT(session_rmdir(&s, "layers/a"), -ENOTEMPTY);
	CHECK_INT(session_unlink(&s, "layers/a/weight.json"), 0);
	CHECK_INT(session_unlink(&s, "layers/a/weight.bin"), 0);
	CHECK(session_exists(&s, "layers/a"));
	CHECK_INT(session_sync(&s), 0);
	CHECK(session_exists(&s, "layers/a"));
	CHECK_INT(session_rmdir(&s, "layers/a"), 0);
	CHECK(!session_exists(&s, "layers/a"));
	session_again(&s);
	CHECK(!session_exists(&s, "layers/a"));
	HAS(&s, "layers/scale.bin", 11);

	unit_begin("removing NAME.json alone takes nothing out of the container");
	CHECK_INT(session_unlink(&s, "layers/b/weight.json"), 0);
	CHECK(!session_exists(&s, "layers/b/weight.json"));
	usleep(1200000);
	CHECK(session_exists(&s, "layers/b/weight.json"));
	CHECK_INT(session_end(&s), 0);
}

static void renames(void)
{
	struct session s = {0};

	unit_begin("renaming NAME.bin renames the tensor, then NAME.json follows");
	if (!session_begin(&s, "renames"))
		return;
	CHECK_INT(session_rename(&s, "layers/a/bias.bin", "layers/a/shift.bin"), 0);
	CHECK(session_exists(&s, "layers/a/shift.json"));
	CHECK(session_exists(&s, "layers/a/bias.json"));
	CHECK_INT(session_rename(&s, "layers/a/bias.json", "layers/a/shift.json"), 0);
	CHECK(!session_exists(&s, "layers/a/bias.json"));
	HAS(&s, "layers/a/shift.bin", 6, 7, 8);
	session_again(&s);
	HAS(&s, "layers/a/shift.bin", 6, 7, 8);
	CHECK(!session_exists(&s, "layers/a/bias.bin"));

	unit_begin("the same with NAME.json first");
	CHECK_INT(session_rename(&s, "layers/a/shift.json", "layers/a/bias.json"), 0);
	CHECK_INT(session_rename(&s, "layers/a/shift.bin", "layers/a/bias.bin"), 0);
	CHECK(!session_exists(&s, "layers/a/shift.json"));
	HAS(&s, "layers/a/bias.bin", 6, 7, 8);
	session_again(&s);
	HAS(&s, "layers/a/bias.bin", 6, 7, 8);
	CHECK(!session_exists(&s, "layers/a/shift.json"));

	unit_begin("a layer is renamed by renaming its folder");
	CHECK_INT(session_rename(&s, "layers/a", "layers/z"), 0);
	HAS(&s, "layers/z/weight.bin", 0, 1, 2, 3, 4, 5);
	session_again(&s);
	HAS(&s, "layers/z/weight.bin", 0, 1, 2, 3, 4, 5);
	CHECK(!session_exists(&s, "layers/a"));

	unit_begin("a folder cannot leave the part of the tree that weights live in");
	CHECK_INT(session_rename(&s, "layers/z", "elsewhere"), -EOPNOTSUPP);
	CHECK_INT(session_rename(&s, "layers/z", "layers/z/inner"), -EINVAL);

	unit_begin("a tensor renamed over another one replaces its elements");
	CHECK_INT(session_put(&s, "layers/z/bias.json", TWO, strlen(TWO)), 0);
	CHECK_INT(session_rename(&s, "layers/z/bias.bin", "layers/b/weight.bin"), 0);
	HAS(&s, "layers/b/weight.bin", 6, 7);
	CHECK(!session_exists(&s, "layers/z/bias.bin"));
	session_again(&s);
	HAS(&s, "layers/b/weight.bin", 6, 7);
	CHECK(!session_exists(&s, "layers/z/bias.bin"));

	unit_begin("a tensor of another size cannot be renamed over it");
	CHECK_INT(session_rename(&s, "layers/scale.bin", "layers/b/weight.bin"), -EINVAL);
	HAS(&s, "layers/scale.bin", 11);
	HAS(&s, "layers/b/weight.bin", 6, 7);
	CHECK(session_exists(&s, "layers/scale.json"));

	unit_begin("a tensor under a name of scratch is removed, and back under its own");
	CHECK_INT(session_rename(&s, "layers/b/weight.bin", "layers/b/weight.bin~"), 0);
	CHECK(!session_exists(&s, "layers/b/weight.bin"));
	HAS(&s, "layers/b/weight.bin~", 6, 7);
	CHECK_INT(session_sync(&s), 0);
	HAS(&s, "layers/b/weight.bin~", 6, 7);
	CHECK_INT(session_rename(&s, "layers/b/weight.bin~", "layers/b/weight.bin"), 0);
	HAS(&s, "layers/b/weight.bin", 6, 7);
	session_again(&s);
	HAS(&s, "layers/b/weight.bin", 6, 7);
	CHECK_INT(session_end(&s), 0);
}

static void grafts(void)
{
	struct session s = {0};

	unit_begin("NAME.json and NAME.bin together add a tensor, folders too");
	if (!session_begin(&s, "grafts"))
		return;
	CHECK_INT(session_mkdir(&s, "layers/c"), 0);
	CHECK_INT(session_mkdir(&s, "layers/c/inner"), 0);
	CHECK_INT(session_puts(&s, "layers/c/inner/w.json", TWO), 0);
	CHECK_INT(session_put(&s, "layers/c/inner/w.bin", (float[]){1, 2}, 8), 0);
	CHECK_INT(session_put(&s, "layers/c/v.bin", (float[]){3, 4}, 8), 0);
	CHECK_INT(session_puts(&s, "layers/c/v.json", TWO), 0);
	HAS(&s, "layers/c/inner/w.bin", 1, 2);
	SHOWS(&s, "layers/c/inner/w.json", TWO);
	session_logged(&s, "", 0);
	session_again(&s);
	HAS(&s, "layers/c/inner/w.bin", 1, 2);
	HAS(&s, "layers/c/v.bin", 3, 4);
	HAS(&s, "layers/a/weight.bin", 0, 1, 2, 3, 4, 5);

	unit_begin("a folder made elsewhere and moved below layers/ brings its tensors");
	CHECK_INT(session_mkdir(&s, "tmp"), 0);
	CHECK_INT(session_puts(&s, "tmp/w.json", TWO), 0);
	CHECK_INT(session_put(&s, "tmp/w.bin", (float[]){5, 6}, 8), 0);
	CHECK_INT(session_rename(&s, "tmp", "layers/d"), 0);
	HAS(&s, "layers/d/w.bin", 5, 6);
	session_again(&s);
	HAS(&s, "layers/d/w.bin", 5, 6);

	unit_begin("a half without its partner is scratch, and kept at the end");
	CHECK_INT(session_put(&s, "layers/d/half.bin", (float[]){5, 6}, 8), 0);
	HAS(&s, "layers/d/half.bin", 5, 6);
	CHECK_INT(session_puts(&s, "scratch", "gone without a word"), 0);
	CHECK_INT(session_end(&s), -EIO);
	AUTO_TEXT kept = {0};
	text_printf(&kept, "%s.weightfs-rejected/layers/d/half.bin", s.model);
	CHECK(access(kept.bytes, R_OK) == 0);
	text_clear(&kept);
	text_printf(&kept, "%s.weightfs-rejected/scratch", s.model);
	CHECK(access(kept.bytes, R_OK) < 0);

	unit_begin("a type that is none is refused when the second half is closed");
	CHECK(session_mount(&s));
	CHECK_INT(session_puts(&s, "layers/bad.json", "{\"dtype\": \"float7\"}"), 0);
	CHECK_INT(session_put(&s, "layers/bad.bin", "xx", 2), -EINVAL);
	CHECK_INT(session_unlink(&s, "layers/bad.bin"), 0);
	CHECK_INT(session_unlink(&s, "layers/bad.json"), 0);
	CHECK_INT(session_end(&s), 0);
}

static void overlaps(void)
{
	struct session s = {0};
	uint64_t bin, json;
	fs_ino bin_ino, json_ino;

	unit_begin("a half that closes while the other is new and empty waits for it");
	if (!session_begin(&s, "overlaps"))
		return;
	CHECK_INT(
		session_open(&s, "layers/n.bin", O_WRONLY | O_CREAT, &bin_ino, &bin), 0);
	CHECK_INT(fs_write(s.fs, bin_ino, bin, (float[]){1, 2}, 8, 0), 8);
	CHECK_INT(session_open(&s, "layers/n.json", O_WRONLY | O_CREAT, &json_ino, &json),
		0);
	CHECK_INT(session_close(&s, bin_ino, bin), 0);
	session_logged(&s, "", 0);
	CHECK_INT(fs_write(s.fs, json_ino, json, TWO, strlen(TWO), 0), strlen(TWO));
	CHECK_INT(session_close(&s, json_ino, json), 0);
	session_logged(&s, "", 0);
	session_again(&s);
	HAS(&s, "layers/n.bin", 1, 2);
	CHECK_INT(session_end(&s), 0);
}

static void others(void)
{
	struct session s = {0};

	unit_begin("what somebody else writes is shown");
	if (!session_begin(&s, "others"))
		return;
	HAS(&s, "layers/b/weight.bin", 9, 10);
	usleep(20000);
	session_write_model(s.model, SESSION_HEADER, 100);
	usleep(200000);
	HAS(&s, "layers/b/weight.bin", 109, 110);

	unit_begin(
		"an edit that is not committed is taken back and kept, as the next one");
	CHECK_INT(session_unlink(&s, "layers/scale.bin"), 0);
	session_write_model(s.model, SESSION_HEADER, 200);
	CHECK_INT(session_puts(&s, "metadata.json", EDITED), -ESTALE);
	HAS(&s, "layers/b/weight.bin", 209, 210);
	SHOWS(&s, "layers/scale.json",
		"{\n  \"dtype\": \"float32\",\n  \"shape\": [],\n  \"value\": "
		"211.0\n}\n");
	CHECK_INT(session_puts(&s, "layers/b/weight.json",
			  "{\"dtype\": \"int32\", \"shape\": [2]}"),
		0);
	CHECK(session_end(&s) < 0);
	AUTO_TEXT kept = {0};
	text_printf(&kept, "%s.weightfs-rejected/metadata.json", s.model);
	CHECK(access(kept.bytes, R_OK) == 0);

	unit_begin("what is no model any more serves nothing new and is not overwritten");
	CHECK(session_mount(&s));
	usleep(20000);
	FILE *f = fopen(s.model, "w");
	(void)fputs("nothing", f);
	(void)fclose(f);
	usleep(200000);
	CHECK_INT(session_puts(&s, "metadata.json", EDITED), -ESTALE);
	CHECK(session_end(&s) < 0);
}

struct count {
	unsigned n, tensors;
};

static int count_entry(void *arg, const char *name, const struct stat *st, off_t next)
{
	struct count *count = arg;

	(void)next;
	count->n++;
	count->tensors += strstr(name, ".bin") != NULL && st->st_size == 24;
	return 0;
}

static void lists(void)
{
	struct session s = {0};
	struct count count = {0};
	uint64_t handle;
	struct stat st;

	unit_begin("a folder lists what can be looked up, and not .weightfs");
	if (!session_begin(&s, "lists"))
		return;
	CHECK_INT(fs_opendir(s.fs, FS_ROOT, &handle), 0);
	CHECK_INT(fs_readdir(s.fs, handle, 0, false, count_entry, &count), 0);
	CHECK_INT(count.n, 4); /* . .. layers metadata.json */
	fs_releasedir(s.fs, handle);
	count = (struct count){0};
	CHECK_INT(session_puts(&s, "layers/a/x~", "x"), 0);
	CHECK_INT(fs_opendir(s.fs, session_ino(&s, "layers/a"), &handle), 0);
	CHECK_INT(fs_readdir(s.fs, handle, 0, true, count_entry, &count), 0);
	CHECK_INT(count.n, 7);
	CHECK_INT(count.tensors, 1);
	fs_releasedir(s.fs, handle);
	CHECK_INT(fs_path(s.fs, "layers", &st), 0);
	CHECK_INT(st.st_nlink, 4);
	CHECK_INT(session_end(&s), 0);
}

int main(void)
{
	vim();
	sed();
	removes();
	renames();
	grafts();
	overlaps();
	others();
	lists();
	return unit_end();
}
