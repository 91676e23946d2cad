/*
 * rewrite: a new file beside the old one, exchanged with it. Invariants 1, 4, 5, 6, 7 and
 * 9 of commit.c.
 *
 * The exchange is the moment at which the edit is made. Where it and the folder's fsync
 * succeed the old file is removed; where what came out is not what was decoded, it is
 * put back.
 */
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "fs/commit.h"
#include "fs/container_private.h"
#include "fs/copy.h"
#include "fs/file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct rewrite {
	struct commit *commit;
	struct container *c;
	int fd; /* of the new file */
	struct source *source;
	char *piece;	/* FILE_PIECE bytes */
	bool exchanged; /* the old file now has the new one's leftover name */
};

/* Bytes of the new file that will need blocks of their own. */
static uint64_t space_needed(const struct rewrite *rewrite)
{
	const struct plan *plan = rewrite->commit->plan;
	uint64_t old = 0, new = 0;

	for (size_t i = 0; i < plan_count(plan); i++) {
		const struct region *region = plan_region(plan, i);

		if (region->kind == REGION_OLD)
			old += region->len;
		else if (region->kind != REGION_FILL || region->fill != 0)
			new += region->len;
	}
	if (rewrite->c->means.alignment > 0)
		return new;
	return new + least(old, (uint64_t)rewrite->c->st.st_blocks * 512);
}

static int check_space(const struct rewrite *rewrite, struct error *err)
{
	uint64_t needed = space_needed(rewrite), available;
	struct statvfs fs;

	if (fstatvfs(rewrite->c->beside.folder, &fs) < 0)
		return 0;
	available = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (needed <= available)
		return 0;
	return error_set(err, ENOSPC,
		"%s: this edit writes a new file, which needs %" PRIu64 " bytes; %" PRIu64
		" are available",
		rewrite->c->path, needed, available);
}

static int create(struct rewrite *rewrite, struct error *err)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	struct container *c = rewrite->c;
	struct stat st;
	int code;

	/* What a failed commit could not remove. The lock says that it is nobody's. */
	(void)file_remove(c->beside.folder, c->beside.new);
	rewrite->fd =
		TEMP_FAILURE_RETRY(openat(c->beside.folder, c->beside.new, flags, 0600));
	if (rewrite->fd < 0)
		return error_set(err, errno, "%s: creating a new file: %s", c->path,
			strerror(errno));
	if (fstat(rewrite->fd, &st) < 0)
		return error_set(err, errno, "%s: %s", c->path, strerror(errno));
	code = lock_take(rewrite->fd, &st, err);
	if (code < 0)
		error_prefix(err, "%s: the new file", c->path);
	return code;
}

/* Content. */

static int put(struct rewrite *rewrite, const void *bytes, size_t len, uint64_t off,
	struct error *err)
{
	return file_write(rewrite->fd, "the new file", bytes, len, off, err);
}

static int put_fill(
	struct rewrite *rewrite, const struct region *region, struct error *err)
{
	uint64_t done = 0;
	int code = 0;

	/* A hole. */
	if (region->fill == 0)
		return 0;
	memset(rewrite->piece, region->fill, FILE_PIECE);
	while (code == 0 && done < region->len) {
		size_t n = (size_t)least(region->len - done, FILE_PIECE);

		code = put(rewrite, rewrite->piece, n, region->off + done, err);
		done += n;
	}
	return code;
}

static int put_blob(
	struct rewrite *rewrite, const struct region *region, struct error *err)
{
	struct copy copy = {.to = rewrite->fd, .name = "an edit's data"};
	uint64_t from, done = 0;
	int code = 0;

	if (blob_locate(region->blob, region->blob_off, region->len, &copy.from, &from))
		return copy_range(&copy, from, region->off, region->len, err);
	while (code == 0 && done < region->len) {
		size_t n = (size_t)least(region->len - done, FILE_PIECE);

		code = blob_read_all(
			region->blob, region->blob_off + done, rewrite->piece, n, err);
		if (code == 0)
			code = put(rewrite, rewrite->piece, n, region->off + done, err);
		done += n;
	}
	return code;
}

static int put_old(
	struct rewrite *rewrite, const struct region *region, struct error *err)
{
	struct copy copy = {.from = rewrite->c->fd,
		.to = rewrite->fd,
		.name = rewrite->c->path,
		.alignment = rewrite->c->means.alignment};

	return copy_range(&copy, region->old_off, region->off, region->len, err);
}

static int put_region(
	struct rewrite *rewrite, const struct region *region, struct error *err)
{
	switch (region->kind) {
	case REGION_OLD: return put_old(rewrite, region, err);
	case REGION_BYTES:
		return put(rewrite, region->bytes, (size_t)region->len, region->off, err);
	case REGION_BLOB: return put_blob(rewrite, region, err);
	case REGION_FILL: return put_fill(rewrite, region, err);
	}
	return error_set(err, EINVAL, "a plan with a region of an unknown kind");
}

static int fill(struct rewrite *rewrite, struct error *err)
{
	const struct plan *plan = rewrite->commit->plan;
	int code = 0;

	rewrite->piece = malloc(FILE_PIECE);
	if (rewrite->piece == NULL)
		return error_set(err, ENOMEM, "not enough memory to commit");
	for (size_t i = 0; code == 0 && i < plan_count(plan); i++)
		code = put_region(rewrite, plan_region(plan, i), err);
	if (code == 0)
		code = file_resize(rewrite->fd, "the new file", plan_size(plan), err);
	return code;
}

