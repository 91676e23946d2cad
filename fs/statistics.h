/*
 * statistics: what the numbers of each tensor are like.
 */
#ifndef WEIGHTFS_FS_STATISTICS_H
#define WEIGHTFS_FS_STATISTICS_H

#include "fs/figures.h"
#include "fs/look.h"
#include "fs/sweep.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tensor;

#define STATISTICS_BARS 16

struct statistic {
	char *path; /* a tensor's, or a layer's that ends in a slash; owned */
	const struct tensor *type; /* NULL: a layer, or what could not be described */
	uint64_t bytes, elements, tensors;
	bool numbers; /* there are figures */
	struct moments
		moments; /* the parts of complex elements are numbers of their own */
	double bars[STATISTICS_BARS]; /* shares between min and max; of a large tensor, of
					 one in 32 blocks of its numbers */
	char *error;		      /* why it could not be read, or NULL; owned */
};

enum statistics_order { STATISTICS_BY_NAME, STATISTICS_BY_SIZE };

struct statistics_options {
	const char *glob; /* which tensors (look_meant()), or NULL: all */
	enum statistics_order order;
	sweep_progress_fn *progress;
	void *progress_arg;
};

struct statistics {
	struct statistic *all; /* each layer before its tensors */
	size_t n;
	struct statistic total;
};

/* The look must outlive the statistics. 0 or a negative errno for what ends it all; what
 * cannot be read of one tensor is its `error`. */
int statistics_run(struct statistics *out, struct look *look,
	const struct statistics_options *options, struct error *err);
void statistics_done(struct statistics *statistics);

#endif
