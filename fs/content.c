/*
 * content: what a file's bytes and attributes are (inode.h).
 */
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/document.h"
#include "fs/control.h"
#include "fs/fs_private.h"
#include "fs/inode.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LAYERS_MAX 64 /* overlays over each other */

static int render(struct fs *fs, struct node *node, enum inode_kind kind,
	struct blob **out, struct error *err)
{
	AUTO_TEXT text = {0};
	size_t len;
	int rc = kind == INODE_SIDECAR ? sidecar_render(fs->model, node, &text, err)
				       : document_render(fs->model, node, &text, err);

	if (rc == 0)
		rc = text_check(&text, err);
	if (rc < 0)
		return rc;
	len = text.len;
	return blob_memory(out, text_take(&text, NULL), len, err);
}

int inode_render(struct fs *fs, struct node *node, enum inode_kind kind,
	struct blob **out, struct error *err)
{
	return kind == INODE_BIN ? model_content(fs->model, node, out, err)
				 : render(fs, node, kind, out, err);
}

int inode_accepted(
	struct fs *fs, struct inode *inode, struct blob **out, struct error *err)
{
	struct desk *desk = inode->desk;
	int rc;

	if (desk != NULL && desk->shown != NULL) {
		*out = blob_ref(desk->shown);
		return 0;
	}
	if (inode->node == NULL)
		return error_set(err, ESTALE, "this file is no longer in the container");
	pthread_mutex_lock(&fs->table_lock);
	*out = inode->content != NULL ? blob_ref(inode->content) : NULL;
	pthread_mutex_unlock(&fs->table_lock);
	if (*out != NULL)
		return 0;
	rc = inode_render(fs, inode->node, inode->kind, out, err);
	if (rc == 0)
		inode_keep_content(fs, inode, *out);
	return rc;
}

int inode_content(
	struct fs *fs, struct inode *inode, struct blob **out, struct error *err)
{
	struct desk *desk = inode->desk;
	struct blob *blob = NULL;

	if (desk != NULL)
		blob = desk->staged != NULL ? desk->staged : desk->judging;
	if (blob == NULL)
		return inode_accepted(fs, inode, out, err);
	*out = blob_ref(blob);
	return 0;
}

bool inode_lost(const struct inode *inode)
{
	const struct desk *desk = inode->desk;

	return inode->kind == INODE_FILE && inode->node == NULL &&
	       (desk == NULL || (desk->staged == NULL && desk->judging == NULL));
}