/* The new file, durable, and what it decodes to is what the edit meant. */
static int prepare(struct rewrite *rewrite, struct error *err)
{
	struct commit *commit = rewrite->commit;
	struct container *c = rewrite->c;
	int fd = -1, code = check_space(rewrite, err);

	if (code == 0)
		code = create(rewrite, err);
	if (code == 0)
		code = fill(rewrite, err);
	if (code == 0)
		code = commit_carry_over(c->fd, &c->st, rewrite->fd, err);
	if (code == 0)
		code = file_sync(rewrite->fd, "the new file", err);
	if (code == 0)
		code = file_dup(rewrite->fd, &fd, "the new file", err);
	if (code < 0)
		return code;
	code = source_from_fd(&rewrite->source, fd, c->name, err);
	if (code == 0)
		code = commit->ops->verify(commit->arg, rewrite->source, err);
	if (code == 0)
		code = commit_check_identity(commit, err);
	return code;
}

/* The switch. */

static int exchange(struct container *c, unsigned flags)
{
	return TEMP_FAILURE_RETRY(renameat2(
		c->beside.folder, c->beside.new, c->beside.folder, c->name, flags));
}

static bool cannot_exchange(int code)
{
	return code == EINVAL || code == ENOSYS || code == EOPNOTSUPP;
}

/* Whether what the exchange brought out is the file that was decoded, and what has its
 * name now is the new one. */
static bool is_right(const struct rewrite *rewrite)
{
	const struct container *c = rewrite->c;
	struct stat old, new, put_in;

	return fstatat(c->beside.folder, c->beside.new, &old, AT_SYMLINK_NOFOLLOW) == 0 &&
	       container_same(&old, &c->st) &&
	       fstatat(c->beside.folder, c->name, &new, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstat(rewrite->fd, &put_in) == 0 && container_same(&new, &put_in);
}

/* XXX A kill between the exchange and this, when somebody else replaced the container in
 * the instant before, lets recovery take their file for a leftover. A mark on the new
 * file with the identity of the one it replaces would tell them apart.
 *
 * Undoes the exchange. Where that fails, what came out must not be taken for a leftover
 * and removed: it is told where it is. */
static int put_back(struct rewrite *rewrite, int code)
{
	struct container *c = rewrite->c;

	if (exchange(c, RENAME_EXCHANGE) == 0) {
		rewrite->exchanged = false;
		return code;
	}
	container_set_readonly(c,
		"an edit could not be taken back (%s): the file as it was before is %s",
		strerror(errno), c->beside.new);
	return code;
}

static int refused(const struct rewrite *rewrite, int code, struct error *err)
{
	return error_set(
		err, code, "%s: replacing it: %s", rewrite->c->path, strerror(code));
}

/* Without an exchange the old file is gone at once, and what it was is not seen. */
static int replace(struct rewrite *rewrite, struct error *err)
{
	struct container *c = rewrite->c;
	struct error why = {0};

	if (exchange(c, 0) < 0)
		return refused(rewrite, errno, err);
	if (file_sync_folder(c->beside.folder, c->path, &why) < 0)
		container_set_readonly(c,
			"the disk failed while an edit was being committed: %s",
			why.text);
	return 0;
}

static int put_in_place(struct rewrite *rewrite, struct error *err)
{
	struct container *c = rewrite->c;
	int code;

	if (exchange(c, RENAME_EXCHANGE) < 0)
		return cannot_exchange(errno) ? replace(rewrite, err)
					      : refused(rewrite, errno, err);
	rewrite->exchanged = true;
	if (!is_right(rewrite))
		return put_back(rewrite,
			error_set(err, ESTALE, "%s: it was changed by another program",
				c->path));
	code = file_sync_folder(c->beside.folder, c->path, err);
	return code < 0 ? put_back(rewrite, code) : 0;
}

/* The new file is the container. */
static void settle(struct rewrite *rewrite)
{
	struct container *c = rewrite->c;

	container_settle(c, rewrite->fd, rewrite->source);
	rewrite->fd = -1;
	rewrite->source = NULL;
	lock_record_write(&c->record, &c->st, c->mountpoint);
	rewrite->exchanged = false;
}

static int make(struct rewrite *rewrite, struct error *err)
{
	struct commit *commit = rewrite->commit;
	struct container *c = rewrite->c;
	int code = commit->ops->enter(commit->arg, commit->plan, false, err);

	if (code < 0)
		return code;
	(void)pthread_mutex_lock(&c->lock);
	code = put_in_place(rewrite, err);
	if (code == 0)
		settle(rewrite);
	(void)pthread_mutex_unlock(&c->lock);
	commit->ops->leave(commit->arg, code, code == 0 ? c->source : NULL);
	return code;
}

int commit_rewrite(struct commit *commit, struct error *err)
{
	struct rewrite rewrite = {.commit = commit, .c = commit->c, .fd = -1};
	int code = prepare(&rewrite, err);

	if (code == 0)
		code = make(&rewrite, err);
	/* The old file, or a new one that did not come to be. An old one that could not
	 * be put back is not ours to remove. */
	if (!rewrite.exchanged)
		(void)file_remove(commit->c->beside.folder, commit->c->beside.new);
	source_unref(&rewrite.source);
	file_close(&rewrite.fd);
	free(rewrite.piece);
	return code;
}
