/*
 * blob: spans, computed and memory blobs, and what all kinds have in common.
 * The overlay of a staged one is blob_staged.c.
 */
#include "decoders/base/blob.h"
#include "decoders/base/blob_kind.h"
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that are compared at a time, of each side. */
#define EQUAL_STEP (128 * 1024)

struct span_blob {
	struct blob blob;
	struct source *source;
	uint64_t off;
};

struct memory_blob {
	struct blob blob;
	char *bytes;
};

struct computed_blob {
	struct blob blob;
	const struct blob_ops *ops;
	void *priv;
};

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "not enough memory for a tensor's contents");
}

struct blob *blob_ref(struct blob *blob)
{
	__atomic_add_fetch(&blob->refs, 1, __ATOMIC_RELAXED);
	return blob;
}

void blob_unref(struct blob **blob)
{
	struct blob *b = *blob;

	*blob = NULL;
	if (b == NULL || __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	b->kind->free(b);
}

uint64_t blob_size(const struct blob *blob)
{
	return blob->size;
}

static bool inside(const struct blob *blob, uint64_t off, uint64_t len)
{
	return off <= blob->size && len <= blob->size - off;
}

int blob_read_all(
	struct blob *blob, uint64_t off, void *buf, size_t len, struct error *err)
{
	if (!inside(blob, off, len))
		return error_set(err, EINVAL,
			"%zu bytes at offset %" PRIu64 " do not lie in %" PRIu64, len,
			off, blob->size);
	if (len == 0)
		return 0;
	return blob->kind->read(blob, off, buf, len, err);
}

ssize_t blob_read(
	struct blob *blob, uint64_t off, void *buf, size_t len, struct error *err)
{
	int rc;

	if (off >= blob->size)
		return 0;
	if (len > blob->size - off)
		len = (size_t)(blob->size - off);
	if (len > SSIZE_MAX)
		len = SSIZE_MAX;
	rc = blob_read_all(blob, off, buf, len, err);
	return rc < 0 ? rc : (ssize_t)len;
}

int blob_load(struct blob *blob, size_t max, char **bytes, size_t *len, struct error *err)
{
	char *buf;
	int rc;

	if (blob->size > max || blob->size == SIZE_MAX)
		return error_set(err, EFBIG, "expected at most %zu bytes, found %" PRIu64,
			max, blob->size);
	buf = malloc((size_t)blob->size + 1);
	if (buf == NULL)
		return no_memory(err);
	rc = blob_read_all(blob, 0, buf, (size_t)blob->size, err);
	if (rc < 0) {
		free(buf);
		return rc;
	}
	buf[blob->size] = '\0';
	*bytes = buf;
	*len = (size_t)blob->size;
	return 0;
}

bool blob_locate(struct blob *blob, uint64_t off, uint64_t len, int *fd, uint64_t *fd_off)
{
	return blob->kind->locate != NULL && inside(blob, off, len) &&
	       blob->kind->locate(blob, off, len, fd, fd_off);
}

bool blob_origin(struct blob *blob, uint64_t off, uint64_t *len, struct source **source,
	uint64_t *source_off)
{
	if (blob->kind->origin == NULL || off >= blob->size)
		return false;
	if (*len > blob->size - off)
		*len = blob->size - off;
	return blob->kind->origin(blob, off, len, source, source_off);
}

bool blob_repeats(struct blob *blob, uint64_t off, uint64_t *len, uint64_t *period)
{
	if (off >= blob->size)
		return false;
	if (*len > blob->size - off)
		*len = blob->size - off;
	return blob->kind->repeats != NULL && blob->kind->repeats(blob, off, len, period);
}

/* Spans. */

static int span_read(
	struct blob *blob, uint64_t off, void *buf, size_t len, struct error *err)
{
	struct span_blob *span = (struct span_blob *)blob;

	return source_read(span->source, span->off + off, buf, len, err);
}

static bool span_locate(
	struct blob *blob, uint64_t off, uint64_t len, int *fd, uint64_t *fd_off)
{
	struct span_blob *span = (struct span_blob *)blob;

	return source_locate(span->source, span->off + off, len, fd, fd_off);
}

static bool span_origin(struct blob *blob, uint64_t off, uint64_t *len,
	struct source **source, uint64_t *source_off)
{
	struct span_blob *span = (struct span_blob *)blob;

	(void)len; /* a span has one origin up to its end */
	*source = span->source;
	*source_off = span->off + off;
	return true;
}

static bool span_repeats(struct blob *blob, uint64_t off, uint64_t *len, uint64_t *period)
{
	struct span_blob *span = (struct span_blob *)blob;

	*period = 1;
	return source_hole(span->source, span->off + off, len);
}

static void span_free(struct blob *blob)
{
	source_unref(&((struct span_blob *)blob)->source);
	free(blob);
}

static const struct blob_kind span_kind = {
	.read = span_read,
	.locate = span_locate,
	.origin = span_origin,
	.repeats = span_repeats,
	.free = span_free,
};

int blob_span(struct blob **out, struct source *source, uint64_t off, uint64_t len,
	struct error *err)
{
	uint64_t size = source_size(source);
	struct span_blob *span;

	if (off > size || len > size - off)
		return error_set(err, EINVAL,
			"%s: %" PRIu64 " bytes at offset %" PRIu64
			" do not lie in its %" PRIu64 " bytes",
			source_name(source), len, off, size);
	span = malloc(sizeof *span);
	if (span == NULL)
		return no_memory(err);
	span->blob = (struct blob){.kind = &span_kind, .size = len, .refs = 1};
	span->source = source_ref(source);
	span->off = off;
	*out = &span->blob;
	return 0;
}

/* Memory. */

static int memory_read(
	struct blob *blob, uint64_t off, void *buf, size_t len, struct error *err)
{
	(void)err;
	memcpy(buf, ((struct memory_blob *)blob)->bytes + off, len);
	return 0;
}

static void memory_free(struct blob *blob)
{
	free(((struct memory_blob *)blob)->bytes);
	free(blob);
}

static const struct blob_kind memory_kind = {
	.read = memory_read,
	.free = memory_free,
	.own_bytes = true,
};

int blob_memory(struct blob **out, void *bytes, size_t len, struct error *err)
{
	struct memory_blob *memory = malloc(sizeof *memory);

	if (memory == NULL) {
		free(bytes);
		return no_memory(err);
	}
	memory->blob = (struct blob){.kind = &memory_kind, .size = len, .refs = 1};
	memory->bytes = bytes;
	*out = &memory->blob;
	return 0;
}

/* Computed. */

static int computed_read(
	struct blob *blob, uint64_t off, void *buf, size_t len, struct error *err)
{
	struct computed_blob *computed = (struct computed_blob *)blob;

	return computed->ops->read(computed->priv, off, buf, len, err);
}

static bool computed_repeats(
	struct blob *blob, uint64_t off, uint64_t *len, uint64_t *period)
{
	struct computed_blob *computed = (struct computed_blob *)blob;

	return computed->ops->repeats != NULL &&
	       computed->ops->repeats(computed->priv, off, len, period);
}

static void computed_free(struct blob *blob)
{
	struct computed_blob *computed = (struct computed_blob *)blob;

	if (computed->ops->free != NULL)
		computed->ops->free(computed->priv);
	free(computed);
}

static const struct blob_kind computed_kind = {
	.read = computed_read,
	.repeats = computed_repeats,
	.free = computed_free,
};

int blob_computed(struct blob **out, const struct blob_ops *ops, void *priv,
	uint64_t size, struct error *err)
{
	struct computed_blob *computed = malloc(sizeof *computed);

	if (computed == NULL) {
		if (ops->free != NULL)
			ops->free(priv);
		return no_memory(err);
	}
	computed->blob = (struct blob){.kind = &computed_kind, .size = size, .refs = 1};
	computed->ops = ops;
	computed->priv = priv;
	*out = &computed->blob;
	return 0;
}

void *blob_priv(const struct blob *blob, const struct blob_ops *ops)
{
	const struct computed_blob *computed = (const struct computed_blob *)blob;

	if (blob->kind != &computed_kind || computed->ops != ops)
		return NULL;
	return computed->priv;
}

/* Comparing. */

/* How many bytes from `off` (at most `want`) are the same range of the same source. */
static uint64_t same_range(struct blob *a, struct blob *b, uint64_t off, uint64_t want)
{
	uint64_t len_a = want, len_b = want, off_a = 0, off_b = 0;
	struct source *source_a = NULL, *source_b = NULL;

	if (a == b)
		return want;
	if (!blob_origin(a, off, &len_a, &source_a, &off_a) ||
		!blob_origin(b, off, &len_b, &source_b, &off_b))
		return 0;
	source_resolve(&source_a, &off_a);
	source_resolve(&source_b, &off_b);
	if (source_a != source_b || off_a != off_b)
		return 0;
	return len_a < len_b ? len_a : len_b;
}

/* 1, 0 or a negative errno, with `buf` of two steps. */
static int equal_range(struct blob *a, struct blob *b, uint64_t off, size_t len,
	char *buf, struct error *err)
{
	int rc = blob_read_all(a, off, buf, len, err);

	if (rc == 0)
		rc = blob_read_all(b, off, buf + EQUAL_STEP, len, err);
	return rc < 0 ? rc : memcmp(buf, buf + EQUAL_STEP, len) == 0;
}

int blob_equal(struct blob *a, struct blob *b, struct error *err)
{
	uint64_t left, n;
	char *buf = NULL;
	int rc = 1;

	if (a->size != b->size)
		return 0;
	for (uint64_t off = 0; off < a->size && rc == 1; off += n) {
		left = a->size - off;
		n = same_range(a, b, off, left);
		if (n > 0)
			continue;
		n = left < EQUAL_STEP ? left : EQUAL_STEP;
		if (buf == NULL && (buf = malloc(2 * EQUAL_STEP)) == NULL)
			rc = no_memory(err);
		else
			rc = equal_range(a, b, off, (size_t)n, buf, err);
	}
	free(buf);
	return rc;
}
