/*
 * figures: what is said of many numbers: of one set (moments, histogram) and of two
 * (agreement).
 *
 * Sets are taken in by blocks and merged, in any number of threads; merging in the same
 * order gives the same figures to the last bit. What is not finite is counted and left
 * out of the rest.
 */
#ifndef WEIGHTFS_FS_FIGURES_H
#define WEIGHTFS_FS_FIGURES_H

#include <stddef.h>
#include <stdint.h>

#define FIGURES_BLOCK 1024 /* numbers that are taken in at once, at most */

/* {0} is an empty set. */
struct moments {
	uint64_t n; /* finite numbers */
	uint64_t zeros, nans, infinities;
	double min, max, mean;
	double m2; /* sum of squares of the distances from the mean */
};

/* `x` is aligned to 64 bytes. */
void moments_add(struct moments *moments, const double *x, size_t n);
void moments_merge(struct moments *into, const struct moments *from);
/* As if each number were there so many times. */
void moments_repeat(struct moments *moments, uint64_t times);
/* Of the whole population, as numpy's std(); 0 of an empty set. */
double moments_deviation(const struct moments *moments);

/*
 * Counts in bins of one width from -2^scale to 2^scale. The range doubles when a number
 * is beyond it, two bins becoming one, so that what is counted does not depend on the
 * order. {0} is an empty one.
 */
#define HISTOGRAM_BINS 2048

struct histogram {
	int scale;
	uint64_t n;
	uint64_t bins[HISTOGRAM_BINS];
};

/* Numbers that are not finite are left out. */
void histogram_add(struct histogram *histogram, const double *x, size_t n);
void histogram_merge(struct histogram *into, const struct histogram *from);
void histogram_repeat(struct histogram *histogram, uint64_t times);
/* The share of each of `n` equal parts of [min, max]. */
void histogram_bars(const struct histogram *histogram, double min, double max,
	double *bars, size_t n);

/* Pairs of numbers (x, y), with y - x. {0} is an empty set. */
struct agreement {
	uint64_t n;	 /* pairs of finite numbers */
	uint64_t beyond; /* of all pairs, those further apart than the tolerance; a NaN is
			    as far from all but another NaN */
	uint64_t odd;	 /* pairs of two numbers that are not the same, one of them not
			    finite */
	double max_abs, max_rel;    /* of |y - x|, and of that by max(|x|, |y|) */
	double sum, sum_abs;	    /* of y - x, |y - x| */
	double xy, xx, yy, squares; /* the last: of y - x */
};

/* All are aligned to 64 bytes. */
void agreement_add(struct agreement *agreement, const double *x, const double *y,
	const double *difference, size_t n, double tolerance);
/* Pairs whose two numbers are the same. */
void agreement_add_equal(struct agreement *agreement, const double *x, size_t n);
void agreement_merge(struct agreement *into, const struct agreement *from);
void agreement_repeat(struct agreement *agreement, uint64_t times);
/* NaN where one side is all zeros. */
double agreement_cosine(const struct agreement *agreement);

#endif
