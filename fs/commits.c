/*
 * commits: judging by the encoder, writing, and what comes after.
 *
 * Two outcomes of a commit: where only elements were written over in place, the model
 * stays, and what it reads from gets the new file underneath; else the model
 * that was decoded to verify the outcome takes the old one's place. Either way, bytes
 * that somebody still holds of what is about to change are saved before.
 */
#include "fs/commits.h"
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "decoders/base/tree.h"
#include "fs/accept.h"
#include "fs/container.h"
#include "fs/fs_private.h"
#include "fs/held.h"
#include "fs/rebind.h"
#include "fs/refuse.h"
#include "fs/verify.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A document whose accepted bytes are shown, and what the old model said of it. */
struct witness {
	struct witness *next;
	struct inode *inode;
	struct blob *said;
};

/* One commit on its way. */
struct passage {
	struct fs *fs;
	bool overwrites;       /* the model stays */
	struct source *handle; /* of the new model */
	struct model *model;   /* the new one; after leave() the old one */
	struct rebind *rebind;
	struct source *before; /* the container's when it was entered; borrowed */
	bool patch;
	struct witness *witnesses;
};

static void passage_done(struct passage *passage)
{
	rebind_free(&passage->rebind);
	model_free(&passage->model);
	source_unref(&passage->handle);
}

/* Judging. */

int commits_judge(struct fs *fs, struct undo *undo, struct plan **plan, struct error *err)
{
	bool later = fs->options.commit_at_unmount;
	int rc;

	*plan = NULL;
	if (tree_clean(fs->model->tree) || (later && (undo->content || !undo->changed)))
		return 0;
	rc = model_encode(fs->model, plan, err);
	if (rc < 0 && !undo->changed)
		return 0; /* something else that is pending: it is said when that is */
	if (rc < 0) {
		undo_apply(fs, undo);
		return rc;
	}
	if (later)
		plan_free(plan);
	return 0;
}

/* Verifying. */

/* Whether the edit writes elements over where they lie in the container. */
static bool overwrites(const struct model *model, const struct edit *edit)
{
	const struct tensor *type = edit->node->tensor;
	struct source *source, *old = model->source;
	uint64_t off, begin = 0;

	if (edit->what != EDIT_CONTENT || type == NULL ||
		(type->flags & TENSOR_SPAN) == 0 ||
		blob_size(edit->content) != type->bytes)
		return false;
	source = type->source;
	off = type->off;
	source_resolve(&source, &off);
	source_resolve(&old, &begin);
	return source == old;
}

/* Whether that is all that is pending. */
static bool only_overwrites(const struct fs *fs)
{
	const struct tree *tree = fs->model->tree;

	if ((fs->model->decoder->flags & DECODER_PATCHES) == 0)
		return false;
	for (const struct value *value = tree->values; value != NULL; value = value->next)
		if (value->edited != NULL)
			return false;
	for (const struct edit *edit = tree->edits; edit != NULL; edit = edit->next)
		if (!overwrites(fs->model, edit))
			return false;
	return true;
}

static int verify(void *arg, struct source *outcome, struct error *err)
{
	struct passage *passage = arg;
	struct fs *fs = passage->fs;
	int rc;

	if (passage->overwrites)
		return 0;
	rebind_free(&passage->rebind); /* a commit may try a second way */
	model_free(&passage->model);
	source_unref(&passage->handle);
	rc = source_handle(&passage->handle, outcome, err);
	if (rc == 0)
		rc = fs_decode(fs, passage->handle, fs->model->decoder->name,
			&passage->model, err);
	if (rc == 0 && passage->model->readonly != NULL)
		rc = error_set(err, EBADMSG, "internal: after encoding %s",
			passage->model->readonly);
	if (rc == 0)
		rc = verify_outcome(fs->model, passage->model, err);
	if (rc == 0)
		rc = rebind_new(&passage->rebind, fs, passage->model, err);
	return rc == -EINVAL ? error_set(err, EBADMSG, "internal: %s", err->text) : rc;
}

