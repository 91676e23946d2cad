/*
 * hdf5_plain_encode: the edited tree of a plain HDF5 file as an edit of the file.
 *
 * Everything is said in places of the container: first all links that move are lifted and
 * those that go are removed, then groups are made, from the top, and links are placed, so
 * that names can change places.
 */
#include "decoders/base/error.h"
#include "decoders/base/names.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/hdf5.h"
#include "decoders/grammar/hdf5_plain.h"
#include "decoders/grammar/json.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CONTINUED "%+" /* at the end of a folder that is a part of a long name */

uint32_t hdf5_plain_object(const struct model *model, const struct node *node)
{
	const struct hdf5_plain *plain = model->priv;
	const struct hdf5_link *link = hdf5_link(plain->hdf5, (uint32_t)node->origin);

	return link == NULL ? 0 : link->object;
}

/* A node that was added, and the object that was made for it. */
struct made {
	const struct node *node;
	uint32_t object;
};

struct encoding {
	struct model *model;
	const struct hdf5_plain *plain;
	struct hdf5_edit *edit;
	struct made *made;
	size_t n_made;
};

bool hdf5_plain_continued(const struct node *folder)
{
	size_t len = strlen(folder->name);

	return len >= 2 && strcmp(folder->name + len - 2, CONTINUED) == 0;
}

int hdf5_plain_name(const struct node *parent, const char *last, enum node_kind kind,
	struct text *name, const struct node **group, struct error *err)
{
	enum names_place place = kind == NODE_TENSOR ? NAMES_STEM : NAMES_FOLDER;
	AUTO_TEXT path = {0};

	text_puts(&path, last);
	for (; parent->parent != NULL && hdf5_plain_continued(parent);
		parent = parent->parent) {
		text_splice(&path, 0, 0, "/", 1);
		text_splice(&path, 0, 0, parent->name, strlen(parent->name));
	}
	if (parent->parent == NULL)
		return error_set(err, EOPNOTSUPP,
			"%s: tensors and groups stay below layers/", last);
	text_put(name, "", 0);
	if (text_check(&path, err) < 0)
		return -ENOMEM;
	if (!names_name(path.bytes, path.len, HDF5_SEPARATOR, place, name) ||
		name->len == 0 || strcmp(name->bytes, ".") == 0 ||
		strlen(name->bytes) != name->len || !json_utf8(name->bytes, name->len))
		return error_set(err, EINVAL,
			"%s: nothing in an HDF5 file can have that name", path.bytes);
	if (group != NULL)
		*group = parent;
	return text_check(name, err);
}

/* The object of a folder or tensor, also of one that was added; 0: none. */
static uint32_t object_of(const struct encoding *e, const struct node *node)
{
	size_t i;

	if (node->edit == NULL || (node->edit->what & EDIT_ADDED) == 0)
		return hdf5_plain_object(e->model, node);
	for (i = e->n_made; i-- > 0;)
		if (e->made[i].node == node)
			return e->made[i].object;
	return 0;
}

static int remember(
	struct encoding *e, const struct node *node, uint32_t object, struct error *err)
{
	struct made *made = e->made;

	if ((e->n_made & (e->n_made - 1)) == 0) {
		made = reallocarray(
			made, e->n_made == 0 ? 1 : e->n_made * 2, sizeof *made);
		if (made == NULL)
			return error_set(err, ENOMEM, "not enough memory for an edit");
		e->made = made;
	}
	made[e->n_made++] = (struct made){node, object};
	return 0;
}

/* Where a node goes: its group's object and its name there. */
static int place_of(const struct encoding *e, const struct node *node, uint32_t *group,
	struct text *name, struct error *err)
{
	const struct node *folder;
	int rc =
		hdf5_plain_name(node->parent, node->name, node->kind, name, &folder, err);

	if (rc < 0)
		return rc;
	*group = object_of(e, folder);
	return *group == 0 ? error_set(err, EOPNOTSUPP,
				     "%s: the folder around it is no group", node->name)
			   : 0;
}

/* Whether a removed node went with the group that it was in. */
static bool went_along(const struct edit *edit)
{
	const struct node *folder = edit->old_parent;

	while (folder != NULL && hdf5_plain_continued(folder))
		folder = folder->edit != NULL && folder->edit->old_parent != NULL
				 ? folder->edit->old_parent
				 : folder->parent;
	return folder != NULL && folder->edit != NULL &&
	       (folder->edit->what & EDIT_REMOVED) != 0;
}

