/*
 * pair: what a scratch file means when it is closed.
 *
 *	at the name of a file of the model   a write to that file
 *	at that of a tensor whose removal
 *	is not yet committed		     the removal is taken back, then a write
 *	at that of a document which a
 *	folder may have and does not	     a new document
 *	one half of NAME.bin, NAME.json,
 *	the other being there	             a new tensor
 *	anything else			     nothing: it is scratch
 */
#include "fs/pair.h"
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/plan.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "fs/accept.h"
#include "fs/commits.h"
#include "fs/fs_private.h"
#include "fs/place.h"
#include "fs/refuse.h"
#include "fs/save.h"
#include <errno.h>
#include <string.h>

#define DEPTH_MAX 256 /* of scratch folders that become folders of the model */

/* A scratch file on its way into the model. */
struct arrival {
	struct inode *inode, *half; /* the other half of a tensor, or NULL */
	struct place place;
	struct saved saved;
	struct blob *before;	/* what the file at the place had, where it is known */
	struct text name, path; /* of the place; the name's entry may go */
};

static void arrival_done(struct arrival *arrival)
{
	blob_unref(&arrival->saved.bytes);
	blob_unref(&arrival->saved.elements);
	blob_unref(&arrival->before);
	text_done(&arrival->name);
	text_done(&arrival->path);
}
#define AUTO_ARRIVAL __attribute__((cleanup(arrival_done))) struct arrival

/* Becoming. Exclusively. */

/* The file of the model that was at the place; who has it open goes on reading it. */
static void part(
	struct fs *fs, struct node *node, enum inode_kind kind, struct blob **bytes)
{
	struct inode *inode = inode_of(fs, node, kind);

	if (inode == NULL)
		return;
	/* Kept for nobody they would be copied before they are patched over. */
	if (inode->handles == 0)
		blob_unref(bytes);
	inode_detach(fs, inode, *bytes);
	*bytes = NULL;
	inode->flags |= INODE_GONE;
	inode_drop(fs, inode);
}

static void become(
	struct fs *fs, struct inode *inode, struct node *node, enum inode_kind kind)
{
	inode_become(fs, inode, node, kind);
	if (inode->desk->judging != NULL)
		save_settle(fs, inode);
	inode_forget_contents(fs);
}

void pair_restore_sidecar(struct fs *fs, const struct place *place)
{
	AUTO_TEXT name = {0};
	struct place other;
	struct inode *inode;

	if (place->kind != INODE_BIN ||
		place_sibling(fs, place, &name, &other, NULL) < 0 || other.entry == NULL)
		return;
	inode = other.entry->inode;
	if (inode == NULL) {
		entry_remove(other.entry);
		return;
	}
	if ((inode->flags & INODE_LEFTOVER) == 0 || inode->desk->written ||
		other.node == NULL)
		return;
	blob_unref(&inode->desk->staged);
	inode_become(fs, inode, other.node, INODE_SIDECAR);
}

/* Reading what is to be judged. */

/* Who has it open, or opens it until it parts from its name, goes on reading this. Old
 * bytes that cannot be read are no reason to refuse new ones. */
static void remember_before(struct fs *fs, struct arrival *arrival)
{
	struct inode *inode = NULL;

	if (arrival->place.node != NULL)
		inode = inode_of(fs, arrival->place.node, arrival->place.kind);
	if (inode != NULL)
		(void)inode_accepted(fs, inode, &arrival->before, NULL);
}

/* Folders. */

int pair_adopt_folder(struct fs *fs, struct inode *folder, struct error *err)
{
	struct inode *chain[DEPTH_MAX];
	struct node *node;
	size_t n = 0;
	int rc = 0;

	for (; folder->node == NULL; folder = folder->entry->folder) {
		if (n == DEPTH_MAX || folder->entry == NULL)
			return error_set(
				err, EINVAL, "more than %d new folders", DEPTH_MAX);
		chain[n++] = folder;
	}
	node = folder->node;
	fs_own(fs);
	for (; rc == 0 && n > 0; n--) {
		const char *name = chain[n - 1]->entry->name;
		struct node *child = tree_child(node, name, strlen(name));

		if (child == NULL)
			rc = tree_add_folder(fs->model->tree, node, name, &child, err);
		if (rc == 0)
			inode_become(fs, chain[n - 1], child, INODE_FOLDER);
		node = child;
	}
	fs_unlock(fs);
	return rc;
}

