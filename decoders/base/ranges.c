/*
 * ranges: sorted arrays of bounded length, in a sorted array. A change moves what follows
 * in one of the short arrays and, rarely, of the long one.
 */
#include "decoders/base/ranges.h"
#include "decoders/base/error.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEAF_MAX 256

struct range {
	uint64_t begin, end;
};

struct leaf {
	size_t n;
	struct range at[LEAF_MAX];
};

/* A range of the set: leaves[leaf]->at[i]; leaf == ranges->n is the end. */
struct position {
	size_t leaf, i;
};

static struct range *range_at(const struct ranges *ranges, struct position at)
{
	return at.leaf < ranges->n ? &ranges->leaves[at.leaf]->at[at.i] : NULL;
}

static uint64_t last_end(const struct leaf *leaf)
{
	return leaf->at[leaf->n - 1].end;
}

/* The first range that ends at or after `from`. */
static struct position find(const struct ranges *ranges, uint64_t from)
{
	struct position at = {.leaf = 0};
	size_t high = ranges->n, middle;
	const struct leaf *leaf;

	while (at.leaf < high) {
		middle = at.leaf + (high - at.leaf) / 2;
		if (last_end(ranges->leaves[middle]) < from)
			at.leaf = middle + 1;
		else
			high = middle;
	}
	if (at.leaf == ranges->n)
		return at;
	leaf = ranges->leaves[at.leaf];
	for (high = leaf->n; at.i < high;) {
		middle = at.i + (high - at.i) / 2;
		if (leaf->at[middle].end < from)
			at.i = middle + 1;
		else
			high = middle;
	}
	return at;
}

/* Room for one more leaf. */
static int reserve(struct ranges *ranges, struct error *err)
{
	size_t cap = ranges->cap + ranges->cap / 2 + 4;
	struct leaf **leaves = ranges->leaves;

	if (ranges->n == ranges->cap) {
		leaves = reallocarray(leaves, cap, sizeof *leaves);
		if (leaves != NULL) {
			ranges->leaves = leaves;
			ranges->cap = cap;
		}
	}
	if (ranges->spare == NULL)
		ranges->spare = malloc(sizeof *ranges->spare);
	if (leaves == NULL || ranges->spare == NULL)
		return error_set(
			err, ENOMEM, "not enough memory to note what was written");
	return 0;
}

/* Puts the spare leaf, empty, at `i`. */
static struct leaf *add_leaf(struct ranges *ranges, size_t i)
{
	struct leaf *leaf = ranges->spare;

	ranges->spare = NULL;
	leaf->n = 0;
	memmove(ranges->leaves + i + 1, ranges->leaves + i,
		(ranges->n - i) * sizeof *ranges->leaves);
	ranges->leaves[i] = leaf;
	ranges->n++;
	return leaf;
}

static void remove_leaf(struct ranges *ranges, size_t i)
{
	free(ranges->leaves[i]);
	ranges->n--;
	memmove(ranges->leaves + i, ranges->leaves + i + 1,
		(ranges->n - i) * sizeof *ranges->leaves);
}

/* Removes a range; the one after it is then at the same position or at its leaf's end,
 * which is made the next leaf's beginning. */
static struct position remove_at(struct ranges *ranges, struct position at)
{
	struct leaf *leaf = ranges->leaves[at.leaf];

	leaf->n--;
	memmove(leaf->at + at.i, leaf->at + at.i + 1,
		(leaf->n - at.i) * sizeof *leaf->at);
	if (leaf->n == 0) {
		remove_leaf(ranges, at.leaf);
		at.i = 0;
	} else if (at.i == leaf->n) {
		at = (struct position){.leaf = at.leaf + 1};
	}
	return at;
}

/* Where to insert before `at`: behind the leaf before where there is one, since what is
 * written from front to back then fills leaves. */
static struct position insertion(struct ranges *ranges, struct position at)
{
	if (at.i == 0 && at.leaf > 0) {
		at.leaf--;
		at.i = ranges->leaves[at.leaf]->n;
	}
	if (ranges->n == 0 || (at.i == LEAF_MAX && at.leaf + 1 == ranges->n)) {
		at = (struct position){.leaf = ranges->n};
		(void)add_leaf(ranges, at.leaf);
	}
	return at;
}

/* Moves the upper half of a full leaf to a new one. */
static struct position split(struct ranges *ranges, struct position at)
{
	struct leaf *low = ranges->leaves[at.leaf];
	struct leaf *high = add_leaf(ranges, at.leaf + 1);

	low->n = LEAF_MAX / 2;
	high->n = LEAF_MAX - low->n;
	memcpy(high->at, low->at + low->n, high->n * sizeof *high->at);
	if (at.i > low->n)
		at = (struct position){.leaf = at.leaf + 1, .i = at.i - low->n};
	return at;
}

/* Inserts before `at`. reserve() has been called. */
static void insert(struct ranges *ranges, struct position at, struct range range)
{
	struct leaf *leaf;

	at = insertion(ranges, at);
	if (ranges->leaves[at.leaf]->n == LEAF_MAX)
		at = split(ranges, at);
	leaf = ranges->leaves[at.leaf];
	memmove(leaf->at + at.i + 1, leaf->at + at.i,
		(leaf->n - at.i) * sizeof *leaf->at);
	leaf->at[at.i] = range;
	leaf->n++;
}

int ranges_add(struct ranges *ranges, uint64_t begin, uint64_t end, struct error *err)
{
	struct position at;
	struct range *range;
	int rc;

	if (begin >= end)
		return 0;
	rc = reserve(ranges, err);
	if (rc < 0)
		return rc;
	at = find(ranges, begin);
	while ((range = range_at(ranges, at)) != NULL && range->begin <= end) {
		begin = range->begin < begin ? range->begin : begin;
		end = range->end > end ? range->end : end;
		at = remove_at(ranges, at);
	}
	insert(ranges, at, (struct range){.begin = begin, .end = end});
	return 0;
}

void ranges_cut(struct ranges *ranges, uint64_t begin)
{
	while (ranges->n > 0) {
		struct leaf *leaf = ranges->leaves[ranges->n - 1];
		struct range *last = &leaf->at[leaf->n - 1];

		if (last->begin < begin) {
			last->end = last->end < begin ? last->end : begin;
			return;
		}
		leaf->n--;
		if (leaf->n == 0)
			remove_leaf(ranges, ranges->n - 1);
	}
}

bool ranges_next(
	const struct ranges *ranges, uint64_t from, uint64_t *begin, uint64_t *end)
{
	/* A range that ends at `from` does not count: none that is wanted ends before
	 * from + 1. */
	const struct range *range =
		from < UINT64_MAX ? range_at(ranges, find(ranges, from + 1)) : NULL;

	if (range == NULL)
		return false;
	*begin = range->begin > from ? range->begin : from;
	*end = range->end;
	return true;
}

uint64_t ranges_count(const struct ranges *ranges, uint64_t begin, uint64_t end)
{
	uint64_t count = 0, from, to;

	while (begin < end && ranges_next(ranges, begin, &from, &to) && from < end) {
		begin = to < end ? to : end;
		count += begin - from;
	}
	return count;
}

void ranges_done(struct ranges *ranges)
{
	for (size_t i = 0; i < ranges->n; i++)
		free(ranges->leaves[i]);
	free(ranges->leaves);
	free(ranges->spare);
	*ranges = (struct ranges){0};
}
