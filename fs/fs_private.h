/*
 * fs_private: what the files of fs/ that make up a mounted model share.
 *
 * Who may touch what (the whole of the locking):
 *
 *   fs->lock, a read-write lock that prefers writers. Held shared: look-ups, reads,
 *   attributes. Held exclusively, and shortly: every change of the tree, of an
 *   inode's desk, of names, of the model. Never held while waiting for the saver, for the
 *   kernel, or while a text is parsed or a container written (but for the moment of the
 *   switch, in commits.c).
 *
 *   The saver's thread alone changes the tree and the model. So it reads the tree and
 *   judges edits without a lock, and takes the lock exclusively for each change. All
 *   that must be judged is queued to it, and runs in the order in which it was asked.
 *
 *   fs->table_lock, a mutex inside fs->lock: the table of inodes, look-up counts,
 *   counts of open handles, cached renderings: what changes while fs->lock is shared.
 *
 *   A model's own lock (model.h) comes last and is taken by the model_ functions.
 *
 * The kernel is told of changes by threads of their own (notify.h).
 */
#ifndef WEIGHTFS_FS_FS_PRIVATE_H
#define WEIGHTFS_FS_FS_PRIVATE_H

#include "decoders/base/spill.h"
#include "decoders/base/text.h"
#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/notify.h"
#include "fs/saver.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define RECENT 16 /* contents that are kept for the next read */

/* Bytes that were refused; in .weightfs/rejected/, and kept at the end unless a later
 * save of the same path went well. */
struct refused {
	struct refused *next;
	char *path;
	struct inode *inode; /* in .weightfs/rejected/, which never goes */
	bool made_up_for;
};

/* A backing of blobs that are still held, of the file that the container is now. */
struct held_source {
	struct held_source *next;
	struct source *source;
};

struct fs {
	struct fs_options options; /* its strings are owned */
	struct container *container;
	struct source *handle; /* what the model was decoded from */
	struct model *model;
	struct held_source *held; /* older handles over the same file */
	char *readonly;		  /* why; NULL: it can be written */
	bool lost; /* the container is another and could not be decoded: no commits */

	pthread_rwlock_t lock;
	pthread_mutex_t table_lock;
	struct inode_table inodes;
	bool absent; /* a name of the tree was taken away (entry_set), and may stand there
		      */
	struct inode *recent[RECENT]; /* have `content` */
	unsigned next_recent;
	uint32_t epoch; /* changes with every edit: cached sizes of older ones are void */
	uint32_t last_id;      /* of nodes, over all trees */
	uint64_t last_scratch; /* number of the last inode that was made up */
	struct inode *root, *control, *info, *log_file, *rejected;
	struct stat base;	    /* the container at mounting: owner, mode, times */
	struct spill_pool pool;	    /* of staged bytes and scratch files */
	struct spill_pool encoding; /* of what encoders write by the way */

	/* The log and the refused bytes: under fs->lock. */
	struct text log;
	unsigned refusals;
	unsigned asked; /* of these when a rename with RENAME_NOREPLACE was refused */
	struct refused *refused;

	struct notifier notifier;
	struct saver saver;
	bool finished;
};

/* fs.c: shared and exclusive use of fs->lock. */
void fs_share(struct fs *fs);
void fs_own(struct fs *fs);
void fs_unlock(struct fs *fs);
/* Why nothing can be written now, or NULL. With the lock held. */
const char *fs_frozen(const struct fs *fs);
/* model_open() for a model of this mount. */
int fs_decode(struct fs *fs, struct source *source, const char *format,
	struct model **out, struct error *err);

#endif
