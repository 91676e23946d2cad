/*
 * dtype: the vocabulary of element types, and the ones met on the way.
 *
 * What has a name that stands for itself is a row of a const table. What is
 * made up by a file (S<n>, V<n>, records, unknown types) is interned in a tree
 * that only grows and lives as long as the program; so a dtype is compared by its
 * pointer and never freed.
 */
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* S<n> and V<n>: bits must fit where bytes do, in 63 bits. */
#define BYTES_MAX (INT64_MAX / 8)

/* Exponent and mantissa as the names say; the rest is in PyTorch's notes on its
 * float8 types and in the OCP specifications of 8-bit and MX formats. */
static const struct dtype vocabulary[] = {
	{"float32", DTYPE_FLOAT, 1, 32, 8, 23, false, DTYPE_IEEE},
	{"float16", DTYPE_FLOAT, 1, 16, 5, 10, false, DTYPE_IEEE},
	{"float64", DTYPE_FLOAT, 1, 64, 11, 52, false, DTYPE_IEEE},
	{"bfloat16", DTYPE_MINIFLOAT, 1, 16, 8, 7, false, DTYPE_IEEE},
	{"float8_e4m3fn", DTYPE_MINIFLOAT, 1, 8, 4, 3, true, DTYPE_NAN_ONES},
	{"float8_e5m2", DTYPE_MINIFLOAT, 1, 8, 5, 2, false, DTYPE_IEEE},
	{"float8_e4m3fnuz", DTYPE_MINIFLOAT, 1, 8, 4, 3, true, DTYPE_NAN_ZERO},
	{"float8_e5m2fnuz", DTYPE_MINIFLOAT, 1, 8, 5, 2, true, DTYPE_NAN_ZERO},
	{"float8_e8m0fnu", DTYPE_MINIFLOAT, 1, 8, 8, 0, true, DTYPE_NAN_ONES},
	{"float6_e2m3fn", DTYPE_MINIFLOAT, 1, 6, 2, 3, true, DTYPE_NAN_NEVER},
	{"float6_e3m2fn", DTYPE_MINIFLOAT, 1, 6, 3, 2, true, DTYPE_NAN_NEVER},
	{"float4_e2m1fn", DTYPE_MINIFLOAT, 1, 4, 2, 1, true, DTYPE_NAN_NEVER},
	{"bool", DTYPE_BOOL, .block = 1, .bits = 8},
	{"int8", DTYPE_INT, .block = 1, .bits = 8},
	{"int16", DTYPE_INT, .block = 1, .bits = 16},
	{"int32", DTYPE_INT, .block = 1, .bits = 32},
	{"int64", DTYPE_INT, .block = 1, .bits = 64},
	{"uint8", DTYPE_UINT, .block = 1, .bits = 8},
	{"uint16", DTYPE_UINT, .block = 1, .bits = 16},
	{"uint32", DTYPE_UINT, .block = 1, .bits = 32},
	{"uint64", DTYPE_UINT, .block = 1, .bits = 64},
	{"int2", DTYPE_INT, .block = 1, .bits = 2},
	{"int4", DTYPE_INT, .block = 1, .bits = 4},
	{"uint1", DTYPE_UINT, .block = 1, .bits = 1},
	{"uint2", DTYPE_UINT, .block = 1, .bits = 2},
	{"uint3", DTYPE_UINT, .block = 1, .bits = 3},
	{"uint4", DTYPE_UINT, .block = 1, .bits = 4},
	{"uint6", DTYPE_UINT, .block = 1, .bits = 6},
	{"complex32", DTYPE_COMPLEX, .block = 1, .bits = 32},
	{"complex64", DTYPE_COMPLEX, .block = 1, .bits = 64},
	{"complex128", DTYPE_COMPLEX, .block = 1, .bits = 128},
	/* numpy's long double: 80 bits or 128, by the machine that wrote it */
	{"float128", DTYPE_OPAQUE, .block = 1, .bits = 128},
	{"complex256", DTYPE_OPAQUE, .block = 1, .bits = 256},
	{"string", DTYPE_NONE, .block = 1},
	{"object", DTYPE_NONE, .block = 1},
	{"reference", DTYPE_NONE, .block = 1},
	/* ggml: elements and bytes of a block */
	{"Q4_0", DTYPE_BLOCK, .block = 32, .bits = 18 * 8},
	{"Q4_1", DTYPE_BLOCK, .block = 32, .bits = 20 * 8},
	{"Q5_0", DTYPE_BLOCK, .block = 32, .bits = 22 * 8},
	{"Q5_1", DTYPE_BLOCK, .block = 32, .bits = 24 * 8},
	{"Q8_0", DTYPE_BLOCK, .block = 32, .bits = 34 * 8},
	{"Q8_1", DTYPE_BLOCK, .block = 32, .bits = 36 * 8},
	{"Q2_K", DTYPE_BLOCK, .block = 256, .bits = 84 * 8},
	{"Q3_K", DTYPE_BLOCK, .block = 256, .bits = 110 * 8},
	{"Q4_K", DTYPE_BLOCK, .block = 256, .bits = 144 * 8},
	{"Q5_K", DTYPE_BLOCK, .block = 256, .bits = 176 * 8},
	{"Q6_K", DTYPE_BLOCK, .block = 256, .bits = 210 * 8},
	{"Q8_K", DTYPE_BLOCK, .block = 256, .bits = 292 * 8},
	{"IQ2_XXS", DTYPE_BLOCK, .block = 256, .bits = 66 * 8},
	{"IQ2_XS", DTYPE_BLOCK, .block = 256, .bits = 74 * 8},
	{"IQ3_XXS", DTYPE_BLOCK, .block = 256, .bits = 98 * 8},
	{"IQ1_S", DTYPE_BLOCK, .block = 256, .bits = 50 * 8},
	{"IQ4_NL", DTYPE_BLOCK, .block = 32, .bits = 18 * 8},
	{"IQ3_S", DTYPE_BLOCK, .block = 256, .bits = 110 * 8},
	{"IQ2_S", DTYPE_BLOCK, .block = 256, .bits = 82 * 8},
	{"IQ4_XS", DTYPE_BLOCK, .block = 256, .bits = 136 * 8},
	{"IQ1_M", DTYPE_BLOCK, .block = 256, .bits = 56 * 8},
	{"TQ1_0", DTYPE_BLOCK, .block = 256, .bits = 54 * 8},
	{"TQ2_0", DTYPE_BLOCK, .block = 256, .bits = 66 * 8},
	{"MXFP4", DTYPE_BLOCK, .block = 32, .bits = 17 * 8},
	{"NVFP4", DTYPE_BLOCK, .block = 64, .bits = 36 * 8},
	{"Q1_0", DTYPE_BLOCK, .block = 128, .bits = 18 * 8},
	{"Q2_0", DTYPE_BLOCK, .block = 64, .bits = 18 * 8},
};

