/* A container on disk: opened, locked, committed, recovered. */
#include "decoders/base/error.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "fs/confine.h"
#include "fs/container.h"
#include "tests/unit/folder.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SIZE 20000

static char before[SIZE];

/* What a commit asked of its caller, and what it is to be told. */
struct caller {
	int verify_code, enter_code;
	unsigned verified, entered, left;
	int left_code;
	bool patch;
	bool die_in_leave;
	const char *touch_in_enter; /* a file that somebody else writes to */
};

/* A fresh model, and nothing beside it. */
static void fresh(void)
{
	leftovers_remove();
	unlink(MODEL);
	unlink("link");
	file_write(MODEL, before, SIZE);
}

static int verify(void *arg, struct source *outcome, struct error *err)
{
	struct caller *caller = arg;
	char byte;

	caller->verified++;
	CHECK_INT(source_read(outcome, source_size(outcome) - 1, &byte, 1, err), 0);
	if (caller->verify_code != 0)
		return error_set(err, -caller->verify_code, "the outcome is wrong");
	return 0;
}

static int enter(void *arg, const struct plan *plan, bool patch, struct error *err)
{
	struct caller *caller = arg;

	(void)plan;
	caller->entered++;
	caller->patch = patch;
	if (caller->touch_in_enter != NULL)
		file_write(caller->touch_in_enter, "somebody else", 13);
	if (caller->enter_code != 0)
		return error_set(err, -caller->enter_code, "no");
	return 0;
}

static void leave(void *arg, int code, struct source *now)
{
	struct caller *caller = arg;

	caller->left++;
	caller->left_code = code;
	CHECK((code == 0) == (now != NULL));
	if (caller->die_in_leave)
		_exit(0);
}

static const struct commit_ops ops = {.verify = verify, .enter = enter, .leave = leave};

static struct container *open_model(
	const char *path, struct container_options options, struct error *err)
{
	struct container *container = NULL;

	if (container_open(&container, path, &options, err) < 0)
		return NULL;
	return container;
}

static struct container *open_mode(enum commit_mode mode)
{
	struct error err = {0};
	struct container *c =
		open_model(MODEL, (struct container_options){.mode = mode}, &err);

	if (c == NULL)
		unit_fail("%s", err.text);
	else if (container_readonly(c) != NULL)
		unit_fail("read-only: %s", container_readonly(c));
	return c;
}

/* The edit that the tests make: bytes at two places. */
static void edit(char *bytes)
{
	memcpy(bytes + 100, "edited", 6);
	memcpy(bytes + 15000, "edited too", 10);
}

static void plan_edit(struct plan **plan, struct container *c)
{
	CHECK_INT(plan_new(plan, container_source(c), NULL), 0);
	CHECK_INT(plan_old(*plan, 0, source_size(container_source(c)), NULL), 0);
	CHECK_INT(plan_write(*plan, 100, "edited", 6, NULL), 0);
	CHECK_INT(plan_write(*plan, 15000, "edited too", 10, NULL), 0);
}

/* 16 bytes in front of everything: nothing keeps its offset. */
static void plan_move(struct plan **plan, struct container *c)
{
	CHECK_INT(plan_new(plan, container_source(c), NULL), 0);
	CHECK_INT(plan_bytes(*plan, "sixteen letters.", 16, NULL), 0);
	CHECK_INT(plan_old(*plan, 0, source_size(container_source(c)), NULL), 0);
}

static int commit_edit(struct container *c, struct caller *caller, struct error *err)
{
	AUTO_PLAN *plan = NULL;

	plan_edit(&plan, c);
	return container_commit(c, plan, &ops, caller, err);
}

static int commit_move(struct container *c, struct caller *caller, struct error *err)
{
	AUTO_PLAN *plan = NULL;

	plan_move(&plan, c);
	return container_commit(c, plan, &ops, caller, err);
}

/* A commit that succeeds, and its reason where it does not. */
static void must(int code, const struct error *err)
{
	if (!CHECK_INT(code, 0))
		unit_fail("%s", err->text);
}

