/*
 * hdf5_plain_check: may this be done to a plain HDF5 file? Attributes and sidecars are
 * judged by making the edit and dropping it, so that what is judged is what is encoded.
 */
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/hdf5.h"
#include "decoders/grammar/hdf5_plain.h"
#include "decoders/grammar/json.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TRIAL "weightfs tries this" /* a dataset or group that is made and dropped */

static struct hdf5 *hdf5_of(const struct model *model)
{
	const struct hdf5_plain *plain = model->priv;

	return plain->hdf5;
}

/* --- attributes --- */

static bool is_empty(const char *text, size_t len)
{
	AUTO_JSON *json = NULL;

	return json_parse(&json, text, len, JSON_NONFINITE, NULL) == 0 &&
	       json_type(json, 0) == JSON_OBJECT && json_count(json, 0) == 0;
}

static int check_document(
	struct model *model, const struct change *change, struct error *err)
{
	uint32_t object = (uint32_t)change->value->origin;
	const struct node *node =
		change->value->views != NULL ? change->value->views->node : NULL;
	/* The saved text where there is one: messages then have its lines. */
	bool saved = change->document != NULL;
	const char *text = saved ? change->document : change->edited;
	size_t len = saved ? change->document_len : change->edited_len;
	AUTO_HDF5_EDIT *edit = NULL;
	int rc;

	if (object != HDF5_ROOT && is_empty(text, len))
		return error_set(err, EINVAL,
			"expected some attributes, found none: remove the file to remove "
			"them all");
	rc = hdf5_edit_open(&edit, hdf5_of(model), model->pool, err);
	if (object == 0 && node != NULL) /* an added document */
		object = hdf5_plain_object(model, node->parent);
	if (rc == 0 && object == 0)
		rc = hdf5_edit_group(
			edit, HDF5_ROOT, TRIAL, sizeof TRIAL - 1, &object, err);
	if (rc == 0)
		rc = hdf5_edit_attributes(edit, object, NULL, text, len, err);
	return rc;
}

/* A sidecar's attributes and values; of a tensor that is not in the file yet on another
 * that is as new. */
static int check_sidecar(
	struct model *model, const struct change *change, struct error *err)
{
	uint32_t object = hdf5_plain_object(model, change->node);
	const struct tensor *type = tree_tensor_now(change->node);
	AUTO_HDF5_EDIT *edit = NULL;
	int rc;

	if (change->edited == NULL)
		return 0;
	rc = hdf5_edit_open(&edit, hdf5_of(model), model->pool, err);
	if (rc == 0 && object == 0 && type == NULL)
		return error_set(err, EOPNOTSUPP, "there is nothing that has attributes");
	if (rc == 0 && object == 0)
		rc = hdf5_edit_dataset(edit, HDF5_ROOT, TRIAL, sizeof TRIAL - 1, type,
			NULL, &object, err);
	if (rc == 0)
		rc = hdf5_edit_sidecar(
			edit, object, change->edited, change->edited_len, err);
	return rc;
}

/* --- objects with several names --- */

/* Whether a link is `top` or below it. */
static bool is_below(const struct hdf5 *hdf5, uint32_t link, uint32_t top)
{
	while (link != top && link != HDF5_ROOT)
		link = hdf5_object(hdf5, hdf5_link(hdf5, link)->group)->link;
	return link == top;
}

/* Marks the links that were removed already. */
static void mark_gone(const struct tree *tree, unsigned char *gone)
{
	for (const struct edit *edit = tree->edits; edit != NULL; edit = edit->next)
		if ((edit->what & EDIT_REMOVED) != 0 && edit->node->kind == NODE_LINK &&
			!hdf5_plain_other_half(tree, edit))
			gone[edit->node->origin] = 1;
}

/* The first object that has names both in and outside of what `top` leads to; with
 * `real`, only one whose real place is inside. 0: none. */
static int find_shared(const struct model *model, uint32_t top, bool real, uint32_t *out,
	struct error *err)
{
	const struct hdf5 *hdf5 = hdf5_of(model);
	unsigned char *sides = calloc((size_t)hdf5_n_objects(hdf5) + 1, 1);
	unsigned char *gone = calloc((size_t)hdf5_n_links(hdf5) + 1, 1);
	const struct hdf5_link *link;
	uint32_t i, object;

	*out = 0;
	if (sides == NULL || gone == NULL) {
		free(sides);
		free(gone);
		return error_set(err, ENOMEM, "not enough memory");
	}
	mark_gone(model->tree, gone);
	for (i = HDF5_ROOT + 1; *out == 0 && i <= hdf5_n_links(hdf5); i++) {
		link = hdf5_link(hdf5, i);
		object = link->object;
		if (link->kind != HDF5_HARD || gone[i] != 0 ||
			hdf5_object(hdf5, object)->n_names < 2)
			continue;
		sides[object] |= is_below(hdf5, i, top) ? 1 : 2;
		if (sides[object] == 3 &&
			(!real || is_below(hdf5, hdf5_object(hdf5, object)->link, top)))
			*out = object;
	}
	free(sides);
	free(gone);
	return 0;
}

