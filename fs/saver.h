/*
 * saver: the thread that judges and commits. What has to wait for it is a job in
 * its queue; jobs run one by one in the order in which they came.
 */
#ifndef WEIGHTFS_FS_SAVER_H
#define WEIGHTFS_FS_SAVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct fs;
struct inode;

/* What is asked of the saver. Inodes are pinned while the job has them. */
struct job {
	struct job *next;
	/* 0 or a negative errno: the answer. */
	int (*run)(struct fs *fs, struct job *job);
	struct inode *inode, *other; /* what a name is in: the folder */
	char *name, *other_name;     /* owned */
	unsigned flags;
	uint64_t size;
	struct stat *out; /* SETATTR's */
	void *arg;
	struct fs_done *done;
	bool direct; /* answered before anybody is notified (notify.h: SETATTR) */
};

struct saver {
	pthread_t thread;
	bool running, stop;
	pthread_mutex_t lock;
	pthread_cond_t done; /* a job, for who waits */
	struct job *first, **last;
	int wake;	    /* eventfd */
	uint64_t quiet_at;  /* when deferred changes are committed, ns; 0: none are */
	uint64_t looked_at; /* when the container was last looked at in vain, ns */
	uint64_t looks, looks_done; /* reloads that were asked for and made */
};

int saver_start(struct fs *fs);
/* Runs what is queued, then ends the thread. NULL-safe before saver_start. */
void saver_stop(struct fs *fs);
/* Queues a copy of `job` (its strings are taken, on failure too) and pins its inodes.
 * -ENOMEM: nobody will answer but the caller. With fs->lock. */
int saver_ask(struct fs *fs, const struct job *job);
/* Runs a job and waits for it. Not in the saver, not with a lock. */
int saver_wait(struct fs *fs, int (*run)(struct fs *fs, struct job *job), void *arg);
/* A change was made that is committed after a while of quiet. */
void saver_defer(struct fs *fs);
/* Before a look-up or a read: if somebody else changed the container, waits a moment for
 * the saver to show the new one. */
void saver_look(struct fs *fs);

#endif
