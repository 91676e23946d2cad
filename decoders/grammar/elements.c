/*
 * elements: bytes to doubles, by kind of number.
 *
 * Patterns of up to eight bits are looked up; wider ones are converted by loops without a
 * branch, which the compiler turns into vectors.
 */
#include "decoders/grammar/elements.h"
#include "decoders/base/dtype.h"
#include "decoders/base/vectors.h"
#include "decoders/grammar/minifloat.h"
#include <stdint.h>
#include <string.h>

#define HALF_INFINITY 0x7c00u

typedef void decode_fn(
	const struct elements *elements, const void *bytes, size_t n, double *out);

/* Packed numbers, the first in the lowest bits. */
static unsigned code_at(const unsigned char *bytes, unsigned bits, size_t i)
{
	size_t at = i * bits / 8;
	unsigned shift = i * bits % 8, code = bytes[at] >> shift;

	if (shift + bits > 8)
		code |= (unsigned)bytes[at + 1] << (8 - shift);
	return code & ((1u << bits) - 1);
}

static void decode_packed(
	const struct elements *elements, const void *bytes, size_t n, double *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = elements->table[code_at(bytes, elements->bits, i)];
}

static void decode_byte(
	const struct elements *elements, const void *bytes, size_t n, double *out)
{
	const unsigned char *in = bytes;

	for (size_t i = 0; i < n; i++)
		out[i] = elements->table[in[i]];
}

/* What the bytes need not be, aligned, the copy is. */
#define AS_THEY_ARE(name, type)                                                   \
	WIDE static void name(const struct elements *elements,                    \
		const void *restrict bytes, size_t n, double *restrict out)       \
	{                                                                         \
		type x;                                                           \
		(void)elements;                                                   \
		for (size_t i = 0; i < n; i++) {                                  \
			memcpy(&x, (const char *)bytes + i * sizeof x, sizeof x); \
			out[i] = (double)x;                                       \
		}                                                                 \
	}

AS_THEY_ARE(decode_int16, int16_t)
AS_THEY_ARE(decode_uint16, uint16_t)
AS_THEY_ARE(decode_int32, int32_t)
AS_THEY_ARE(decode_uint32, uint32_t)
AS_THEY_ARE(decode_int64, int64_t)
AS_THEY_ARE(decode_uint64, uint64_t)
AS_THEY_ARE(decode_float32, float)
AS_THEY_ARE(decode_float64, double)

static inline float float_of(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof f);
	return f;
}

WIDE static void decode_bfloat16(const struct elements *elements,
	const void *restrict bytes, size_t n, double *restrict out)
{
	uint16_t x;

	(void)elements;
	for (size_t i = 0; i < n; i++) {
		memcpy(&x, (const char *)bytes + i * sizeof x, sizeof x);
		out[i] = (double)float_of((uint32_t)x << 16);
	}
}

/* The exponent is moved by addition; of the small numbers without a leading one it is
 * given to them, and taken away as a float. */
WIDE static void decode_float16(const struct elements *elements,
	const void *restrict bytes, size_t n, double *restrict out)
{
	const uint32_t moved = (127u - 15) << 23, one = 1u << 23;
	uint16_t x;

	(void)elements;
	for (size_t i = 0; i < n; i++) {
		memcpy(&x, (const char *)bytes + i * sizeof x, sizeof x);
		uint32_t sign = (uint32_t)(x & 0x8000u) << 16, code = x & 0x7fffu;
		uint32_t normal = (code << 13) + moved;
		uint32_t huge = normal + moved;
		float small = float_of(normal + one) - float_of(moved + one);
		uint32_t bits;

		memcpy(&bits, &small, sizeof bits);
		bits = code < 0x0400u ? bits : normal;
		bits = code >= HALF_INFINITY ? huge : bits;
		out[i] = (double)float_of(bits | sign);
	}
}

/* One row a kind of number. */
static const struct {
	enum dtype_class class;
	unsigned bits, exponent; /* exponent of floats; 0: any */
	decode_fn *decode;
} kinds[] = {
	{DTYPE_INT, 16, 0, decode_int16},
	{DTYPE_UINT, 16, 0, decode_uint16},
	{DTYPE_INT, 32, 0, decode_int32},
	{DTYPE_UINT, 32, 0, decode_uint32},
	{DTYPE_INT, 64, 0, decode_int64},
	{DTYPE_UINT, 64, 0, decode_uint64},
	{DTYPE_FLOAT, 16, 5, decode_float16},
	{DTYPE_FLOAT, 32, 8, decode_float32},
	{DTYPE_FLOAT, 64, 11, decode_float64},
	{DTYPE_MINIFLOAT, 16, 8, decode_bfloat16},
	{DTYPE_COMPLEX, 32, 0, decode_float16},
	{DTYPE_COMPLEX, 64, 0, decode_float32},
	{DTYPE_COMPLEX, 128, 0, decode_float64},
};

