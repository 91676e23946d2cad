/*
 * fs: a mounted model is opened, told about, and freed.
 */
#include "fs/fs.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/source.h"
#include "fs/container.h"
#include "fs/control.h"
#include "fs/fs_private.h"
#include "fs/pending.h"
#include "fs/refuse.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define SCRATCH_ON_DISK (16ull << 30)
#define SCRATCH_IN_MEMORY (1ull << 30) /* at most, and a quarter of the memory */
#define ENCODING_IN_MEMORY (64u << 20)

void fs_share(struct fs *fs)
{
	(void)pthread_rwlock_rdlock(&fs->lock); /* fails only for who has it already */
}

void fs_own(struct fs *fs)
{
	(void)pthread_rwlock_wrlock(&fs->lock);
}

void fs_unlock(struct fs *fs)
{
	(void)pthread_rwlock_unlock(&fs->lock);
}

const char *fs_frozen(const struct fs *fs)
{
	const struct decoder *decoder = fs->model->decoder;

	if (container_readonly(fs->container) != NULL)
		return container_readonly(fs->container);
	if (fs->model->readonly != NULL)
		return fs->model->readonly;
	if (decoder->encode == NULL && (decoder->flags & DECODER_PATCHES) == 0)
		return "weightfs cannot write this format yet";
	return NULL;
}

const char *fs_readonly(struct fs *fs)
{
	const char *why;

	fs_share(fs);
	why = fs_frozen(fs);
	fs_unlock(fs);
	return why;
}

struct model *fs_model(struct fs *fs)
{
	return fs->model;
}

void fs_set_notify(struct fs *fs, const struct fs_notify *notify)
{
	notifier_set(&fs->notifier, notify);
}

void fs_set_mountpoint(struct fs *fs, const char *mountpoint)
{
	container_announce(fs->container, mountpoint);
}

/* Opening. */

int fs_decode(struct fs *fs, struct source *source, const char *format,
	struct model **out, struct error *err)
{
	int rc = model_open(out, source, format, err);

	if (rc == 0)
		(*out)->pool = &fs->encoding;
	return rc;
}

static char *copy_string(const char *s, bool *failed)
{
	char *copy = s != NULL ? strdup(s) : NULL;

	*failed = *failed || (s != NULL && copy == NULL);
	return copy;
}

static int copy_options(struct fs *fs, const struct fs_options *options)
{
	bool failed = false;

	fs->options = *options;
	fs->options.format = copy_string(options->format, &failed);
	fs->options.journal_dir = copy_string(options->journal_dir, &failed);
	fs->options.command = copy_string(options->command, &failed);
	return failed ? -ENOMEM : 0;
}

