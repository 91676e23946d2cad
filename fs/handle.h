/*
 * handle: an open file. Its number outside is its address.
 */
#ifndef WEIGHTFS_FS_HANDLE_H
#define WEIGHTFS_FS_HANDLE_H

#include "decoders/base/text.h"
#include <stdbool.h>

struct fs;
struct inode;

struct handle {
	struct inode *inode;
	bool write;
	struct text text; /* of an INODE_TEXT, as it was when it was opened */
};

/* Whether closing or syncing the inode is the saver's business: something is staged that
 * may become part of the model. With fs->lock. */
bool handle_concerns(struct fs *fs, struct inode *inode);

#endif
