/*
 * pair: scratch files that become files of the model: written anew at the name of
 * one, renamed over one, or the two halves of a new tensor. In the saver's thread.
 */
#ifndef WEIGHTFS_FS_PAIR_H
#define WEIGHTFS_FS_PAIR_H

#include <stdbool.h>

struct error;
struct fs;
struct inode;
struct place;

/* Judges a scratch file that was closed (`last`: by its last writer) at the name that it
 * has. 0 also where it is nothing of the model's, or waits for its other half. */
int pair_save(struct fs *fs, struct inode *inode, bool last);
/* The bytes of a scratch file, with whatever name, become what is at a place of the
 * model (place->node), and the inode that file's. Refused: nothing has changed. */
int pair_save_as(struct fs *fs, struct inode *inode, const struct place *place);
/* Scratch folders up to one of the model's become the model's too: what was made
 * with mkdir stays made. */
int pair_adopt_folder(struct fs *fs, struct inode *folder, struct error *err);
/* Tries all halves below a scratch folder that was moved. */
void pair_save_below(struct fs *fs, struct inode *folder);
/* Where a tensor's removal was taken back: what is left of its sidecar is that again.
 * Exclusively. */
void pair_restore_sidecar(struct fs *fs, const struct place *place);

#endif
