/*
 * cuts: a tensor, or two that are compared, cut into what a sweep does at once: pieces
 * that are read, and ranges of any length of which all is known without reading them.
 */
#ifndef WEIGHTFS_FS_CUTS_H
#define WEIGHTFS_FS_CUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blob;
struct error;

enum cut_kind {
	CUT_READ,   /* nothing is known */
	CUT_SAME,   /* both sides are the same, whatever it is */
	CUT_REPEATS /* the first `period` elements again and again */
};

/* In elements of the caller's: numbers, or bytes. */
struct cut {
	enum cut_kind kind;
	uint64_t off, n;
	uint64_t period; /* of REPEATS */
};

/* Freed with free(). */
struct cuts {
	struct cut *all;
	size_t n;
};

struct cutting {
	uint64_t n;	/* elements */
	uint64_t grain; /* there is no cut but at multiples of it */
	uint64_t piece; /* READ and SAME are no longer; a multiple of `grain` */
	uint64_t least; /* a shorter range is read, known or not */
	/* What is known of the elements from cut->off on; cut->n (in: all that are left)
	 * is set to where that ends, or may end. */
	void (*know)(void *arg, struct cut *cut);
	void *arg;
};

/* 0 or -ENOMEM. */
int cuts_make(struct cuts *out, const struct cutting *how, struct error *err);

/* A good `least` of a tensor, in bytes: large ones are not cut more often than memory
 * stands. */
uint64_t cuts_least(uint64_t bytes);
/* Whether elements of `bits` bits from number `off` on are known to repeat: *n (in:
 * wanted) and *period are elements, too. `off` is where a byte begins. */
bool cuts_repeat(
	struct blob *blob, unsigned bits, uint64_t off, uint64_t *n, uint64_t *period);
/* The least common multiple; UINT64_MAX where that is more than there is. */
uint64_t cuts_common(uint64_t a, uint64_t b);

#endif