static bool ends_in(const char *name, const char *suffix)
{
	size_t len = strlen(name), n = strlen(suffix);

	return len > n && strcmp(name + len - n, suffix) == 0;
}

/* A link to a tensor is two in the tree: it goes when both went, with its .bin. */
bool hdf5_plain_other_half(const struct tree *tree, const struct edit *edit)
{
	const char *name = edit->old_name;
	const struct edit *other;
	struct node *half;
	AUTO_TEXT twin = {0};

	if (edit->node->kind != NODE_LINK ||
		(!ends_in(name, ".bin") && !ends_in(name, ".json")))
		return false;
	text_put(&twin, name, (size_t)(strrchr(name, '.') - name));
	text_puts(&twin, ends_in(name, ".bin") ? ".json" : ".bin");
	if (text_check(&twin, NULL) < 0)
		return true;
	half = tree_child(edit->old_parent, twin.bytes, twin.len);
	if (half != NULL && half->kind == NODE_LINK)
		return true;
	for (other = tree->edits; other != NULL; other = other->next)
		if (other != edit && other->node->origin == edit->node->origin &&
			other->node->kind == NODE_LINK && ends_in(name, ".json"))
			return true;
	return false;
}

static int lift(struct encoding *e, struct error *err)
{
	const struct edit *edit;
	int rc = 0;

	for (edit = e->model->tree->edits; rc == 0 && edit != NULL; edit = edit->next)
		if ((edit->what & (EDIT_MOVED | EDIT_ADDED)) == EDIT_MOVED)
			rc = hdf5_edit_lift(e->edit, (uint32_t)edit->node->origin, err);
	return rc;
}

static int unlink_removed(struct encoding *e, struct error *err)
{
	const struct edit *edit;
	int rc = 0;

	for (edit = e->model->tree->edits; rc == 0 && edit != NULL; edit = edit->next)
		if ((edit->what & EDIT_REMOVED) != 0 && edit->node->origin != 0 &&
			!went_along(edit) && !hdf5_plain_other_half(e->model->tree, edit))
			rc = hdf5_edit_unlink(e->edit, (uint32_t)edit->node->origin, err);
	return rc;
}

static int add_group(struct encoding *e, const struct node *node, struct error *err)
{
	AUTO_TEXT name = {0};
	uint32_t group, object;
	int rc;

	if (hdf5_plain_continued(node))
		return 0;
	rc = place_of(e, node, &group, &name, err);
	if (rc == 0)
		rc = hdf5_edit_group(e->edit, group, name.bytes, name.len, &object, err);
	return rc < 0 ? rc : remember(e, node, object, err);
}

/* Edits are in the order in which they were made, so a folder comes before what is in
 * it. */
static int add_groups(struct encoding *e, struct error *err)
{
	const struct edit *edit;
	int rc = 0;

	for (edit = e->model->tree->edits; rc == 0 && edit != NULL; edit = edit->next)
		if ((edit->what & EDIT_ADDED) != 0 && edit->node->kind == NODE_FOLDER)
			rc = add_group(e, edit->node, err);
	return rc;
}

static int place(struct encoding *e, const struct node *node, struct error *err)
{
	AUTO_TEXT name = {0};
	uint32_t group;
	int rc;

	if (node->kind == NODE_FOLDER && hdf5_plain_continued(node))
		return 0;
	rc = place_of(e, node, &group, &name, err);
	if (rc == 0)
		rc = hdf5_edit_place(e->edit, (uint32_t)node->origin, group, name.bytes,
			name.len, err);
	return rc;
}

static int place_lifted(struct encoding *e, struct error *err)
{
	const struct edit *edit;
	int rc = 0;

	for (edit = e->model->tree->edits; rc == 0 && edit != NULL; edit = edit->next)
		if ((edit->what & (EDIT_MOVED | EDIT_ADDED)) == EDIT_MOVED)
			rc = place(e, edit->node, err);
	return rc;
}

