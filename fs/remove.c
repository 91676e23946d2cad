/*
 * remove: unlink and rmdir. What a removal means for the container is decided here; it is
 * committed after a while of quiet.
 */
#include "fs/remove.h"
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "fs/fs_private.h"
#include "fs/place.h"
#include "fs/refuse.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool remove_is_main(const struct place *place)
{
	const struct tensor *type =
		place->node != NULL ? tree_tensor_now(place->node) : NULL;

	return place->kind == INODE_BIN ||
	       (place->kind == INODE_SIDECAR && type != NULL &&
		       (type->flags & TENSOR_NO_BIN) != 0);
}

int remove_check(struct fs *fs, struct node *node, struct error *err)
{
	int rc = model_check(
		fs->model, &(struct change){.what = EDIT_REMOVED, .node = node}, err);

	if (rc == 0 && (node->flags & NODE_FIXED) != 0)
		rc = error_set(
			err, EOPNOTSUPP, "this cannot be removed from the container");
	return rc;
}

/* A name goes; where the model has a file there it must not show again yet. */
static int hide(struct fs *fs, const struct place *place)
{
	/* Looked up again: a worker may have taken it away meanwhile. */
	struct entry *entry = entry_find(place->folder, place->name);
	struct inode *inode = entry != NULL ? entry->inode : NULL;

	if (place->node != NULL && !place->removed)
		return entry_set(fs, place->folder, place->name, NULL);
	if (entry != NULL)
		entry_remove(entry);
	if (inode != NULL) {
		inode->flags |= INODE_GONE;
		inode_drop(fs, inode);
	}
	return 0;
}

/* Tensors. */

/* The bytes of a node's file where its inode may still be asked for them. */
static struct blob *bytes_of(struct fs *fs, struct node *node, enum inode_kind kind)
{
	struct inode *inode = inode_of(fs, node, kind);
	struct blob *bytes = NULL;

	if (inode == NULL || (inode->handles == 0 && inode->pins == 0) ||
		inode_accepted(fs, inode, &bytes, NULL) < 0)
		return NULL;
	return bytes;
}

int remove_leave_sidecar(struct fs *fs, struct node *node, struct inode *folder,
	const char *name, struct blob **bytes)
{
	struct inode *inode = inode_of(fs, node, INODE_SIDECAR);
	int rc = 0;

	if (inode == NULL) {
		rc = inode_new(fs, INODE_FILE, fs->base.st_mode & 0666, &inode);
		if (rc < 0)
			return rc;
		inode->desk->timed = false;
	}
	inode_detach(fs, inode, *bytes);
	*bytes = NULL;
	inode->flags |= INODE_LEFTOVER;
	return entry_set(fs, folder, name, inode);
}

/* The sidecar's part of a removal. `name` is its name. Exclusively. */
static void leave_rest(struct fs *fs, struct place *other, struct blob **bytes)
{
	if (other->entry == NULL && *bytes != NULL)
		/* Without memory it is not left over: nothing of the model is lost. */
		(void)remove_leave_sidecar(
			fs, other->node, other->folder, other->name, bytes);
	else if (other->entry != NULL && other->entry->inode == NULL)
		entry_remove(other->entry); /* it was removed before */
}

int remove_tensor(struct fs *fs, const struct place *place, struct error *err)
{
	AUTO_TEXT name = {0};
	AUTO_BLOB *rest = NULL;
	struct node *node = place->node;
	struct place other = {0};
	struct inode *inode;
	struct blob *bytes;
	int rc = 0;

	if (place->kind == INODE_BIN)
		rc = inode_render(fs, node, INODE_SIDECAR, &rest, err);
	if (rc < 0)
		return rc;
	fs_own(fs);
	if (place->kind == INODE_BIN &&
		place_sibling(fs, place, &name, &other, err) < 0) {
		fs_unlock(fs);
		return -ENOMEM;
	}
	bytes = bytes_of(fs, node, place->kind);
	inode = inode_of(fs, node, place->kind);
	rc = tree_remove(fs->model->tree, node, err);
	if (rc == 0 && inode != NULL) {
		inode_detach(fs, inode, bytes);
		bytes = NULL;
		inode->flags |= INODE_GONE;
		inode_drop(fs, inode);
	}
	if (rc == 0 && place->kind == INODE_BIN)
		leave_rest(fs, &other, &rest);
	inode_forget_contents(fs);
	fs_unlock(fs);
	blob_unref(&bytes);
	saver_defer(fs);
	return rc;
}