/* Accepting. */

static int accept_added(
	struct fs *fs, struct arrival *arrival, struct undo *undo, struct error *err)
{
	struct place *place = &arrival->place;
	int rc = pair_adopt_folder(fs, place->folder, err);

	if (rc == 0)
		rc = accept_document_new(
			fs, place->folder->node, place->name, &arrival->saved, undo, err);
	if (rc == 0)
		place->node = arrival->saved.node;
	return rc;
}

/* Takes removal back and puts the bytes into the tree. */
static int accept_arrival(
	struct fs *fs, struct arrival *arrival, struct undo *undo, struct error *err)
{
	int rc = 0;

	if (arrival->place.node == NULL)
		return accept_added(fs, arrival, undo, err);

	if (arrival->place.removed)
		rc = accept_restored(fs, arrival->saved.node, undo, err);
	if (rc == 0)
		rc = accept_saved(fs, &arrival->saved, undo, err);
	if (rc < 0)
		undo_apply(fs, undo);
	return rc;
}

static void settle_arrival(struct fs *fs, struct arrival *arrival)
{
	struct place *place = &arrival->place;
	struct entry *entry;

	fs_own(fs);
	/* Looked up again: a worker may have changed names meanwhile. */
	entry = entry_find(place->folder, place->name);
	if (entry != NULL && entry->inode != arrival->inode) {
		if (entry->inode != NULL)
			entry->inode->flags |= INODE_GONE;
		entry_remove(entry);
	}
	part(fs, place->node, place->kind, &arrival->before);
	become(fs, arrival->inode, place->node, place->kind);
	if (arrival->half != NULL)
		become(fs, arrival->half, place->node,
			place->kind == INODE_BIN ? INODE_SIDECAR : INODE_BIN);
	else if (place->removed)
		pair_restore_sidecar(fs, place);
	fs_unlock(fs);
	refuse_forget(fs, arrival->path.bytes);
}

/* The errno of a refusal, with the bytes still frozen; else the commit's answer. */
static int judge_arrival(
	struct fs *fs, struct arrival *arrival, bool *refused, struct error *err)
{
	AUTO_UNDO undo = {0};
	AUTO_PLAN *plan = NULL;
	int rc = accept_arrival(fs, arrival, &undo, err);

	if (rc == 0)
		rc = commits_judge(fs, &undo, &plan, err);
	rc = commits_blame(fs, rc, err);
	*refused = rc < 0;
	if (rc < 0)
		return rc;
	settle_arrival(fs, arrival);
	return save_write(fs, arrival->path.bytes, &undo, &plan);
}

/* A write to a file of the model. */

static int set_place(struct arrival *arrival, const struct place *place)
{
	arrival->place = *place;
	text_puts(&arrival->name, place->name);
	arrival->place.name = arrival->name.bytes;
	inode_path_of(place->folder, place->name, &arrival->path);
	return text_check(&arrival->name, NULL) < 0 ? -ENOMEM
						    : text_check(&arrival->path, NULL);
}

static int begin_slot(struct fs *fs, struct inode *inode, const struct place *place,
	struct arrival *arrival)
{
	struct desk *desk = inode->desk;
	int rc = set_place(arrival, place);

	if (rc < 0)
		return rc;
	arrival->inode = inode;
	save_freeze(inode);
	arrival->saved = (struct saved){.node = place->node, .kind = place->kind};
	arrival->saved.bytes = blob_ref(desk->judging);
	remember_before(fs, arrival);
	return 0;
}

int pair_save_as(struct fs *fs, struct inode *inode, const struct place *place)
{
	AUTO_ARRIVAL arrival = {0};
	struct error err = {0};
	bool refused = true;
	int rc;

	fs_own(fs);
	if (inode->desk->staged == NULL) {
		fs_unlock(fs);
		return -EINVAL;
	}
	rc = begin_slot(fs, inode, place, &arrival);
	fs_unlock(fs);
	if (rc == 0)
		rc = judge_arrival(fs, &arrival, &refused, &err);
	if (!refused || arrival.inode == NULL)
		return rc;
	refuse_log(fs, arrival.path.bytes, err.text);
	fs_own(fs);
	/* Who renamed it may remove it now. */
	if (inode->desk->written)
		refuse_keep_owned(fs, arrival.path.bytes, arrival.saved.bytes);
	save_put_back(inode, 0);
	fs_unlock(fs);
	return rc;
}

