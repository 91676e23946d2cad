/*
 * commits: judging by the encoder, writing, and what comes after.
 *
 * Two outcomes of a commit: where only elements were written over in place, the model
 * stays, and what it reads from gets the new file underneath; else the model
 * that was decoded to verify the outcome takes the old one's place. Either way, bytes
 * that somebody still holds of what is about to change are saved before.
 */
#include "fs/commits.h"
#include "fs/place.h"
#include "fs/rebind.h"
#include "fs/refuse.h"
#include "fs/verify.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One commit on its way. */
struct passage {
	struct fs *fs;
	bool overwrites;       /* the model stays */
	struct source *handle; /* of the new model */
	struct model *model;   /* the new one; after leave() the old one */
	struct rebind *rebind;
	struct source *before; /* the container's when it was entered; borrowed */
	bool patch;
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
		rc = model_open(
			&passage->model, passage->handle, fs->model->decoder->name, err);
	if (rc == 0 && passage->model->readonly != NULL)
		rc = error_set(err, EBADMSG, "internal: after encoding %s",
			passage->model->readonly);
	if (rc == 0)
		rc = verify_outcome(fs->model, passage->model, err);
	if (rc == 0)
		rc = rebind_new(&passage->rebind, fs, passage->model, err);
	return rc == -EINVAL ? error_set(err, EBADMSG, "internal: %s", err->text) : rc;
}

/* Saving what is held. */

struct saving {
	const struct plan *plan;
	struct source *source;
	bool computed; /* also what only the old model can compute */
	int rc;
	struct error *err;
};

static void save_blob(struct fs *fs, struct saving *saving, struct blob **blob)
{
	for (size_t i = 0; saving->rc == 0 && i < plan_count(saving->plan); i++) {
		const struct region *region = plan_region(saving->plan, i);

		if (region->kind != REGION_OLD || region->old_off != region->off)
			saving->rc = blob_save(blob, saving->source, region->off,
				region->len, &fs->pool, saving->err);
	}
}

static void save_held(struct fs *fs, struct inode *inode, void *arg)
{
	if (inode->desk != NULL && inode->desk->staged != NULL)
		save_blob(fs, arg, &inode->desk->staged);
}

static int save_all_of(struct fs *fs, struct saving *saving)
{
	inode_each(fs, save_held, saving);
	return saving->rc;
}

/* For each version of the file that somebody may hold a part of. */
static int save_ranges(struct fs *fs, const struct plan *plan, struct error *err)
{
	struct saving saving = {.plan = plan, .source = fs->handle, .err = err};
	int rc = save_all_of(fs, &saving);

	for (struct held_source *held = fs->held; rc == 0 && held != NULL;
		held = held->next) {
		saving.source = held->source;
		rc = save_all_of(fs, &saving);
	}
	return rc;
}

static int copy_bytes(struct blob *from, struct blob *to, struct error *err)
{
	size_t piece = 1 << 20;
	char *buf = malloc(piece);
	uint64_t off = 0;
	ssize_t n = buf != NULL ? 1 : -ENOMEM;

	while (n > 0) {
		n = blob_read(from, off, buf, piece, err);
		if (n > 0) {
			int rc = blob_write(to, off, buf, (size_t)n, err);

			off += (uint64_t)n;
			n = rc < 0 ? rc : n;
		}
	}
	free(buf);
	return (int)n;
}

/* Makes what is staged independent of the model that computes its base. */
static void save_computed(struct fs *fs, struct inode *inode, void *arg)
{
	struct saving *saving = arg;
	struct desk *desk = inode->desk;
	AUTO_BLOB *copy = NULL;

	if (saving->rc < 0 || desk == NULL || desk->staged == NULL || !desk->computed)
		return;
	saving->rc = blob_staged(&copy, NULL, &fs->pool, saving->err);
	if (saving->rc == 0)
		saving->rc = copy_bytes(desk->staged, copy, saving->err);
	if (saving->rc < 0)
		return;
	blob_unref(&desk->staged);
	desk->staged = blob_ref(copy);
	desk->writable = true;
	desk->computed = false;
}