/* What has names elsewhere cannot lose or change its real one: the tree would turn. */
static int check_shared(
	struct model *model, const struct node *node, bool moves, struct error *err)
{
	const struct hdf5_plain *plain = model->priv;
	AUTO_TEXT path = {0};
	uint32_t object = 0;
	int rc;

	if (plain->n_shared == 0 || node->origin == 0)
		return 0;
	rc = find_shared(model, (uint32_t)node->origin, !moves, &object, err);
	if (rc < 0 || object == 0)
		return rc;
	hdf5_path(plain->hdf5, object, &path);
	if (text_check(&path, err) < 0)
		return -ENOMEM;
	return error_set(err, EOPNOTSUPP,
		"expected one name in the file, found several of %s: remove those "
		"that are links first",
		path.bytes);
}

/* --- structure --- */

static int check_name(const struct change *change, enum node_kind kind, struct error *err)
{
	AUTO_TEXT name = {0};

	return hdf5_plain_name(change->parent, change->name, kind, &name, NULL, err);
}

/* A group that has no attributes yet may get some; the root's are metadata.json. */
static int check_added_document(const struct change *change, struct error *err)
{
	const struct node *group = change->parent;

	if (strcmp(change->name, HDF5_ATTRIBUTES) == 0 &&
		(group == NULL ||
			((group->flags & NODE_GROWS) != 0 && group->origin != HDF5_ROOT &&
				!hdf5_plain_continued(group))))
		return 0;
	return error_set(
		err, EOPNOTSUPP, "only a group can get a document, its " HDF5_ATTRIBUTES);
}

static int check_added(const struct change *change, struct error *err)
{
	int rc;

	if (change->kind == NODE_DOCUMENT)
		return check_added_document(change, err);
	if (change->kind != NODE_FOLDER && change->kind != NODE_TENSOR)
		return error_set(err, EOPNOTSUPP,
			"only tensors and groups can be added to an HDF5 file");
	rc = check_name(change, change->kind, err);
	if (rc == 0 && change->kind == NODE_TENSOR && change->type != NULL)
		rc = hdf5_storable(change->type, err);
	return rc;
}

static bool is_half(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot != NULL && (strcmp(dot, ".bin") == 0 || strcmp(dot, ".json") == 0);
}

/* Of links only soft ones that are one file can move: a hard one is a name of an object,
 * and might become its real one. */
static int check_moved(
	struct model *model, const struct change *change, struct error *err)
{
	const struct node *node = change->node;
	const struct hdf5_link *link = hdf5_link(hdf5_of(model), (uint32_t)node->origin);
	int rc;

	if (node->kind == NODE_DOCUMENT)
		return error_set(err, EOPNOTSUPP, "attributes stay with their group");
	if (node->kind == NODE_LINK && (link == NULL || link->kind == HDF5_HARD))
		return error_set(err, EOPNOTSUPP,
			"this is another name of something that stands elsewhere");
	if (node->kind == NODE_LINK && is_half(node->name))
		return error_set(err, EOPNOTSUPP,
			"this is one of two files that stand for one link");
	if (link == NULL && node->kind == NODE_FOLDER && node->origin == 0 &&
		(node->edit == NULL || (node->edit->what & EDIT_ADDED) == 0))
		return error_set(err, EOPNOTSUPP, "this is a part of a long name");
	if (check_name(change, node->kind, err) < 0)
		return -EOPNOTSUPP;
	rc = check_shared(model, node, true, err);
	return rc < 0 ? rc : hdf5_plain_check_soft(model, change, err);
}

static int check_removed(
	struct model *model, const struct change *change, struct error *err)
{
	const struct node *node = change->node;
	int rc = 0;

	if (node->parent != NULL && node->parent->parent == NULL)
		return error_set(err, EOPNOTSUPP, "%s cannot be removed", node->name);
	if (node->kind == NODE_FOLDER || node->kind == NODE_TENSOR)
		rc = check_shared(model, node, false, err);
	return rc < 0 ? rc : hdf5_plain_check_soft(model, change, err);
}

/* A tensor's dtype and shape. */
static int check_type(struct model *model, const struct change *change, struct error *err)
{
	const struct tensor *old = change->node->tensor;
	uint32_t object = hdf5_plain_object(model, change->node);

	if (object == 0 && change->node->origin != 0)
		return error_set(err, EOPNOTSUPP, "this is no tensor of this file");
	if (old != NULL && (old->flags & TENSOR_NO_BIN) != 0)
		return error_set(err, EOPNOTSUPP,
			"expected dtype and shape as they were, found others (this "
			"tensor "
			"has no .bin, its elements cannot be given another type)");
	if (old != NULL && (change->type->flags & TENSOR_NULL) != 0)
		return error_set(err, EOPNOTSUPP,
			"shape: expected a list of integers, found null");
	return hdf5_storable(change->type, err);
}

int hdf5_plain_check(struct model *model, const struct change *change, struct error *err)
{
	switch (change->what) {
	case 0: return check_document(model, change, err);
	case EDIT_ADDED: return check_added(change, err);
	case EDIT_MOVED: return check_moved(model, change, err);
	case EDIT_REMOVED: return check_removed(model, change, err);
	case EDIT_TYPE: return check_type(model, change, err);
	case EDIT_SIDECAR: return check_sidecar(model, change, err);
	default: return 0;
	}
}
