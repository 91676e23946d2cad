/*
 * save: what happens when a file that was written is closed.
 *
 * The hard idea: what is staged is frozen before it is judged (inode.h: judging), so
 * writers go on meanwhile, on top of it. In the end it is settled: accepted, put
 * back for its writer, or given to rejected/.
 */
#include "fs/save.h"
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/plan.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "fs/accept.h"
#include "fs/commits.h"
#include "fs/fs_private.h"
#include "fs/pair.h"
#include "fs/pending.h"
#include "fs/refuse.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Freezing and settling. Exclusively. */

void save_freeze(struct inode *inode)
{
	struct desk *desk = inode->desk;

	desk->judging = desk->staged;
	desk->staged = NULL;
	desk->dirty = desk->waiting = false;
}

void save_put_back(struct inode *inode, int verdict)
{
	struct desk *desk = inode->desk;

	if (desk->staged == NULL) {
		desk->staged = desk->judging;
		desk->judging = NULL;
		desk->verdict = verdict;
	}
	/* Else somebody wrote on top of it, which has it. */
	blob_unref(&desk->judging);
}

/* Texts that were saved in place again and again would become overlays over overlays. */
static struct blob *flat(struct blob *text)
{
	struct blob *copy = NULL;
	char *bytes;
	size_t len;

	if (blob_load(text, SIZE_MAX - 1, &bytes, &len, NULL) < 0 ||
		blob_memory(&copy, bytes, len, NULL) < 0)
		return blob_ref(text);
	return copy;
}

void save_say(struct fs *fs, struct inode *inode, char **line)
{
	refuse_withdraw(fs, &inode->desk->said);
	inode->desk->said = *line;
	*line = NULL;
}

void save_stand(struct inode *inode)
{
	free(inode->desk->said);
	inode->desk->said = NULL;
}

void save_settle(struct fs *fs, struct inode *inode)
{
	struct desk *desk = inode->desk;

	refuse_withdraw(fs, &desk->said);
	blob_unref(&desk->base);
	blob_unref(&desk->shown);
	if (inode->kind != INODE_BIN)
		desk->shown = flat(desk->judging);
	if (desk->shown != NULL && inode->writers > 0)
		desk->base = blob_ref(desk->shown);
	blob_unref(&desk->judging);
	desk->verdict = 0;
	desk->written = desk->staged != NULL;
}

/* The old content is back; the bytes have been kept. */
static void save_give_up(struct fs *fs, struct inode *inode)
{
	struct desk *desk = inode->desk;

	blob_unref(&desk->judging);
	save_stand(inode);
	desk->verdict = 0;
	desk->mtime = desk->old_mtime;
	inode->stale = true;
	notify_inode(&fs->notifier, inode->ino);
}

/* Judging one of the model's files, or both of one tensor. */

struct judgement {
	struct inode *inodes[2]; /* the second: the other file of the tensor, or NULL */
	struct saved saved;	 /* holds references */
	struct text path;
	bool known; /* it was refused at a flush, logged, and not written since */
};

static void judgement_done(struct judgement *judgement)
{
	blob_unref(&judgement->saved.bytes);
	blob_unref(&judgement->saved.elements);
	blob_unref(&judgement->saved.base);
	text_done(&judgement->path);
}
#define AUTO_JUDGEMENT __attribute__((cleanup(judgement_done))) struct judgement

/* The other file of the tensor where that has been written too. */
static struct inode *written_sibling(struct fs *fs, const struct inode *inode)
{
	struct inode *other = NULL;

	if (inode->kind == INODE_BIN)
		other = inode_of(fs, inode->node, INODE_SIDECAR);
	else if (inode->kind == INODE_SIDECAR)
		other = inode_of(fs, inode->node, INODE_BIN);
	if (other == NULL || other->desk == NULL || other->desk->staged == NULL)
		return NULL;
	return other->desk->dirty || other->desk->waiting ? other : NULL;
}

static struct blob *ref_or_null(struct blob *blob)
{
	return blob != NULL ? blob_ref(blob) : NULL;
}

static void fill_saved(struct saved *saved, struct inode *inode, struct inode *other)
{
	struct inode *text = other != NULL && inode->kind == INODE_BIN ? other : inode;

	*saved = (struct saved){.node = inode->node, .kind = text->kind};
	saved->bytes = blob_ref(text->desk->judging);
	saved->base = ref_or_null(text->desk->base);
	if (other != NULL)
		saved->elements =
			blob_ref((text == inode ? other : inode)->desk->judging);
}

/* 1: there is something to judge; else the answer. */
static int begin(struct fs *fs, struct inode *inode, struct judgement *judgement)
{
	struct inode *other = written_sibling(fs, inode);

	save_freeze(inode);
	if (other != NULL && other->writers > 0 && !other->desk->waiting) {
		/* The second of the two to be closed is judged. */
		save_put_back(inode, 0);
		inode->desk->waiting = true;
		return 0;
	}
	if (other != NULL)
		save_freeze(other);
	judgement->inodes[0] = inode;
	judgement->inodes[1] = other;
	fill_saved(&judgement->saved, inode, other);
	inode_path(inode, &judgement->path);
	return 1;
}

