/*
 * keras_groups: the weights of a Keras model in HDF5 as Keras 1 and 2 lay them out, and
 * Keras 3 where it writes .h5: in a whole model in the group `model_weights`, in a file
 * of weights alone at the root.
 *
 *   @layer_names = ["dense", "drop"]      in this order the model takes them
 *   dense/@weight_names = ["dense/kernel:0", "dense/bias:0"]       this too
 *   dense/dense/kernel:0                  layers/dense/kernel.bin
 *   drop/@weight_names = []
 *
 * A layer's group is where its name leads; slashes in the name are groups on the way.
 * What the lists say about names and order is not shown: it follows the tree.
 */
#ifndef WEIGHTFS_GRAMMAR_KERAS_GROUPS_H
#define WEIGHTFS_GRAMMAR_KERAS_GROUPS_H

#include "decoders/base/text.h"
#include <stddef.h>
#include <stdint.h>

struct error;
struct keras_config;
struct keras_moves;
struct node;

#define KERAS_DEPTH_MAX 256 /* of groups below a layer's */

/* A layer's group. The folder's `origin` is its number, from 1. */
struct keras_group {
	struct node *folder;
	char *name;
	uint32_t object;
	uint32_t layer; /* in the configuration; KERAS_NONE */
};

/* Whether a group is a layer's. */
enum keras_claim {
	KERAS_FREE,
	KERAS_AROUND, /* on the way to a layer's */
	KERAS_LAYER,
};

/* Set what is borrowed, the rest zeroed. */
struct keras_groups {
	struct hdf5 *hdf5;		   /* walked */
	struct model *model;		   /* its tree */
	struct node *layers;		   /* the folder of all layers */
	uint32_t base;			   /* the group of all layers' groups */
	const struct keras_config *config; /* may be NULL */
	struct keras_group *list;	   /* in the order of layer_names */
	size_t n, cap;
	unsigned char *claimed; /* by object: enum keras_claim */
};

/* What is below a group: datasets, or groups. */
struct keras_found {
	uint32_t link;
	size_t name; /* from the group on, in `names`, NUL-terminated */
};
struct keras_below {
	struct keras_found *datasets, *groups; /* `groups` begins with the one itself */
	size_t n_datasets, cap_datasets, n_groups, cap_groups;
	struct text names;
};

/* Looks for all that is below a group, but not in the groups of other layers. -EINVAL
 * where it is too deep. */
int keras_groups_below(const struct keras_groups *groups, uint32_t object,
	struct keras_below *out, struct error *err);
void keras_below_done(struct keras_below *below);
#define AUTO_KERAS_BELOW __attribute__((cleanup(keras_below_done))) struct keras_below

/* Fills the layers' folders. */
int keras_groups_decode(struct keras_groups *groups, struct error *err);
/* Fills a folder with what is below a group that is no layer's: names lose their ":0". */
int keras_groups_others(struct keras_groups *groups, struct node *folder, uint32_t object,
	struct error *err);
/* Wishes for all that was added, moved, renamed and removed in the layers' folders.
 * `renamed` is the configuration as it shall be, with the same numbers (NULL: none).
 * -EOPNOTSUPP where names of weights cannot follow. */
int keras_groups_moves(struct keras_groups *groups, const struct keras_config *renamed,
	struct keras_moves *moves, struct error *err);
void keras_groups_done(struct keras_groups *groups);

#endif
