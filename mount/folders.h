/*
 * folders: open folders for a kernel that does not open them.
 *
 * In a read-only mount OPENDIR is answered with ENOSYS, and READDIR comes without a
 * handle, a piece at a time. The snapshot that a piece was read from waits here for the
 * next one; the few slots are the readers that may be at work at once.
 */
#ifndef WEIGHTFS_MOUNT_FOLDERS_H
#define WEIGHTFS_MOUNT_FOLDERS_H

#include "fs/fs.h"
#include <stdint.h>
#include <sys/types.h>

struct folder_cache;

/* `fs` is borrowed. 0 or -ENOMEM. */
int folders_new(struct folder_cache **out, struct fs *fs);
void folders_free(struct folder_cache **folders);

/* The snapshot whose reader stopped at `off`, else a new one; the caller's until it gives
 * it back. What fs_opendir() says. */
int folders_take(struct folder_cache *folders, fs_ino ino, off_t off, uint64_t *handle);
/* Gives it back for a reader that goes on at `off`; 0: it is not needed any more. */
void folders_give(struct folder_cache *folders, fs_ino ino, off_t off, uint64_t handle);

#endif
