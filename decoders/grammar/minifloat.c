/*
 * minifloat: floats by exponent and mantissa.
 *
 * One pair of functions serves float4 to float32: a pattern is n * 2^q with
 * an n of few bits. The hard case of reading is a decimal that lies so near the
 * middle of two patterns that its double is the middle: then the decimal digits
 * themselves are compared. Nothing here depends on the locale.
 */
#include "decoders/grammar/minifloat.h"
#include "decoders/base/dtype.h"
#include "decoders/base/text.h"
#include "decoders/grammar/json_private.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 17	 /* that tell any double from its neighbours */
#define EXACT_DIGITS 767 /* that any double has at most */

static int bias(const struct dtype *dtype)
{
	return (1 << (dtype->exponent - 1)) - (dtype->special != DTYPE_NAN_ZERO);
}

/* float8_e8m0fnu: powers of two, nothing else. */
static bool powers_only(const struct dtype *dtype)
{
	return dtype->mantissa == 0;
}

static bool has_sign(const struct dtype *dtype)
{
	return dtype->exponent + dtype->mantissa < (int)dtype->bits;
}

/* The largest magnitude's pattern that is a finite number. */
static uint64_t largest(const struct dtype *dtype)
{
	uint64_t ones = ((uint64_t)1 << (dtype->exponent + dtype->mantissa)) - 1;

	if (dtype->special == DTYPE_IEEE)
		return ones - ((uint64_t)1 << dtype->mantissa);
	return dtype->special == DTYPE_NAN_ONES ? ones - 1 : ones;
}

double minifloat_decode(const struct dtype *dtype, uint64_t bits)
{
	uint64_t sign = has_sign(dtype) ? bits >> (dtype->bits - 1) & 1 : 0;
	uint64_t code = bits & (((uint64_t)1 << (dtype->exponent + dtype->mantissa)) - 1);
	uint64_t n = code & (((uint64_t)1 << dtype->mantissa) - 1);
	int e = (int)(code >> dtype->mantissa);
	double d;

	if (dtype->special == DTYPE_NAN_ZERO && sign && code == 0)
		return NAN;
	if (code > largest(dtype)) {
		d = dtype->special == DTYPE_IEEE && n == 0 ? INFINITY : NAN;
	} else {
		if (e > 0 || powers_only(dtype))
			n |= (uint64_t)1 << dtype->mantissa;
		else
			e = 1;
		d = ldexp((double)n, e - bias(dtype) - dtype->mantissa);
	}
	return sign ? -d : d;
}

/* Exact digits of a positive double as an integer and an exponent ("123e-5"),
 * or its first n digits, rounded. `out` has room for EXACT_DIGITS + 16. */
static void digits(double d, int n, char *out)
{
	char raw[EXACT_DIGITS + 32];
	int exponent, k = 0;
	char *e;

	(void)snprintf(raw, sizeof raw, "%.*e", n - 1, d);
	e = strchr(raw, 'e');
	exponent = atoi(e + 1);
	for (char *s = raw; s < e; s++)
		if (*s >= '0' && *s <= '9') /* all but the point, whatever it is */
			out[k++] = *s;
	(void)snprintf(out + k, 16, "e%d", exponent - (k - 1));
}

/* Whether the decimal is greater, equal to or less than the double that is nearest to
 * it, as magnitudes. */
static int beyond(const char *raw, size_t len, double d)
{
	char exact[EXACT_DIGITS + 16];
	struct decimal a = decimal_read(raw, len), b;

	digits(d, EXACT_DIGITS, exact);
	b = decimal_read(exact, strlen(exact));
	return decimal_compare(&a, &b);
}

/* The magnitude's pattern; may be beyond the largest. `d` is positive, finite, and
 * nearest to the decimal. */
static uint64_t round_off(
	const struct dtype *dtype, double d, const char *raw, size_t len)
{
	int least = powers_only(dtype) ? -bias(dtype) : 1 - bias(dtype);
	uint64_t one = (uint64_t)1 << dtype->mantissa, n, code;
	double scaled, part;
	int e;

	(void)frexp(d, &e);
	if (powers_only(dtype) && e - 1 < least)
		return 0;
	e = e - 1 > least ? e - 1 : least;
	scaled = ldexp(d, dtype->mantissa - e);
	n = (uint64_t)scaled;
	part = scaled - (double)n;
	code = n < one ? n
		       : ((uint64_t)(e - least + !powers_only(dtype))
				 << dtype->mantissa) +
				 n - one;
	if (part == 0.5)
		part += 0.25 * beyond(raw, len, d);
	if (part > 0.5 || (part == 0.5 && code % 2 == 1))
		code++;
	return code;
}

