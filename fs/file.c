/*
 * file: system calls that finish what they begin.
 */
#include "fs/file.h"
#include "decoders/base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* Bytes that a disk takes a while for. */
#define MUCH ((uint64_t)512 * 1024)

void file_close(int *fd)
{
	/* What had to reach the disk was synced before; close() has nothing to add. */
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

int file_dup(int fd, int *out, const char *name, struct error *err)
{
	int other = TEMP_FAILURE_RETRY(fcntl(fd, F_DUPFD_CLOEXEC, 0));

	if (other < 0)
		return error_set(err, errno, "%s: %s", name, strerror(errno));
	*out = other;
	return 0;
}

int file_remove(int folder, const char *name)
{
	return TEMP_FAILURE_RETRY(unlinkat(folder, name, 0)) < 0 ? -errno : 0;
}

int file_read(
	int fd, const char *name, void *buf, size_t len, uint64_t off, struct error *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n =
			pread(fd, (char *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, errno,
				"%s: reading %zu bytes at offset %" PRIu64 ": %s", name,
				len, off, strerror(errno));
		if (n == 0)
			return error_set(err, EIO,
				"%s: expected %zu bytes at offset %" PRIu64
				", it ends after %zu",
				name, len, off, done);
		done += (size_t)n;
	}
	return 0;
}

void file_written(int fd, uint64_t off, uint64_t len)
{
	/* A hint: what goes wrong, the sync says. */
	if (len >= MUCH)
		(void)sync_file_range(fd, (off_t)off, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

int file_write(int fd, const char *name, const void *buf, size_t len, uint64_t off,
	struct error *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(
			fd, (const char *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(err, n < 0 ? errno : EIO,
				"%s: writing %zu bytes at offset %" PRIu64 ": %s", name,
				len, off, strerror(n < 0 ? errno : EIO));
		done += (size_t)n;
	}
	file_written(fd, off, len);
	return 0;
}

int file_resize(int fd, const char *name, uint64_t size, struct error *err)
{
	if (TEMP_FAILURE_RETRY(ftruncate(fd, (off_t)size)) < 0)
		return error_set(err, errno, "%s: setting its size to %" PRIu64 ": %s",
			name, size, strerror(errno));
	return 0;
}

int file_sync(int fd, const char *name, struct error *err)
{
	if (TEMP_FAILURE_RETRY(fsync(fd)) < 0)
		return error_set(err, errno, "%s: fsync: %s", name, strerror(errno));
	return 0;
}

int file_sync_folder(int fd, const char *name, struct error *err)
{
	if (TEMP_FAILURE_RETRY(fsync(fd)) < 0 && errno != EINVAL)
		return error_set(
			err, errno, "%s: fsync of its folder: %s", name, strerror(errno));
	return 0;
}
