/*
 * figures: plain loops over doubles, in parts, which the compiler turns into vectors of
 * whatever width the processor has.
 *
 * Variances are of a block first, from its own mean, and merged by Chan's rule; nothing
 * is squared before a mean is taken away from it. A block with NaN or infinities is found
 * by its sum, which is none then, and taken in again without them.
 */
#include "fs/figures.h"
#include "decoders/base/vectors.h"
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define SCALE_LEAST (-1000) /* so that a bin's width is no zero and no infinity */

struct block {
	double values[FIGURES_BLOCK];
} __attribute__((aligned(64)));

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

/* Sums the parts in pairs. */
static double across(const double *part)
{
	double sums[PARTS];

	memcpy(sums, part, sizeof sums);
	for (size_t n = PARTS / 2; n > 0; n /= 2)
		for (size_t i = 0; i < n; i++)
			sums[i] += sums[i + n];
	return sums[0];
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

struct sums {
	double sum[PARTS], min[PARTS], max[PARTS];
	uint64_t zeros[PARTS];
};

/* The four loops in one: the compiler makes vectors of all or of none. */
WIDE static void look(struct sums *out, const double *x, size_t n)
{
	struct sums s = {0};

	for (size_t k = 0; k < PARTS; k++)
		s.min[k] = s.max[k] = x[0];
	for (size_t i = 0; i < n; i += PARTS)
		for (size_t k = 0; k < PARTS; k++) {
			double a = x[i + k];
			s.sum[k] += a;
			s.min[k] = a < s.min[k] ? a : s.min[k];
			s.max[k] = a > s.max[k] ? a : s.max[k];
			s.zeros[k] += a == 0;
		}
	*out = s;
}

WIDE static void square(double *out, const double *x, size_t n, double mean)
{
	double s[PARTS] = {0};

	for (size_t i = 0; i < n; i += PARTS)
		for (size_t k = 0; k < PARTS; k++) {
			double d = x[i + k] - mean;
			s[k] += d * d;
		}
	memcpy(out, s, sizeof s);
}

/* Of a multiple of PARTS. False where their sum is no number. */
static bool moments_of_parts(struct moments *out, const double *x, size_t n)
{
	double squares[PARTS], sum;
	struct sums sums;

	look(&sums, x, n);
	sum = across(sums.sum);
	out->n = n;
	out->mean = sum / (double)n;
	square(squares, x, n, out->mean);
	out->m2 = across(squares);
	out->min = least(sums.min, PARTS);
	out->max = most(sums.max, PARTS);
	for (size_t k = 0; k < PARTS; k++)
		out->zeros += sums.zeros[k];
	return isfinite(sum);
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

/* Of any number of them. False where one is not finite, or their sum is not. */
static bool moments_of(struct moments *out, const double *x, size_t n)
{
	struct moments rest = {0};
	size_t even = n - n % PARTS;
	bool finite = true;

	if (even > 0)
		finite = moments_of_parts(out, x, even);
	if (n > even)
		moments_of_rest(&rest, x + even, n - even);
	moments_merge(out, &rest);
	return finite && isfinite(rest.mean);
}

void moments_add(struct moments *moments, const double *x, size_t n)
{
	struct moments block = {0};
	struct block finite;

	if (n > 0 && !moments_of(&block, x, n)) {
		n = pick_finite(moments, x, n, &finite);
		block = (struct moments){0};
		(void)moments_of(&block, finite.values, n);
	}
	moments_merge(moments, &block);
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

struct products {
	double sum[PARTS], sum_abs[PARTS], squares[PARTS];
	double xy[PARTS], xx[PARTS], yy[PARTS];
};

WIDE static void multiply(struct products *out, const double *x, const double *y,
	const double *difference, size_t n)
{
	struct products s = {0};

	for (size_t i = 0; i < n; i += PARTS)
		for (size_t k = 0; k < PARTS; k++) {
			double a = x[i + k], b = y[i + k], d = difference[i + k];
			s.sum[k] += d;
			s.sum_abs[k] += fabs(d);
			s.squares[k] += d * d;
			s.xy[k] += a * b;
			s.xx[k] += a * a;
			s.yy[k] += b * b;
		}
	*out = s;
}

/* Finite numbers without their sign are in the order of their bits. */
WIDE static double largest(const double *x, size_t n)
{
	int64_t max = 0, bits;
	double out;

	for (size_t i = 0; i < n; i++) {
		memcpy(&bits, x + i, sizeof bits);
		bits &= INT64_MAX;
		max = bits > max ? bits : max;
	}
	memcpy(&out, &max, sizeof out);
	return out;
}

WIDE static uint64_t count_beyond(const double *difference, size_t n, double tolerance)
{
	uint64_t beyond = 0;

	for (size_t i = 0; i < n; i++)
		beyond += fabs(difference[i]) > tolerance;
	return beyond;
}

/* How many are further apart than that part of the larger of the two: dividing takes
 * longer than all the rest, so it is done only where it will tell. */
WIDE static uint64_t count_further(
	const double *x, const double *y, const double *difference, size_t n, double part)
{
	uint64_t further = 0;

	for (size_t i = 0; i < n; i++) {
		double a = fabs(x[i]), b = fabs(y[i]);
		further += fabs(difference[i]) > part * (a > b ? a : b);
	}
	return further;
}

static double furthest(
	const double *x, const double *y, const double *difference, size_t n)
{
	double most = 0;

	for (size_t i = 0; i < n; i++) {
		double part = fabs(difference[i]) / fmax(fabs(x[i]), fabs(y[i]));
		/* 0 by 0 is a NaN, which is greater than nothing */
		most = part > most ? part : most;
	}
	return most;
}

/* Of a multiple of PARTS. False, and nothing done, where not all seem to be finite,
 * unless they are known to be. */
static bool agree(struct agreement *out, const double *x, const double *y,
	const double *difference, size_t n, double tolerance, bool known)
{
	struct products s;

	multiply(&s, x, y, difference, n);
	double xx = across(s.xx), yy = across(s.yy);
	if (!known && !isfinite(xx + yy))
		return false;
	out->n += n;
	out->sum += across(s.sum);
	out->sum_abs += across(s.sum_abs);
	out->squares += across(s.squares);
	out->xy += across(s.xy);
	out->xx += xx;
	out->yy += yy;
	out->beyond += count_beyond(difference, n, tolerance);
	out->max_abs = fmax(out->max_abs, largest(difference, n));
	if (count_further(x, y, difference, n, out->max_rel) > 0)
		out->max_rel = fmax(out->max_rel, furthest(x, y, difference, n));
	return true;
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

	if (n % PARTS == 0 && agree(agreement, x, y, difference, n, tolerance, false))
		return;
	n = pick_pairs(agreement, x, y, difference, n, picked);
	padded = (n + PARTS - 1) / PARTS * PARTS;
	for (size_t i = 0; i < 3; i++) /* zeros change no figure but n */
		memset(picked[i].values + n, 0, (padded - n) * sizeof(double));
	(void)agree(agreement, picked[0].values, picked[1].values, picked[2].values,
		padded, tolerance, true);
	agreement->n -= padded - n;
}

/* The squares of those that are finite. */
WIDE static void square_finite(double *out, const double *x, size_t n)
{
	double s[PARTS] = {0};

	for (size_t i = 0; i < n; i += PARTS)
		for (size_t k = 0; k < PARTS; k++) {
			double a = x[i + k];
			a = fabs(a) <= DBL_MAX ? a : 0;
			s[k] += a * a;
		}
	memcpy(out, s, sizeof s);
}

WIDE static size_t count_finite(const double *x, size_t n)
{
	uint64_t finite = 0;

	for (size_t i = 0; i < n; i++)
		finite += fabs(x[i]) <= DBL_MAX;
	return finite;
}

void agreement_add_equal(struct agreement *agreement, const double *x, size_t n)
{
	size_t even = n - n % PARTS;
	double squares[PARTS], sum, rest[PARTS] __attribute__((aligned(64))) = {0};

	square_finite(squares, x, even);
	sum = across(squares);
	memcpy(rest, x + even, (n - even) * sizeof *x);
	square_finite(squares, rest, PARTS);
	sum += across(squares);
	agreement->n += count_finite(x, n);
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
