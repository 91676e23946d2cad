/* Plans: whatever is appended and written over, the outcome has the bytes that were said.
 */
#include "decoders/base/plan.h"
#include "decoders/base/blob.h"
#include "decoders/base/source.h"
#include "decoders/base/spill.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <stdlib.h>

#define OLD_SIZE 5000
#define MODEL_MAX (1 << 20)

static unsigned char old_bytes[OLD_SIZE];

static struct source *old_source(void)
{
	struct source *source = NULL;

	for (size_t i = 0; i < OLD_SIZE; i++)
		old_bytes[i] = (unsigned char)(i * 31 + i / 256);
	CHECK_INT(source_memory(&source, old_bytes, OLD_SIZE, "old", NULL), 0);
	return source;
}

static void unchanged(void)
{
	AUTO_SOURCE *old = old_source(), *handle = NULL, *slice = NULL;
	AUTO_PLAN *plan = NULL;
	AUTO_BLOB *blob = NULL;

	unit_begin("the old container put together from its parts is unchanged");
	CHECK_INT(source_handle(&handle, old, NULL), 0);
	CHECK_INT(source_slice(&slice, handle, 1000, 3000, NULL, NULL), 0);
	CHECK_INT(blob_span(&blob, slice, 500, 2500, NULL), 0);
	CHECK_INT(plan_new(&plan, handle, NULL), 0);
	CHECK_INT(plan_old(plan, 0, 1000, NULL), 0);
	CHECK_INT(plan_old(plan, 1000, 500, NULL), 0);
	CHECK_INT(plan_blob(plan, blob, 0, 2500, NULL), 0);
	CHECK(!plan_unchanged(plan));
	CHECK(plan_patches(plan));
	CHECK_INT(plan_old(plan, 4000, 1000, NULL), 0);
	CHECK(plan_unchanged(plan));
	CHECK_INT(plan_count(plan), 1);
	CHECK_INT(plan_changed_bytes(plan), 0);
	CHECK_INT(plan_old(plan, 4000, 1001, NULL), -EINVAL);
	CHECK_INT(plan_blob(plan, blob, 1, 2500, NULL), -EINVAL);
}

static void patching(void)
{
	AUTO_SOURCE *old = old_source();
	AUTO_PLAN *plan = NULL;

	unit_begin("a plan patches while every old range keeps its offset");
	CHECK_INT(plan_new(&plan, old, NULL), 0);
	CHECK_INT(plan_old(plan, 0, OLD_SIZE, NULL), 0);
	CHECK_INT(plan_write(plan, 100, "abc", 3, NULL), 0);
	CHECK_INT(plan_write(plan, OLD_SIZE + 10, "tail", 4, NULL), 0);
	CHECK(plan_patches(plan) && !plan_unchanged(plan));
	CHECK_INT(plan_changed_bytes(plan), 3 + 14);
	CHECK_INT(plan_size(plan), OLD_SIZE + 14);
	CHECK_INT(plan_cut(plan, 50, NULL), 0);
	CHECK(plan_patches(plan) && !plan_unchanged(plan));
	CHECK_INT(plan_changed_bytes(plan), 0);
	CHECK_INT(plan_old(plan, 60, 10, NULL), 0);
	CHECK(!plan_patches(plan));
	CHECK_INT(plan_changed_bytes(plan), 10);

	unit_begin("a container larger than a file can be is refused");
	CHECK_INT(plan_fill(plan, 0, INT64_MAX, NULL), -EFBIG);
	CHECK_INT(plan_write(plan, UINT64_MAX, "x", 1, NULL), -EFBIG);
	CHECK_INT(plan_size(plan), 60);
}

static uint64_t state = 2463534242;

static uint32_t random_below(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 33) % n;
}

/* What a plan must be: plain bytes. */
struct model {
	unsigned char bytes[MODEL_MAX];
	size_t size;
};

static void model_write(struct model *model, size_t off, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	if (off > model->size)
		memset(model->bytes + model->size, 0, off - model->size);
	memcpy(model->bytes + off, bytes, len);
	if (off + len > model->size)
		model->size = off + len;
}

