/*
 * held: bytes of the container that somebody holds besides it (DESIGN 2.9) are saved
 * before they are patched over. Exclusively, all of it.
 */
#ifndef WEIGHTFS_FS_HELD_H
#define WEIGHTFS_FS_HELD_H

#include <stdbool.h>

struct error;
struct fs;
struct plan;
struct source;

/* Saves what the plan writes over, of each version of the file that is known. */
int held_save(struct fs *fs, const struct plan *plan, struct error *err);
/* Saves what only the present model can compute: it is about to go. */
int held_save_computed(struct fs *fs, struct error *err);
/* A source (taken) that blobs may still read from, while its file is the container. */
void held_keep(struct fs *fs, struct source *source);
/* Forgets the sources that nobody reads from any more; or all of them, when another
 * file has become the container. */
void held_drop(struct fs *fs, bool all);

#endif