static decode_fn *find(const struct dtype *dtype)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i].class == dtype->class && kinds[i].bits == dtype->bits &&
			(kinds[i].exponent == 0 || kinds[i].exponent == dtype->exponent))
			return kinds[i].decode;
	return NULL;
}

/* The number of a pattern of few bits. */
static double number(const struct dtype *dtype, unsigned code)
{
	switch (dtype->class) {
	case DTYPE_BOOL: return code != 0;
	case DTYPE_UINT: return code;
	case DTYPE_INT:
		return code < 1u << (dtype->bits - 1) ? (int)code
						      : (int)code - (1 << dtype->bits);
	default: return minifloat_decode(dtype, code);
	}
}

static bool has_table(const struct dtype *dtype)
{
	return dtype->bits > 0 && dtype->bits <= 8 && dtype->block == 1 &&
	       (dtype->class == DTYPE_BOOL || dtype->class == DTYPE_INT ||
		       dtype->class == DTYPE_UINT || dtype->class == DTYPE_MINIFLOAT);
}

bool elements_init(struct elements *elements, const struct dtype *dtype)
{
	elements->parts = dtype->class == DTYPE_COMPLEX ? 2 : 1;
	elements->bits = (unsigned)dtype->bits / elements->parts;
	elements->floats = dtype->class == DTYPE_FLOAT ||
			   dtype->class == DTYPE_MINIFLOAT ||
			   dtype->class == DTYPE_COMPLEX;
	elements->wide = dtype->bits < 64 || elements->floats ? 0
			 : dtype->class == DTYPE_INT	      ? -1
							      : 1;
	elements->decode = find(dtype);
	if (!has_table(dtype))
		return elements->decode != NULL;
	elements->decode = dtype->bits == 8 ? decode_byte : decode_packed;
	for (unsigned code = 0; code < 1u << dtype->bits; code++)
		elements->table[code] = number(dtype, code);
	return true;
}

size_t elements_bytes(const struct elements *elements, size_t n)
{
	return n / 8 * elements->bits + (n % 8 * elements->bits + 7) / 8;
}

void elements_decode(
	const struct elements *elements, const void *bytes, size_t n, double *out)
{
	elements->decode(elements, bytes, n, out);
}

/* Counting differences. */

#define DIFFER(name, type)                                                    \
	WIDE static size_t name(                                              \
		const void *restrict a, const void *restrict b, size_t n)     \
	{                                                                     \
		type x, y, differ = 0;                                        \
		for (size_t i = 0; i < n; i++) {                              \
			memcpy(&x, (const char *)a + i * sizeof x, sizeof x); \
			memcpy(&y, (const char *)b + i * sizeof y, sizeof y); \
			differ = (type)(differ + (x != y));                   \
		}                                                             \
		return differ;                                                \
	}

DIFFER(differ16, uint16_t) /* a block has fewer */
DIFFER(differ32, uint32_t)
DIFFER(differ64, uint64_t)

WIDE static size_t differ8(const void *restrict a, const void *restrict b, size_t n)
{
	const unsigned char *x = a, *y = b;
	uint16_t differ = 0;

	for (size_t i = 0; i < n; i++)
		differ = (uint16_t)(differ + (x[i] != y[i]));
	return differ;
}

static size_t differ_packed(
	const struct elements *elements, const void *a, const void *b, size_t n)
{
	size_t differ = 0;

	for (size_t i = 0; i < n; i++)
		differ += code_at(a, elements->bits, i) != code_at(b, elements->bits, i);
	return differ;
}

size_t elements_differ(
	const struct elements *elements, const void *a, const void *b, size_t n)
{
	switch (elements->bits) {
	case 8: return differ8(a, b, n);
	case 16: return differ16(a, b, n);
	case 32: return differ32(a, b, n);
	case 64: return differ64(a, b, n);
	default: return differ_packed(elements, a, b, n);
	}
}

/* Subtracting. */

WIDE static void subtract(const double *restrict x, const double *restrict y, size_t n,
	double *restrict out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = y[i] - x[i];
}

static void subtract_int64(
	const void *a, const void *b, bool is_signed, size_t n, double *out)
{
	uint64_t x, y;

	for (size_t i = 0; i < n; i++) {
		memcpy(&x, (const char *)a + i * sizeof x, sizeof x);
		memcpy(&y, (const char *)b + i * sizeof y, sizeof y);
		bool less = is_signed ? (int64_t)y < (int64_t)x : y < x;
		out[i] = less ? -(double)(x - y) : (double)(y - x);
	}
}

void elements_subtract(const struct elements *elements, const void *a, const void *b,
	const double *x, const double *y, size_t n, double *out)
{
	if (elements->wide)
		subtract_int64(a, b, elements->wide < 0, n, out);
	else
		subtract(x, y, n, out);
}
