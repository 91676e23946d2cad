/* A journal: what is written is read back whole or not at all, and brings any mixture of
 * old and new to the new state. */
#include "fs/journal.h"
#include "decoders/base/error.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "fs/shift.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE 10000

/* An edit of a container of SIZE bytes: what it was, what it shall be, its journal. */
struct edit {
	struct source *old;
	struct plan *plan;
	struct source *outcome;
	struct shift shift;
	struct journal *journal;
	char *before, *after;
	size_t after_len;
};

static void fill(char *bytes, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)((seed = seed * 1103515245 + 12345) >> 16);
}

static int memory_file(const void *bytes, size_t len)
{
	int fd = memfd_create("unit", MFD_CLOEXEC);

	if (fd < 0 || pwrite(fd, bytes, len, 0) != (ssize_t)len)
		abort();
	return fd;
}

static size_t file_size(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (size_t)st.st_size : 0;
}

static bool file_is(int fd, const char *want, size_t len)
{
	char *got = malloc(len + 1);
	bool same = got != NULL && pread(fd, got, len + 1, 0) == (ssize_t)len &&
		    memcmp(got, want, len) == 0;

	free(got);
	return same;
}

static void edit_begin(struct edit *edit)
{
	*edit = (struct edit){.before = malloc(SIZE)};
	fill(edit->before, SIZE, 1);
	CHECK_INT(source_memory(&edit->old, edit->before, SIZE, "old", NULL), 0);
	CHECK_INT(plan_new(&edit->plan, edit->old, NULL), 0);
	CHECK_INT(plan_old(edit->plan, 0, SIZE, NULL), 0);
}

static void edit_write(struct edit *edit, uint64_t off, const char *bytes)
{
	CHECK_INT(plan_write(edit->plan, off, bytes, strlen(bytes), NULL), 0);
}

/* Writes the journal of the plan as it is. */
static void edit_end(struct edit *edit)
{
	struct error err = {0};
	int fd = memory_file("", 0);

	CHECK_INT(plan_outcome(edit->plan, &edit->outcome, NULL), 0);
	edit->after_len = (size_t)plan_size(edit->plan);
	edit->after = malloc(edit->after_len + 1);
	CHECK_INT(source_read(edit->outcome, 0, edit->after, edit->after_len, NULL), 0);
	if (!CHECK_INT(journal_write(&edit->journal, fd,
			       &(struct journal_edit){edit->plan, edit->outcome,
				       edit->shift.len > 0 ? &edit->shift : NULL},
			       &err),
		    0))
		unit_fail("%s", err.text);
}

static void edit_done(struct edit *edit)
{
	journal_close(&edit->journal);
	source_unref(&edit->outcome);
	plan_free(&edit->plan);
	source_unref(&edit->old);
	free(edit->before);
	free(edit->after);
}

/* The edit that most tests use: three places, one across a unit's end, one at the end. */
static void usual_edit(struct edit *edit)
{
	edit_begin(edit);
	edit_write(edit, 0, "the beginning");
	edit_write(edit, 5 * 512 - 3, "across");
	edit_write(edit, SIZE - 4, "last");
	edit_end(edit);
}

/* A header of 600 bytes gets two units more. */
static void shifting_edit(struct edit *edit)
{
	char header[600 + 1024];

	memset(header, 'h', sizeof header);
	edit_begin(edit);
	CHECK_INT(plan_cut(edit->plan, 0, NULL), 0);
	CHECK_INT(plan_bytes(edit->plan, header, sizeof header, NULL), 0);
	CHECK_INT(plan_old(edit->plan, 600, SIZE - 600, NULL), 0);
	CHECK(shift_find(edit->plan, 512, &edit->shift));
	edit_end(edit);
}

static struct journal *reopen(const struct edit *edit, struct error *err)
{
	struct journal *journal = NULL;

	CHECK_INT(journal_open(&journal, dup(journal_fd(edit->journal)), err), 0);
	return journal;
}

static void writing(void)
{
	struct edit edit;
	struct error err = {0};
	struct journal *back;
	int fd;

	unit_begin("a journal that is read back makes the new state out of the old one");
	usual_edit(&edit);
	back = reopen(&edit, &err);
	fd = memory_file(edit.before, SIZE);
	CHECK_INT(journal_fits(back, fd, &err), 0);
	CHECK_INT(journal_apply(back, fd, &err), 0);
	CHECK(file_is(fd, edit.after, edit.after_len));

	unit_begin("applying it once more changes nothing");
	CHECK_INT(journal_fits(back, fd, &err), 0);
	CHECK_INT(journal_apply(back, fd, &err), 0);
	CHECK(file_is(fd, edit.after, edit.after_len));
	close(fd);

	unit_begin("a journal is as small as the units that differ");
	CHECK(file_size(journal_fd(edit.journal)) < 5 * 512 + 200);
	journal_close(&back);
	edit_done(&edit);
}

