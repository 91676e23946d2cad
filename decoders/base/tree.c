/*
 * tree: what decoders make trees with. Edits are in tree_edit.c, what
 * searches and walks in tree_walk.c.
 *
 * A model may have 100,000 tensors, so nodes, types and names come from an arena: a few
 * large blocks, structs from the bottom and strings from the top, all freed at once.
 */
#include "decoders/base/tree.h"
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/names.h"
#include "decoders/base/text.h"
#include "decoders/base/tree_private.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BLOCK_SIZE (64 * 1024)
/* Bytes below which a block's rest is not worth keeping for what is to come. */
#define BLOCK_LARGE (BLOCK_SIZE / 8)
/* Of the largest member of any struct in the arena. */
#define ALIGNMENT _Alignof(uint64_t)
/* Nodes of a tree: their numbers are 32 bits, and memory would not hold more. */
#define NODES_MAX 100000000

struct block {
	struct block *next;
	size_t low, high; /* what is free of `bytes` */
	_Alignas(ALIGNMENT) unsigned char bytes[];
};

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "not enough memory for the tree");
}

/* A block with at least `size` bytes free: the first of the list, or a new one. */
static struct block *block_for(struct arena *arena, size_t size)
{
	struct block *block = arena->blocks;
	size_t room = size > BLOCK_LARGE ? size : BLOCK_SIZE;

	if (block != NULL && block->high - block->low >= size)
		return block;
	if (room > SIZE_MAX - sizeof *block ||
		(block = malloc(sizeof *block + room)) == NULL)
		return NULL;
	block->low = 0;
	block->high = room;
	if (size > BLOCK_LARGE && arena->blocks != NULL) {
		block->next = arena->blocks->next; /* the first one has room left */
		arena->blocks->next = block;
	} else {
		block->next = arena->blocks;
		arena->blocks = block;
	}
	return block;
}

void *tree_alloc(struct tree *tree, size_t size)
{
	struct block *block;
	void *at;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	/* Strings leave `high` anywhere, `low` is always aligned. */
	block = block_for(tree->arena, size);
	if (block == NULL)
		return NULL;
	at = block->bytes + block->low;
	block->low += size;
	return memset(at, 0, size);
}

const char *tree_string(struct tree *tree, const char *s, size_t len)
{
	struct block *block;
	char *at;

	if (len >= SIZE_MAX / 2 || (block = block_for(tree->arena, len + 1)) == NULL)
		return NULL;
	block->high -= len + 1;
	at = (char *)block->bytes + block->high;
	if (len > 0)
		memcpy(at, s, len);
	at[len] = '\0';
	return at;
}

static void seed(uint64_t key[2])
{
	/* Without random bits the hash still works, only predictably: where a kernel has
	 * none, that is no reason to refuse a model. */
	if (getrandom(key, 2 * sizeof *key, GRND_NONBLOCK) != 2 * sizeof *key) {
		key[0] = (uintptr_t)key;
		key[1] = (uintptr_t)&seed;
	}
}

int tree_new(struct tree **out, char separator, struct error *err)
{
	struct tree *tree = calloc(1, sizeof *tree);

	if (tree == NULL)
		return no_memory(err);
	tree->separator = separator;
	tree->arena = calloc(1, sizeof *tree->arena);
	if (tree->arena != NULL)
		tree->root = tree_alloc(tree, sizeof *tree->root);
	if (tree->root != NULL)
		tree->root->name = tree_string(tree, "", 0);
	if (tree->root == NULL || tree->root->name == NULL) {
		tree_free(&tree);
		return no_memory(err);
	}
	seed(tree->arena->key);
	tree->arena->values_end = &tree->values;
	tree->root->kind = NODE_FOLDER;
	tree->root->id = tree->last_id = 1;
	tree->n_nodes = 1;
	*out = tree;
	return 0;
}

static void free_edits(struct edit *edit)
{
	while (edit != NULL) {
		struct edit *next = edit->next;

		blob_unref(&edit->content);
		text_done(&edit->sidecar);
		free(edit);
		edit = next;
	}
}

static void free_arena(struct arena *arena)
{
	struct block *next;

	if (arena == NULL)
		return;
	children_done(arena);
	for (struct block *block = arena->blocks; block != NULL; block = next) {
		next = block->next;
		free(block);
	}
	free(arena);
}

