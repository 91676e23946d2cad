/*
 * container: opening, looking, and opening again.
 *
 * There is exactly one open file description of the container in this process, which all
 * sources share: the lock belongs to it, and only so can a lease tell whether another
 * program reads the file (lock.h).
 */
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "fs/commit.h"
#include "fs/confine.h"
#include "fs/container_private.h"
#include "fs/file.h"
#include "fs/journal.h"
#include "fs/keep.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* Times that a file which is replaced while it is being opened is opened anew. */
#define TRIES 8

void container_set_readonly(struct container *c, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	struct error err = {0};
	va_list args;

	if (c->readonly != NULL && c->source != NULL)
		return;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	(void)error_set(&err, EROFS, "%s", text);
	memcpy(c->reason, err.text, sizeof c->reason);
	__atomic_store_n(&c->readonly, c->reason, __ATOMIC_RELEASE);
}

bool container_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Opening. */

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "not enough memory to open a container");
}

static int open_folder(const char *path, struct leftovers *left, struct error *err)
{
	left->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* A folder that may be passed but not listed will do for reading. */
	if (left->folder < 0 && errno == EACCES)
		left->folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (left->folder < 0)
		return error_set(err, errno, "%s: %s", path, strerror(errno));
	return 0;
}

/* The file's folder and name, where journals go, and what they are called. */
static int resolve(struct container *c, const char *path, struct error *err)
{
	char *slash;
	int code;

	c->path = realpath(path, NULL);
	if (c->path == NULL)
		return error_set(err, errno, "%s", strerror(errno));
	slash = strrchr(c->path, '/');
	c->name = slash + 1;
	*slash = '\0';
	code = open_folder(slash == c->path ? "/" : c->path, &c->beside, err);
	*slash = '/';
	leftovers_name(&c->beside, c->name);
	if (code < 0 || c->journal_dir == NULL)
		return code;
	/* Containers of one name in several folders may share this place. */
	leftovers_name(&c->elsewhere, c->path);
	return open_folder(c->journal_dir, &c->elsewhere, err);
}

