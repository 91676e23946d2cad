/*
 * rename: in the saver's thread.
 *
 * Three things that a rename can be: a name of scratch that changes; a move in the
 * model (a tensor, a folder, a link); a write, when a file lands on the name of one of
 * the model's. A file of the model that goes to a name which means nothing to the model
 * is first made loose: a scratch file with its bytes, as if it had been copied and
 * removed.
 */
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/names.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "fs/accept.h"
#include "fs/fs_private.h"
#include "fs/pair.h"
#include "fs/place.h"
#include "fs/refuse.h"
#include "fs/remove.h"
#include "fs/save.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct move {
	struct place from, to;
	struct inode *inode; /* what is moved; pinned */
	bool onto_folder;    /* there is a folder at the new name */
	struct error *err;
};

/* Scratch. */

/* Where the scratch file was, the model's file must not show yet. Exclusively. */
static void close_behind(struct fs *fs, const struct place *from)
{
	if (from->node != NULL && !from->removed)
		(void)entry_set(fs, from->folder, from->name, NULL);
}

/* Onto a file of the model: a write of its bytes. */
static int move_onto(struct fs *fs, struct move *move)
{
	int rc = pair_save_as(fs, move->inode, &move->to);

	fs_own(fs);
	if (move->inode->node != NULL)
		close_behind(fs, &move->from);
	fs_unlock(fs);
	saver_defer(fs);
	return rc;
}

static int move_scratch(struct fs *fs, struct move *move)
{
	bool half = move->inode->kind == INODE_FILE;
	int rc;

	if (half && move->to.node != NULL &&
		!(move->to.removed && !remove_is_main(&move->to)))
		return move_onto(fs, move);
	if (move->to.node != NULL && !move->to.removed)
		return error_set(
			move->err, EINVAL, "only a regular file can take its place");
	fs_own(fs);
	rc = entry_set(fs, move->to.folder, move->to.name, move->inode);
	if (rc == 0)
		close_behind(fs, &move->from);
	fs_unlock(fs);
	saver_defer(fs);
	if (rc < 0 || !half)
		return rc;
	rc = pair_save(fs, move->inode, false);
	if (rc == 0 || move->inode->node != NULL)
		return rc;
	/* Refused as one half of a tensor, or a document: it stays where and what it was.
	 */
	fs_own(fs);
	save_stand(move->inode);
	move->inode->desk->verdict = 0;
	(void)entry_set(fs, move->from.folder, move->from.name, move->inode);
	fs_unlock(fs);
	return rc;
}

/* The model's files. */

/* Makes a sidecar or a document loose: scratch at its old name. */
static int loosen_text(struct fs *fs, struct move *move)
{
	struct inode *inode = move->inode;
	struct blob *bytes = NULL;
	int rc;

	fs_own(fs);
	rc = inode_accepted(fs, inode, &bytes, move->err);
	if (rc == 0) {
		inode_detach(fs, inode, bytes);
		rc = entry_set(fs, move->from.folder, move->from.name, inode);
	}
	fs_unlock(fs);
	return rc;
}

/* The same for a tensor: it leaves the tree. */
static int loosen_tensor(struct fs *fs, struct move *move)
{
	int rc = remove_check(fs, move->from.node, move->err);

	if (rc == 0)
		rc = remove_tensor(fs, &move->from, move->err);
	if (rc < 0)
		return rc;
	fs_own(fs);
	rc = entry_set(fs, move->from.folder, move->from.name, move->inode);
	fs_unlock(fs);
	move->from.removed = true;
	return rc;
}

/* Takes that back. */
static void tighten(struct fs *fs, struct move *move)
{
	AUTO_UNDO undo = {0};
	struct inode *inode = move->inode;

	if (inode->node != NULL || inode->entry == NULL)
		return;
	if (move->from.removed && accept_restored(fs, move->from.node, &undo, NULL) < 0)
		return;
	fs_own(fs);
	if (!inode->desk->writable)
		blob_unref(&inode->desk->staged);
	inode_become(fs, inode, move->from.node, move->from.kind);
	pair_restore_sidecar(fs, &move->from);
	inode_forget_contents(fs);
	fs_unlock(fs);
}

static int move_loose(struct fs *fs, struct move *move)
{
	int rc;

	rc = remove_is_main(&move->from) ? loosen_tensor(fs, move)
					 : loosen_text(fs, move);
	if (rc == 0)
		rc = move_scratch(fs, move);
	if (rc < 0)
		tighten(fs, move);
	return rc;
}

/* Moves in the model. */

static int check_move(struct fs *fs, struct node *node, struct node *parent,
	const char *name, struct error *err)
{
	int rc = model_check(fs->model,
		&(struct change){
			.what = EDIT_MOVED, .node = node, .parent = parent, .name = name},
		err);

	if (rc == 0 && (node->flags & NODE_FIXED) != 0)
		rc = error_set(
			err, EOPNOTSUPP, "this cannot be renamed in the container");
	return rc;
}

