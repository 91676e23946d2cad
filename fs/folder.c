/*
 * folder: names looked up, listed and made. What is made here is scratch; it
 * becomes part of the model when a save of its bytes is accepted.
 */
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "fs/container.h"
#include "fs/fs_private.h"
#include "fs/place.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES_MAX 255

/* One name of a listing: the number and kind of what was there, then the name. */
struct listed {
	fs_ino ino;
	uint8_t kind;
};

/* A snapshot of a folder's names. */
struct listing {
	struct inode *folder;
	struct text names; /* listed, name, NUL, again and again */
	size_t *at;	   /* where each begins */
	size_t n, room;
};

static int no_name(const char *name)
{
	if (strlen(name) > NAME_BYTES_MAX)
		return -ENAMETOOLONG;
	return name[0] == '\0' || strchr(name, '/') != NULL ? -EINVAL : 0;
}

/* The inode of a folder that can be asked; NULL and *rc. */
static struct inode *find_folder(struct fs *fs, fs_ino ino, int *rc)
{
	struct inode *folder = inode_find(fs, ino);

	*rc = 0;
	if (folder == NULL)
		*rc = -ENOENT;
	else if (folder->kind != INODE_FOLDER)
		*rc = -ENOTDIR;
	return *rc == 0 ? folder : NULL;
}

static void count_lookup(struct fs *fs, struct inode *inode)
{
	pthread_mutex_lock(&fs->table_lock);
	inode->lookups++;
	pthread_mutex_unlock(&fs->table_lock);
}

int fs_lookup(struct fs *fs, fs_ino parent, const char *name, struct stat *out)
{
	struct inode *folder, *inode;
	struct place place;
	int rc = no_name(name);

	if (rc < 0)
		return rc;
	saver_look(fs);
	fs_share(fs);
	folder = find_folder(fs, parent, &rc);
	if (rc == 0)
		rc = place_find(fs, folder, name, &place, NULL);
	if (rc == 0)
		rc = place_inode(fs, &place, &inode);
	if (rc == 0)
		rc = inode_stat(fs, inode, out);
	if (rc == 0)
		count_lookup(fs, inode);
	fs_unlock(fs);
	return rc;
}

void fs_forget(struct fs *fs, fs_ino ino, uint64_t n)
{
	struct inode *inode;

	fs_own(fs);
	inode = inode_find(fs, ino);
	if (inode != NULL) {
		inode->lookups -= n < inode->lookups ? n : inode->lookups;
		inode_drop(fs, inode);
	}
	fs_unlock(fs);
}

int fs_getattr(struct fs *fs, fs_ino ino, struct stat *out)
{
	struct inode *inode;
	int rc = -ENOENT;

	fs_share(fs);
	inode = inode_find(fs, ino);
	if (inode != NULL)
		rc = inode_stat(fs, inode, out);
	fs_unlock(fs);
	return rc;
}

int fs_readlink(struct fs *fs, fs_ino ino, char *buf, size_t size)
{
	struct inode *inode;
	size_t len;
	int rc = 0;

	fs_share(fs);
	inode = inode_find(fs, ino);
	if (inode == NULL)
		rc = -ENOENT;
	else if (inode->kind != INODE_LINK)
		rc = -EINVAL;
	else {
		len = strlen(inode_target(inode));
		if (len >= size)
			rc = -ENAMETOOLONG;
		else
			memcpy(buf, inode_target(inode), len + 1);
	}
	fs_unlock(fs);
	return rc;
}

int fs_statfs(struct fs *fs, struct statvfs *out)
{
	int rc = fstatvfs(container_folder(fs->container), out) < 0 ? -errno : 0;

	out->f_namemax = NAME_BYTES_MAX;
	return rc;
}

int fs_path(struct fs *fs, const char *path, struct stat *out)
{
	AUTO_TEXT name = {0};
	fs_ino at = FS_ROOT;
	size_t len;
	int rc = fs_getattr(fs, FS_ROOT, out);

	for (; rc == 0; path += len, at = out->st_ino) {
		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 0)
			return 0;
		text_clear(&name);
		text_put(&name, path, len);
		rc = name.failed ? -ENOMEM : fs_lookup(fs, at, name.bytes, out);
		/* Look-ups on the way are for nobody but us. */
		if (at != FS_ROOT)
			fs_forget(fs, at, 1);
	}
	return rc;
}

/* Listing. */

static void list_name(
	struct listing *listing, const char *name, fs_ino ino, enum inode_kind kind)
{
	struct listed listed = {ino, (uint8_t)kind};
	size_t room = listing->room != 0 ? listing->room * 2 : 64, *at;

	if (listing->n == listing->room) {
		at = realloc(listing->at, room * sizeof *at);
		if (at == NULL) {
			listing->names.failed = true;
			return;
		}
		listing->at = at;
		listing->room = room;
	}
	listing->at[listing->n++] = listing->names.len;
	text_put(&listing->names, &listed, sizeof listed);
	text_put(&listing->names, name, strlen(name) + 1);
}

