/*
 * control: the hidden folder .weightfs/: info.json, errors.log, rejected/, and the
 * documents in one piece that the tree has there.
 */
#ifndef WEIGHTFS_FS_CONTROL_H
#define WEIGHTFS_FS_CONTROL_H

#include <sys/types.h>

struct fs;
struct inode;
struct text;

#define CONTROL_NAME ".weightfs"

/* Makes the folder and what is in it; once, at the start. */
int control_new(struct fs *fs);
/* The tree has been replaced: its hidden folder is found again. Exclusively. */
void control_bind(struct fs *fs);
/* Appends what a made file says now. With fs->lock. */
int control_text(struct fs *fs, struct inode *inode, struct text *out);
off_t control_size(struct fs *fs, struct inode *inode);

#endif
