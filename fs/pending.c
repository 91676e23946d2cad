/*
 * pending: edits that wait to be committed: those of removals and renaming, of
 * commit=unmount, and those whose commit failed.
 */
#include "fs/pending.h"
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "fs/commits.h"
#include "fs/container.h"
#include "fs/fs_private.h"
#include "fs/pair.h"
#include "fs/place.h"
#include "fs/rebind.h"
#include "fs/refuse.h"
#include "fs/remove.h"
#include <errno.h>
#include <stdlib.h>

static void detach_lost(struct fs *fs, struct inode *inode, void *arg)
{
	struct node *node = inode->node;

	(void)arg;
	while (node != NULL && node->parent != NULL)
		node = node->parent;
	if (node == NULL || node == fs->model->tree->root)
		return;
	inode_detach(fs, inode, NULL);
	inode->flags |= INODE_GONE;
}

void pending_forget_lost(struct fs *fs)
{
	inode_each(fs, detach_lost, NULL);
}

/* What was written is kept before it is taken back. */
static void keep_file(
	struct fs *fs, struct node *node, enum inode_kind kind, const char *path)
{
	AUTO_BLOB *bytes = NULL;
	AUTO_TEXT name = {0};

	text_puts(&name, path);
	text_puts(&name, kind == INODE_BIN	 ? ".bin"
			 : kind == INODE_SIDECAR ? ".json"
						 : "");
	if (!name.failed && inode_render(fs, node, kind, &bytes, NULL) == 0)
		refuse_keep(fs, name.bytes, bytes);
}

/* A removal that is taken back: the sidecar that it left over is the tensor's again. */
static void restore_sidecar(struct fs *fs, struct node *node)
{
	struct inode *folder = inode_of(fs, node->parent, INODE_FOLDER);
	AUTO_TEXT name = {0};
	struct place place;

	text_printf(&name, "%s.bin", node->name);
	if (folder != NULL && !name.failed &&
		place_find(fs, folder, name.bytes, &place, NULL) == 0)
		pair_restore_sidecar(fs, &place);
}

static int undo_edit(struct fs *fs, struct edit *edit, struct text *path)
{
	struct node *node = edit->node;
	unsigned what = edit->what;
	int rc;

	tree_path((what & EDIT_REMOVED) != 0 ? edit->old_parent : node, path);
	if ((what & EDIT_REMOVED) != 0)
		text_printf(path, "/%s", edit->old_name);
	if (text_check(path, NULL) == 0 && (what & EDIT_REMOVED) == 0 &&
		node->kind == NODE_TENSOR) {
		if (edit->content != NULL)
			keep_file(fs, node, INODE_BIN, path->bytes);
		if ((what & (EDIT_ADDED | EDIT_TYPE | EDIT_SIDECAR)) != 0)
			keep_file(fs, node, INODE_SIDECAR, path->bytes);
	}
	if (text_check(path, NULL) == 0 && (what & EDIT_ADDED) != 0 &&
		node->kind == NODE_DOCUMENT)
		keep_file(fs, node, INODE_DOCUMENT, path->bytes);
	fs_own(fs);
	rc = tree_undo(fs->model->tree, node, ~0u, NULL);
	if (rc == 0 && (what & EDIT_REMOVED) != 0 && node->kind == NODE_TENSOR)
		restore_sidecar(fs, node);
	fs_unlock(fs);
	return rc;
}

static void undo_document(struct fs *fs, struct value *value, struct text *path)
{
	tree_path(value->views->node, path);
	if (text_check(path, NULL) == 0)
		keep_file(fs, value->views->node, INODE_DOCUMENT, path->bytes);
	fs_own(fs);
	tree_set_value(value, NULL, 0);
	fs_unlock(fs);
}

/* Takes the newest edit back; false: there is none. */
static bool undo_newest(struct fs *fs, struct text *path)
{
	struct tree *tree = fs->model->tree;
	struct value *value = tree->values;
	bool done = true;

	while (value != NULL && value->edited == NULL)
		value = value->next;
	if (tree->last_edit != NULL)
		done = undo_edit(fs, tree->last_edit, path) == 0;
	else if (value != NULL)
		undo_document(fs, value, path);
	else
		done = false;
	fs_own(fs);
	pending_forget_lost(fs);
	inode_forget_contents(fs);
	rebind_tell_all(fs);
	fs_unlock(fs);
	return done;
}

/* Empty folders become objects of the container where it has such. */
static void add_folder(struct fs *fs, struct inode *inode, void *arg)
{
	struct inode *folder = inode->entry != NULL ? inode->entry->folder : NULL;
	struct change change = {.what = EDIT_ADDED, .kind = NODE_FOLDER};
	struct node *node;

	(void)arg;
	if ((inode->flags & INODE_MADE) == 0 || inode->node != NULL || folder == NULL ||
		folder->node == NULL || !place_grows(fs, inode, NULL))
		return;
	change.parent = folder->node;
	change.name = inode->entry->name;
	if (model_check(fs->model, &change, NULL) == 0 &&
		tree_add_folder(
			fs->model->tree, folder->node, change.name, &node, NULL) == 0)
		inode_become(fs, inode, node, INODE_FOLDER);
}

static void add_folders(struct fs *fs)
{
	size_t before;

	if ((fs->model->decoder->flags & DECODER_FOLDERS) == 0)
		return;
	fs_own(fs);
	do { /* from the top, a level at a time */
		before = fs->model->tree->n_nodes;
		inode_each(fs, add_folder, NULL);
	} while (fs->model->tree->n_nodes != before);
	fs_unlock(fs);
}

