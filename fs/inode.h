/*
 * inode: the files and folders of a mount, as the kernel knows them by number.
 *
 * What a regular file's bytes are, the first of these that there is:
 *
 *	staged	  what writers have written; nobody has judged it yet (or it was refused
 *		  and its writer still has it open)
 *	judging	  what was staged when the saver took it; nobody writes to it any more
 *	shown	  accepted bytes as they were written (documents and sidecars)
 *	the model's: elements, or the rendering of a document or a sidecar
 *
 *	          write, truncate          close, fsync
 *	model's ------------------> staged ------------> judging
 *	   ^                        ^   ^                 |   |
 *	   |       write (on top)   |   |  refused, and a |   |
 *	   |                        |   |  writer has it  |   |
 *	   |                        |   +----------------- --+
 *	   +------------------------+-------- accepted ---+
 *	   +------- refused, no writer left (the bytes go to rejected/)
 *
 * A scratch file has nothing but `staged`. A file that loses its name while open becomes
 * scratch without a name and keeps its bytes. A scratch file becomes a file of
 * the model when its bytes are accepted under a name of the model (or as one half of a
 * new tensor), and keeps its number.
 */
#ifndef WEIGHTFS_FS_INODE_H
#define WEIGHTFS_FS_INODE_H

#include "fs/fs.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct blob;
struct error;
struct node;
struct text;

enum inode_kind {
	INODE_FOLDER, /* of the model (node) or scratch */
	INODE_BIN,
	INODE_SIDECAR,
	INODE_DOCUMENT,
	INODE_LINK, /* of the model or scratch */
	INODE_FILE, /* scratch */
	INODE_TEXT, /* made when it is read: info.json, errors.log */
};

enum inode_flags {
	INODE_GONE = 1, /* has no name any more */
	INODE_LEFTOVER =
		2,	/* scratch that was a sidecar: the rest of a removal or move */
	INODE_KEPT = 4, /* of .weightfs/rejected/: cannot be changed */
	INODE_MADE = 8, /* a scratch folder that mkdir made */
};

/* What a file has beside the bytes of the model; most have none. */
struct desk {
	struct blob *staged, *judging, *shown; /* references */
	struct blob *base; /* what a document showed when it was opened for writing */
	bool writable;	   /* `staged` is an overlay of ours alone */
	bool computed;	   /* `staged` reads through to what only the model can compute */
	bool dirty;	   /* written since it was last judged */
	bool emptied;	   /* cut to nothing (or new) and not written since */
	bool written;	   /* somebody wrote bytes: not only cut, moved or left over */
	bool merged;	   /* `shown` lacks what another view brought meanwhile */
	bool waiting;	   /* closed; its sidecar (or elements) is being written too */
	unsigned layers;   /* overlays over each other, at most */
	int verdict; /* of what is staged and no longer dirty: 0 or a negative errno */
	char *said;  /* the line that the log has of that state, or NULL: refuse_say() */
	bool timed;  /* has times of its own */
	struct timespec mtime, atime, old_mtime;
	mode_t mode;  /* scratch */
	char *target; /* of a scratch link */
};

/* A name in a folder that the tree does not have: of a scratch file, or of
 * nothing (a file of the model that was removed without a change of the container). */
struct entry {
	struct entry *next;
	struct inode *folder; /* has it in its `entries` */
	struct inode *inode;  /* NULL: nothing is at this name */
	uint32_t hash;
	char name[];
};

struct inode {
	struct inode *next_ino, *next_key;
	fs_ino ino;
	uint64_t key; /* of the node and its file (inode_key); 0: none */
	struct node *node;
	uint64_t lookups; /* the kernel's; table_lock, as handles */
	uint32_t handles, writers;
	uint32_t pins;	/* jobs that have it */
	uint32_t epoch; /* of `size` */
	uint8_t kind, flags;
	bool stale;	      /* what the kernel has cached is void; table_lock */
	uint64_t size;	      /* of a rendering */
	struct blob *content; /* kept for the next read; table_lock */
	struct desk *desk;
	struct entry *entry;   /* the name of a scratch inode */
	struct entry *entries; /* of a folder */
};

