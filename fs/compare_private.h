/*
 * compare_private: what compare.c and compare_elements.c share and nobody else includes.
 */
#ifndef WEIGHTFS_FS_COMPARE_PRIVATE_H
#define WEIGHTFS_FS_COMPARE_PRIVATE_H

#include "decoders/base/error.h"
#include "fs/compare.h"
#include "fs/cuts.h"

struct blob;
struct elements;
struct extents;
struct partial;

struct trouble {
	struct error error;
	int side;
};

/* Two tensors whose elements are to be compared. */
struct pair {
	const char *path;
	struct node *nodes[2];
	const struct tensor *types[2];
	/* Of the outcome. */
	bool differs;	 /* atomic while it is swept */
	uint64_t differ; /* elements, or bytes */
	struct agreement figures;
	uint64_t read;	     /* bytes; atomic */
	struct trouble *why; /* what could not be read, or NULL; owned */
	/* While it is swept. */
	struct blob *blobs[2];
	struct elements *kinds[2]; /* NULL: of no numbers */
	/* Kept for a second sweep. */
	struct cuts cuts;
	struct partial *partials; /* one a cut; NULL: there is no more to do */
};

/* What two sides are known to share without being read. */
struct shared {
	bool identical; /* one file, or all blocks shared */
	struct extents *extents[2];
	int fds[2]; /* the containers'; -1: a folder */
};

void shared_init(struct shared *shared, struct look looks[2]);
void shared_done(struct shared *shared);

/* Whether both are of numbers, as many of them. */
bool pair_of_numbers(const struct pair *pair);
/* Of types without numbers: elements are counted in bytes. */
bool pair_of_bytes(const struct pair *pair);
uint64_t pair_elements(const struct pair *pair);
void pair_done(struct pair *pair);

/* Fills the outcomes. */
int pairs_sweep(struct pair *pairs, size_t n, struct look looks[2],
	const struct shared *shared, const struct compare_options *options,
	struct error *err);

#endif
