/*
 * commit: an edit becomes the container, whole or not at all.
 *
 *  1. At every instant the container's name leads to the old state or the new one,
 *     whole; or to a mixture with a journal beside it that makes it the new one.
 *  2. No byte of the container is written in place before a journal that has it is
 *     durable under its final name.
 *  3. A journal is removed only when what it says is durable in the container.
 *  4. A new file takes the container's name only when it is durable, and when what it
 *     decodes to has been compared with the edit.
 *  5. Nobody reads the container between enter() and leave(), and leave() follows each
 *     enter() that succeeded, exactly once.
 *  6. What somebody else did to the container is never overwritten: its identity is
 *     compared before the switch, and a file that came out of an exchange is compared
 *     with the one that was decoded before it is removed.
 *  7. What fails before the switch leaves the old state and nothing else behind.
 *  8. After a failed fsync of the container no other one is believed: the container
 *     is not written any more, its journal stays.
 *  9. Every file that has the container's name is locked from before it has it.
 * 10. An outcome that equals the container is not written; its times stay.
 * 11. A gap is opened only in a file without holes, and behind a journal that says where
 *     and is durable; it is durable itself before a byte of the patch is written. It is
 *     closed again only while nothing was written into it: then the journal goes, or
 *     recovery opens it anew.
 */
#include "fs/commit.h"
#include "decoders/base/error.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "fs/container_private.h"
#include "fs/file.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Below it, an edit is so quick that it need not be the quickest. */
#define LARGE ((uint64_t)64 << 20)
/* Bytes that are compared to guess how much of a large edit is new, and how often. */
#define SAMPLE 512
#define SAMPLES 64

int commit_check_identity(struct commit *commit, struct error *err)
{
	int code = container_changed(commit->c, err);

	if (code == -ENOENT)
		return error_set(err, ESTALE, "%s: it was removed or renamed meanwhile",
			commit->c->path);
	if (code == 1)
		return error_set(err, ESTALE, "%s: it was changed by another program",
			commit->c->path);
	return code;
}

int commit_nothing(struct commit *commit, struct error *err)
{
	int code = commit->ops->enter(commit->arg, commit->plan, false, err);

	if (code == 0)
		commit->ops->leave(commit->arg, 0, commit->c->source);
	return code;
}

/* Whether [off, off + len) of the outcome is what is there now. 1, 0 or negative. */
static int range_equal(struct commit *commit, uint64_t off, uint64_t len, char *pieces,
	struct error *err)
{
	char *now = pieces, *new = pieces + FILE_PIECE;

	while (len > 0) {
		size_t n = len < FILE_PIECE ? (size_t)len : FILE_PIECE;
		int code = source_read(commit->outcome, off, new, n, err);

		if (code == 0)
			code = source_read(
				plan_source_old(commit->plan), off, now, n, err);
		if (code < 0)
			return code;
		if (memcmp(now, new, n) != 0)
			return 0;
		off += n;
		len -= n;
	}
	return 1;
}

static int regions_equal(struct commit *commit, char *pieces, struct error *err)
{
	int equal = 1;

	for (size_t i = 0; equal == 1 && i < plan_count(commit->plan); i++) {
		const struct region *region = plan_region(commit->plan, i);

		if (region->kind != REGION_OLD || region->old_off != region->off)
			equal = range_equal(
				commit, region->off, region->len, pieces, err);
	}
	return equal;
}

/* Whether the outcome is the container as it is: 1, 0 or negative. Ends at the first
 * byte that differs, so it costs little where there is something to do. */
static int is_nothing(struct commit *commit, struct error *err)
{
	char *pieces;
	int equal;

	if (plan_unchanged(commit->plan))
		return 1;
	if (!plan_patches(commit->plan) ||
		plan_size(commit->plan) != source_size(plan_source_old(commit->plan)))
		return 0;
	pieces = malloc(2 * FILE_PIECE);
	if (pieces == NULL)
		return error_set(err, ENOMEM, "not enough memory to commit");
	equal = regions_equal(commit, pieces, err);
	free(pieces);
	return equal;
}

static uint64_t bytes_kept(const struct plan *plan)
{
	uint64_t kept = 0;

	for (size_t i = 0; i < plan_count(plan); i++)
		if (plan_region(plan, i)->kind == REGION_OLD)
			kept += plan_region(plan, i)->len;
	return kept;
}

/* Whether what has to move is moved in place; commit->shift says how. */
static bool may_shift(struct commit *commit)
{
	const struct container *c = commit->c;
	const struct means *means = &c->means;

	return c->mode == COMMIT_AUTO && means->block > 0 && means->no_patch[0] == '\0' &&
	       bytes_kept(commit->plan) > c->shift_from &&
	       shift_find(commit->plan, means->block, &commit->shift) &&
	       !lock_is_shared(c->fd) && shift_allowed(c->fd, commit->shift.old_size);
}

