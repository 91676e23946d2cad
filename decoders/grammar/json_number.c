/*
 * json_number: numbers by their exact value.
 *
 * A number is its significant digits and the power of ten of the first one,
 * read where they stand: no size of number loses anything and nothing is
 * allocated. 1.50e3, 1500 and 0.15E+4 are "15" and 3.
 */
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/grammar/json_private.h"
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SHOWN 80 /* bytes of a name in a message */
/* Exponents are exact up to here, which leaves room for the length of a text. */
#define EXPONENT_MAX 999999999999999999

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads what stands behind 'e'. False when it is out of range. */
static bool read_exponent(const char *s, const char *end, int64_t *exponent)
{
	bool negative = s < end && *s == '-';

	*exponent = 0;
	for (s += s < end && !digit(*s); s < end; s++) {
		if (*exponent > EXPONENT_MAX / 10)
			return false;
		*exponent = *exponent * 10 + (*s - '0');
	}
	if (negative)
		*exponent = -*exponent;
	return true;
}

struct decimal decimal_read(const char *raw, size_t len)
{
	struct decimal d = {.negative = len > 0 && *raw == '-'};
	const char *s = raw + d.negative, *end = raw + len, *last = NULL;
	int64_t power = -1, exponent = 0; /* power: of the digit at s */
	size_t n = 0;			  /* digits from the first one that is not zero */

	if (s == end || !digit(*s)) {
		d.special = true;
		return d;
	}
	for (const char *i = s; i < end && digit(*i); i++)
		power++;
	for (; s < end && (digit(*s) || *s == '.'); s++) {
		if (*s == '.')
			continue;
		if (*s != '0' && last == NULL) {
			d.first = s;
			d.exponent = power;
		}
		n += d.first != NULL;
		if (*s != '0') {
			last = s;
			d.n = n;
		}
		power--;
	}
	if (s < end && last != NULL)
		d.extreme = !read_exponent(s + 1, end, &exponent);
	d.exponent += exponent;
	return d;
}

/* The i-th of the digits, given where the one before was. */
static char next_digit(const char **s)
{
	if (**s == '.')
		++*s;
	return *(*s)++;
}

int decimal_compare(const struct decimal *a, const struct decimal *b)
{
	const char *x = a->first, *y = b->first;
	size_t n = a->n < b->n ? a->n : b->n;

	if (a->n == 0 || b->n == 0)
		return (a->n > 0) - (b->n > 0);
	if (a->exponent != b->exponent)
		return a->exponent < b->exponent ? -1 : 1;
	while (n-- > 0) {
		char p = next_digit(&x), q = next_digit(&y);

		if (p != q)
			return p < q ? -1 : 1;
	}
	return (a->n > b->n) - (a->n < b->n);
}

bool decimal_equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
	struct decimal x, y;

	if (a_len == b_len && memcmp(a, b, a_len) == 0)
		return true;
	x = decimal_read(a, a_len);
	y = decimal_read(b, b_len);
	if (x.special || y.special || x.extreme || y.extreme)
		return false;
	return x.negative == y.negative && decimal_compare(&x, &y) == 0;
}

uint64_t decimal_hash(const char *raw, size_t len)
{
	struct decimal d = decimal_read(raw, len);
	const char *s = d.first;
	uint64_t hash = (uint64_t)d.exponent * 2 + d.negative;

	/* These are equal to nothing but their own text. */
	if (d.special || d.extreme)
		return len * 31 + (unsigned char)raw[0];
	for (size_t i = 0; i < d.n; i++)
		hash = (hash ^ (unsigned char)next_digit(&s)) * 0x100000001b3;
	return hash;
}

int decimal_double(const char *raw, size_t len, double *out)
{
	locale_t c = newlocale(LC_ALL_MASK, "C", NULL);
	char few[64] = "";
	AUTO_TEXT many = {0};

	/* strtod wants an end, which the text of a number need not have. */
	if (len < sizeof few) {
		memcpy(few, raw, len);
		*out = strtod_l(few, NULL, c);
		return 0;
	}
	text_put(&many, raw, len);
	if (many.failed)
		return -ENOMEM;
	*out = strtod_l(many.bytes, NULL, c);
	return 0;
}

