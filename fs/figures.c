/*
 * figures: loops over doubles in eight lanes.
 *
 * Variances are of a block first, from its own mean, and merged by Chan's rule; nothing
 * is squared before a mean is taken away from it. A block with NaN or infinities is found
 * by one multiplication a number, and taken in again without them.
 */
#include "fs/figures.h"
#include "decoders/base/vectors.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define SCALE_LEAST (-1000) /* so that a bin's width is no zero and no infinity */

struct block {
	double values[FIGURES_BLOCK];
} __attribute__((aligned(64)));

/* x * 0 is 0 for finite numbers, else NaN. */
WIDE static bool all_finite(const double *x, size_t n)
{
	lanes sum = {0}, all;
	double rest = 0;
	size_t i = 0;

	for (; i + LANES <= n; i += LANES) {
		memcpy(&all, x + i, sizeof all);
		sum += all * 0.0;
	}
	for (; i < n; i++)
		rest += x[i] * 0.0;
	for (i = 0; i < LANES; i++)
		rest += sum[i];
	return rest == 0;
}

/* Finite numbers to the front; how many. Counts the others. */
static size_t pick_finite(
	struct moments *moments, const double *x, size_t n, struct block *out)
{
	size_t finite = 0;

	for (size_t i = 0; i < n; i++) {
		moments->nans += isnan(x[i]) != 0;
		moments->infinities += isinf(x[i]) != 0;
		out->values[finite] = x[i];
		finite += isfinite(x[i]) != 0;
	}
	return finite;
}

/* Sums the lanes in pairs. */
static double across(const double *lane)
{
	return ((lane[0] + lane[1]) + (lane[2] + lane[3])) +
	       ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

static double least(const double *x, size_t n)
{
	double min = x[0];

	for (size_t i = 1; i < n; i++)
		min = x[i] < min ? x[i] : min;
	return min;
}

static double most(const double *x, size_t n)
{
	double max = x[0];

	for (size_t i = 1; i < n; i++)
		max = x[i] > max ? x[i] : max;
	return max;
}

/* Moments. */

/* Where `which` says so `a`, else `b`. */
#define CHOOSE(which, a, b) ((lanes)(((marks)(a) & (which)) | ((marks)(b) & ~(which))))

/* Of full lanes of finite numbers. */
WIDE static void moments_of_lanes(struct moments *out, const double *x, size_t n)
{
	const lanes *in = (const lanes *)x;
	lanes sum = {0}, squares = {0}, min = in[0], max = in[0];
	marks zeros = {0};
	double lane[LANES];

	for (size_t i = 0; i < n / LANES; i++) {
		min = CHOOSE(in[i] < min, in[i], min);
		max = CHOOSE(in[i] > max, in[i], max);
		zeros -= in[i] == 0.0;
		sum += in[i];
	}
	memcpy(lane, &sum, sizeof lane);
	out->mean = across(lane) / (double)n;
	for (size_t i = 0; i < n / LANES; i++) {
		lanes from_mean = in[i] - out->mean;
		squares += from_mean * from_mean;
	}
	memcpy(lane, &squares, sizeof lane);
	out->m2 = across(lane);
	memcpy(lane, &min, sizeof lane);
	out->min = least(lane, LANES);
	memcpy(lane, &max, sizeof lane);
	out->max = most(lane, LANES);
	out->n = n;
	for (size_t i = 0; i < LANES; i++)
		out->zeros += (uint64_t)zeros[i];
}

/* Of a few. */
static void moments_of_rest(struct moments *out, const double *x, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		sum += x[i];
		out->zeros += x[i] == 0;
	}
	out->n = n;
	out->mean = sum / (double)n;
	for (size_t i = 0; i < n; i++)
		out->m2 += (x[i] - out->mean) * (x[i] - out->mean);
	out->min = least(x, n);
	out->max = most(x, n);
}

void moments_merge(struct moments *into, const struct moments *from)
{
	double n = (double)into->n + (double)from->n;
	double apart = from->mean - into->mean;

	into->zeros += from->zeros;
	into->nans += from->nans;
	into->infinities += from->infinities;
	if (from->n == 0)
		return;
	if (into->n == 0) {
		into->n = from->n;
		into->min = from->min;
		into->max = from->max;
		into->mean = from->mean;
		into->m2 = from->m2;
		return;
	}
	into->min = from->min < into->min ? from->min : into->min;
	into->max = from->max > into->max ? from->max : into->max;
	into->m2 += from->m2 + apart * apart * ((double)into->n * (double)from->n / n);
	into->mean += apart * ((double)from->n / n);
	into->n += from->n;
}

void moments_add(struct moments *moments, const double *x, size_t n)
{
	struct moments full = {0}, rest = {0};
	struct block finite;
	size_t even;

	if (!all_finite(x, n)) {
		n = pick_finite(moments, x, n, &finite);
		x = finite.values;
	}
	even = n - n % LANES;
	if (even > 0)
		moments_of_lanes(&full, x, even);
	if (n > even)
		moments_of_rest(&rest, x + even, n - even);
	moments_merge(moments, &full);
	moments_merge(moments, &rest);
}