/* Whether a piece of the outcome is not what is there now; what cannot be read is not. */
static bool differs_at(const struct commit *commit, uint64_t off)
{
	unsigned char now[SAMPLE], new[SAMPLE];
	struct source *old = plan_source_old(commit->plan);

	if (off + SAMPLE > source_size(old))
		return true;
	return source_read(old, off, now, SAMPLE, NULL) == 0 &&
	       source_read(commit->outcome, off, new, SAMPLE, NULL) == 0 &&
	       memcmp(now, new, SAMPLE) != 0;
}

/* A patch writes what changes twice, a new file all that there is once. */
static bool is_cheaper_anew(const struct commit *commit)
{
	uint64_t size = plan_size(commit->plan);
	unsigned differ = 0;

	if (size < LARGE || bytes_kept(commit->plan) > size / 2)
		return false;
	for (unsigned i = 0; i < SAMPLES; i++)
		differ += differs_at(commit, size / SAMPLES * i);
	return differ > SAMPLES / 2;
}

/* Whether to patch: 1, 0 to rewrite, -EOPNOTSUPP for neither. */
static int choose(struct commit *commit, struct error *err)
{
	const struct container *c = commit->c;
	const struct means *means = &c->means;
	bool patch = plan_patches(commit->plan) && means->no_patch[0] == '\0';
	bool rewrite = means->no_rewrite[0] == '\0';

	if (c->mode == COMMIT_PATCH && !plan_patches(commit->plan))
		return error_set(err, EOPNOTSUPP,
			"commit-mode=patch: this edit moves what lies behind it, which a "
			"patch cannot");
	if (patch && (c->mode == COMMIT_PATCH || (!rewrite && c->mode == COMMIT_AUTO)))
		return 1;
	if (!plan_patches(commit->plan) && may_shift(commit))
		return 1;
	if (c->mode == COMMIT_PATCH)
		return error_set(err, EOPNOTSUPP, "%s: it cannot be patched: %s", c->path,
			means->no_patch);
	if (!rewrite)
		return error_set(err, EOPNOTSUPP,
			"%s: this edit needs a new file, and it cannot be replaced: %s",
			c->path, means->no_rewrite);
	return patch && c->mode == COMMIT_AUTO && means->alignment == 0 &&
	       !is_cheaper_anew(commit) && !lock_is_shared(c->fd);
}

/* What no look could tell is found out by trying: a file that cannot be replaced or for
 * which there is no room, or one in which no gap can be opened. */

static int anew(struct commit *commit, struct error *err)
{
	int code = commit_rewrite(commit, err);

	if ((code == -EOPNOTSUPP || code == -ENOSPC) && commit->c->mode == COMMIT_AUTO &&
		plan_patches(commit->plan) && commit->c->means.no_patch[0] == '\0')
		return commit_patch(commit, err);
	return code;
}

static int in_place(struct commit *commit, struct error *err)
{
	int code = commit_patch(commit, err);

	if (code == -EOPNOTSUPP && !plan_patches(commit->plan) &&
		commit->c->means.no_rewrite[0] == '\0')
		return commit_rewrite(commit, err);
	return code;
}

static int run(struct commit *commit, struct error *err)
{
	int code = is_nothing(commit, err);
	const char *why;

	if (code < 0)
		return code;
	if (code == 1) {
		code = commit->ops->verify(commit->arg, commit->outcome, err);
		return code < 0 ? code : commit_nothing(commit, err);
	}
	/* Before a journal is made durable for what the kernel will refuse. */
	why = means_forbidden(commit->c);
	if (why != NULL)
		return error_set(err, EPERM, "%s: %s", commit->c->path, why);
	means_look(commit->c);
	code = choose(commit, err);
	if (code < 0)
		return code;
	return code == 1 ? in_place(commit, err) : anew(commit, err);
}

int container_commit(struct container *container, struct plan *plan,
	const struct commit_ops *ops, void *arg, struct error *err)
{
	struct commit commit = {.c = container, .plan = plan, .ops = ops, .arg = arg};
	int code;

	if (container_readonly(container) != NULL)
		return error_set(err, EROFS, "%s: %s", container->path,
			container_readonly(container));
	code = commit_check_identity(&commit, err);
	if (code == 0 &&
		source_size(plan_source_old(plan)) != (uint64_t)container->st.st_size)
		code = error_set(err, ESTALE,
			"%s: the edit is for a container of %" PRIu64
			" bytes, it has %jd",
			container->path, source_size(plan_source_old(plan)),
			(intmax_t)container->st.st_size);
	if (code == 0)
		code = plan_outcome(plan, &commit.outcome, err);
	if (code == 0)
		code = run(&commit, err);
	source_unref(&commit.outcome);
	return code;
}
