/*
 * tree_edit: what shall become of a tree.
 *
 * An edit remembers the node's place in the container from the first change on, so that
 * what is undone is as it was, in its old order. A node of the container never
 * disappears: removed, it has no parent, and its edit is the only way to it. Only
 * folders that are no objects of the container (NODE_OBJECT) leave without an edit: for
 * the container they are nothing but a part of other names. Their place is kept in
 * their children, for who undoes the removal of what was in them.
 */
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/base/tree_private.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "not enough memory for an edit");
}

static void link_last(struct tree *tree, struct edit *edit)
{
	edit->prev = tree->last_edit;
	edit->next = NULL;
	*(edit->prev != NULL ? &edit->prev->next : &tree->edits) = edit;
	tree->last_edit = edit;
}

static void unlink_edit(struct tree *tree, struct edit *edit)
{
	*(edit->prev != NULL ? &edit->prev->next : &tree->edits) = edit->next;
	*(edit->next != NULL ? &edit->next->prev : &tree->last_edit) = edit->prev;
}

/* Whoever changes the structure is the newest: undone from the newest on, each change
 * finds the folders that it needs. */
static void renew(struct tree *tree, struct edit *edit)
{
	unlink_edit(tree, edit);
	link_last(tree, edit);
}

/* The node's edit, a new one if it has none. NULL without memory. */
static struct edit *edit_of(struct tree *tree, struct node *node)
{
	struct edit *edit = node->edit;

	if (edit != NULL || (edit = calloc(1, sizeof *edit)) == NULL)
		return edit;
	edit->node = node;
	node->edit = edit;
	link_last(tree, edit);
	return edit;
}

static void drop_edit(struct tree *tree, struct node *node)
{
	struct edit *edit = node->edit;

	if (edit == NULL)
		return;
	unlink_edit(tree, edit);
	blob_unref(&edit->content);
	text_done(&edit->sidecar);
	free(edit);
	node->edit = NULL;
}

/* Takes what the edit says about the contents back. */
static void drop_content(struct edit *edit, unsigned what)
{
	if (what & EDIT_CONTENT)
		blob_unref(&edit->content);
	if (what & EDIT_TYPE)
		edit->tensor = NULL;
	if (what & EDIT_SIDECAR)
		text_done(&edit->sidecar);
	edit->what &= ~(what & (EDIT_CONTENT | EDIT_TYPE | EDIT_SIDECAR));
}

/* An edit that says nothing any more is none. */
static void settle(struct tree *tree, struct node *node)
{
	if (node->edit != NULL && node->edit->what == 0)
		drop_edit(tree, node);
}

static bool has(const struct node *node, unsigned what)
{
	return node->edit != NULL && (node->edit->what & what);
}

bool tree_clean(const struct tree *tree)
{
	if (tree->edits != NULL)
		return false;
	for (const struct value *value = tree->values; value != NULL; value = value->next)
		if (value->edited != NULL)
			return false;
	return true;
}

/* Places. */

/* The place in the container of a node that is not added: where it is, or was before it
 * moved. */
static struct place place_of(const struct node *node)
{
	if (has(node, EDIT_MOVED | EDIT_REMOVED))
		return (struct place){
			.parent = node->edit->old_parent, .name = node->edit->old_name};
	return (struct place){.parent = node->parent, .name = node->name};
}

static void keep_place(struct edit *edit, const struct place *place)
{
	edit->old_parent = place->parent;
	edit->old_name = place->name;
}

/* The sibling after which the container had a node of that order; NULL: none. */
static struct node *before(const struct node *folder, uint32_t order)
{
	struct node *node = folder->children->last;

	while (node != NULL &&
		(has(node, EDIT_ADDED | EDIT_MOVED) || node->order > order))
		node = node->prev;
	return node;
}

/* Adding. */

static int add(struct tree *tree, struct node *node, struct error *err)
{
	struct edit *edit = edit_of(tree, node);

	if (edit == NULL) {
		children_remove(node);
		return no_memory(err);
	}
	edit->what = EDIT_ADDED;
	return 0;
}

int tree_add_folder(struct tree *tree, struct node *parent, const char *name,
	struct node **out, struct error *err)
{
	int rc = tree_folder(tree, parent, name, out, err);

	return rc < 0 ? rc : add(tree, *out, err);
}

int tree_add_tensor(struct tree *tree, struct node *parent, const char *stem,
	struct tensor *type, struct blob *content, struct node **out, struct error *err)
{
	int rc = tree_tensor(tree, parent, stem, out, err);

	if (rc == 0)
		rc = add(tree, *out, err);
	if (rc < 0)
		return rc;
	(*out)->edit->tensor = type;
	if (content != NULL)
		(*out)->edit->content = blob_ref(content);
	return 0;
}

int tree_add_document(struct tree *tree, struct node *parent, const char *name,
	struct node **out, struct error *err)
{
	struct value *value;
	int rc = tree_value(tree, 0, &value, err);