void moments_repeat(struct moments *moments, uint64_t times)
{
	moments->n *= times;
	moments->zeros *= times;
	moments->nans *= times;
	moments->infinities *= times;
	moments->m2 *= (double)times;
}

double moments_deviation(const struct moments *moments)
{
	return moments->n > 0 ? sqrt(moments->m2 / (double)moments->n) : 0;
}

/* Histogram. */

/* Doubles the range. */
static void widen(struct histogram *histogram)
{
	uint64_t bins[HISTOGRAM_BINS] = {0};

	for (size_t i = 0; i < HISTOGRAM_BINS; i++)
		bins[HISTOGRAM_BINS / 4 + i / 2] += histogram->bins[i];
	memcpy(histogram->bins, bins, sizeof bins);
	histogram->scale++;
}

static void widen_to(struct histogram *histogram, int scale)
{
	if (histogram->n == 0)
		histogram->scale = scale;
	/* Beyond some steps all is in the middle. */
	for (int i = 0; histogram->scale < scale && i < 16; i++)
		widen(histogram);
	if (histogram->scale < scale)
		histogram->scale = scale;
}

void histogram_add(struct histogram *histogram, const double *x, size_t n)
{
	double furthest = 0, per_unit;
	int scale;

	for (size_t i = 0; i < n; i++)
		if (isfinite(x[i]) && fabs(x[i]) > furthest)
			furthest = fabs(x[i]);
	(void)frexp(furthest, &scale);
	if (scale < SCALE_LEAST || furthest == 0)
		scale = SCALE_LEAST;
	widen_to(histogram, scale);
	per_unit = ldexp(HISTOGRAM_BINS / 2.0, -histogram->scale);
	for (size_t i = 0; i < n; i++) {
		if (!isfinite(x[i]))
			continue;
		size_t bin = (size_t)(x[i] * per_unit + HISTOGRAM_BINS / 2.0);
		histogram->bins[bin < HISTOGRAM_BINS ? bin : HISTOGRAM_BINS - 1]++;
		histogram->n++;
	}
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	struct histogram other;

	if (from->n == 0)
		return;
	other = *from;
	widen_to(into, other.scale);
	widen_to(&other, into->scale);
	for (size_t i = 0; i < HISTOGRAM_BINS; i++)
		into->bins[i] += other.bins[i];
	into->n += other.n;
}

void histogram_repeat(struct histogram *histogram, uint64_t times)
{
	histogram->n *= times;
	for (size_t i = 0; i < HISTOGRAM_BINS; i++)
		histogram->bins[i] *= times;
}

/* Adds a bin's share of [from, to) to the parts that it lies over. */
static void share_out(double share, double from, double to, double *bars, size_t n)
{
	from = from < 0 ? 0 : from > (double)n ? (double)n : from;
	to = to < from ? from : to > (double)n ? (double)n : to;
	if (to == from) { /* all at one end */
		bars[(size_t)from < n ? (size_t)from : n - 1] += share;
		return;
	}
	for (size_t i = (size_t)from; i < n && (double)i < to; i++) {
		double begin = from > (double)i ? from : (double)i;
		double end = to < (double)(i + 1) ? to : (double)(i + 1);
		bars[i] += share * (end - begin) / (to - from);
	}
}

void histogram_bars(
	const struct histogram *histogram, double min, double max, double *bars, size_t n)
{
	double width = ldexp(2.0 / HISTOGRAM_BINS, histogram->scale);
	double per_bar = max / (double)n - min / (double)n;

	memset(bars, 0, n * sizeof *bars);
	if (histogram->n == 0)
		return;
	for (size_t i = 0; i < HISTOGRAM_BINS; i++) {
		double begin = ((double)i - HISTOGRAM_BINS / 2.0) * width;
		double share = (double)histogram->bins[i] / (double)histogram->n;
		if (share == 0)
			continue;
		if (per_bar > 0)
			share_out(share, (begin - min) / per_bar,
				(begin + width - min) / per_bar, bars, n);
		else
			bars[n / 2] += share;
	}
}

/* Agreement. */