static void patching(void)
{
	struct caller caller = {0};
	struct container *c;
	struct error err = {0};
	struct stat old, new;
	char after[SIZE];

	unit_begin("a patch changes the file in place and leaves nothing behind");
	fresh();
	memcpy(after, before, SIZE);
	edit(after);
	c = open_mode(COMMIT_PATCH);
	old = *container_stat(c);
	CHECK_STR(container_how(c), "patch");
	must(commit_edit(c, &caller, &err), &err);
	CHECK(caller.verified == 1 && caller.entered == 1 && caller.left == 1);
	CHECK(caller.patch && caller.left_code == 0);
	CHECK(file_is(MODEL, after, SIZE));
	CHECK(source_is(container_source(c), after, SIZE));
	CHECK_INT(leftovers(), 0);
	CHECK_INT(container_changed(c, &err), 0);
	new = *container_stat(c);
	CHECK_INT(old.st_ino, new.st_ino);
	CHECK(old.st_mtim.tv_nsec != new.st_mtim.tv_nsec);

	unit_begin("a patch that writes what is there writes nothing, the time stays");
	must(commit_edit(c, &caller, &err), &err);
	CHECK_INT(caller.left, 2);
	CHECK_INT(stat(MODEL, &old), 0);
	CHECK_INT(old.st_mtim.tv_nsec, new.st_mtim.tv_nsec);
	CHECK_INT(old.st_ctim.tv_nsec, new.st_ctim.tv_nsec);

	unit_begin("with commit-mode=patch an edit that moves data is refused");
	CHECK_INT(commit_move(c, &caller, &err), -EOPNOTSUPP);
	CHECK(strstr(err.text, "commit-mode=patch") != NULL);
	CHECK(file_is(MODEL, after, SIZE));
	container_close(&c);
}

static void resizing(void)
{
	const uint64_t sizes[] = {SIZE + 5000, SIZE - 5000};
	char after[SIZE + 5000] = {0};

	unit_begin("a patch can make the file longer and shorter");
	for (unsigned i = 0; i < 2; i++) {
		struct caller caller = {0};
		struct error err = {0};
		AUTO_PLAN *plan = NULL;
		struct container *c;

		fresh();
		c = open_mode(COMMIT_PATCH);
		memset(after, 0, sizeof after);
		memcpy(after, before, SIZE);
		memcpy(after + sizes[i] - 3, "end", 3);
		CHECK_INT(plan_new(&plan, container_source(c), NULL), 0);
		CHECK_INT(plan_old(plan, 0, SIZE, NULL), 0);
		if (sizes[i] < SIZE) {
			CHECK_INT(plan_cut(plan, sizes[i], NULL), 0);
		}
		CHECK_INT(plan_write(plan, sizes[i] - 3, "end", 3, NULL), 0);
		must(container_commit(c, plan, &ops, &caller, &err), &err);
		CHECK(caller.patch);
		CHECK(file_is(MODEL, after, sizes[i]));
		CHECK(source_is(container_source(c), after, sizes[i]));
		CHECK_INT(leftovers(), 0);
		container_close(&c);
	}
}

static void rewriting(void)
{
	struct caller caller = {0};
	struct container *c;
	struct error err = {0};
	char after[SIZE + 16], value[8];
	struct stat old, new;
	AUTO_SOURCE *held = NULL;

	unit_begin("a rewrite replaces the file; mode and attributes stay");
	fresh();
	CHECK_INT(chmod(MODEL, 0640), 0);
	CHECK_INT(setxattr(MODEL, "user.mine", "value", 5, 0), 0);
	memcpy(after, "sixteen letters.", 16);
	memcpy(after + 16, before, SIZE);
	c = open_mode(COMMIT_REWRITE);
	CHECK_STR(container_how(c), "rewrite");
	old = *container_stat(c);
	held = source_ref(container_source(c));
	must(commit_move(c, &caller, &err), &err);
	CHECK(!caller.patch && caller.left_code == 0);
	CHECK(file_is(MODEL, after, sizeof after));
	CHECK(source_is(container_source(c), after, sizeof after));
	CHECK_INT(leftovers(), 0);
	CHECK_INT(stat(MODEL, &new), 0);
	CHECK(new.st_ino != old.st_ino);
	CHECK_INT(new.st_mode, S_IFREG | 0640);
	CHECK_INT(getxattr(MODEL, "user.mine", value, sizeof value), 5);
	CHECK_INT(container_changed(c, &err), 0);

	unit_begin("who holds the old source goes on reading the old state");
	CHECK(source_is(held, before, SIZE));

	unit_begin("commits follow one another");
	must(commit_edit(c, &caller, &err), &err);
	memcpy(after + 100, "edited", 6);
	memcpy(after + 15000, "edited too", 10);
	CHECK(file_is(MODEL, after, sizeof after));
	container_close(&c);
}

