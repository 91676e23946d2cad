/* Values that JSON has no notation for: one image each, there and back. */
#include "decoders/grammar/image.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/grammar/json.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

static const struct dtype *find(const char *name)
{
	return dtype_find(name, strlen(name));
}

/* Puts one element and compares its text. */
static void shows(const char *name, uint64_t bits, const char *want)
{
	AUTO_TEXT out = {0};

	CHECK_INT(image_put_element(&out, find(name), &bits), 0);
	if (!CHECK_STR(out.bytes, want))
		unit_fail("%s", name);
}

/* The element that a text gives, or a negative errno. */
static int64_t element(const char *name, const char *json_text, struct error *err)
{
	AUTO_JSON *json = NULL;
	int64_t bits = 0;
	int rc = json_parse(&json, json_text, strlen(json_text), JSON_NONFINITE, err);

	if (rc == 0)
		rc = image_get_element(find(name), json, 0, &bits, err);
	return rc < 0 ? rc : bits;
}

static void refuses(const char *name, const char *json_text, int rc, const char *why)
{
	struct error err = {0};

	CHECK_INT(element(name, json_text, &err), rc);
	CHECK_STR(err.text, why);
}

static void integers(void)
{
	unit_begin("integers are exact over their whole range");
	shows("int64", 9007199254740993, "9007199254740993");
	shows("int64", (uint64_t)INT64_MIN, "-9223372036854775808");
	shows("uint64", UINT64_MAX, "18446744073709551615");
	shows("int8", 0x80, "-128");
	shows("uint16", 0xffff, "65535");
	shows("bool", 1, "true");
	CHECK_INT(element("int64", "9007199254740993", NULL), 9007199254740993);
	CHECK_INT(element("uint64", "18446744073709551615", NULL), -1);
	CHECK_INT(element("int8", "-128.0", NULL), 0x80);
	CHECK_INT(element("uint8", "2.55e2", NULL), 255);
	CHECK_INT(element("bool", "true", NULL), 1);

	unit_begin("what an integer cannot hold is refused with its range");
	refuses("uint8", "300", -ERANGE, "expected an integer from 0 to 255, found 300");
	refuses("uint8", "-1", -ERANGE, "expected an integer from 0 to 255, found -1");
	refuses("int8", "1.5", -ERANGE,
		"expected an integer from -128 to 127, found 1.5");
	refuses("int8", "-129", -ERANGE,
		"expected an integer from -128 to 127, found -129");
	refuses("int32", "\"1\"", -EINVAL,
		"expected an integer from -2147483648 to 2147483647, found \"1\"");
	refuses("int64", "9223372036854775808", -ERANGE,
		"expected an integer from -9223372036854775808 to 9223372036854775807, "
		"found "
		"9223372036854775808");
	refuses("uint64", "NaN", -ERANGE,
		"expected an integer from 0 to 18446744073709551615, found NaN");
	refuses("bool", "1", -EINVAL, "expected true or false, found 1");
	refuses("S4", "1", -EOPNOTSUPP, "a number cannot be a S4");
	refuses("int4", "1", -EOPNOTSUPP, "a number cannot be a int4");
}

static void put_double_is(double d, const char *want)
{
	AUTO_TEXT out = {0};

	image_put_double(&out, d);
	CHECK_STR(out.bytes, want);
}

static void put_float_is(float f, const char *want)
{
	AUTO_TEXT out = {0};

	image_put_float(&out, f);
	CHECK_STR(out.bytes, want);
}

