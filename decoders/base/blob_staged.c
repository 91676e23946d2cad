/*
 * blob_staged: a base blob under a sparse overlay of what was written.
 *
 * What is in `written` is in the spill, at the same offset; all else is the base's.
 * Bytes appended by growing count as written and are a hole of the spill, so what is cut
 * off and grown again is zeros and never the base's old bytes.
 */
#include "decoders/base/blob.h"
#include "decoders/base/blob_kind.h"
#include "decoders/base/error.h"
#include "decoders/base/ranges.h"
#include "decoders/base/source.h"
#include "decoders/base/spill.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that are copied at a time. */
#define COPY_STEP (256 * 1024)

struct staged_blob {
	struct blob blob;
	struct blob *base; /* NULL: empty; all of it is written then */
	struct spill *spill;
	struct ranges written;
};

static const struct blob_kind staged_kind;

static struct staged_blob *staged_of(struct blob *blob)
{
	assert(blob->kind == &staged_kind);
	return (struct staged_blob *)blob;
}

/* The part of [off, off + *len) that begins at `off` and lies in one place: whether it
 * was written; *len is cut to where it ends. */
static bool part(const struct staged_blob *staged, uint64_t off, uint64_t *len)
{
	uint64_t begin = 0, end = 0;
	bool any = ranges_next(&staged->written, off, &begin, &end);
	bool written = any && begin == off;
	uint64_t n = written ? end - off : any ? begin - off : *len;

	*len = n < *len ? n : *len;
	return written;
}

/* What was written there, zeros where it is a hole at the end of the spill. */
static int read_written(struct staged_blob *staged, uint64_t off, void *buf, size_t len,
	struct error *err)
{
	ssize_t n = spill_read(staged->spill, off, buf, len, err);

	if (n < 0)
		return (int)n;
	memset((char *)buf + n, 0, len - (size_t)n);
	return 0;
}

static int staged_read(
	struct blob *blob, uint64_t off, void *buf, size_t len, struct error *err)
{
	struct staged_blob *staged = staged_of(blob);
	char *at = buf;
	int rc = 0;

	while (len > 0 && rc == 0) {
		uint64_t n = len;

		if (part(staged, off, &n))
			rc = read_written(staged, off, at, (size_t)n, err);
		else
			rc = blob_read_all(staged->base, off, at, (size_t)n, err);
		at += n;
		off += n;
		len -= (size_t)n;
	}
	return rc;
}

static bool staged_locate(
	struct blob *blob, uint64_t off, uint64_t len, int *fd, uint64_t *fd_off)
{
	struct staged_blob *staged = staged_of(blob);
	uint64_t n = len, size = spill_size(staged->spill);

	if (!part(staged, off, &n))
		return n == len && staged->base != NULL &&
		       blob_locate(staged->base, off, len, fd, fd_off);
	*fd_off = off;
	return n == len && off <= size && len <= size - off &&
	       spill_fd(staged->spill, fd);
}

static bool staged_origin(struct blob *blob, uint64_t off, uint64_t *len,
	struct source **source, uint64_t *source_off)
{
	struct staged_blob *staged = staged_of(blob);

	return !part(staged, off, len) &&
	       blob_origin(staged->base, off, len, source, source_off);
}

/* What was appended and never written is a hole at the end of the spill. */
static bool staged_repeats(
	struct blob *blob, uint64_t off, uint64_t *len, uint64_t *period)
{
	struct staged_blob *staged = staged_of(blob);
	uint64_t size = spill_size(staged->spill);

	if (!part(staged, off, len))
		return blob_repeats(staged->base, off, len, period);
	if (off < size) {
		*len = size - off < *len ? size - off : *len;
		return false;
	}
	*period = 1;
	return true;
}

static void staged_free(struct blob *blob)
{
	struct staged_blob *staged = staged_of(blob);

	blob_unref(&staged->base);
	spill_free(&staged->spill);
	ranges_done(&staged->written);
	free(staged);
}

static const struct blob_kind staged_kind = {
	.read = staged_read,
	.locate = staged_locate,
	.origin = staged_origin,
	.repeats = staged_repeats,
	.free = staged_free,
};

int blob_staged(
	struct blob **out, struct blob *base, struct spill_pool *pool, struct error *err)
{
	struct staged_blob *staged = calloc(1, sizeof *staged);
	int rc;

	if (staged == NULL)
		return error_set(err, ENOMEM, "not enough memory for what is written");
	rc = spill_new(&staged->spill, pool, err);
	if (rc < 0) {
		free(staged);
		return rc;
	}
	staged->blob = (struct blob){.kind = &staged_kind, .refs = 1};
	if (base != NULL) {
		staged->base = blob_ref(base);
		staged->blob.size = blob_size(base);
	}
	*out = &staged->blob;
	return 0;
}

