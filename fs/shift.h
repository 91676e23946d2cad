/*
 * shift: a gap in the middle of a file. The file system moves what lies behind it on, by
 * whole blocks and without copying a byte (FALLOC_FL_INSERT_RANGE).
 *
 * That is not atomic: a power cut during it, or after it and before fsync, leaves a
 * file in which the bytes from some place on have moved and those before it have not,
 * with a hole of the gap's length between them. So the file must have no holes of its
 * own, and where the one hole is tells how far it came.
 */
#ifndef WEIGHTFS_FS_SHIFT_H
#define WEIGHTFS_FS_SHIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct plan;
struct source;

/* All offsets are multiples of the file system's blocks, all sizes bytes. */
struct shift {
	uint64_t off;	   /* of the gap */
	uint64_t len;	   /* of it; 0: nothing is shifted */
	uint64_t old_size; /* of the file without the gap */
	uint64_t from;	   /* old bytes from here on have moved; `off`: the gap is open,
			      old_size: none has */
};

/* The file's blocks, where its file system can be trusted with a shift (ext4); else 0. */
uint64_t shift_block(int fd);
/* Whether the plan is its old container with a gap in it, and bytes written over that:
 * *shift says where. */
bool shift_find(const struct plan *plan, uint64_t block, struct shift *shift);
/* Whether the file has no holes. Syncs it: what is not yet written has no place. */
bool shift_allowed(int fd, uint64_t size);

/* How far a file came whose size is one that it may have: sets shift->from. -EINVAL and
 * what was found where a shift leaves no such file. */
int shift_look(struct shift *shift, int fd, struct error *err);
/* From whatever state to the open gap, which then has blocks of its own. Not synced.
 * -EOPNOTSUPP where the file system will not do it for this file. */
int shift_make(struct shift *shift, int fd, struct error *err);
/* From whatever state to the old file, as long as nothing was written into the gap. Not
 * synced. */
int shift_undo(struct shift *shift, int fd, struct error *err);

/* Where the byte at *off of the file with its gap open is now; *len is cut to what is
 * there in one piece. False: it is a zero of the gap. */
bool shift_place(const struct shift *shift, uint64_t *off, uint64_t *len);
/* Reads the file as it is with its gap open, wherever that is now. What lies beyond the
 * end is zeros. */
int shift_read(const struct shift *shift, struct source *file, uint64_t off, void *buf,
	size_t len, struct error *err);

#endif