static void sparse(void)
{
	const off_t size = 1 << 30;
	struct caller caller = {0};
	struct error err = {0};
	struct container *c;
	struct stat st;

	unit_begin("what is sparse stays sparse when it is moved");
	fresh();
	CHECK_INT(truncate(MODEL, size), 0);
	c = open_mode(COMMIT_AUTO);
	must(commit_move(c, &caller, &err), &err);
	CHECK_INT(stat(MODEL, &st), 0);
	CHECK_INT(st.st_size, size + 16);
	CHECK(st.st_blocks < 1000);
	container_close(&c);
	fresh();
}

static void links(void)
{
	struct caller caller = {0};
	struct error err = {0};
	struct container *c;
	struct stat st, other;
	char after[SIZE];

	unit_begin("a symbolic link stays, the file that it names is replaced");
	fresh();
	CHECK_INT(symlink(MODEL, "link"), 0);
	memcpy(after, before, SIZE);
	edit(after);
	c = open_model("link", (struct container_options){.mode = COMMIT_REWRITE}, &err);
	CHECK_STR(container_name(c), MODEL);
	must(commit_edit(c, &caller, &err), &err);
	CHECK(file_is(MODEL, after, SIZE));
	CHECK_INT(lstat("link", &st), 0);
	CHECK(S_ISLNK(st.st_mode));
	container_close(&c);

	unit_begin("a file with two names is patched, both show the edit");
	fresh();
	CHECK_INT(link(MODEL, "link"), 0);
	c = open_mode(COMMIT_AUTO);
	must(commit_edit(c, &caller, &err), &err);
	CHECK(caller.patch && file_is("link", after, SIZE));
	CHECK_INT(stat(MODEL, &st), 0);
	CHECK_INT(stat("link", &other), 0);
	CHECK(st.st_ino == other.st_ino && leftovers() == 0);
	CHECK_INT(getxattr(MODEL, "user.weightfs.journal", NULL, 0), -1);

	unit_begin("an edit of it that moves data is refused, and the reason said");
	CHECK_INT(commit_move(c, &caller, &err), -EOPNOTSUPP);
	CHECK(strstr(err.text, "it has 2 names") != NULL);
	CHECK(file_is("link", after, SIZE) && leftovers() == 0);
	container_close(&c);
	unlink("link");
}

static void locking(void)
{
	struct error err = {0};
	char want[256];
	struct container *c, *second;

	unit_begin("a second one that wants to write is told who the first is");
	fresh();
	c = open_mode(COMMIT_AUTO);
	CHECK_INT(container_open(&second, MODEL, &(struct container_options){0}, &err),
		-EBUSY);
	(void)snprintf(want, sizeof want, MODEL ": in use by weightfs (process %d)",
		(int)getpid());
	CHECK_STR(err.text, want);
	container_announce(c, "/mnt/model");
	CHECK_INT(container_open(&second, MODEL, &(struct container_options){0}, &err),
		-EBUSY);
	(void)snprintf(want, sizeof want,
		MODEL ": in use by weightfs (process %d, mounted at /mnt/model)",
		(int)getpid());
	CHECK_STR(err.text, want);

	unit_begin("the lock goes over to the file that a rewrite makes");
	must(commit_move(c, &(struct caller){0}, &err), &err);
	CHECK_INT(container_open(&second, MODEL, &(struct container_options){0}, &err),
		-EBUSY);
	CHECK_STR(err.text, want);

	unit_begin("reading is open to everybody, and writing when the first is gone");
	second = open_model(MODEL, (struct container_options){.readonly = true}, &err);
	CHECK(second != NULL && container_readonly(second) != NULL);
	container_close(&second);
	container_close(&c);
	c = open_mode(COMMIT_AUTO);
	container_close(&c);
}