/* Of full lanes of finite pairs. */
WIDE static void agree(struct agreement *out, const double *x, const double *y,
	const double *difference, size_t n, double tolerance)
{
	const lanes *a = (const lanes *)x, *b = (const lanes *)y;
	const lanes *between = (const lanes *)difference;
	const marks no_sign = (marks){0} + INT64_MAX;
	lanes sum = {0}, sum_abs = {0}, max_abs = {0}, max_rel = {0};
	lanes xy = {0}, xx = {0}, yy = {0}, squares = {0};
	marks beyond = {0};
	double lane[LANES];

	for (size_t i = 0; i < n / LANES; i++) {
		lanes d = (lanes)((marks)between[i] & no_sign);
		lanes size_a = (lanes)((marks)a[i] & no_sign);
		lanes size_b = (lanes)((marks)b[i] & no_sign);
		lanes size = CHOOSE(size_a > size_b, size_a, size_b);
		/* 0 by 0 is a NaN, which is greater than nothing */
		lanes rel = d / size;

		sum += between[i];
		sum_abs += d;
		max_abs = CHOOSE(d > max_abs, d, max_abs);
		max_rel = CHOOSE(rel > max_rel, rel, max_rel);
		beyond -= d > tolerance;
		xy += a[i] * b[i];
		xx += a[i] * a[i];
		yy += b[i] * b[i];
		squares += d * d;
	}
	out->n += n;
	memcpy(lane, &sum, sizeof lane);
	out->sum += across(lane);
	memcpy(lane, &sum_abs, sizeof lane);
	out->sum_abs += across(lane);
	memcpy(lane, &xy, sizeof lane);
	out->xy += across(lane);
	memcpy(lane, &xx, sizeof lane);
	out->xx += across(lane);
	memcpy(lane, &yy, sizeof lane);
	out->yy += across(lane);
	memcpy(lane, &squares, sizeof lane);
	out->squares += across(lane);
	memcpy(lane, &max_abs, sizeof lane);
	out->max_abs = fmax(out->max_abs, most(lane, LANES));
	memcpy(lane, &max_rel, sizeof lane);
	out->max_rel = fmax(out->max_rel, most(lane, LANES));
	for (size_t i = 0; i < LANES; i++)
		out->beyond += (uint64_t)beyond[i];
}

/* Pairs of finite numbers to the front; the others are counted. Returns how many. */
static size_t pick_pairs(struct agreement *out, const double *x, const double *y,
	const double *difference, size_t n, struct block picked[3])
{
	size_t finite = 0;

	for (size_t i = 0; i < n; i++) {
		bool same = x[i] == y[i] || (isnan(x[i]) && isnan(y[i]));
		bool numbers = isfinite(x[i]) && isfinite(y[i]);

		picked[0].values[finite] = x[i];
		picked[1].values[finite] = y[i];
		picked[2].values[finite] = difference[i];
		finite += numbers;
		out->odd += !numbers && !same;
		out->beyond += !numbers && !same;
	}
	return finite;
}

void agreement_add(struct agreement *agreement, const double *x, const double *y,
	const double *difference, size_t n, double tolerance)
{
	struct block picked[3];
	size_t padded;

	if (n % LANES != 0 || !all_finite(x, n) || !all_finite(y, n)) {
		n = pick_pairs(agreement, x, y, difference, n, picked);
		padded = (n + LANES - 1) / LANES * LANES;
		for (size_t i = 0; i < 3; i++) /* zeros change no figure but n */
			memset(picked[i].values + n, 0, (padded - n) * sizeof(double));
		agree(agreement, picked[0].values, picked[1].values, picked[2].values,
			padded, tolerance);
		agreement->n -= padded - n;
		return;
	}
	agree(agreement, x, y, difference, n, tolerance);
}

/* Of full lanes of finite numbers. */
WIDE static double sum_squares(const double *x, size_t n)
{
	const lanes *in = (const lanes *)x;
	lanes sum = {0};
	double lane[LANES];

	for (size_t i = 0; i < n / LANES; i++)
		sum += in[i] * in[i];
	memcpy(lane, &sum, sizeof lane);
	return across(lane);
}

void agreement_add_equal(struct agreement *agreement, const double *x, size_t n)
{
	struct moments others = {0};
	struct block finite;
	double sum;

	if (n % LANES != 0 || !all_finite(x, n)) {
		n = pick_finite(&others, x, n, &finite);
		memset(finite.values + n, 0, (FIGURES_BLOCK - n) * sizeof(double));
		sum = sum_squares(finite.values, FIGURES_BLOCK);
	} else {
		sum = sum_squares(x, n);
	}
	agreement->n += n;
	agreement->xy += sum;
	agreement->xx += sum;
	agreement->yy += sum;
}

void agreement_merge(struct agreement *into, const struct agreement *from)
{
	into->n += from->n;
	into->beyond += from->beyond;
	into->odd += from->odd;
	into->max_abs = fmax(into->max_abs, from->max_abs);
	into->max_rel = fmax(into->max_rel, from->max_rel);
	into->sum += from->sum;
	into->sum_abs += from->sum_abs;
	into->xy += from->xy;
	into->xx += from->xx;
	into->yy += from->yy;
	into->squares += from->squares;
}

void agreement_repeat(struct agreement *agreement, uint64_t times)
{
	agreement->n *= times;
	agreement->beyond *= times;
	agreement->odd *= times;
	agreement->sum *= (double)times;
	agreement->sum_abs *= (double)times;
	agreement->xy *= (double)times;
	agreement->xx *= (double)times;
	agreement->yy *= (double)times;
	agreement->squares *= (double)times;
}

double agreement_cosine(const struct agreement *agreement)
{
	double cosine = agreement->xy / (sqrt(agreement->xx) * sqrt(agreement->yy));

	return cosine > 1 ? 1 : cosine < -1 ? -1 : cosine;
}
