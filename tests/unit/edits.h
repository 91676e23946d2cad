/*
 * edits: nodes of a model by their paths, and edits as the file system makes them: what
 * model_check() allows is put into the tree. What is called in the past must be possible.
 */
#ifndef WEIGHTFS_TESTS_EDITS_H
#define WEIGHTFS_TESTS_EDITS_H

#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/document.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The node at a path; without it nothing works. */
static inline struct node *at(struct model *model, const char *path)
{
	struct node *node = tree_at(model->tree, path);

	if (node == NULL) {
		unit_fail("%s is not there", path);
		exit(unit_end());
	}
	return node;
}

static inline struct blob *blob_of(const void *bytes, size_t len)
{
	struct blob *blob = NULL;
	char *copy = malloc(len + 1);

	memcpy(copy, bytes, len);
	CHECK_INT(blob_memory(&blob, copy, len, NULL), 0);
	return blob;
}

static inline struct tensor *type_of(
	struct model *model, const char *dtype, unsigned rank, const uint64_t *shape)
{
	struct tensor *type = NULL;

	CHECK_INT(tree_type(model->tree, dtype_find(dtype, strlen(dtype)), rank, shape,
			  &type, NULL),
		0);
	return type;
}

static inline void moved(
	struct model *model, const char *path, const char *parent, const char *name)
{
	struct node *node = at(model, path), *to = at(model, parent);
	struct change change = {
		.what = EDIT_MOVED, .node = node, .parent = to, .name = name};
	struct error err = {0};

	if (model_check(model, &change, &err) < 0 ||
		tree_move(model->tree, node, to, name, &err) < 0)
		unit_fail("%s: %s", path, err.text);
}

static inline void removed(struct model *model, const char *path)
{
	struct node *node = at(model, path);
	struct change change = {.what = EDIT_REMOVED, .node = node};
	struct error err = {0};

	if (model_check(model, &change, &err) < 0 ||
		tree_remove(model->tree, node, &err) < 0)
		unit_fail("%s: %s", path, err.text);
}

static inline struct node *folder_added(
	struct model *model, const char *parent, const char *name)
{
	struct node *node = NULL;
	struct change change = {.what = EDIT_ADDED,
		.parent = at(model, parent),
		.name = name,
		.kind = NODE_FOLDER};
	struct error err = {0};

	if (model_check(model, &change, &err) < 0 ||
		tree_add_folder(model->tree, change.parent, name, &node, &err) < 0)
		unit_fail("%s/%s: %s", parent, name, err.text);
	return node;
}

/* NULL where it is refused. */
static inline struct node *tensor_added(struct model *model, const char *parent,
	const char *stem, struct tensor *type, const void *bytes)
{
	struct change change = {.what = EDIT_ADDED,
		.parent = at(model, parent),
		.name = stem,
		.kind = NODE_TENSOR,
		.type = type};
	AUTO_BLOB *content = blob_of(bytes, type->bytes);
	struct node *node = NULL;
	struct error err = {0};

	if (model_check(model, &change, &err) < 0 ||
		tree_add_tensor(
			model->tree, change.parent, stem, type, content, &node, &err) < 0)
		unit_fail("%s/%s: %s", parent, stem, err.text);
	return node;
}

/* What a tensor's NAME.json is said to have. */
static inline int sidecar_save(
	struct model *model, struct node *node, const char *text, struct error *err)
{
	struct change change = {.what = EDIT_SIDECAR,
		.node = node,
		.edited = text,
		.edited_len = strlen(text)};
	int rc = model_check(model, &change, err);

	return rc < 0 ? rc : tree_set_sidecar(model->tree, node, text, strlen(text), err);
}

/* What a document or a tensor's NAME.json shows, "" where that fails. */
static inline void show(struct model *model, const char *path, struct text *out)
{
	struct node *node = at(model, path);
	struct error err = {0};

	text_clear(out);
	text_put(out, "", 0);
	if ((node->kind == NODE_TENSOR ? sidecar_render : document_render)(
		    model, node, out, &err) < 0)
		unit_fail("%s: %s", path, err.text);
	text_put(out, "", 0);
}

static inline bool shows(struct model *model, const char *path, const char *part)
{
	AUTO_TEXT text = {0};

	show(model, path, &text);
	return strstr(text.bytes, part) != NULL;
}

/* Saves a document or a NAME.json with the first `from` in it replaced. */
static inline int save(struct model *model, const char *path, const char *from,
	const char *to, struct error *err)
{
	AUTO_TEXT shown = {0}, edited = {0};
	struct node *node = at(model, path);
	char *text = NULL;
	const char *found;
	size_t len = 0;
	int rc;

	show(model, path, &shown);
	found = strstr(shown.bytes, from);
	if (found == NULL) {
		unit_fail("%s: no %s in %s", path, from, shown.bytes);
		return -ENOENT;
	}
	text_put(&edited, shown.bytes, shown.len);
	text_splice(&edited, (size_t)(found - shown.bytes), strlen(from), to, strlen(to));
	if (node->kind == NODE_TENSOR)
		return sidecar_save(model, node, edited.bytes, err);
	rc = document_apply(model, node, shown.bytes, shown.len, edited.bytes, edited.len,
		&text, &len, err);
	if (rc == 0 && text != NULL)
		tree_set_value(node->view->value, text, len);
	return rc;
}

static inline void saved(
	struct model *model, const char *path, const char *from, const char *to)
{
	struct error err = {0};

	if (save(model, path, from, to, &err) < 0)
		unit_fail("%s: %s", path, err.text);
}

#endif
