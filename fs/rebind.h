/*
 * rebind: a new model takes the place of the old one under the inodes.
 */
#ifndef WEIGHTFS_FS_REBIND_H
#define WEIGHTFS_FS_REBIND_H

#include <stdbool.h>

struct error;
struct fs;
struct model;
struct rebind;

/* All that needs memory or time: which node of the new model is which of the old
 * one, by path. Folders that were read in the old one are read in the new one. In the
 * saver, without the lock. The model stays the caller's. */
int rebind_new(
	struct rebind **out, struct fs *fs, struct model *model, struct error *err);
void rebind_free(struct rebind **rebind);
/*
 * The new model is the fs's from here on: nodes keep their numbers, inodes find
 * their new nodes; a folder that is no longer there stays, as scratch (of a change that
 * somebody else made, `foreign`: where something was made in it). The old model is the
 * caller's. Cannot fail. Exclusively.
 */
void rebind_run(struct rebind *rebind, struct fs *fs, bool foreign);
/* The kernel is told to believe nothing of what it knows. Exclusively. */
void rebind_tell_all(struct fs *fs);

#endif
