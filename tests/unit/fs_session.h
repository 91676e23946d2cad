/*
 * fs_session: a model of four tensors in TEST_DIR (or the working directory), mounted
 * without FUSE, and what programs do to its files, by path.
 *
 *	layers/a/weight  float32 [2, 3]  0 ... 5
 *	layers/a/bias    float32 [3]     6 ... 8
 *	layers/b/weight  float32 [2]     9, 10
 *	layers/scale     float32 []      11
 *	metadata.json    {"format": "pt", "note": "as trained"}
 */
#ifndef WEIGHTFS_TESTS_FS_SESSION_H
#define WEIGHTFS_TESTS_FS_SESSION_H

#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "fs/fs.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct session {
	struct fs *fs;
	struct fs_options options;
	char model[4096];
};

/* Waits for an answer. */
struct waiter {
	struct fs_done done;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool there;
	int result;
};

#define WAITER                                                               \
	{                                                                    \
		.done.fn = waiter_answer, .lock = PTHREAD_MUTEX_INITIALIZER, \
		.answered = PTHREAD_COND_INITIALIZER                         \
	}

static inline void waiter_answer(struct fs_done *done, int result)
{
	struct waiter *waiter = (struct waiter *)done;

	pthread_mutex_lock(&waiter->lock);
	waiter->result = result;
	waiter->there = true;
	pthread_cond_signal(&waiter->answered);
	pthread_mutex_unlock(&waiter->lock);
}

static inline int waiter_wait(struct waiter *waiter)
{
	pthread_mutex_lock(&waiter->lock);
	while (!waiter->there)
		pthread_cond_wait(&waiter->answered, &waiter->lock);
	pthread_mutex_unlock(&waiter->lock);
	return waiter->result;
}

#define SESSION_HEADER                                                              \
	"{\"__metadata__\":{\"format\":\"pt\",\"note\":\"as trained\"},"            \
	"\"a.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}," \
	"\"a.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[24,36]},"    \
	"\"b.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[36,44]},"  \
	"\"scale\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[44,48]}}"

static inline void session_write_model(const char *path, const char *header, float first)
{
	uint64_t len = strlen(header);
	FILE *f = fopen(path, "w");

	if (f == NULL)
		return;
	(void)fwrite(&len, sizeof len, 1, f);
	(void)fwrite(header, 1, len, f);
	for (int i = 0; i < 12; i++) {
		float v = first + (float)i;
		(void)fwrite(&v, sizeof v, 1, f);
	}
	(void)fclose(f);
}

static inline bool session_mount(struct session *session)
{
	struct error err = {0};
	int rc = fs_open(&session->fs, session->model, &session->options, &err);

	if (rc < 0)
		unit_fail("fs_open: %s", err.text);
	return rc == 0;
}

/* A new model, mounted. */
static inline bool session_begin(struct session *session, const char *name)
{
	const char *dir = getenv("TEST_DIR");

	(void)snprintf(session->model, sizeof session->model, "%s/%s.safetensors",
		dir != NULL ? dir : ".", name);
	session_write_model(session->model, SESSION_HEADER, 0);
	return session_mount(session);
}

static inline int session_end(struct session *session)
{
	struct error err = {0};
	int rc = fs_finish(session->fs, &err);

	fs_free(&session->fs);
	return rc;
}

static inline fs_ino session_ino(struct session *session, const char *path)
{
	struct stat st;

	return fs_path(session->fs, path, &st) == 0 ? st.st_ino : 0;
}

/* What a reader of the file sees (64 KiB at most), to be freed; NULL: it cannot be read.
 */
static inline char *session_read(struct session *session, const char *path, size_t *len)
{
	size_t cap = 1 << 16;
	char *buf = malloc(cap + 1);
	struct fs_file file;
	fs_ino ino = session_ino(session, path);
	ssize_t n;

	*len = 0;
	if (ino == 0 || fs_open_file(session->fs, ino, O_RDONLY, &file) < 0) {
		free(buf);
		return NULL;
	}
	n = fs_read(session->fs, ino, file.handle, buf, cap, 0);
	fs_release(session->fs, ino, file.handle, NULL);
	*len = n > 0 ? (size_t)n : 0;
	buf[*len] = '\0';
	if (n >= 0)
		return buf;
	free(buf);
	return NULL;
}

/* The folder and last name of a path. */
static inline fs_ino session_parent(
	struct session *session, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char *folder = strndup(path, slash != NULL ? (size_t)(slash - path) : 0);
	fs_ino ino = session_ino(session, folder);

	*name = slash != NULL ? slash + 1 : path;
	free(folder);
	return ino;
}

/* Opens for writing, as open(2) with these flags does. */
static inline int session_open(struct session *session, const char *path, int flags,
	fs_ino *ino, uint64_t *handle)
{
	struct fs_file file = {0};
	const char *name;
	struct stat st;
	int rc = fs_path(session->fs, path, &st);
	fs_ino parent;

	if (rc == 0)
		rc = fs_open_file(session->fs, st.st_ino, flags, &file);
	else if (rc == -ENOENT && (flags & O_CREAT) != 0) {
		parent = session_parent(session, path, &name);
		rc = parent == 0 ? -ENOENT
				 : fs_create(session->fs, parent, name, 0644, flags, &st,
					   &file);
	}
	*ino = st.st_ino;
	*handle = file.handle;
	return rc;
}

