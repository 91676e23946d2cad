/*
 * place: names over the tree: an entry of the folder, else the tree's own.
 */
#include "fs/place.h"
#include "decoders/base/model.h"
#include "decoders/base/names.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "fs/fs_private.h"
#include "fs/inode.h"
#include <errno.h>
#include <string.h>

#define SCRATCH_DEPTH_MAX 256

size_t place_stem(const char *name, enum inode_kind *kind)
{
	size_t len = strlen(name);

	*kind = INODE_FILE;
	if (len > 4 && memcmp(name + len - 4, ".bin", 4) == 0) {
		*kind = INODE_BIN;
		return len - 4;
	}
	if (len > 5 && memcmp(name + len - 5, ".json", 5) == 0) {
		*kind = INODE_SIDECAR;
		return len - 5;
	}
	return 0;
}

static enum inode_kind kind_of(const struct node *node)
{
	return node->kind == NODE_FOLDER     ? INODE_FOLDER
	       : node->kind == NODE_DOCUMENT ? INODE_DOCUMENT
					     : INODE_LINK;
}

/* The tensor of that name whose removal from the folder waits for a commit. */
static struct node *removed_stem(
	struct fs *fs, const struct node *folder, const char *stem, size_t len)
{
	for (struct edit *edit = fs->model->tree->last_edit; edit != NULL;
		edit = edit->prev)
		if ((edit->what & EDIT_REMOVED) != 0 && edit->old_parent == folder &&
			edit->node->kind == NODE_TENSOR &&
			strlen(edit->old_name) == len &&
			memcmp(edit->old_name, stem, len) == 0)
			return edit->node;
	return NULL;
}

static int find_tensor(struct fs *fs, struct place *place, struct error *err)
{
	enum inode_kind kind;
	size_t len = place_stem(place->name, &kind);
	struct node *folder = place->folder->node, *node;
	const struct tensor *type;
	bool removed;
	int rc;

	if (len == 0)
		return 0;
	node = tree_stem(folder, place->name, len);
	removed = node == NULL;
	if (removed)
		node = removed_stem(fs, folder, place->name, len);
	if (node == NULL)
		return 0;
	if (kind == INODE_BIN) {
		rc = model_tensor_now(fs->model, node, &type, err);
		if (rc < 0)
			return rc;
		if ((type->flags & TENSOR_NO_BIN) != 0)
			return 0;
	}
	place->node = node;
	place->kind = kind;
	place->removed = removed;
	return 0;
}

int place_find(struct fs *fs, struct inode *folder, const char *name, struct place *out,
	struct error *err)
{
	int rc;

	*out = (struct place){.folder = folder, .name = name};
	if (folder->kind != INODE_FOLDER)
		return -ENOTDIR;
	out->entry = entry_find(folder, name);
	if (folder->node == NULL)
		return 0;
	rc = model_expand(fs->model, folder->node, err);
	if (rc < 0)
		return rc;
	out->node = tree_child(folder->node, name, strlen(name));
	if (out->node == NULL)
		return find_tensor(fs, out, err);
	out->kind = kind_of(out->node);
	return 0;
}

bool place_visible(const struct place *place)
{
	if (place->entry != NULL)
		return place->entry->inode != NULL;
	return place->node != NULL && !place->removed;
}

int place_inode(struct fs *fs, const struct place *place, struct inode **out)
{
	if (!place_visible(place))
		return -ENOENT;
	if (place->entry == NULL)
		return inode_make(fs, place->node, place->kind, out);
	*out = place->entry->inode;
	return 0;
}

int place_sibling(struct fs *fs, const struct place *place, struct text *name,
	struct place *out, struct error *err)
{
	enum inode_kind kind;
	size_t len = place_stem(place->name, &kind);

	text_put(name, place->name, len);
	text_puts(name, kind == INODE_BIN ? ".json" : ".bin");
	if (text_check(name, err) < 0)
		return -ENOMEM;
	return place_find(fs, place->folder, name->bytes, out, err);
}

bool place_grows(struct fs *fs, struct inode *folder, struct inode **above)
{
	char separator = fs->model->tree->separator;

	for (unsigned depth = 0; depth < SCRATCH_DEPTH_MAX; depth++) {
		if (folder->node != NULL) {
			if (above != NULL)
				*above = folder;
			return (folder->node->flags & NODE_GROWS) != 0;
		}
		if (folder->entry == NULL ||
			!names_canonical(folder->entry->name, strlen(folder->entry->name),
				separator, NAMES_FOLDER))
			return false;
		folder = folder->entry->folder;
	}
	return false;
}

bool place_half(struct fs *fs, struct inode *folder, const char *name)
{
	enum inode_kind kind;
	size_t len = place_stem(name, &kind);

	return len > 0 && place_grows(fs, folder, NULL) &&
	       names_canonical(name, len, fs->model->tree->separator, NAMES_STEM);
}

bool place_document(struct fs *fs, struct inode *folder, const char *name)
{
	enum inode_kind kind;
	size_t len = place_stem(name, &kind);

	return (fs->model->decoder->flags & DECODER_DOCUMENTS) != 0 &&
	       kind == INODE_SIDECAR && place_grows(fs, folder, NULL) &&
	       !names_canonical(name, len, fs->model->tree->separator, NAMES_STEM);
}

static bool child_visible(struct fs *fs, struct inode *folder, struct node *child)
{
	struct entry *entry;

	if ((child->flags & NODE_HIDDEN) != 0)
		return false;
	if (child->kind != NODE_TENSOR) {
		entry = entry_find(folder, child->name);
		return entry == NULL || entry->inode != NULL;
	}
	/* A removed sidecar alone takes nothing away: its tensor is there. */
	(void)fs;
	return true;
}

bool place_empty(struct fs *fs, struct inode *folder)
{
	for (struct entry *entry = folder->entries; entry != NULL; entry = entry->next)
		if (entry->inode != NULL)
			return false;
	if (folder->node == NULL)
		return true;
	if (model_expand(fs->model, folder->node, NULL) < 0)
		return false;
	for (struct node *child = tree_first(folder->node); child != NULL;
		child = child->next)
		if (child_visible(fs, folder, child))
			return false;
	return true;
}
