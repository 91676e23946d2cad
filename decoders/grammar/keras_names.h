/*
 * keras_names: what the weights of a layer are called, in an HDF5 file of Keras and in
 * the tree.
 *
 * The container's name repeats the layer's, with the scopes of the model around it:
 *
 *   layer     weight                            in the tree
 *   dense     dense/kernel:0                    kernel
 *   dense     seq/dense/kernel                  kernel
 *   lstm      lstm/lstm_cell_1/kernel:0         lstm_cell_1/kernel
 *   inner     dense/kernel:0                    dense/kernel
 *
 * The rule: cut through the first component that is the layer's name L or `L_<n>`, unless
 * that names a layer nested in L and the next component does not; drop ":0"; where two
 * weights then meet, all of the layer keep their full names. A layer whose name has
 * slashes is that many components. The last component is never cut.
 */
#ifndef WEIGHTFS_GRAMMAR_KERAS_NAMES_H
#define WEIGHTFS_GRAMMAR_KERAS_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct error;
struct text;

/* A layer, and what is nested in it: `config` may be NULL, then nothing is. */
struct keras_scope {
	const char *layer;
	const struct keras_config *config;
	uint32_t top; /* the layer's number in `config` */
};

/* A weight's name. The tree's is the part from `tree`, of `tree_len` bytes. */
struct keras_weight {
	const char *name; /* borrowed, NUL-terminated */
	size_t lead;	  /* bytes before the layer's own name, where `match` is not 0 */
	size_t match;	  /* bytes of it, with a "_<n>" */
	size_t tree, tree_len;
};

/* Finds the tree's names of all weights of a layer (their `name` is set). Without `scope`
 * nothing is cut but ":0". -ENOMEM. */
int keras_names_read(const struct keras_scope *scope, struct keras_weight *weights,
	size_t n, struct error *err);

/*
 * Appends the container's name of a weight that is `tree` in the tree of layer
 * `layer`, formed like the one of `like`, which is or was a weight of layer `old`.
 */
void keras_names_write(const struct keras_weight *like, const char *old,
	const char *layer, const char *tree, struct text *out);

/*
 * The order of two weights of a layer: negative, positive, or 0 where it is not known.
 * Keras fills a layer from the list of its weights by position alone, and its own layers
 * make them in a fixed order (build() in keras/layers), which new weights must follow.
 */
int keras_names_order(const char *one, const char *other);

/* Appends the path of the folder of a layer's name. */
void keras_names_folder(const char *name, struct text *path);

#endif
