/*
 * journal: what a patch is going to write, made durable before a byte of the container
 * changes, so that the patch can be finished by whoever finds it half done.
 *
 * A journal names runs of 512-byte units (what a disk writes at once) with a checksum
 * of each unit as it was and all bytes as they shall be. A container fits a
 * journal when each of these units is old or new; then writing them all, again and
 * again if need be, gives the new state. Units that an edit leaves as they are are
 * left out, so a journal without records is no edit.
 */
#ifndef WEIGHTFS_FS_JOURNAL_H
#define WEIGHTFS_FS_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

struct error;
struct plan;
struct shift;
struct source;

#define JOURNAL_UNIT 512
/* Bytes of one record at most. */
#define JOURNAL_PIECE (1 << 20)

struct journal;

/* What a journal is to say; all borrowed. */
struct journal_edit {
	const struct plan *plan;   /* plan_patches(), or what shift_find() took */
	struct source *outcome;	   /* the plan's */
	const struct shift *shift; /* NULL: nothing moves */
};

/*
 * Writes what an edit changes into `fd`, an empty file, which the journal owns from then
 * on (on failure too). Memory is bounded by the number of records, not by their bytes.
 * Not synced.
 */
int journal_write(
	struct journal **out, int fd, const struct journal_edit *edit, struct error *err);
/* Reads a journal back, whole or not at all: -EINVAL and what is wrong with it. Takes
 * `fd`, on failure too. */
int journal_open(struct journal **out, int fd, struct error *err);
void journal_close(struct journal **journal);
#define AUTO_JOURNAL __attribute__((cleanup(journal_close))) struct journal

/* Whether it changes nothing. */
bool journal_is_empty(const struct journal *journal);
uint64_t journal_old_size(const struct journal *journal);
uint64_t journal_new_size(const struct journal *journal);
/* The descriptor, for its owner to sync. */
int journal_fd(const struct journal *journal);
/* Whether the patch will write where the container may have no blocks yet. */
bool journal_needs_space(const struct journal *journal, int container);
/* Allocates the blocks that the patch will write, where the container has none yet,
 * so that a full disk is met before and not in the middle. -ENOSPC. */
int journal_reserve(const struct journal *journal, int container, struct error *err);
/* Looks how far the container's shift came, for an overlay to read it rightly. */
int journal_look(struct journal *journal, int container, struct error *err);
/* Whether the container's size and each unit of the journal is old or new: 0 or
 * -EINVAL and which one is neither. Looks at the shift. */
int journal_fits(struct journal *journal, int container, struct error *err);
/* Opens the gap of a shift, if there is one, and closes it again as long as nothing was
 * written there. Not synced. */
int journal_shift(struct journal *journal, int container, struct error *err);
int journal_unshift(struct journal *journal, int container, struct error *err);
/* Writes it all into the container. Repeatable. Not synced, but for a shift. */
int journal_apply(struct journal *journal, int container, struct error *err);
/* The new state as a source: `base` (the container; referenced) with the journal laid
 * over it. Takes `journal`, on failure too. */
int journal_overlay(struct source **out, struct journal *journal, struct source *base,
	struct error *err);
/* The container has become another file under its overlay: `base`, referenced. */
void journal_overlay_rebase(struct source *overlay, struct source *base);

#endif
