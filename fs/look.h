/*
 * look: a model opened to be read without mounting it: a container, or a folder that has
 * such a tree as plain files (a mount, or a copy of one).
 */
#ifndef WEIGHTFS_FS_LOOK_H
#define WEIGHTFS_FS_LOOK_H

#include <stdbool.h>

struct container;
struct error;
struct fs_options;
struct model;

struct look {
	struct model *model;
	struct container *container; /* NULL: a folder */
	int folder;		     /* its descriptor plus 1; 0: a container */
};

/*
 * Opens `n` models, at most LOOKS_MAX. Of the options, the format, the folder of the
 * journal and `confine` count: that is entered once all is open that is opened by its
 * path, and before the first byte is read. On failure all are closed.
 */
#define LOOKS_MAX 2
int look_open(struct look *looks, const char *const *paths, unsigned n,
	const struct fs_options *options, struct error *err);
void look_close(struct look *look);
#define AUTO_LOOK __attribute__((cleanup(look_close))) struct look

/* unpacked.c: the model that a folder's files are. Its decoder's name is "folder". */
int unpacked_open(struct model **out, const char *path, struct error *err);

/* Whether a path of the tree is meant by a GLOB as people type it: the path of a layer or
 * a tensor, with or without `layers/` in front; a layer means all that is in it. NULL
 * means everything. */
bool look_meant(const char *glob, const char *path);

#endif
