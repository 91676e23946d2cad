/* Edits of trees: what is listed, what is undone, what cancels out. */
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/spill.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <stdlib.h>

static struct spill_pool pool = {.dir = -1, .limit = 1 << 20, .in_memory = 1 << 20};

static void done(struct tree **tree)
{
	tree_free(tree);
}
#define AUTO_TREE __attribute__((cleanup(done))) struct tree

static struct tensor *type(struct tree *tree)
{
	const uint64_t shape[] = {2};
	struct tensor *tensor = NULL;

	CHECK_INT(tree_type(tree, dtype_find("int8", 4), 1, shape, &tensor, NULL), 0);
	return tensor;
}

static struct blob *contents(void)
{
	struct blob *blob = NULL;

	CHECK_INT(blob_memory(&blob, strdup("ab"), 2, NULL), 0);
	return blob;
}

/* All paths in the order of a walk, and what is edited in each node. */
static void listing(const struct tree *tree, struct text *out)
{
	for (struct node *node = tree->root; node != NULL;
		node = tree_walk(tree->root, node)) {
		text_putc(out, "/*-@"[node->kind]);
		tree_path(node, out);
		if (node->edit != NULL)
			text_printf(out, ":%x", node->edit->what);
		text_putc(out, ' ');
	}
}

static bool lists(const struct tree *tree, const char *want)
{
	AUTO_TEXT text = {0};

	listing(tree, &text);
	return CHECK_STR(text.bytes, want);
}

static struct tree *small(void)
{
	static const char *const names[] = {"a.x", "a.y", "a.b.z", "c"};
	struct tree *tree = NULL;
	struct node *node;

	CHECK_INT(tree_new(&tree, '.', NULL), 0);
	for (size_t i = 0; i < 4; i++)
		CHECK_INT(tree_name(tree, tree->root, names[i], strlen(names[i]), &node,
				  NULL, NULL),
			0);
	return tree;
}

static void adding_documents(void)
{
	AUTO_TREE *tree = small();
	struct node *folder = NULL, *node = NULL, *again = NULL;

	unit_begin("a document that is added goes with its value's edit");
	CHECK_INT(tree_add_folder(tree, tree->root, "n", &folder, NULL), 0);
	CHECK_INT(tree_add_document(tree, folder, "d.json", &node, NULL), 0);
	CHECK_INT(tree_add_document(tree, folder, "d.json", &again, NULL), -EEXIST);
	tree_set_value(node->view->value, strdup("{\"a\": 1}"), 8);
	CHECK(tree_child(folder, "d.json", 6) == node && !tree_clean(tree));
	CHECK_INT(tree_undo(tree, node, EDIT_ADDED, NULL), 0);
	CHECK(tree_child(folder, "d.json", 6) == NULL);
	CHECK_INT(tree_undo(tree, folder, EDIT_ADDED, NULL), 0);
	CHECK(tree_clean(tree));
	CHECK_INT(tree_add_folder(tree, tree->root, "n", &folder, NULL), 0);
	CHECK_INT(tree_add_document(tree, folder, "d.json", &node, NULL), 0);
	tree_set_value(node->view->value, strdup("{\"a\": 1}"), 8);
	CHECK_INT(tree_remove(tree, folder, NULL), 0);
	CHECK(tree_clean(tree));
}

static void adding(void)
{
	AUTO_TREE *tree = small();
	AUTO_BLOB *blob = contents();
	struct node *node = NULL, *folder = NULL;
	struct tensor *int8 = type(tree);

	unit_begin("what is added and removed again leaves nothing");
	CHECK_INT(tree_add_folder(tree, tree->root, "n", &folder, NULL), 0);
	CHECK_INT(tree_add_tensor(tree, folder, "t", int8, blob, &node, NULL), 0);
	lists(tree, "/ /a *a/x *a/y /a/b *a/b/z *c /n:1 *n/t:1 ");
	CHECK(tree_tensor_now(node) == int8 && node->edit->content == blob);
	CHECK(!tree_clean(tree));
	CHECK_INT(tree_add_tensor(tree, folder, "t", int8, blob, &node, NULL), -EEXIST);
	CHECK_INT(tree_undo(tree, folder, EDIT_ADDED, NULL), -ENOTEMPTY);
	CHECK_INT(tree_remove(tree, folder, NULL), 0);
	CHECK(tree_clean(tree));
	lists(tree, "/ /a *a/x *a/y /a/b *a/b/z *c ");

	unit_begin(
		"an added tensor is moved, written and typed, and is still only added");
	CHECK_INT(tree_add_tensor(tree, tree->root, "t", int8, NULL, &node, NULL), 0);
	CHECK_INT(tree_move(tree, node, tree_at(tree, "a"), "u", NULL), 0);
	CHECK_INT(tree_set_content(tree, node, blob, NULL), 0);
	CHECK_INT(tree_set_type(tree, node, type(tree), NULL), 0);
	lists(tree, "/ /a *a/x *a/y /a/b *a/b/z *a/u:1 *c ");
	CHECK_INT(tree_undo(tree, node, ~0u, NULL), 0);
	CHECK(tree_clean(tree));
}

