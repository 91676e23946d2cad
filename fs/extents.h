/*
 * extents: which ranges of two files are the same blocks on the disk, so that nobody has
 * to read them to know that they are equal.
 */
#ifndef WEIGHTFS_FS_EXTENTS_H
#define WEIGHTFS_FS_EXTENTS_H

#include <stdint.h>

struct extents;

/* The blocks that a file shares with others (reflinks); NULL where it has none, where the
 * file system does not tell, and without memory. */
struct extents *extents_of(int fd);
void extents_free(struct extents **extents);

/* How many bytes from `off_a` in the one file and `off_b` in the other, at most `want`,
 * are the same blocks. NULL is allowed: none. */
uint64_t extents_same(const struct extents *a, uint64_t off_a, const struct extents *b,
	uint64_t off_b, uint64_t want);

#endif