static void nothing(void)
{
	struct edit edit;
	char same[600];

	unit_begin("writing back what is there makes an empty journal");
	edit_begin(&edit);
	memcpy(same, edit.before + 700, sizeof same);
	CHECK_INT(plan_write(edit.plan, 700, same, sizeof same, NULL), 0);
	edit_end(&edit);
	CHECK(journal_is_empty(edit.journal));
	edit_done(&edit);
}

static void sizes(void)
{
	const uint64_t news[] = {SIZE + 1, SIZE + 3000, SIZE - 1, SIZE - 5000, 1};
	struct edit edit;
	int fd;

	unit_begin("growing and shrinking work from the old size and from the new one");
	for (size_t i = 0; i < sizeof news / sizeof news[0]; i++) {
		edit_begin(&edit);
		edit_write(&edit, 0, "x");
		if (news[i] > SIZE) {
			edit_write(&edit, news[i] - 1, "y");
		} else {
			CHECK_INT(plan_cut(edit.plan, news[i], NULL), 0);
		}
		edit_end(&edit);
		fd = memory_file(edit.before, SIZE);
		CHECK_INT(journal_fits(edit.journal, fd, NULL), 0);
		CHECK_INT(ftruncate(fd, (off_t)news[i]), 0);
		CHECK_INT(journal_fits(edit.journal, fd, NULL), 0);
		CHECK_INT(journal_apply(edit.journal, fd, NULL), 0);
		CHECK(file_is(fd, edit.after, edit.after_len));
		CHECK_INT(ftruncate(fd, (off_t)news[i] + 7), 0);
		CHECK_INT(journal_fits(edit.journal, fd, NULL), -EINVAL);
		close(fd);
		edit_done(&edit);
	}
}

/* A disk takes blocks and sizes in its own order. */
static void grown_late(void)
{
	struct edit edit;
	char *mixed = malloc(SIZE);
	int fd;

	unit_begin(
		"new bytes just before the old end count though the size is the old one");
	edit_begin(&edit);
	edit_write(&edit, SIZE - 4, "the last four, and more");
	edit_end(&edit);
	memcpy(mixed, edit.before, SIZE);
	memcpy(mixed + SIZE - 4, edit.after + SIZE - 4, 4);
	fd = memory_file(mixed, SIZE);
	CHECK_INT(journal_fits(edit.journal, fd, NULL), 0);
	CHECK_INT(journal_apply(edit.journal, fd, NULL), 0);
	CHECK(file_is(fd, edit.after, edit.after_len));
	close(fd);
	mixed[SIZE - 1] ^= 1;
	fd = memory_file(mixed, SIZE);
	CHECK_INT(journal_fits(edit.journal, fd, NULL), -EINVAL);
	close(fd);
	free(mixed);
	edit_done(&edit);
}

static void mixtures(void)
{
	struct edit edit;
	struct error err = {0};
	char *mixed = malloc(SIZE);
	int fd;

	unit_begin("every mixture of old and new units becomes the new state");
	usual_edit(&edit);
	for (unsigned mask = 0; mask < 16; mask++) {
		memcpy(mixed, edit.before, SIZE);
		for (unsigned bit = 0; bit < 4; bit++) {
			const size_t units[] = {0, 4, 5, SIZE / 512};
			size_t at = units[bit] * 512;
			size_t len = SIZE - at < 512 ? SIZE - at : 512;

			if (mask >> bit & 1)
				memcpy(mixed + at, edit.after + at, len);
		}
		fd = memory_file(mixed, SIZE);
		CHECK_INT(journal_fits(edit.journal, fd, &err), 0);
		CHECK_INT(journal_apply(edit.journal, fd, &err), 0);
		CHECK(file_is(fd, edit.after, edit.after_len));
		close(fd);
	}

	unit_begin("a unit that is neither old nor new is found, and its place said");
	memcpy(mixed, edit.before, SIZE);
	mixed[5 * 512 + 100] ^= 1;
	fd = memory_file(mixed, SIZE);
	CHECK_INT(journal_fits(edit.journal, fd, &err), -EINVAL);
	CHECK_STR(err.text, "the bytes at offset 2560 are neither those before the edit "
			    "nor those after");
	close(fd);
	free(mixed);
	edit_done(&edit);
}

/* The bytes of a journal, with room for one more. */
static char *journal_bytes(const struct edit *edit, size_t *size)
{
	char *bytes;

	*size = file_size(journal_fd(edit->journal));
	bytes = calloc(1, *size + 1);
	CHECK_INT(pread(journal_fd(edit->journal), bytes, *size, 0), (intmax_t)*size);
	return bytes;
}