	if (rc == 0) {
		value->text = strdup("{}");
		value->len = 2;
		rc = value->text == NULL ? no_memory(err) : 0;
	}
	if (rc == 0)
		rc = tree_document(tree, parent, name, value, "", NULL, out, err);
	return rc < 0 ? rc : add(tree, *out, err);
}

/* Removing. */

/* Whether the container knows the node by itself. */
static bool counts(const struct node *node)
{
	return node->kind != NODE_FOLDER || (node->flags & NODE_OBJECT);
}

/* Makes what marking a node needs, so that marking cannot fail. */
static int prepare(struct tree *tree, struct node *node, struct error *err)
{
	if (has(node, EDIT_ADDED))
		return 0;
	if (counts(node) ? edit_of(tree, node) == NULL : children_of(tree, node) == NULL)
		return no_memory(err);
	return 0;
}

/* The node, still in its place, becomes a removed one. */
static void mark(struct tree *tree, struct node *node)
{
	struct place place = place_of(node);

	if (has(node, EDIT_ADDED)) {
		if (node->kind == NODE_DOCUMENT)
			tree_set_value(node->view->value, NULL, 0);
		drop_edit(tree, node);
	} else if (counts(node)) {
		drop_content(node->edit, node->edit->what);
		node->edit->what = EDIT_REMOVED;
		keep_place(node->edit, &place);
		renew(tree, node->edit);
	} else {
		drop_edit(tree, node);
		node->children->gone = place;
	}
}

/* Marks and detaches the node and everything below, from below. */
static void detach(struct tree *tree, struct node *node)
{
	struct node *at = node, *parent;

	for (;;) {
		while (tree_first(at) != NULL)
			at = tree_first(at);
		parent = at->parent;
		mark(tree, at);
		children_remove(at);
		if (at == node)
			return;
		at = parent;
	}
}

int tree_remove(struct tree *tree, struct node *node, struct error *err)
{
	int rc = 0;

	if (node->parent == NULL)
		return error_set(
			err, EINVAL, "what is not in the tree cannot be removed");
	for (struct node *n = node; n != NULL && rc == 0; n = tree_walk(node, n))
		rc = prepare(tree, n, err);
	if (rc < 0) {
		for (struct node *n = node; n != NULL; n = tree_walk(node, n))
			settle(tree, n);
		return rc;
	}
	detach(tree, node);
	return 0;
}

/* Moving. */

static bool is_below(const struct node *node, const struct node *top)
{
	while (node != NULL && node != top)
		node = node->parent;
	return node == top;
}

/* Attaches a detached node at its place in the container; the folder has room. */
static void put_back(struct node *node, const struct place *place)
{
	node->name = place->name;
	children_insert(place->parent, before(place->parent, node->order), node);
}

/* Whether the node may have that name in that folder, and room for it there. */
static int make_room(struct tree *tree, struct node *parent, enum node_kind kind,
	const char *name, struct error *err)
{
	int rc = children_free_name(parent, kind, name, strlen(name), err);

	return rc < 0 ? rc : children_reserve(tree, parent, err);
}

/* Moves a node, of which nothing can fail any more. */
static void relocate(
	struct tree *tree, struct node *node, struct node *parent, const char *name)
{
	struct place place = place_of(node);
	struct node *prev = parent == node->parent ? node->prev : parent->children->last;
	bool added = has(node, EDIT_ADDED);

	children_remove(node);
	if (!added && parent == place.parent && strcmp(name, place.name) == 0) {
		put_back(node, &place);
		node->edit->what &= ~(unsigned)EDIT_MOVED;
		settle(tree, node);
		return;
	}
	node->name = name;
	children_insert(parent, prev, node);
	if (added)
		return;
	node->edit->what |= EDIT_MOVED;
	keep_place(node->edit, &place);
	renew(tree, node->edit);
}

int tree_move(struct tree *tree, struct node *node, struct node *parent, const char *name,
	struct error *err)
{
	const char *copy;
	int rc;

	if (node->parent == NULL || is_below(parent, node))
		return error_set(err, EINVAL, "%s: a folder cannot be moved into itself",
			node->name);
	if (parent == node->parent && strcmp(name, node->name) == 0)
		return 0;
	rc = make_room(tree, parent, node->kind, name, err);
	if (rc < 0)
		return rc;
	copy = tree_string(tree, name, strlen(name));
	if (copy == NULL || edit_of(tree, node) == NULL)
		return no_memory(err);
	relocate(tree, node, parent, copy);
	return 0;
}

/* Contents. */

int tree_set_content(
	struct tree *tree, struct node *node, struct blob *content, struct error *err)
{
	struct edit *edit = edit_of(tree, node);
	struct blob *old;

	if (edit == NULL)
		return no_memory(err);
	old = edit->content;
	edit->content = content != NULL ? blob_ref(content) : NULL;
	blob_unref(&old);
	if (!(edit->what & EDIT_ADDED))
		edit->what = content != NULL ? edit->what | EDIT_CONTENT
					     : edit->what & ~(unsigned)EDIT_CONTENT;
	settle(tree, node);
	return 0;
}

int tree_set_type(
	struct tree *tree, struct node *node, struct tensor *type, struct error *err)
{
	struct edit *edit = edit_of(tree, node);

