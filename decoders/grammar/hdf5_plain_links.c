/*
 * hdf5_plain_links: where links of a plain HDF5 file lead once something was removed or
 * has moved.
 *
 * A soft link is a path, which no removal and no renaming follows, so a tree in which one
 * was cut would show less than before without a word. The hard idea: paths are walked in
 * the edited tree, with the change that is asked for laid over it.
 */
#include "decoders/base/error.h"
#include "decoders/base/names.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/hdf5.h"
#include "decoders/grammar/hdf5_plain.h"
#include <errno.h>
#include <string.h>

#define SOFT_MAX 40 /* soft links that one path may go through */

/* The edited tree, and a change that is not made yet (NULL: none). */
struct sight {
	const struct hdf5_plain *plain;
	const struct change *change;
};

/* --- nodes --- */

static bool is_below(const struct node *node, const struct node *top)
{
	while (node != NULL && node != top)
		node = node->parent;
	return node != NULL;
}

static bool is_there(const struct sight *sight, const struct node *node)
{
	if (sight->change != NULL && sight->change->what == EDIT_REMOVED &&
		is_below(node, sight->change->node))
		return false;
	return is_below(node, sight->plain->nodes[HDF5_ROOT]);
}

static const struct node *parent_of(const struct sight *sight, const struct node *node)
{
	const struct change *change = sight->change;

	return change != NULL && change->what == EDIT_MOVED && change->node == node
		       ? change->parent
		       : node->parent;
}

/* The folder of the group that a link is in: not one that is a part of a long name. */
static const struct node *group_of(const struct sight *sight, const struct node *link)
{
	const struct node *folder = parent_of(sight, link);

	while (folder->parent != NULL && hdf5_plain_continued(folder))
		folder = parent_of(sight, folder);
	return folder;
}

/* A child by its name, of folders and links or of tensors. */
static const struct node *child_of(const struct sight *sight, const struct node *folder,
	const char *name, size_t len, bool tensor)
{
	const struct change *change = sight->change;
	const struct node *moved =
		change != NULL && change->what == EDIT_MOVED ? change->node : NULL;
	const struct node *node =
		tensor ? tree_stem(folder, name, len) : tree_child(folder, name, len);

	if (moved != NULL && folder == change->parent &&
		(moved->kind == NODE_TENSOR) == tensor && strlen(change->name) == len &&
		memcmp(change->name, name, len) == 0)
		return moved;
	return node == moved || node == NULL || !is_there(sight, node) ? NULL : node;
}

/* --- walking --- */

/* The node that a name of a group is in the tree; NULL: none. */
static const struct node *find_place(const struct sight *sight, const struct node *folder,
	const char *name, size_t len, enum names_place place)
{
	AUTO_TEXT path = {0};
	const struct node *node;
	const char *at, *end;

	names_piece(name, len, HDF5_SEPARATOR, place, &path);
	if (text_check(&path, NULL) < 0)
		return NULL;
	for (at = path.bytes; (end = strchr(at, '/')) != NULL; at = end + 1) {
		folder = child_of(sight, folder, at, (size_t)(end - at), false);
		if (folder == NULL || folder->kind != NODE_FOLDER)
			return NULL;
	}
	len = strlen(at);
	if (place == NAMES_FOLDER)
		return child_of(sight, folder, at, len, false);
	node = child_of(sight, folder, at, len, true);
	text_puts(&path, ".json"); /* of a link to a tensor */
	if (node != NULL || text_check(&path, NULL) < 0)
		return node;
	at = strrchr(path.bytes, '/');
	at = at == NULL ? path.bytes : at + 1;
	return child_of(sight, folder, at, strlen(at), false);
}

static const struct node *find_name(const struct sight *sight, const struct node *folder,
	const char *name, size_t len)
{
	const struct node *node = find_place(sight, folder, name, len, NAMES_FOLDER);

	if (node != NULL && (node->kind == NODE_FOLDER || node->kind == NODE_LINK))
		return node;
	return find_place(sight, folder, name, len, NAMES_STEM);
}

/* Takes what means nothing from the front of a path: slashes, and components ".". */
static void skip(struct text *path)
{
	size_t n = 0;

	while (path->bytes[n] == '/' ||
		(path->bytes[n] == '.' &&
			(path->bytes[n + 1] == '/' || path->bytes[n + 1] == '\0')))
		n++;
	text_splice(path, 0, n, NULL, 0);
}

/* One component of a path, taken from its front. */
static const struct node *step(
	const struct sight *sight, const struct node *folder, struct text *path)
{
	size_t len = strcspn(path->bytes, "/");
	const struct node *node = find_name(sight, folder, path->bytes, len);

	text_splice(path, 0, len, NULL, 0);
	return node;
}

/* The path that a soft link says, in front of the rest; the folder where it begins. */
static const struct node *redirect(const struct sight *sight, const struct node *node,
	const struct hdf5_link *link, struct text *path)
{
	text_splice(path, 0, 0, "/", 1);
	text_splice(path, 0, 0, link->target, strlen(link->target));
	return link->target[0] == '/' ? sight->plain->nodes[HDF5_ROOT]
				      : group_of(sight, node);
}

/* The folder or tensor that a soft link leads to; NULL: nothing. */
static const struct node *follow(const struct sight *sight, const struct node *soft)
{
	const struct node *node = soft;
	unsigned n_soft = 0;
	AUTO_TEXT path = {0};

	text_put(&path, "", 0);
	while (node != NULL && !path.failed) {
		const struct hdf5_link *link =
			hdf5_link(sight->plain->hdf5, (uint32_t)node->origin);

		skip(&path);
		if (node->kind != NODE_LINK && path.len == 0)
			return node;
		if (node->kind == NODE_FOLDER) {
			node = step(sight, node, &path);
		} else if (node->kind != NODE_LINK || link == NULL) {
			return NULL;
		} else if (link->kind == HDF5_HARD) {
			node = sight->plain->nodes[link->object];
			node = node != NULL && is_there(sight, node) ? node : NULL;
		} else {
			node = n_soft++ < SOFT_MAX ? redirect(sight, node, link, &path)
						   : NULL;
		}
	}
	return NULL;
}

/* --- asking --- */

static int refuse(const struct change *change, const struct node *soft, struct error *err)
{
	AUTO_TEXT path = {0};
	const char *dot;

	if (soft == change->node)
		return error_set(err, EOPNOTSUPP,
			"expected a place from which this link leads on, found one from "
			"which it leads nowhere");
	tree_path(soft, &path);
	if (text_check(&path, err) < 0)
		return -ENOMEM;
	dot = strrchr(soft->name, '.');
	if (dot != NULL && (strcmp(dot, ".bin") == 0 || strcmp(dot, ".json") == 0))
		text_splice(&path, path.len - strlen(dot), strlen(dot), NULL, 0);
	return error_set(err, EOPNOTSUPP,
		"expected no soft link that leads here, found %s: remove that first",
		path.bytes);
}

int hdf5_plain_check_soft(
	const struct model *model, const struct change *change, struct error *err)
{
	const struct hdf5_plain *plain = model->priv;
	const struct sight now = {.plain = plain}, then = {plain, change};

	for (size_t i = 0; i < plain->n_soft; i++) {
		const struct hdf5_soft *soft = &plain->soft[i];

		if (soft->led_to != NULL && is_there(&then, soft->node) &&
			follow(&then, soft->node) != soft->led_to &&
			follow(&now, soft->node) == soft->led_to)
			return refuse(change, soft->node, err);
	}
	return 0;
}