static int save_all_computed(struct fs *fs, struct error *err)
{
	struct saving saving = {.err = err};

	inode_each(fs, save_computed, &saving);
	return saving.rc;
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
		rc = save_ranges(fs, plan, err);
	if (rc == 0 && !passage->overwrites)
		rc = save_all_computed(fs, err);
	if (rc < 0)
		fs_unlock(fs);
	return rc;
}

/* The switch. */

static void drop_held(struct fs *fs, bool all)
{
	struct held_source **at = &fs->held, *held;

	while ((held = *at) != NULL) {
		if (!all && __atomic_load_n(&held->source->refs, __ATOMIC_ACQUIRE) > 1) {
			at = &held->next;
			continue;
		}
		*at = held->next;
		source_unref(&held->source);
		free(held);
	}
}

/* The old handle stays known while the file that it reads is the container. */
static void hold_source(struct fs *fs, struct source *source)
{
	struct held_source *held = malloc(sizeof *held);

	if (held == NULL) { /* rather keep too little than fail: reads of copies may then
			       see newer bytes */
		source_unref(&source);
		return;
	}
	*held = (struct held_source){fs->held, source};
	fs->held = held;
}

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
	rebind_run(passage->rebind, fs);
	if (foreign)
		rebind_tell_all(fs);
	fs->handle = passage->handle;
	passage->handle = NULL;
	passage->model = old;
	hold_source(fs, old_handle);
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
	if (code == 0)
		drop_held(fs, !same_file);
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
	return rc;
}

/* All that is pending. */

/* Takes the newest edit back; false: there is none. */
static bool undo_newest(struct fs *fs, struct text *path)
{
	struct tree *tree = fs->model->tree;
	struct edit *edit = tree->last_edit;
	struct value *value = tree->values;
	bool done = true;

	fs_own(fs);
	while (value != NULL && value->edited == NULL)
		value = value->next;
	if (edit != NULL) {
		if (edit->old_parent != NULL && edit->node->parent == NULL) {
			tree_path(edit->old_parent, path);
			text_printf(path, "/%s", edit->old_name);
		} else {
			tree_path(edit->node, path);
		}
		done = tree_undo(tree, edit->node, ~0u, NULL) == 0;
	} else if (value != NULL) {
		tree_path(value->views->node, path);
		tree_set_value(value, NULL, 0);
	} else {
		done = false;
	}
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

int commits_all(struct fs *fs, struct error *err)
{
	struct plan *plan = NULL;
	int rc;

	add_folders(fs);
	while (!tree_clean(fs->model->tree)) {
		AUTO_TEXT path = {0};

		rc = model_encode(fs->model, &plan, err);
		if (rc == 0)
			rc = commits_write(fs, &plan, err);
		if (rc != -EINVAL && rc != -EOPNOTSUPP && rc != -EBADMSG)
			return rc;
		if (!undo_newest(fs, &path))
			return rc;
		refuse_log(fs, path.bytes != NULL ? path.bytes : "", err->text);
	}
	return 0;
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

/* Names that were removed without a change of the container are there again. */
static void bring_back(struct fs *fs, struct inode *inode, void *arg)
{
	struct entry *entry = inode->entries, *next;

	(void)arg;
	for (; entry != NULL; entry = next) {
		next = entry->next;
		if (entry->inode != NULL)
			continue;
		notify_entry(&fs->notifier, inode->ino, entry->name);
		entry_remove(entry);
	}
}

void commits_quiet(struct fs *fs)
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
	if (!fs->options.commit_at_unmount && commits_all(fs, &err) < 0)
		refuse_log(fs, container_name(fs->container), err.text);
	fs_own(fs);
	inode_each(fs, bring_back, NULL);
	fs_unlock(fs);
}

/* Somebody else's changes. */

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
		rc = model_open(
			&passage->model, passage->handle, fs->options.format, err);
	if (rc == 0)
		rc = rebind_new(&passage->rebind, fs, passage->model, err);
	return rc;
}

static void show_again(struct fs *fs, struct passage *passage)
{
	struct error err = {0};

	fs_own(fs);
	/* What cannot be computed any more is lost with the file that it came from. */
	(void)save_all_computed(fs, &err);
	switch_models(passage, NULL, true);
	drop_held(fs, true);
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
