/*
 * accept: the bytes of a saved file, judged and put into the tree, in a way that can be
 * taken back. In the saver's thread, without the lock: it is taken for each change.
 */
#ifndef WEIGHTFS_FS_ACCEPT_H
#define WEIGHTFS_FS_ACCEPT_H

#include "decoders/base/text.h"
#include "fs/inode.h"
#include <stdbool.h>
#include <stddef.h>

struct blob;
struct error;
struct fs;
struct node;

/* What a node or a value was before one save. Zeroed: nothing has changed. */
struct undo {
	bool changed; /* the tree differs from before */
	bool content; /* elements, or a new tensor: an encoder judges them at the end */
	struct node *node;
	unsigned what; /* of the node's edit before, 0: none */
	struct blob *bytes;
	struct tensor *type;
	struct text sidecar;
	struct value *value;
	char *text; /* the value's edited text before, or NULL */
	size_t len;
	bool removed; /* the node's removal was taken back */
	bool added;   /* the node is new */
};

void undo_done(struct undo *undo);
#define AUTO_UNDO __attribute__((cleanup(undo_done))) struct undo
/* Takes the change back. Takes the lock. */
void undo_apply(struct fs *fs, struct undo *undo);

/* What a save brings. */
struct saved {
	struct node *node;
	enum inode_kind kind;
	struct blob
		*bytes; /* of the file; for a sidecar that comes with elements, its own */
	struct blob *elements; /* that come with a sidecar, or NULL */
	struct blob *base; /* what the document showed when it was opened; NULL: now */
	bool merge;	   /* a document that was changed by others since */
};

/* Judges and changes the tree. 0 with undo->changed false where what was saved is what
 * is there. A refusal: -EINVAL, -EOPNOTSUPP ..., with the reason, and nothing changed. */
int accept_saved(
	struct fs *fs, const struct saved *saved, struct undo *undo, struct error *err);
/* Takes a removal back that is not committed yet. */
int accept_restored(
	struct fs *fs, struct node *node, struct undo *undo, struct error *err);
/* The bytes of a document that is not there yet: saved->node becomes it. -EAGAIN where
 * nothing is in it. */
int accept_document_new(struct fs *fs, struct node *folder, const char *name,
	struct saved *saved, struct undo *undo, struct error *err);
/* A new tensor in a folder of the model, out of the bytes of its two files. -EAGAIN where
 * they do not fit together. */
int accept_new(struct fs *fs, struct node *folder, const char *stem, struct blob *sidecar,
	struct blob *elements, struct undo *undo, struct error *err);

#endif