static void floats(void)
{
	unit_begin("floats have their shortest form and never look like integers");
	put_double_is(0.1, "0.1");
	put_double_is(1, "1.0");
	put_double_is(-0.0, "-0.0");
	put_double_is(1e-7, "1e-07");
	put_double_is(0.0001, "0.0001");
	put_double_is(0.00012345, "0.00012345");
	put_double_is(1e15, "1000000000000000.0");
	put_double_is(1e16, "1e+16");
	put_double_is(123456.789, "123456.789");
	put_double_is(-1.5e300, "-1.5e+300");
	put_double_is(DBL_MAX, "1.7976931348623157e+308");
	put_double_is(5e-324, "5e-324");
	put_double_is(0x1p-44, "5.684341886080802e-14");
	put_double_is(9007199254740993.0, "9007199254740992.0");
	put_double_is(NAN, "NaN");
	put_double_is(-INFINITY, "-Infinity");
	put_float_is(0.1f, "0.1");
	put_float_is(16777216, "16777216.0");
	put_float_is(FLT_MAX, "3.4028235e+38");
	put_float_is(FLT_TRUE_MIN, "1e-45");

	unit_begin("small floats are read by their own bits");
	shows("float16", 0x3555, "0.3333");
	shows("float16", 0x7bff, "65500.0");
	shows("float16", 0x0001, "6e-08");
	shows("bfloat16", 0x3dcd, "0.1");
	shows("float8_e4m3fn", 0x7e, "450.0");
	shows("float8_e4m3fn", 0x7f, "NaN");
	shows("float8_e4m3fnuz", 0x80, "NaN");
	shows("float8_e4m3fnuz", 0x7f, "240.0");
	shows("float8_e5m2", 0x7c, "Infinity");
	shows("float8_e5m2fnuz", 0x7f, "60000.0");
	shows("float8_e8m0fnu", 127, "1.0");
	shows("float8_e8m0fnu", 0, "6e-39");
	shows("float8_e8m0fnu", 255, "NaN");
	shows("complex64", 0xc00000003f800000, "{\"%complex\": [1.0, -2.0]}");
}

/* Every pattern of a width that can be walked reads back to itself. */
static void all_patterns(void)
{
	static const char *const names[] = {"float16", "bfloat16", "float8_e4m3fn",
		"float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"};

	unit_begin("every float of 8 and 16 bits reads back to its own bits");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		uint64_t n = (uint64_t)1 << find(names[i])->bits;

		for (uint64_t bits = 0; bits<n; bits += n> 256 ? 7 : 1) {
			AUTO_TEXT out = {0};

			CHECK_INT(image_put_element(&out, find(names[i]), &bits), 0);
			if (strcmp(out.bytes, "NaN") == 0 ||
				strcmp(out.bytes, "-NaN") == 0)
				continue;
			if (!CHECK_INT(element(names[i], out.bytes, NULL), (int64_t)bits))
				unit_fail("%s %s", names[i], out.bytes);
		}
	}
}

/* What C's own functions, in the C locale, say of float32 and float64. */
static void agreement(void)
{
	uint64_t random = 88172645463325252u;

	unit_begin("float32 and float64 agree with the C library");
	for (int i = 0; i < 3000; i++) {
		AUTO_TEXT out = {0};
		char decimal[64];
		uint32_t bits;
		float f;
		double d;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		bits = (uint32_t)random;
		memcpy(&f, &bits, sizeof f);
		memcpy(&d, &random, sizeof d);
		if (!isfinite(f) || !isfinite(d))
			continue;
		image_put_double(&out, d);
		CHECK(strtod(out.bytes, NULL) == d);
		text_clear(&out);
		image_put_float(&out, f);
		CHECK(strtof(out.bytes, NULL) == f);
		/* the middle between a float and the next, and a breath beside it */
		d = ((double)f + (double)nextafterf(f, 0)) / 2;
		for (int more = 0; more < 3; more++) {
			(void)snprintf(decimal, sizeof decimal, "%.*e", 16 + more, d);
			f = strtof(decimal, NULL);
			memcpy(&bits, &f, sizeof bits);
			CHECK_INT(element("float32", decimal, NULL), bits);
		}
	}
}

