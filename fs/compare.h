/*
 * compare: what differs between two models, or between folders with such trees.
 *
 * Both are compared by the paths of their trees, so that it does not matter in which
 * format they are. Documents are equal when they say the same: keys in any order, numbers
 * in any spelling. Elements are equal when their bits are.
 *
 * Between two formats only what both can have is compared: the tensors in layers/, by
 * dtype, shape and elements, and documents there that both have.
 */
#ifndef WEIGHTFS_FS_COMPARE_H
#define WEIGHTFS_FS_COMPARE_H

#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "fs/figures.h"
#include "fs/look.h"
#include "fs/sweep.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum difference_kind {
	DIFFERENCE_ONLY,     /* one side alone has it */
	DIFFERENCE_KIND,     /* a tensor here, a document, link or folder there */
	DIFFERENCE_DOCUMENT, /* `text`: the hunks of a unified diff */
	DIFFERENCE_SIDECAR,  /* the same, of a NAME.json beyond dtype, shape and value */
	DIFFERENCE_LINK,
	DIFFERENCE_TYPE, /* dtype or shape */
	DIFFERENCE_ELEMENTS,
	DIFFERENCE_TROUBLE, /* `text`: why it cannot be compared */
};

struct difference {
	char *path;		       /* in the tree; a tensor's without suffix; owned */
	struct node *nodes[2];	       /* borrowed from the models; NULL: not there */
	const struct tensor *types[2]; /* of tensors that could be described */
	enum difference_kind kind;
	struct text text;
	/* ELEMENTS, and TYPE where two shapes are one and both are of numbers */
	uint64_t elements, differ; /* real and imaginary parts of complex ones count; of
				      types without numbers, bytes where `of_bytes` */
	bool of_bytes;
	bool numbers; /* there are figures */
	struct agreement figures;
};

struct compare_options {
	const char *layers; /* a glob (look_meant()): nothing but these layers; or NULL */
	double tolerance;   /* |a - b| that counts as equal; 0: equal bits */
	bool brief;	    /* whether, not how: figures and hunks are left out */
	sweep_progress_fn *progress;
	void *progress_arg;
};

struct compare_counts {
	uint64_t documents, documents_differ; /* that both have */
	uint64_t tensors, tensors_differ;
	uint64_t only[2];  /* of tensors, documents and links */
	uint64_t bytes;	   /* of tensors of one type that both have, of one side */
	uint64_t read;	   /* of these, what had to be read */
	uint64_t left_out; /* across formats: what was not compared */
	uint64_t trouble;
};

struct comparison {
	struct difference *all; /* by path */
	size_t n;
	bool across; /* two formats */
	struct compare_counts counts;
};

/* The models must outlive the comparison. 0 or a negative errno for what ends it all;
 * what cannot be read of one tensor is a difference. */
int compare_run(struct comparison *out, struct look looks[2],
	const struct compare_options *options, struct error *err);
void compare_done(struct comparison *comparison);

#endif
