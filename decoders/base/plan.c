/*
 * plan: an array of regions, sorted by offset and without gaps, that is appended to and
 * cut up.
 *
 * Writing over a range splits the regions at its ends, drops what lies between, and puts
 * the new region there. Where neighbours continue each other they become one, so a plan
 * that says the same in another way is the same plan: an old container put together from
 * its parts is one region.
 */
#include "decoders/base/plan.h"
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/plan_private.h"
#include "decoders/base/source.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Small pieces of bytes share memory of this size. */
#define STORE_SIZE (16 * 1024)

/* Memory of REGION_BYTES: regions point into it and never own it. */
struct store {
	struct store *next;
	size_t used, size;
	char bytes[];
};

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "not enough memory for a plan");
}

static int too_large(struct error *err)
{
	return error_set(err, EFBIG, "the new container would be larger than a file");
}

int plan_new(struct plan **out, struct source *old, struct error *err)
{
	struct plan *plan = calloc(1, sizeof *plan);

	if (plan == NULL)
		return no_memory(err);
	plan->old = source_ref(old);
	*out = plan;
	return 0;
}

/* Drops what `n` regions refer to. */
static void release(struct region *regions, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (regions[i].kind == REGION_BLOB)
			blob_unref(&regions[i].blob);
}

void plan_free(struct plan **plan)
{
	struct plan *p = *plan;
	struct store *next;

	*plan = NULL;
	if (p == NULL)
		return;
	release(p->regions, p->n);
	free(p->regions);
	for (struct store *store = p->stores; store != NULL; store = next) {
		next = store->next;
		free(store);
	}
	source_unref(&p->old);
	free(p);
}

uint64_t plan_size(const struct plan *plan)
{
	return plan->size;
}

struct source *plan_source_old(const struct plan *plan)
{
	return plan->old;
}

size_t plan_count(const struct plan *plan)
{
	return plan->n;
}

const struct region *plan_region(const struct plan *plan, size_t i)
{
	return &plan->regions[i];
}

size_t plan_find(const struct plan *plan, uint64_t off)
{
	size_t low = 0, high = plan->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct region *region = &plan->regions[middle];

		if (region->off + region->len <= off)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Room for `more` regions. */
static int reserve(struct plan *plan, size_t more, struct error *err)
{
	struct region *regions;
	size_t cap = plan->cap;

	if (plan->n + more <= cap)
		return 0;
	cap = cap + cap / 2 + more;
	regions = reallocarray(plan->regions, cap, sizeof *regions);
	if (regions == NULL)
		return no_memory(err);
	plan->regions = regions;
	plan->cap = cap;
	return 0;
}

/* Takes the first `by` bytes off. */
static void advance(struct region *region, uint64_t by)
{
	region->off += by;
	region->len -= by;
	if (region->kind == REGION_OLD)
		region->old_off += by;
	else if (region->kind == REGION_BYTES)
		region->bytes += by;
	else if (region->kind == REGION_BLOB)
		region->blob_off += by;
}

/* Whether `b`, which follows `a`, goes on where `a` ends. */
static bool continues(const struct region *a, const struct region *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case REGION_OLD: return a->old_off + a->len == b->old_off;
	case REGION_BYTES: return a->bytes + a->len == b->bytes;
	case REGION_BLOB:
		return a->blob == b->blob && a->blob_off + a->len == b->blob_off;
	case REGION_FILL: return a->fill == b->fill;
	}
	return false;
}

/* Makes a region begin at `off`; there is room. Returns its index. */
static size_t split(struct plan *plan, uint64_t off)
{
	size_t i = plan_find(plan, off);
	struct region *region = plan->regions + i;

	if (i == plan->n || region->off == off)
		return i;
	memmove(region + 1, region, (plan->n - i) * sizeof *region);
	plan->n++;
	region[0].len = off - region[0].off;
	advance(&region[1], region[0].len);
	if (region->kind == REGION_BLOB)
		(void)blob_ref(region->blob);
	return i + 1;
}

/* Joins regions i and i + 1 where they continue each other. */
static void join(struct plan *plan, size_t i)
{
	struct region *region = plan->regions + i;

	if (i + 1 >= plan->n || !continues(&region[0], &region[1]))
		return;
	region[0].len += region[1].len;
	release(&region[1], 1);
	plan->n--;
	memmove(region + 1, region + 2, (plan->n - i - 1) * sizeof *region);
}