static void rounding(void)
{
	unit_begin("a decimal is rounded once, even beside the middle of two floats");
	/* 1 + 2^-11 is the middle of two float16; a double cannot tell these apart */
	CHECK_INT(element("float16", "1.00048828125", NULL), 0x3c00);
	CHECK_INT(element("float16", "1.000488281250000000000000000001", NULL), 0x3c01);
	CHECK_INT(element("float16", "1.00146484375", NULL), 0x3c02);
	CHECK_INT(element("float16", "1.001464843749999999999999999999", NULL), 0x3c01);
	CHECK_INT(element("float32", "1.00000005960464477539062500000000001", NULL),
		0x3f800001);
	CHECK_INT(element("float32", "1.000000059604644775390625", NULL), 0x3f800000);
	CHECK_INT(element("float32", "16777217", NULL), 0x4b800000);
	CHECK_INT(element("float8_e8m0fnu", "1.5", NULL), 128);
	CHECK_INT(element("float8_e8m0fnu", "3", NULL), 128);
	CHECK_INT(element("float16", "-0.0", NULL), 0x8000);
	CHECK_INT(element("float8_e4m3fnuz", "-0.0", NULL), 0);
	CHECK_INT(element("float32", "1e-999999999999999999999", NULL), 0);
	CHECK_INT(element("float8_e5m2", "Infinity", NULL), 0x7c);
	CHECK_INT(element("float8_e5m2", "-Infinity", NULL), 0xfc);
	CHECK_INT(element("float8_e4m3fn", "NaN", NULL), 0x7f);
	CHECK_INT(element("float8_e4m3fnuz", "NaN", NULL), 0x80);
	CHECK_INT(element("float8_e8m0fnu", "NaN", NULL), 0xff);

	unit_begin("what a float cannot hold is refused, never made infinite");
	refuses("float16", "65520", -ERANGE,
		"expected a number that a float16 can hold, found 65520");
	CHECK_INT(element("float16", "65519.999999999999999999999", NULL), 0x7bff);
	CHECK_INT(element("float8_e4m3fn", "464", NULL), 0x7e);
	CHECK_INT(element("float8_e4m3fn", "465", NULL), -ERANGE);
	CHECK_INT(element("float8_e4m3fn", "Infinity", NULL), -ERANGE);
	CHECK_INT(element("float32", "1e39", NULL), -ERANGE);
	CHECK_INT(element("float64", "1e309", NULL), -ERANGE);
	CHECK_INT(element("float8_e8m0fnu", "0", NULL), -ERANGE);
	CHECK_INT(element("float8_e8m0fnu", "-1", NULL), -ERANGE);
	refuses("float32", "[1]", -EINVAL, "expected a number, found a list of length 1");
	refuses("float32", "\"0.5\"", -EINVAL, "expected a number, found \"0.5\"");
}

static void locales(void)
{
	unit_begin("the locale changes nothing");
	if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL)
		(void)setlocale(LC_ALL, "");
	put_double_is(0.5, "0.5");
	CHECK_INT(element("float32", "0.5", NULL), 0x3f000000);
	(void)setlocale(LC_ALL, "C");
}

static void complexes(void)
{
	unit_begin("a complex number is a pair");
	CHECK_INT(element("complex64", "{\"%complex\": [1, -2.0]}", NULL),
		(int64_t)0xc00000003f800000);
	CHECK_INT(element("complex32", "{\"%complex\": [1, 1]}", NULL), 0x3c003c00);
	refuses("complex64", "{\"%complex\": [1]}", -EINVAL,
		"expected {\"%complex\": [re, im]}, found an object");
	refuses("complex64", "1", -EINVAL, "expected {\"%complex\": [re, im]}, found 1");
	refuses("complex32", "{\"%complex\": [1, 1e9]}", -ERANGE,
		"expected a number that a float16 can hold, found 1e9");
}

static void bytes_are(
	const char *json_text, int want_rc, const char *want, size_t want_len)
{
	AUTO_JSON *json = NULL;
	AUTO_TEXT out = {0};

	CHECK_INT(json_parse(&json, json_text, strlen(json_text), 0, NULL), 0);
	CHECK_INT(image_get_string(json, 0, &out, NULL), want_rc);
	if (want_rc == 0)
		CHECK_BYTES(out.bytes, out.len, want, want_len);
}