struct inode_table {
	struct inode **by_ino, **by_key;
	size_t size, n;
};

int inode_table_new(struct inode_table *table);
void inode_table_free(struct fs *fs);

/* The inode of that number, or NULL. With fs->lock. */
struct inode *inode_find(struct fs *fs, fs_ino ino);
/* The inode of a node's file, if it is known; or also made. With fs->lock. */
struct inode *inode_of(struct fs *fs, const struct node *node, enum inode_kind kind);
int inode_make(
	struct fs *fs, struct node *node, enum inode_kind kind, struct inode **out);
/* The number that a node's file has unless it began as scratch. */
fs_ino inode_number(const struct node *node, enum inode_kind kind);
/* A new scratch inode (or another without a node). With fs->lock, exclusively. */
int inode_new(struct fs *fs, enum inode_kind kind, mode_t mode, struct inode **out);
/* Makes the inode the one of a node's file; who was it before is it no more (INODE_GONE).
 * Exclusively. */
void inode_become(
	struct fs *fs, struct inode *inode, struct node *node, enum inode_kind kind);
/* The inode is no longer a node's. A file becomes scratch with the bytes that
 * `bytes` has (taken; NULL: none). Exclusively. */
void inode_detach(struct fs *fs, struct inode *inode, struct blob *bytes);
/* Frees it if nobody can ask for it again. Exclusively. */
void inode_drop(struct fs *fs, struct inode *inode);
/* The desk, made where there is none. Exclusively. NULL without memory. */
struct desk *inode_desk(struct inode *inode);
/* Another is told the time of a write. */
void desk_touch(struct desk *desk);

/* Calls `fn` for every inode. `fn` may not add or drop inodes. */
void inode_each(struct fs *fs, void (*fn)(struct fs *fs, struct inode *inode, void *arg),
	void *arg);
/* Keeps a content for the next read; the oldest one that is kept goes. */
void inode_keep_content(struct fs *fs, struct inode *inode, struct blob *content);
/* All that was cached of renderings and contents is void. Exclusively. */
void inode_forget_contents(struct fs *fs);

/* The bytes as a reader sees them; as the model and accepted saves have them, without
 * what is staged. References. With fs->lock, or in the saver for the second. */
int inode_content(
	struct fs *fs, struct inode *inode, struct blob **out, struct error *err);
int inode_accepted(
	struct fs *fs, struct inode *inode, struct blob **out, struct error *err);
/* What the model alone says, made anew: for a node's file that may have no inode. */
int inode_render(struct fs *fs, struct node *node, enum inode_kind kind,
	struct blob **out, struct error *err);
/* Whether a file has lost its name and, as nobody had it open, its bytes. Whatever is
 * asked of it is answered with ESTALE: then the kernel looks its name up again. */
bool inode_lost(const struct inode *inode);
/* Whether bytes can only be computed by the model that made them. */
bool inode_computed(struct blob *bytes);
const char *inode_target(const struct inode *link);
/* A copy of its own, in memory or spilled. */
int inode_copy(struct fs *fs, struct blob *bytes, struct blob **out, struct error *err);
int inode_stat(struct fs *fs, struct inode *inode, struct stat *out);
/* An overlay to write to over what the file has (or over nothing). Exclusively. */
int inode_stage(struct fs *fs, struct inode *inode, bool empty, struct error *err);

/* Appends the path from the root of the mount. */
void inode_path(struct inode *inode, struct text *out);
/* Appends the path of a name in a folder. */
void inode_path_of(struct inode *folder, const char *name, struct text *out);

/* Names that the tree does not have. Exclusively, but for the first. */
struct entry *entry_find(const struct inode *folder, const char *name);
/* Sets what is at a name: an inode (which takes it for its name), or nothing. */
int entry_set(struct fs *fs, struct inode *folder, const char *name, struct inode *inode);
/* The tree says again what is at this name. NULL is allowed. */
void entry_remove(struct entry *entry);

#endif