/* A node of the tree; its name follows it in one piece of memory. */
struct interned {
	struct dtype dtype; /* first: a dtype's address is its node's */
	size_t len;	    /* of the name, which need not end in a NUL in a key */
};

/* The only thing here that changes; see the top. */
static struct {
	pthread_mutex_t lock;
	void *tree;
} met = {PTHREAD_MUTEX_INITIALIZER, NULL};

static int compare(const void *a, const void *b)
{
	const struct interned *x = a, *y = b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->dtype.name, y->dtype.name, x->len);
}

static const struct dtype *find_word(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof vocabulary / sizeof *vocabulary; i++)
		if (strlen(vocabulary[i].name) == len &&
			memcmp(vocabulary[i].name, name, len) == 0)
			return &vocabulary[i];
	return NULL;
}

static const struct dtype *find_met(const char *name, size_t len)
{
	const struct interned key = {.dtype = {.name = name}, .len = len};
	struct interned *const *node;

	pthread_mutex_lock(&met.lock);
	node = tfind(&key, &met.tree, compare);
	pthread_mutex_unlock(&met.lock);
	return node != NULL ? &(*node)->dtype : NULL;
}

/* Adds a name, unless another thread was quicker. */
static const struct dtype *meet(
	const char *name, size_t len, enum dtype_class class, uint64_t bits)
{
	struct interned *new = calloc(1, sizeof *new + len + 1);
	struct interned *const *node;

	if (new == NULL)
		return NULL;
	memcpy(new + 1, name, len);
	new->dtype = (struct dtype){(char *)(new + 1), class, .block = 1, .bits = bits};
	new->len = len;
	pthread_mutex_lock(&met.lock);
	node = tsearch(new, &met.tree, compare);
	pthread_mutex_unlock(&met.lock);
	if (node == NULL || *node != new)
		free(new);
	return node != NULL ? &(*node)->dtype : NULL;
}

