/*
 * spill: bytes that are written at any place and in any size, kept in memory
 * while they are few and in an unlinked temporary file when they are many.
 * Holes read as zeros and cost nothing. What is staged, scratch files and what libhdf5
 * writes live in these.
 *
 * All spills of a mount share a pool, which bounds what they take together.
 */
#ifndef WEIGHTFS_BASE_SPILL_H
#define WEIGHTFS_BASE_SPILL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct error;

/* Embedded by its owner, who outlives every spill of it. */
struct spill_pool {
	int dir;	/* descriptor of the folder of temporary files; -1: memory only */
	uint64_t limit; /* bytes in memory and on disk together; then -ENOSPC */
	uint64_t in_memory;	    /* bytes that may lie in memory, of all spills */
	uint64_t used, used_memory; /* atomic */
};

struct spill;

int spill_new(struct spill **out, struct spill_pool *pool, struct error *err);
void spill_free(struct spill **spill);
uint64_t spill_size(const struct spill *spill);
/* Reads what there is from `off`: the number of bytes (less than `len` only at the
 * end), or a negative errno. */
ssize_t spill_read(
	struct spill *spill, uint64_t off, void *buf, size_t len, struct error *err);
/* Writes all or fails (-ENOSPC beyond the pool's limit or on a full disk, -EIO); grows
 * the spill. */
int spill_write(struct spill *spill, uint64_t off, const void *buf, size_t len,
	struct error *err);
/* Cuts, or appends a hole. */
int spill_resize(struct spill *spill, uint64_t size, struct error *err);
/* The file's descriptor and true once the bytes lie in a file (still the spill's). */
bool spill_fd(struct spill *spill, int *fd);

#endif
