/*
 * keras_attributes: what the groups of a Keras file say in attributes, as documents:
 * metadata.json for the root, attributes.json in the folders of others.
 *
 * Bookkeeping is not shown, it follows the tree: layer_names, weight_names, the name of
 * a group of variables that its folder has, and what has documents of its own. Keras
 * writes its version and its backend at the root and once more beside the weights: they
 * are shown once while they agree, and an edit changes both.
 */
#ifndef WEIGHTFS_GRAMMAR_KERAS_ATTRIBUTES_H
#define WEIGHTFS_GRAMMAR_KERAS_ATTRIBUTES_H

#include <stdint.h>

struct error;
struct hdf5_edit;
struct node;
struct text;
struct value;

/* Set what is borrowed, the rest by keras_attributes_init(). */
struct keras_attributes {
	struct hdf5 *hdf5;    /* walked */
	struct model *model;  /* its tree */
	uint32_t base;	      /* the group of all layers, if it has layer_names; 0 */
	const char *roots[3]; /* of the root: those that are documents; NULL ends them */
	struct node **homes;  /* by object: the folder of a group, or NULL */
	unsigned char *named; /* by object: its `name` is its folder's */
	uint32_t n_links;     /* that are not an object's real place: keras_links.h */
};

int keras_attributes_init(struct keras_attributes *attributes, struct error *err);
void keras_attributes_done(struct keras_attributes *attributes);

/* metadata.json, if there is something to say. A value's origin is its object. */
int keras_attributes_decode_root(struct keras_attributes *attributes, struct error *err);
/* attributes.json wherever there is something to say, once `homes` and `named` are
 * set. */
int keras_attributes_decode(struct keras_attributes *attributes, struct error *err);
/* The folder of a group: its home, else one that is made below the nearest around it. */
int keras_attributes_home(struct keras_attributes *attributes, uint32_t object,
	struct node **out, struct error *err);
/* Appends the text of a document, for model_ops.load. */
int keras_attributes_load(struct keras_attributes *attributes, uint32_t object,
	struct text *out, struct error *err);
/* Writes an edited one. */
int keras_attributes_edit(struct keras_attributes *attributes, struct hdf5_edit *edit,
	const struct value *value, struct error *err);

#endif
