/*
 * minifloat: binary floats of any width up to 64 bits, by their bits.
 *
 * Decimal texts are rounded once, to nearest, ties to even, in the width that
 * is asked for: never by way of a wider float, which can be off by one.
 */
#ifndef WEIGHTFS_GRAMMAR_MINIFLOAT_H
#define WEIGHTFS_GRAMMAR_MINIFLOAT_H

#include <stddef.h>
#include <stdint.h>

struct dtype;
struct text;

/* The value of a pattern: exact, since a double holds all of them. `dtype` is of
 * class DTYPE_FLOAT or DTYPE_MINIFLOAT in all three. */
double minifloat_decode(const struct dtype *dtype, uint64_t bits);
/* The pattern that is nearest to a JSON number (or NaN, Infinity, -Infinity).
 * -ERANGE when it is beyond the largest one, or the dtype has no such value. */
int minifloat_read(
	const struct dtype *dtype, const char *raw, size_t len, uint64_t *bits);
/* Appends the shortest decimal that minifloat_read turns into the pattern again,
 * with a '.' or an exponent, laid out as Python does: 1.0, 1e-07, 1e+16. */
void minifloat_put(const struct dtype *dtype, uint64_t bits, struct text *out);

#endif