/* The place's folder becomes the model's; the node moves there. */
static int move_node(struct fs *fs, struct move *move, const char *name)
{
	struct node *node = move->from.node, *parent;
	int rc = pair_adopt_folder(fs, move->to.folder, move->err);

	if (rc < 0)
		return rc;
	parent = move->to.folder->node;
	rc = check_move(fs, node, parent, name, move->err);
	if (rc < 0)
		return rc;
	fs_own(fs);
	rc = tree_move(fs->model->tree, node, parent, name, move->err);
	if (rc == 0) {
		struct entry *entry = entry_find(move->to.folder, move->to.name);
		struct inode *gone = entry != NULL ? entry->inode : NULL;

		entry_remove(entry);
		if (gone != NULL) {
			gone->flags |= INODE_GONE;
			inode_drop(fs, gone);
		}
	}
	inode_forget_contents(fs);
	fs_unlock(fs);
	saver_defer(fs);
	return rc;
}

/* The sidecar's old name keeps what it said; at the new one may be a copy of it. */
static void move_sidecar(struct fs *fs, struct move *move, struct blob **bytes)
{
	AUTO_TEXT old = {0}, new = {0};
	struct place from, to;
	struct inode *copy = NULL;

	fs_own(fs);
	if (place_sibling(fs, &move->from, &old, &from, NULL) == 0) {
		if (from.entry == NULL && *bytes != NULL)
			(void)remove_leave_sidecar(
				fs, move->from.node, move->from.folder, old.bytes, bytes);
		else if (from.entry != NULL && from.entry->inode == NULL)
			entry_remove(from.entry);
	}
	if (place_sibling(fs, &move->to, &new, &to, NULL) == 0) {
		if (to.entry != NULL)
			copy = to.entry->inode;
		else
			notify_entry(&fs->notifier, to.folder->ino, new.bytes);
	}
	fs_unlock(fs);
	if (copy != NULL)
		(void)pair_save(fs, copy, true);
}

static int move_tensor(struct fs *fs, struct move *move)
{
	AUTO_TEXT stem = {0};
	AUTO_BLOB *sidecar = NULL;
	enum inode_kind kind;
	int rc = 0;

	text_put(&stem, move->to.name, place_stem(move->to.name, &kind));
	if (move->from.kind == INODE_BIN)
		rc = inode_render(
			fs, move->from.node, INODE_SIDECAR, &sidecar, move->err);
	if (rc == 0)
		rc = text_check(&stem, move->err);
	if (rc == 0)
		rc = move_node(fs, move, stem.bytes);
	if (rc == 0 && move->from.kind == INODE_BIN)
		move_sidecar(fs, move, &sidecar);
	return rc;
}

/* Whether the new name is one that a tensor can have, with the same suffix, and free. */
static bool is_tensor_name(struct fs *fs, const struct move *move)
{
	enum inode_kind kind;

	if (move->to.node != NULL)
		return false;
	(void)place_stem(move->to.name, &kind);
	return kind == move->from.kind && place_half(fs, move->to.folder, move->to.name);
}

static bool is_inside(const struct inode *folder, const struct inode *top)
{
	if (top->node != NULL) {
		while (folder->node == NULL && folder->entry != NULL)
			folder = folder->entry->folder;
		for (const struct node *node = folder->node; node != NULL;
			node = node->parent)
			if (node == top->node)
				return true;
		return false;
	}
	while (folder != top && folder->entry != NULL)
		folder = folder->entry->folder;
	return folder == top;
}

static bool can_be_folder(struct fs *fs, const struct move *move)
{
	return place_grows(fs, move->to.folder, NULL) &&
	       names_canonical(move->to.name, strlen(move->to.name),
		       fs->model->tree->separator, NAMES_FOLDER);
}

static int move_folder(struct fs *fs, struct move *move)
{
	int rc = 0;

	if (is_inside(move->to.folder, move->inode))
		return -EINVAL;
	if (move->inode == fs->control)
		return -EPERM;
	if (place_visible(&move->to))
		rc = remove_folder(fs, &move->to, move->err);
	if (rc < 0)
		return rc;
	if (move->inode->node == NULL) {
		fs_own(fs);
		rc = entry_set(fs, move->to.folder, move->to.name, move->inode);
		fs_unlock(fs);
		if (rc == 0)
			pair_save_below(fs, move->inode);
		saver_defer(fs);
		return rc;
	}
	if (!can_be_folder(fs, move))
		return error_set(move->err, EOPNOTSUPP,
			"expected a name below layers/ that tensors can have, found %s",
			move->to.name);
	return move_node(fs, move, move->to.name);
}

static int move_link(struct fs *fs, struct move *move)
{
	if (move->to.node != NULL || move->to.folder->node == NULL)
		return error_set(move->err, EOPNOTSUPP, "a link cannot be moved there");
	return move_node(fs, move, move->to.name);
}

/* What a rename is. */

