/*
 * place: what is at a name in a folder: the model's file (or what was one),
 * a scratch file over it, or nothing.
 */
#ifndef WEIGHTFS_FS_PLACE_H
#define WEIGHTFS_FS_PLACE_H

#include "fs/inode.h"
#include <stdbool.h>
#include <stddef.h>

struct error;
struct fs;
struct text;

struct place {
	struct inode *folder;
	const char *name;    /* borrowed */
	struct entry *entry; /* rules over the model's file where there is one */
	struct node *node;   /* the model's, also where it cannot be seen; or NULL */
	enum inode_kind kind;
	bool removed; /* `node` is a tensor whose removal is not yet committed */
};

/* Looks the name up. With fs->lock or in the saver. 0 also where nothing is found;
 * -EIO where a folder cannot be read. */
int place_find(struct fs *fs, struct inode *folder, const char *name, struct place *out,
	struct error *err);
/* Whether a reader sees something there. */
bool place_visible(const struct place *place);
/* The inode that a reader sees there, made if need be; -ENOENT. */
int place_inode(struct fs *fs, const struct place *place, struct inode **out);
/* The same place for the other file of the same tensor. */
int place_sibling(struct fs *fs, const struct place *place, struct text *name,
	struct place *out, struct error *err);

/* Splits NAME.bin and NAME.json: the stem's length, or 0 for another name. */
size_t place_stem(const char *name, enum inode_kind *kind);
/* Whether a tensor may be added in the folder: it grows, or is scratch with
 * canonical names below one that does. *above (may be NULL) is that one. */
bool place_grows(struct fs *fs, struct inode *folder, struct inode **above);
/* Whether a name can be one of a tensor's files here (place_grows and canonical). */
bool place_half(struct fs *fs, struct inode *folder, const char *name);
/* Whether a document of that name, which is not there, might be added here: it is no
 * tensor's, and the format adds some. Then check() says. */
bool place_document(struct fs *fs, struct inode *folder, const char *name);
/* Whether nothing can be seen in the folder. */
bool place_empty(struct fs *fs, struct inode *folder);

#endif