void tree_free(struct tree **tree)
{
	struct tree *t = *tree;

	*tree = NULL;
	if (t == NULL)
		return;
	free_edits(t->edits);
	for (struct value *value = t->values; value != NULL; value = value->next) {
		free(value->text);
		free(value->edited);
		if (value->index != NULL)
			value->index_free(value->index);
	}
	free_arena(t->arena);
	free(t);
}

/* Making nodes. */

static int attach(struct tree *tree, struct node *parent, enum node_kind kind,
	const char *name, size_t len, struct node **out, struct error *err)
{
	struct node *node;
	int rc = children_free_name(parent, kind, name, len, err);

	if (rc == 0)
		rc = children_reserve(tree, parent, err);
	if (rc < 0)
		return rc;
	if (tree->n_nodes >= NODES_MAX || tree->last_id == UINT32_MAX)
		return error_set(err, ENOMEM, "more than %d nodes", NODES_MAX);
	node = tree_alloc(tree, sizeof *node);
	if (node == NULL || (node->name = tree_string(tree, name, len)) == NULL)
		return no_memory(err);
	node->kind = (uint8_t)kind;
	if (kind == NODE_FOLDER)
		node->flags = parent->flags & NODE_GROWS;
	node->id = ++tree->last_id;
	node->order = (uint32_t)tree->n_nodes++;
	children_insert(parent, parent->children->last, node);
	*out = node;
	return 0;
}

int tree_folder(struct tree *tree, struct node *parent, const char *name,
	struct node **out, struct error *err)
{
	return attach(tree, parent, NODE_FOLDER, name, strlen(name), out, err);
}

int tree_tensor(struct tree *tree, struct node *parent, const char *stem,
	struct node **out, struct error *err)
{
	return attach(tree, parent, NODE_TENSOR, stem, strlen(stem), out, err);
}

int tree_link(struct tree *tree, struct node *parent, const char *name,
	const char *target, struct node **out, struct error *err)
{
	const char *copy = tree_string(tree, target, strlen(target));
	int rc;

	if (copy == NULL)
		return no_memory(err);
	rc = attach(tree, parent, NODE_LINK, name, strlen(name), out, err);
	if (rc == 0)
		(*out)->target = copy;
	return rc;
}

/* A view of `value`, not yet in its list. */
static struct view *make_view(
	struct tree *tree, struct value *value, const char *pointer, const char *stand)
{
	struct view *view = tree_alloc(tree, sizeof *view);

	if (view == NULL)
		return NULL;
	view->value = value;
	view->pointer = tree_string(tree, pointer, strlen(pointer));
	if (stand != NULL)
		view->stand = tree_string(tree, stand, strlen(stand));
	if (view->pointer == NULL || (stand != NULL && view->stand == NULL))
		return NULL;
	return view;
}

int tree_document(struct tree *tree, struct node *parent, const char *name,
	struct value *value, const char *pointer, const char *stand, struct node **out,
	struct error *err)
{
	struct view *view = make_view(tree, value, pointer, stand);
	int rc;

	if (view == NULL)
		return no_memory(err);
	rc = attach(tree, parent, NODE_DOCUMENT, name, strlen(name), out, err);
	if (rc < 0)
		return rc;
	(*out)->view = view;
	view->node = *out;
	view->next = value->views;
	value->views = view;
	return 0;
}

int tree_value(struct tree *tree, uint64_t origin, struct value **out, struct error *err)
{
	struct value *value = tree_alloc(tree, sizeof *value);

	if (value == NULL)
		return no_memory(err);
	value->origin = origin;
	*tree->arena->values_end = value;
	tree->arena->values_end = &value->next;
	*out = value;
	return 0;
}

int tree_type(struct tree *tree, const struct dtype *dtype, unsigned rank,
	const uint64_t *shape, struct tensor **out, struct error *err)
{
	struct tensor *tensor;
	uint64_t bytes = 0;
	int rc;

	if (rank > UINT16_MAX)
		return error_set(err, EINVAL, "expected at most %d dimensions, found %u",
			UINT16_MAX, rank);
	rc = dtype_bytes(dtype, shape, rank, &bytes, err);
	if (rc < 0 && rc != -EOPNOTSUPP)
		return rc;
	tensor = tree_alloc(tree, sizeof *tensor + rank * sizeof *shape);
	if (tensor == NULL)
		return no_memory(err);
	tensor->dtype = dtype;
	tensor->bytes = rc == 0 ? bytes : 0;
	tensor->rank = (uint16_t)rank;
	if (rank > 0)
		memcpy(tensor->shape, shape, rank * sizeof *shape);
	*out = tensor;
	return 0;
}

