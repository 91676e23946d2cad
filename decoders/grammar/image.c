/*
 * image: the codec of DESIGN 1.4 between values of containers and JSON.
 */
#include "decoders/grammar/image.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/base/utf8.h"
#include "decoders/grammar/json_private.h"
#include "decoders/grammar/minifloat.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char base64[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void image_put_int(struct text *out, int64_t v)
{
	text_printf(out, "%" PRId64, v);
}

void image_put_uint(struct text *out, uint64_t v)
{
	text_printf(out, "%" PRIu64, v);
}

void image_put_double(struct text *out, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof bits);
	minifloat_put(dtype_find("float64", 7), bits, out);
}

void image_put_float(struct text *out, float v)
{
	uint32_t bits;

	memcpy(&bits, &v, sizeof bits);
	minifloat_put(dtype_find("float32", 7), bits, out);
}

void image_put_bool(struct text *out, bool v)
{
	text_puts(out, v ? "true" : "false");
}

static void put_base64(struct text *out, const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t word = (uint32_t)bytes[i] << 16 |
				(n > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
				(n > 2 ? bytes[i + 2] : 0);
		char four[4] = {base64[word >> 18], base64[word >> 12 & 63],
			n > 1 ? base64[word >> 6 & 63] : '=',
			n > 2 ? base64[word & 63] : '='};

		text_put(out, four, sizeof four);
	}
}

void image_put_bytes(struct text *out, const void *bytes, size_t len)
{
	text_puts(out, "{\"%bytes\": \"");
	put_base64(out, bytes, len);
	text_puts(out, "\"}");
}

void image_put_string(struct text *out, const void *bytes, size_t len)
{
	if (json_utf8(bytes, len))
		json_put_string(out, bytes, len);
	else
		image_put_bytes(out, bytes, len);
}

void image_put_key(struct text *out, const char *key, size_t len, size_t n_keys)
{
	AUTO_TEXT name = {0};
	uint32_t code;
	char form[4];

	if (n_keys == 1 && len > 0 && key[0] == '%')
		text_putc(&name, '%');
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_read(key + i, len - i, &code);
		text_put(&name, key + i, n);
		if (n == 0) {
			n = 1;
			code = 0xdc00u | (unsigned char)key[i];
			text_put(&name, form, utf8_write(form, code));
		}
	}
	json_put_string(out, name.len > 0 ? name.bytes : "", name.len);
	text_puts(out, ": ");
	out->failed |= name.failed;
}

static uint64_t load(const void *bytes, size_t size)
{
	const unsigned char *byte = bytes;
	uint64_t v = 0;

	while (size-- > 0)
		v = v << 8 | byte[size];
	return v;
}

static void store(void *bytes, size_t size, uint64_t v)
{
	unsigned char *byte = bytes;

	for (size_t i = 0; i < size; i++, v >>= 8)
		byte[i] = (unsigned char)v;
}

/* The dtype of the two halves of a complex one. */
static const struct dtype *half(const struct dtype *dtype)
{
	switch (dtype->bits) {
	case 32: return dtype_find("float16", 7);
	case 64: return dtype_find("float32", 7);
	default: return dtype_find("float64", 7);
	}
}

static int put_complex(struct text *out, const struct dtype *part, const void *bytes)
{
	size_t size = dtype_size(part);

	text_puts(out, "{\"%complex\": [");
	minifloat_put(part, load(bytes, size), out);
	text_puts(out, ", ");
	minifloat_put(part, load((const char *)bytes + size, size), out);
	text_puts(out, "]}");
	return 0;
}

static int64_t extend(uint64_t v, size_t size)
{
	unsigned shift = 64 - 8 * (unsigned)size;

	return (int64_t)(v << shift) >> shift;
}

