/*
 * entry: names in folders that the tree does not have, and paths.
 */
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "fs/fs_private.h"
#include "fs/inode.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t hash_of(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return hash;
}

struct entry *entry_find(const struct inode *folder, const char *name)
{
	struct entry *entry = folder->entries;
	uint32_t hash = entry != NULL ? hash_of(name) : 0;

	while (entry != NULL && (entry->hash != hash || strcmp(entry->name, name) != 0))
		entry = entry->next;
	return entry;
}

int entry_set(struct fs *fs, struct inode *folder, const char *name, struct inode *inode)
{
	struct entry *entry = entry_find(folder, name);
	size_t len = strlen(name);
	struct inode *before;

	if (entry == NULL) {
		entry = malloc(sizeof *entry + len + 1);
		if (entry == NULL)
			return -ENOMEM;
		*entry = (struct entry){
			.next = folder->entries, .folder = folder, .hash = hash_of(name)};
		memcpy(entry->name, name, len + 1);
		folder->entries = entry;
	}
	before = entry->inode;
	fs->absent |= inode == NULL;
	if (inode != NULL && inode->entry != NULL && inode->entry != entry)
		entry_remove(inode->entry);
	entry->inode = inode;
	if (inode != NULL) {
		inode->entry = entry;
		inode->flags &= (uint8_t)~INODE_GONE;
	}
	if (before != NULL && before != inode) {
		before->entry = NULL;
		before->flags |= INODE_GONE;
		inode_drop(fs, before);
	}
	return 0;
}

void entry_remove(struct entry *entry)
{
	struct entry **at;

	if (entry == NULL)
		return;
	at = &entry->folder->entries;
	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
	if (entry->inode != NULL)
		entry->inode->entry = NULL;
	free(entry);
}

void inode_path_of(struct inode *folder, const char *name, struct text *out)
{
	AUTO_TEXT path = {0};

	text_puts(&path, name);
	while (folder->node == NULL && folder->entry != NULL) {
		text_splice(&path, 0, 0, "/", 1);
		text_splice(
			&path, 0, 0, folder->entry->name, strlen(folder->entry->name));
		folder = folder->entry->folder;
	}
	if (folder->node != NULL && folder->node->parent != NULL) {
		tree_path(folder->node, out);
		text_putc(out, '/');
	}
	text_put(out, path.bytes, path.len);
}

void inode_path(struct inode *inode, struct text *out)
{
	if (inode->entry != NULL) {
		inode_path_of(inode->entry->folder, inode->entry->name, out);
		return;
	}
	if (inode->node == NULL)
		return;
	tree_path(inode->node, out);
	if (inode->kind == INODE_BIN)
		text_puts(out, ".bin");
	if (inode->kind == INODE_SIDECAR)
		text_puts(out, ".json");
}
