/*
 * pending: edits that wait to be committed. In the saver's thread, without the lock.
 */
#ifndef WEIGHTFS_FS_PENDING_H
#define WEIGHTFS_FS_PENDING_H

struct error;
struct fs;

/* Commits all that is pending. What the format refuses is taken back, logged, and
 * kept, the newest first, until the rest can be committed. */
int pending_commit(struct fs *fs, struct error *err);
/* Takes all that is pending back; it is logged and kept. */
void pending_give_up(struct fs *fs, const struct error *err);
/* Names that were removed without a meaning for the container are there again.
 * -EOPNOTSUPP, logged, where some were of tensors that the format cannot remove. */
int pending_bring_back(struct fs *fs, struct error *err);
/* After a while without removals: commits them, and the same. */
void pending_quiet(struct fs *fs);
/* Inodes whose nodes have been taken back lose them. Exclusively. */
void pending_forget_lost(struct fs *fs);

#endif
