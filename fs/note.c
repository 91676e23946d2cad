/*
 * note: where its journal is, written on a container that can be opened where nobody
 * would look for one: under another of its names, or without -o journal=DIR.
 *
 * A note is a path in an attribute of a model file, and attributes travel: with archives,
 * with copies, from strangers. So it begins with the number of the inode that it was
 * written on, which no copy has, and is followed on that inode only. A copy that has one
 * was made in the middle of an edit, and its original needs the journal.
 */
#include "decoders/base/error.h"
#include "fs/container_private.h"
#include "fs/file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NOTE_MAX (PATH_MAX + 64)

bool note_possible(int fd)
{
	return fgetxattr(fd, NOTE, NULL, 0) >= 0 || errno == ENODATA;
}

int note_write(
	const struct container *c, const struct leftovers *place, struct error *err)
{
	char folder[PATH_MAX], text[NOTE_MAX];
	ssize_t n;

	(void)snprintf(text, sizeof text, "/proc/self/fd/%d", place->folder);
	n = readlink(text, folder, sizeof folder - 1);
	if (n < 0)
		return error_set(err, errno, "%s: where its journal is: %s", c->path,
			strerror(errno));
	folder[n] = '\0';
	n = snprintf(text, sizeof text, "%ju %s/%s", (uintmax_t)c->st.st_ino, folder,
		place->journal);
	if (n >= (ssize_t)sizeof text)
		return error_set(err, ENAMETOOLONG, "%s: where its journal is", c->path);
	if (TEMP_FAILURE_RETRY(fsetxattr(c->fd, NOTE, text, (size_t)n, 0)) < 0)
		return error_set(err, errno, "%s: noting where its journal is: %s",
			c->path, strerror(errno));
	return file_sync(c->fd, c->path, err);
}

void note_remove(const struct container *c)
{
	/* One that stays leads nowhere and says nothing. */
	(void)fremovexattr(c->fd, NOTE);
}

/* Takes a note apart; false where it is none of ours. */
static bool parse(char text[NOTE_MAX], uintmax_t *inode, char **folder, char **name)
{
	char *path;

	errno = 0;
	*inode = strtoumax(text, &path, 10);
	if (errno != 0 || path == text || path[0] != ' ' || path[1] != '/')
		return false;
	*folder = path + 1;
	*name = strrchr(path, '/');
	*(*name)++ = '\0';
	return leftovers_is_journal(*name);
}

static void note_follow(struct container *c, const char *folder, const char *name)
{
	struct noted *noted = &c->noted;

	noted->place.folder =
		open(*folder != '\0' ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (noted->place.folder >= 0)
		(void)snprintf(noted->place.journal, LEFTOVER_MAX, "%s", name);
	else if (errno != ENOENT)
		(void)snprintf(noted->why, sizeof noted->why,
			"an edit was interrupted, and the folder of its journal, %s, "
			"cannot be opened: %s",
			folder, strerror(errno));
}

void note_read(struct container *c)
{
	char text[NOTE_MAX], *folder, *name;
	ssize_t n = fgetxattr(c->fd, NOTE, text, sizeof text - 1);
	uintmax_t inode;
	struct stat st;

	file_close(&c->noted.place.folder);
	c->noted.why[0] = '\0';
	text[n > 0 ? n : 0] = '\0';
	if (n <= 0 || !parse(text, &inode, &folder, &name) || fstat(c->fd, &st) < 0)
		return;
	if (inode == st.st_ino)
		note_follow(c, folder, name);
	else
		(void)snprintf(c->noted.why, sizeof c->noted.why,
			"it is a copy, made while its original was being edited: "
			"copy it again, or, if it is whole, remove its attribute " NOTE);
}