bool inode_computed(struct blob *bytes)
{
	uint64_t size = blob_size(bytes), len = size, off;
	struct source *source;

	return size > 0 && (!blob_origin(bytes, 0, &len, &source, &off) || len < size);
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

int inode_copy(struct fs *fs, struct blob *bytes, struct blob **out, struct error *err)
{
	AUTO_BLOB *copy = NULL;
	int rc = blob_staged(&copy, NULL, &fs->pool, err);

	if (rc == 0)
		rc = copy_bytes(bytes, copy, err);
	if (rc < 0)
		return rc;
	*out = blob_ref(copy);
	return 0;
}

/* What a writer writes over. A tensor that was saved often and not committed would be an
 * overlay over overlays without end. */
static int stage_base(
	struct fs *fs, struct inode *inode, struct blob **out, struct error *err)
{
	struct desk *desk = inode->desk;
	AUTO_BLOB *deep = NULL;
	int rc;

	if (desk->staged == NULL && desk->judging == NULL && inode->node != NULL &&
		(inode->node->edit == NULL || inode->node->edit->content == NULL))
		desk->layers = 0; /* all is in the container */
	if (desk->layers < LAYERS_MAX)
		return inode_content(fs, inode, out, err);
	rc = inode_content(fs, inode, &deep, err);
	if (rc == 0)
		rc = inode_copy(fs, deep, out, err);
	if (rc == 0)
		desk->layers = 0;
	return rc;
}

int inode_stage(struct fs *fs, struct inode *inode, bool empty, struct error *err)
{
	struct desk *desk = inode_desk(inode);
	struct blob *over = NULL;
	AUTO_BLOB *base = NULL;
	bool computed;
	int rc = desk != NULL ? 0 : -ENOMEM;

	if (rc == 0 && desk->staged != NULL && desk->writable && !empty)
		return 0;
	if (rc == 0 && !empty && !(inode->kind == INODE_FILE && desk->staged == NULL))
		rc = stage_base(fs, inode, &base, err);
	if (rc == 0)
		rc = blob_staged(&over, base, &fs->pool, err);
	if (rc < 0)
		return rc;
	if (desk->staged != NULL)
		computed = desk->computed && !empty;
	else
		computed =
			base != NULL && inode->kind == INODE_BIN && inode_computed(base);
	if (desk->staged == NULL) {
		desk->old_mtime = desk->timed ? desk->mtime : fs->base.st_mtim;
		desk->written = desk->judging != NULL && desk->written;
	}
	blob_unref(&desk->staged);
	desk->staged = over;
	desk->layers = base != NULL ? desk->layers + 1 : 0;
	desk->writable = true;
	desk->computed = computed;
	return 0;
}

/* Attributes. */

/* The size of a rendering; one that fails is said when the file is read. */
static uint64_t rendered_size(struct fs *fs, struct inode *inode)
{
	AUTO_BLOB *content = NULL;
	uint64_t size = 0;

	if (inode->node == NULL)
		return 0;
	pthread_mutex_lock(&fs->table_lock);
	if (inode->epoch == fs->epoch)
		size = inode->size;
	pthread_mutex_unlock(&fs->table_lock);
	if (size > 0)
		return size;
	if (inode_render(fs, inode->node, inode->kind, &content, NULL) < 0)
		return 0;
	pthread_mutex_lock(&fs->table_lock);
	inode->size = blob_size(content);
	inode->epoch = fs->epoch;
	pthread_mutex_unlock(&fs->table_lock);
	return blob_size(content);
}

static uint64_t inode_size(struct fs *fs, struct inode *inode)
{
	const struct desk *desk = inode->desk;
	const struct tensor *type;

	if (desk != NULL && desk->staged != NULL)
		return blob_size(desk->staged);
	if (desk != NULL && desk->judging != NULL)
		return blob_size(desk->judging);
	if (desk != NULL && desk->shown != NULL)
		return blob_size(desk->shown);
	if (inode->kind != INODE_BIN)
		return rendered_size(fs, inode);
	if (inode->node == NULL ||
		model_tensor_now(fs->model, inode->node, &type, NULL) < 0)
		return 0;
	return type->bytes;
}

/* A folder that was not read yet says 1, which means: unknown. */
static nlink_t folder_links(const struct inode *inode)
{
	nlink_t n = 2;

	if (inode->node != NULL && (inode->node->flags & NODE_LAZY) != 0)
		return 1;
	if (inode->node != NULL)
		for (struct node *child = tree_first(inode->node); child != NULL;
			child = child->next)
			n += child->kind == NODE_FOLDER;
	for (struct entry *entry = inode->entries; entry != NULL; entry = entry->next)
		n += entry->inode != NULL && entry->inode->kind == INODE_FOLDER;
	return n;
}

static mode_t inode_mode(const struct fs *fs, const struct inode *inode)
{
	mode_t mode = fs->base.st_mode & 0666;

	if (inode->kind == INODE_LINK)
		return S_IFLNK | 0777;
	if (inode->kind == INODE_TEXT || (inode->flags & INODE_KEPT) != 0)
		mode &= 0444;
	else if (inode->node == NULL && inode->desk != NULL)
		mode = inode->desk->mode & 07777;
	if (fs_frozen(fs) != NULL)
		mode &= ~(mode_t)0222;
	if (inode->kind != INODE_FOLDER)
		return S_IFREG | mode;
	return S_IFDIR | mode | (mode & 0444) >> 2;
}

const char *inode_target(const struct inode *link)
{
	if (link->node != NULL)
		return link->node->target;
	return link->desk != NULL && link->desk->target != NULL ? link->desk->target : "";
}

int inode_stat(struct fs *fs, struct inode *inode, struct stat *out)
{
	const struct desk *desk = inode->desk;

	if (inode_lost(inode))
		return -ESTALE;
	*out = (struct stat){.st_ino = inode->ino,
		.st_mode = inode_mode(fs, inode),
		.st_nlink = (inode->flags & INODE_GONE) != 0 ? 0 : 1,
		.st_uid = fs->base.st_uid,
		.st_gid = fs->base.st_gid,
		.st_blksize = 4096,
		.st_atim = fs->base.st_atim,
		.st_mtim = fs->base.st_mtim,
		.st_ctim = fs->base.st_mtim};
	if (desk != NULL && desk->timed) {
		out->st_mtim = out->st_ctim = desk->mtime;
		out->st_atim = desk->atime;
	}
	if (inode->kind == INODE_FOLDER)
		out->st_nlink = folder_links(inode);
	else if (inode->kind == INODE_TEXT)
		out->st_size = control_size(fs, inode);
	else if (inode->kind == INODE_LINK)
		out->st_size = (off_t)strlen(
			inode->node != NULL ? inode->node->target : desk->target);
	else
		out->st_size = (off_t)inode_size(fs, inode);
	out->st_blocks = (out->st_size + 511) / 512;
	return 0;
}
