/*
 * tree: a decoded model as folders, tensors, documents and links, with the
 * edits that are not yet in the container.
 *
 * The tree owns its nodes, values, views, tensors and names; they live until tree_free().
 * Edits change the tree in place: what a node was in the container stays in the node
 * (`origin`, `tensor`), what it shall become stands in its `edit`. `tree->edits` and
 * `tree->values` with `edited` set list all that is not clean: an encoder visits those
 * alone. After a commit the new container is decoded into a new tree, which replaces this
 * one.
 *
 * Not locked: readers may share a tree (lazy parts are filled under the model's lock,
 * model.h), an edit needs it alone.
 */
#ifndef WEIGHTFS_BASE_TREE_H
#define WEIGHTFS_BASE_TREE_H

#include "decoders/base/text.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blob;
struct dtype;
struct error;

enum node_kind {
	NODE_FOLDER,
	NODE_TENSOR,   /* NAME.bin and NAME.json; `name` is the stem */
	NODE_DOCUMENT, /* `name` has its ".json" */
	NODE_LINK,     /* a relative symbolic link; `name` is whole */
};

enum node_flags {
	NODE_GROWS = 1,	 /* folder: tensors can be added here and below (inherited at
			    creation) */
	NODE_LAZY = 2,	 /* folder: not yet filled (model_expand) */
	NODE_HIDDEN = 4, /* a document of .weightfs/: found by name, never listed */
	NODE_OBJECT = 8, /* folder: an object of the container by itself (an HDF5 group),
			    stays when empty */
	NODE_FIXED = 16, /* cannot be removed, renamed or, for a document, edited; `check`
			    says why otherwise */
	NODE_KNOWN = 32, /* tensor: described; set and read by model.c alone */
};

enum tensor_flags {
	TENSOR_SPAN = 1, /* the elements are [off, off + bytes) of `source` as they are */
	TENSOR_NO_BIN =
		2,	 /* no raw form: .json alone (strings, null dataspace, damaged) */
	TENSOR_NULL = 4, /* has no shape at all (HDF5's null dataspace): "shape": null */
	TENSOR_SIDECAR = 8, /* the model adds members to NAME.json (values, attributes) */
};

/* What a tensor is. Owned by the tree. */
struct tensor {
	const struct dtype *dtype;
	struct source *source; /* borrowed from the model; TENSOR_SPAN */
	uint64_t off;
	uint64_t bytes;	   /* of NAME.bin */
	const char *error; /* why there is no .bin (one line), or NULL */
	uint16_t flags;
	uint16_t rank;
	uint64_t shape[];
};

enum edit_flags {
	EDIT_ADDED = 1,	   /* the node is not in the container */
	EDIT_REMOVED = 2,  /* the node is in the container and no longer in the tree */
	EDIT_MOVED = 4,	   /* parent or name is another than in the container */
	EDIT_CONTENT = 8,  /* `content` replaces the elements */
	EDIT_TYPE = 16,	   /* `tensor` replaces dtype, shape */
	EDIT_SIDECAR = 32, /* `sidecar` replaces NAME.json as a whole (beyond dtype, shape
			      and value) */
};

struct node;
struct value;

/* One pending edit of one node. */
struct edit {
	struct node *node;
	struct edit *next, *prev; /* tree->edits, oldest first */
	unsigned what;
	struct blob
		*content; /* CONTENT, ADDED: dtype_bytes() of the new type; a reference */
	struct tensor *tensor; /* TYPE, ADDED: dtype, rank, shape, bytes; never a span */
	struct text sidecar;   /* SIDECAR: the whole edited NAME.json */
	struct node *old_parent; /* MOVED, REMOVED: where it was in the container */
	const char *old_name;
};

/* Components that one name may ask for; no path that a program can pass has more. */
#define TREE_DEPTH_MAX 2048

struct children; /* list and index of a folder's children */

struct node {
	struct node *parent;	  /* NULL: the root, or removed */
	struct node *next, *prev; /* in the parent's order */
	const char *name;	  /* one path component (names.h) */
	uint64_t origin; /* which object of the container: the decoder's own number; 0
			    where it has none */
	uint32_t id;	 /* unique in the mount; carried over to the next tree by path */
	uint32_t order;	 /* grows in the order of making: the container's, in a folder */
	uint8_t kind, flags;
	struct edit *edit; /* NULL while clean */
	union {
		struct children *children; /* FOLDER */
		struct tensor
			*tensor; /* TENSOR; NULL until described, and for an added one */
		struct view *view;  /* DOCUMENT */
		const char *target; /* LINK: relative path of the tree */
	};
};

/* One JSON value of the container, whatever it is stored as there. Documents are views of
 * it. */
struct value {
	struct value *next; /* tree->values */
	uint64_t origin;    /* the decoder's own number */
	char *text; /* the container's JSON text (or its rendering), malloc'ed; NULL
		       until loaded (model_load) */
	size_t len;
	char *edited; /* what it shall become; NULL while clean; owned */
	size_t edited_len;
	/* What a reader of the text keeps of it (document.c, under the model's lock), or
	 * NULL: given to index_free where the text changes and with the tree. */
	void *index;
	void (*index_free)(void *index);
	struct view *views;
};

/* A document's part of a value. */
struct view {
	struct view *next; /* of the value */
	struct value *value;
	struct node *node;
	const char *pointer; /* RFC 6901 path into the value; "" is all of it */
	const char *stand;   /* JSON text (its name) that stands for this part in the
				documents around it; NULL: it does not stand out */
	bool whole; /* shows parts that stand out elsewhere as well (the documents in
		       .weightfs/) */
};

