/*
 * access: one file of a model read or written without FUSE, for containers that
 * have none: through fs/, so with the same checks, commits and words.
 */
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "fs/confine.h"
#include "fs/fs.h"
#include "mount/commands.h"
#include "mount/options.h"
#include "mount/sandbox.h"
#include "mount/say.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE (1u << 20)

/* Waits for an answer that may come from another thread. */
struct waiting {
	struct fs_done done;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool there;
	int result;
};

static void answer(struct fs_done *done, int result)
{
	struct waiting *waiting = (struct waiting *)done;
	pthread_mutex_lock(&waiting->lock);
	waiting->result = result;
	waiting->there = true;
	pthread_cond_signal(&waiting->answered);
	pthread_mutex_unlock(&waiting->lock);
}

static int wait_for(struct waiting *waiting)
{
	pthread_mutex_lock(&waiting->lock);
	while (!waiting->there)
		pthread_cond_wait(&waiting->answered, &waiting->lock);
	pthread_mutex_unlock(&waiting->lock);
	return waiting->result;
}

static int close_file(struct fs *fs, fs_ino ino, uint64_t handle)
{
	struct waiting flush = {.done.fn = answer,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.answered = PTHREAD_COND_INITIALIZER};
	struct waiting release = flush;

	fs_flush(fs, ino, handle, &flush.done);
	int code = wait_for(&flush);
	fs_release(fs, ino, handle, &release.done);
	int released = wait_for(&release);
	return code ? code : released;
}

/* `confine` lives as long as the fs. */
static int open_fs(const struct options *options, bool readonly, struct confine *confine,
	struct fs **fs)
{
	struct error err = {0};
	struct fs_options how = options->fs;
	how.readonly = readonly;
	how.confine = confine;

	int code = fs_open(fs, options->model, &how, &err);
	if (!code && !readonly && fs_readonly(*fs))
		code = error_set(&err, EROFS, "%s cannot be written: %s", options->model,
			fs_readonly(*fs));
	if (code)
		say("%s", err.text);
	return code;
}

static int explain(const struct options *options, int code)
{
	say("%s: %s", options->operand, strerror(-code));
	return code;
}

/* The bytes as they are, but on a terminal, where they might act. */
static size_t show(const char *bytes, size_t len)
{
	return isatty(STDOUT_FILENO) ? say_text(stdout, bytes, len)
				     : fwrite(bytes, 1, len, stdout);
}

static int copy_out(struct fs *fs, fs_ino ino)
{
	char *buf = malloc(PIECE);
	uint64_t off = 0;
	ssize_t n = buf ? 1 : -ENOMEM;

	while (n > 0) {
		n = fs_read(fs, ino, 0, buf, PIECE, off);
		if (n > 0 && show(buf, (size_t)n) != (size_t)n)
			n = -errno;
		if (n > 0)
			off += (uint64_t)n;
	}
	free(buf);
	return (int)n;
}

int command_get(const struct options *options)
{
	struct confine confine = {.enter = sandbox_enter};
	struct fs *fs = NULL;
	struct stat st;

	int code = open_fs(options, true, &confine, &fs);
	if (!code) {
		code = fs_path(fs, options->operand, &st);
		if (!code && S_ISDIR(st.st_mode))
			code = -EISDIR;
		if (!code)
			code = copy_out(fs, st.st_ino);
		if (code)
			explain(options, code);
	}
	fs_free(&fs);
	return code ? EXIT_FAILED : EXIT_OK;
}

/* Opens the file at a path for being written anew, or makes it where its folder is. */
static int open_for_writing(
	struct fs *fs, const char *path, struct stat *st, struct fs_file *file)
{
	int code = fs_path(fs, path, st);
	if (!code)
		return S_ISDIR(st->st_mode)
			       ? -EISDIR
			       : fs_open_file(fs, st->st_ino, O_WRONLY | O_TRUNC, file);
	if (code != -ENOENT)
		return code;

	const char *slash = strrchr(path, '/');
	char *folder = strndup(path, slash ? (size_t)(slash - path) : 0);
	if (!folder)
		return -ENOMEM;
	code = fs_path(fs, folder, st);
	free(folder);
	return code ? code
		    : fs_create(fs, st->st_ino, slash ? slash + 1 : path, 0644, O_WRONLY,
			      st, file);
}

static int copy_in(struct fs *fs, fs_ino ino, uint64_t handle)
{
	char *buf = malloc(PIECE);
	uint64_t off = 0;
	ssize_t n = buf ? 1 : -ENOMEM;

	while (n > 0) {
		n = (ssize_t)fread(buf, 1, PIECE, stdin);
		if (!n && ferror(stdin))
			n = -errno;
		if (n > 0)
			n = fs_write(fs, ino, handle, buf, (size_t)n, off);
		if (n > 0)
			off += (uint64_t)n;
	}
	free(buf);
	return (int)n;
}

static int put(struct fs *fs, const struct options *options)
{
	struct stat st;
	struct fs_file file = {0};
	AUTO_TEXT log = {0};

	int code = open_for_writing(fs, options->operand, &st, &file);
	if (code)
		return explain(options, code);
	code = copy_in(fs, st.st_ino, file.handle);
	int closed = close_file(fs, st.st_ino, file.handle);
	code = code ? code : closed;
	if (!code)
		return 0;
	if (fs_refusals(fs, &log)) {
		fputs("weightfs: ", stderr);
		say_text(stderr, log.bytes, log.len);
	} else {
		explain(options, code);
	}
	return code;
}

int command_put(const struct options *options)
{
	struct confine confine = {.enter = sandbox_enter};
	struct fs *fs = NULL;
	struct error err = {0};

	int code = open_fs(options, false, &confine, &fs);
	if (!code) {
		code = put(fs, options);
		int finished = fs_finish(fs, &err);
		if (!code && finished)
			say("%s", err.text);
		code = code ? code : finished;
	}
	fs_free(&fs);
	return code ? EXIT_FAILED : EXIT_OK;
}
