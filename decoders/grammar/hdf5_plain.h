/*
 * hdf5_plain: the edits of a plain HDF5 file's tree, judged and encoded. The tree itself
 * is made by decoders/hdf5.c.
 */
#ifndef WEIGHTFS_GRAMMAR_HDF5_PLAIN_H
#define WEIGHTFS_GRAMMAR_HDF5_PLAIN_H

#include "decoders/base/tree.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct change;
struct error;
struct model;
struct plan;
struct text;

#define HDF5_SEPARATOR '/'
#define HDF5_ATTRIBUTES "attributes.json" /* of a group */

/* A soft link: its node (one of two for a tensor), and what it leads to in the container.
 */
struct hdf5_soft {
	const struct node *node, *led_to; /* NULL: nothing */
};

/* What is kept of a container: model->priv. */
struct hdf5_plain {
	struct hdf5 *hdf5;
	struct node **nodes; /* by object: where it is in the tree */
	unsigned n_shared;   /* objects with several names */
	struct hdf5_soft *soft;
	size_t n_soft;
};

/* The object that a node stands for, or that a link leads to; 0: none. */
uint32_t hdf5_plain_object(const struct model *model, const struct node *node);
/* Whether a folder is a part of a long name, which goes on in what is in it. */
bool hdf5_plain_continued(const struct node *folder);
/* Whether a removed node of a link to a tensor is the half that does not count: the link
 * goes when both halves went. */
bool hdf5_plain_other_half(const struct tree *tree, const struct edit *edit);
/* -EOPNOTSUPP where a removal or a move would cut a soft link that stays. */
int hdf5_plain_check_soft(
	const struct model *model, const struct change *change, struct error *err);
/* decoder.check and decoder.encode. */
int hdf5_plain_check(struct model *model, const struct change *change, struct error *err);
int hdf5_plain_encode(struct model *model, struct plan *plan, struct error *err);

/* The name that a link has in its group, by a component in a folder of the tree, written
 * to `name`; *group (may be NULL) becomes the folder of that group. -EOPNOTSUPP outside
 * of layers/, -EINVAL for what is the image of no name that HDF5 allows. */
int hdf5_plain_name(const struct node *parent, const char *last, enum node_kind kind,
	struct text *name, const struct node **group, struct error *err);

#endif