/* A link or a document leaves the tree. */
static int remove_single(struct fs *fs, const struct place *place, struct error *err)
{
	AUTO_BLOB *bytes = NULL;
	struct inode *inode;
	int rc = remove_check(fs, place->node, err);

	if (rc < 0)
		return rc;
	fs_own(fs);
	inode = inode_of(fs, place->node, place->kind);
	if (place->kind == INODE_DOCUMENT)
		bytes = bytes_of(fs, place->node, place->kind);
	rc = tree_remove(fs->model->tree, place->node, err);
	if (rc == 0 && inode != NULL) {
		inode_detach(fs, inode, bytes);
		bytes = NULL;
		inode->flags |= INODE_GONE;
		inode_drop(fs, inode);
	}
	fs_unlock(fs);
	saver_defer(fs);
	return rc;
}

int remove_hidden(struct fs *fs, struct node *node, struct error *err)
{
	struct inode *folder;
	struct place place;
	AUTO_TEXT name = {0};
	int rc = remove_check(fs, node, err);

	text_printf(&name, "%s%s", node->name, node->kind == NODE_TENSOR ? ".bin" : "");
	if (rc == 0)
		rc = text_check(&name, err);
	if (rc < 0)
		return rc;
	fs_share(fs);
	folder = inode_of(fs, node->parent, INODE_FOLDER);
	rc = folder != NULL ? place_find(fs, folder, name.bytes, &place, err) : -ENOENT;
	fs_unlock(fs);
	if (rc == 0)
		rc = node->kind == NODE_TENSOR ? remove_tensor(fs, &place, err)
					       : remove_single(fs, &place, err);
	if (rc < 0)
		return rc;
	fs_own(fs);
	entry_remove(entry_find(folder, name.bytes));
	fs_unlock(fs);
	return 0;
}

/* Unlinking. */

static int may_unlink(struct fs *fs, const struct place *place)
{
	struct inode *inode = place->entry != NULL ? place->entry->inode : NULL;

	if (fs_frozen(fs) != NULL)
		return -EROFS;
	if (!place_visible(place))
		return -ENOENT;
	if (inode != NULL &&
		(inode->kind == INODE_TEXT || (inode->flags & INODE_KEPT) != 0))
		return -EPERM;
	if (inode != NULL ? inode->kind == INODE_FOLDER : place->kind == INODE_FOLDER)
		return -EISDIR;
	return 0;
}

static int unlink_place(struct fs *fs, const struct place *place, struct error *err)
{
	bool scratch = place->entry != NULL;
	int rc;

	if (!scratch && place->kind == INODE_LINK)
		return remove_single(fs, place, err);
	if (!scratch && remove_is_main(place)) {
		rc = remove_check(fs, place->node, err);
		/* tar, unzip and mv remove what they write next. If nobody does, it is
		 * refused when removals are committed (pending_bring_back). */
		if (rc != -EOPNOTSUPP || place->kind != INODE_BIN)
			return rc < 0 ? rc : remove_tensor(fs, place, err);
	}
	fs_own(fs);
	rc = hide(fs, place);
	fs_unlock(fs);
	saver_defer(fs);
	return rc;
}

static int run_unlink(struct fs *fs, struct job *job)
{
	AUTO_TEXT path = {0};
	struct place place;
	struct error err = {0};
	int rc;

	fs_share(fs);
	rc = place_find(fs, job->inode, job->name, &place, &err);
	if (rc == 0)
		rc = may_unlink(fs, &place);
	inode_path_of(job->inode, job->name, &path);
	fs_unlock(fs);
	if (rc == 0)
		rc = unlink_place(fs, &place, &err);
	if (rc < 0 && err.text[0] != '\0')
		refuse_log(fs, path.bytes, err.text);
	return rc;
}

/* Folders. */

/* Whether a folder leaves the tree, or is only not shown for a while. */
static bool is_object(const struct fs *fs, const struct node *folder)
{
	if ((folder->flags & NODE_OBJECT) != 0 || tree_first(folder) != NULL)
		return true;
	/* An empty one is nothing in the container, but its name must be free again. */
	return (folder->flags & NODE_GROWS) != 0 &&
	       ((folder->flags & NODE_FIXED) == 0 ||
		       (fs->model->decoder->flags & DECODER_FOLDERS) != 0);
}

/* Names in a folder that goes mean nothing any more. Exclusively. */
static void forget_entries(struct fs *fs, struct inode *folder)
{
	while (folder->entries != NULL)
		entry_remove(folder->entries);
	folder->flags |= INODE_GONE;
	inode_drop(fs, folder);
}

static int remove_node(
	struct fs *fs, const struct place *place, struct inode *inode, struct error *err)
{
	int rc = remove_check(fs, place->node, err);

