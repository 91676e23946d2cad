/*
 * keep: a folder on the disk for edits that are not in the container at the end:
 * MODEL.weightfs-rejected/ beside it, else below $XDG_STATE_HOME/weightfs or
 * ~/.local/state/weightfs; also for what the disk of the first has no room for.
 */
#ifndef WEIGHTFS_FS_KEEP_H
#define WEIGHTFS_FS_KEEP_H

#include "decoders/base/text.h"
#include <stdbool.h>

struct blob;
struct error;

/* {.container = ...}; the folder is made for the first file. */
struct keep {
	struct container *container;
	bool open, elsewhere;
	int folder;
	struct text name; /* of the folder, or "A and B" */
	int n;
};

/* Opens the folder in the user's state folder, made where it is missing: what a process
 * that will be confined does before. A descriptor or a negative errno. */
int keep_state_folder(void);
/* Writes a file at a path of the tree, durably; a number is added to a name that is
 * taken. */
int keep_blob(struct keep *keep, const char *path, struct blob *bytes, struct error *err);
/* Ends it: the number of files (or `code`, where that is negative); the folder's name
 * is appended to `folder`. */
int keep_done(struct keep *keep, int code, struct text *folder);

#endif