int image_put_element(struct text *out, const struct dtype *dtype, const void *bytes)
{
	size_t size = dtype_size(dtype);

	if (size == 0)
		return -EOPNOTSUPP;
	switch (dtype->class) {
	case DTYPE_BOOL: image_put_bool(out, load(bytes, size) != 0); return 0;
	case DTYPE_INT: image_put_int(out, extend(load(bytes, size), size)); return 0;
	case DTYPE_UINT: image_put_uint(out, load(bytes, size)); return 0;
	case DTYPE_FLOAT:
	case DTYPE_MINIFLOAT: minifloat_put(dtype, load(bytes, size), out); return 0;
	case DTYPE_COMPLEX: return put_complex(out, half(dtype), bytes);
	default: return -EOPNOTSUPP;
	}
}

static int get_bool(
	const struct json *json, json_value v, uint64_t *out, struct error *err)
{
	enum json_type type = json_type(json, v);

	if (type != JSON_TRUE && type != JSON_FALSE)
		return json_refuse(json, v, "true or false", EINVAL, err);
	*out = type == JSON_TRUE;
	return 0;
}

static int get_integer(const struct dtype *dtype, const struct json *json, json_value v,
	uint64_t *out, struct error *err)
{
	bool is_signed = dtype->class == DTYPE_INT;
	uint64_t max = UINT64_MAX >> (64 - dtype->bits + is_signed);
	char expected[80];
	int64_t i;
	int rc;

	(void)snprintf(expected, sizeof expected,
		"an integer from %" PRId64 " to %" PRIu64,
		is_signed ? -(int64_t)max - 1 : 0, max);
	if (json_type(json, v) != JSON_NUMBER)
		return json_refuse(json, v, expected, EINVAL, err);
	if (is_signed) {
		rc = json_int64(json, v, &i, NULL);
		if (rc < 0 || i > (int64_t)max || i < -(int64_t)max - 1)
			return json_refuse(json, v, expected, ERANGE, err);
		*out = (uint64_t)i;
		return 0;
	}
	rc = json_uint64(json, v, out, NULL);
	if (rc < 0 || *out > max)
		return json_refuse(json, v, expected, ERANGE, err);
	return 0;
}

static int get_float(const struct dtype *dtype, const struct json *json, json_value v,
	uint64_t *out, struct error *err)
{
	char expected[80];
	const char *raw;
	size_t len;
	int rc;

	if (json_type(json, v) != JSON_NUMBER)
		return json_refuse(json, v, "a number", EINVAL, err);
	raw = json_raw(json, v, &len);
	rc = minifloat_read(dtype, raw, len, out);
	if (rc == -ENOMEM)
		return error_set(err, ENOMEM, "not enough memory for a number");
	(void)snprintf(
		expected, sizeof expected, "a number that a %s can hold", dtype->name);
	return rc < 0 ? json_refuse(json, v, expected, -rc, err) : 0;
}

static int get_complex(const struct dtype *part, const struct json *json, json_value v,
	void *bytes, struct error *err)
{
	json_value pair = image_tagged(json, v, "complex");
	uint64_t re, im;
	int rc;

	if (pair == JSON_NONE || json_type(json, pair) != JSON_ARRAY ||
		json_count(json, pair) != 2)
		return json_refuse(json, v, "{\"%complex\": [re, im]}", EINVAL, err);
	rc = get_float(part, json, pair + 1, &re, err);
	if (rc == 0)
		rc = get_float(part, json, json_next(json, pair + 1), &im, err);
	if (rc < 0)
		return rc;
	store(bytes, dtype_size(part), re);
	store((char *)bytes + dtype_size(part), dtype_size(part), im);
	return 0;
}