	if (edit == NULL)
		return no_memory(err);
	edit->tensor = type;
	if (!(edit->what & EDIT_ADDED))
		edit->what = type != NULL ? edit->what | EDIT_TYPE
					  : edit->what & ~(unsigned)EDIT_TYPE;
	settle(tree, node);
	return 0;
}

int tree_set_sidecar(struct tree *tree, struct node *node, const char *text, size_t len,
	struct error *err)
{
	struct edit *edit = edit_of(tree, node);
	AUTO_TEXT copy = {0};
	int rc;

	if (edit == NULL)
		return no_memory(err);
	text_put(&copy, text, len);
	rc = text_check(&copy, err);
	if (rc == 0) {
		text_done(&edit->sidecar);
		edit->sidecar = copy;
		copy = (struct text){0};
		edit->what |= EDIT_SIDECAR;
	}
	settle(tree, node);
	return rc;
}

void tree_set_value(struct value *value, char *text, size_t len)
{
	free(value->edited);
	value->edited = text;
	value->edited_len = text != NULL ? len : 0;
	if (value->index != NULL)
		value->index_free(value->index);
	value->index = NULL;
}

/* Undoing. */

/* The place of a folder that is not in the tree. */
static struct place left_from(const struct node *folder)
{
	return has(folder, EDIT_REMOVED) ? place_of(folder) : folder->children->gone;
}

/* Attaches the folder that a node was in, and those around it, where they are removed. */
static int bring_back(struct tree *tree, struct node *folder, struct error *err)
{
	while (folder != tree->root && folder->parent == NULL) {
		struct node *top = folder;
		struct place place = left_from(top);
		int rc;

		while (place.parent != tree->root && place.parent->parent == NULL) {
			top = place.parent;
			place = left_from(top);
		}
		rc = make_room(tree, place.parent, NODE_FOLDER, place.name, err);
		if (rc < 0)
			return rc;
		put_back(top, &place);
		drop_edit(tree, top);
	}
	return 0;
}

/* Who has the place that a moved or removed node had. */
static struct node *holder(const struct node *node)
{
	const struct edit *edit = node->edit;
	const char *name = edit->old_name;

	return (node->kind == NODE_TENSOR ? tree_stem : tree_child)(
		edit->old_parent, name, strlen(name));
}

/* Whether a moved node can go back once it and whoever has its place are out of the way.
 */
static int may_go_back(struct tree *tree, struct node *node, struct error *err)
{
	struct node *parent = node->edit->old_parent, *other;
	int rc = bring_back(tree, parent, err);

	if (rc < 0)
		return rc;
	if (is_below(parent, node))
		return error_set(err, EINVAL, "%s: its old folder is in it", node->name);
	other = holder(node);
	if (other == NULL || !has(other, EDIT_MOVED))
		return make_room(tree, parent, node->kind, node->edit->old_name, err);
	return children_reserve(tree, parent, err);
}

/* Where two nodes have each other's names, neither can go back alone: so what has moved
 * to the place goes back first, and what has moved to its place before that. */
static int undo_move(struct tree *tree, struct node *node, struct error *err)
{
	struct node *out = NULL, *next;
	struct place place;
	int rc;

	for (struct node *n = node; n != NULL; n = holder(n) != node ? holder(n) : NULL) {
		rc = may_go_back(tree, n, err);
		if (rc < 0)
			return rc;
	}
	for (struct node *n = node; n != NULL; n = next) {
		next = holder(n);
		children_remove(n);
		n->next = out; /* a detached node has no sibling */
		out = n;
	}
	for (; out != NULL; out = next) {
		next = out->next;
		place = place_of(out);
		put_back(out, &place);
		out->edit->what &= ~(unsigned)EDIT_MOVED;
		if (out != node)
			settle(tree, out);
	}
	return 0;
}

static int undo_removal(struct tree *tree, struct node *node, struct error *err)
{
	struct place place = place_of(node);
	int rc = bring_back(tree, place.parent, err);
	struct node *other = rc == 0 ? holder(node) : NULL;

	if (other != NULL && has(other, EDIT_MOVED)) {
		rc = undo_move(tree, other, err);
		settle(tree, other);
	}
	if (rc == 0)
		rc = make_room(tree, place.parent, node->kind, place.name, err);
	if (rc < 0)
		return rc;
	put_back(node, &place);
	node->edit->what = 0;
	return 0;
}

int tree_undo(struct tree *tree, struct node *node, unsigned what, struct error *err)
{
	int rc = 0;

	what = node->edit != NULL ? what & node->edit->what : 0;
	if (what & EDIT_ADDED) {
		if (tree_first(node) != NULL)
			return error_set(err, ENOTEMPTY, "%s: the folder is not empty",
				node->name);
		return tree_remove(tree, node, err);
	}
	if (what & EDIT_REMOVED)
		rc = undo_removal(tree, node, err);
	if (what & EDIT_MOVED)
		rc = undo_move(tree, node, err);
	if (rc < 0)
		return rc;
	if (what != 0)
		drop_content(node->edit, what);
	settle(tree, node);
	return 0;
}
