/*
 * dtype: the one vocabulary of element types for all formats (DESIGN 1.2).
 *
 * A dtype is a name. PyTorch's spelling where PyTorch has one (`float32`,
 * `bfloat16`, `float8_e4m3fn`), numpy's descr for what it has no name for
 * (`S10`, `V8`, and for records a JSON list such as [["re", "<f4"], ["n", "<i2", [3]]]),
 * ggml's names for block-quantized types (`Q4_K`). Dtypes are interned:
 * equal names are equal pointers, and live as long as the program.
 */
#ifndef WEIGHTFS_BASE_DTYPE_H
#define WEIGHTFS_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum dtype_class {
	DTYPE_BOOL,
	DTYPE_INT,
	DTYPE_UINT,
	DTYPE_FLOAT,	 /* IEEE 754 binary16, 32, 64 */
	DTYPE_MINIFLOAT, /* bfloat16, float8_*, float6_*, float4_*: by exponent and
			    mantissa bits */
	DTYPE_COMPLEX,
	DTYPE_BYTES,  /* S<n>: fixed-size strings */
	DTYPE_OPAQUE, /* V<n>, or unknown to us */
	DTYPE_RECORD, /* a list of fields; `name` is the JSON list itself */
	DTYPE_BLOCK,  /* ggml: `block` elements in `bits / 8` bytes */
	DTYPE_NONE, /* no raw form of a fixed size: "string", "object", "reference", ...:
		       no .bin */
};

/* What the bit patterns at the ends of a binary float's range mean. */
enum dtype_special {
	DTYPE_IEEE,	 /* largest exponent: infinities and NaNs */
	DTYPE_NAN_ONES,	 /* "fn" of 8 bits: all ones but the sign is NaN */
	DTYPE_NAN_ZERO,	 /* "fnuz": what would be -0 is NaN; bias one more */
	DTYPE_NAN_NEVER, /* "fn" of 4 and 6 bits: every pattern is a number */
};

struct dtype {
	const char *name; /* as NAME.json has it; for DTYPE_RECORD a JSON text, else
			     without quotes */
	enum dtype_class class;
	uint32_t block; /* elements in a block; 1 except for DTYPE_BLOCK */
	uint64_t bits;	/* of one block (of one element where block is 1); 0: unknown or
			   none */
	/* Bits, for DTYPE_MINIFLOAT and DTYPE_FLOAT; one bit of sign where exponent +
	 * mantissa < bits, which is everywhere but in float8_e8m0fnu. */
	uint8_t exponent, mantissa;
	bool finite; /* DTYPE_MINIFLOAT: "fn", no infinities */
	enum dtype_special special;
};

/* The dtype of that name in the vocabulary, including S<n> and V<n> (n from 1,
 * without leading zeros), or interned before; NULL when there is none. */
const struct dtype *dtype_find(const char *name, size_t len);
/* The same, or a new one that is not in the vocabulary (a record, a type that a
 * newer specification knows). A name that is known keeps its class and bits.
 * NULL only without memory. Thread-safe. */
const struct dtype *dtype_intern(
	const char *name, size_t len, enum dtype_class class, uint64_t bits);

/*
 * Bytes that a tensor of this dtype and shape has. -EOVERFLOW when they do not fit
 * into 63 bits, -EINVAL when packed elements do not fill whole bytes or a row (the
 * last dimension) is no whole number of blocks, -EOPNOTSUPP when the dtype has
 * no fixed size.
 */
int dtype_bytes(const struct dtype *dtype, const uint64_t *shape, unsigned rank,
	uint64_t *bytes, struct error *err);
/* Bytes of one element where it is whole bytes, else 0. */
size_t dtype_size(const struct dtype *dtype);

#endif
