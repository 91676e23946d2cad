/*
 * notify: tells the kernel what it must not believe any longer, from threads of its own.
 *
 * The hard idea is the order that cannot deadlock. Inodes and answers go through one
 * thread: an answer to a FLUSH, FSYNC, RELEASE, UNLINK or RENAME comes after the inodes
 * that it made stale, so that whoever was answered sees the new bytes. An inode's
 * notification waits at most for the end of a WRITE, a READ or a SETATTR of that inode,
 * and these are never answered from here. Entries go through another thread: their
 * notification waits for the parent's lock, which requests hold that the first thread
 * answers.
 */
#ifndef WEIGHTFS_FS_NOTIFY_H
#define WEIGHTFS_FS_NOTIFY_H

#include "fs/fs.h"
#include <pthread.h>
#include <stdbool.h>

struct notice {
	struct notice *next;
	fs_ino ino; /* 0: an answer alone */
	struct fs_done *done;
	int result;
	char name[]; /* of an entry */
};

struct notice_queue {
	struct notice *first, **last;
	bool busy, stop;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct notifier *notifier;
	pthread_t thread;
	bool running;
};

struct notifier {
	pthread_rwlock_t lock; /* of `notify` */
	struct fs_notify notify;
	struct notice_queue inodes, entries;
};

int notifier_start(struct notifier *notifier);
/* Does what is queued, then ends. */
void notifier_stop(struct notifier *notifier);
/* Afterwards nobody is inside a function of the one before. NULL: nobody is told. */
void notifier_set(struct notifier *notifier, const struct fs_notify *notify);

/* None of these waits. Without memory a notification is lost (an answer is not). */
void notify_inode(struct notifier *notifier, fs_ino ino);
void notify_entry(struct notifier *notifier, fs_ino parent, const char *name);
/* Answers after all inodes that were queued before. NULL is allowed. */
void notify_done(struct notifier *notifier, struct fs_done *done, int result);
/* Waits until all that is queued has been done. Not from a callback. */
void notify_wait(struct notifier *notifier);

#endif
