/*
 * document: the JSON documents of the tree, rendered and taken back.
 *
 * A document is a view of a value (tree.h): the part at a pointer, pretty-printed, in
 * which parts that are views of their own with a `stand` have their stand-in in their
 * place. Each value stands in exactly one listed file. Editing a document changes the
 * value; all its other views show that.
 */
#ifndef WEIGHTFS_GRAMMAR_DOCUMENT_H
#define WEIGHTFS_GRAMMAR_DOCUMENT_H

#include "decoders/grammar/json.h"
#include <stdbool.h>
#include <stddef.h>

struct dtype;
struct error;
struct model;
struct node;
struct text;

#define DOCUMENT_MAX (1u << 30) /* bytes of a document that may be edited */

/* Appends the document as it is now (an edited value's new text). Thread-safe among
 * readers; a value with several documents keeps the index of its text. */
int document_render(
	struct model *model, struct node *node, struct text *out, struct error *err);

/*
 * Takes a saved document: `base` is what the file showed when it was opened, `edited`
 * what it says now. Only the difference is applied to the value (json_merge), after which
 * the decoder's check() judges it. On success *text is the value's whole new text
 * (malloc'ed) to give to tree_set_value(), or NULL when nothing changes. On failure
 * -EINVAL for bad JSON, with "LINE:COLUMN: " in front; -EOPNOTSUPP for a stand-in that
 * was changed, or an array that holds some and has another length ("LINE:COLUMN:
 * config.layers[2]: expected the name of its folder as it was, found something else (mv
 * renames)"); or what check() said. The tree is not changed.
 */
int document_apply(struct model *model, struct node *node, const char *base,
	size_t base_len, const char *edited, size_t edited_len, char **text, size_t *len,
	struct error *err);

/*
 * The sidecar NAME.json of a tensor as it is now: dtype, shape, `value` for a numeric
 * scalar (read from the elements), then what the model adds, then `error`.
 */
int sidecar_render(
	struct model *model, struct node *node, struct text *out, struct error *err);

/* What a saved NAME.json asks for. Zeroed means: nothing. */
struct sidecar {
	struct tensor *type; /* of the tree's memory: another dtype or shape, or NULL.
				Flags: TENSOR_NO_BIN and TENSOR_NULL where it is such */
	void *value; /* the new element of a scalar, dtype_size() bytes, malloc'ed, or
			NULL */
	bool rest;   /* other members changed: the whole text goes to tree_set_sidecar */
};

/*
 * Reads a saved NAME.json of an existing tensor against what it showed (`base`). -EINVAL
 * with "LINE:COLUMN: member: expected ..., found ...". Another number of bytes than the
 * tensor has now is allowed where the shape changes and the decoder has DECODER_RESIZES;
 * a dtype alone reinterprets. A `value` is of the new type. -EOPNOTSUPP where the tensor
 * has an error.
 */
int sidecar_parse(struct model *model, struct node *node, const char *base,
	size_t base_len, const char *edited, size_t edited_len, struct sidecar *out,
	struct error *err);
/* Reads a NAME.json that stands alone: the type of a tensor to be added. Members beyond
 * dtype, shape and value set `rest`. */
int sidecar_parse_new(struct model *model, const char *text, size_t len,
	struct sidecar *out, struct error *err);
void sidecar_done(struct sidecar *sidecar);

/* A dtype from its JSON (a string, or a list for records): interned; -EINVAL for what is
 * none. */
int sidecar_dtype(const struct json *json, json_value v, const struct dtype **out,
	struct error *err);

#endif