static int add_tensor(struct encoding *e, const struct edit *edit, struct error *err)
{
	AUTO_TEXT name = {0};
	uint32_t group, object;
	int rc = place_of(e, edit->node, &group, &name, err);

	if (rc == 0)
		rc = hdf5_edit_dataset(e->edit, group, name.bytes, name.len, edit->tensor,
			edit->content, &object, err);
	if (rc == 0 && (edit->what & EDIT_SIDECAR) != 0)
		rc = hdf5_edit_sidecar(
			e->edit, object, edit->sidecar.bytes, edit->sidecar.len, err);
	return rc;
}

static int change_tensor(struct encoding *e, const struct edit *edit, struct error *err)
{
	uint32_t object = hdf5_plain_object(e->model, edit->node);
	int rc = 0;

	if ((edit->what & EDIT_TYPE) != 0)
		rc = hdf5_edit_type(e->edit, object, edit->tensor,
			(edit->what & EDIT_CONTENT) != 0 ? edit->content : NULL, err);
	else if ((edit->what & EDIT_CONTENT) != 0)
		rc = hdf5_edit_content(e->edit, object, edit->content, err);
	if (rc == 0 && (edit->what & EDIT_SIDECAR) != 0)
		rc = hdf5_edit_sidecar(
			e->edit, object, edit->sidecar.bytes, edit->sidecar.len, err);
	return rc;
}

static int write_tensor(struct encoding *e, const struct edit *edit, struct error *err)
{
	AUTO_TEXT path = {0};
	int rc;

	if ((edit->what & EDIT_REMOVED) != 0 || edit->node->kind != NODE_TENSOR)
		return 0;
	rc = (edit->what & EDIT_ADDED) != 0 ? add_tensor(e, edit, err)
					    : change_tensor(e, edit, err);
	if (rc == 0)
		return 0;
	tree_path(edit->node, &path);
	if (text_check(&path, NULL) == 0)
		error_prefix(err, "%s", path.bytes);
	return rc;
}

static int write_tensors(struct encoding *e, struct error *err)
{
	const struct edit *edit;
	int rc = 0;

	for (edit = e->model->tree->edits; rc == 0 && edit != NULL; edit = edit->next)
		rc = write_tensor(e, edit, err);
	return rc;
}

/* A document that is gone means: no attributes; one that went with its group: nothing. */
static int write_value(struct encoding *e, const struct value *value, struct error *err)
{
	const struct node *node = value->views == NULL ? NULL : value->views->node;
	const char *text = value->edited;
	size_t len = value->edited_len;
	AUTO_TEXT path = {0};
	uint32_t object;
	int rc;

	if (node == NULL)
		return 0;
	if (node->edit != NULL && (node->edit->what & EDIT_REMOVED) != 0) {
		if (went_along(node->edit))
			return 0;
		text = "{}";
		len = 2;
	}
	if (text == NULL)
		return 0;
	object =
		value->origin != 0 ? (uint32_t)value->origin : object_of(e, node->parent);
	rc = object == 0 ? error_set(err, EOPNOTSUPP, "the folder around it is no group")
			 : hdf5_edit_attributes(e->edit, object, NULL, text, len, err);
	if (rc == 0)
		return 0;
	tree_path(node, &path);
	if (text_check(&path, NULL) == 0)
		error_prefix(err, "%s", path.bytes);
	return rc;
}

static int write_values(struct encoding *e, struct error *err)
{
	const struct value *value;
	int rc = 0;

	for (value = e->model->tree->values; rc == 0 && value != NULL;
		value = value->next)
		rc = write_value(e, value, err);
	return rc;
}

static int encode(struct encoding *e, struct error *err)
{
	int rc = lift(e, err);

	if (rc == 0)
		rc = unlink_removed(e, err);
	if (rc == 0)
		rc = add_groups(e, err);
	if (rc == 0)
		rc = place_lifted(e, err);
	if (rc == 0)
		rc = write_tensors(e, err);
	if (rc == 0)
		rc = write_values(e, err);
	return rc;
}

int hdf5_plain_encode(struct model *model, struct plan *plan, struct error *err)
{
	struct encoding e = {.model = model, .plain = model->priv};
	int rc;

	if (tree_clean(model->tree))
		return plan_old(plan, 0, source_size(model->source), err);
	rc = hdf5_edit_open(&e.edit, e.plain->hdf5, model->pool, err);
	if (rc == 0)
		rc = encode(&e, err);
	if (rc == 0)
		rc = hdf5_edit_commit(&e.edit, plan, err);
	hdf5_edit_drop(&e.edit);
	free(e.made);
	return rc;
}
