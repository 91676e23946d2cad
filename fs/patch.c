/*
 * patch: the container is changed in place, behind a journal. Invariants 1, 2, 3, 5, 6,
 * 7, 8, 10 and 11 of commit.c. A shift is a patch that begins with opening a gap.
 *
 * The journal's rename is the moment at which the edit is made. Before it, a failure
 * takes everything back; after it, the new state is the container's whatever happens, and
 * a disk that fails only makes it one that must be read through its journal.
 */
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "fs/commit.h"
#include "fs/container_private.h"
#include "fs/file.h"
#include "fs/journal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000L

/* A patch on its way. */
struct patch {
	struct commit *commit;
	struct container *c;
	const struct leftovers *place; /* of the journal */
	struct source
		*overlay; /* the new state, journal over old file; owns the journal */
	struct journal *journal; /* the overlay's */
	bool reserved;
	bool stuck; /* a gap can neither be opened nor closed */
};

static int create(const struct patch *patch, int *out, struct error *err)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	const struct stat *st = &patch->c->st;
	int fd;

	/* What a failed commit could not remove. The lock says that it is nobody's. */
	(void)file_remove(patch->place->folder, patch->place->tmp);
	fd = TEMP_FAILURE_RETRY(
		openat(patch->place->folder, patch->place->tmp, flags, 0600));
	if (fd < 0)
		return error_set(err, errno, "%s: creating the journal: %s",
			patch->c->path, strerror(errno));
	/* Who may read the container must be able to lay the journal over it. Where the
	 * owner cannot be given, fewer can. */
	if (fchown(fd, st->st_uid, st->st_gid) == 0)
		(void)fchmod(fd, 0600 | (st->st_mode & 0044));
	*out = fd;
	return 0;
}

/* The journal as a file that is not yet one, and the new state that it makes. */
static int write_journal(struct patch *patch, struct error *err)
{
	AUTO_JOURNAL *journal = NULL;
	AUTO_SOURCE *file = NULL;
	const struct commit *commit = patch->commit;
	const struct journal_edit edit = {.plan = commit->plan,
		.outcome = commit->outcome,
		.shift = commit->shift.len > 0 ? &commit->shift : NULL};
	int fd = -1, code = create(patch, &fd, err);

	if (code < 0)
		return code;
	code = journal_write(&journal, fd, &edit, err);
	if (code == 0)
		code = container_new_source(patch->c, &file, err);
	if (code < 0)
		return code;
	patch->journal = journal;
	journal = NULL;
	code = journal_overlay(&patch->overlay, patch->journal, file, err);
	if (code < 0)
		patch->journal = NULL;
	return code;
}

/* Allocating changes the time, which then is set back: nothing was edited yet, and
 * nobody shall take this for somebody else's change. */
static void set_time_back(struct container *c)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, c->st.st_mtim};

	if (futimens(c->fd, times) < 0)
		(void)fstat(c->fd, &c->st);
}

/* Space for what the patch will write. Somebody else's change must not be hidden by
 * setting the time back. */
static int reserve(struct patch *patch, struct error *err)
{
	struct container *c = patch->c;
	int code;

	if (!journal_needs_space(patch->journal, c->fd))
		return 0;
	code = commit_check_identity(patch->commit, err);
	if (code < 0)
		return code;
	(void)pthread_mutex_lock(&c->lock);
	patch->reserved = true;
	code = journal_reserve(patch->journal, c->fd, err);
	set_time_back(c);
	(void)pthread_mutex_unlock(&c->lock);
	return code;
}

/* Blocks beyond the end, which only setting the size gives back. */
static void give_back_space(struct patch *patch)
{
	struct container *c = patch->c;

	(void)pthread_mutex_lock(&c->lock);
	if (container_differs(c, NULL) == 0) {
		(void)file_resize(c->fd, c->name, (uint64_t)c->st.st_size, NULL);
		set_time_back(c);
	}
	(void)pthread_mutex_unlock(&c->lock);
}

/* All that can fail without a trace. */
static int prepare(struct patch *patch, struct error *err)
{
	struct commit *commit = patch->commit;
	int code = commit->ops->verify(commit->arg, commit->outcome, err);

	if (code == 0)
		code = write_journal(patch, err);
	if (code < 0 || journal_is_empty(patch->journal))
		return code;
	code = reserve(patch, err);
	if (code == 0)
		code = file_sync(journal_fd(patch->journal), "the journal", err);
	if (code == 0 && patch->c->means.note)
		code = note_write(patch->c, patch->place, err);
	if (code == 0)
		code = commit_check_identity(commit, err);
	return code;
}

static void take_back(struct patch *patch)
{
	(void)file_remove(patch->place->folder, patch->place->tmp);
	if (patch->c->means.note)
		note_remove(patch->c);
	if (patch->reserved)
		give_back_space(patch);
}

/* A disk that may have the journal or not: both are whole, but nothing may be built on
 * either. */
static void doubt(struct container *c, int code)
{
	container_set_readonly(c, "the disk failed while an edit was being committed: %s",
		strerror(-code));
}

/* The moment. */
static int publish(struct patch *patch, struct error *err)
{
	const struct leftovers *place = patch->place;
	int code;

	if (TEMP_FAILURE_RETRY(renameat(
		    place->folder, place->tmp, place->folder, place->journal)) < 0)
		return error_set(err, errno, "%s: naming the journal: %s", patch->c->path,
			strerror(errno));
	code = file_sync_folder(place->folder, patch->c->path, err);
	if (code < 0) {
		(void)file_remove(place->folder, place->journal);
		doubt(patch->c, code);
	}
	return code;
}

