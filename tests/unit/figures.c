/* Elements as numbers, and what is said of many of them. */
#include "fs/figures.h"
#include "decoders/base/dtype.h"
#include "decoders/grammar/elements.h"
#include "decoders/grammar/minifloat.h"
#include "tests/unit/unit.h"
#include <math.h>
#include <stdlib.h>

#define N FIGURES_BLOCK

static double aligned[4][N] __attribute__((aligned(64)));

static const struct dtype *find(const char *name)
{
	return dtype_find(name, strlen(name));
}

static bool same_number(double a, double b)
{
	return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

/* Every pattern of a float of 8 or 16 bits, at an odd address. */
static void check_patterns(const char *name)
{
	const struct dtype *dtype = find(name);
	struct elements elements;
	unsigned char bytes[2 * N + 1];
	size_t size = dtype->bits / 8;

	CHECK(elements_init(&elements, dtype));
	for (uint64_t first = 0; first < (uint64_t)1 << dtype->bits; first += N) {
		size_t n = dtype->bits < 10 ? 256 : N;
		for (size_t i = 0; i < n; i++) {
			uint16_t code = (uint16_t)(first + i);
			memcpy(bytes + 1 + i * size, &code, size);
		}
		elements_decode(&elements, bytes + 1, n, aligned[0]);
		for (size_t i = 0; i < n; i++)
			if (!same_number(
				    aligned[0][i], minifloat_decode(dtype, first + i)))
				unit_fail("%s %#jx is %g", name, (uintmax_t)(first + i),
					aligned[0][i]);
	}
}

static void decoding(void)
{
	static const char *const floats[] = {"float16", "bfloat16", "float8_e4m3fn",
		"float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"};
	static const char *const none[] = {"S5", "V3", "string", "Q4_K", "float128"};
	struct elements elements;

	unit_begin("every pattern of the small floats is the number that it is");
	for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
		check_patterns(floats[i]);

	unit_begin("packed numbers stand from the lowest bit on");
	CHECK(elements_init(&elements, find("int4")));
	elements_decode(&elements, "\x21\xf8", 4, aligned[0]);
	CHECK(aligned[0][0] == 1 && aligned[0][1] == 2 && aligned[0][2] == -8 &&
		aligned[0][3] == -1);
	CHECK(elements_init(&elements, find("uint3")));
	elements_decode(&elements, "\x88\xc6\xfa", 8, aligned[0]); /* 0 1 2 3 4 5 6 7 */
	for (int i = 0; i < 8; i++)
		CHECK(aligned[0][i] == i);
	CHECK_INT(elements_differ(&elements, "\x88\xc6\xfa", "\x89\xc6\x7a", 8), 2);

	unit_begin("strings, records and blocks are no numbers");
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		CHECK(!elements_init(&elements, find(none[i])));
}

/* A number from a seed, around `middle`. */
static double some(unsigned *seed, double middle)
{
	*seed = *seed * 1103515245 + 12345;
	return middle + (double)(int)(*seed >> 8) / (1 << 24) - 0.5;
}

static bool near(double a, double b, double scale)
{
	return fabs(a - b) <= 1e-13 * scale;
}

static void check_moments(double middle, size_t blocks, size_t rest)
{
	struct moments all = {0}, part = {0};
	long double sum = 0, squares = 0;
	size_t n = blocks * N + rest;
	unsigned seed = 7;

	for (size_t b = 0; b <= blocks; b++) {
		size_t count = b < blocks ? N : rest;
		for (size_t i = 0; i < count; i++)
			sum += aligned[0][i] = some(&seed, middle);
		moments_add(b % 2 ? &part : &all, aligned[0], count);
	}
	moments_merge(&all, &part);
	seed = 7;
	for (size_t i = 0; i < n; i++) {
		long double from = (long double)some(&seed, middle) - sum / n;
		squares += from * from;
	}
	CHECK_INT(all.n, n);
	CHECK(near(all.mean, (double)(sum / n), fabs(middle) + 1));
	CHECK(near(
		moments_deviation(&all), (double)sqrtl(squares / n), fabs(middle) + 1));
}

static void moments(void)
{
	struct moments none = {0};

	unit_begin("mean and deviation are right far from zero, merged or not");
	check_moments(0, 9, 0);
	check_moments(1e9, 40, 17);
	check_moments(-3, 0, 3);

	unit_begin("what is not finite is counted and left out");
	for (size_t i = 0; i < N; i++)
		aligned[0][i] = i % 4 == 0   ? NAN
				: i % 4 == 1 ? -INFINITY
				: i % 4 == 2 ? 0
					     : 2;
	moments_add(&none, aligned[0], N);
	CHECK_INT(none.nans, N / 4);
	CHECK_INT(none.infinities, N / 4);
	CHECK_INT(none.zeros, N / 4);
	CHECK(none.mean == 1 && none.min == 0 && none.max == 2);

	unit_begin("of nothing, all is zero");
	none = (struct moments){0};
	aligned[0][0] = NAN;
	moments_add(&none, aligned[0], 1);
	moments_add(&none, aligned[0], 0);
	CHECK(none.n == 0 && none.nans == 1 && moments_deviation(&none) == 0);
}

static void histograms(void)
{
	struct histogram *a = calloc(3, sizeof *a), *b = a + 1, *c = a + 2;
	double bars[4];
	unsigned seed = 3;

	unit_begin("a histogram does not depend on the order in which it grows");
	for (int i = 0; i < 60; i++) {
		double scale = ldexp(1, i - 30);
		for (size_t k = 0; k < N; k++)
			aligned[0][k] = some(&seed, 0) * scale;
		histogram_add(i % 2 ? a : b, aligned[0], N);
		histogram_add(c, aligned[0], N);
	}
	histogram_merge(b, a);
	CHECK_INT(b->n, c->n);
	CHECK_INT(b->scale, c->scale);
	CHECK(memcmp(b->bins, c->bins, sizeof b->bins) == 0);

	unit_begin("its bars are shares between the smallest and the largest");
	memset(a, 0, sizeof *a);
	for (size_t k = 0; k < N; k++)
		aligned[0][k] = (double)k / N * 4;
	histogram_add(a, aligned[0], N);
	histogram_bars(a, 0, 4, bars, 4);
	for (int i = 0; i < 4; i++)
		CHECK(fabs(bars[i] - 0.25) < 0.01);

	unit_begin("the largest and the smallest of doubles have a bar");
	memset(a, 0, sizeof *a);
	aligned[0][0] = 1.7e308;
	aligned[0][1] = -1.7e308;
	aligned[0][2] = 5e-324;
	aligned[0][3] = INFINITY;
	histogram_add(a, aligned[0], 4);
	histogram_bars(a, -1.7e308, 1.7e308, bars, 4);
	CHECK_INT(a->n, 3);
	CHECK(fabs(bars[0] + bars[1] + bars[2] + bars[3] - 1) < 1e-9);
	free(a);
}

static void agreements(void)
{
	struct agreement all = {0}, rest = {0};
	unsigned seed = 5;

	unit_begin("the cosine of a direction and itself is 1, of its opposite -1");
	for (size_t i = 0; i < N; i++) {
		aligned[0][i] = some(&seed, 0);
		aligned[1][i] = 3 * aligned[0][i];
		aligned[2][i] = aligned[1][i] - aligned[0][i];
	}
	agreement_add(&all, aligned[0], aligned[1], aligned[2], N, 0);
	CHECK(near(agreement_cosine(&all), 1, 1));
	CHECK(near(all.max_rel, 2.0 / 3, 1));
	for (size_t i = 0; i < N; i++)
		aligned[1][i] = -aligned[0][i];
	agreement_add(&rest, aligned[0], aligned[1], aligned[2], N - 3, 0);
	CHECK(near(agreement_cosine(&rest), -1, 1));
	CHECK_INT(rest.n, N - 3);

	unit_begin("equal numbers change nothing but the similarity");
	rest = all;
	agreement_add_equal(&rest, aligned[0], N - 5);
	CHECK(rest.n == all.n + N - 5 && rest.sum == all.sum &&
		rest.max_abs == all.max_abs);
	CHECK(rest.xx > all.xx && rest.beyond == all.beyond);

	unit_begin("zeros on a side have no direction");
	all = (struct agreement){0};
	memset(aligned[1], 0, sizeof aligned[1]);
	agreement_add(&all, aligned[0], aligned[1], aligned[0], N, 0);
	CHECK(isnan(agreement_cosine(&all)));
}

int main(void)
{
	decoding();
	moments();
	histograms();
	agreements();
	return unit_end();
}