/* Runs a commit with this caller in a file that stays as it was. */
static void fails(enum commit_mode mode, struct caller caller, int want)
{
	struct error err = {0};
	struct container *c;
	struct stat old, new;

	fresh();
	c = open_mode(mode);
	CHECK_INT(stat(MODEL, &old), 0);
	CHECK_INT(commit_edit(c, &caller, &err), want);
	CHECK_INT(caller.left, caller.entered && caller.enter_code == 0);
	if (caller.touch_in_enter == NULL) {
		CHECK(file_is(MODEL, before, SIZE));
		CHECK_INT(stat(MODEL, &new), 0);
		CHECK(old.st_ino == new.st_ino &&old.st_mtim.tv_nsec ==
			new.st_mtim.tv_nsec);
		must(commit_edit(c, &(struct caller){0}, &err), &err);
	}
	CHECK_INT(leftovers(), 0);
	container_close(&c);
}

static void failing(void)
{
	unit_begin("what fails before the switch leaves the old state and nothing else");
	fails(COMMIT_PATCH, (struct caller){.verify_code = -EINVAL}, -EINVAL);
	fails(COMMIT_PATCH, (struct caller){.enter_code = -ENOSPC}, -ENOSPC);
	fails(COMMIT_REWRITE, (struct caller){.verify_code = -EINVAL}, -EINVAL);
	fails(COMMIT_REWRITE, (struct caller){.enter_code = -ENOSPC}, -ENOSPC);

	unit_begin("a change by somebody else at the last moment is not overwritten");
	fails(COMMIT_REWRITE, (struct caller){.touch_in_enter = MODEL}, -ESTALE);
	CHECK(file_is(MODEL, "somebody else", 13));
	fails(COMMIT_PATCH, (struct caller){.touch_in_enter = MODEL}, -ESTALE);
	CHECK(file_is(MODEL, "somebody else", 13));
}

static void strangers(void)
{
	struct error err = {0};
	struct caller caller = {0};
	struct container *c;

	unit_begin("a container that somebody else wrote to is not committed");
	fresh();
	c = open_mode(COMMIT_AUTO);
	file_write(MODEL, "short", 5);
	CHECK_INT(container_changed(c, &err), 1);
	CHECK_INT(commit_edit(c, &caller, &err), -ESTALE);
	CHECK(file_is(MODEL, "short", 5) && caller.entered == 0);

	unit_begin("reloading shows what is there now, and can be committed again");
	must(container_reload(c, &err), &err);
	CHECK_INT(container_changed(c, &err), 0);
	CHECK(source_is(container_source(c), "short", 5));
	file_write("other", before, SIZE);
	CHECK_INT(rename("other", MODEL), 0);
	CHECK_INT(container_changed(c, &err), 1);
	must(container_reload(c, &err), &err);
	must(commit_edit(c, &caller, &err), &err);
	CHECK_INT(caller.left_code, 0);

	unit_begin("a container that is gone is said to be gone");
	CHECK_INT(unlink(MODEL), 0);
	CHECK_INT(container_changed(c, &err), -ENOENT);
	CHECK_INT(commit_edit(c, &caller, &err), -ESTALE);
	container_close(&c);
}

static void sharing(void)
{
	struct error err = {0};
	struct caller caller = {0};
	struct container *c;
	int fd;

	unit_begin("what another program has open is rewritten, it goes on reading");
	fresh();
	c = open_mode(COMMIT_AUTO);
	fd = open(MODEL, O_RDONLY);
	must(commit_edit(c, &caller, &err), &err);
	CHECK(!caller.patch);
	CHECK(file_is(MODEL, before, SIZE) == false);
	close(fd);
	container_close(&c);
}

