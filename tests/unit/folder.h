/*
 * folder: where a test of containers works, TEST_DIR or one of its own, with a file
 * called MODEL and what commits leave beside it.
 */
#ifndef WEIGHTFS_TESTS_FOLDER_H
#define WEIGHTFS_TESTS_FOLDER_H

#include "decoders/base/source.h"
#include "tests/unit/unit.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define MODEL "model"

static char folder_own[] = "/var/tmp/weightfs-unit-XXXXXX";

/* Writes all of a file. */
static inline void file_write(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
		unit_fail("writing %s: %s", path, strerror(errno));
	close(fd);
}

/* Up to `max` bytes of a file; how many there are. */
static inline size_t file_read(const char *path, char *bytes, size_t max)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, max);

	if (n < 0)
		unit_fail("reading %s: %s", path, strerror(errno));
	close(fd);
	return n < 0 ? 0 : (size_t)n;
}

static inline bool file_is(const char *path, const char *want, size_t len)
{
	char *got = malloc(len + 1);
	bool same = got != NULL && file_read(path, got, len + 1) == len &&
		    memcmp(got, want, len) == 0;

	free(got);
	return same;
}

static inline bool source_is(struct source *source, const char *want, size_t len)
{
	char *got = malloc(len);
	bool same = got != NULL && source_size(source) == len &&
		    source_read(source, 0, got, len, NULL) == 0 &&
		    memcmp(got, want, len) == 0;

	free(got);
	return same;
}

/* The name of something that a commit left and that has `part` in it; NULL: there is
 * none. */
static inline const char *leftover(const char *part)
{
	static char name[256];
	DIR *dir = opendir(".");
	bool found = false;

	for (struct dirent *e; !found && (e = readdir(dir)) != NULL;)
		if (strncmp(e->d_name, ".weightfs-", 10) == 0 &&
			strstr(e->d_name, part) != NULL) {
			(void)snprintf(name, sizeof name, "%s", e->d_name);
			found = true;
		}
	closedir(dir);
	return found ? name : NULL;
}

/* How many of these there are. */
static inline unsigned leftovers(void)
{
	DIR *dir = opendir(".");
	unsigned n = 0;

	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		n += strncmp(e->d_name, ".weightfs-", 10) == 0;
	closedir(dir);
	return n;
}

static inline void leftovers_remove(void)
{
	for (const char *name; (name = leftover("")) != NULL && unlink(name) == 0;)
		;
}

static inline bool folder_enter(void)
{
	const char *folder = getenv("TEST_DIR");

	return chdir(folder != NULL ? folder : mkdtemp(folder_own)) == 0;
}

static inline void folder_leave(void)
{
	leftovers_remove();
	unlink("link");
	unlink(MODEL);
	if (getenv("TEST_DIR") == NULL)
		(void)rmdir(folder_own);
}

#endif