static int move_any(struct fs *fs, struct move *move)
{
	if (move->inode->kind == INODE_FOLDER)
		return place_visible(&move->to) && !move->onto_folder
			       ? -ENOTDIR
			       : move_folder(fs, move);
	if (move->onto_folder)
		return -EISDIR;
	if (move->inode->node == NULL)
		return move_scratch(fs, move);
	if (move->inode->kind == INODE_LINK)
		return move_link(fs, move);
	if (remove_is_main(&move->from) && is_tensor_name(fs, move))
		return move_tensor(fs, move);
	return move_loose(fs, move);
}

/* Two scratch files change names. */
static int exchange(struct fs *fs, struct move *move)
{
	struct entry *a, *b;
	bool scratch;

	fs_own(fs);
	a = entry_find(move->from.folder, move->from.name);
	b = entry_find(move->to.folder, move->to.name);
	scratch = a != NULL && b != NULL && a->inode != NULL && b->inode != NULL &&
		  move->from.node == NULL && move->to.node == NULL;
	if (scratch) {
		a->inode = b->inode;
		b->inode = move->inode;
		a->inode->entry = a;
		b->inode->entry = b;
	}
	fs_unlock(fs);
	return scratch ? 0
		       : error_set(move->err, EINVAL,
				 "only scratch files can be exchanged");
}

static bool is_protected(const struct inode *inode)
{
	return inode->kind == INODE_TEXT || (inode->flags & INODE_KEPT) != 0;
}

/* Looks at both names. Exclusively. */
static int find_move(struct fs *fs, struct job *job, struct move *move)
{
	struct inode *target;
	int rc = place_find(fs, job->inode, job->name, &move->from, move->err);

	if (rc == 0)
		rc = place_find(fs, job->other, job->other_name, &move->to, move->err);
	if (rc == 0 && fs_frozen(fs) != NULL)
		rc = -EROFS;
	if (rc == 0)
		rc = place_inode(fs, &move->from, &move->inode);
	if (rc == 0 && (job->flags & RENAME_NOREPLACE) != 0 && place_visible(&move->to))
		rc = -EEXIST;
	if (rc < 0)
		return rc;
	target = move->to.entry != NULL ? move->to.entry->inode : NULL;
	if (is_protected(move->inode) || is_protected(move->to.folder) ||
		(target != NULL && is_protected(target)))
		return -EPERM;
	move->onto_folder =
		target != NULL ? target->kind == INODE_FOLDER
			       : move->to.node != NULL && move->to.kind == INODE_FOLDER;
	move->inode->pins++; /* for a moment it may have no name */
	return 0;
}

/* mv(1) asks with RENAME_NOREPLACE, and where that is refused once more without: that is
 * one refusal. */
static void log_refusal(
	struct fs *fs, const struct job *job, const char *path, const char *reason)
{
	bool asked = (job->flags & RENAME_NOREPLACE) != 0;

	if (!asked && fs->asked == fs->refusals)
		refuse_log_once(fs, path, reason);
	else
		refuse_log(fs, path, reason);
	if (asked)
		fs->asked = fs->refusals;
}

static int run_rename(struct fs *fs, struct job *job)
{
	AUTO_TEXT path = {0};
	struct error err = {0};
	struct move move = {.err = &err};
	int rc;

	fs_own(fs);
	rc = find_move(fs, job, &move);
	inode_path_of(job->inode, job->name, &path);
	fs_unlock(fs);
	if (rc < 0)
		return rc;
	if ((job->flags & RENAME_EXCHANGE) != 0)
		rc = exchange(fs, &move);
	else if (job->inode != job->other || strcmp(job->name, job->other_name) != 0)
		rc = move_any(fs, &move);
	fs_own(fs);
	move.inode->pins--;
	inode_drop(fs, move.inode);
	fs_unlock(fs);
	if (rc == 0)
		return 0;
	if (err.text[0] != '\0')
		log_refusal(fs, job, path.bytes, err.text);
	/* Where it was made and could not be written, the kernel must look again. */
	notify_entry(&fs->notifier, job->inode->ino, job->name);
	notify_entry(&fs->notifier, job->other->ino, job->other_name);
	return rc;
}

void fs_rename(struct fs *fs, fs_ino parent, const char *name, fs_ino new_parent,
	const char *new_name, unsigned flags, struct fs_done *done)
{
	struct job job = {.run = run_rename, .flags = flags, .done = done};
	int rc = 0;

	if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0) {
		done->fn(done, -EINVAL);
		return;
	}
	job.name = strdup(name);
	job.other_name = strdup(new_name);
	if (job.name == NULL || job.other_name == NULL)
		rc = -ENOMEM;
	fs_own(fs);
	job.inode = inode_find(fs, parent);
	job.other = inode_find(fs, new_parent);
	if (rc == 0 && (job.inode == NULL || job.other == NULL))
		rc = -ENOENT;
	if (rc == 0 && strlen(new_name) > 255)
		rc = -ENAMETOOLONG;
	if (rc == 0) {
		rc = saver_ask(fs, &job);
		fs_unlock(fs);
		if (rc < 0)
			done->fn(done, rc);
		return;
	}
	fs_unlock(fs);
	free(job.name);
	free(job.other_name);
	done->fn(done, rc);
}
