/*
 * edits: what the fuzz targets that edit share.
 *
 * Edits go the way of fs/: judged by the decoder, then put into the tree. An encoder may
 * refuse what is left; what it makes must be right. Undone, nothing is left.
 */
#ifndef WEIGHTFS_TESTS_EDITS_H
#define WEIGHTFS_TESTS_EDITS_H

#include "decoders/base/spill.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>

struct blob;
struct change;
struct text;

#define ELEMENTS_MAX (1u << 16) /* bytes of elements that are replaced */
#define SPILL_MAX (64u << 20)

/* What is edited is said where FUZZ_TRACE is set. */
#define TRACE(...)                                          \
	do {                                                \
		if (getenv("FUZZ_TRACE") != NULL)           \
			(void)fprintf(stderr, __VA_ARGS__); \
	} while (0)

struct editing {
	struct model *model;
	struct draw draw;
	struct spill_pool pool;
};
#define EDITING                                                            \
	{                                                                  \
		.pool = { -1, .limit = SPILL_MAX, .in_memory = SPILL_MAX } \
	}

/* Whether the decoder allows it: 0, or why not. */
int edits_check(struct editing *e, const struct change *change);
/* A tree may refuse names that are taken; else only want of memory stops it. */
void edits_set(int rc);
/* That many bytes; and the old elements with some written over, or others: NULL where
 * they cannot be read. */
struct blob *edits_elements(struct editing *e, uint64_t size);
struct blob *edits_over(struct editing *e, struct node *node, uint64_t size);
/* Saves `edited` where an editor was shown `base`: a document, a sidecar. */
void edits_document(struct editing *e, struct node *node, const struct text *base,
	const struct text *edited);
void edits_sidecar(struct editing *e, struct node *node, const struct text *base,
	const struct text *edited);
/* What is encoded decodes to the edited tree. */
void edits_outcome(struct model *model);
/* Undone, nothing is left. */
void edits_undo(struct model *model);

#endif
