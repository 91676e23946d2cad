/* ranges: a sorted array, searched by bisection. */
#include "decoders/base/ranges.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The first range that ends at or after `at`. */
static size_t find(const struct ranges *ranges, uint64_t at)
{
	size_t low = 0, high = ranges->n;

	/* Most writes go on where the last one ended. */
	if (ranges->n > 0 && ranges->list[ranges->n - 1].end < at)
		return ranges->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->list[middle].end < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int reserve(struct ranges *ranges, struct error *err)
{
	size_t cap = ranges->cap + ranges->cap / 2 + 4;
	struct range *list;

	if (ranges->n < ranges->cap)
		return 0;
	list = reallocarray(ranges->list, cap, sizeof *list);
	if (list == NULL)
		return error_set(
			err, ENOMEM, "not enough memory to note what was written");
	ranges->list = list;
	ranges->cap = cap;
	return 0;
}

int ranges_add(struct ranges *ranges, uint64_t begin, uint64_t end, struct error *err)
{
	struct range *list;
	size_t first, last;
	int rc;

	if (begin >= end)
		return 0;
	rc = reserve(ranges, err);
	if (rc < 0)
		return rc;
	list = ranges->list;
	first = last = find(ranges, begin);
	for (; last < ranges->n && list[last].begin <= end; last++) {
		begin = list[last].begin < begin ? list[last].begin : begin;
		end = list[last].end > end ? list[last].end : end;
	}
	/* [first, last) become one */
	memmove(list + first + 1, list + last, (ranges->n - last) * sizeof *list);
	ranges->n = ranges->n - (last - first) + 1;
	list[first] = (struct range){.begin = begin, .end = end};
	return 0;
}

void ranges_cut(struct ranges *ranges, uint64_t begin)
{
	while (ranges->n > 0 && ranges->list[ranges->n - 1].begin >= begin)
		ranges->n--;
	if (ranges->n > 0 && ranges->list[ranges->n - 1].end > begin)
		ranges->list[ranges->n - 1].end = begin;
}

bool ranges_next(
	const struct ranges *ranges, uint64_t from, uint64_t *begin, uint64_t *end)
{
	size_t i = find(ranges, from);

	if (i < ranges->n && ranges->list[i].end == from)
		i++;
	if (i == ranges->n)
		return false;
	*begin = ranges->list[i].begin > from ? ranges->list[i].begin : from;
	*end = ranges->list[i].end;
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
	free(ranges->list);
	*ranges = (struct ranges){0};
}