static void settle_all(struct fs *fs, struct judgement *judgement, bool merge)
{
	fs_own(fs);
	judgement->inodes[0]->desk->merged = merge;
	for (int i = 0; i < 2 && judgement->inodes[i] != NULL; i++)
		save_settle(fs, judgement->inodes[i]);
	fs_unlock(fs);
	refuse_forget(fs, judgement->path.bytes);
}

static void refuse_one(struct fs *fs, struct inode *inode, int verdict)
{
	AUTO_TEXT path = {0};
	AUTO_BLOB *bytes = NULL;

	fs_own(fs);
	inode_path(inode, &path);
	if (inode->writers > 0 || inode->desk->staged != NULL) {
		save_put_back(inode, verdict);
	} else {
		/* What was only cut has nothing that anybody wrote. */
		if (inode->desk->written)
			bytes = blob_ref(inode->desk->judging);
		save_give_up(fs, inode);
	}
	fs_unlock(fs);
	if (bytes != NULL)
		refuse_keep(fs, path.bytes, bytes);
}

static void refuse_all(
	struct fs *fs, struct judgement *judgement, int verdict, const struct error *err)
{
	char *line = NULL;

	if (!judgement->known) {
		line = refuse_say(fs, judgement->path.bytes, err->text);
		fs_own(fs);
		save_say(fs, judgement->inodes[0], &line);
		fs_unlock(fs);
	}
	for (int i = 0; i < 2 && judgement->inodes[i] != NULL; i++)
		refuse_one(fs, judgement->inodes[i], verdict);
}

/* What a file's last save brought is kept, and the old content is back. */
static void take_file_back(struct fs *fs, struct node *node, enum inode_kind kind)
{
	AUTO_TEXT path = {0};
	AUTO_BLOB *bytes = NULL;
	struct inode *inode;

	fs_own(fs);
	inode = inode_of(fs, node, kind);
	if (inode != NULL && inode->desk != NULL &&
		(kind == INODE_BIN || inode->desk->shown != NULL)) {
		(void)inode_accepted(fs, inode, &bytes, NULL);
		inode_path(inode, &path);
		blob_unref(&inode->desk->shown);
		inode->desk->mtime = inode->desk->old_mtime;
		inode->stale = true;
		notify_inode(&fs->notifier, inode->ino);
	}
	fs_unlock(fs);
	if (bytes != NULL && text_check(&path, NULL) == 0)
		refuse_keep(fs, path.bytes, bytes);
}

/* An accepted edit that the container cannot take after all. */
static void take_back(struct fs *fs, struct undo *undo)
{
	struct view *view = undo->value != NULL ? undo->value->views : NULL;

	if (!undo->changed)
		return;
	for (; view != NULL; view = view->next)
		take_file_back(fs, view->node, INODE_DOCUMENT);
	if (undo->node != NULL && undo->content)
		take_file_back(fs, undo->node, INODE_BIN);
	if (undo->node != NULL)
		take_file_back(fs, undo->node, INODE_SIDECAR);
	undo_apply(fs, undo);
	fs_own(fs);
	pending_forget_lost(fs);
	fs_unlock(fs);
}

/* Whether a commit would fail again and again for what this edit asks, and every other
 * edit with it; or for what somebody else did, who is not overwritten by waiting. */
static bool is_final(int rc)
{
	return rc == -EBADMSG || rc == -EOPNOTSUPP || rc == -ENOSPC || rc == -EDQUOT ||
	       rc == -EFBIG || rc == -EPERM || rc == -ESTALE;
}

int save_write(struct fs *fs, const char *path, struct undo *undo, struct plan **plan)
{
	struct error err = {0};
	int rc = commits_write(fs, plan, &err);

	if (rc < 0 && is_final(rc))
		take_back(fs, undo);
	if (rc < 0)
		refuse_log(fs, path, err.text);
	if (rc == -ESTALE)
		pending_give_up(fs, &err);
	return rc == -EBADMSG ? -EIO : rc;
}

/* Whether a text says something else by now than when who saves it opened it. */
static bool is_merge(struct fs *fs, const struct judgement *judgement)
{
	const struct saved *saved = &judgement->saved;
	AUTO_BLOB *now = NULL;

	return judgement->inodes[0]->kind == INODE_DOCUMENT && saved->base != NULL &&
	       inode_accepted(fs, judgement->inodes[0], &now, NULL) == 0 &&
	       blob_equal(saved->base, now, NULL) == 0;
}

void save_done(struct fs *fs, struct inode *inode)
{
	struct desk *desk = inode->desk;

	if (inode->writers > 0 || desk == NULL || desk->staged != NULL)
		return;
	blob_unref(&desk->base);
	if (!desk->merged)
		return;
	desk->merged = false;
	blob_unref(&desk->shown);
	inode->stale = true;
	notify_inode(&fs->notifier, inode->ino);
}

