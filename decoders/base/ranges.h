/*
 * ranges: a set of numbers as sorted ranges [begin, end) that neither touch nor overlap.
 * What was written of a file. A program that writes at random places makes a million of
 * them; each costs 16 to 32 bytes and a microsecond.
 */
#ifndef WEIGHTFS_BASE_RANGES_H
#define WEIGHTFS_BASE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct leaf;

/* Embedded by its owner; {0} is an empty set. */
struct ranges {
	struct leaf **leaves; /* none is empty */
	size_t n, cap;
	struct leaf *spare; /* so that no change fails half way; or NULL */
};

/* Adds [begin, end); -ENOMEM leaves the set as it was. */
int ranges_add(struct ranges *ranges, uint64_t begin, uint64_t end, struct error *err);
/* Removes everything from `begin` on. */
void ranges_cut(struct ranges *ranges, uint64_t begin);
/* The first part at or after `from`: begins there or later. False: none. */
bool ranges_next(
	const struct ranges *ranges, uint64_t from, uint64_t *begin, uint64_t *end);
/* How many numbers of [begin, end) are in the set. */
uint64_t ranges_count(const struct ranges *ranges, uint64_t begin, uint64_t end);
/* Frees what it has; it is empty and usable again. */
void ranges_done(struct ranges *ranges);

#endif
