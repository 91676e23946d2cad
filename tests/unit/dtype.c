/* Element types: one vocabulary, sizes that are checked. */
#include "decoders/base/dtype.h"
#include "tests/unit/unit.h"
#include <errno.h>

static const struct dtype *find(const char *name)
{
	return dtype_find(name, strlen(name));
}

static int64_t bytes_of(const char *name, unsigned rank, const uint64_t *shape)
{
	const struct dtype *dtype = find(name);
	uint64_t bytes = 0;
	int rc;

	if (dtype == NULL)
		return -ENOENT;
	rc = dtype_bytes(dtype, shape, rank, &bytes, NULL);
	return rc < 0 ? rc : (int64_t)bytes;
}

#define BYTES_OF(name, ...)                                                    \
	bytes_of((name), sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), \
		(const uint64_t[]){__VA_ARGS__})

static void words(void)
{
	unit_begin("the vocabulary has the names of the design, with their widths");
	static const struct {
		const char *name;
		size_t size;
	} rows[] = {{"bool", 1}, {"int8", 1}, {"uint64", 8}, {"float16", 2},
		{"bfloat16", 2}, {"float32", 4}, {"complex32", 4}, {"complex128", 16},
		{"float8_e4m3fn", 1}, {"float8_e8m0fnu", 1}, {"float4_e2m1fn", 0},
		{"float6_e2m3fn", 0}, {"float128", 16}, {"Q4_K", 0}, {"string", 0}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (CHECK(find(rows[i].name) != NULL))
			CHECK_INT(dtype_size(find(rows[i].name)), rows[i].size);
	CHECK(find("float") == NULL);
	CHECK(find("float322") == NULL);
	CHECK(find("") == NULL);
	CHECK(dtype_find("float32, and more", 7) == find("float32"));
	CHECK(dtype_find("bool\0 and much more, behind a NUL", 34) == NULL);
}

static void sized(void)
{
	unit_begin("S<n> and V<n> are dtypes of n bytes, always the same ones");
	CHECK(find("S10") != NULL && find("S10") == find("S10"));
	CHECK_INT(dtype_size(find("S10")), 10);
	CHECK_INT(find("S10")->class, DTYPE_BYTES);
	CHECK_INT(find("V8")->class, DTYPE_OPAQUE);
	CHECK_STR(find("V8")->name, "V8");
	CHECK(dtype_intern("V8", 2, DTYPE_OPAQUE, 1) == find("V8"));

	unit_begin("S and V with zero, leading zeros, signs or 2^60 bytes and more are "
		   "no dtypes");
	static const char *const bad[] = {"S", "V", "S0", "V01", "S-1", "S+1", "S1 ",
		"s10", "V1152921504606846976", "S99999999999999999999999999999"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!CHECK(find(bad[i]) == NULL))
			unit_fail("%s", bad[i]);
	CHECK(find("V1152921504606846975") != NULL);
}

static void interning(void)
{
	static const char record[] = "[[\"re\", \"<f4\"], [\"n\", \"<i2\", [3]]]";
	const struct dtype *dtype =
		dtype_intern(record, strlen(record), DTYPE_RECORD, 80);
	char name[16];

	unit_begin("a new name is interned: the same name is the same dtype");
	CHECK(dtype != NULL && dtype->class == DTYPE_RECORD && dtype_size(dtype) == 10);
	CHECK_STR(dtype->name, record);
	CHECK(dtype_intern(record, strlen(record), DTYPE_RECORD, 80) == dtype);
	CHECK(find(record) == dtype);
	CHECK(dtype_intern("float32", 7, DTYPE_OPAQUE, 1) == find("float32"));
	CHECK(dtype_intern("a\0b", 3, DTYPE_OPAQUE, 8) !=
		dtype_intern("a", 1, DTYPE_OPAQUE, 8));

	unit_begin("many names stay apart");
	for (int i = 0; i < 5000; i++) {
		int n = snprintf(name, sizeof name, "F%d", i);
		dtype_intern(name, (size_t)n, DTYPE_OPAQUE, (uint64_t)i);
	}
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof name, "F%d", i);
		CHECK(find(name) != NULL && find(name)->bits == (uint64_t)i);
	}
}

static void sizes(void)
{
	unit_begin("the bytes of a tensor are the product of its shape");
	CHECK_INT(BYTES_OF("float32", 768, 768), 768 * 768 * 4);
	CHECK_INT(bytes_of("float64", 0, NULL), 8);
	CHECK_INT(BYTES_OF("float4_e2m1fn", 3, 2), 3);
	CHECK_INT(BYTES_OF("Q4_K", 2, 512), 2 * 2 * 144);
	CHECK_INT(BYTES_OF("bool", UINT64_MAX, UINT64_MAX, 0), 0);

	unit_begin("sizes that do not work out are refused, each with its errno");
	CHECK_INT(BYTES_OF("float4_e2m1fn", 3), -EINVAL);
	CHECK_INT(BYTES_OF("Q4_K", 512, 2), -EINVAL);
	CHECK_INT(bytes_of("Q4_K", 0, NULL), -EINVAL);
	CHECK_INT(BYTES_OF("uint8", (uint64_t)1 << 63), -EOVERFLOW);
	CHECK_INT(BYTES_OF("uint8", ((uint64_t)1 << 63) - 1), INT64_MAX);
	CHECK_INT(BYTES_OF("uint8", (uint64_t)1 << 32, (uint64_t)1 << 32), -EOVERFLOW);
	CHECK_INT(BYTES_OF("uint8", UINT64_MAX), -EOVERFLOW);
	CHECK_INT(BYTES_OF("string", 3), -EOPNOTSUPP);
}

int main(void)
{
	words();
	sized();
	interning();
	sizes();
	return unit_end();
}