static void removing(void)
{
	AUTO_TREE *tree = small();
	struct node *a = tree_at(tree, "a"), *z = tree_at(tree, "a/b/z"), *n;
	struct node *x = tree_at(tree, "a/x"), *y = tree_at(tree, "a/y");
	AUTO_TEXT path = {0};

	unit_begin(
		"a removed folder takes all below with it, each by an edit of its own");
	CHECK_INT(tree_remove(tree, a, NULL), 0);
	lists(tree, "/ *c ");
	CHECK(a->edit == NULL && a->parent == NULL);
	n = x; /* in the order in which they can be removed one by one */
	for (struct edit *edit = tree->edits; edit != NULL; edit = edit->next) {
		CHECK(edit->node == n && edit->what == EDIT_REMOVED);
		CHECK_STR(edit->old_name, n->name);
		CHECK(n->parent == NULL);
		n = n == x ? y : z;
	}
	tree_path(z, &path);
	CHECK_STR(path.bytes, "a/b/z");

	unit_begin("what is undone is at its old place, with the folders around it");
	CHECK_INT(tree_undo(tree, z, EDIT_REMOVED, NULL), 0);
	lists(tree, "/ /a /a/b *a/b/z *c ");
	CHECK_INT(tree_undo(tree, y, EDIT_REMOVED, NULL), 0);
	CHECK_INT(tree_undo(tree, x, EDIT_REMOVED, NULL), 0);
	lists(tree, "/ /a *a/x *a/y /a/b *a/b/z *c ");
	CHECK(tree_clean(tree));
	CHECK_INT(tree_remove(tree, tree->root, NULL), -EINVAL);

	unit_begin(
		"an object that is a folder has an edit, and comes back with its child");
	a->flags |= NODE_OBJECT;
	CHECK_INT(tree_remove(tree, a, NULL), 0);
	CHECK(a->edit != NULL && tree->last_edit == a->edit);
	CHECK_INT(tree_undo(tree, z, EDIT_REMOVED, NULL), 0);
	CHECK(a->edit == NULL);
	CHECK_INT(tree_undo(tree, x, EDIT_REMOVED, NULL), 0);
	CHECK_INT(tree_undo(tree, y, EDIT_REMOVED, NULL), 0);
	lists(tree, "/ /a *a/x *a/y /a/b *a/b/z *c ");
	CHECK(tree_clean(tree));
}

static void taken(void)
{
	AUTO_TREE *tree = small();
	struct node *x = tree_at(tree, "a/x"), *a = x->parent, *node = NULL;

	unit_begin("an undone removal whose place is taken is refused");
	CHECK_INT(tree_remove(tree, x, NULL), 0);
	CHECK_INT(tree_add_tensor(tree, a, "x", type(tree), NULL, &node, NULL), 0);
	CHECK_INT(tree_undo(tree, x, EDIT_REMOVED, NULL), -EEXIST);
	CHECK_INT(tree_undo(tree, node, EDIT_ADDED, NULL), 0);
	CHECK_INT(tree_undo(tree, x, EDIT_REMOVED, NULL), 0);
	CHECK(tree_clean(tree));
}