struct tree {
	struct node *root;
	char separator; /* '.' or '/': how the format splits names */
	struct edit *edits, *last_edit;
	struct value *values;
	uint32_t last_id;
	size_t n_nodes;
	struct arena *arena;
};

int tree_new(struct tree **out, char separator, struct error *err);
void tree_free(struct tree **tree);

/* Memory that lives as long as the tree. NULL without memory. */
void *tree_alloc(struct tree *tree, size_t size);
const char *tree_string(struct tree *tree, const char *s, size_t len);

/*
 * Nodes are created attached, at the end of the parent's children. `name` is a path
 * component as names.h makes it, copied. On failure (-EEXIST, -ENOMEM) nothing is
 * attached. These make the tree that decode returns: no edits.
 */
int tree_folder(struct tree *tree, struct node *parent, const char *name,
	struct node **out, struct error *err);
int tree_tensor(struct tree *tree, struct node *parent, const char *stem,
	struct node **out, struct error *err);
int tree_link(struct tree *tree, struct node *parent, const char *name,
	const char *target, struct node **out, struct error *err);
/* A document that views `value` (of this tree). `pointer` and `stand` are copied. */
int tree_document(struct tree *tree, struct node *parent, const char *name,
	struct value *value, const char *pointer, const char *stand, struct node **out,
	struct error *err);
int tree_value(struct tree *tree, uint64_t origin, struct value **out, struct error *err);
/* Detaches all children: for a folder whose filling failed. They are no edits. */
void tree_empty(struct node *folder);
/* The folder at a path below `parent`, made where it is missing. Paths of more than
 * TREE_DEPTH_MAX components, here and below: -ENAMETOOLONG. */
int tree_folders(struct tree *tree, struct node *parent, const char *path, size_t len,
	struct node **out, struct error *err);
/*
 * The tensor of a container's name, split by names_path() below `root`, with the folders
 * on the way. A name that is there already gets "%=2", "%=3" ... and *duplicate (may be
 * NULL) is set to true.
 */
int tree_name(struct tree *tree, struct node *root, const char *name, size_t len,
	struct node **out, bool *duplicate, struct error *err);
/* A tensor struct with room for the shape; bytes is computed from dtype and shape where
 * the dtype has a size. The caller sets source, off and flags. */
int tree_type(struct tree *tree, const struct dtype *dtype, unsigned rank,
	const uint64_t *shape, struct tensor **out, struct error *err);

/* Look-ups. Folders, documents and links share one set of names; stems are another. NULL:
 * none. */
struct node *tree_child(const struct node *folder, const char *name, size_t len);
struct node *tree_stem(const struct node *folder, const char *stem, size_t len);
struct node *tree_first(const struct node *folder);
size_t tree_count(const struct node *folder);
/* The node at a path of the tree ("layers/0/config.json"); a tensor by either of its
 * files or its stem. */
struct node *tree_at(const struct tree *tree, const char *path);
/* Appends the path from the root, without a slash in front; a tensor's without suffix. */
void tree_path(const struct node *node, struct text *out);
/* Appends "[3, 4]", or "null" for what has no elements at all (TENSOR_NULL). */
void tensor_put_shape(const struct tensor *tensor, struct text *out);
/* Preorder: the node after `node` below `top`; NULL at the end. Start with top itself. */
struct node *tree_walk(const struct node *top, struct node *node);

/*
 * Edits. Each sets or clears what it must in the node's edit and keeps tree->edits:
 * adding and removing again leaves nothing, moving back is no move. They check nothing
 * but the tree's own consistency.
 */
int tree_add_folder(struct tree *tree, struct node *parent, const char *name,
	struct node **out, struct error *err);
int tree_add_tensor(struct tree *tree, struct node *parent, const char *stem,
	struct tensor *type, struct blob *content, struct node **out, struct error *err);
/* A document of a value of its own, "{}" so far. Undone or removed it takes the value's
 * edit with it. */
int tree_add_document(struct tree *tree, struct node *parent, const char *name,
	struct node **out, struct error *err);
/* The node leaves its parent; what was in the container stays known through tree->edits.
 * A folder takes all below with it: each tensor, document, link and NODE_OBJECT folder
 * gets an edit of its own, plain folders get none. Lazy folders must have been filled. */
int tree_remove(struct tree *tree, struct node *node, struct error *err);
/* Nodes in a moved folder are as they were: only the folder is MOVED. -EEXIST, and
 * -EINVAL for a folder that would go into itself. */
int tree_move(struct tree *tree, struct node *node, struct node *parent, const char *name,
	struct error *err);
/* References `content`. */
int tree_set_content(
	struct tree *tree, struct node *node, struct blob *content, struct error *err);
int tree_set_type(
	struct tree *tree, struct node *node, struct tensor *type, struct error *err);
int tree_set_sidecar(struct tree *tree, struct node *node, const char *text, size_t len,
	struct error *err);
/* Takes `text` (malloc'ed; NULL: undo). */
void tree_set_value(struct value *value, char *text, size_t len);
/*
 * Undoes some of a node's edits (of `what`): it is as in the container again, at its old
 * place among its siblings; an added node disappears (a folder must be empty:
 * -ENOTEMPTY). Removed folders that it was in come back with it, and what has moved to
 * its old place moves back too: so edits of other nodes may end as well. -EEXIST when
 * another node has the place, -EINVAL for a folder that would come to lie in itself; then
 * nothing is changed but such folders. Undone one by one from tree->last_edit on, neither
 * can happen.
 */
int tree_undo(struct tree *tree, struct node *node, unsigned what, struct error *err);
bool tree_clean(const struct tree *tree);
/* What the tensor is now: the edited type, else the container's (NULL: not described
 * yet). */
const struct tensor *tree_tensor_now(const struct node *node);

#endif