/* The name is the model's again. */
static void give_up_slot(struct fs *fs, struct arrival *arrival)
{
	struct place *place = &arrival->place;
	AUTO_UNDO undo = {0};

	refuse_keep(fs, arrival->path.bytes, arrival->saved.bytes);
	if (place->removed)
		(void)accept_restored(fs, place->node, &undo, NULL);
	fs_own(fs);
	save_put_back(arrival->inode, 0);
	save_stand(arrival->inode);
	if (arrival->inode->entry != NULL)
		entry_remove(arrival->inode->entry);
	arrival->inode->flags |= INODE_GONE;
	pair_restore_sidecar(fs, place);
	notify_entry(&fs->notifier, place->folder->ino, place->name);
	fs_unlock(fs);
}

static int save_slot(
	struct fs *fs, struct inode *inode, const struct place *place, bool last)
{
	AUTO_ARRIVAL arrival = {0};
	struct error err = {0};
	bool refused = true, known;
	char *line = NULL;
	int rc;

	fs_own(fs);
	/* Refused at a flush, and not written since: it was said. */
	known = !inode->desk->dirty && inode->desk->verdict < 0;
	rc = inode->desk->verdict;
	if (known && !last) {
		fs_unlock(fs);
		return rc;
	}
	rc = begin_slot(fs, inode, place, &arrival) < 0 ? -ENOMEM : rc;
	fs_unlock(fs);
	if (arrival.inode == NULL)
		return rc;
	if (!known)
		rc = judge_arrival(fs, &arrival, &refused, &err);
	if (!refused)
		return rc;
	if (rc == -EAGAIN) { /* a document with nothing in it stays scratch */
		fs_own(fs);
		save_put_back(inode, 0);
		fs_unlock(fs);
		return 0;
	}
	if (!known)
		line = refuse_say(fs, arrival.path.bytes, err.text);
	fs_own(fs);
	if (!known)
		save_say(fs, inode, &line);
	if (!last)
		save_put_back(inode, rc);
	fs_unlock(fs);
	if (last)
		give_up_slot(fs, &arrival);
	return rc;
}

/* Two halves. */

static int add_pair(
	struct fs *fs, struct arrival *arrival, bool *refused, struct error *err)
{
	AUTO_UNDO undo = {0};
	AUTO_PLAN *plan = NULL;
	AUTO_TEXT stem = {0};
	enum inode_kind kind;
	int rc = pair_adopt_folder(fs, arrival->place.folder, err);

	text_put(&stem, arrival->place.name, place_stem(arrival->place.name, &kind));
	if (rc == 0)
		rc = text_check(&stem, err);
	if (rc == 0)
		rc = accept_new(fs, arrival->place.folder->node, stem.bytes,
			arrival->saved.bytes, arrival->saved.elements, &undo, err);
	if (rc == 0)
		rc = commits_judge(fs, &undo, &plan, err);
	rc = commits_blame(fs, rc, err);
	*refused = rc < 0;
	if (rc < 0)
		return rc;
	arrival->place.node = undo.node;
	arrival->place.kind = kind;
	settle_arrival(fs, arrival);
	return save_write(fs, arrival->path.bytes, &undo, &plan);
}

/* Whether its writer is not done: has written what nobody judged, or nothing so far. */
static bool in_the_making(const struct inode *half)
{
	return half->writers > 0 &&
	       (half->desk->dirty || half->desk->emptied || !half->desk->written);
}

/* The other half, closed or at least judged; NULL: not yet. */
static struct inode *find_half(struct fs *fs, const struct place *place)
{
	AUTO_TEXT name = {0};
	struct place other;
	struct inode *inode;

	if (place_sibling(fs, place, &name, &other, NULL) < 0 || other.entry == NULL)
		return NULL;
	inode = other.entry->inode;
	if (inode == NULL || inode->kind != INODE_FILE || inode->desk->staged == NULL)
		return NULL;
	return in_the_making(inode) ? NULL : inode;
}

/* 1: both halves are frozen, to be judged; 0: it has to wait. Exclusively. */
static int begin_pair(struct fs *fs, struct inode *inode, const struct place *place,
	struct arrival *arrival)
{
	struct inode *half = find_half(fs, place), *text, *bin;
	enum inode_kind kind;