static int read_special(const struct dtype *dtype, const char *raw, uint64_t *code)
{
	uint64_t ones = ((uint64_t)1 << (dtype->exponent + dtype->mantissa)) - 1;
	bool nan = strncmp(raw, "NaN", 3) == 0;

	if (dtype->special == DTYPE_NAN_NEVER || (!nan && dtype->special != DTYPE_IEEE))
		return -ERANGE;
	*code = largest(dtype) + 1;
	if (nan && dtype->special == DTYPE_IEEE) /* the quiet one */
		*code += (uint64_t)1 << (dtype->mantissa - 1);
	if (nan && dtype->special == DTYPE_NAN_ZERO)
		*code = ones + 1; /* the sign alone */
	return 0;
}

static int read_finite(
	const struct dtype *dtype, const char *raw, size_t len, uint64_t *code)
{
	double d;
	int rc = decimal_double(raw, len, &d);

	if (rc < 0)
		return rc;
	d = fabs(d);
	if (isinf(d))
		return -ERANGE;
	if (dtype->bits == 64)
		memcpy(code, &d, sizeof d);
	else
		*code = d == 0 ? 0 : round_off(dtype, d, raw, len);
	return *code > largest(dtype) ? -ERANGE : 0;
}

int minifloat_read(const struct dtype *dtype, const char *raw, size_t len, uint64_t *bits)
{
	struct decimal d = decimal_read(raw, len);
	uint64_t code;
	int rc;

	if (!has_sign(dtype) && !d.special && (d.negative || d.n == 0))
		return -ERANGE; /* there is no zero in powers of two */
	rc = d.special ? read_special(dtype, raw, &code)
		       : read_finite(dtype, raw, len, &code);
	if (rc < 0)
		return rc;
	if (d.negative && !(dtype->special == DTYPE_NAN_ZERO && code == 0))
		code |= (uint64_t)1 << (dtype->bits - 1);
	*bits = code;
	return 0;
}

/* Lays out "123e-5" as Python does. */
static void put_layout(const char *number, struct text *out)
{
	size_t n = strcspn(number, "e");
	int point = atoi(number + n + 1) + (int)n; /* digits in front of the point */

	while (n > 1 && number[n - 1] == '0')
		n--;
	if (point > 16 || point < -3) {
		text_putc(out, number[0]);
		if (n > 1)
			text_printf(out, ".%.*s", (int)n - 1, number + 1);
		text_printf(out, "e%c%02d", point > 0 ? '+' : '-', abs(point - 1));
	} else if (point <= 0) {
		text_printf(out, "0.%.*s%.*s", -point, "000", (int)n, number);
	} else if (point >= (int)n) {
		text_printf(out, "%.*s%.*s.0", (int)n, number, point - (int)n,
			"0000000000000000");
	} else {
		text_printf(
			out, "%.*s.%.*s", point, number, (int)n - point, number + point);
	}
}

/* Adds one to the last digit; 9...9 are left alone, since their next number has
 * fewer digits and has been tried. */
static bool next_up(char *number)
{
	size_t i = strcspn(number, "e");

	while (i > 0 && number[i - 1] == '9')
		number[--i] = '0';
	if (i == 0)
		return false;
	number[i - 1]++;
	return true;
}

static bool reads_back(const struct dtype *dtype, const char *number, uint64_t bits)
{
	uint64_t again;

	return minifloat_read(dtype, number, strlen(number), &again) == 0 &&
	       again == bits;
}

void minifloat_put(const struct dtype *dtype, uint64_t bits, struct text *out)
{
	char number[EXACT_DIGITS + 16];
	double d = minifloat_decode(dtype, bits);

	if (isnan(d)) {
		text_puts(out, "NaN");
		return;
	}
	if (signbit(d)) {
		text_putc(out, '-');
		bits ^= (uint64_t)1 << (dtype->bits - 1);
		d = -d;
	}
	if (isinf(d) || d == 0) {
		text_puts(out, d == 0 ? "0.0" : "Infinity");
		return;
	}
	/* At powers of two the room above is twice the room below, so that the next
	 * decimal up may read back where the nearest does not. */
	for (int n = 1; n <= DIGITS_MAX; n++) {
		digits(d, n, number);
		if (reads_back(dtype, number, bits) ||
			(next_up(number) && reads_back(dtype, number, bits)))
			break;
	}
	put_layout(number, out);
}
