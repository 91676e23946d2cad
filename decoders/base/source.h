/*
 * source: read-only bytes with a size and a name, from which containers are
 * decoded: a file, a slice of another source, memory, or a plan's outcome
 * (plan.h). Decoders never see a file descriptor.
 *
 * Sources are shared: reference counted, and read by many threads at once.
 */
#ifndef WEIGHTFS_BASE_SOURCE_H
#define WEIGHTFS_BASE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct source;

/* What a kind of source does. `read` fills the whole buffer (the range lies inside
 * `size`) or fails; -EIO when the bytes are no longer there. `locate` may be NULL. */
struct source_ops {
	int (*read)(struct source *source, uint64_t off, void *buf, size_t len,
		struct error *err);
	bool (*locate)(struct source *source, uint64_t off, uint64_t len, int *fd,
		uint64_t *fd_off);
	void (*free)(struct source *source);
};

/* Public for those who make kinds of their own: embed it first. */
struct source {
	const struct source_ops *ops;
	char *name; /* for messages; owned */
	uint64_t size;
	unsigned refs; /* atomic */
};

/* Fills the embedded part; one reference. -ENOMEM. */
int source_init(struct source *source, const struct source_ops *ops, const char *name,
	uint64_t size, struct error *err);

/* Opens a regular file for reading. -EISDIR for a folder, -EINVAL for anything
 * else that is no regular file (a FIFO never blocks here). The size is that of
 * this moment: a file that gets shorter gives -EIO. */
int source_open(struct source **out, const char *path, struct error *err);
/* The same for an open descriptor, which the source owns from then on (on
 * failure too). */
int source_from_fd(struct source **out, int fd, const char *name, struct error *err);
/* `len` bytes of `base` from `off`; holds a reference to it. The range must lie
 * inside the base (else -EINVAL). Named "BASE" or, with a name, "BASE: NAME". */
int source_slice(struct source **out, struct source *base, uint64_t off, uint64_t len,
	const char *name, struct error *err);
/* A copy of `len` bytes of memory. */
int source_memory(struct source **out, const void *bytes, size_t len, const char *name,
	struct error *err);

struct source *source_ref(struct source *source);
/* Drops a reference and sets the pointer to NULL; NULL is allowed. */
void source_unref(struct source **source);
#define AUTO_SOURCE __attribute__((cleanup(source_unref))) struct source

uint64_t source_size(const struct source *source);
const char *source_name(const struct source *source);

/* Reads exactly `len` bytes from `off`. -EINVAL for a range outside the source
 * (with both in the text), -EIO when the file has become shorter or the disk fails. */
int source_read(
	struct source *source, uint64_t off, void *buf, size_t len, struct error *err);

/* Where a range lies in a file that can be read directly, if it lies in one piece in one.
 * The descriptor stays the source's and is valid while a reference is held. */
bool source_locate(
	struct source *source, uint64_t off, uint64_t len, int *fd, uint64_t *fd_off);

/* Whether a hole of a file begins at `off`: zeros that need not be read. *len (in:
 * wanted) is cut to where the answer changes. False also where nobody can tell. */
bool source_hole(struct source *source, uint64_t off, uint64_t *len);

/* Takes slices and handles away: the source that has the bytes (borrowed) and the offset
 * in it. Two ranges are the same bytes when they resolve to the same. */
void source_resolve(struct source **source, uint64_t *off);

/* A source whose backing can be changed: what is decoded from it follows. `backing` is
 * referenced. */
int source_handle(struct source **out, struct source *backing, struct error *err);
/* Sets another backing of the same size. Nobody may read `handle` meanwhile. */
void source_rebase(struct source *handle, struct source *backing);

#endif
