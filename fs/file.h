/*
 * file: system calls on files that finish what they begin: interrupted ones are called
 * again, short counts go on. `name` is the file's, for messages.
 */
#ifndef WEIGHTFS_FS_FILE_H
#define WEIGHTFS_FS_FILE_H

#include <stddef.h>
#include <stdint.h>

struct error;

/* Bytes that are moved through memory at a time. */
#define FILE_PIECE (1 << 20)

static inline uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Closes and sets to -1; -1 is allowed. */
void file_close(int *fd);
#define AUTO_FD __attribute__((cleanup(file_close))) int

/* Another descriptor of the same open file description. */
int file_dup(int fd, int *out, const char *name, struct error *err);
/* Removes a file that is there only by the way; whoever needs to know that it is gone
 * looks at the result (0 or -errno). */
int file_remove(int folder, const char *name);

/* Exactly `len` bytes; -EIO where the file ends before. */
int file_read(
	int fd, const char *name, void *buf, size_t len, uint64_t off, struct error *err);
/* All of it, or the errno (-ENOSPC, -EDQUOT, -EIO ...). */
int file_write(int fd, const char *name, const void *buf, size_t len, uint64_t off,
	struct error *err);
/* `len` bytes were written that are going to be synced. Where they are many, the disk
 * begins with them now, while the next ones are made. */
void file_written(int fd, uint64_t off, uint64_t len);
int file_resize(int fd, const char *name, uint64_t size, struct error *err);
/* After a failure nothing is known about what is on the disk, and asking again would
 * give an answer that means nothing. */
int file_sync(int fd, const char *name, struct error *err);
/* fsync of a folder. File systems that cannot do that (EINVAL) are taken to need none. */
int file_sync_folder(int fd, const char *name, struct error *err);

#endif
