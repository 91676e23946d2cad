/*
 * verify: the last look before a commit. A difference is a mistake of an encoder, and
 * better a refused edit than a container that says something else.
 */
#include "fs/verify.h"
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/json.h"
#include <errno.h>
#include <math.h>
#include <string.h>

#define ELEMENTS_MAX (16u << 20) /* bytes of an edit's elements that are read again */
/* Numbers may be rounded to the width that the container has for them. */
#define ROUNDING 4e-3

static int differs(const struct node *node, const char *how, struct error *err)
{
	AUTO_TEXT path = {0};

	tree_path(node, &path);
	return error_set(err, EBADMSG, "%s: internal: after encoding %s",
		path.bytes != NULL ? path.bytes : "", how);
}

/* Values. */

static bool numbers_alike(
	const struct json *a, json_value va, const struct json *b, json_value vb)
{
	double x, y;

	if (json_double(a, va, &x, NULL) < 0 || json_double(b, vb, &y, NULL) < 0)
		return false;
	if (isnan(x) || isnan(y) || isinf(x) || isinf(y))
		return (isnan(x) && isnan(y)) || isinf(x) || isinf(y);
	return fabs(x - y) <= ROUNDING * fmax(fabs(x), fabs(y)) || fabs(x - y) < 1e-7;
}

static bool alike(
	const struct json *a, json_value va, const struct json *b, json_value vb);

static bool members_alike(
	const struct json *a, json_value va, const struct json *b, json_value vb)
{
	AUTO_TEXT key = {0};
	json_value w = json_first(b, vb);

	for (json_value v = json_first(a, va); v != JSON_NONE; v = json_next(a, v)) {
		text_clear(&key);
		json_key(a, v, &key);
		if (text_check(&key, NULL) < 0)
			return false;
		/* Usually in the same order, duplicates too. */
		if (w == JSON_NONE || !json_key_is(b, w, key.bytes, key.len))
			w = json_get(b, vb, key.bytes);
		if (w == JSON_NONE || !alike(a, v, b, w))
			return false;
		w = json_next(b, w);
	}
	return true;
}

static bool elements_alike(
	const struct json *a, json_value va, const struct json *b, json_value vb)
{
	json_value w = json_first(b, vb);

	for (json_value v = json_first(a, va); v != JSON_NONE;
		v = json_next(a, v), w = json_next(b, w))
		if (!alike(a, v, b, w))
			return false;
	return true;
}

/* Equal as data but for rounding. As deep as a parsed text can be: JSON_DEPTH_MAX. */
static bool alike(
	const struct json *a, json_value va, const struct json *b, json_value vb)
{
	enum json_type type = json_type(a, va);

	if (type != json_type(b, vb) || json_count(a, va) != json_count(b, vb))
		return false;
	switch (type) {
	case JSON_OBJECT: return members_alike(a, va, b, vb);
	case JSON_ARRAY: return elements_alike(a, va, b, vb);
	case JSON_NUMBER: return numbers_alike(a, va, b, vb);
	default: return json_equal(a, va, b, vb);
	}
}

static int compare_value(const struct value *edited, struct model *outcome,
	struct value *value, struct error *err)
{
	AUTO_JSON *a = NULL;
	AUTO_JSON *b = NULL;
	const char *text;
	size_t len;
	int rc = model_load(outcome, value, &text, &len, err);

	if (rc == 0)
		rc = json_parse(
			&a, edited->edited, edited->edited_len, JSON_NONFINITE, err);
	if (rc == 0)
		rc = json_parse(&b, text, len, JSON_NONFINITE, err);
	if (rc < 0)
		return rc;
	if (json_equal(a, 0, b, 0) || alike(a, 0, b, 0))
		return 0;
	return differs(edited->views->node, "it says something else", err);
}

/* A document that was emptied has nothing to stand for: formats show none, or {}. */
static bool is_emptied(const struct value *value)
{
	AUTO_JSON *json = NULL;

	return value->edited != NULL &&
	       json_parse(&json, value->edited, value->edited_len, JSON_NONFINITE,
		       NULL) == 0 &&
	       json_type(json, 0) == JSON_OBJECT && json_count(json, 0) == 0;
}

/* Whether folders have other names: documents may call them by their names, and follow.
 */
static bool renames_folders(const struct tree *tree)
{
	for (const struct edit *edit = tree->edits; edit != NULL; edit = edit->next)
		if ((edit->what & EDIT_MOVED) != 0 && edit->node->kind == NODE_FOLDER)
			return true;
	return false;
}

static int compare_values(struct model *edited, struct model *outcome, struct error *err)
{
	bool follow = renames_folders(edited->tree);
	int rc = 0;

	for (struct value *value = edited->tree->values; rc == 0 && value != NULL;
		value = value->next) {
		AUTO_TEXT path = {0};
		struct node *node;

		if (value->edited == NULL || value->views == NULL)
			continue;
		tree_path(value->views->node, &path);
		rc = text_check(&path, err);
		node = rc == 0 ? tree_at(outcome->tree, path.bytes) : NULL;
		if (rc == 0 && node == NULL && is_emptied(value))
			continue;
		if (rc == 0 && (node == NULL || node->kind != NODE_DOCUMENT))
			return differs(value->views->node, "it is missing", err);
		if (rc == 0 && !follow)
			rc = compare_value(value, outcome, node->view->value, err);
	}
	return rc;
}

/* Nodes. */