/* Whether names change: then documents that nobody edited may say something else. */
static bool is_structural(const struct tree *tree)
{
	for (const struct edit *edit = tree->edits; edit != NULL; edit = edit->next)
		if ((edit->what & (EDIT_ADDED | EDIT_REMOVED | EDIT_MOVED)) != 0)
			return true;
	return false;
}

/* While the old model can still be asked. */
static void call_witness(struct fs *fs, struct inode *inode, void *arg)
{
	struct passage *passage = arg;
	struct witness *witness;

	if (inode->kind != INODE_DOCUMENT || inode->node == NULL)
		return;
	inode->stale = true;
	notify_inode(&fs->notifier, inode->ino);
	if (inode->desk == NULL || inode->desk->shown == NULL)
		return;
	witness = calloc(1, sizeof *witness);
	if (witness == NULL ||
		inode_render(fs, inode->node, INODE_DOCUMENT, &witness->said, NULL) < 0) {
		free(witness);
		blob_unref(&inode->desk->shown);
		return;
	}
	witness->inode = inode;
	witness->next = passage->witnesses;
	passage->witnesses = witness;
}

/* Accepted bytes are shown on where the new model says what the old one said. */
static void hear_witnesses(struct fs *fs, struct passage *passage, bool switched)
{
	struct witness *witness, *next;

	for (witness = passage->witnesses; witness != NULL; witness = next) {
		AUTO_BLOB *now = NULL;
		struct inode *inode = witness->inode;

		next = witness->next;
		if (switched && inode->desk != NULL &&
			(inode->node == NULL ||
				inode_render(fs, inode->node, INODE_DOCUMENT, &now,
					NULL) < 0 ||
				blob_equal(witness->said, now, NULL) != 1))
			blob_unref(&inode->desk->shown);
		blob_unref(&witness->said);
		free(witness);
	}
	passage->witnesses = NULL;
}

static int enter(void *arg, const struct plan *plan, bool patch, struct error *err)
{
	struct passage *passage = arg;
	struct fs *fs = passage->fs;
	int rc = 0;

	fs_own(fs);
	passage->patch = patch;
	passage->before = container_source(fs->container);
	if (patch || passage->overwrites)
		rc = held_save(fs, plan, err);
	if (rc == 0 && !passage->overwrites)
		rc = held_save_computed(fs, err);
	if (rc < 0)
		fs_unlock(fs);
	else if (is_structural(fs->model->tree))
		inode_each(fs, call_witness, passage);
	return rc;
}

/* The switch. */

static void tell_stale(struct fs *fs, struct inode *inode)
{
	if (inode == NULL || (inode->desk != NULL && inode->desk->shown != NULL))
		return;
	inode->stale = true;
	notify_inode(&fs->notifier, inode->ino);
}

/* Views of what was edited may be spelled otherwise by the container. */
static void tell_edited(struct fs *fs)
{
	struct tree *tree = fs->model->tree;

	for (struct value *value = tree->values; value != NULL; value = value->next)
		for (struct view *view = value->edited != NULL ? value->views : NULL;
			view != NULL; view = view->next)
			tell_stale(fs, inode_of(fs, view->node, INODE_DOCUMENT));
	for (struct edit *edit = tree->edits; edit != NULL; edit = edit->next)
		if (edit->node->kind == NODE_TENSOR)
			tell_stale(fs, inode_of(fs, edit->node, INODE_SIDECAR));
}

static void clear_edits(struct fs *fs)
{
	struct tree *tree = fs->model->tree;

	while (tree->edits != NULL &&
		tree_undo(tree, tree->edits->node, EDIT_CONTENT, NULL) == 0)
		;
	inode_forget_contents(fs);
}

/* The new model takes over; the passage keeps the old one, which the plan may need. */
static void switch_models(struct passage *passage, struct source *now, bool foreign)
{
	struct fs *fs = passage->fs;
	struct model *old = fs->model;
	struct source *old_handle = fs->handle;

	if (foreign)
		rebind_tell_all(fs);
	else
		tell_edited(fs);
	if (now != NULL)
		source_rebase(passage->handle, now);
	rebind_run(passage->rebind, fs, foreign);
	if (foreign)
		rebind_tell_all(fs);
	fs->handle = passage->handle;
	passage->handle = NULL;
	passage->model = old;
	held_keep(fs, old_handle);
}