static void damage(const struct edit *edit)
{
	struct journal *journal = NULL;
	size_t size;
	char *bytes = journal_bytes(edit, &size);

	for (size_t len = 0; len < size; len++)
		CHECK_INT(journal_open(&journal, memory_file(bytes, len), NULL), -EINVAL);
	for (size_t i = 0; i < size; i++) {
		bytes[i] ^= (char)(1 << i % 8);
		CHECK_INT(
			journal_open(&journal, memory_file(bytes, size), NULL), -EINVAL);
		bytes[i] ^= (char)(1 << i % 8);
	}
	CHECK_INT(journal_open(&journal, memory_file(bytes, size + 1), NULL), -EINVAL);
	free(bytes);
}

static void damages(void)
{
	struct edit edit;

	unit_begin("a journal that is cut, changed in a bit, or longer is not whole");
	usual_edit(&edit);
	damage(&edit);
	edit_done(&edit);
	unit_begin("nor is one with a gap");
	shifting_edit(&edit);
	damage(&edit);
	edit_done(&edit);
}

/* Reads all ranges of some lengths. */
static void compare_overlay(struct source *overlay, const char *want, size_t size)
{
	char buf[1600];

	CHECK_INT(source_size(overlay), size);
	for (size_t off = 0; off < size; off += 97)
		for (size_t len = 1; len < sizeof buf && off + len <= size; len += 211) {
			CHECK_INT(source_read(overlay, off, buf, len, NULL), 0);
			CHECK(memcmp(buf, want + off, len) == 0);
		}
}

static void overlays(void)
{
	struct edit edit;
	AUTO_SOURCE *base = NULL, *overlay = NULL, *grown = NULL;
	char *mixed = malloc(SIZE);
	uint64_t fd_off;
	int fd;

	unit_begin("a journal laid over a half-patched container shows the new state");
	usual_edit(&edit);
	memcpy(mixed, edit.before, SIZE);
	memcpy(mixed + 5 * 512, edit.after + 5 * 512, 512);
	CHECK_INT(source_from_fd(&base, memory_file(mixed, SIZE), "c", NULL), 0);
	CHECK_INT(journal_overlay(&overlay, reopen(&edit, NULL), base, NULL), 0);
	compare_overlay(overlay, edit.after, edit.after_len);
	CHECK(source_locate(overlay, 6 * 512, 1000, &fd, &fd_off));
	CHECK(!source_locate(overlay, 5 * 512 + 511, 1000, &fd, &fd_off));
	edit_done(&edit);

	unit_begin("what an edit appended is there though the container is short");
	edit_begin(&edit);
	edit_write(&edit, SIZE + 2000, "end");
	edit_end(&edit);
	CHECK_INT(journal_overlay(&grown, reopen(&edit, NULL), base, NULL), 0);
	memcpy(edit.after, mixed, SIZE);
	compare_overlay(grown, edit.after, edit.after_len);
	edit_done(&edit);
	free(mixed);
}

static void large(void)
{
	const size_t size = 5 << 20;
	AUTO_SOURCE *old = NULL, *outcome = NULL;
	AUTO_PLAN *plan = NULL;
	AUTO_JOURNAL *journal = NULL;
	struct error err = {0};
	char *before = malloc(size), *after = malloc(size);
	int fd;

	unit_begin("an edit of several pieces is put together again");
	fill(before, size, 1);
	fill(after, size, 2);
	memcpy(after, before, 1000);
	memcpy(after + (3 << 20), before + (3 << 20), 1 << 20);
	CHECK_INT(source_memory(&old, before, size, "old", NULL), 0);
	CHECK_INT(plan_new(&plan, old, NULL), 0);
	CHECK_INT(plan_bytes(plan, after, size, NULL), 0);
	CHECK_INT(plan_outcome(plan, &outcome, NULL), 0);
	CHECK_INT(journal_write(&journal, memory_file("", 0),
			  &(struct journal_edit){plan, outcome, NULL}, &err),
		0);
	CHECK(file_size(journal_fd(journal)) < (4 << 20) + (1 << 17));
	fd = memory_file(before, size);
	CHECK_INT(journal_fits(journal, fd, &err), 0);
	CHECK_INT(journal_apply(journal, fd, &err), 0);
	CHECK(file_is(fd, after, size));
	close(fd);
	free(before);
	free(after);
}

int main(void)
{
	writing();
	nothing();
	sizes();
	grown_late();
	mixtures();
	damages();
	overlays();
	large();
	return unit_end();
}
