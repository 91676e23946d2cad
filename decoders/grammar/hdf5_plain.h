/*
 * hdf5_plain: the edits of a plain HDF5 file's tree, judged and encoded. The tree itself
 * is made by decoders/hdf5.c.
 */
#ifndef WEIGHTFS_GRAMMAR_HDF5_PLAIN_H
#define WEIGHTFS_GRAMMAR_HDF5_PLAIN_H

#include "decoders/base/tree.h"
#include <stdint.h>

struct change;
struct error;
struct model;
struct plan;
struct text;

#define HDF5_SEPARATOR '/'

/* What is kept of a container: model->priv. */
struct hdf5_plain {
	struct hdf5 *hdf5;
	struct node **nodes; /* by object: where it is in the tree */
	unsigned n_shared;   /* objects with several names */
};

/* The object that a node stands for, or that a link leads to; 0: none. */
uint32_t hdf5_plain_object(const struct model *model, const struct node *node);
/* decoder.check and decoder.encode. */
int hdf5_plain_check(struct model *model, const struct change *change, struct error *err);
int hdf5_plain_encode(struct model *model, struct plan *plan, struct error *err);

/* The name that a link has in its group, by a component in a folder of the tree, written
 * to `name`; *group (may be NULL) becomes the folder of that group. -EOPNOTSUPP outside
 * of layers/, -EINVAL for what is the image of no name that HDF5 allows. */
int hdf5_plain_name(const struct node *parent, const char *last, enum node_kind kind,
	struct text *name, const struct node **group, struct error *err);

#endif
