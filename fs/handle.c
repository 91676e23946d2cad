/*
 * handle: files opened, read, written and closed.
 *
 * Writers write to an overlay of the inode (inode.h). Closing asks the saver, unless
 * there is nothing that could concern the model; a worker never waits for it.
 */
#include "fs/handle.h"
#include "decoders/base/blob.h"
#include "decoders/base/text.h"
#include "fs/control.h"
#include "fs/fs_private.h"
#include "fs/place.h"
#include "fs/refuse.h"
#include "fs/save.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static struct handle *handle_of(uint64_t handle)
{
	return (struct handle *)(uintptr_t)handle;
}

static bool writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

static int may_open(struct fs *fs, const struct inode *inode, int flags)
{
	if (inode->kind == INODE_FOLDER)
		return -EISDIR;
	if (inode->kind == INODE_LINK)
		return -ELOOP;
	if (inode_lost(inode))
		return -ESTALE;
	if (!writes(flags) && (flags & O_TRUNC) == 0)
		return 0;
	if (fs_frozen(fs) != NULL)
		return -EROFS;
	if (inode->kind == INODE_TEXT || (inode->flags & INODE_KEPT) != 0)
		return -EACCES;
	return 0;
}

/* What the file shows to its first writer is what a save is compared with. */
static int keep_base(struct fs *fs, struct inode *inode)
{
	struct desk *desk = inode_desk(inode);

	if (desk == NULL)
		return -ENOMEM;
	if (inode->kind != INODE_DOCUMENT && inode->kind != INODE_SIDECAR)
		return 0;
	return desk->base != NULL ? 0 : inode_accepted(fs, inode, &desk->base, NULL);
}

/* What was refused and is overwritten before its writer's release comes is kept. */
static void keep_refused(struct fs *fs, struct inode *inode)
{
	struct desk *desk = inode->desk;
	AUTO_TEXT path = {0};

	if (desk == NULL || desk->staged == NULL || desk->dirty || desk->verdict >= 0 ||
		!desk->written)
		return;
	inode_path(inode, &path);
	if (text_check(&path, NULL) == 0)
		refuse_keep_owned(fs, path.bytes, desk->staged);
	desk->verdict = 0;
}

static int truncate_to_nothing(struct fs *fs, struct inode *inode)
{
	int rc;

	keep_refused(fs, inode);
	rc = inode_stage(fs, inode, true, NULL);
	if (rc < 0)
		return rc;
	inode->desk->dirty = inode->desk->emptied = true;
	inode->desk->waiting = false;
	desk_touch(inode->desk);
	return 0;
}

/* What opening changes besides the counts. Exclusively where it writes. */
static int open_inode(
	struct fs *fs, struct inode *inode, int flags, struct handle *handle)
{
	int rc = may_open(fs, inode, flags);

	if (rc == 0 && inode->kind == INODE_TEXT)
		rc = control_text(fs, inode, &handle->text);
	if (rc == 0 && handle->write)
		rc = keep_base(fs, inode);
	/* What cannot be read can still be written anew. */
	if (rc == -EIO && (flags & O_TRUNC) != 0)
		rc = 0;
	if (rc == 0 && (flags & O_TRUNC) != 0)
		rc = truncate_to_nothing(fs, inode);
	return rc;
}

int fs_open_file(struct fs *fs, fs_ino ino, int flags, struct fs_file *out)
{
	struct handle *handle = calloc(1, sizeof *handle);
	struct inode *inode;
	int rc = -ENOENT;

	if (handle == NULL)
		return -ENOMEM;
	handle->write = writes(flags);
	saver_look(fs);
	if (handle->write || (flags & O_TRUNC) != 0)
		fs_own(fs);
	else
		fs_share(fs);
	inode = inode_find(fs, ino);
	if (inode != NULL)
		rc = open_inode(fs, inode, flags, handle);
	if (rc == 0) {
		pthread_mutex_lock(&fs->table_lock);
		handle->inode = inode;
		inode->handles++;
		inode->writers += handle->write;
		*out = (struct fs_file){.handle = (uint64_t)(uintptr_t)handle,
			.keep_cache = !inode->stale,
			.direct = inode->kind == INODE_TEXT};
		inode->stale = false;
		pthread_mutex_unlock(&fs->table_lock);
	}
	fs_unlock(fs);
	if (rc < 0)
		free(handle);
	return rc;
}

/* Reading. */

static ssize_t read_text(const struct text *text, void *buf, size_t len, uint64_t off)
{
	if (off >= text->len)
		return 0;
	if (len > text->len - off)
		len = text->len - (size_t)off;
	memcpy(buf, text->bytes + off, len);
	return (ssize_t)len;
}