static int init_locks(struct fs *fs)
{
	pthread_rwlockattr_t attributes;
	int rc = pthread_rwlockattr_init(&attributes);

	/* Readers that come and come must not keep a writer out for ever. */
	if (rc == 0)
		rc = pthread_rwlockattr_setkind_np(
			&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	if (rc == 0)
		rc = pthread_rwlock_init(&fs->lock, &attributes);
	(void)pthread_rwlockattr_destroy(&attributes);
	if (rc == 0)
		rc = pthread_mutex_init(&fs->table_lock, NULL);
	return -rc;
}

/* Spilled bytes lie beside the container: there is no better guess where there is room
 * for a tensor. */
static void init_pool(struct fs *fs)
{
	struct spill_pool *pool = &fs->pool;
	struct sysinfo info;

	pool->in_memory = SCRATCH_IN_MEMORY;
	if (sysinfo(&info) == 0 && info.totalram / 4 * info.mem_unit < pool->in_memory)
		pool->in_memory = info.totalram / 4 * info.mem_unit;
	pool->limit = pool->in_memory + SCRATCH_ON_DISK;
	if (fs->options.scratch_limit != 0)
		pool->limit = fs->options.scratch_limit;
	if (pool->in_memory > pool->limit)
		pool->in_memory = pool->limit;
	if (fs_frozen(fs) == NULL)
		pool->dir = openat(container_spills(fs->container), ".",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fs->encoding = (struct spill_pool){
		.dir = pool->dir, .in_memory = ENCODING_IN_MEMORY, .limit = UINT64_MAX};
}

static int open_container(struct fs *fs, const char *path, struct error *err)
{
	struct container_options options = {.readonly = fs->options.readonly,
		.mode = fs->options.commit_mode,
		.journal_dir = fs->options.journal_dir,
		.shift_from = fs->options.shift_from,
		.keeps = true,
		.confine = fs->options.confine};
	int rc = container_open(&fs->container, path, &options, err);

	if (rc == 0)
		rc = source_handle(&fs->handle, container_source(fs->container), err);
	if (rc == 0)
		rc = fs_decode(fs, fs->handle, fs->options.format, &fs->model, err);
	return rc;
}

static int init_inodes(struct fs *fs)
{
	int rc = inode_table_new(&fs->inodes);

	fs->base = *container_stat(fs->container);
	fs->last_id = fs->model->tree->last_id;
	fs->epoch = 1;
	if (rc == 0)
		rc = inode_make(fs, fs->model->tree->root, INODE_FOLDER, &fs->root);
	return rc < 0 ? rc : control_new(fs);
}

static int start(struct fs *fs, struct error *err)
{
	int rc = init_inodes(fs);

	if (rc == 0) {
		init_pool(fs);
		rc = notifier_start(&fs->notifier);
	}
	if (rc == 0)
		rc = saver_start(fs);
	return rc < 0 ? error_set(err, -rc, "cannot start: %s", strerror(-rc)) : 0;
}

int fs_open(struct fs **out, const char *model, const struct fs_options *options,
	struct error *err)
{
	struct fs *fs = calloc(1, sizeof *fs);
	int rc = -ENOMEM;

	if (fs != NULL) {
		fs->pool.dir = fs->saver.wake = -1;
		rc = init_locks(fs);
	}
	if (rc == 0)
		rc = copy_options(fs, options);
	if (rc < 0) {
		free(fs);
		return error_set(err, ENOMEM, "not enough memory to open %s", model);
	}
	rc = open_container(fs, model, err);
	if (rc == 0)
		rc = start(fs, err);
	if (rc < 0)
		fs_free(&fs);
	else
		*out = fs;
	return rc;
}

/* Ending. */

static int run_sync(struct fs *fs, struct job *job)
{
	struct error err = {0};
	unsigned before = fs->refusals;
	int rc = pending_commit(fs, &err);

	(void)job;
	if (rc < 0)
		refuse_log(fs, container_name(fs->container), err.text);
	(void)pending_bring_back(fs, NULL);
	if (rc == 0 && fs->refusals != before)
		rc = -EOPNOTSUPP; /* some of it was taken back, and logged */
	return rc;
}

void fs_sync(struct fs *fs, struct fs_done *done)
{
	int rc;

	fs_share(fs);
	rc = saver_ask(fs, &(struct job){.run = run_sync, .done = done});
	fs_unlock(fs);
	if (rc < 0)
		done->fn(done, rc);
}

static void free_held(struct fs *fs)
{
	struct held_source *next;

	for (struct held_source *held = fs->held; held != NULL; held = next) {
		next = held->next;
		source_unref(&held->source);
		free(held);
	}
}

void fs_free(struct fs **fs)
{
	struct fs *f = *fs;

	*fs = NULL;
	if (f == NULL)
		return;
	saver_stop(f);
	notifier_stop(&f->notifier);
	if (f->inodes.by_ino != NULL)
		inode_table_free(f);
	refuse_free(f);
	model_free(&f->model);
	source_unref(&f->handle);
	free_held(f);
	container_close(&f->container);
	if (f->pool.dir >= 0)
		close(f->pool.dir);
	(void)pthread_rwlock_destroy(&f->lock);
	(void)pthread_mutex_destroy(&f->table_lock);
	free((char *)f->options.format);
	free((char *)f->options.journal_dir);
	free((char *)f->options.command);
	free(f);
}