static int open_name(const struct container *c, int access)
{
	return TEMP_FAILURE_RETRY(openat(c->beside.folder, c->name,
		access | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

static bool is_refusal(int code)
{
	return code == EACCES || code == EPERM || code == EROFS || code == ETXTBSY;
}

static int open_file(struct container *c, int *fd, struct stat *st, struct error *err)
{
	*fd = -1;
	if (c->readonly == NULL) {
		*fd = open_name(c, O_RDWR);
		if (*fd < 0 && is_refusal(errno))
			container_set_readonly(
				c, "it may not be written: %s", strerror(errno));
	}
	if (*fd < 0)
		*fd = open_name(c, O_RDONLY);
	if (*fd < 0 || fstat(*fd, st) < 0)
		return error_set(err, errno, "%s", strerror(errno));
	if (S_ISDIR(st->st_mode))
		return error_set(err, EISDIR, "expected a file, found a folder");
	if (!S_ISREG(st->st_mode))
		return error_set(err, EINVAL, "expected a regular file");
	return 0;
}

/* -EBUSY is an answer while opening; later, and for all other reasons, what cannot be
 * locked is only read. */
static int lock_file(
	struct container *c, int fd, const struct stat *st, struct error *err)
{
	struct error why = {0};
	bool opening = c->source == NULL;
	int code = 0;

	if (c->readonly == NULL)
		code = opening ? lock_wait(fd, st, &why) : lock_take(fd, st, &why);
	if (code == -EBUSY && opening)
		return error_set(err, EBUSY, "%s", why.text);
	if (code < 0)
		container_set_readonly(c, "%s", why.text);
	return 0;
}

static bool is_at_path(const struct container *c, const struct stat *st)
{
	struct stat now;

	return fstatat(c->beside.folder, c->name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
	       now.st_dev == st->st_dev && now.st_ino == st->st_ino;
}

/* Opens and locks what the name leads to; what was open is closed. */
static int take_file(struct container *c, struct error *err)
{
	for (int i = 0; i < TRIES; i++) {
		AUTO_FD fd = -1;
		struct stat st;
		int code = open_file(c, &fd, &st, err);

		/* A link that has taken the name leads somewhere else now. */
		if (code == -ELOOP)
			return error_set(err, ESTALE, "a symbolic link took its place");
		if (code == 0)
			code = lock_file(c, fd, &st, err);
		if (code < 0)
			return code;
		if (!is_at_path(c, &st))
			continue;
		file_close(&c->fd);
		c->fd = fd;
		fd = -1;
		return 0;
	}
	return error_set(err, ESTALE, "it is replaced again and again");
}

int container_new_source(struct container *c, struct source **out, struct error *err)
{
	int fd = -1, code = file_dup(c->fd, &fd, c->name, err);

	return code < 0 ? code : source_from_fd(out, fd, c->name, err);
}

void container_settle(struct container *c, int fd, struct source *source)
{
	if (fd >= 0) {
		file_close(&c->fd);
		c->fd = fd;
	}
	/* Of an open file: what could fail is the disk, which the next read will meet. */
	(void)fstat(c->fd, &c->st);
	if (source != c->source) {
		source_unref(&c->source);
		c->source = source;
	}
	c->stale = false;
}

/* The file's state: what was interrupted is finished or laid over. */
static int take_state(struct container *c, struct error *err)
{
	AUTO_JOURNAL *journal = NULL;
	AUTO_SOURCE *file = NULL;
	struct source *source = NULL;
	struct stat before;
	int code;

	recover_container(c, &journal);
	/* As it was before it is looked at: who is still writing it changes it once more,
	 * and that must be seen. */
	if (fstat(c->fd, &before) < 0)
		return error_set(err, errno, "%s", strerror(errno));
	code = container_new_source(c, &file, err);
	if (code == 0 && journal != NULL) {
		code = journal_overlay(&source, journal, file, err);
		journal = NULL;
	} else if (code == 0) {
		source = source_ref(file);
	}
	if (code == 0) {
		container_settle(c, -1, source);
		c->st = before;
	}
	return code;
}

/* What it says at the start is what a user can still do something about. */
static void look_at_means(struct container *c)
{
	struct error why = {0};

	if (c->readonly != NULL)
		return;
	means_look(c);
	c->how = means_usual(c, &why);
	if (c->how == NULL)
		container_set_readonly(c, "%s", why.text);
}

static int container_new(struct container **out, const struct container_options *options,
	struct error *err)
{
	struct container *c = calloc(1, sizeof *c);

	if (c == NULL)
		return no_memory(err);
	c->ask_readonly = options->readonly;
	c->mode = options->mode;
	c->shift_from = options->shift_from > 0 ? options->shift_from : SHIFT_FROM;
	c->beside.folder = c->elsewhere.folder = c->noted.place.folder = -1;
	c->found.fd = c->fd = c->watch = c->state = -1;
	c->record.folder = -1;
	(void)pthread_mutex_init(&c->lock, NULL); /* a default one needs no memory */
	if (options->journal_dir != NULL) {
		c->journal_dir = realpath(options->journal_dir, NULL);
		if (c->journal_dir == NULL) {
			container_close(&c);
			return error_set(err, errno, "%s: %s", options->journal_dir,
				strerror(errno));
		}
	}
	if (options->readonly)
		container_set_readonly(c, "it was mounted read-only");
	*out = c;
	return 0;
}

/* What is opened later is opened in these folders. */
static void enter(struct container *c, const struct container_options *options)
{
	bool writable = c->readonly == NULL;
	int folders[5];

	if (writable)
		lock_record_open(&c->record);
	if (writable && options->keeps)
		c->state = keep_state_folder();
	recover_find(c);
	folders[0] = c->beside.folder;
	folders[1] = c->elsewhere.folder;
	folders[2] = c->noted.place.folder;
	folders[3] = c->record.folder;
	folders[4] = c->state;
	if (options->confine != NULL)
		options->confine->enter(options->confine,
			&(struct places){
				.folders = folders, .n = 5, .writable = writable});
}

int container_open(struct container **out, const char *path,
	const struct container_options *options, struct error *err)
{
	struct container *c = NULL;
	int code = container_new(&c, options, err);

	if (code < 0)
		return code;
	code = resolve(c, path, err);
	if (code == 0)
		code = take_file(c, err);
	if (code == 0) {
		c->trusted = c->readonly == NULL && commit_has_trusted(c->fd);
		look_at_means(c);
		enter(c, options);
		code = take_state(c, err);
	}
	if (code < 0) {
		error_prefix(err, "%s", path);
		container_close(&c);
		return code;
	}
	if (c->readonly == NULL)
		lock_record_write(&c->record, &c->st, NULL);
	*out = c;
	return 0;
}

void container_close(struct container **container)
{
	struct container *c = *container;

	*container = NULL;
	if (c == NULL)
		return;
	/* Sources that somebody still holds share the description, and with it the lock.
	 */
	if (c->fd >= 0)
		lock_drop(c->fd);
	lock_record_done(&c->record);
	source_unref(&c->source);
	file_close(&c->fd);
	file_close(&c->watch);
	file_close(&c->beside.folder);
	file_close(&c->elsewhere.folder);
	file_close(&c->noted.place.folder);
	file_close(&c->found.fd);
	file_close(&c->state);
	(void)pthread_mutex_destroy(&c->lock);
	free(c->path);
	free(c->journal_dir);
	free(c->mountpoint);
	free(c);
}

/* Looking. */

struct source *container_source(struct container *container)
{
	return container->source;
}

const char *container_readonly(const struct container *container)
{
	return __atomic_load_n(&container->readonly, __ATOMIC_ACQUIRE);
}

const char *container_path(const struct container *container)
{
	return container->path;
}

const char *container_name(const struct container *container)
{
	return container->name;
}

int container_folder(const struct container *container)
{
	return container->beside.folder;
}

int container_spills(const struct container *container)
{
	return container->elsewhere.folder >= 0 ? container->elsewhere.folder
						: container->beside.folder;
}

int container_state(const struct container *container)
{
	return container->state;
}

const struct stat *container_stat(const struct container *container)
{
	return &container->st;
}

const char *container_how(const struct container *container)
{
	return container_readonly(container) == NULL ? container->how : "read-only";
}

void container_announce(struct container *container, const char *mountpoint)
{
	free(container->mountpoint);
	container->mountpoint = strdup(mountpoint);
	if (container_readonly(container) == NULL)
		lock_record_write(
			&container->record, &container->st, container->mountpoint);
}

/* Others' changes. */

int container_differs(struct container *c, struct error *err)
{
	struct stat open, path;

	if (c->stale)
		return 1;
	if (fstat(c->fd, &open) < 0)
		return error_set(err, errno, "%s: %s", c->path, strerror(errno));
	if (fstatat(c->beside.folder, c->name, &path, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set(err, errno, "%s: %s", c->path, strerror(errno));
	return !container_same(&open, &c->st) || !container_same(&path, &c->st);
}

int container_changed(struct container *container, struct error *err)
{
	int code;

	(void)pthread_mutex_lock(&container->lock);
	code = container_differs(container, err);
	(void)pthread_mutex_unlock(&container->lock);
	return code;
}

int container_watch(struct container *container)
{
	const uint32_t events = IN_CLOSE_WRITE | IN_MODIFY | IN_CREATE | IN_DELETE |
				IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;
	char path[64];

	if (container->watch >= 0)
		return container->watch;
	container->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", container->beside.folder);
	if (container->watch >= 0 &&
		inotify_add_watch(container->watch, path, events) < 0)
		file_close(&container->watch);
	return container->watch;
}

void container_watched(struct container *container)
{
	char events[4096];

	if (container->watch < 0)
		return;
	while (read(container->watch, events, sizeof events) > 0 || errno == EINTR)
		;
}

int container_reload(struct container *container, struct error *err)
{
	struct container *c = container;
	struct stat st;
	int code = 0;

	(void)pthread_mutex_lock(&c->lock);
	if (fstat(c->fd, &st) < 0 || !is_at_path(c, &st))
		code = take_file(c, err);
	if (code == 0) {
		recover_find(c);
		code = take_state(c, err);
	}
	if (code == 0 && c->readonly == NULL) {
		look_at_means(c);
		lock_record_write(&c->record, &c->st, c->mountpoint);
	}
	(void)pthread_mutex_unlock(&c->lock);
	if (code < 0)
		error_prefix(err, "%s", c->path);
	return code;
}

int container_recover(const char *path, const struct container_options *options,
	char *text, size_t size, struct error *err)
{
	struct container *c = NULL;
	const char *why;
	int code = container_open(&c, path, options, err);

	if (code < 0)
		return code;
	why = container_readonly(c);
	if (why != NULL)
		code = error_set(err, EROFS, "%s: %s", path, why);
	else
		(void)snprintf(text, size, "%s",
			c->recovered != NULL ? c->recovered : "nothing to recover");
	container_close(&c);
	return code;
}