static int judge(struct fs *fs, struct judgement *judgement)
{
	AUTO_UNDO undo = {0};
	AUTO_PLAN *plan = NULL;
	struct error err = {0};
	bool merge = is_merge(fs, judgement);
	int rc;

	judgement->saved.merge = merge;
	rc = accept_saved(fs, &judgement->saved, &undo, &err);
	if (rc == 0)
		rc = commits_judge(fs, &undo, &plan, &err);
	rc = commits_blame(fs, rc, &err);
	if (rc < 0) {
		refuse_all(fs, judgement, rc, &err);
		return rc;
	}
	settle_all(fs, judgement, merge);
	return save_write(fs, judgement->path.bytes, &undo, &plan);
}

/* What was accepted earlier and could not be written is tried again. */
static int write_pending(struct fs *fs)
{
	struct error err = {0};

	if (fs->options.commit_at_unmount || tree_clean(fs->model->tree))
		return 0;
	return pending_commit(fs, &err);
}

/* Closing. */

/* 1: what is staged is to be judged; else the answer. */
static int look_at_flush(struct inode *inode)
{
	const struct desk *desk = inode->desk;

	if (desk == NULL || desk->staged == NULL)
		return 0;
	if (!desk->dirty)
		return desk->verdict;
	/* Between truncating and writing nobody is asked. */
	return desk->emptied ? 0 : 1;
}

int save_flush(struct fs *fs, struct job *job)
{
	AUTO_JUDGEMENT judgement = {0};
	struct inode *inode = job->inode;
	int rc;

	fs_own(fs);
	rc = look_at_flush(inode);
	if (rc == 1 && inode->kind != INODE_FILE)
		rc = inode->node != NULL ? begin(fs, inode, &judgement) : 0;
	fs_unlock(fs);
	if (rc == 1 && inode->kind == INODE_FILE)
		return pair_save(fs, inode, false);
	if (rc == 1)
		return judge(fs, &judgement);
	return rc == 0 && inode->kind != INODE_FILE ? write_pending(fs) : rc;
}

/* What was refused at a flush is judged again: its other half may have come since. */
static bool is_to_be_judged(const struct inode *inode)
{
	const struct desk *desk = inode->desk;

	if (desk == NULL || desk->staged == NULL || inode->writers > 0)
		return false;
	return inode->kind == INODE_FILE || inode->node != NULL;
}

int save_release(struct fs *fs, struct job *job)
{
	AUTO_JUDGEMENT judgement = {0};
	struct inode *inode = job->inode;
	int rc;

	fs_own(fs);
	rc = is_to_be_judged(inode);
	if (rc == 1 && inode->kind != INODE_FILE) {
		judgement.known = !inode->desk->dirty && inode->desk->verdict < 0;
		rc = begin(fs, inode, &judgement);
	}
	fs_unlock(fs);
	if (rc == 1 && inode->kind == INODE_FILE)
		return pair_save(fs, inode, true);
	if (rc == 1)
		rc = judge(fs, &judgement);
	fs_own(fs);
	save_done(fs, inode);
	fs_unlock(fs);
	return rc;
}

/* Truncating by path. */

/* The content with its new size, as if somebody had written it. */
static int cut(struct fs *fs, struct inode *inode, uint64_t size,
	struct judgement *judgement, struct error *err)
{
	AUTO_BLOB *content = NULL;
	int rc = inode_accepted(fs, inode, &content, err);

	if (rc == 0)
		rc = blob_staged(&judgement->saved.bytes, content, &fs->pool, err);
	if (rc == 0)
		rc = blob_resize(judgement->saved.bytes, size, err);
	judgement->saved.node = inode->node;
	judgement->saved.kind = inode->kind;
	return rc;
}

int save_truncate(struct fs *fs, struct job *job)
{
	AUTO_JUDGEMENT judgement = {0};
	AUTO_UNDO undo = {0};
	AUTO_PLAN *plan = NULL;
	struct inode *inode = job->inode;
	struct error err = {0};
	int rc;

	fs_share(fs);
	inode_path(inode, &judgement.path);
	rc = inode->node == NULL ? -ESTALE : text_check(&judgement.path, NULL);
	fs_unlock(fs);
	if (rc < 0) /* removed or renamed since it was asked */
		return rc;
	rc = cut(fs, inode, job->size, &judgement, &err);
	if (rc == 0)
		rc = accept_saved(fs, &judgement.saved, &undo, &err);
	if (rc == 0)
		rc = commits_judge(fs, &undo, &plan, &err);
	rc = commits_blame(fs, rc, &err);
	if (rc < 0) {
		refuse_log(fs, judgement.path.bytes, err.text);
		return rc;
	}
	rc = save_write(fs, judgement.path.bytes, &undo, &plan);
	fs_share(fs);
	if (rc == 0)
		rc = inode_stat(fs, inode, job->out);
	fs_unlock(fs);
	return rc;
}