static void leave(void *arg, int code, struct source *now)
{
	struct passage *passage = arg;
	struct fs *fs = passage->fs;
	bool same_file = passage->patch || now == passage->before;

	if (code == 0 && passage->overwrites) {
		source_rebase(fs->handle, now);
		clear_edits(fs);
	} else if (code == 0) {
		switch_models(passage, now, false);
	}
	hear_witnesses(fs, passage, code == 0);
	if (code == 0)
		held_drop(fs, !same_file);
	fs_unlock(fs);
}

static const struct commit_ops ops = {.verify = verify, .enter = enter, .leave = leave};

int commits_write(struct fs *fs, struct plan **plan, struct error *err)
{
	struct passage passage = {.fs = fs, .overwrites = only_overwrites(fs)};
	int rc;

	if (*plan == NULL)
		return 0;
	if (fs->lost)
		rc = error_set(err, ESTALE,
			"%s was changed by another program and is no model any more",
			container_name(fs->container));
	else
		rc = container_commit(fs->container, *plan, &ops, &passage, err);
	/* The plan's contents may be the old model's. */
	plan_free(plan);
	passage_done(&passage);
	fs_own(fs);
	held_drop(fs, false); /* what only the old model held */
	fs_unlock(fs);
	return rc;
}

/* Somebody else's changes. */

int commits_blame(struct fs *fs, int rc, struct error *err)
{
	/* -EAGAIN is no refusal: two halves that do not fit together yet. */
	if (rc == 0 || rc == -EAGAIN || container_changed(fs->container, NULL) != 1)
		return rc;
	return error_set(err, ESTALE, "it was changed by another program");
}

static void find_staged(struct fs *fs, struct inode *inode, void *arg)
{
	(void)fs;
	if (inode->node != NULL && inode->desk != NULL && inode->desk->staged != NULL)
		*(bool *)arg = true;
}

static bool is_pending(struct fs *fs)
{
	bool staged = false;

	fs_own(fs);
	inode_each(fs, find_staged, &staged);
	fs_unlock(fs);
	return staged || !tree_clean(fs->model->tree);
}

static int decode_again(struct fs *fs, struct passage *passage, struct error *err)
{
	int rc = container_reload(fs->container, err);

	if (rc == 0)
		rc = source_handle(
			&passage->handle, container_source(fs->container), err);
	if (rc == 0)
		rc = fs_decode(
			fs, passage->handle, fs->options.format, &passage->model, err);
	if (rc == 0)
		rc = rebind_new(&passage->rebind, fs, passage->model, err);
	return rc;
}

static void drop_shown(struct fs *fs, struct inode *inode, void *arg)
{
	(void)fs, (void)arg;
	if (inode->desk != NULL)
		blob_unref(&inode->desk->shown);
}

static void show_again(struct fs *fs, struct passage *passage)
{
	struct error err = {0};

	fs_own(fs);
	/* What cannot be computed any more is lost with the file that it came from. */
	(void)held_save_computed(fs, &err);
	inode_each(fs, drop_shown, NULL);
	switch_models(passage, NULL, true);
	held_drop(fs, true);
	fs->base = *container_stat(fs->container);
	__atomic_store_n(&fs->lost, false, __ATOMIC_RELAXED);
	fs_unlock(fs);
}

void commits_look(struct fs *fs)
{
	struct passage passage = {.fs = fs};
	struct error err = {0};
	int rc;

	if (container_changed(fs->container, NULL) != 1 || is_pending(fs))
		return;
	rc = decode_again(fs, &passage, &err);
	if (rc == 0)
		show_again(fs, &passage);
	else if (!fs->lost)
		refuse_log(fs, container_name(fs->container), err.text);
	if (rc < 0)
		__atomic_store_n(&fs->lost, true, __ATOMIC_RELAXED);
	passage_done(&passage);
}