void tree_empty(struct node *folder)
{
	struct node *child;

	while ((child = tree_first(folder)) != NULL)
		children_remove(child);
}

/* Making nodes by path. */

static int folder_at(struct tree *tree, struct node *parent, const char *name, size_t len,
	struct node **out, struct error *err)
{
	struct node *found = tree_child(parent, name, len);

	if (found == NULL)
		return attach(tree, parent, NODE_FOLDER, name, len, out, err);
	if (found->kind != NODE_FOLDER)
		return error_set(err, EEXIST,
			"%.*s: expected a folder, found a document or a link", (int)len,
			name);
	*out = found;
	return 0;
}

int tree_folders(struct tree *tree, struct node *parent, const char *path, size_t len,
	struct node **out, struct error *err)
{
	const char *end = path + len, *slash;
	unsigned depth = 0;
	int rc;

	if (len == 0) {
		*out = parent;
		return 0;
	}
	for (;; path = slash + 1) {
		size_t n;

		slash = memchr(path, '/', (size_t)(end - path));
		n = (size_t)((slash != NULL ? slash : end) - path);
		if (n == 0)
			return error_set(err, EINVAL, "a path has an empty component");
		if (++depth > TREE_DEPTH_MAX)
			return error_set(err, ENAMETOOLONG,
				"a name asks for more than %d nested folders",
				TREE_DEPTH_MAX);
		rc = folder_at(tree, parent, path, n, &parent, err);
		if (rc < 0)
			return rc;
		if (slash == NULL)
			break;
	}
	*out = parent;
	return 0;
}

/* Cuts a path into its folders (*dir bytes) and its last component. */
static const char *last_component(const char *path, size_t len, size_t *dir, size_t *last)
{
	const char *slash = memrchr(path, '/', len);

	*dir = slash != NULL ? (size_t)(slash - path) : 0;
	*last = slash != NULL ? len - *dir - 1 : len;
	return slash != NULL ? slash + 1 : path;
}

/* With this much in front "%=N" still fits where a suffix follows. */
#define NUMBERED_MAX (255 - (sizeof ".json" - 1) - (sizeof "%=4294967295" - 1))

/* The stem of duplicate `n` of a stem. */
static void number(struct text *stem, size_t len, size_t n)
{
	stem->len = len;
	text_printf(stem, "%%=%zu", n);
}

/*
 * The tensor for another occurrence of a stem. The numbers of its duplicates have no gap
 * and no name looks like them, so the first free one is found by bisection.
 */
static int duplicate_of(struct tree *tree, struct node *folder, const char *s, size_t len,
	struct node **out, struct error *err)
{
	AUTO_TEXT stem = {0};
	size_t low = 1, high = 2, middle;
	int rc;

	text_put(&stem, s, len);
	if (len > NUMBERED_MAX) {
		text_puts(&stem, "%+");
		rc = folder_at(tree, folder, stem.bytes, stem.len, &folder, err);
		if (rc < 0)
			return rc;
		len = stem.len = 0;
	}
	for (;; high *= 2) {
		number(&stem, len, high);
		if (stem.failed || tree_stem(folder, stem.bytes, stem.len) == NULL)
			break;
		low = high;
	}
	while (high - low > 1) {
		middle = low + (high - low) / 2;
		number(&stem, len, middle);
		if (tree_stem(folder, stem.bytes, stem.len) != NULL)
			low = middle;
		else
			high = middle;
	}
	number(&stem, len, high);
	rc = text_check(&stem, err);
	if (rc < 0)
		return rc;
	return attach(tree, folder, NODE_TENSOR, stem.bytes, stem.len, out, err);
}

int tree_name(struct tree *tree, struct node *root, const char *name, size_t len,
	struct node **out, bool *duplicate, struct error *err)
{
	AUTO_TEXT path = {0};
	struct node *folder;
	size_t dir, n;
	const char *stem;
	int rc;

	names_path(name, len, tree->separator, &path);
	rc = text_check(&path, err);
	if (rc < 0)
		return rc;
	stem = last_component(path.bytes, path.len, &dir, &n);
	rc = tree_folders(tree, root, path.bytes, dir, &folder, err);
	if (rc < 0)
		return rc;
	if (children_free_name(folder, NODE_TENSOR, stem, n, NULL) == 0)
		return attach(tree, folder, NODE_TENSOR, stem, n, out, err);
	rc = duplicate_of(tree, folder, stem, n, out, err);
	if (rc == 0 && duplicate != NULL)
		*duplicate = true;
	return rc;
}
