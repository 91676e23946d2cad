/*
 * plan_outcome: a plan read as a source, region by region.
 *
 * With this an edit is decoded again and compared before anything of it is written.
 */
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/plan_private.h"
#include "decoders/base/source.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct outcome {
	struct source source;
	const struct plan *plan; /* outlives the source */
};

/* `len` bytes from `skip` of a region. */
static int read_region(const struct plan *plan, const struct region *region,
	uint64_t skip, void *buf, size_t len, struct error *err)
{
	switch (region->kind) {
	case REGION_OLD:
		return source_read(plan->old, region->old_off + skip, buf, len, err);
	case REGION_BYTES: memcpy(buf, region->bytes + skip, len); return 0;
	case REGION_BLOB:
		return blob_read_all(
			region->blob, region->blob_off + skip, buf, len, err);
	case REGION_FILL: memset(buf, region->fill, len); return 0;
	}
	return error_set(err, EINVAL, "a region of no kind");
}

static int outcome_read(
	struct source *source, uint64_t off, void *buf, size_t len, struct error *err)
{
	const struct plan *plan = ((struct outcome *)source)->plan;
	const struct region *region = plan->regions + plan_find(plan, off);
	char *at = buf;
	int rc = 0;

	for (; len > 0 && rc == 0; region++) {
		uint64_t skip = off - region->off, left = region->len - skip;
		size_t n = left < len ? (size_t)left : len;

		rc = read_region(plan, region, skip, at, n, err);
		at += n;
		off += n;
		len -= n;
	}
	return rc;
}

static bool outcome_locate(
	struct source *source, uint64_t off, uint64_t len, int *fd, uint64_t *fd_off)
{
	const struct plan *plan = ((struct outcome *)source)->plan;
	size_t i = plan_find(plan, off);
	const struct region *region = plan->regions + i;
	uint64_t skip;

	if (i == plan->n)
		return false;
	skip = off - region->off;
	if (len > region->len - skip)
		return false;
	if (region->kind == REGION_OLD)
		return source_locate(plan->old, region->old_off + skip, len, fd, fd_off);
	return region->kind == REGION_BLOB &&
	       blob_locate(region->blob, region->blob_off + skip, len, fd, fd_off);
}

static void outcome_free(struct source *source)
{
	free(source);
}

static const struct source_ops outcome_ops = {
	.read = outcome_read,
	.locate = outcome_locate,
	.free = outcome_free,
};

int plan_outcome(struct plan *plan, struct source **out, struct error *err)
{
	struct outcome *outcome = malloc(sizeof *outcome);
	int rc;

	if (outcome == NULL)
		return error_set(err, ENOMEM, "not enough memory for a plan's outcome");
	rc = source_init(
		&outcome->source, &outcome_ops, source_name(plan->old), plan->size, err);
	if (rc < 0) {
		free(outcome);
		return rc;
	}
	outcome->plan = plan;
	*out = &outcome->source;
	return 0;
}