static void moving(void)
{
	AUTO_TREE *tree = small();
	struct node *a = tree_at(tree, "a"), *b = tree_at(tree, "a/b");
	struct node *x = tree_at(tree, "a/x");
	AUTO_BLOB *blob = contents();

	unit_begin("a moved folder is one edit, and moving back is no move");
	CHECK_INT(tree_move(tree, b, tree->root, "B", NULL), 0);
	lists(tree, "/ /a *a/x *a/y *c /B:4 *B/z ");
	CHECK(b->edit->old_parent == a);
	CHECK_STR(b->edit->old_name, "b");
	CHECK_INT(tree_move(tree, b, a, "b2", NULL), 0);
	CHECK_INT(tree_move(tree, b, a, "b", NULL), 0);
	CHECK(tree_clean(tree));
	CHECK_INT(tree_move(tree, a, b, "a", NULL), -EINVAL);
	CHECK_INT(tree_move(tree, a, a, "a", NULL), -EINVAL);
	CHECK_INT(tree_move(tree, x, a, "y", NULL), -EEXIST);
	CHECK_INT(tree_move(tree, x, a, "x", NULL), 0);
	CHECK(tree_clean(tree));

	unit_begin("a renamed child keeps its place in the order, moved back too");
	CHECK_INT(tree_move(tree, x, a, "w", NULL), 0);
	lists(tree, "/ /a *a/w:4 *a/y /a/b *a/b/z *c ");
	CHECK_INT(tree_move(tree, x, tree->root, "w", NULL), 0);
	lists(tree, "/ /a *a/y /a/b *a/b/z *c *w:4 ");
	CHECK_INT(tree_set_content(tree, x, blob, NULL), 0);
	CHECK_INT(tree_undo(tree, x, EDIT_MOVED, NULL), 0);
	lists(tree, "/ /a *a/x:8 *a/y /a/b *a/b/z *c ");

	unit_begin("what was moved and is removed was where the container has it");
	CHECK_INT(tree_move(tree, x, b, "w", NULL), 0);
	CHECK_INT(tree_remove(tree, b, NULL), 0);
	CHECK_INT(x->edit->what, EDIT_REMOVED);
	CHECK(x->edit->old_parent == a && x->edit->content == NULL);
	CHECK_STR(x->edit->old_name, "x");
	lists(tree, "/ /a *a/y *c ");
	CHECK_INT(tree_undo(tree, x, EDIT_REMOVED, NULL), 0);
	lists(tree, "/ /a *a/x *a/y *c ");
}

static void swapped(void)
{
	AUTO_TREE *tree = small();
	struct node *a = tree_at(tree, "a"), *b = tree_at(tree, "a/b");

	unit_begin("a folder that went into its own child comes out only with it");
	CHECK_INT(tree_move(tree, b, tree->root, "b", NULL), 0);
	CHECK_INT(tree_move(tree, a, b, "a", NULL), 0);
	lists(tree, "/ *c /b:4 *b/z /b/a:4 *b/a/x *b/a/y ");
	CHECK_INT(tree_undo(tree, b, EDIT_MOVED, NULL), -EINVAL);
	CHECK_INT(tree_undo(tree, a, EDIT_MOVED, NULL), 0);
	CHECK_INT(tree_undo(tree, b, EDIT_MOVED, NULL), 0);
	lists(tree, "/ /a *a/x *a/y /a/b *a/b/z *c ");
	CHECK(tree_clean(tree));
}