void pending_give_up(struct fs *fs, const struct error *err)
{
	while (!tree_clean(fs->model->tree)) {
		AUTO_TEXT path = {0};

		if (!undo_newest(fs, &path))
			return;
		refuse_log(fs, path.bytes, err->text);
	}
}

/* What was unlinked and is not removed so far: tensors, where something stands in the
 * way, and documents, which many editors write anew. */
struct unlinked {
	struct node **nodes;
	size_t n, room;
};

static void note_unlinked(
	struct fs *fs, const struct entry *entry, struct unlinked *unlinked)
{
	struct place place;
	struct node **bigger;

	if (place_find(fs, entry->folder, entry->name, &place, NULL) < 0 ||
		place.node == NULL || place.removed ||
		(place.kind != INODE_BIN && place.kind != INODE_DOCUMENT))
		return;
	if (unlinked->n == unlinked->room) {
		unlinked->room = unlinked->room != 0 ? unlinked->room * 2 : 16;
		bigger = reallocarray(
			unlinked->nodes, unlinked->room, sizeof(struct node *));
		if (bigger == NULL) {
			unlinked->room = unlinked->n;
			return; /* it is back, without a reason */
		}
		unlinked->nodes = bigger;
	}
	unlinked->nodes[unlinked->n++] = place.node;
}

static void find_unlinked(struct fs *fs, struct inode *inode, void *arg)
{
	for (struct entry *entry = inode->entries; entry != NULL; entry = entry->next)
		if (entry->inode == NULL)
			note_unlinked(fs, entry, arg);
}

/* What stood in the way may be gone by now. How many were removed. */
static size_t remove_unlinked(struct fs *fs)
{
	struct unlinked unlinked = {0};
	size_t n = 0;

	fs_own(fs);
	if (fs->absent)
		inode_each(fs, find_unlinked, &unlinked);
	fs->absent = unlinked.n > 0;
	fs_unlock(fs);
	for (size_t i = 0; i < unlinked.n; i++)
		n += remove_hidden(fs, unlinked.nodes[i], NULL) == 0;
	free(unlinked.nodes);
	return n;
}

static int commit_all(struct fs *fs, struct error *err)
{
	struct plan *plan = NULL;
	int rc;

	add_folders(fs);
	while (!tree_clean(fs->model->tree)) {
		AUTO_TEXT path = {0};

		rc = model_encode(fs->model, &plan, err);
		if (rc == 0)
			rc = commits_write(fs, &plan, err);
		if (rc == -ESTALE)
			pending_give_up(fs, err);
		if (rc != -EINVAL && rc != -EOPNOTSUPP && rc != -EBADMSG)
			return rc;
		if (!undo_newest(fs, &path))
			return rc;
		refuse_log(fs, path.bytes != NULL ? path.bytes : "", err->text);
	}
	return 0;
}

int pending_commit(struct fs *fs, struct error *err)
{
	int rc;

	do {
		(void)remove_unlinked(fs);
		rc = commit_all(fs, err);
	} while (rc == 0 && remove_unlinked(fs) > 0);
	return rc;
}

/* Quiet. */

static void find_writer(struct fs *fs, struct inode *inode, void *arg)
{
	struct place place;

	if (inode->kind == INODE_FILE && inode->writers > 0 && inode->entry != NULL &&
		place_find(fs, inode->entry->folder, inode->entry->name, &place, NULL) ==
			0 &&
		place.node != NULL)
		*(bool *)arg = true;
}

/* A folder that was removed, and goes with the next commit by itself. */
static bool is_emptied(struct fs *fs, const struct entry *entry)
{
	struct inode *inode;
	struct place place;

	if (place_find(fs, entry->folder, entry->name, &place, NULL) < 0 ||
		place.node == NULL || place.kind != INODE_FOLDER)
		return false;
	inode = inode_of(fs, place.node, INODE_FOLDER);
	return inode != NULL && place_empty(fs, inode);
}

/* Names that were removed without a change of the container are there again. */
static void bring_back(struct fs *fs, struct inode *inode, void *arg)
{
	struct entry *entry = inode->entries, *next;

	for (; entry != NULL; entry = next) {
		next = entry->next;
		if (entry->inode != NULL || is_emptied(fs, entry))
			continue;
		note_unlinked(fs, entry, arg);
		notify_entry(&fs->notifier, inode->ino, entry->name);
		entry_remove(entry);
	}
}

int pending_bring_back(struct fs *fs, struct error *err)
{
	struct unlinked unlinked = {0};
	int rc = 0;

	fs_own(fs);
	inode_each(fs, bring_back, &unlinked);
	fs_unlock(fs);
	for (size_t i = 0; i < unlinked.n; i++) {
		AUTO_TEXT path = {0};
		struct error why = {0};

		tree_path(unlinked.nodes[i], &path);
		text_puts(&path, ".bin");
		/* A document is back without a word. */
		if (unlinked.nodes[i]->kind != NODE_TENSOR || path.failed ||
			remove_check(fs, unlinked.nodes[i], &why) == 0)
			continue;
		refuse_log(fs, path.bytes, why.text);
		rc = error_set(err, EOPNOTSUPP, "%s: %s", path.bytes, why.text);
	}
	free(unlinked.nodes);
	return rc;
}

void pending_quiet(struct fs *fs)
{
	bool writer = false;
	struct error err = {0};

	fs_own(fs);
	inode_each(fs, find_writer, &writer);
	fs_unlock(fs);
	if (writer) { /* a file of the model that is about to come back */
		saver_defer(fs);
		return;
	}
	if (!fs->options.commit_at_unmount && pending_commit(fs, &err) < 0)
		refuse_log(fs, container_name(fs->container), err.text);
	(void)pending_bring_back(fs, &err); /* logged */
}