int blob_write(
	struct blob *blob, uint64_t off, const void *buf, size_t len, struct error *err)
{
	struct staged_blob *staged = staged_of(blob);
	uint64_t end;
	int rc;

	if (len == 0)
		return 0;
	if (__builtin_add_overflow(off, len, &end) || end > INT64_MAX)
		return error_set(
			err, EFBIG, "offset %" PRIu64 " is beyond any file", off);
	rc = spill_write(staged->spill, off, buf, len, err);
	if (rc == 0) /* a gap before it is appended zeros */
		rc = ranges_add(
			&staged->written, off < blob->size ? off : blob->size, end, err);
	if (rc == 0 && end > blob->size)
		blob->size = end;
	/* Bytes beyond the end would appear when it grows. */
	if (rc < 0 && spill_size(staged->spill) > blob->size)
		(void)spill_resize(staged->spill, blob->size, NULL);
	return rc;
}

int blob_resize(struct blob *blob, uint64_t size, struct error *err)
{
	struct staged_blob *staged = staged_of(blob);
	int rc = 0;

	if (size > INT64_MAX)
		return error_set(
			err, EFBIG, "%" PRIu64 " bytes are more than any file", size);
	if (size > blob->size)
		rc = ranges_add(&staged->written, blob->size, size, err);
	else if (size < spill_size(staged->spill))
		rc = spill_resize(staged->spill, size, err);
	if (rc < 0)
		return rc;
	ranges_cut(&staged->written, size);
	blob->size = size;
	return 0;
}

struct blob *blob_base(struct blob *blob)
{
	return blob->kind == &staged_kind ? staged_of(blob)->base : blob;
}

bool blob_next_written(struct blob *blob, uint64_t off, uint64_t *begin, uint64_t *end)
{
	return blob->kind == &staged_kind &&
	       ranges_next(&staged_of(blob)->written, off, begin, end);
}

/* Saving. */

/* A range of the container that is going to be patched over, resolved. */
struct danger {
	struct source *source;
	uint64_t begin, end;
};

/* Whether the range of the blob that begins at `off` may come from there; *len is cut to
 * where the answer changes. Where nobody knows, it may. */
static bool endangered(
	struct blob *blob, uint64_t off, uint64_t *len, const struct danger *danger)
{
	struct source *source = NULL;
	uint64_t at = 0;

	if (!blob_origin(blob, off, len, &source, &at))
		return !blob->kind->own_bytes;
	source_resolve(&source, &at);
	if (source != danger->source || at >= danger->end || at + *len <= danger->begin)
		return false;
	if (at < danger->begin) {
		*len = danger->begin - at;
		return false;
	}
	*len = danger->end - at < *len ? danger->end - at : *len;
	return true;
}

/* Copies a range of the base into the overlay. */
static int copy(struct staged_blob *staged, uint64_t off, uint64_t len, struct error *err)
{
	char *buf = malloc(len < COPY_STEP ? (size_t)len : COPY_STEP);
	int rc = 0;

	if (buf == NULL)
		return error_set(err, ENOMEM, "not enough memory to save what is open");
	while (len > 0 && rc == 0) {
		size_t n = len < COPY_STEP ? (size_t)len : COPY_STEP;

		rc = blob_read_all(staged->base, off, buf, n, err);
		if (rc == 0)
			rc = blob_write(&staged->blob, off, buf, n, err);
		off += n;
		len -= n;
	}
	free(buf);
	return rc;
}

static int save(
	struct staged_blob *staged, const struct danger *danger, struct error *err)
{
	uint64_t off, n;
	int rc = 0;

	for (off = 0; off < staged->blob.size && rc == 0; off += n) {
		n = staged->blob.size - off;
		if (!part(staged, off, &n) && endangered(staged->base, off, &n, danger))
			rc = copy(staged, off, n, err);
	}
	return rc;
}

/* Whether any range of the blob may come from there. */
static bool any_endangered(struct blob *blob, const struct danger *danger)
{
	uint64_t n;

	for (uint64_t off = 0; off < blob->size; off += n) {
		n = blob->size - off;
		if (endangered(blob, off, &n, danger))
			return true;
	}
	return false;
}

int blob_save(struct blob **blob, struct source *source, uint64_t off, uint64_t len,
	struct spill_pool *pool, struct error *err)
{
	struct danger danger = {.source = source, .begin = off};
	AUTO_BLOB *staged = NULL;
	int rc;

	source_resolve(&danger.source, &danger.begin);
	danger.end = danger.begin + len;
	if ((*blob)->kind == &staged_kind)
		return save(staged_of(*blob), &danger, err);
	if (!any_endangered(*blob, &danger))
		return 0;
	rc = blob_staged(&staged, *blob, pool, err);
	if (rc == 0)
		rc = save(staged_of(staged), &danger, err);
	if (rc < 0)
		return rc;
	blob_unref(blob);
	*blob = staged;
	staged = NULL;
	return 0;
}