/* A commit whose process ends after the patch, before its journal is removed. */
static void interrupted_commit(struct container_options options)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		struct container *c = open_model(MODEL, options, NULL);

		(void)commit_edit(c, &(struct caller){.die_in_leave = true}, NULL);
		_exit(1);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* Takes the second half of the patch back. */
static void tear(void)
{
	int fd = open(MODEL, O_WRONLY);

	CHECK_INT(pwrite(fd, before + 15000, 10, 15000), 10);
	close(fd);
}

/* Takes everything out of the folder: nothing can be opened any more. */
static void take_away(struct confine *confine, const struct places *places)
{
	CHECK(places->n > 0 && !places->writable);
	(void)confine;
	CHECK_INT(system("mkdir away && mv .weightfs-*.journal away"), 0);
}

static void confined(void)
{
	const struct container_options patch = {.mode = COMMIT_PATCH};
	struct confine confine = {.enter = take_away};
	struct error err = {0};
	struct container *c;
	char after[SIZE];

	unit_begin("a journal is opened before the process is confined");
	fresh();
	memcpy(after, before, SIZE);
	edit(after);
	interrupted_commit(patch);
	tear();
	c = open_model(MODEL,
		(struct container_options){.readonly = true, .confine = &confine}, &err);
	CHECK(c != NULL && source_is(container_source(c), after, SIZE));
	container_close(&c);
	CHECK_INT(system("rm -r away"), 0);
}

static void recovering(void)
{
	const struct container_options patch = {.mode = COMMIT_PATCH};
	struct error err = {0};
	struct container *c;
	char after[SIZE], text[128], torn[SIZE];
	struct stat old, new;

	memcpy(after, before, SIZE);
	edit(after);
	memcpy(torn, after, SIZE);
	memcpy(torn + 15000, before + 15000, 10);
	unit_begin("read-only, a half-patched container shows its new state unwritten");
	fresh();
	interrupted_commit(patch);
	tear();
	CHECK_INT(leftovers(), 1);
	CHECK_INT(stat(MODEL, &old), 0);
	c = open_model(MODEL, (struct container_options){.readonly = true}, &err);
	CHECK(source_is(container_source(c), after, SIZE));
	container_close(&c);
	CHECK_INT(stat(MODEL, &new), 0);
	CHECK(file_is(MODEL, torn, SIZE) && leftovers() == 1);
	CHECK_INT(old.st_mtim.tv_nsec, new.st_mtim.tv_nsec);

	unit_begin("opened for writing it is finished");
	c = open_mode(COMMIT_AUTO);
	CHECK(source_is(container_source(c), after, SIZE));
	CHECK(file_is(MODEL, after, SIZE) && leftovers() == 0);
	CHECK_INT(container_changed(c, &err), 0);
	container_close(&c);

	unit_begin("recovery finishes it too, and says what it did");
	fresh();
	interrupted_commit(patch);
	tear();
	CHECK_INT(container_recover(
			  MODEL, &(struct container_options){0}, text, sizeof text, &err),
		0);
	CHECK_STR(text, "an edit that was interrupted was finished");
	CHECK(file_is(MODEL, after, SIZE) && leftovers() == 0);
	CHECK_INT(container_recover(
			  MODEL, &(struct container_options){0}, text, sizeof text, &err),
		0);
	CHECK_STR(text, "nothing to recover");
}

static void not_fitting(void)
{
	const struct container_options patch = {.mode = COMMIT_PATCH};
	struct error err = {0};
	struct container *c;
	char text[128], other[SIZE];

	unit_begin("a journal of another container stays, nothing is written");
	fresh();
	interrupted_commit(patch);
	memset(other, 'x', SIZE);
	file_write(MODEL, other, SIZE);
	c = open_model(MODEL, (struct container_options){0}, &err);
	CHECK(c != NULL && container_readonly(c) != NULL &&
		strstr(container_readonly(c), "offset 0 are neither") != NULL);
	CHECK(source_is(container_source(c), other, SIZE));
	CHECK_INT(commit_edit(c, &(struct caller){0}, &err), -EROFS);
	container_close(&c);
	CHECK_INT(container_recover(
			  MODEL, &(struct container_options){0}, text, sizeof text, &err),
		-EROFS);
	CHECK(file_is(MODEL, other, SIZE) && leftovers() == 1);
	fresh();
}

