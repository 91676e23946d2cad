/*
 * finish: the end of a session. Nothing that a person wrote may be lost in it.
 */
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "fs/container.h"
#include "fs/fs_private.h"
#include "fs/pending.h"
#include "fs/place.h"
#include "fs/refuse.h"
#include "fs/save.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Inodes to be judged, pinned. */
struct list {
	struct inode **inodes;
	size_t n, room;
};

static void list_staged(struct fs *fs, struct inode *inode, void *arg)
{
	struct list *list = arg;
	struct inode **bigger;

	(void)fs;
	if (inode->desk == NULL || inode->desk->staged == NULL ||
		(inode->flags & INODE_KEPT) != 0)
		return;
	if (list->n == list->room) {
		list->room = list->room != 0 ? list->room * 2 : 64;
		bigger = realloc(list->inodes, list->room * sizeof *bigger);
		if (bigger == NULL)
			return; /* what is not judged is kept as refused is not: rare */
		list->inodes = bigger;
	}
	inode->pins++;
	list->inodes[list->n++] = inode;
}

/* The end of the session counts as release. */
static void release_all(struct fs *fs, struct list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		struct job job = {.inode = list->inodes[i]};

		fs_own(fs);
		list->inodes[i]->writers = 0;
		fs_unlock(fs);
		(void)save_release(fs, &job); /* a refusal is in the log */
	}
}

/* One half of a tensor that never came whole. */
static void keep_half(struct fs *fs, struct inode *inode)
{
	AUTO_TEXT path = {0};
	struct blob *bytes = NULL;
	struct place place;
	enum inode_kind kind;

	fs_own(fs);
	if (inode->kind == INODE_FILE && inode->entry != NULL && inode->desk->written &&
		place_half(fs, inode->entry->folder, inode->entry->name) &&
		place_find(fs, inode->entry->folder, inode->entry->name, &place, NULL) ==
			0 &&
		(place.node == NULL || place.removed)) {
		inode_path(inode, &path);
		bytes = blob_ref(inode->desk->staged);
	}
	fs_unlock(fs);
	if (bytes == NULL)
		return;
	if (text_check(&path, NULL) == 0) {
		(void)place_stem(path.bytes, &kind);
		refuse_log(fs, path.bytes,
			kind == INODE_BIN
				? "no .json with a dtype and a shape of its size came "
				  "with it"
				: "no .bin of the size that it asks for came with it");
		refuse_keep(fs, path.bytes, bytes);
	}
	blob_unref(&bytes);
}

static void unpin_all(struct fs *fs, struct list *list)
{
	fs_own(fs);
	for (size_t i = 0; i < list->n; i++) {
		list->inodes[i]->pins--;
		inode_drop(fs, list->inodes[i]);
	}
	fs_unlock(fs);
	free(list->inodes);
}

static int say_kept(
	struct fs *fs, int code, int kept, const char *folder, struct error *err)
{
	if (kept < 0)
		return error_set(err, -kept, "edits are lost: %s", err->text);
	if (kept == 0 && code == 0)
		return 0;
	if (kept == 0)
		return error_set(err, -code, "%s: edits are not in it: %s",
			container_name(fs->container), err->text);
	return error_set(err, code < 0 ? -code : EIO,
		"%s: edits are not in it%s%s; %d file%s kept in %s",
		container_name(fs->container), err->text[0] != '\0' ? ": " : "",
		err->text, kept, kept == 1 ? " is" : "s are", folder);
}

static int run_finish(struct fs *fs, struct job *job)
{
	AUTO_TEXT folder = {0};
	struct list list = {0};
	struct error *err = job->arg, why = {0};
	int code, kept;

	fs_own(fs);
	inode_each(fs, list_staged, &list);
	fs_unlock(fs);
	release_all(fs, &list);
	code = fs_frozen(fs) == NULL ? pending_commit(fs, err) : 0;
	if (code == 0)
		code = pending_bring_back(fs, err);
	for (size_t i = 0; i < list.n; i++)
		keep_half(fs, list.inodes[i]);
	unpin_all(fs, &list);
	kept = refuse_write_out(fs, &folder, &why);
	if (kept < 0)
		*err = why;
	return say_kept(fs, code, kept, folder.bytes != NULL ? folder.bytes : "", err);
}

int fs_finish(struct fs *fs, struct error *err)
{
	struct error own = {0};
	int rc;

	if (fs->finished)
		return 0;
	fs->finished = true;
	rc = saver_wait(fs, run_finish, err != NULL ? err : &own);
	notify_wait(&fs->notifier);
	return rc;
}
