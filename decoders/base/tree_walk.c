/*
 * tree_walk: finding nodes by path, paths of nodes, and going over all of them.
 *
 * Containers decide how deep a tree is, so nothing here recurses.
 */
#include "decoders/base/text.h"
#include "decoders/base/tree_private.h"
#include <inttypes.h>
#include <string.h>

/* The node that has the file `name`, or the tensor of that stem. */
static struct node *file_at(const struct node *folder, const char *name, size_t len)
{
	struct node *found = tree_child(folder, name, len);

	if (found == NULL && len > 4 && memcmp(name + len - 4, ".bin", 4) == 0)
		found = tree_stem(folder, name, len - 4);
	if (found == NULL && len > 5 && memcmp(name + len - 5, ".json", 5) == 0)
		found = tree_stem(folder, name, len - 5);
	return found != NULL ? found : tree_stem(folder, name, len);
}

struct node *tree_at(const struct tree *tree, const char *path)
{
	struct node *node = tree->root;
	const char *slash;

	if (*path == '\0')
		return node;
	while ((slash = strchr(path, '/')) != NULL) {
		node = tree_child(node, path, (size_t)(slash - path));
		if (node == NULL)
			return NULL;
		path = slash + 1;
	}
	return file_at(node, path, strlen(path));
}

/* The folder that a node is in, or was in. */
static const struct node *above(const struct node *node)
{
	if (node->parent != NULL)
		return node->parent;
	if (node->edit != NULL && (node->edit->what & EDIT_REMOVED))
		return node->edit->old_parent;
	return node->kind == NODE_FOLDER && node->children != NULL
		       ? node->children->gone.parent
		       : NULL;
}

void tree_path(const struct node *node, struct text *out)
{
	size_t len = 0, at, n;

	for (const struct node *p = node; above(p) != NULL; p = above(p))
		len += strlen(p->name) + (p != node);
	for (size_t i = 0; i < len; i++)
		text_putc(out, '/');
	if (out->failed)
		return;
	at = out->len;
	for (const struct node *p = node; above(p) != NULL; p = above(p)) {
		n = strlen(p->name);
		at -= n + (p != node);
		memcpy(out->bytes + at, p->name, n);
	}
}

void tensor_put_shape(const struct tensor *tensor, struct text *out)
{
	if ((tensor->flags & TENSOR_NULL) != 0) {
		text_puts(out, "null");
		return;
	}
	text_putc(out, '[');
	for (unsigned i = 0; i < tensor->rank; i++)
		text_printf(out, "%s%" PRIu64, i > 0 ? ", " : "", tensor->shape[i]);
	text_putc(out, ']');
}

struct node *tree_walk(const struct node *top, struct node *node)
{
	struct node *first = tree_first(node);

	if (first != NULL)
		return first;
	while (node != top && node->next == NULL)
		node = node->parent;
	return node == top ? NULL : node->next;
}

const struct tensor *tree_tensor_now(const struct node *node)
{
	if (node->kind != NODE_TENSOR)
		return NULL;
	if (node->edit != NULL && (node->edit->what & (EDIT_TYPE | EDIT_ADDED)))
		return node->edit->tensor;
	return node->tensor;
}
