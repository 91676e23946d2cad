/*
 * blob: where the bytes of one file of the tree live.
 *
 *   SPAN      a range of a source: nearly all tensors; costs no memory
 *   COMPUTED  decoded on demand (compressed chunks, strided views, byte-swapped data)
 *   MEMORY    bytes in memory: rendered JSON
 *   STAGED    a base blob under a sparse overlay of what was written
 *
 * Blobs are shared and reference counted. All but STAGED ones never change; a
 * staged blob is changed by its owner under the owner's lock.
 */
#ifndef WEIGHTFS_BASE_BLOB_H
#define WEIGHTFS_BASE_BLOB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct blob;
struct error;
struct source;
struct spill_pool;

/* How a COMPUTED blob is read. `read` fills the whole buffer or fails; thread-safe, as is
 * `repeats` (see blob_repeats(); NULL: nothing is known). */
struct blob_ops {
	int (*read)(void *priv, uint64_t off, void *buf, size_t len, struct error *err);
	void (*free)(void *priv);
	bool (*repeats)(void *priv, uint64_t off, uint64_t *len, uint64_t *period);
};

int blob_span(struct blob **out, struct source *source, uint64_t off, uint64_t len,
	struct error *err);
/* Takes `bytes` (malloc'ed), on failure too. */
int blob_memory(struct blob **out, void *bytes, size_t len, struct error *err);
/* Takes `priv`, on failure too (through ops->free). */
int blob_computed(struct blob **out, const struct blob_ops *ops, void *priv,
	uint64_t size, struct error *err);
/* An overlay over `base` (referenced; NULL: an empty one), at first of its size. */
int blob_staged(
	struct blob **out, struct blob *base, struct spill_pool *pool, struct error *err);

struct blob *blob_ref(struct blob *blob);
void blob_unref(struct blob **blob);
#define AUTO_BLOB __attribute__((cleanup(blob_unref))) struct blob

uint64_t blob_size(const struct blob *blob);
/* Reads up to `len` bytes: the number read (less only at the end) or a negative errno. */
ssize_t blob_read(
	struct blob *blob, uint64_t off, void *buf, size_t len, struct error *err);
/* Exactly `len` bytes, -EINVAL beyond the end. */
int blob_read_all(
	struct blob *blob, uint64_t off, void *buf, size_t len, struct error *err);
/* The whole blob, malloc'ed and NUL-terminated; -EFBIG above `max` bytes. */
int blob_load(
	struct blob *blob, size_t max, char **bytes, size_t *len, struct error *err);
/* The range in one file, if it lies so (see source_locate). */
bool blob_locate(
	struct blob *blob, uint64_t off, uint64_t len, int *fd, uint64_t *fd_off);
/* The source range that begins at `off`: true for a SPAN, and for a part of a STAGED one
 * that nobody wrote; *len (in: wanted) is cut to where that ends. `source` is borrowed.
 */
bool blob_origin(struct blob *blob, uint64_t off, uint64_t *len, struct source **source,
	uint64_t *source_off);
/* Whether the bytes from `off` on are known to repeat the first *period of them, without
 * being read: holes of a file, elements that were never written. *len (in: wanted) is cut
 * to where the answer may be another. Most blobs know nothing: false, *len as it was. */
bool blob_repeats(struct blob *blob, uint64_t off, uint64_t *len, uint64_t *period);

/* STAGED only. */
int blob_write(
	struct blob *blob, uint64_t off, const void *buf, size_t len, struct error *err);
/* Cuts, or appends zeros. */
int blob_resize(struct blob *blob, uint64_t size, struct error *err);
/* The first range at or after `off` that was written (or appended); false: none. */
bool blob_next_written(struct blob *blob, uint64_t off, uint64_t *begin, uint64_t *end);
/* What a STAGED blob lies over (NULL: nothing); any other blob itself. Borrowed. */
struct blob *blob_base(struct blob *blob);
/* The priv of a COMPUTED blob that was made with these ops, else NULL. */
void *blob_priv(const struct blob *blob, const struct blob_ops *ops);
/* Whether two blobs have the same bytes; reads both where they are not the same range of
 * the same source. 1, 0 or a negative errno. */
int blob_equal(struct blob *a, struct blob *b, struct error *err);
/* Copies what the overlay leaves to its base inside source range [off, off + len) of
 * `source` into the overlay: called before these bytes are patched over. A SPAN becomes a
 * STAGED one first: *blob may change. */
int blob_save(struct blob **blob, struct source *source, uint64_t off, uint64_t len,
	struct spill_pool *pool, struct error *err);

#endif
