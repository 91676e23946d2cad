/*
 * keras_documents: the configuration of a Keras model as documents of the tree: one for
 * the model, one for each layer, in its folder.
 *
 *	config.json			the layers as their names
 *	.weightfs/config.json		all in one piece
 *	layers/a/config.json		the layer's whole entry
 *	layers/inner/config.json	a nested model, its layers as their names
 *	layers/inner/b/config.json
 *
 * All are views of one value, wherever the container keeps it: the attribute
 * `model_config` of an HDF5 file, `config.json` of a `.keras` archive.
 */
#ifndef WEIGHTFS_GRAMMAR_KERAS_DOCUMENTS_H
#define WEIGHTFS_GRAMMAR_KERAS_DOCUMENTS_H

#include "decoders/grammar/keras_config.h"
#include <stdbool.h>

struct change;
struct error;
struct node;
struct text;
struct value;

/* Set model and layers, the rest zeroed. */
struct keras_documents {
	struct model *model;  /* borrowed */
	struct node *layers;  /* the folder of all layers */
	struct value *value;  /* the tree's; its text is loaded */
	struct node **folder; /* of each layer of `config` */
	struct keras_config config;
};

/* Makes the documents of a value whose text is loaded. -EINVAL for what is no JSON. */
int keras_documents_decode(
	struct keras_documents *documents, struct value *value, struct error *err);
void keras_documents_done(struct keras_documents *documents);

/* Whether a folder is a layer's. */
bool keras_documents_is_layer(
	const struct keras_documents *documents, const struct node *folder);
/* May the value's document be saved? See decoder.check: with the line that is meant. */
int keras_documents_check(const struct keras_documents *documents,
	const struct change *change, struct error *err);
/* Appends the value's text as it shall be: with what was edited in documents, and with
 * the layers renamed whose folders were. */
int keras_documents_text(
	const struct keras_documents *documents, struct text *out, struct error *err);
/* The same for a value that configures a training, and names outputs by their layers. */
int keras_documents_training(const struct keras_documents *documents,
	const struct value *training, struct text *out, struct error *err);

#endif