static void strings(void)
{
	AUTO_TEXT out = {0};
	unsigned char all[256];

	unit_begin("bytes that are no UTF-8 are base64, all others strings");
	image_put_string(&out, "a\xc3\xa9\"", 4);
	image_put_string(&out, "\xff", 1);
	image_put_string(&out, "", 0);
	CHECK_STR(out.bytes, "\"a\xc3\xa9\\\"\"{\"%bytes\": \"/w==\"}\"\"");

	unit_begin("bytes come back from both images");
	for (int i = 0; i < 256; i++)
		all[i] = (unsigned char)(255 - i);
	for (size_t n = 0; n <= 256; n++) {
		text_clear(&out);
		image_put_bytes(&out, all, n);
		bytes_are(out.bytes, 0, (char *)all, n);
	}
	bytes_are("\"a\\u0000b\"", 0, "a\0b", 3);

	unit_begin("base64 that is not exactly one image is refused");
	static const char *const bad[] = {"{\"%bytes\": \"A\"}", "{\"%bytes\": \"AA=A\"}",
		"{\"%bytes\": \"/x==\"}", "{\"%bytes\": \"====\"}",
		"{\"%bytes\": \"AA= \"}", "{\"%bytes\": \"AA==AA==\"}",
		"{\"%bytes\": \"A\\u0000==\"}", "{\"%bytes\": 1}",
		"{\"%bytes\": \"\", \"a\": 1}", "{}", "1", "\"\\ud800\""};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		bytes_are(bad[i], -EINVAL, NULL, 0);
}

/* A key put into an object of n members and read again. */
static void key_survives(const char *key, size_t len, size_t n_keys, const char *image)
{
	AUTO_TEXT out = {0}, back = {0};
	AUTO_JSON *json = NULL;

	text_putc(&out, '{');
	image_put_key(&out, key, len, n_keys);
	if (image != NULL)
		CHECK_STR(out.bytes + 1, image);
	text_puts(&out, n_keys == 1 ? "1}" : "1, \"other\": 2}");
	if (!CHECK_INT(json_parse(&json, out.bytes, out.len, 0, NULL), 0))
		return;
	CHECK_INT(image_tagged(json, 0, "bytes"), JSON_NONE);
	image_key(json, json_first(json, 0), &back);
	CHECK_BYTES(back.bytes, back.len, key, len);
}

static void keys(void)
{
	AUTO_JSON *json = NULL;

	unit_begin("a real key never reads as an image, and comes back");
	key_survives("%bytes", 6, 1, "\"%%bytes\": ");
	key_survives("%%bytes", 7, 1, "\"%%%bytes\": ");
	key_survives("%bytes", 6, 2, "\"%bytes\": ");
	key_survives("%%", 2, 2, "\"%%\": ");
	key_survives("%", 1, 1, "\"%%\": ");
	key_survives("plain", 5, 1, "\"plain\": ");
	key_survives("", 0, 1, NULL);

	unit_begin("bytes of a key that are no UTF-8 come back");
	key_survives("a\xff\x80z\xc3", 5, 2, "\"a\\udcff\\udc80z\\udcc3\": ");
	key_survives("\xed\xb2\x80", 3, 1, NULL);
	key_survives("\xed\xa0\x80\xc3\xa9", 5, 1, NULL);

	unit_begin("an image is an object with its tag alone");
	static const char text[] = "[{\"%ref\": 5}, {\"%ref\": 5, \"a\": 1}, 1]";
	CHECK_INT(json_parse(&json, text, strlen(text), 0, NULL), 0);
	CHECK_INT(image_tagged(json, 1, "ref"), 2);
	CHECK_INT(image_tagged(json, 1, "re"), JSON_NONE);
	CHECK_INT(image_tagged(json, 3, "ref"), JSON_NONE);
	CHECK_INT(image_tagged(json, 6, "ref"), JSON_NONE);
}

int main(void)
{
	integers();
	floats();
	all_patterns();
	agreement();
	rounding();
	locales();
	complexes();
	strings();
	keys();
	return unit_end();
}
