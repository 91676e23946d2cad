/*
 * carry: what a file has beside its content goes over to the one that replaces it.
 *
 * Extended attributes include ACLs, whose mask shares bits with the mode; changing the
 * owner clears bits of the mode; hence the order.
 */
#include "decoders/base/error.h"
#include "fs/commit.h"
#include "fs/container_private.h"
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACL "system.posix_acl_access"

static bool is_unsupported(int code)
{
	return code == ENOTSUP || code == EOPNOTSUPP || code == ENOSYS;
}

static ssize_t ask(int fd, const char *name, char *out, size_t size)
{
	return name != NULL ? TEMP_FAILURE_RETRY(fgetxattr(fd, name, out, size))
			    : TEMP_FAILURE_RETRY(flistxattr(fd, out, size));
}

/* All of a list of names or of a value, malloc'ed; `name` NULL asks for the list. The
 * length or -errno; an empty one gives NULL. */
static ssize_t take(int fd, const char *name, char **out)
{
	ssize_t n = ask(fd, name, NULL, 0);

	*out = NULL;
	if (n <= 0)
		return n < 0 ? -errno : 0;
	*out = malloc((size_t)n);
	if (*out == NULL)
		return -ENOMEM;
	n = ask(fd, name, *out, (size_t)n);
	return n < 0 ? -errno : n;
}

/* What the file system gives by itself (a security label) need not be settable. */
static bool has_already(int to, const char *name, const char *value, size_t len)
{
	char *there = NULL;
	ssize_t n = take(to, name, &there);
	bool same = n >= 0 && (size_t)n == len &&
		    (len == 0 || memcmp(there, value, len) == 0);

	free(there);
	return same;
}

static int carry_one(int from, int to, const char *name, struct error *err)
{
	char *value = NULL;
	ssize_t n = take(from, name, &value);
	int code = n < 0 ? (int)n : 0;

	if (code == 0 &&
		TEMP_FAILURE_RETRY(
			fsetxattr(to, name, n > 0 ? value : "", (size_t)n, 0)) < 0 &&
		!has_already(to, name, value, (size_t)n))
		code = error_set(err, EOPNOTSUPP,
			"its attribute %s cannot be given to a new file: %s", name,
			strerror(errno));
	else if (code == -ENODATA)
		code = 0; /* taken away meanwhile */
	else if (code < 0)
		(void)error_set(err, EOPNOTSUPP, "its attribute %s cannot be read: %s",
			name, strerror(-code));
	free(value);
	return code;
}

static int carry_xattrs(int from, int to, struct error *err)
{
	char *names = NULL;
	ssize_t n = take(from, NULL, &names);
	int code = 0;

	if (n < 0 && !is_unsupported((int)-n))
		code = error_set(err, EOPNOTSUPP, "its attributes cannot be listed: %s",
			strerror((int)-n));
	/* A default ACL of the folder, which the old file did not have. */
	if (n >= 0)
		(void)fremovexattr(to, ACL);
	for (ssize_t i = 0; code == 0 && i < n; i += (ssize_t)strlen(names + i) + 1)
		if (strcmp(names + i, NOTE) != 0) /* of the old file's journal */
			code = carry_one(from, to, names + i, err);
	free(names);
	return code;
}

bool commit_has_trusted(int fd)
{
	static const char prefix[] = "trusted.";
	char *names = NULL;
	ssize_t n = take(fd, NULL, &names);
	bool found = false;

	for (ssize_t i = 0; !found && i < n; i += (ssize_t)strlen(names + i) + 1)
		found = strncmp(names + i, prefix, sizeof prefix - 1) == 0;
	free(names);
	return found;
}

int commit_carry_over(int from, const struct stat *st, int to, struct error *err)
{
	struct stat now;
	int code;

	/* Others may have changed mode and owner since: neither changes the times. */
	if (fstat(from, &now) < 0)
		now = *st;
	if (TEMP_FAILURE_RETRY(fchown(to, now.st_uid, now.st_gid)) < 0)
		return error_set(err, EOPNOTSUPP,
			"user %ju, group %ju cannot be given to a new file: %s",
			(uintmax_t)now.st_uid, (uintmax_t)now.st_gid, strerror(errno));
	code = carry_xattrs(from, to, err);
	if (code == 0 && TEMP_FAILURE_RETRY(fchmod(to, now.st_mode & 07777)) < 0)
		code = error_set(err, EOPNOTSUPP,
			"mode %o cannot be given to a new file: %s",
			(unsigned)now.st_mode & 07777, strerror(errno));
	return code;
}