int json_refuse(const struct json *json, json_value v, const char *expected, int code,
	struct error *err)
{
	size_t len;
	const char *raw = json_raw(json, v, &len);
	enum json_type type = json_type(json, v);

	if (type == JSON_ARRAY && json_count(json, v) > 0)
		return error_set(err, code, "expected %s, found a list of length %zu",
			expected, json_count(json, v));
	if (type == JSON_OBJECT || type == JSON_ARRAY)
		return error_set(err, code, "expected %s, found %s", expected,
			type == JSON_ARRAY ? "an empty list" : json_type_name(type));
	return error_set(err, code, "expected %s, found %.*s%s", expected,
		(int)(len < 60 ? len : 60), raw, len < 60 ? "" : "...");
}

void json_locate(
	const struct json *json, json_value v, const char *name, struct error *err)
{
	unsigned line, column;

	json_place(json, v, &line, &column);
	if (name == NULL)
		error_prefix(err, "%u:%u", line, column);
	else
		error_prefix(err, "%u:%u: %.*s%s", line, column, NAME_SHOWN, name,
			strlen(name) > NAME_SHOWN ? "..." : "");
}

/* The magnitude of a number that is whole; -EINVAL if it is not, -ERANGE if it
 * is larger than any integer of ours. */
static int whole(const struct decimal *d, uint64_t *out)
{
	const char *s = d->first;
	uint64_t n = 0;

	*out = 0;
	if (d->special)
		return -EINVAL;
	if (d->n == 0)
		return 0;
	if (d->extreme || d->exponent > 19)
		return -ERANGE;
	if (d->exponent < (int64_t)d->n - 1)
		return -EINVAL;
	for (int64_t i = 0; i <= d->exponent; i++)
		if (__builtin_mul_overflow(n, 10u, &n) ||
			__builtin_add_overflow(n,
				i < (int64_t)d->n ? (uint64_t)(next_digit(&s) - '0') : 0,
				&n))
			return -ERANGE;
	*out = n;
	return 0;
}

static int read_whole(
	const struct json *json, json_value v, uint64_t *magnitude, bool *negative)
{
	struct decimal d;
	const char *raw;
	size_t len;

	if (json_type(json, v) != JSON_NUMBER)
		return -EINVAL;
	raw = json_raw(json, v, &len);
	d = decimal_read(raw, len);
	*negative = d.negative;
	return whole(&d, magnitude);
}

int json_int64(const struct json *json, json_value v, int64_t *out, struct error *err)
{
	uint64_t magnitude;
	bool negative;
	int rc = read_whole(json, v, &magnitude, &negative);

	if (rc == 0 && magnitude > (uint64_t)INT64_MAX + negative)
		rc = -ERANGE;
	if (rc < 0)
		return json_refuse(json, v,
			rc == -ERANGE ? "an integer from -2^63 to 2^63 - 1"
				      : "an integer",
			-rc, err);
	*out = (int64_t)(negative ? -magnitude : magnitude);
	return 0;
}

int json_uint64(const struct json *json, json_value v, uint64_t *out, struct error *err)
{
	uint64_t magnitude;
	bool negative;
	int rc = read_whole(json, v, &magnitude, &negative);

	if (rc == 0 && negative && magnitude > 0)
		rc = -ERANGE;
	if (rc < 0)
		return json_refuse(json, v,
			rc == -ERANGE ? "an integer from 0 to 2^64 - 1" : "an integer",
			-rc, err);
	*out = magnitude;
	return 0;
}

int json_double(const struct json *json, json_value v, double *out, struct error *err)
{
	const char *raw;
	size_t len;
	double d;

	if (json_type(json, v) != JSON_NUMBER)
		return json_refuse(json, v, "a number", EINVAL, err);
	raw = json_raw(json, v, &len);
	if (decimal_double(raw, len, &d) < 0)
		return error_set(err, ENOMEM, "not enough memory for a number");
	if (isinf(d) && raw[len - 1] != 'y')
		return json_refuse(
			json, v, "a number that a float64 can hold", ERANGE, err);
	*out = d;
	return 0;
}