/* The gap closed again, the journal gone. False: the one or the other cannot be. */
static bool take_shift_back(struct patch *patch)
{
	const struct leftovers *place = patch->place;
	struct container *c = patch->c;
	int code;

	if (journal_unshift(patch->journal, c->fd, NULL) < 0 ||
		file_sync(c->fd, c->path, NULL) < 0 ||
		file_remove(place->folder, place->journal) < 0)
		return false;
	code = file_sync_folder(place->folder, c->path, NULL);
	if (code < 0)
		doubt(c, code);
	set_time_back(c);
	return true;
}

/* Opens the gap of a shift; where there is no room for it, or the file system will not,
 * the old state stands. */
static int open_gap(struct patch *patch, struct error *err)
{
	struct container *c = patch->c;
	struct error why = {0};
	int code;

	(void)pthread_mutex_lock(&c->lock);
	code = journal_shift(patch->journal, c->fd, &why);
	patch->stuck = code < 0 && !take_shift_back(patch);
	(void)pthread_mutex_unlock(&c->lock);
	if (code == 0 || patch->stuck)
		return 0;
	return error_set(err, -code, "%s: %s", c->path, why.text);
}

/* Finer than the file system's clock, and never the same twice: programs that compare
 * times see each commit. */
static void touch(struct container *c)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	const struct timespec *old = &c->st.st_mtim;
	struct timespec *now = &times[1];

	(void)clock_gettime(CLOCK_REALTIME, now);
	if (now->tv_sec == old->tv_sec && now->tv_nsec == old->tv_nsec) {
		now->tv_sec += now->tv_nsec == SECOND - 1;
		now->tv_nsec = (now->tv_nsec + 1) % SECOND;
	}
	/* Who does not own the file may not: then the write has set the time. */
	(void)futimens(c->fd, times);
}

static void half_done(struct patch *patch, const char *why)
{
	container_set_readonly(patch->c,
		"an edit is made but not yet whole in the file (%s); its journal %s is "
		"kept: "
		"unmount, and weightfs --recover %s finishes it",
		why, patch->place->journal, patch->c->path);
}

static int write_patch(struct patch *patch, struct error *err)
{
	int code = patch->stuck
			   ? error_set(err, EIO, "what lies behind it cannot be moved")
			   : journal_apply(patch->journal, patch->c->fd, err);

	touch(patch->c);
	return code;
}

/* The overlay reads the file as it has become. False: it does not. */
static bool look_again(struct patch *patch)
{
	struct container *c = patch->c;
	AUTO_SOURCE *file = NULL;

	if (journal_look(patch->journal, c->fd, NULL) < 0 ||
		container_new_source(c, &file, NULL) < 0)
		return false;
	journal_overlay_rebase(patch->overlay, file);
	return true;
}

/* Writes, and takes the new state for the container's. False where the journal must stay
 * laid over it. */
static bool apply(struct patch *patch)
{
	struct container *c = patch->c;
	struct source *now = NULL;
	struct error why = {0};
	bool seen = true;
	int code;

	(void)pthread_mutex_lock(&c->lock);
	code = write_patch(patch, &why);
	if (code == 0)
		code = container_new_source(c, &now, &why);
	if (code < 0) {
		seen = look_again(patch);
		now = source_ref(patch->overlay);
	}
	container_settle(c, -1, now);
	c->stale = !seen;
	(void)pthread_mutex_unlock(&c->lock);
	if (code < 0)
		half_done(patch, why.text);
	return code == 0;
}

/* The patch becomes durable, and the journal goes. */
static void finish(struct patch *patch)
{
	struct container *c = patch->c;
	struct error why = {0};

	if (file_sync(c->fd, c->path, &why) < 0) {
		half_done(patch, why.text);
		/* What the kernel now has in memory for the file may not be what was
		 * written: it is read again, through the journal. */
		(void)pthread_mutex_lock(&c->lock);
		c->stale = true;
		(void)pthread_mutex_unlock(&c->lock);
		return;
	}
	if (recover_retire(c, patch->place->folder, patch->place->journal, &why) < 0)
		container_set_readonly(
			c, "an edit is made, but its journal stays: %s", why.text);
}

static int make(struct patch *patch, struct error *err)
{
	struct commit *commit = patch->commit;
	int code = commit->ops->enter(commit->arg, commit->plan, true, err);
	bool whole;

	if (code < 0)
		return code;
	/* Saving what others hold may have taken long. */
	code = commit_check_identity(commit, err);
	if (code == 0)
		code = publish(patch, err);
	if (code == 0)
		code = open_gap(patch, err);
	if (code < 0) {
		commit->ops->leave(commit->arg, code, NULL);
		return code;
	}
	whole = apply(patch);
	commit->ops->leave(commit->arg, 0, patch->c->source);
	if (whole)
		finish(patch);
	return 0;
}

int commit_patch(struct commit *commit, struct error *err)
{
	struct patch patch = {
		.commit = commit, .c = commit->c, .place = recover_place(commit->c)};
	int code = prepare(&patch, err);
	bool empty = code == 0 && journal_is_empty(patch.journal);

	if (code == 0 && !empty)
		code = make(&patch, err);
	if (code < 0 || empty)
		take_back(&patch);
	source_unref(&patch.overlay);
	return empty ? commit_nothing(commit, err) : code;
}
