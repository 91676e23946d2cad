/*
 * tree_private: what tree.c, tree_children.c and tree_edit.c share and nobody else
 * includes.
 */
#ifndef WEIGHTFS_BASE_TREE_PRIVATE_H
#define WEIGHTFS_BASE_TREE_PRIVATE_H

#include "decoders/base/tree.h"
#include <stddef.h>
#include <stdint.h>

struct error;
struct slot;

/* Where a node stood in the container. */
struct place {
	struct node *parent; /* NULL: nowhere else than where it is */
	const char *name;
};

/* The children of one folder. Made with the first child. */
struct children {
	struct node *first, *last;
	size_t count;
	size_t n_files; /* documents and links: names that can meet a tensor's files */
	struct slot *slots; /* an open hash of all; NULL while they are few; malloc'ed */
	size_t n_slots;	    /* a power of two */
	struct children *next_indexed; /* arena->indexed */
	struct arena *arena;
	struct place gone; /* of a removed folder that has no edit of its own */
};

/* What a tree allocates: structs from the bottom of a block, strings from its top. */
struct arena {
	struct block *blocks;
	struct children *indexed;  /* those with slots to free */
	struct value **values_end; /* tree->values in the order of making */
	uint64_t key[2]; /* of the hash, random: names come from the container */
};

/* The folder's children, made if it has none yet. NULL without memory. */
struct children *children_of(struct tree *tree, struct node *folder);
/* Makes room for one more child. */
int children_reserve(struct tree *tree, struct node *folder, struct error *err);
/* Attaches after `prev` (NULL: in front); the folder has room. */
void children_insert(struct node *folder, struct node *prev, struct node *node);
/* Detaches: parent and siblings become NULL. */
void children_remove(struct node *node);
/* -EEXIST when a node of that kind cannot have that name in the folder, because another
 * one has it, or a file that it would have. */
int children_free_name(const struct node *folder, enum node_kind kind, const char *name,
	size_t len, struct error *err);
void children_done(struct arena *arena);

#endif
