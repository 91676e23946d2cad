/*
 * remove: names that go. In the saver's thread, or, for what is scratch and nothing else,
 * at once.
 */
#ifndef WEIGHTFS_FS_REMOVE_H
#define WEIGHTFS_FS_REMOVE_H

#include <stdbool.h>

struct blob;
struct error;
struct fs;
struct inode;
struct node;
struct place;

/* Whether the place's tensor is removed and renamed by this file: its .bin, or the .json
 * of one that has no other. */
bool remove_is_main(const struct place *place);
/* May the tree's node be removed? -EOPNOTSUPP with the reason. */
int remove_check(struct fs *fs, struct node *node, struct error *err);
/*
 * The tensor leaves the tree; its sidecar stays at its name as a scratch file, its
 * main file's inode (if there is one) becomes scratch without a name and has its bytes
 * where somebody may read them still. In the saver, without the lock.
 */
int remove_tensor(struct fs *fs, const struct place *place, struct error *err);
/* The same for a tensor whose .bin is hidden, since it was unlinked when something stood
 * in the way; and for a document that was unlinked. -EOPNOTSUPP with the reason where it
 * still does. */
int remove_hidden(struct fs *fs, struct node *node, struct error *err);
/* What the sidecar says becomes a scratch file at its old name; `bytes` is
 * taken. Exclusively. */
int remove_leave_sidecar(struct fs *fs, struct node *node, struct inode *folder,
	const char *name, struct blob **bytes);
/* The folder at the place goes, if nothing can be seen in it. In the saver. */
int remove_folder(struct fs *fs, const struct place *place, struct error *err);

#endif