static void check_outcome(struct plan *plan, const struct model *model)
{
	static unsigned char got[MODEL_MAX];
	AUTO_SOURCE *outcome = NULL;
	uint64_t at = 0;

	CHECK_INT(plan_outcome(plan, &outcome, NULL), 0);
	CHECK_INT(source_size(outcome), (intmax_t)model->size);
	CHECK_INT(source_read(outcome, 0, got, model->size, NULL), 0);
	CHECK(memcmp(got, model->bytes, model->size) == 0);
	if (model->size > 0) {
		size_t off = random_below((uint32_t)model->size);
		size_t len = random_below((uint32_t)(model->size - off) + 1);

		CHECK_INT(source_read(outcome, off, got, len, NULL), 0);
		CHECK(memcmp(got, model->bytes + off, len) == 0);
	}
	for (size_t i = 0; i < plan_count(plan); i++) {
		CHECK(plan_region(plan, i)->off == at && plan_region(plan, i)->len > 0);
		at += plan_region(plan, i)->len;
	}
	CHECK_INT(at, (intmax_t)model->size);
}

/* One random step of both. */
static void step(struct plan *plan, struct model *model, struct blob *blobs[3])
{
	unsigned char piece[300];
	size_t off = random_below(OLD_SIZE), len = random_below(300), at;
	struct blob *blob = blobs[random_below(3)];

	if (len > OLD_SIZE - off)
		len = OLD_SIZE - off;
	at = random_below((uint32_t)model->size + 100);
	for (size_t i = 0; i < sizeof piece; i++)
		piece[i] = (unsigned char)random_below(256);
	switch (random_below(9)) {
	case 0:
		CHECK_INT(plan_old(plan, off, len, NULL), 0);
		model_write(model, model->size, old_bytes + off, len);
		return;
	case 1:
		CHECK_INT(plan_bytes(plan, piece, len, NULL), 0);
		model_write(model, model->size, piece, len);
		return;
	case 2:
		memset(piece, 'f', sizeof piece);
		CHECK_INT(plan_fill(plan, 'f', len, NULL), 0);
		model_write(model, model->size, piece, len);
		return;
	case 3:
		memset(piece, ' ', sizeof piece);
		CHECK_INT(plan_align(plan, 64, ' ', NULL), 0);
		model_write(model, model->size, piece, (64 - model->size % 64) % 64);
		return;
	case 4:
		CHECK_INT(plan_cut(plan, at, NULL), 0);
		model->size = at < model->size ? at : model->size;
		return;
	case 5: /* what lies in the old container, at its own place */
		if (off + len > model->size)
			return;
		CHECK_INT(plan_write_blob(plan, off, blobs[0], off, len, NULL), 0);
		model_write(model, off, old_bytes + off, len);
		return;
	case 6:
		CHECK_INT(plan_write(plan, at, piece, len, NULL), 0);
		model_write(model, at, piece, len);
		return;
	default:
		CHECK_INT(blob_read_all(blob, off / 2, piece, len / 2, NULL), 0);
		CHECK_INT(plan_write_blob(plan, at, blob, off / 2, len / 2, NULL), 0);
		model_write(model, at, piece, len / 2);
	}
}

static void anything(void)
{
	static struct model model;
	AUTO_SOURCE *old = old_source(), *other = NULL;
	struct blob *blobs[3] = {NULL};
	unsigned char *bytes = malloc(OLD_SIZE);

	unit_begin("after any steps the outcome has the bytes that were said");
	for (size_t i = 0; i < OLD_SIZE; i++)
		bytes[i] = (unsigned char)(i * 7);
	CHECK_INT(source_memory(&other, bytes, OLD_SIZE, "other", NULL), 0);
	CHECK_INT(blob_span(&blobs[0], old, 0, OLD_SIZE, NULL), 0);
	CHECK_INT(blob_span(&blobs[1], other, 0, OLD_SIZE, NULL), 0);
	CHECK_INT(blob_memory(&blobs[2], bytes, OLD_SIZE, NULL), 0);
	for (int round = 0; round < 200; round++) {
		AUTO_PLAN *plan = NULL, *outer = NULL;

		model.size = 0;
		CHECK_INT(plan_new(&plan, old, NULL), 0);
		CHECK_INT(plan_new(&outer, old, NULL), 0);
		for (int i = 0; i < 60; i++) {
			step(plan, &model, blobs);
			if (i % 10 == 0)
				check_outcome(plan, &model);
		}
		CHECK_INT(plan_bytes(outer, "", 0, NULL), 0);
		CHECK_INT(plan_append(outer, plan, NULL), 0);
		CHECK_INT(plan_size(plan), 0);
		plan_free(&plan);
		for (int i = 0; i < 20; i++)
			step(outer, &model, blobs);
		check_outcome(outer, &model);
	}
	for (int i = 0; i < 3; i++)
		blob_unref(&blobs[i]);
}

