/*
 * commit: the ways of making a plan's outcome the container. commit.c has the
 * invariants that all keep, and chooses.
 */
#ifndef WEIGHTFS_FS_COMMIT_H
#define WEIGHTFS_FS_COMMIT_H

#include "fs/shift.h"
#include <stdbool.h>
#include <sys/stat.h>

struct error;

/* One commit; all is the caller's. */
struct commit {
	struct container *c;
	struct plan *plan;
	struct source *outcome; /* the plan's */
	struct shift shift;	/* what a patch of it begins with; .len 0: none */
	const struct commit_ops *ops;
	void *arg;
};

/* Both return 0 when the new state is the container's, durably or by its journal; else
 * the old one stands and nothing is left behind. -EOPNOTSUPP where a shift cannot be done
 * in this file, */
int commit_patch(struct commit *commit, struct error *err);
/* or a new file cannot be made to replace the old one. */
int commit_rewrite(struct commit *commit, struct error *err);

/* -ESTALE where somebody else changed the container. */
int commit_check_identity(struct commit *commit, struct error *err);
/* Leaves the container as it is, which is what the plan asks for. */
int commit_nothing(struct commit *commit, struct error *err);
/* Gives `to` what `from` (of `st`) has beside its content: owner, mode, extended
 * attributes, ACLs. -EOPNOTSUPP and what could not be given. */
int commit_carry_over(int from, const struct stat *st, int to, struct error *err);
/* Whether a file has extended attributes that only root sees, and only outside of the
 * sandbox. */
bool commit_has_trusted(int fd);

#endif
