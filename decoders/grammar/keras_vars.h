/*
 * keras_vars: the weights that Keras 3 keeps in an HDF5 file of its own, alone
 * (`.weights.h5`) or inside of a `.keras` archive, where `hdf5` reads from a slice.
 *
 *   layers/conv2d/vars        name = "conv"           layers/conv/
 *   layers/conv2d/vars/0      float32 (3, 3, 3, 4)    layers/conv/0.bin
 *   layers/functional/layers/dense/vars/0             layers/inner/layers/dense/0.bin
 *   optimizer/vars/0          int64 ()                optimizer/0.bin
 *   vars                      the model's own         layers/
 *
 * An object with variables is a group with a group `vars`, which is no folder of the
 * tree. A folder is named by the attribute `name` of vars, which is what the layer is
 * called, else by its group, which is called by its class and its turn. Where two folders
 * would then meet, all beside them are named by their groups. What a model keeps outside
 * of the root's `layers` (a subclass has no such group) is in layers/ as well.
 *
 * So a rename writes the attribute: Keras finds groups by their own names.
 */
#ifndef WEIGHTFS_GRAMMAR_KERAS_VARS_H
#define WEIGHTFS_GRAMMAR_KERAS_VARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct hdf5;
struct keras_moves;
struct node;

/* A group that is a folder. The folder's `origin` is its number, from 1. */
struct keras_object {
	struct node *folder;
	uint32_t object;
	uint32_t vars; /* the group of its variables; 0: none */
	bool named;    /* by the attribute */
};

/* Set what is borrowed, the rest zeroed. */
struct keras_vars {
	struct hdf5 *hdf5;   /* walked */
	struct model *model; /* its tree and its damage */
	struct node *layers; /* the folder of the root group */
	uint32_t inside;     /* the root's group `layers`, which that folder is too; 0 */
	struct keras_object *objects; /* the first `n_roots` are folders of the root */
	size_t n, cap, n_roots;
};

/* Whether a file, not yet walked, is one of these. */
bool keras_vars_probe(struct hdf5 *hdf5);
/* Fills the folder `layers`, and makes those for the groups of the root that hold no
 * layers: `optimizer`, `metrics`. */
int keras_vars_decode(struct keras_vars *vars, struct error *err);
/* Whether a node is one of these folders, or in one. */
bool keras_vars_has(const struct keras_vars *vars, const struct node *node);
/* Wishes for all that was added, moved, renamed and removed in these folders. */
int keras_vars_moves(
	struct keras_vars *vars, struct keras_moves *moves, struct error *err);
void keras_vars_done(struct keras_vars *vars);

#endif