static void merging(void)
{
	AUTO_SOURCE *old = old_source();
	AUTO_PLAN *plan = NULL;

	unit_begin("writing the old bytes back from a blob of them leaves one region");
	CHECK_INT(plan_new(&plan, old, NULL), 0);
	CHECK_INT(plan_old(plan, 0, OLD_SIZE, NULL), 0);
	for (int i = 0; i < 1000; i++)
		CHECK_INT(plan_write(plan, (uint64_t)i * 4 + 1, "x", 1, NULL), 0);
	CHECK_INT(plan_count(plan), 2001);
	{
		AUTO_BLOB *span = NULL;

		CHECK_INT(blob_span(&span, old, 0, OLD_SIZE, NULL), 0);
		CHECK_INT(plan_write_blob(plan, 0, span, 0, 4500, NULL), 0);
	}
	CHECK_INT(plan_count(plan), 1);
	CHECK(plan_unchanged(plan));
}

static void many(void)
{
	AUTO_SOURCE *old = old_source();
	AUTO_PLAN *plan = NULL;
	static char piece[200];

	unit_begin("a plan of 100,000 regions is searched and written over");
	CHECK_INT(plan_new(&plan, old, NULL), 0);
	for (int i = 0; i < 50000; i++) {
		CHECK_INT(plan_old(plan, (uint64_t)(i % 2000), 3, NULL), 0);
		CHECK_INT(plan_bytes(plan, piece, 5, NULL), 0);
	}
	CHECK_INT(plan_count(plan), 100000);
	for (int i = 0; i < 1000; i++)
		CHECK_INT(plan_write(plan, random_below(400000 - 6), "ab", 2, NULL), 0);
	CHECK_INT(plan_size(plan), 400000);
}

static void pieces(void)
{
	enum { N = 100000 };
	static struct spill_pool pool = {.dir = -1, .limit = 1 << 28};
	AUTO_SOURCE *old = NULL;
	AUTO_PLAN *plan = NULL;
	AUTO_BLOB *span = NULL, *a = NULL, *b = NULL;
	char *bytes = calloc(1, 10 * N);

	unit_begin("contents that were written in 100,000 places are a plan in no time");
	CHECK_INT(source_memory(&old, bytes, 10 * N, "old", NULL), 0);
	CHECK_INT(blob_span(&span, old, 0, 5 * N, NULL), 0);
	CHECK_INT(blob_staged(&a, span, &pool, NULL), 0);
	blob_unref(&span);
	CHECK_INT(blob_span(&span, old, 5 * N, 5 * N, NULL), 0);
	CHECK_INT(blob_staged(&b, span, &pool, NULL), 0);
	for (int i = 0; i < N; i++) {
		CHECK_INT(blob_write(a, (uint64_t)i * 5, "x", 1, NULL), 0);
		CHECK_INT(blob_write(b, (uint64_t)i * 5 + 1, "x", 1, NULL), 0);
	}
	CHECK_INT(plan_new(&plan, old, NULL), 0);
	CHECK_INT(plan_old(plan, 0, 10 * N, NULL), 0);
	CHECK_INT(plan_write_blob(plan, 5 * N, b, 0, 5 * N, NULL), 0);
	CHECK_INT(plan_write_blob(plan, 0, a, 0, 5 * N, NULL), 0);
	CHECK(plan_patches(plan));
	CHECK_INT(plan_changed_bytes(plan), 2 * N);
	free(bytes);
}

int main(void)
{
	unchanged();
	patching();
	anything();
	merging();
	many();
	pieces();
	return unit_end();
}
