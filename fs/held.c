/*
 * held: what else than the container still needs its old bytes: staged overlays, scratch
 * copies, refused bytes.
 */
#include "fs/held.h"
#include "decoders/base/blob.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "fs/fs_private.h"
#include "fs/inode.h"
#include <errno.h>
#include <stdlib.h>

struct saving {
	const struct plan *plan;
	struct source *source;
	int rc;
	struct error *err;
};

static void save_blob(struct fs *fs, struct saving *saving, struct blob **blob)
{
	for (size_t i = 0; saving->rc == 0 && i < plan_count(saving->plan); i++) {
		const struct region *region = plan_region(saving->plan, i);

		if (region->kind != REGION_OLD || region->old_off != region->off)
			saving->rc = blob_save(blob, saving->source, region->off,
				region->len, &fs->pool, saving->err);
	}
}

static void save_held(struct fs *fs, struct inode *inode, void *arg)
{
	if (inode->desk != NULL && inode->desk->staged != NULL)
		save_blob(fs, arg, &inode->desk->staged);
}

static int save_all_of(struct fs *fs, struct saving *saving)
{
	inode_each(fs, save_held, saving);
	return saving->rc;
}

int held_save(struct fs *fs, const struct plan *plan, struct error *err)
{
	struct saving saving = {.plan = plan, .source = fs->handle, .err = err};
	int rc = save_all_of(fs, &saving);

	for (struct held_source *held = fs->held; rc == 0 && held != NULL;
		held = held->next) {
		saving.source = held->source;
		rc = save_all_of(fs, &saving);
	}
	return rc;
}

/* Makes what is staged independent of the model that computes its base. */
static void save_computed(struct fs *fs, struct inode *inode, void *arg)
{
	struct saving *saving = arg;
	struct desk *desk = inode->desk;
	AUTO_BLOB *copy = NULL;

	if (saving->rc < 0 || desk == NULL || desk->staged == NULL || !desk->computed)
		return;
	saving->rc = inode_copy(fs, desk->staged, &copy, saving->err);
	if (saving->rc < 0)
		return;
	blob_unref(&desk->staged);
	desk->staged = blob_ref(copy);
	desk->writable = true;
	desk->computed = false;
}

int held_save_computed(struct fs *fs, struct error *err)
{
	struct saving saving = {.err = err};

	inode_each(fs, save_computed, &saving);
	return saving.rc;
}

void held_drop(struct fs *fs, bool all)
{
	struct held_source **at = &fs->held, *held;

	while ((held = *at) != NULL) {
		if (!all && __atomic_load_n(&held->source->refs, __ATOMIC_ACQUIRE) > 1) {
			at = &held->next;
			continue;
		}
		*at = held->next;
		source_unref(&held->source);
		free(held);
	}
}

void held_keep(struct fs *fs, struct source *source)
{
	struct held_source *held = malloc(sizeof *held);

	if (held == NULL) { /* rather keep too little than fail: reads of copies may then
			       see newer bytes */
		source_unref(&source);
		return;
	}
	*held = (struct held_source){fs->held, source};
	fs->held = held;
}
