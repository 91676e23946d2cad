/*
 * container: the model file on disk: opened, locked, watched, recovered, and
 * replaced or patched by a commit. The only place that writes it.
 *
 * See the numbered invariants at the top of commit.c.
 */
#ifndef WEIGHTFS_FS_CONTAINER_H
#define WEIGHTFS_FS_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct confine;
struct error;
struct plan;
struct source;

enum commit_mode { COMMIT_AUTO, COMMIT_REWRITE, COMMIT_PATCH };

/* An edit that would copy more than this into a new file moves it in place instead, where
 * the file system can. */
#define SHIFT_FROM ((uint64_t)1 << 30)

struct container_options {
	bool readonly;
	enum commit_mode mode;
	const char *journal_dir; /* -o journal=DIR, or NULL: beside the container */
	uint64_t shift_from;	 /* 0: SHIFT_FROM. For tests */
	bool keeps; /* edits that cannot be committed will be kept (keep.h) */
	struct confine *confine; /* entered while opening; borrowed for the call. Or NULL
				  */
};

struct container;

/*
 * Opens the model file. Symbolic links are followed: the file they name is what commits
 * replace. For writing: takes the lock (an OFD write lock on one byte at 2^62), for which
 * it waits some seconds where the holder is not mounted, looks at the path again, removes
 * a leftover `.weightfs-<hash>.new` and `.tmp`, replays a whole journal. -EBUSY with the
 * pid and mount point of the holder where another weightfs has it ("in use by weightfs
 * (process N, mounted at MNT)"). Where it may not be written (permissions, a read-only
 * file system, a journal that does not fit, ...) it opens for reading and
 * container_readonly() says why. With `readonly` nothing is ever written: a journal is
 * laid over what is read.
 */
int container_open(struct container **out, const char *path,
	const struct container_options *options, struct error *err);
void container_close(struct container **container);

/* The bytes as they are now; the container's own reference. Another one after each commit
 * or reload. */
struct source *container_source(struct container *container);
/* Why it cannot be written, or NULL. */
const char *container_readonly(const struct container *container);
/* Absolute path of the file itself (links resolved), its name, the folder's descriptor.
 */
const char *container_path(const struct container *container);
const char *container_name(const struct container *container);
int container_folder(const struct container *container);
/* The folder that keep_state_folder() opened while that could be done, or -1. */
int container_state(const struct container *container);
/* The descriptor of a folder for temporary files: beside the container, or where the
 * journal goes, since the first may not be writable. */
int container_spills(const struct container *container);
/* stat of the file as of the last open, commit or reload; "patch", "patch, shift",
 * "rewrite" or "read-only" for info.json. */
const struct stat *container_stat(const struct container *container);
const char *container_how(const struct container *container);
/* Writes the mount point into the lock's owner record so that a second mount can name it.
 * Best effort. */
void container_announce(struct container *container, const char *mountpoint);

/*
 * Whether somebody else changed it since (device, inode, size, mtime of the path and of
 * what is open): 0 no, 1 yes, negative errno
 * (-ENOENT: gone). Costs two stat calls. container_watch() gives a descriptor that polls
 * readable when something happens in the folder (inotify), -1 where that cannot be had;
 * container_watched() drains it.
 */
int container_changed(struct container *container, struct error *err);
int container_watch(struct container *container);
void container_watched(struct container *container);
/* Opens what is there now (after container_changed said 1) for a fresh decode. The old
 * source stays valid for who holds it. */
int container_reload(struct container *container, struct error *err);

/* What a commit asks of its caller. */
struct commit_ops {
	/* Decodes the outcome and compares it with the edited tree. Called before
	 * anything irrevocable; a failure ends the commit and leaves the container as it
	 * was. For a patch the outcome is the plan's; for a rewrite the new file, after
	 * its fsync. */
	int (*verify)(void *arg, struct source *outcome, struct error *err);
	/* From here to leave() nobody may read the container. For a patch: bytes that
	 * others still hold must be saved now (for each changed range of the old source).
	 * A failure ends the commit. */
	int (*enter)(void *arg, const struct plan *plan, bool patch, struct error *err);
	/* The switch is over (code 0: `now` is the new source, borrowed; else the old
	 * state stands). Called exactly once after an enter() that returned 0. */
	void (*leave)(void *arg, int code, struct source *now);
};

/*
 * Makes the plan's outcome the container, durably, or leaves it as it was (DESIGN part
 * 4). `plan` is for container_source(). -ESTALE when somebody else changed the container;
 * -ENOSPC, -EIO, -EROFS, -EBUSY. A patch that fails after its journal was durable: the
 * edit is made (0 is returned), the container turns read-only and container_readonly()
 * says what to do. Called by one thread at a time.
 */
int container_commit(struct container *container, struct plan *plan,
	const struct commit_ops *ops, void *arg, struct error *err);

/* `weightfs --recover MODEL`: 0 and what was done in one line in `text` ("nothing to
 * recover", "edit completed", ...), or negative. */
int container_recover(const char *path, const struct container_options *options,
	char *text, size_t size, struct error *err);

#endif