static void contents_of(void)
{
	AUTO_TREE *tree = small();
	AUTO_BLOB *blob = contents(), *staged = NULL;
	struct node *c = tree_at(tree, "c.bin");
	struct value *value = NULL;

	unit_begin("contents, types and sidecars are set and undone one by one");
	c->tensor = type(tree);
	CHECK_INT(blob_staged(&staged, blob, &pool, NULL), 0);
	CHECK_INT(tree_set_content(tree, c, blob, NULL), 0);
	CHECK_INT(tree_set_content(tree, c, staged, NULL), 0);
	CHECK_INT(tree_set_content(tree, c, staged, NULL), 0);
	CHECK(c->edit->content == staged);
	CHECK_INT(tree_set_type(tree, c, type(tree), NULL), 0);
	CHECK_INT(tree_set_sidecar(tree, c, "{}", 2, NULL), 0);
	CHECK_INT(tree_set_sidecar(tree, c, "{1}", 3, NULL), 0);
	CHECK_STR(c->edit->sidecar.bytes, "{1}");
	CHECK(tree_tensor_now(c) != c->tensor);
	CHECK_INT(c->edit->what, EDIT_CONTENT | EDIT_TYPE | EDIT_SIDECAR);
	CHECK_INT(tree_undo(tree, c, EDIT_TYPE, NULL), 0);
	CHECK(tree_tensor_now(c) == c->tensor);
	CHECK_INT(tree_undo(tree, c, EDIT_CONTENT | EDIT_SIDECAR, NULL), 0);
	CHECK(c->edit == NULL && tree_clean(tree));
	CHECK_INT(tree_undo(tree, c, ~0u, NULL), 0);

	unit_begin("a value is edited and undone");
	CHECK_INT(tree_value(tree, 1, &value, NULL), 0);
	tree_set_value(value, strdup("1"), 1);
	CHECK(!tree_clean(tree));
	tree_set_value(value, strdup("22"), 2);
	CHECK_INT(value->edited_len, 2);
	tree_set_value(value, NULL, 0);
	CHECK(tree_clean(tree));
	CHECK_INT(tree_set_sidecar(tree, c, "{}", 2, NULL), 0); /* freed with the tree */
}

static void exchanged(void)
{
	AUTO_TREE *tree = small();
	struct node *a = tree_at(tree, "a"), *b = tree_at(tree, "a/b"), *other = NULL;
	struct node *x = tree_at(tree, "a/x"), *y = tree_at(tree, "a/y");
	struct node *z = tree_at(tree, "a/b/z"), *c = tree_at(tree, "c.bin");

	unit_begin("nodes that have each other's names go back together");
	CHECK_INT(tree_move(tree, x, a, "t", NULL), 0);
	CHECK_INT(tree_move(tree, y, a, "x", NULL), 0);
	CHECK_INT(tree_move(tree, z, a, "y", NULL), 0);
	CHECK_INT(tree_move(tree, x, b, "z", NULL), 0);
	CHECK_INT(tree_move(tree, c, a, "c", NULL), 0);
	lists(tree, "/ /a *a/x:4 /a/b *a/b/z:4 *a/y:4 *a/c:4 ");
	CHECK_INT(tree_undo(tree, y, EDIT_MOVED, NULL), 0);
	lists(tree, "/ /a *a/x *a/y /a/b *a/b/z *a/c:4 ");

	unit_begin("what has moved to a removed node's place goes back for it");
	CHECK_INT(tree_remove(tree, x, NULL), 0);
	CHECK_INT(tree_move(tree, y, a, "x", NULL), 0);
	CHECK_INT(tree_undo(tree, x, EDIT_REMOVED, NULL), 0);
	lists(tree, "/ /a *a/x *a/y /a/b *a/b/z *a/c:4 ");

	unit_begin("what is blocked by an added node stays, and who blocks it too");
	CHECK_INT(tree_move(tree, x, a, "t", NULL), 0);
	CHECK_INT(tree_move(tree, y, a, "x", NULL), 0);
	CHECK_INT(tree_add_tensor(tree, a, "y", type(tree), NULL, &other, NULL), 0);
	CHECK_INT(tree_undo(tree, x, EDIT_MOVED, NULL), -EEXIST);
	lists(tree, "/ /a *a/t:4 *a/x:4 /a/b *a/b/z *a/c:4 *a/y:1 ");
	CHECK_INT(tree_undo(tree, other, EDIT_ADDED, NULL), 0);
	CHECK_INT(tree_undo(tree, x, EDIT_MOVED, NULL), 0);
	lists(tree, "/ /a *a/x *a/y /a/b *a/b/z *a/c:4 ");
}

static uint64_t state = 123456789;

static uint32_t random_below(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 33) % n;
}

#define NODES 120

static struct tree *random_tree(struct node *nodes[NODES])
{
	struct tree *tree = NULL;
	char name[16];

	CHECK_INT(tree_new(&tree, '.', NULL), 0);
	nodes[0] = tree->root;
	for (int i = 1; i < NODES; i++) {
		struct node *parent = nodes[random_below((uint32_t)i)];

		while (parent->kind != NODE_FOLDER)
			parent = parent->parent;
		(void)snprintf(name, sizeof name, "n%d", i);
		if (random_below(2))
			CHECK_INT(tree_tensor(tree, parent, name, &nodes[i], NULL), 0);
		else
			CHECK_INT(tree_folder(tree, parent, name, &nodes[i], NULL), 0);
		if (nodes[i]->kind == NODE_FOLDER && random_below(3) == 0)
			nodes[i]->flags |= NODE_OBJECT;
	}
	return tree;
}