static bool same_type(const struct tensor *a, const struct tensor *b)
{
	return a->dtype == b->dtype && a->rank == b->rank &&
	       ((a->flags ^ b->flags) & (TENSOR_NO_BIN | TENSOR_NULL)) == 0 &&
	       memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) == 0;
}

static int compare_elements(const struct node *node, struct model *outcome,
	struct node *now, struct error *err)
{
	const struct edit *edit = node->edit;
	AUTO_BLOB *content = NULL;
	int rc;

	if (edit == NULL || edit->content == NULL ||
		blob_size(edit->content) > ELEMENTS_MAX)
		return 0;
	rc = model_content(outcome, now, &content, err);
	if (rc == 0)
		rc = blob_equal(edit->content, content, err);
	return rc < 0 ? rc : rc == 1 ? 0 : differs(node, "its elements are others", err);
}

static int compare_tensor(const struct node *node, struct model *outcome,
	struct node *now, struct error *err)
{
	const struct tensor *type = tree_tensor_now(node), *type_now;
	int rc;

	if (type == NULL) /* nobody has asked yet what it is */
		return 0;
	rc = model_tensor(outcome, now, &type_now, err);
	if (rc < 0)
		return rc;
	if (!same_type(type, type_now))
		return differs(node, "its type is another", err);
	return compare_elements(node, outcome, now, err);
}

/* Documents that were emptied, and folders that hold nothing else. */
static bool may_be_missing(const struct node *top)
{
	for (struct node *node = (struct node *)top; node != NULL;
		node = tree_walk(top, node))
		if (node->kind != NODE_FOLDER &&
			(node->kind != NODE_DOCUMENT || !is_emptied(node->view->value)))
			return false;
	return true;
}

/* A walk over both trees at once: `folder` of the edited one is `now` of the other. */
struct pair {
	const struct node *folder;
	struct node *now;
	const struct node *missing; /* below this there is nothing to compare */
};

static bool is_below(const struct node *node, const struct node *top)
{
	while (node != NULL && node != top)
		node = node->parent;
	return node != NULL;
}

static bool has_link(const struct node *folder, const char *name, size_t len)
{
	const struct node *node = tree_child(folder, name, len);

	return node != NULL && node->kind == NODE_LINK;
}

/* A link to a tensor is two files, any other is one: what it leads to may have come. */
static bool is_other_form(const struct node *folder, const struct node *link)
{
	const char *dot = strrchr(link->name, '.');
	AUTO_TEXT name = {0};

	if (link->kind != NODE_LINK)
		return false;
	if (dot != NULL && (strcmp(dot, ".bin") == 0 || strcmp(dot, ".json") == 0))
		return has_link(folder, link->name, (size_t)(dot - link->name));
	text_printf(&name, "%s.json", link->name);
	return text_check(&name, NULL) == 0 && has_link(folder, name.bytes, name.len);
}

static int compare_node(struct pair *at, const struct node *node, struct model *outcome,
	struct error *err)
{
	size_t len = strlen(node->name);
	struct node *now;

	for (; at->folder != node->parent; at->folder = at->folder->parent)
		at->now = at->now->parent;
	now = node->kind == NODE_TENSOR ? tree_stem(at->now, node->name, len)
					: tree_child(at->now, node->name, len);
	if (now == NULL && may_be_missing(node)) {
		at->missing = node;
		return 0;
	}
	if (now == NULL && is_other_form(at->now, node))
		return 0;
	if (now == NULL || now->kind != node->kind)
		return differs(node, "it is missing", err);
	if (node->kind == NODE_TENSOR)
		return compare_tensor(node, outcome, now, err);
	if (node->kind != NODE_FOLDER)
		return 0;
	at->folder = node;
	at->now = now;
	/* What nobody has read of the edited tree has no nodes to compare. */
	return (node->flags & NODE_LAZY) != 0 ? 0 : model_expand(outcome, now, err);
}

static int compare_nodes(struct model *edited, struct model *outcome, struct error *err)
{
	struct node *root = edited->tree->root, *node = root;
	struct pair at = {.folder = root, .now = outcome->tree->root};
	int rc = model_expand(outcome, at.now, err);

	while (rc == 0 && (node = tree_walk(root, node)) != NULL)
		if (at.missing == NULL || !is_below(node, at.missing))
			rc = compare_node(&at, node, outcome, err);
	return rc;
}

/* What was removed is gone, unless something else took its name. */
static int compare_removed(struct model *edited, struct model *outcome, struct error *err)
{
	for (const struct edit *edit = edited->tree->edits; edit != NULL;
		edit = edit->next) {
		AUTO_TEXT path = {0};

		if ((edit->what & EDIT_REMOVED) == 0 || edit->node->kind != NODE_TENSOR)
			continue;
		tree_path(edit->old_parent, &path);
		text_printf(&path, "%s%s.json", path.len > 0 ? "/" : "", edit->old_name);
		if (text_check(&path, err) < 0)
			return -ENOMEM;
		if (tree_at(outcome->tree, path.bytes) != NULL &&
			tree_at(edited->tree, path.bytes) == NULL)
			return error_set(err, EBADMSG,
				"%s: internal: after encoding it is still there",
				path.bytes);
	}
	return 0;
}

int verify_outcome(struct model *edited, struct model *outcome, struct error *err)
{
	int rc;

	pthread_mutex_lock(&edited->lock);
	rc = compare_nodes(edited, outcome, err);
	if (rc == 0)
		rc = compare_removed(edited, outcome, err);
	if (rc == 0)
		rc = compare_values(edited, outcome, err);
	pthread_mutex_unlock(&edited->lock);
	return rc;
}
