/*
 * elements: the elements of a tensor as numbers, a block at a time, at the speed at which
 * memory delivers them.
 *
 * Every number is exact as a double, but for integers of 64 bits beyond 2^53, which are
 * rounded. A complex element is two numbers.
 */
#ifndef WEIGHTFS_GRAMMAR_ELEMENTS_H
#define WEIGHTFS_GRAMMAR_ELEMENTS_H

#include <stdbool.h>
#include <stddef.h>

struct dtype;

#define ELEMENTS_BLOCK 1024 /* numbers: whole bytes of every dtype */

struct elements {
	unsigned bits;	/* of one number */
	unsigned parts; /* numbers of one element */
	bool floats;	/* can be NaN or infinite */
	int wide;	/* integers of 64 bits: 1, signed ones: -1 */
	void (*decode)(const struct elements *elements, const void *bytes, size_t n,
		double *out);
	double table[256]; /* the number of each pattern of up to eight bits */
};

/* False where the dtype has no numbers: strings, records, blocks, unknown types. */
bool elements_init(struct elements *elements, const struct dtype *dtype);
/* Bytes of `n` numbers. */
size_t elements_bytes(const struct elements *elements, size_t n);
/* The first `n` (at most a block) numbers. `bytes` need not be aligned; `out` must be, to
 * 64. */
void elements_decode(
	const struct elements *elements, const void *bytes, size_t n, double *out);
/* How many of `n` numbers differ in their bits. */
size_t elements_differ(
	const struct elements *elements, const void *a, const void *b, size_t n);
/* b - a of each, of numbers decoded to `x` and `y`; exact before rounding for integers of
 * 64 bits too. */
void elements_subtract(const struct elements *elements, const void *a, const void *b,
	const double *x, const double *y, size_t n, double *out);

#endif
