/*
 * inode: the table of inodes.
 *
 * The kernel asks by number; the tree by node: so there are two indexes. An inode of the
 * model has the number that follows from its node, unless it began as scratch.
 */
#include "fs/inode.h"
#include "decoders/base/blob.h"
#include "decoders/base/tree.h"
#include "fs/fs_private.h"
#include <errno.h>
#include <stdlib.h>

#define FACES 4			/* numbers of one node */
#define SCRATCH_AT (1ULL << 36) /* beyond all numbers of nodes */
#define FIRST_SIZE 64

static uint64_t key_of(const struct node *node, enum inode_kind kind)
{
	return (uint64_t)node->id * FACES + FACES +
	       (kind == INODE_BIN	       ? 1
		       : kind == INODE_SIDECAR ? 2
					       : 0);
}

static size_t slot_of(const struct inode_table *table, uint64_t key)
{
	return (size_t)(key * 0x9e3779b97f4a7c15u >> 20) & (table->size - 1);
}

int inode_table_new(struct inode_table *table)
{
	table->size = FIRST_SIZE;
	table->by_ino = calloc(FIRST_SIZE, sizeof *table->by_ino);
	table->by_key = calloc(FIRST_SIZE, sizeof *table->by_key);
	return table->by_ino != NULL && table->by_key != NULL ? 0 : -ENOMEM;
}

static void link_ino(struct inode_table *table, struct inode *inode)
{
	struct inode **slot = &table->by_ino[slot_of(table, inode->ino)];

	inode->next_ino = *slot;
	*slot = inode;
}

static void link_key(struct inode_table *table, struct inode *inode)
{
	struct inode **slot = &table->by_key[slot_of(table, inode->key)];

	inode->next_key = *slot;
	*slot = inode;
}

static void unlink_ino(struct inode_table *table, struct inode *inode)
{
	struct inode **at = &table->by_ino[slot_of(table, inode->ino)];

	while (*at != inode)
		at = &(*at)->next_ino;
	*at = inode->next_ino;
}

static void unlink_key(struct inode_table *table, struct inode *inode)
{
	struct inode **at = &table->by_key[slot_of(table, inode->key)];

	while (*at != inode)
		at = &(*at)->next_key;
	*at = inode->next_key;
	inode->key = 0;
}

/* Without memory the chains get longer, that is all. */
static void table_grow(struct inode_table *table)
{
	struct inode_table bigger = {.size = table->size * 2, .n = table->n};
	struct inode *inode, *next;

	bigger.by_ino = calloc(bigger.size, sizeof *bigger.by_ino);
	bigger.by_key = calloc(bigger.size, sizeof *bigger.by_key);
	if (bigger.by_ino == NULL || bigger.by_key == NULL) {
		free(bigger.by_ino);
		free(bigger.by_key);
		return;
	}
	for (size_t i = 0; i < table->size; i++)
		for (inode = table->by_ino[i]; inode != NULL; inode = next) {
			next = inode->next_ino;
			link_ino(&bigger, inode);
			if (inode->key != 0)
				link_key(&bigger, inode);
		}
	free(table->by_ino);
	free(table->by_key);
	*table = bigger;
}

static struct inode *find_ino(struct fs *fs, fs_ino ino)
{
	struct inode *inode = fs->inodes.by_ino[slot_of(&fs->inodes, ino)];

	while (inode != NULL && inode->ino != ino)
		inode = inode->next_ino;
	return inode;
}

static struct inode *find_key(struct fs *fs, uint64_t key)
{
	struct inode *inode = fs->inodes.by_key[slot_of(&fs->inodes, key)];

	while (inode != NULL && inode->key != key)
		inode = inode->next_key;
	return inode;
}

struct inode *inode_find(struct fs *fs, fs_ino ino)
{
	struct inode *inode;

	pthread_mutex_lock(&fs->table_lock);
	inode = find_ino(fs, ino);
	pthread_mutex_unlock(&fs->table_lock);
	return inode;
}

struct inode *inode_of(struct fs *fs, const struct node *node, enum inode_kind kind)
{
	struct inode *inode;