static fs_ino parent_of(struct fs *fs, struct inode *folder)
{
	struct inode *parent = NULL;

	if (folder->entry != NULL)
		parent = folder->entry->folder;
	else if (folder->node != NULL && folder->node->parent != NULL)
		parent = inode_of(fs, folder->node->parent, INODE_FOLDER);
	return parent != NULL ? parent->ino : FS_ROOT;
}

/* A node's file unless an entry says what is there. */
static void list_face(struct fs *fs, struct listing *listing, struct node *node,
	const char *name, enum inode_kind kind)
{
	struct inode *inode;

	if (listing->folder->entries != NULL && entry_find(listing->folder, name) != NULL)
		return;
	inode = inode_of(fs, node, kind);
	/* A number that is not known yet is only a hint (d_ino): one is made up by
	 * look-up. */
	list_name(listing, name, inode != NULL ? inode->ino : inode_number(node, kind),
		kind);
}

static void list_node(
	struct fs *fs, struct listing *listing, struct node *node, struct text *name)
{
	const struct tensor *type;

	if ((node->flags & NODE_HIDDEN) != 0 && listing->folder != fs->control)
		return;
	if (node->kind == NODE_FOLDER || node->kind == NODE_LINK) {
		list_face(fs, listing, node, node->name,
			node->kind == NODE_FOLDER ? INODE_FOLDER : INODE_LINK);
		return;
	}
	if (node->kind == NODE_DOCUMENT) {
		list_face(fs, listing, node, node->name, INODE_DOCUMENT);
		return;
	}
	text_clear(name);
	text_printf(name, "%s.bin", node->name);
	if (!name->failed && model_tensor_now(fs->model, node, &type, NULL) == 0 &&
		(type->flags & TENSOR_NO_BIN) == 0)
		list_face(fs, listing, node, name->bytes, INODE_BIN);
	text_clear(name);
	text_printf(name, "%s.json", node->name);
	if (!name->failed)
		list_face(fs, listing, node, name->bytes, INODE_SIDECAR);
}

/* Links come first, so that rm -r removes them before what they lead to. */
static void list_nodes(
	struct fs *fs, struct listing *listing, bool links, struct text *name)
{
	struct node *node = tree_first(listing->folder->node);

	for (; node != NULL; node = node->next)
		if ((node->kind == NODE_LINK) == links)
			list_node(fs, listing, node, name);
}

static int list_folder(struct fs *fs, struct listing *listing)
{
	struct inode *folder = listing->folder;
	AUTO_TEXT name = {0};
	int rc = 0;

	list_name(listing, ".", folder->ino, INODE_FOLDER);
	list_name(listing, "..", parent_of(fs, folder), INODE_FOLDER);
	if (folder->node != NULL)
		rc = model_expand(fs->model, folder->node, NULL);
	if (rc < 0)
		return rc;
	if (folder->node != NULL) {
		list_nodes(fs, listing, true, &name);
		list_nodes(fs, listing, false, &name);
	}
	for (struct entry *entry = folder->entries; entry != NULL; entry = entry->next)
		if (entry->inode != NULL && entry->inode != fs->control)
			list_name(listing, entry->name, entry->inode->ino,
				entry->inode->kind);
	return listing->names.failed || name.failed ? -ENOMEM : 0;
}

static void listing_free(struct listing *listing)
{
	text_done(&listing->names);
	free(listing->at);
	free(listing);
}

int fs_opendir(struct fs *fs, fs_ino ino, uint64_t *handle)
{
	struct listing *listing = calloc(1, sizeof *listing);
	int rc;

	if (listing == NULL)
		return -ENOMEM;
	saver_look(fs);
	fs_share(fs);
	listing->folder = find_folder(fs, ino, &rc);
	if (rc == 0)
		rc = list_folder(fs, listing);
	if (rc == 0) {
		pthread_mutex_lock(&fs->table_lock);
		listing->folder->handles++;
		pthread_mutex_unlock(&fs->table_lock);
	}
	fs_unlock(fs);
	if (rc < 0) {
		listing_free(listing);
		return rc;
	}
	*handle = (uint64_t)(uintptr_t)listing;
	return 0;
}

bool fs_listing_lasts(uint64_t handle)
{
	const struct listing *listing = (const struct listing *)(uintptr_t)handle;

	return (listing->folder->flags & INODE_KEPT) == 0;
}

void fs_releasedir(struct fs *fs, uint64_t handle)
{
	struct listing *listing = (struct listing *)(uintptr_t)handle;

	fs_own(fs);
	listing->folder->handles--;
	inode_drop(fs, listing->folder);
	fs_unlock(fs);
	listing_free(listing);
}