static ssize_t read_control(struct fs *fs, struct inode *inode, struct handle *handle,
	void *buf, size_t len, uint64_t off)
{
	AUTO_TEXT text = {0};
	int rc;

	if (handle != NULL)
		return read_text(&handle->text, buf, len, off);
	rc = control_text(fs, inode, &text);
	return rc < 0 ? rc : read_text(&text, buf, len, off);
}

ssize_t fs_read(
	struct fs *fs, fs_ino ino, uint64_t number, void *buf, size_t len, uint64_t off)
{
	struct handle *handle = handle_of(number);
	AUTO_BLOB *content = NULL;
	struct inode *inode;
	ssize_t n = -ENOENT;

	saver_look(fs);
	fs_share(fs);
	inode = handle != NULL ? handle->inode : inode_find(fs, ino);
	if (inode != NULL && inode->kind == INODE_TEXT) {
		n = read_control(fs, inode, handle, buf, len, off);
	} else if (inode != NULL && inode->kind != INODE_FOLDER) {
		n = inode_content(fs, inode, &content, NULL);
		if (n == 0)
			n = blob_read(content, off, buf, len, NULL);
	}
	fs_unlock(fs);
	/* Elements that are there no more, in a container that was damaged meanwhile. */
	return n == -EOPNOTSUPP ? -EIO : n;
}

/* Writing. */

ssize_t fs_write(struct fs *fs, fs_ino ino, uint64_t number, const void *buf, size_t len,
	uint64_t off)
{
	struct handle *handle = handle_of(number);
	struct inode *inode;
	struct desk *desk;
	int rc = 0;

	(void)ino;
	if (off > INT64_MAX - len)
		return -EFBIG;
	fs_own(fs);
	inode = handle->inode;
	if (!handle->write)
		rc = -EBADF;
	else if (fs_frozen(fs) != NULL)
		rc = -EROFS;
	else if (inode_lost(inode))
		rc = -ESTALE;
	if (rc == 0)
		rc = inode_stage(fs, inode, false, NULL);
	if (rc == 0)
		rc = blob_write(inode->desk->staged, off, buf, len, NULL);
	if (rc == 0) {
		desk = inode->desk;
		desk->dirty = desk->written = true;
		desk->emptied = desk->waiting = false;
		desk_touch(desk);
	}
	fs_unlock(fs);
	return rc < 0 ? rc : (ssize_t)len;
}

/* Closing. */

bool handle_concerns(struct fs *fs, struct inode *inode)
{
	struct desk *desk = inode->desk;
	struct place place;

	if (desk == NULL || (desk->staged == NULL && desk->judging == NULL))
		return false;
	if (inode->kind != INODE_FILE)
		return inode->node != NULL;
	if (inode->entry == NULL || (inode->flags & INODE_KEPT) != 0)
		return false;
	if (place_half(fs, inode->entry->folder, inode->entry->name) ||
		place_document(fs, inode->entry->folder, inode->entry->name))
		return true;
	return place_find(fs, inode->entry->folder, inode->entry->name, &place, NULL) <
		       0 ||
	       place.node != NULL;
}

/* Answers at once, or asks the saver. With the lock, which is given back. */
static void close_inode(struct fs *fs, struct inode *inode,
	int (*run)(struct fs *, struct job *), struct fs_done *done)
{
	struct job job = {.run = run, .inode = inode, .done = done};
	bool concerns = handle_concerns(fs, inode);
	int rc = concerns ? saver_ask(fs, &job) : 0;

	fs_unlock(fs);
	if ((!concerns || rc < 0) && done != NULL)
		done->fn(done, rc);
}

void fs_flush(struct fs *fs, fs_ino ino, uint64_t number, struct fs_done *done)
{
	struct handle *handle = handle_of(number);

	(void)ino;
	if (!handle->write) {
		done->fn(done, 0);
		return;
	}
	fs_share(fs);
	close_inode(fs, handle->inode, save_flush, done);
}

void fs_fsync(struct fs *fs, fs_ino ino, uint64_t number, struct fs_done *done)
{
	fs_flush(fs, ino, number, done);
}

void fs_release(struct fs *fs, fs_ino ino, uint64_t number, struct fs_done *done)
{
	struct handle *handle = handle_of(number);
	struct inode *inode = handle->inode;
	bool last;

	(void)ino;
	fs_own(fs);
	inode->handles--;
	inode->writers -= handle->write;
	last = handle->write && inode->writers == 0;
	if (last)
		save_done(fs, inode);
	text_done(&handle->text);
	free(handle);
	if (last) {
		inode->pins++; /* dropped below if nobody asks the saver */
		close_inode(fs, inode, save_release, done);
		fs_own(fs);
		inode->pins--;
		inode_drop(fs, inode);
		fs_unlock(fs);
		return;
	}
	inode_drop(fs, inode);
	fs_unlock(fs);
	if (done != NULL)
		done->fn(done, 0);
}