/* Takes the region, whose `len` is not 0 and whose end fits, on failure too. */
static int append(struct plan *plan, struct region region, struct error *err)
{
	int rc = 0;

	if (region.len > INT64_MAX - plan->size)
		rc = error_set(
			err, EFBIG, "the new container would be larger than a file");
	if (rc == 0)
		rc = reserve(plan, 1, err);
	if (rc < 0) {
		release(&region, 1);
		return rc;
	}
	region.off = plan->size;
	plan->size += region.len;
	plan->regions[plan->n++] = region;
	if (plan->n > 1)
		join(plan, plan->n - 2);
	return 0;
}

/* Fills with zeros up to `off`. */
static int reach(struct plan *plan, uint64_t off, struct error *err)
{
	if (off <= plan->size)
		return 0;
	return plan_fill(plan, 0, off - plan->size, err);
}

/*
 * Puts `n` regions, which hold `len` bytes together, over what is at `off`. Takes them,
 * on failure too. All of them at once, so that contents in a hundred thousand pieces move
 * what follows them once.
 */
static int replace(struct plan *plan, uint64_t off, uint64_t len, struct region *with,
	size_t n, struct error *err)
{
	uint64_t end = 0;
	size_t first, last;
	int rc = 0;

	if (__builtin_add_overflow(off, len, &end) || end > INT64_MAX)
		rc = too_large(err);
	if (rc == 0)
		rc = reach(plan, off, err);
	if (rc == 0)
		rc = reserve(plan, n + 2, err);
	if (rc < 0) {
		release(with, n);
		return rc;
	}
	first = split(plan, off);
	last = split(plan, end); /* plan->n where they reach beyond the end */
	release(plan->regions + first, last - first);
	memmove(plan->regions + first + n, plan->regions + last,
		(plan->n - last) * sizeof *with);
	plan->n = plan->n - (last - first) + n;
	for (size_t i = 0; i < n; off += with[i++].len) {
		with[i].off = off;
		plan->regions[first + i] = with[i];
	}
	plan->size = end > plan->size ? end : plan->size;
	join(plan, first + n - 1);
	if (first > 0)
		join(plan, first - 1);
	return 0;
}

/* A copy of the bytes that lives as long as the plan. */
static char *keep(struct plan *plan, const void *bytes, size_t len)
{
	struct store *store = plan->stores;
	size_t size = len > STORE_SIZE / 2 ? len : STORE_SIZE;
	char *at;

	if (store == NULL || store->size - store->used < len) {
		if (size > SIZE_MAX - sizeof *store ||
			(store = malloc(sizeof *store + size)) == NULL)
			return NULL;
		store->used = 0;
		store->size = size;
		store->next = plan->stores;
		plan->stores = store;
	}
	at = store->bytes + store->used;
	store->used += len;
	return memcpy(at, bytes, len);
}

/* Appending. */

static int inside_old(
	const struct plan *plan, uint64_t off, uint64_t len, struct error *err)
{
	uint64_t size = source_size(plan->old);

	if (off > size || len > size - off)
		return error_set(err, EINVAL,
			"%" PRIu64 " bytes at offset %" PRIu64
			" do not lie in the old container's %" PRIu64,
			len, off, size);
	return 0;
}

int plan_old(struct plan *plan, uint64_t off, uint64_t len, struct error *err)
{
	struct region region = {.kind = REGION_OLD, .len = len, .old_off = off};
	int rc = inside_old(plan, off, len, err);

	return rc < 0 || len == 0 ? rc : append(plan, region, err);
}

int plan_bytes(struct plan *plan, const void *bytes, size_t len, struct error *err)
{
	return plan_write(plan, plan->size, bytes, len, err);
}

int plan_blob(struct plan *plan, struct blob *blob, uint64_t off, uint64_t len,
	struct error *err)
{
	return plan_write_blob(plan, plan->size, blob, off, len, err);
}

int plan_fill(struct plan *plan, unsigned char fill, uint64_t len, struct error *err)
{
	struct region region = {.kind = REGION_FILL, .len = len, .fill = fill};

	return len == 0 ? 0 : append(plan, region, err);
}

int plan_align(
	struct plan *plan, uint64_t alignment, unsigned char fill, struct error *err)
{
	uint64_t over = alignment > 0 ? plan->size % alignment : 0;

	return over == 0 ? 0 : plan_fill(plan, fill, alignment - over, err);
}