static inline int session_flush(struct session *session, fs_ino ino, uint64_t handle)
{
	struct waiter waiter = WAITER;

	fs_flush(session->fs, ino, handle, &waiter.done);
	return waiter_wait(&waiter);
}

/* close(2): what the flush says; the release is waited for. */
static inline int session_close(struct session *session, fs_ino ino, uint64_t handle)
{
	struct waiter waiter = WAITER;
	int rc = session_flush(session, ino, handle);

	fs_release(session->fs, ino, handle, &waiter.done);
	(void)waiter_wait(&waiter);
	return rc;
}

/* `cp x PATH`, or the shell's `>`. */
static inline int session_put(
	struct session *session, const char *path, const void *bytes, size_t len)
{
	uint64_t handle;
	fs_ino ino;
	int rc = session_open(session, path, O_WRONLY | O_CREAT | O_TRUNC, &ino, &handle);
	ssize_t n;

	if (rc < 0)
		return rc;
	n = fs_write(session->fs, ino, handle, bytes, len, 0);
	rc = session_close(session, ino, handle);
	return n < 0 ? (int)n : rc;
}

static inline int session_puts(
	struct session *session, const char *path, const char *text)
{
	return session_put(session, path, text, strlen(text));
}

/* `dd conv=notrunc`. */
static inline int session_patch(struct session *session, const char *path, uint64_t off,
	const void *bytes, size_t len)
{
	uint64_t handle;
	fs_ino ino;
	int rc = session_open(session, path, O_RDWR, &ino, &handle);

	if (rc < 0)
		return rc;
	(void)fs_write(session->fs, ino, handle, bytes, len, off);
	return session_close(session, ino, handle);
}

static inline int session_truncate(struct session *session, const char *path, off_t size)
{
	struct waiter waiter = WAITER;
	struct stat in = {.st_size = size}, out;

	fs_setattr(session->fs, session_ino(session, path), 0, &in, FS_SET_SIZE, &out,
		&waiter.done);
	return waiter_wait(&waiter);
}

static inline int session_unlink(struct session *session, const char *path)
{
	struct waiter waiter = WAITER;
	const char *name;
	fs_ino parent = session_parent(session, path, &name);

	fs_unlink(session->fs, parent, name, &waiter.done);
	return waiter_wait(&waiter);
}

static inline int session_rmdir(struct session *session, const char *path)
{
	struct waiter waiter = WAITER;
	const char *name;
	fs_ino parent = session_parent(session, path, &name);

	fs_rmdir(session->fs, parent, name, &waiter.done);
	return waiter_wait(&waiter);
}

static inline int session_mkdir(struct session *session, const char *path)
{
	const char *name;
	fs_ino parent = session_parent(session, path, &name);
	struct stat st;

	return fs_mkdir(session->fs, parent, name, 0755, &st);
}

static inline int session_rename(
	struct session *session, const char *from, const char *to)
{
	struct waiter waiter = WAITER;
	const char *name, *new_name;
	fs_ino parent = session_parent(session, from, &name);
	fs_ino new_parent = session_parent(session, to, &new_name);

	fs_rename(session->fs, parent, name, new_parent, new_name, 0, &waiter.done);
	return waiter_wait(&waiter);
}

static inline int session_sync(struct session *session)
{
	struct waiter waiter = WAITER;

	fs_sync(session->fs, &waiter.done);
	return waiter_wait(&waiter);
}

static inline bool session_exists(struct session *session, const char *path)
{
	return session_ino(session, path) != 0;
}

/* The file has exactly this text. */
static inline bool session_shows(
	struct session *session, const char *path, const char *want, int line)
{
	size_t len;
	char *text = session_read(session, path, &len);
	bool same = text != NULL && strcmp(text, want) == 0;

	if (!same)
		unit_fail("line %d: %s shows <%s>", line, path,
			text != NULL ? text : "nothing");
	free(text);
	return same;
}
#define SHOWS(session, path, want) session_shows((session), (path), (want), __LINE__)

static inline bool session_has(
	struct session *session, const char *path, const float *want, size_t n, int line)
{
	size_t len;
	char *bytes = session_read(session, path, &len);
	bool same =
		bytes != NULL && len == n * sizeof *want && memcmp(bytes, want, len) == 0;

	if (!same)
		unit_fail("line %d: %s has %zu bytes, others than expected", line, path,
			len);
	free(bytes);
	return same;
}
#define HAS(session, path, ...)                                      \
	session_has((session), (path), (const float[]){__VA_ARGS__}, \
		sizeof((const float[]){__VA_ARGS__}) / sizeof(float), __LINE__)

/* A second look at the container: unmounted and mounted again. */
static inline void session_again(struct session *session)
{
	CHECK_INT(session_end(session), 0);
	(void)session_mount(session);
}

static inline bool session_logged(struct session *session, const char *what, unsigned n)
{
	AUTO_TEXT log = {0};
	unsigned found = fs_refusals(session->fs, &log);
	bool there = found == n && (n == 0 || strstr(log.bytes, what) != NULL);

	if (!there)
		unit_fail("%u refusals, log <%s>, expected %u with <%s>", found,
			log.bytes != NULL ? log.bytes : "", n, what);
	return there;
}

#endif
