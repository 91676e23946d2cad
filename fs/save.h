/*
 * save: a closed file is judged, and what is accepted goes into the tree and, with
 * commit=close, into the container. All in the saver's thread.
 */
#ifndef WEIGHTFS_FS_SAVE_H
#define WEIGHTFS_FS_SAVE_H

struct fs;
struct inode;
struct job;
struct plan;
struct undo;

/* Jobs: flush and fsync; the last release; truncate by path (job->size, job->out). */
int save_flush(struct fs *fs, struct job *job);
int save_release(struct fs *fs, struct job *job);
int save_truncate(struct fs *fs, struct job *job);

/* For pair.c. Exclusively: what is staged is frozen to be judged; is put back with what
 * was said about it; or is accepted: the inode is one of the model's by then. */
void save_freeze(struct inode *inode);
void save_put_back(struct inode *inode, int verdict);
void save_settle(struct fs *fs, struct inode *inode);
/* A state that stays staged was refused in `line` (taken), which takes the place of what
 * was said before; and the line stands, whatever comes. Exclusively. */
void save_say(struct fs *fs, struct inode *inode, char **line);
void save_stand(struct inode *inode);
/* Writes what was judged (takes the plan), logs a failure. Not exclusively. */
int save_write(struct fs *fs, const char *path, struct undo *undo, struct plan **plan);

/* The last writer has gone: what a save brought is shown with what others brought while
 * its file was open. Exclusively. */
void save_done(struct fs *fs, struct inode *inode);

#endif