	inode->desk->dirty = false;
	if (half == NULL || set_place(arrival, place) < 0)
		return 0;
	(void)place_stem(place->name, &kind);
	text = kind == INODE_SIDECAR ? inode : half;
	bin = kind == INODE_SIDECAR ? half : inode;
	arrival->inode = inode;
	arrival->half = half;
	save_freeze(inode);
	save_freeze(half);
	arrival->saved = (struct saved){.node = place->node, .kind = INODE_SIDECAR};
	arrival->saved.bytes = blob_ref(text->desk->judging);
	arrival->saved.elements = blob_ref(bin->desk->judging);
	return 1;
}

static int save_pair(struct fs *fs, struct inode *inode, const struct place *place)
{
	AUTO_ARRIVAL arrival = {0};
	struct error err = {0};
	bool refused = false;
	char *line;
	int rc;

	fs_own(fs);
	rc = begin_pair(fs, inode, place, &arrival);
	fs_unlock(fs);
	if (rc == 0)
		return 0;
	rc = place->removed ? judge_arrival(fs, &arrival, &refused, &err)
			    : add_pair(fs, &arrival, &refused, &err);
	if (!refused)
		return rc;
	fs_own(fs);
	save_put_back(arrival.inode, 0);
	save_put_back(arrival.half, 0);
	fs_unlock(fs);
	if (rc == -EAGAIN) /* one of them is still to be written */
		return 0;
	line = refuse_say(fs, arrival.path.bytes, err.text);
	fs_own(fs);
	save_say(fs, inode, &line); /* in place of what was said at a flush */
	fs_unlock(fs);
	return rc;
}

/* Closing. */

/* Whether only one file of a tensor that is about to be removed was written anew. */
static bool alone(struct fs *fs, const struct place *place)
{
	struct inode *half = find_half(fs, place);

	return half == NULL ||
	       ((half->flags & INODE_LEFTOVER) != 0 && !half->desk->written);
}

static bool may_be_document(struct fs *fs, const struct place *place)
{
	return place_document(fs, place->folder, place->name) &&
	       model_check(fs->model,
		       &(struct change){.what = EDIT_ADDED,
			       .kind = NODE_DOCUMENT,
			       .parent = place->folder->node,
			       .name = place->name},
		       NULL) == 0;
}

/* What to do with a scratch file at its place. With the lock. */
enum meaning { NOTHING, SLOT, PAIR };

static enum meaning meaning_of(struct fs *fs, struct inode *inode, struct place *place)
{
	if (inode->kind != INODE_FILE || inode->entry == NULL || inode->desk == NULL ||
		inode->desk->staged == NULL || (inode->flags & INODE_KEPT) != 0)
		return NOTHING;
	if (place_find(fs, inode->entry->folder, inode->entry->name, place, NULL) < 0)
		return NOTHING;
	if (place->node != NULL && !place->removed)
		return SLOT;
	if (place->node != NULL)
		return place->kind == INODE_BIN && alone(fs, place) ? SLOT : PAIR;
	if (blob_size(inode->desk->staged) > 0 && may_be_document(fs, place)) {
		place->kind = INODE_DOCUMENT;
		return SLOT;
	}
	return place_half(fs, place->folder, place->name) ? PAIR : NOTHING;
}

int pair_save(struct fs *fs, struct inode *inode, bool last)
{
	struct place place = {0};
	enum meaning meaning;

	fs_own(fs);
	meaning = meaning_of(fs, inode, &place);
	if (last && inode->writers > 0)
		meaning = NOTHING;
	fs_unlock(fs);
	if (meaning == SLOT)
		return save_slot(fs, inode, &place, last);
	return meaning == PAIR ? save_pair(fs, inode, &place) : 0;
}

void pair_save_below(struct fs *fs, struct inode *folder)
{
	struct entry *entry = folder->entries, *next;

	/* A pair that was accepted leaves the list: start again from the front. */
	for (; entry != NULL; entry = next) {
		struct inode *inode = entry->inode;

		next = entry->next;
		if (inode == NULL)
			continue;
		if (inode->kind == INODE_FOLDER && inode->node == NULL)
			pair_save_below(fs, inode);
		else if (inode->kind == INODE_FILE && pair_save(fs, inode, true) == 0 &&
			 inode->kind != INODE_FILE)
			next = folder->entries;
	}
}