	pthread_mutex_lock(&fs->table_lock);
	inode = find_key(fs, key_of(node, kind));
	pthread_mutex_unlock(&fs->table_lock);
	return inode;
}

/* With table_lock. `ino` 0: the next that is free. */
static struct inode *add_inode(struct fs *fs, fs_ino ino, enum inode_kind kind)
{
	struct inode *inode = calloc(1, sizeof *inode);

	if (inode == NULL)
		return NULL;
	if (fs->inodes.n >= fs->inodes.size)
		table_grow(&fs->inodes);
	inode->ino = ino != 0 ? ino : SCRATCH_AT + ++fs->last_scratch;
	inode->kind = (uint8_t)kind;
	inode->epoch = fs->epoch - 1;
	link_ino(&fs->inodes, inode);
	fs->inodes.n++;
	return inode;
}

fs_ino inode_number(const struct node *node, enum inode_kind kind)
{
	return node->parent == NULL ? FS_ROOT : key_of(node, kind);
}

int inode_make(struct fs *fs, struct node *node, enum inode_kind kind, struct inode **out)
{
	uint64_t key = key_of(node, kind);
	fs_ino ino = inode_number(node, kind);
	struct inode *inode;

	pthread_mutex_lock(&fs->table_lock);
	inode = find_key(fs, key);
	if (inode == NULL) {
		/* Taken where the file of that number lives on under another name. */
		inode = add_inode(fs, find_ino(fs, ino) == NULL ? ino : 0, kind);
		if (inode != NULL) {
			inode->node = node;
			inode->key = key;
			link_key(&fs->inodes, inode);
		}
	}
	pthread_mutex_unlock(&fs->table_lock);
	*out = inode;
	return inode != NULL ? 0 : -ENOMEM;
}

int inode_new(struct fs *fs, enum inode_kind kind, mode_t mode, struct inode **out)
{
	struct inode *inode;
	struct desk *desk;

	pthread_mutex_lock(&fs->table_lock);
	inode = add_inode(fs, 0, kind);
	pthread_mutex_unlock(&fs->table_lock);
	if (inode == NULL)
		return -ENOMEM;
	desk = inode_desk(inode);
	if (desk == NULL) {
		inode_drop(fs, inode);
		return -ENOMEM;
	}
	desk->mode = mode;
	desk_touch(desk);
	*out = inode;
	return 0;
}

struct desk *inode_desk(struct inode *inode)
{
	if (inode->desk == NULL)
		inode->desk = calloc(1, sizeof *inode->desk);
	return inode->desk;
}

void desk_touch(struct desk *desk)
{
	/* The coarse clock is the kernel's own for time stamps. */
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &desk->mtime);
	desk->atime = desk->mtime;
	desk->timed = true;
}

static void desk_free(struct desk *desk)
{
	if (desk == NULL)
		return;
	blob_unref(&desk->staged);
	blob_unref(&desk->judging);
	blob_unref(&desk->shown);
	blob_unref(&desk->base);
	free(desk->target);
	free(desk->said);
	free(desk);
}

static void forget_content(struct fs *fs, struct inode *inode)
{
	if (inode->content == NULL)
		return;
	blob_unref(&inode->content);
	for (size_t i = 0; i < RECENT; i++)
		if (fs->recent[i] == inode)
			fs->recent[i] = NULL;
}

static void inode_free(struct fs *fs, struct inode *inode)
{
	forget_content(fs, inode);
	while (inode->entries != NULL)
		entry_remove(inode->entries);
	desk_free(inode->desk);
	free(inode);
}

static bool inode_idle(const struct fs *fs, const struct inode *inode)
{
	if (inode->lookups > 0 || inode->handles > 0 || inode->pins > 0)
		return false;
	if (inode->entry != NULL || inode->entries != NULL || inode == fs->root)
		return false;
	/* Times and accepted bytes stay as long as the file has a name. */
	return inode->desk == NULL || inode->node == NULL;
}

