/* What is a shift and what is not: a plan in which all that stays keeps its order, and
 * moves by whole blocks from some place on. */
#include "fs/shift.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "tests/unit/unit.h"
#include <stdlib.h>

#define SIZE 100000
#define BLOCK 4096

static struct source *old;

/* A region of a plan: old bytes from `off`, or new ones where it is -1. */
struct part {
	int64_t off;
	uint64_t len;
};

static bool finds(const struct part *parts, size_t n, struct shift *shift)
{
	static const char bytes[SIZE];
	AUTO_PLAN *plan = NULL;

	CHECK_INT(plan_new(&plan, old, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		if (parts[i].off >= 0)
			CHECK_INT(plan_old(plan, (uint64_t)parts[i].off, parts[i].len,
					  NULL),
				0);
		else
			CHECK_INT(plan_bytes(plan, bytes, parts[i].len, NULL), 0);
	}
	return shift_find(plan, BLOCK, shift);
}

#define FINDS(shift, ...)                   \
	finds((struct part[]){__VA_ARGS__}, \
		sizeof((struct part[]){__VA_ARGS__}) / sizeof(struct part), shift)

static void finding(void)
{
	struct shift shift;

	unit_begin("a header that grows by blocks is a shift from the block it ends in");
	CHECK(FINDS(&shift, {-1, 5000 + BLOCK}, {5000, SIZE - 5000}));
	CHECK_INT(shift.off, BLOCK);
	CHECK_INT(shift.len, BLOCK);
	CHECK(FINDS(&shift, {-1, 100 + 3 * BLOCK}, {100, SIZE - 100}));
	CHECK_INT(shift.off, 0);
	CHECK_INT(shift.len, 3 * BLOCK);

	unit_begin("so it is where other bytes are replaced, or added at the end");
	CHECK(FINDS(&shift, {0, 4000}, {-1, 1000 + BLOCK}, {5000, 45000}, {-1, 1000},
		{51000, 49000}, {-1, 7777}));
	CHECK_INT(shift.off, BLOCK);

	unit_begin("what moves by less than blocks is none");
	CHECK(!FINDS(&shift, {-1, 5000 + 512}, {5000, SIZE - 5000}));
	unit_begin("nor what moves back");
	CHECK(!FINDS(&shift, {-1, 904}, {5000, SIZE - 5000}));
	unit_begin("nor parts that move by different lengths, or change their order");
	CHECK(!FINDS(&shift, {-1, BLOCK}, {0, 50000}, {-1, BLOCK}, {50000, 50000}));
	CHECK(!FINDS(&shift, {-1, BLOCK}, {50000, 50000}, {0, 50000}));
	CHECK(!FINDS(&shift, {50000, 50000}, {0, 50000}));
	unit_begin("nor what becomes shorter at its end");
	CHECK(!FINDS(&shift, {-1, BLOCK}, {0, SIZE - 1}));
	unit_begin("nor what stays in its place");
	CHECK(!FINDS(&shift, {-1, 5000}, {5000, SIZE - 5000}, {-1, BLOCK}));
}

static void placing(void)
{
	struct shift shift = {
		.off = 2 * BLOCK, .len = BLOCK, .old_size = 8 * BLOCK, .from = 5 * BLOCK};
	uint64_t off = 100, len = SIZE;

	unit_begin("while a shift is on its way, each byte is found where it is");
	CHECK(shift_place(&shift, &off, &len));
	CHECK(off == 100 && len == 2 * BLOCK - 100);
	off = 2 * BLOCK + 7, len = SIZE;
	CHECK(!shift_place(&shift, &off, &len));
	CHECK_INT(len, BLOCK - 7);
	off = 3 * BLOCK + 7, len = SIZE;
	CHECK(shift_place(&shift, &off, &len));
	CHECK(off == 2 * BLOCK + 7 && len == 3 * BLOCK - 7);
	off = 6 * BLOCK + 7, len = BLOCK;
	CHECK(shift_place(&shift, &off, &len));
	CHECK(off == 6 * BLOCK + 7 && len == BLOCK);
}

int main(void)
{
	static const char bytes[SIZE];

	CHECK_INT(source_memory(&old, bytes, SIZE, "old", NULL), 0);
	finding();
	placing();
	source_unref(&old);
	return unit_end();
}
