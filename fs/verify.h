/*
 * verify: whether what a commit would leave decodes to the edited tree.
 */
#ifndef WEIGHTFS_FS_VERIFY_H
#define WEIGHTFS_FS_VERIFY_H

struct error;
struct model;

/* Compares every node that is known: path, kind, type; and what was edited: values
 * as data, elements where they are few. -EBADMSG with the path of the first difference.
 * Takes the lock of `edited`; `outcome` is the caller's alone. */
int verify_outcome(struct model *edited, struct model *outcome, struct error *err);

#endif