void inode_drop(struct fs *fs, struct inode *inode)
{
	bool idle;

	pthread_mutex_lock(&fs->table_lock);
	idle = inode_idle(fs, inode);
	if (idle) {
		unlink_ino(&fs->inodes, inode);
		if (inode->key != 0)
			unlink_key(&fs->inodes, inode);
		fs->inodes.n--;
	}
	pthread_mutex_unlock(&fs->table_lock);
	if (idle)
		inode_free(fs, inode);
}

void inode_table_free(struct fs *fs)
{
	struct inode *inode, *next;

	/* Entries first: they point to inodes. */
	for (size_t i = 0; i < fs->inodes.size; i++)
		for (inode = fs->inodes.by_ino[i]; inode != NULL; inode = inode->next_ino)
			while (inode->entries != NULL)
				entry_remove(inode->entries);
	for (size_t i = 0; i < fs->inodes.size; i++)
		for (inode = fs->inodes.by_ino[i]; inode != NULL; inode = next) {
			next = inode->next_ino;
			inode_free(fs, inode);
		}
	free(fs->inodes.by_ino);
	free(fs->inodes.by_key);
}

void inode_each(struct fs *fs, void (*fn)(struct fs *fs, struct inode *inode, void *arg),
	void *arg)
{
	for (size_t i = 0; i < fs->inodes.size; i++)
		for (struct inode *inode = fs->inodes.by_ino[i]; inode != NULL;
			inode = inode->next_ino)
			fn(fs, inode, arg);
}

void inode_detach(struct fs *fs, struct inode *inode, struct blob *bytes)
{
	struct desk *desk = inode->kind == INODE_FOLDER ? NULL : inode_desk(inode);

	pthread_mutex_lock(&fs->table_lock);
	forget_content(fs, inode);
	if (inode->key != 0)
		unlink_key(&fs->inodes, inode);
	pthread_mutex_unlock(&fs->table_lock);
	inode->node = NULL;
	if (inode->kind == INODE_FOLDER || inode->kind == INODE_LINK || desk == NULL) {
		blob_unref(&bytes);
		return;
	}
	inode->kind = INODE_FILE;
	blob_unref(&desk->shown);
	blob_unref(&desk->base);
	if (desk->mode == 0)
		desk->mode = fs->base.st_mode & 0666;
	if (desk->staged != NULL) { /* a writer's bytes outlive the name */
		blob_unref(&bytes);
		return;
	}
	desk->staged = bytes;
	desk->writable = false;
	desk->computed = bytes != NULL && inode_computed(bytes);
}

void inode_become(
	struct fs *fs, struct inode *inode, struct node *node, enum inode_kind kind)
{
	struct inode *before = inode_of(fs, node, kind);

	if (before == inode)
		return;
	if (before != NULL) {
		inode_detach(fs, before, NULL);
		before->flags |= INODE_GONE;
	}
	if (inode->entry != NULL)
		entry_remove(inode->entry);
	inode->flags &= (uint8_t) ~(INODE_LEFTOVER | INODE_GONE);
	inode->kind = (uint8_t)kind;
	inode->node = node;
	pthread_mutex_lock(&fs->table_lock);
	inode->key = key_of(node, kind);
	link_key(&fs->inodes, inode);
	pthread_mutex_unlock(&fs->table_lock);
	if (before != NULL)
		inode_drop(fs, before);
}

void inode_keep_content(struct fs *fs, struct inode *inode, struct blob *content)
{
	unsigned at;

	pthread_mutex_lock(&fs->table_lock);
	if (inode->content == NULL) {
		at = fs->next_recent++ % RECENT;
		if (fs->recent[at] != NULL)
			forget_content(fs, fs->recent[at]);
		fs->recent[at] = inode;
		inode->content = blob_ref(content);
		inode->size = blob_size(content);
		inode->epoch = fs->epoch;
	}
	pthread_mutex_unlock(&fs->table_lock);
}

void inode_forget_contents(struct fs *fs)
{
	fs->epoch++;
	pthread_mutex_lock(&fs->table_lock);
	for (size_t i = 0; i < RECENT; i++)
		if (fs->recent[i] != NULL)
			forget_content(fs, fs->recent[i]);
	pthread_mutex_unlock(&fs->table_lock);
}