int plan_append(struct plan *plan, struct plan *inner, struct error *err)
{
	struct store **end = &plan->stores;
	int rc = 0;

	/* The bytes first: regions that point into them follow. Behind what is there,
	 * so that the store which still has room stays the first. */
	while (*end != NULL)
		end = &(*end)->next;
	*end = inner->stores;
	inner->stores = NULL;
	for (size_t i = 0; i < inner->n; i++) {
		if (rc == 0)
			rc = append(plan, inner->regions[i], err);
		else
			release(&inner->regions[i], 1);
	}
	inner->n = 0;
	inner->size = 0;
	return rc;
}

/* Writing over. */

int plan_write(
	struct plan *plan, uint64_t off, const void *bytes, size_t len, struct error *err)
{
	struct region region = {.kind = REGION_BYTES, .len = len};

	if (len == 0)
		return 0;
	region.bytes = keep(plan, bytes, len);
	if (region.bytes == NULL)
		return no_memory(err);
	return replace(plan, off, len, &region, 1, err);
}

/* How many bytes of the blob from `off` on (at most `len`) are one range of the old
 * container, which begins at *old_off; 0: the first is not. */
static uint64_t old_range(const struct plan *plan, struct blob *blob, uint64_t off,
	uint64_t len, uint64_t *old_off)
{
	uint64_t at = 0, begin = 0, left;
	struct source *source = NULL, *old = plan->old;

	if (!blob_origin(blob, off, &len, &source, &at))
		return 0;
	source_resolve(&source, &at);
	source_resolve(&old, &begin);
	if (source != old || at < begin || at - begin >= source_size(plan->old))
		return 0;
	*old_off = at - begin;
	left = source_size(plan->old) - *old_off;
	return len < left ? len : left;
}

/* How many bytes from `off` on (at most `len`) are surely of no source. */
static uint64_t new_range(struct blob *blob, uint64_t off, uint64_t len)
{
	uint64_t begin = 0, end = 0, n = len;
	struct source *source;

	if (blob_origin(blob, off, &n, &source, &begin))
		return n; /* of another source than the old container */
	if (!blob_next_written(blob, off, &begin, &end))
		return len;
	if (begin > off)
		end = begin;
	return end - off < len ? end - off : len;
}

/* Appends what a range of the blob is: ranges of the old container, and the rest. */
static int append_blob(struct plan *plan, struct blob *blob, uint64_t off, uint64_t len,
	struct error *err)
{
	uint64_t old_off = 0, n;
	int rc = 0;

	for (; len > 0 && rc == 0; off += n, len -= n) {
		struct region region = {.kind = REGION_OLD};

		n = old_range(plan, blob, off, len, &old_off);
		if (n > 0) {
			region.old_off = old_off;
		} else {
			n = new_range(blob, off, len);
			region.kind = REGION_BLOB;
			region.blob = blob_ref(blob);
			region.blob_off = off;
		}
		region.len = n;
		rc = append(plan, region, err);
	}
	return rc;
}

int plan_write_blob(struct plan *plan, uint64_t off, struct blob *blob, uint64_t blob_off,
	uint64_t len, struct error *err)
{
	struct plan pieces = {.old = plan->old};
	uint64_t size = blob_size(blob);
	int rc;

	if (blob_off > size || len > size - blob_off)
		return error_set(err, EINVAL,
			"%" PRIu64 " bytes at offset %" PRIu64
			" do not lie in contents of %" PRIu64,
			len, blob_off, size);
	rc = append_blob(&pieces, blob, blob_off, len, err);
	if (rc < 0)
		release(pieces.regions, pieces.n);
	else if (pieces.n > 0)
		rc = replace(plan, off, len, pieces.regions, pieces.n, err);
	free(pieces.regions);
	return rc;
}

int plan_cut(struct plan *plan, uint64_t size, struct error *err)
{
	size_t i;
	int rc;

	if (size >= plan->size)
		return 0;
	rc = reserve(plan, 1, err);
	if (rc < 0)
		return rc;
	i = split(plan, size);
	release(plan->regions + i, plan->n - i);
	plan->n = i;
	plan->size = size;
	return 0;
}

/* What the commit asks. */

static bool stays(const struct region *region)
{
	return region->kind == REGION_OLD && region->old_off == region->off;
}

bool plan_patches(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++)
		if (plan->regions[i].kind == REGION_OLD && !stays(&plan->regions[i]))
			return false;
	return true;
}

bool plan_unchanged(const struct plan *plan)
{
	return plan->size == source_size(plan->old) && plan_changed_bytes(plan) == 0;
}

uint64_t plan_changed_bytes(const struct plan *plan)
{
	uint64_t changed = 0;

	for (size_t i = 0; i < plan->n; i++)
		changed += stays(&plan->regions[i]) ? 0 : plan->regions[i].len;
	return changed;
}
