/*
 * lock: the lock, the record of its holder, and the lease that tells who else reads.
 */
#include "fs/lock.h"
#include "decoders/base/error.h"
#include "fs/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCK_OFFSET ((off_t)1 << 62)
#define RECORD_MAX (PATH_MAX + 64)
/* How often, and in what distance, it is looked whether a holder has ended. */
#define PATIENCE 500
#define PAUSE_MS 20

static int set_lock(int fd, short type)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = LOCK_OFFSET, .l_len = 1};

	return TEMP_FAILURE_RETRY(fcntl(fd, F_OFD_SETLK, &lock));
}

void lock_drop(int fd)
{
	/* Unlocking what is locked cannot fail, and what is not locked needs none. */
	(void)set_lock(fd, F_UNLCK);
}

bool lock_is_shared(int fd)
{
	bool shared;

	/* Who opens the file while the lease is held is let in when it is given back; the
	 * signal that asks for it must not be the default one, which ends the process. */
	if (fcntl(fd, F_SETSIG, SIGURG) < 0)
		return false;
	shared = fcntl(fd, F_SETLEASE, F_WRLCK) < 0 && errno == EAGAIN;
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	return shared;
}

/* The record. */

static void record_name(char name[48], const struct stat *st)
{
	(void)snprintf(name, 48, "%jx-%jx", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
}

/* The n-th place where records are kept; false: there are no more. */
static bool folder_path(char *path, size_t size, unsigned n)
{
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");

	if (runtime == NULL || runtime[0] != '/')
		n++;
	if (n == 0)
		(void)snprintf(path, size, "%s/weightfs", runtime);
	else
		(void)snprintf(path, size, "/tmp/weightfs-%ju", (uintmax_t)geteuid());
	return n < 2;
}

/* Only a folder of our own that nobody else can write is used: anybody may have made a
 * folder of this name in /tmp. -1: there is none. */
static int open_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 &&
		(fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 022) != 0))
		file_close(&fd);
	return fd;
}

static int make_folder(void)
{
	char path[PATH_MAX];
	int fd = -1;

	for (unsigned n = 0; fd < 0 && folder_path(path, sizeof path, n); n++) {
		/* That it is there already is the usual case. */
		(void)mkdir(path, 0700);
		fd = open_folder(path);
	}
	return fd;
}

/* Reads a record; false where there is none or it is none. Cuts `text` into lines. */
static bool read_record(int folder, const char *name, char text[RECORD_MAX], long *pid,
	const char **mountpoint)
{
	AUTO_FD fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, RECORD_MAX - 1);
	char *line;

	if (n <= 0)
		return false;
	text[n] = '\0';
	*pid = strtol(text, &line, 10);
	if (*line != '\n' || *pid <= 0)
		return false;
	*mountpoint = ++line;
	line[strcspn(line, "\n")] = '\0';
	return true;
}

/* Whether the process is there: a record may have outlived its writer. */
static bool is_alive(long pid)
{
	return kill((pid_t)pid, 0) == 0 || errno == EPERM;
}

/* Removes what processes that were killed have left. */
static void sweep(int folder)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char text[RECORD_MAX];
	const char *mountpoint;
	struct dirent *entry;
	long pid;

	if (dir == NULL) {
		file_close(&fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' &&
			read_record(folder, entry->d_name, text, &pid, &mountpoint) &&
			!is_alive(pid))
			(void)file_remove(folder, entry->d_name);
	(void)closedir(dir);
}

void lock_record_open(struct lock_record *record)
{
	record->folder = make_folder();
	if (record->folder >= 0)
		sweep(record->folder);
}

void lock_record_write(
	struct lock_record *record, const struct stat *st, const char *mountpoint)
{
	char text[RECORD_MAX], name[48];
	AUTO_FD fd = -1;
	int n;

	if (record->folder < 0)
		return;
	record_name(name, st);
	if (strcmp(name, record->name) != 0 && record->name[0] != '\0')
		(void)file_remove(record->folder, record->name);
	memcpy(record->name, name, sizeof name);
	n = snprintf(text, sizeof text, "%jd\n%s\n", (intmax_t)getpid(),
		mountpoint != NULL ? mountpoint : "");
	fd = openat(record->folder, name,
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd >= 0 && n > 0 && n < (int)sizeof text)
		(void)file_write(fd, name, text, (size_t)n, 0, NULL);
}

void lock_record_done(struct lock_record *record)
{
	if (record->folder >= 0 && record->name[0] != '\0')
		(void)file_remove(record->folder, record->name);
	record->name[0] = '\0';
	file_close(&record->folder);
}

/* Who has the lock, as the record says; pid 0: there is none. */
struct holder {
	long pid;
	const char *mountpoint; /* in the text; empty: it has none */
	char text[RECORD_MAX];
};

static void find_holder(struct holder *holder, const struct stat *st)
{
	char path[PATH_MAX], name[48];
	bool found = false;

	record_name(name, st);
	for (unsigned n = 0; !found && folder_path(path, sizeof path, n); n++) {
		AUTO_FD folder = open_folder(path);

		found = folder >= 0 &&
			read_record(folder, name, holder->text, &holder->pid,
				&holder->mountpoint) &&
			is_alive(holder->pid);
	}
	if (!found)
		holder->pid = 0;
}

static int busy(const struct holder *holder, struct error *err)
{
	if (holder->pid == 0)
		return error_set(err, EBUSY, "in use by another weightfs");
	if (holder->mountpoint[0] == '\0')
		return error_set(
			err, EBUSY, "in use by weightfs (process %ld)", holder->pid);
	return error_set(err, EBUSY, "in use by weightfs (process %ld, mounted at %s)",
		holder->pid, holder->mountpoint);
}

/* Whether something is mounted there, or that cannot be found out. */
static bool is_mounted(const char *path)
{
	struct statx found = {0};

	if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_TYPE,
		    &found) < 0)
		return errno != ENOENT;
	return (found.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) == 0 ||
	       (found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* A command, and a session that begins or ends: its mount is not there, but it may still
 * commit. */
static bool is_brief(const struct holder *holder)
{
	if (holder->pid == 0)
		return true;
	return holder->pid != getpid() &&
	       (holder->mountpoint[0] == '\0' || !is_mounted(holder->mountpoint));
}

static int try_lock(int fd, struct error *err)
{
	if (set_lock(fd, F_WRLCK) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return -EBUSY;
	return error_set(err, errno, "it cannot be locked: %s", strerror(errno));
}

int lock_take(int fd, const struct stat *st, struct error *err)
{
	int code = try_lock(fd, err);
	struct holder holder = {0};

	if (code != -EBUSY)
		return code;
	find_holder(&holder, st);
	return busy(&holder, err);
}

int lock_wait(int fd, const struct stat *st, struct error *err)
{
	int code = try_lock(fd, err);
	struct holder holder = {0};

	for (int i = 0; code == -EBUSY && i < PATIENCE; i++) {
		find_holder(&holder, st);
		if (!is_brief(&holder))
			break;
		(void)poll(NULL, 0, PAUSE_MS);
		code = try_lock(fd, err);
	}
	return code == -EBUSY ? busy(&holder, err) : code;
}
