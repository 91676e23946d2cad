/*
 * fs: a mounted model without FUSE: inodes, edits, scratch files, commits.
 *
 * mount/ translates the kernel's requests into these calls one by one; --get, --put and
 * --list use the same ones. All are thread-safe. Results are 0 (or a count) or a negative
 * errno; an edit that is refused explains itself in .weightfs/errors.log. Calls that may
 * wait for a commit take a struct fs_done and are answered through it, at once or from
 * the commit's thread, never under a lock: they never hold up a worker.
 */
#ifndef WEIGHTFS_FS_FS_H
#define WEIGHTFS_FS_FS_H

#include "fs/container.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct error;
struct fs;
struct model;
struct text;

typedef uint64_t fs_ino;
#define FS_ROOT 1

struct fs_options {
	bool readonly;
	bool commit_at_unmount;
	bool xattr;
	enum commit_mode commit_mode;
	const char *format;	 /* -o format=, or NULL */
	const char *journal_dir; /* or NULL */
	uint64_t shift_from;	 /* container_options' */
	uint64_t scratch_limit;	 /* bytes; 0: the default (a quarter of memory and 16 GiB
				    on disk at most) */
	struct confine *confine; /* see container_options; lives as long as the fs */
	const char *command;	 /* the program and its version, for info.json */
};

/* How the kernel is told that what it caches is no longer so. Called from a thread of its
 * own without any lock. `ino` alone: its attributes and data. Any may be NULL. */
struct fs_notify {
	void (*inode)(void *arg, fs_ino ino);
	void (*entry)(void *arg, fs_ino parent, const char *name);
	void *arg;
};

/* Where a call takes a struct fs_done, NULL means that nobody waits for the answer. */
struct fs_done {
	void (*fn)(struct fs_done *done,
		int result); /* called exactly once; may free `done` */
};

/* What was asked with an open file. `handle` numbers are fs's. */
struct fs_file {
	uint64_t handle;
	bool keep_cache; /* the kernel's cached pages are still right */
	bool direct;	 /* do not cache (.weightfs/errors.log and the like) */
};

int fs_open(struct fs **out, const char *model, const struct fs_options *options,
	struct error *err);
/* After this the kernel is told; before, nobody is. Copied. NULL: nobody again; no call
 * of the old one is under way any more when this returns. */
void fs_set_notify(struct fs *fs, const struct fs_notify *notify);
/* For messages and the lock's owner record. */
void fs_set_mountpoint(struct fs *fs, const char *mountpoint);
/* Why the mount is read-only, or NULL. */
const char *fs_readonly(struct fs *fs);
struct model *fs_model(struct fs *fs);
/*
 * Ends the session: what open handles had staged is judged, pending edits are committed,
 * what could not be is kept in MODEL.weightfs-rejected/ beside the container (else in the
 * user's state folder). 0 when all is in the container; else -EIO (or the commit's errno)
 * and the reason with the folder's name in `err`. The fs serves nothing more but
 * fs_free(). */
int fs_finish(struct fs *fs, struct error *err);
void fs_free(struct fs **fs);

/* All edits that can be committed now, are. For --unmount, sync MNT (fsyncdir), SIGTERM.
 */
void fs_sync(struct fs *fs, struct fs_done *done);
/* The number of edits refused so far, and the log's text appended. */
unsigned fs_refusals(struct fs *fs, struct text *out);

/* Names. Each success of lookup, create, mkdir, symlink and readdir with attributes
 * counts one look-up of the kernel, which forget() takes back. */
int fs_lookup(struct fs *fs, fs_ino parent, const char *name, struct stat *out);
void fs_forget(struct fs *fs, fs_ino ino, uint64_t n);
int fs_getattr(struct fs *fs, fs_ino ino, struct stat *out);
int fs_readlink(struct fs *fs, fs_ino ino, char *buf, size_t size);
int fs_statfs(struct fs *fs, struct statvfs *out);

/* Reading a folder: a handle is a snapshot of names. `fn` gets each entry from `off` on
 * and says 0 to go on; offsets count from 1. With `plus` the entry has been looked up
 * (all of stat), else only st_ino and the type are set. */
typedef int (*fs_entry_fn)(
	void *arg, const char *name, const struct stat *st, off_t next);
int fs_opendir(struct fs *fs, fs_ino ino, uint64_t *handle);
/* Whether the kernel may keep what it reads by this handle until it is told otherwise:
 * refused bytes are looked for just after the refusal, before that can have happened. */
bool fs_listing_lasts(uint64_t handle);
int fs_readdir(
	struct fs *fs, uint64_t handle, off_t off, bool plus, fs_entry_fn fn, void *arg);
void fs_releasedir(struct fs *fs, uint64_t handle);

/* Files. `flags` are open(2)'s; O_TRUNC is honoured here. `pid` owns the handle (0:
 * unknown), for messages. */
int fs_open_file(struct fs *fs, fs_ino ino, int flags, struct fs_file *out);
int fs_create(struct fs *fs, fs_ino parent, const char *name, mode_t mode, int flags,
	struct stat *st, struct fs_file *out);
ssize_t fs_read(
	struct fs *fs, fs_ino ino, uint64_t handle, void *buf, size_t len, uint64_t off);
ssize_t fs_write(struct fs *fs, fs_ino ino, uint64_t handle, const void *buf, size_t len,
	uint64_t off);
void fs_flush(struct fs *fs, fs_ino ino, uint64_t handle, struct fs_done *done);
void fs_fsync(struct fs *fs, fs_ino ino, uint64_t handle, struct fs_done *done);
void fs_release(struct fs *fs, fs_ino ino, uint64_t handle, struct fs_done *done);

enum fs_set {
	FS_SET_MODE = 1,
	FS_SET_UID = 2,
	FS_SET_GID = 4,
	FS_SET_SIZE = 8,
	FS_SET_ATIME = 16,
	FS_SET_MTIME = 32,
	FS_SET_ATIME_NOW = 64,
	FS_SET_MTIME_NOW = 128
};
/* `handle` 0: by path: a size is then judged at once. On success *out is filled before
 * done is called. */
void fs_setattr(struct fs *fs, fs_ino ino, uint64_t handle, const struct stat *in,
	unsigned set, struct stat *out, struct fs_done *done);

/* Structure. */
int fs_mkdir(
	struct fs *fs, fs_ino parent, const char *name, mode_t mode, struct stat *out);
int fs_symlink(struct fs *fs, fs_ino parent, const char *name, const char *target,
	struct stat *out);
/* These two wait for a commit that is under way; the removal itself is committed later
 * (DESIGN 2.1). */
void fs_unlink(struct fs *fs, fs_ino parent, const char *name, struct fs_done *done);
void fs_rmdir(struct fs *fs, fs_ino parent, const char *name, struct fs_done *done);
/* `flags`: 0, RENAME_NOREPLACE or RENAME_EXCHANGE. */
void fs_rename(struct fs *fs, fs_ino parent, const char *name, fs_ino new_parent,
	const char *new_name, unsigned flags, struct fs_done *done);

/* Extended attributes: user.weightfs.* with options.xattr; POSIX ACL and security.* ones
 * answer EOPNOTSUPP. `size` 0 asks for the size. */
ssize_t fs_getxattr(struct fs *fs, fs_ino ino, const char *name, char *buf, size_t size);
ssize_t fs_listxattr(struct fs *fs, fs_ino ino, char *buf, size_t size);

/* A path of the tree to an inode (for --get and --put): walks fs_lookup(). */
int fs_path(struct fs *fs, const char *path, struct stat *out);

#endif