int image_get_element(const struct dtype *dtype, const struct json *json, json_value v,
	void *bytes, struct error *err)
{
	size_t size = dtype_size(dtype);
	uint64_t bits = 0;
	int rc = -EOPNOTSUPP;

	if (dtype->class == DTYPE_COMPLEX)
		return get_complex(half(dtype), json, v, bytes, err);
	if (size > 0 && dtype->class == DTYPE_BOOL)
		rc = get_bool(json, v, &bits, err);
	else if (size > 0 && (dtype->class == DTYPE_INT || dtype->class == DTYPE_UINT))
		rc = get_integer(dtype, json, v, &bits, err);
	else if (size > 0 &&
		 (dtype->class == DTYPE_FLOAT || dtype->class == DTYPE_MINIFLOAT))
		rc = get_float(dtype, json, v, &bits, err);
	else
		(void)error_set(err, EOPNOTSUPP, "a number cannot be a %s", dtype->name);
	if (rc == 0)
		store(bytes, size, bits);
	return rc;
}

/* The value of a base64 digit, or -1. */
static int digit(char c)
{
	const char *at = c != '\0' ? strchr(base64, c) : NULL;

	return at != NULL ? (int)(at - base64) : -1;
}

/* Decodes groups of four; strict, so that bytes have one image only. */
static bool get_base64(const char *s, size_t len, struct text *out)
{
	for (size_t i = 0; i < len; i += 4) {
		bool last = i + 4 == len;
		size_t n = last && s[i + 3] == '=' ? (s[i + 2] == '=' ? 1 : 2) : 3;
		uint32_t word = 0;
		char three[3];

		for (size_t k = 0; k < 4; k++) {
			if (k <= n && digit(s[i + k]) < 0)
				return false;
			word = word << 6 | (k <= n ? (uint32_t)digit(s[i + k]) : 0);
		}
		if ((word & (0xffffffu >> (8 * n))) != 0)
			return false;
		for (size_t k = 0; k < 3; k++)
			three[k] = (char)(word >> (16 - 8 * k));
		text_put(out, three, n);
	}
	return true;
}

int image_get_string(
	const struct json *json, json_value v, struct text *out, struct error *err)
{
	json_value bytes = image_tagged(json, v, "bytes");
	AUTO_TEXT raw = {0}, decoded = {0};
	bool string = json_type(json, v) == JSON_STRING;

	if (!string && (bytes == JSON_NONE || json_type(json, bytes) != JSON_STRING))
		return json_refuse(
			json, v, "a string or {\"%bytes\": base64}", EINVAL, err);
	json_string(json, string ? v : bytes, &raw);
	if (string && !raw.failed && !json_utf8(raw.bytes, raw.len))
		return json_refuse(json, v, "whole characters", EINVAL, err);
	if (!string && !raw.failed &&
		(raw.len % 4 != 0 || !get_base64(raw.bytes, raw.len, &decoded)))
		return json_refuse(json, bytes, "base64 with its padding", EINVAL, err);
	if (raw.failed || decoded.failed)
		return error_set(err, ENOMEM, "not enough memory for a string");
	text_put(out, string ? raw.bytes : decoded.bytes, string ? raw.len : decoded.len);
	return text_check(out, err);
}

json_value image_tagged(const struct json *json, json_value v, const char *tag)
{
	AUTO_TEXT key = {0};
	json_value member;

	if (json_type(json, v) != JSON_OBJECT || json_count(json, v) != 1)
		return JSON_NONE;
	text_putc(&key, '%');
	text_puts(&key, tag);
	member = json_first(json, v);
	if (key.failed || !json_key_is(json, member, key.bytes, key.len))
		return JSON_NONE;
	return member;
}

void image_key(const struct json *json, json_value member, struct text *out)
{
	bool only = json_count(json, json_parent(json, member)) == 1;
	AUTO_TEXT key = {0};
	size_t i;

	json_key(json, member, &key);
	i = only && key.len > 1 && memcmp(key.bytes, "%%", 2) == 0;
	while (i < key.len) {
		const unsigned char *s = (const unsigned char *)key.bytes + i;

		if (key.len - i >= 3 && s[0] == 0xed && (s[1] & 0xfe) == 0xb2) {
			text_putc(out, (char)((s[1] & 3) << 6 | (s[2] & 0x3f)));
			i += 3;
		} else {
			text_putc(out, key.bytes[i++]);
		}
	}
	out->failed |= key.failed;
}