/* Attributes. */

static void set_times(struct inode *inode, const struct stat *in, unsigned set)
{
	struct desk *desk = inode_desk(inode);

	if (desk == NULL)
		return;
	if (!desk->timed)
		desk_touch(desk);
	if ((set & FS_SET_MTIME) != 0)
		desk->mtime = in->st_mtim;
	if ((set & FS_SET_ATIME) != 0)
		desk->atime = in->st_atim;
	if ((set & FS_SET_MTIME_NOW) != 0)
		(void)clock_gettime(CLOCK_REALTIME_COARSE, &desk->mtime);
	if ((set & FS_SET_ATIME_NOW) != 0)
		(void)clock_gettime(CLOCK_REALTIME_COARSE, &desk->atime);
}

static int may_set(
	struct fs *fs, const struct inode *inode, const struct stat *in, unsigned set)
{
	if (fs_frozen(fs) != NULL)
		return -EROFS;
	if (((set & FS_SET_UID) != 0 && in->st_uid != fs->base.st_uid) ||
		((set & FS_SET_GID) != 0 && in->st_gid != fs->base.st_gid))
		return -EPERM;
	if ((set & FS_SET_SIZE) == 0)
		return 0;
	if (inode->kind == INODE_FOLDER)
		return -EISDIR;
	return inode->kind == INODE_LINK				       ? -EINVAL
	       : inode->kind == INODE_TEXT || (inode->flags & INODE_KEPT) != 0 ? -EACCES
									       : 0;
}

/* Everything but the size: kept where it costs nothing, and never an error that makes an
 * editor stop. */
static void set_attributes(
	struct fs *fs, struct inode *inode, const struct stat *in, unsigned set)
{
	(void)fs;
	if ((set & FS_SET_MODE) != 0 && inode->node == NULL && inode->desk != NULL)
		inode->desk->mode = in->st_mode & 07777;
	if ((set & (FS_SET_ATIME | FS_SET_MTIME | FS_SET_ATIME_NOW | FS_SET_MTIME_NOW)) !=
		0)
		set_times(inode, in, set);
}

static int resize_staged(struct fs *fs, struct inode *inode, uint64_t size)
{
	struct desk *desk;
	struct stat st;
	int rc = inode_stat(fs, inode, &st);

	if (rc < 0 || ((uint64_t)st.st_size == size && st.st_size != 0))
		return rc;
	rc = inode_stage(fs, inode, size == 0, NULL);
	if (rc == 0)
		rc = blob_resize(inode->desk->staged, size, NULL);
	if (rc < 0)
		return rc;
	desk = inode->desk;
	desk->dirty = true;
	desk->emptied = size == 0;
	desk->waiting = false;
	desk_touch(desk);
	return 0;
}

/* Cuts by path are judged at once, except where a writer will be. */
static bool judged_at_once(const struct inode *inode, uint64_t handle)
{
	const struct desk *desk = inode->desk;

	return handle == 0 && inode->node != NULL &&
	       !(inode->writers > 0 && desk != NULL && desk->staged != NULL);
}

void fs_setattr(struct fs *fs, fs_ino ino, uint64_t handle, const struct stat *in,
	unsigned set, struct stat *out, struct fs_done *done)
{
	struct job job = {.run = save_truncate, .out = out, .done = done, .direct = true};
	struct inode *inode;
	bool asked = false;
	int rc = -ENOENT;

	fs_own(fs);
	inode = handle != 0 ? handle_of(handle)->inode : inode_find(fs, ino);
	if (inode != NULL)
		rc = may_set(fs, inode, in, set);
	if (rc == 0 && (set & FS_SET_SIZE) != 0 && judged_at_once(inode, handle)) {
		job.inode = inode;
		job.size = (uint64_t)in->st_size;
		rc = saver_ask(fs, &job);
		asked = rc == 0;
	} else if (rc == 0) {
		if ((set & FS_SET_SIZE) != 0)
			rc = resize_staged(fs, inode, (uint64_t)in->st_size);
		if (rc == 0)
			set_attributes(fs, inode, in, set);
		if (rc == 0)
			rc = inode_stat(fs, inode, out);
	}
	fs_unlock(fs);
	if (!asked)
		done->fn(done, rc);
}