/* The n of S<n> and V<n>; 0 for all else. */
static uint64_t sized(const char *name, size_t len)
{
	uint64_t n = 0;

	if (len < 2 || (name[0] != 'S' && name[0] != 'V') || name[1] == '0')
		return 0;
	for (size_t i = 1; i < len; i++) {
		if (name[i] < '0' || name[i] > '9' || n > BYTES_MAX / 10)
			return 0;
		n = n * 10 + (uint64_t)(name[i] - '0');
	}
	return n <= BYTES_MAX ? n : 0;
}

const struct dtype *dtype_find(const char *name, size_t len)
{
	const struct dtype *found = find_word(name, len);
	uint64_t n;

	if (found == NULL)
		found = find_met(name, len);
	if (found != NULL)
		return found;
	n = sized(name, len);
	if (n == 0)
		return NULL;
	return meet(name, len, name[0] == 'S' ? DTYPE_BYTES : DTYPE_OPAQUE, n * 8);
}

const struct dtype *dtype_intern(
	const char *name, size_t len, enum dtype_class class, uint64_t bits)
{
	const struct dtype *found = dtype_find(name, len);

	return found != NULL ? found : meet(name, len, class, bits);
}

/* Elements of a shape, or UINT64_MAX where they are too many to have bytes. */
static uint64_t elements(const uint64_t *shape, unsigned rank)
{
	uint64_t n = 1;

	for (unsigned i = 0; i < rank; i++)
		if (shape[i] == 0)
			return 0;
	for (unsigned i = 0; i < rank; i++)
		if (__builtin_mul_overflow(n, shape[i], &n))
			return UINT64_MAX;
	return n;
}

int dtype_bytes(const struct dtype *dtype, const uint64_t *shape, unsigned rank,
	uint64_t *bytes, struct error *err)
{
	uint64_t n = elements(shape, rank);
	uint64_t row = rank > 0 ? shape[rank - 1] : 1;
	unsigned __int128 bits;

	if (dtype->bits == 0 || dtype->class == DTYPE_NONE)
		return error_set(
			err, EOPNOTSUPP, "dtype %s has no fixed size", dtype->name);
	if (row % dtype->block != 0)
		return error_set(err, EINVAL,
			"dtype %s: expected rows of whole blocks of %" PRIu32
			", found a row of %" PRIu64,
			dtype->name, dtype->block, row);
	bits = (unsigned __int128)(n / dtype->block) * dtype->bits;
	if (n == UINT64_MAX || bits / 8 > INT64_MAX)
		return error_set(err, EOVERFLOW,
			"expected less than 2^63 bytes of %s, found more", dtype->name);
	if (bits % 8 != 0)
		return error_set(err, EINVAL,
			"dtype %s: %" PRIu64 " elements of %" PRIu64
			" bits do not fill whole bytes",
			dtype->name, n, dtype->bits);
	*bytes = (uint64_t)(bits / 8);
	return 0;
}

size_t dtype_size(const struct dtype *dtype)
{
	return dtype->block == 1 && dtype->bits % 8 == 0 ? (size_t)(dtype->bits / 8) : 0;
}