static void random_edit(struct tree *tree, struct node *nodes[NODES])
{
	struct node *node = nodes[random_below(NODES)], *other, *made;
	struct node *folder = nodes[random_below(NODES)];
	char name[16];

	(void)snprintf(name, sizeof name, "n%u", random_below(NODES));
	if (node->parent == NULL)
		return;
	other = random_below(2) ? node->parent : folder;
	switch (random_below(6)) {
	case 0: CHECK_INT(tree_remove(tree, node, NULL), 0); return;
	case 1:
		if (node->kind == NODE_TENSOR)
			CHECK_INT(tree_set_sidecar(tree, node, "x", 1, NULL), 0);
		return;
	case 2:
		if (random_below(2))
			(void)tree_add_folder(tree, node->parent, name, &made, NULL);
		else
			(void)tree_add_tensor(
				tree, node->parent, name, type(tree), NULL, &made, NULL);
		return;
	default:
		if (other->kind == NODE_FOLDER &&
			(other->parent != NULL || other == tree->root))
			(void)tree_move(tree, node, other, name, NULL);
	}
}

/* Every edit is of a node, and says what is so. */
static void consistent(const struct tree *tree)
{
	const struct edit *last = NULL;

	for (const struct edit *edit = tree->edits; edit != NULL; edit = edit->next) {
		const struct node *node = edit->node;

		CHECK(node->edit == edit && edit->prev == last && edit->what != 0);
		CHECK((node->parent == NULL) == (edit->what == EDIT_REMOVED));
		if (edit->what & EDIT_MOVED)
			CHECK(node->parent != edit->old_parent ||
				strcmp(node->name, edit->old_name) != 0);
		last = edit;
	}
	CHECK(tree->last_edit == last);
	for (struct node *node = tree->root; node != NULL;
		node = tree_walk(tree->root, node))
		if (node != tree->root)
			CHECK((node->kind == NODE_TENSOR ? tree_stem : tree_child)(
				      node->parent, node->name, strlen(node->name)) ==
				node);
}

/* Undoes one edit after the other, the newest first. */
static void undo_newest(struct tree *tree)
{
	while (tree->last_edit != NULL)
		if (!CHECK_INT(tree_undo(tree, tree->last_edit->node, ~0u, NULL), 0))
			return;
}

/* Undoes any edit that can be undone until nothing is left. */
static void undo_all(struct tree *tree)
{
	struct edit *edit = tree->edits;

	while (edit != NULL) {
		if (random_below(3) > 0 && edit->next != NULL)
			edit = edit->next;
		else if (tree_undo(tree, edit->node, edit->what, NULL) == 0)
			edit = tree->edits;
		else
			edit = edit->next != NULL ? edit->next : tree->edits;
	}
}

static void anything(void)
{
	struct node *nodes[NODES];

	unit_begin("after any edits all can be undone, and the tree is as it was");
	for (int round = 0; round < 300; round++) {
		AUTO_TREE *tree = random_tree(nodes);
		AUTO_TEXT before = {0};
		AUTO_TEXT after = {0};

		listing(tree, &before);
		for (int i = 0; i < 40; i++) {
			random_edit(tree, nodes);
			consistent(tree);
		}
		if (round & 1)
			undo_newest(tree);
		else
			undo_all(tree);
		CHECK(tree_clean(tree));
		/* plain folders that were empty come back with nothing */
		for (int i = 1; i < NODES; i++)
			CHECK(nodes[i]->parent != NULL || nodes[i]->kind == NODE_FOLDER);
		listing(tree, &after);
		if (after.len == before.len)
			CHECK_STR(after.bytes, before.bytes);
		if (unit.why[0] != '\0')
			return;
	}
}

int main(void)
{
	adding();
	adding_documents();
	removing();
	taken();
	moving();
	swapped();
	exchanged();
	contents_of();
	anything();
	return unit_end();
}