	if (rc < 0)
		return rc;
	fs_own(fs);
	rc = tree_remove(fs->model->tree, place->node, err);
	if (rc == 0) {
		inode_detach(fs, inode, NULL);
		forget_entries(fs, inode);
	}
	inode_forget_contents(fs);
	fs_unlock(fs);
	return rc;
}

/* The first tensor of a folder that is hidden; NULL: none. */
static struct node *first_hidden(struct fs *fs, struct inode *folder)
{
	struct place place;

	for (struct entry *entry = folder->entries; entry != NULL; entry = entry->next)
		if (entry->inode == NULL &&
			place_find(fs, folder, entry->name, &place, NULL) == 0 &&
			place.node != NULL && place.kind == INODE_BIN && !place.removed)
			return place.node;
	return NULL;
}

/* What stood in the way of removing a folder's tensors may have gone since. */
static int remove_all_hidden(struct fs *fs, const struct place *place, struct error *err)
{
	struct inode *folder;
	struct node *node;
	int rc = 0;

	do {
		fs_share(fs);
		folder = place->node != NULL ? inode_of(fs, place->node, INODE_FOLDER)
					     : NULL;
		node = folder != NULL ? first_hidden(fs, folder) : NULL;
		fs_unlock(fs);
		if (node != NULL)
			rc = remove_hidden(fs, node, err);
	} while (node != NULL && rc == 0);
	return rc;
}

int remove_folder(struct fs *fs, const struct place *place, struct error *err)
{
	struct inode *inode = NULL;
	struct place now;
	bool empty, object;
	int rc = place->kind == INODE_FOLDER ? remove_all_hidden(fs, place, err) : 0;

	if (rc < 0)
		return rc;
	fs_own(fs);
	rc = place_find(fs, place->folder, place->name, &now, err);
	if (rc == 0)
		rc = place_inode(fs, &now, &inode);
	empty = rc == 0 && inode->kind == INODE_FOLDER && place_empty(fs, inode);
	if (rc == 0 && inode->kind != INODE_FOLDER)
		rc = -ENOTDIR;
	else if (rc == 0 && (inode == fs->control || (inode->flags & INODE_KEPT) != 0))
		rc = -EPERM;
	else if (rc == 0 && !empty)
		rc = -ENOTEMPTY;
	object = rc == 0 && inode->node != NULL && is_object(fs, inode->node);
	if (rc == 0 && !object)
		rc = hide(fs, place);
	fs_unlock(fs);
	if (rc == 0 && object)
		rc = remove_node(fs, place, inode, err);
	saver_defer(fs);
	return rc;
}

static int run_rmdir(struct fs *fs, struct job *job)
{
	AUTO_TEXT path = {0};
	struct place place;
	struct error err = {0};
	int rc;

	fs_share(fs);
	rc = place_find(fs, job->inode, job->name, &place, &err);
	if (rc == 0 && fs_frozen(fs) != NULL)
		rc = -EROFS;
	inode_path_of(job->inode, job->name, &path);
	fs_unlock(fs);
	if (rc == 0)
		rc = remove_folder(fs, &place, &err);
	if (rc < 0 && err.text[0] != '\0')
		refuse_log(fs, path.bytes, err.text);
	return rc;
}

/* From outside. */

/* Scratch that nothing of the model depends on goes at once: 1. Exclusively. */
static int unlink_scratch(struct fs *fs, struct inode *folder, const char *name)
{
	struct place place;

	if (place_find(fs, folder, name, &place, NULL) < 0 || place.node != NULL ||
		place.entry == NULL || may_unlink(fs, &place) < 0 ||
		place_half(fs, folder, name))
		return 0;
	(void)hide(fs, &place);
	return 1;
}

static void ask(struct fs *fs, fs_ino parent, const char *name,
	int (*run)(struct fs *, struct job *), struct fs_done *done)
{
	struct job job = {.run = run, .name = strdup(name), .done = done};
	bool asked = false;
	int rc = job.name != NULL ? 0 : -ENOMEM;

	fs_own(fs);
	job.inode = inode_find(fs, parent);
	if (job.inode == NULL)
		rc = -ENOENT;
	if (rc == 0 && (run != run_unlink || !unlink_scratch(fs, job.inode, name))) {
		rc = saver_ask(fs, &job);
		job.name = NULL;
		asked = rc == 0;
	}
	fs_unlock(fs);
	free(job.name);
	if (!asked)
		done->fn(done, rc);
}

void fs_unlink(struct fs *fs, fs_ino parent, const char *name, struct fs_done *done)
{
	ask(fs, parent, name, run_unlink, done);
}

void fs_rmdir(struct fs *fs, fs_ino parent, const char *name, struct fs_done *done)
{
	ask(fs, parent, name, run_rmdir, done);
}
