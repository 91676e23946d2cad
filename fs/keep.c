/*
 * keep: files written under paths of the tree, whose components are safe (names.h) or
 * were given to us by the kernel as single names.
 */
#include "fs/keep.h"
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "fs/container.h"
#include "fs/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".weightfs-rejected"
#define NUMBERS_MAX 10000

static void free_string(char **s)
{
	free(*s);
}
#define AUTO_STRING __attribute__((cleanup(free_string))) char

/* Opens a folder, made where it is missing. The descriptor or a negative errno. */
static int folder_at(int above, const char *name)
{
	int fd;

	if (mkdirat(above, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Makes all folders of a path that the user's environment gives. */
static int make_path(struct text *path)
{
	for (char *at = path->bytes + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		(void)mkdir(path->bytes, 0700); /* the last one tells */
		*at = '/';
	}
	return mkdir(path->bytes, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* The folder of weightfs in the user's state folder. */
static int state_path(struct text *path)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (state != NULL && state[0] == '/')
		text_printf(path, "%s/weightfs", state);
	else if (home != NULL && home[0] == '/')
		text_printf(path, "%s/.local/state/weightfs", home);
	else
		return -ENOENT;
	return text_check(path, NULL);
}

int keep_state_folder(void)
{
	AUTO_TEXT path = {0};
	int fd, rc = state_path(&path);

	if (rc == 0)
		rc = make_path(&path);
	if (rc < 0)
		return rc;
	fd = open(path.bytes, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_state_folder(struct keep *keep)
{
	AUTO_FD own = container_state(keep->container) < 0 ? keep_state_folder() : -1;
	int above = own >= 0 ? own : container_state(keep->container);
	AUTO_TEXT name = {0};
	int rc = above < 0 ? -ENOENT : state_path(&name);

	text_printf(&name, "/%s%s", container_name(keep->container), SUFFIX);
	if (rc == 0)
		rc = text_check(&name, NULL);
	if (rc < 0)
		return rc;
	keep->folder = folder_at(above, strrchr(name.bytes, '/') + 1);
	if (keep->folder < 0)
		return keep->folder;
	keep->elsewhere = true;
	if (keep->n > 0)
		text_puts(&keep->name, " and ");
	else
		text_clear(&keep->name);
	text_puts(&keep->name, name.bytes);
	return 0;
}

static int open_folder(struct keep *keep, struct error *err)
{
	const char *name;
	int rc;

	text_printf(&keep->name, "%s%s", container_path(keep->container), SUFFIX);
	if (text_check(&keep->name, err) < 0)
		return -ENOMEM;
	name = strrchr(keep->name.bytes, '/') + 1;
	keep->folder = folder_at(container_folder(keep->container), name);
	rc = keep->folder < 0 ? open_state_folder(keep) : 0;
	if (rc < 0)
		return error_set(
			err, -rc, "no folder to keep edits in: %s", strerror(-rc));
	keep->open = true;
	return 0;
}

/* A new file of that name, or with a number: then `numbered` is its name. */
static int create_file(int folder, const char *name, struct text *numbered)
{
	int fd = -1;

	for (int i = 1; fd < 0 && i < NUMBERS_MAX; i++) {
		text_clear(numbered);
		text_puts(numbered, name);
		if (i > 1)
			text_printf(numbered, ".%d", i);
		if (numbered->failed)
			return -ENOMEM;
		fd = openat(folder, numbered->bytes,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			return -errno;
	}
	return fd < 0 ? -EEXIST : fd;
}

static int write_all(int fd, const char *name, struct blob *bytes, struct error *err)
{
	AUTO_STRING *buf = malloc(FILE_PIECE);
	uint64_t off = 0;
	ssize_t n = buf != NULL ? 1 : -ENOMEM;

	while (n > 0) {
		n = blob_read(bytes, off, buf, FILE_PIECE, err);
		if (n > 0) {
			int rc = file_write(fd, name, buf, (size_t)n, off, err);

			off += (uint64_t)n;
			n = rc < 0 ? rc : n;
		}
	}
	return n < 0 ? (int)n : file_sync(fd, name, err);
}

static int write_at(int above, const char *path, struct blob *bytes, struct error *err)
{
	AUTO_FD folder = fcntl(above, F_DUPFD_CLOEXEC, 0);
	AUTO_TEXT name = {0};
	const char *slash;
	int rc;

	for (; folder >= 0 && (slash = strchr(path, '/')) != NULL; path = slash + 1) {
		AUTO_STRING *part = strndup(path, (size_t)(slash - path));
		int below = part != NULL ? folder_at(folder, part) : -ENOMEM;

		file_close(&folder);
		folder = below;
	}
	if (folder < 0)
		return error_set(err, -folder, "%s: %s", path, strerror(-folder));

	AUTO_FD fd = create_file(folder, path, &name);
	if (fd < 0)
		return error_set(err, -fd, "%s: %s", path, strerror(-fd));
	rc = write_all(fd, path, bytes, err);
	if (rc < 0)
		(void)unlinkat(folder, name.bytes, 0); /* half of it helps nobody */
	return rc;
}

/* Whether another disk may take what this one did not. */
static bool is_full(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT || rc == -EROFS || rc == -EIO;
}

/* False: there is no other place. */
static bool go_elsewhere(struct keep *keep)
{
	int before = keep->folder;

	if (open_state_folder(keep) < 0) {
		keep->folder = before;
		return false;
	}
	close(before);
	return true;
}

int keep_blob(struct keep *keep, const char *path, struct blob *bytes, struct error *err)
{
	int rc = keep->open ? 0 : open_folder(keep, err);

	if (rc == 0)
		rc = write_at(keep->folder, path, bytes, err);
	if (is_full(rc) && keep->open && !keep->elsewhere && go_elsewhere(keep))
		rc = write_at(keep->folder, path, bytes, err);
	if (rc == 0)
		keep->n++;
	return rc;
}

int keep_done(struct keep *keep, int code, struct text *folder)
{
	if (keep->open) {
		(void)fsync(
			keep->folder); /* the files are durable; their names are tried */
		file_close(&keep->folder);
		text_puts(folder, keep->name.bytes);
	}
	text_done(&keep->name);
	return code < 0 ? code : keep->n;
}
