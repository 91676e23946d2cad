/*
 * copy: moving a range of one file into another, as cheaply as the file system can:
 * by sharing its blocks, else in the kernel, else through memory. What is a hole stays
 * one.
 */
#ifndef WEIGHTFS_FS_COPY_H
#define WEIGHTFS_FS_COPY_H

#include <stdint.h>

struct error;

struct copy {
	int from, to;	    /* both borrowed */
	const char *name;   /* of `from`, for messages */
	uint64_t alignment; /* copy_alignment()'s */
};

/* What FICLONERANGE between two files of `folder` wants offsets to be a multiple of, 0
 * where it cannot be done for the file `from` there: tried with an unlinked file. */
uint64_t copy_alignment(int from, int folder);

/* Makes [to_off, to_off + len) of `to`, which must be a hole or beyond its end, the same
 * as [from_off, from_off + len) of `from`. Holes at the end leave `to` short: the caller
 * sets its size. -EIO where `from` ends before the range does. */
int copy_range(const struct copy *copy, uint64_t from_off, uint64_t to_off, uint64_t len,
	struct error *err);

#endif
