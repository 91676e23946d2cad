/*
 * blob_kind: what blob.c and blob_staged.c share and nobody else includes.
 */
#ifndef WEIGHTFS_BASE_BLOB_KIND_H
#define WEIGHTFS_BASE_BLOB_KIND_H

#include "decoders/base/blob.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct source;

/* `read`: a range inside the blob, whole. `locate`, `origin` and `repeats` may be NULL:
 * never. */
struct blob_kind {
	int (*read)(struct blob *blob, uint64_t off, void *buf, size_t len,
		struct error *err);
	bool (*locate)(
		struct blob *blob, uint64_t off, uint64_t len, int *fd, uint64_t *fd_off);
	bool (*origin)(struct blob *blob, uint64_t off, uint64_t *len,
		struct source **source, uint64_t *source_off);
	bool (*repeats)(struct blob *blob, uint64_t off, uint64_t *len, uint64_t *period);
	void (*free)(struct blob *blob);
	bool own_bytes; /* what has no origin comes from no source at all */
};

/* Embedded first in each kind. */
struct blob {
	const struct blob_kind *kind;
	uint64_t size;
	unsigned refs; /* atomic */
};

#endif