static void elsewhere(void)
{
	struct container_options options = {.mode = COMMIT_PATCH, .journal_dir = "j"};
	struct container *c;
	char after[SIZE];

	unit_begin("a journal in another folder is found without being told where");
	fresh();
	CHECK(mkdir("j", 0700) == 0 || errno == EEXIST);
	memcpy(after, before, SIZE);
	edit(after);
	interrupted_commit(options);
	tear();
	CHECK_INT(leftovers(), 0);
	c = open_mode(COMMIT_AUTO);
	CHECK(file_is(MODEL, after, SIZE));
	CHECK_INT(getxattr(MODEL, "user.weightfs.journal", NULL, 0), -1);
	container_close(&c);
	CHECK_INT(rmdir("j"), 0);
}

/* Moves the model to a new inode with all that it has, as `cp -a` and archives do. */
static void copy_away(const char *note)
{
	char bytes[SIZE];

	CHECK_INT(file_read(MODEL, bytes, SIZE), SIZE);
	CHECK_INT(rename(MODEL, "link"), 0); /* its inode is not given to the copy */
	file_write(MODEL, bytes, SIZE);
	CHECK_INT(setxattr(MODEL, "user.weightfs.journal", note, strlen(note), 0), 0);
}

static void copies(void)
{
	struct container_options options = {.mode = COMMIT_PATCH, .journal_dir = "j"};
	char note[PATH_MAX] = "", after[SIZE];
	struct error err = {0};
	struct container *c;
	struct stat st;

	unit_begin(
		"a copy does not take its original's journal away, and is not written");
	fresh();
	CHECK(mkdir("j", 0700) == 0 || errno == EEXIST);
	memcpy(after, before, SIZE);
	edit(after);
	interrupted_commit(options);
	tear();
	CHECK(getxattr(MODEL, "user.weightfs.journal", note, sizeof note - 1) > 0);
	copy_away(note);
	c = open_model(MODEL, (struct container_options){0}, &err);
	CHECK(container_readonly(c) != NULL &&
		strstr(container_readonly(c), "it is a copy") != NULL);
	container_close(&c);
	CHECK_INT(rename("link", MODEL), 0);
	c = open_mode(COMMIT_AUTO);
	CHECK(container_readonly(c) == NULL && file_is(MODEL, after, SIZE));
	container_close(&c);
	CHECK_INT(rmdir("j"), 0);

	unit_begin("a note whose journal is gone does not move to a new file");
	fresh();
	CHECK_INT(stat(MODEL, &st), 0);
	(void)snprintf(note, sizeof note,
		"%ju /nowhere/.weightfs-0123456789abcdef.journal", (uintmax_t)st.st_ino);
	CHECK_INT(setxattr(MODEL, "user.weightfs.journal", note, strlen(note), 0), 0);
	c = open_mode(COMMIT_REWRITE);
	must(commit_edit(c, &(struct caller){0}, &err), &err);
	CHECK_INT(getxattr(MODEL, "user.weightfs.journal", NULL, 0), -1);
	container_close(&c);
	fresh();
}

static void watching(void)
{
	struct error err = {0};
	struct container *c;
	int fd;

	unit_begin("the folder is watched");
	fresh();
	c = open_mode(COMMIT_AUTO);
	fd = container_watch(c);
	if (fd >= 0) {
		char byte;

		CHECK_INT(read(fd, &byte, 0), -1);
		file_write(MODEL, "x", 1);
		container_watched(c);
		CHECK_INT(container_changed(c, &err), 1);
	}
	container_close(&c);
	fresh();
}

int main(void)
{
	for (size_t i = 0; i < SIZE; i++)
		before[i] = (char)(i * 7 + i / 256);
	if (!folder_enter())
		return 1;
	patching();
	resizing();
	rewriting();
	sparse();
	links();
	locking();
	failing();
	strangers();
	sharing();
	recovering();
	confined();
	not_fitting();
	elsewhere();
	copies();
	watching();
	folder_leave();
	return unit_end();
}
