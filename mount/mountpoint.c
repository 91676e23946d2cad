/*
 * mountpoint: choosing and making the folder, looking it up in the kernel's
 * table, unmounting it.
 */
#include "mount/mountpoint.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "mount/say.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMES_MAX 1000 /* folders that are tried, MODEL.2 ... */
#define UMOUNT_HELPER "/sbin/umount.fuse.weightfs"

static void free_string(char **s)
{
	free(*s);
}
#define AUTO_STRING __attribute__((cleanup(free_string))) char

/* Undoes the table's octal escapes (\040 for a space). */
static void unescape(char *s)
{
	char *out = s;
	for (; *s; s++) {
		unsigned value;
		if (*s == '\\' && sscanf(s + 1, "%3o", &value) == 1) {
			*out++ = (char)value;
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* One line of /proc/self/mountinfo (proc(5)): "ID PARENT MAJOR:MINOR ROOT PATH OPTIONS
 * ... - TYPE SOURCE SUPER". */
static bool match_line(char *line, const char *path, struct mounted *out)
{
	unsigned major_id, minor_id, uid = 0;
	int at = 0;
	if (sscanf(line, "%*u %*u %u:%u %*s %n", &major_id, &minor_id, &at) != 2 || !at)
		return false;

	char *end = strchr(line + at, ' ');
	char *type = strstr(line + at, " - fuse.weightfs ");
	if (!end || !type)
		return false;
	*end = '\0';
	unescape(line + at);
	if (strcmp(line + at, path))
		return false;

	const char *owner = strstr(type, "user_id=");
	if (owner)
		sscanf(owner, "user_id=%u", &uid);
	*out = (struct mounted){makedev(major_id, minor_id), uid};
	return true;
}

/* The absolute path of a mount point, without asking the file system that is mounted
 * there, which may be dead: only its folder is resolved. NULL with errno. */
static char *resolve(const char *path)
{
	char *copy = strdup(path);
	size_t len = copy ? strlen(copy) : 0;
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';

	char *slash = copy ? strrchr(copy, '/') : NULL;
	const char *last = slash ? slash + 1 : copy;
	if (!copy || !*last || !strcmp(last, ".") || !strcmp(last, "..")) {
		free(copy);
		return realpath(path, NULL);
	}
	if (slash)
		*slash = '\0';
	char *folder = realpath(!slash ? "." : *copy ? copy : "/", NULL);
	char *out = NULL;
	if (folder &&
		asprintf(&out, "%s/%s", strcmp(folder, "/") ? folder : "", last) < 0)
		out = NULL;
	free(folder);
	free(copy);
	return out;
}

bool mountpoint_mounted(const char *path, struct mounted *out)
{
	FILE *table = fopen("/proc/self/mountinfo", "re");
	AUTO_STRING *line = NULL;
	size_t size = 0;
	bool found = false;

	while (table && getline(&line, &size, table) > 0)
		found |= match_line(line, path, out);
	if (table)
		fclose(table);
	return found;
}

/* Follows a symbolic link to the mount point, if it is one. */
char *mountpoint_find(const char *path, struct mounted *out)
{
	char *at = resolve(path);
	if (at && mountpoint_mounted(at, out))
		return at;
	free(at);
	at = realpath(path, NULL);
	if (at && mountpoint_mounted(at, out))
		return at;
	free(at);
	return NULL;
}

/* Runs a program whose words go nowhere; its exit status, or a negative errno. */
static int run_quietly(char *const argv[])
{
	extern char **environ;
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int status;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	int code = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (code)
		return -code;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

/* As ordinary users unmount. */
static int run_fusermount(const char *path, bool lazy)
{
	char *argv[] = {"fusermount3", lazy ? "-uqz" : "-uq", "--", (char *)path, NULL};
	int status = run_quietly(argv);
	return status > 0 ? -EBUSY : status;
}

int mountpoint_unmount(const char *path, bool lazy)
{
	if (geteuid())
		return run_fusermount(path, lazy);
	return umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) ? -errno : 0;
}

/* The connection's owner may, where /sys/fs/fuse/connections is mounted. */
static void abort_connection(dev_t device)
{
	char path[64];
	snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/abort", minor(device));
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, "1", 1); /* what cannot be aborted is unmounted all the same */
	close(fd);
}

void mountpoint_abort(const char *path)
{
	struct mounted mounted;
	if (!mountpoint_mounted(path, &mounted))
		return;
	if (!geteuid() && !umount2(path, UMOUNT_NOFOLLOW | MNT_FORCE | MNT_DETACH))
		return;
	abort_connection(mounted.device);
	(void)mountpoint_unmount(path, true);
}

/* Whether nobody serves what is mounted there. The kernel may know its attributes still,
 * so it is opened. */
static bool is_dead(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool dead = fd < 0 && errno == ENOTCONN;

	if (fd >= 0)
		close(fd);
	return dead;
}

/* A dead mount of ours is taken away, and the folder below it is free again. */
static void clear_dead(const char *path)
{
	struct mounted mounted;
	AUTO_STRING *at = is_dead(path) ? mountpoint_find(path, &mounted) : NULL;

	if (at && !mountpoint_unmount(at, true))
		say("%s: %s", path, MOUNTPOINT_DEAD);
}

static int take_given(struct mountpoint *out, const char *path, struct error *err)
{
	struct stat st;

	clear_dead(path);
	if (is_dead(path))
		return error_set(err, ENOTCONN,
			"%s: a file system that was mounted here has died; "
			"fusermount3 -u %s clears it",
			path, path);
	AUTO_STRING *real = realpath(path, NULL);
	if (!real || stat(real, &st))
		return error_set(err, errno, "%s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return error_set(err, ENOTDIR, "%s: expected a folder to mount on", path);
	out->path = real;
	out->made = false;
	real = NULL;
	return 0;
}

/* The model's name without its suffix, "" for a name that is nothing but one. */
static char *stem_of(const char *model)
{
	const char *slash = strrchr(model, '/');
	char *stem = strdup(slash ? slash + 1 : model);
	char *dot = stem ? strrchr(stem, '.') : NULL;
	if (dot && dot != stem)
		*dot = '\0';
	return stem;
}

/* Makes FOLDER/STEM, STEM.2, ... ; -EACCES or -EROFS where the folder is not ours. */
static int make_in(
	struct mountpoint *out, const char *folder, const char *stem, const char *suffix)
{
	for (int i = 1; i <= NAMES_MAX; i++) {
		AUTO_TEXT path = {0};
		text_printf(&path, "%s/%s%s", folder, stem, suffix);
		if (i > 1)
			text_printf(&path, ".%d", i);
		if (path.failed)
			return -ENOMEM;
		if (!mkdir(path.bytes, 0777)) {
			out->path = text_take(&path, NULL);
			out->made = true;
			return 0;
		}
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

static int take_made(
	struct mountpoint *out, const char *model, bool readonly, struct error *err)
{
	AUTO_STRING *real = realpath(model, NULL);
	if (!real)
		return error_set(err, errno, "%s: %s", model, strerror(errno));
	AUTO_STRING *stem = stem_of(model);
	AUTO_STRING *folder = strdup(real);
	AUTO_STRING *cwd = realpath(".", NULL);
	if (!stem || !folder || !cwd)
		return error_set(err, ENOMEM, "out of memory");

	const char *suffix =
		strrchr(real, '/') && !strcmp(strrchr(real, '/') + 1, stem) ? ".mnt" : "";
	int code = readonly ? -EROFS : make_in(out, dirname(folder), stem, suffix);
	if (code)
		code = make_in(out, cwd, stem, suffix);
	if (code)
		return error_set(err, -code,
			"%s/%s%s: cannot make a folder to mount on: %s", cwd, stem,
			suffix, strerror(-code));
	return 0;
}

int mountpoint_take(struct mountpoint *out, const char *path, const char *model,
	bool readonly, struct error *err)
{
	if (path)
		return take_given(out, path, err);
	return take_made(out, model, readonly, err);
}

void mountpoint_remove(const struct mountpoint *mountpoint)
{
	/* Somebody may have put something there: then it stays. */
	if (mountpoint->made)
		(void)rmdir(mountpoint->path);
}

void mountpoint_done(struct mountpoint *mountpoint)
{
	free(mountpoint->path);
	mountpoint->path = NULL;
}

void mountpoint_record(const char *path, const char *source)
{
	char *argv[] = {"mount", "--fake", "--internal-only", "-t", "fuse.weightfs", "-o",
		"uhelper=fuse.weightfs", "--", (char *)source, (char *)path, NULL};
	if (!geteuid() && !access(UMOUNT_HELPER, X_OK))
		(void)run_quietly(argv);
}

void mountpoint_unrecord(const char *path)
{
	char *argv[] = {"umount", "--fake", "--internal-only", "--", (char *)path, NULL};
	if (!geteuid() && !access(UMOUNT_HELPER, X_OK))
		(void)run_quietly(argv);
}
