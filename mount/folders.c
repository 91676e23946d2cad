/*
 * folders: a handful of folder snapshots that wait for their reader's next call.
 */
#include "mount/folders.h"
#include "fs/fs.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define SLOTS 16

struct slot {
	fs_ino ino; /* 0: free */
	off_t off;
	uint64_t handle;
};

struct folder_cache {
	struct fs *fs;
	pthread_mutex_t lock;
	unsigned oldest; /* the slot that is given up next */
	struct slot slots[SLOTS];
};

int folders_new(struct folder_cache **out, struct fs *fs)
{
	struct folder_cache *folders = calloc(1, sizeof(*folders));
	if (!folders)
		return -ENOMEM;
	folders->fs = fs;
	pthread_mutex_init(&folders->lock, NULL);
	*out = folders;
	return 0;
}

void folders_free(struct folder_cache **folders)
{
	if (!*folders)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		if ((*folders)->slots[i].ino)
			fs_releasedir((*folders)->fs, (*folders)->slots[i].handle);
	pthread_mutex_destroy(&(*folders)->lock);
	free(*folders);
	*folders = NULL;
}

static bool take_slot(
	struct folder_cache *folders, fs_ino ino, off_t off, uint64_t *handle)
{
	bool found = false;
	pthread_mutex_lock(&folders->lock);
	for (size_t i = 0; i < SLOTS && !found; i++) {
		struct slot *slot = &folders->slots[i];
		if (slot->ino != ino || slot->off != off)
			continue;
		*handle = slot->handle;
		slot->ino = 0;
		found = true;
	}
	pthread_mutex_unlock(&folders->lock);
	return found;
}

int folders_take(struct folder_cache *folders, fs_ino ino, off_t off, uint64_t *handle)
{
	if (off && take_slot(folders, ino, off, handle))
		return 0;
	return fs_opendir(folders->fs, ino, handle);
}

void folders_give(struct folder_cache *folders, fs_ino ino, off_t off, uint64_t handle)
{
	struct slot old = {.ino = ino, .handle = handle};
	if (off) {
		pthread_mutex_lock(&folders->lock);
		struct slot *slot = &folders->slots[folders->oldest++ % SLOTS];
		old = *slot;
		*slot = (struct slot){ino, off, handle};
		pthread_mutex_unlock(&folders->lock);
	}
	if (old.ino)
		fs_releasedir(folders->fs, old.handle);
}