/* Attributes of a listed name: 1 if it is there, with the inode for `plus`. */
static int list_stat(struct fs *fs, struct listing *listing, size_t i, bool plus,
	struct inode **inode, struct stat *st)
{
	struct listed listed;
	const char *name = listing->names.bytes + listing->at[i] + sizeof listed;
	struct place place;

	*inode = NULL;
	memcpy(&listed, listing->names.bytes + listing->at[i], sizeof listed);
	*st = (struct stat){.st_ino = listed.ino};
	st->st_mode = listed.kind == INODE_FOLDER ? S_IFDIR
		      : listed.kind == INODE_LINK ? S_IFLNK
						  : S_IFREG;
	if (!plus || i < 2)
		return 1;
	if (place_find(fs, listing->folder, name, &place, NULL) < 0 ||
		place_inode(fs, &place, inode) < 0)
		return 0;
	return inode_stat(fs, *inode, st) == 0;
}

int fs_readdir(
	struct fs *fs, uint64_t handle, off_t off, bool plus, fs_entry_fn fn, void *arg)
{
	struct listing *listing = (struct listing *)(uintptr_t)handle;
	struct inode *inode;
	const char *name;
	struct stat st;
	int rc = 0;

	if (off < 0)
		return -EINVAL;
	fs_share(fs);
	for (size_t i = (size_t)off; rc == 0 && i < listing->n; i++) {
		if (list_stat(fs, listing, i, plus, &inode, &st) == 0)
			continue;
		name = listing->names.bytes + listing->at[i] + sizeof(struct listed);
		rc = fn(arg, name, &st, (off_t)i + 1);
		if (rc == 0 && inode != NULL)
			count_lookup(fs, inode);
	}
	fs_unlock(fs);
	return rc < 0 ? rc : 0;
}

/* Making. */

/* Whether something may be made at the name, which must be free. Exclusively. */
static int may_make(struct fs *fs, struct inode *folder, const char *name)
{
	struct place place;
	int rc;

	if (fs_frozen(fs) != NULL)
		return -EROFS;
	if ((folder->flags & INODE_KEPT) != 0)
		return -EPERM;
	if ((folder->flags & INODE_GONE) != 0)
		return -ENOENT;
	rc = place_find(fs, folder, name, &place, NULL);
	return rc < 0 ? rc : place_visible(&place) ? -EEXIST : 0;
}

/* A new scratch inode at a free name, looked up once. Exclusively. */
static int make_at(struct fs *fs, fs_ino parent, const char *name, enum inode_kind kind,
	mode_t mode, struct inode **out)
{
	struct inode *folder, *inode;
	int rc;

	folder = find_folder(fs, parent, &rc);
	if (rc == 0)
		rc = no_name(name);
	if (rc == 0)
		rc = may_make(fs, folder, name);
	if (rc == 0)
		rc = inode_new(fs, kind, mode & 07777, &inode);
	if (rc < 0)
		return rc;
	inode->desk->emptied = kind == INODE_FILE;
	rc = entry_set(fs, folder, name, inode);
	if (rc < 0) {
		inode_drop(fs, inode);
		return rc;
	}
	inode->lookups++;
	*out = inode;
	return 0;
}

int fs_mkdir(
	struct fs *fs, fs_ino parent, const char *name, mode_t mode, struct stat *out)
{
	struct inode *inode;
	int rc;

	fs_own(fs);
	rc = make_at(fs, parent, name, INODE_FOLDER, mode, &inode);
	if (rc == 0) {
		inode->flags |= INODE_MADE;
		rc = inode_stat(fs, inode, out);
		saver_defer(fs);
	}
	fs_unlock(fs);
	return rc;
}

int fs_symlink(struct fs *fs, fs_ino parent, const char *name, const char *target,
	struct stat *out)
{
	char *copy = strdup(target);
	struct inode *inode;
	int rc = -ENOMEM;

	if (copy == NULL)
		return rc;
	fs_own(fs);
	rc = make_at(fs, parent, name, INODE_LINK, 0777, &inode);
	if (rc == 0) {
		inode->desk->target = copy;
		copy = NULL;
		rc = inode_stat(fs, inode, out);
	}
	fs_unlock(fs);
	free(copy);
	return rc;
}

int fs_create(struct fs *fs, fs_ino parent, const char *name, mode_t mode, int flags,
	struct stat *st, struct fs_file *out)
{
	struct inode *inode;
	int rc;

	fs_own(fs);
	rc = make_at(fs, parent, name, INODE_FILE, mode, &inode);
	if (rc == 0)
		rc = inode_stage(fs, inode, true, NULL);
	if (rc == 0)
		rc = inode_stat(fs, inode, st);
	fs_unlock(fs);
	if (rc == -EEXIST && (flags & O_EXCL) == 0)
		rc = fs_lookup(fs, parent, name, st);
	if (rc < 0)
		return rc;
	rc = fs_open_file(fs, st->st_ino, flags, out);
	if (rc < 0)
		fs_forget(fs, st->st_ino, 1);
	return rc;
}
