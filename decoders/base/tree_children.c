/*
 * tree_children: the list of a folder's children and the hash over their names.
 *
 * Most folders have a few children, which are searched one by one. A folder of many
 * gets a hash, keyed with random bits, so that no container can be made whose names
 * collide (SipHash-1-3, by Aumasson and Bernstein's paper).
 */
#include "decoders/base/error.h"
#include "decoders/base/tree_private.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Children that are searched without a hash. */
#define FEW 16

struct slot {
	struct node *node; /* NULL: free */
	uint32_t hash;
};

static uint64_t rotate(uint64_t v, int by)
{
	return v << by | v >> (64 - by);
}

static void round_sip(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

/* Stems and other names are two sets, told apart by a bit of the length. */
static uint32_t hash_name(
	const struct arena *arena, const char *name, size_t len, bool stem)
{
	uint64_t v[4] = {arena->key[0] ^ 0x736f6d6570736575,
		arena->key[1] ^ 0x646f72616e646f6d, arena->key[0] ^ 0x6c7967656e657261,
		arena->key[1] ^ 0x7465646279746573};
	uint64_t word = 0;

	for (size_t i = 0; i < len; i += 8) {
		word = 0;
		memcpy(&word, name + i, len - i < 8 ? len - i : 8);
		v[3] ^= word;
		round_sip(v);
		v[0] ^= word;
	}
	word = (uint64_t)len << 1 | stem;
	v[3] ^= word;
	round_sip(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		round_sip(v);
	return (uint32_t)(v[0] ^ v[1] ^ v[2] ^ v[3]);
}

static bool has_name(const struct node *node, const char *name, size_t len, bool stem)
{
	return (node->kind == NODE_TENSOR) == stem && strlen(node->name) == len &&
	       memcmp(node->name, name, len) == 0;
}

static uint32_t hash_node(const struct arena *arena, const struct node *node)
{
	return hash_name(
		arena, node->name, strlen(node->name), node->kind == NODE_TENSOR);
}

static void put_slot(struct children *children, struct node *node, uint32_t hash)
{
	size_t mask = children->n_slots - 1, i = hash & mask;

	while (children->slots[i].node != NULL)
		i = (i + 1) & mask;
	children->slots[i] = (struct slot){.node = node, .hash = hash};
}

/* Empties slot `i` and moves what follows it up, so that no search ends too early. */
static void clear_slot(struct children *children, size_t i)
{
	size_t mask = children->n_slots - 1, home;
	struct slot *slots = children->slots;

	for (size_t j = (i + 1) & mask; slots[j].node != NULL; j = (j + 1) & mask) {
		home = slots[j].hash & mask;
		if (((j - home) & mask) < ((j - i) & mask))
			continue; /* it would come to stand before its home */
		slots[i] = slots[j];
		i = j;
	}
	slots[i].node = NULL;
}

static struct node *find_slot(
	const struct children *children, const char *name, size_t len, bool stem)
{
	uint32_t hash = hash_name(children->arena, name, len, stem);
	size_t mask = children->n_slots - 1;

	for (size_t i = hash & mask; children->slots[i].node != NULL; i = (i + 1) & mask)
		if (children->slots[i].hash == hash &&
			has_name(children->slots[i].node, name, len, stem))
			return children->slots[i].node;
	return NULL;
}

static struct node *find(
	const struct node *folder, const char *name, size_t len, bool stem)
{
	const struct children *children =
		folder->kind == NODE_FOLDER ? folder->children : NULL;

	if (children == NULL)
		return NULL;
	if (children->slots != NULL)
		return find_slot(children, name, len, stem);
	for (struct node *node = children->first; node != NULL; node = node->next)
		if (has_name(node, name, len, stem))
			return node;
	return NULL;
}

struct node *tree_child(const struct node *folder, const char *name, size_t len)
{
	return find(folder, name, len, false);
}

struct node *tree_stem(const struct node *folder, const char *stem, size_t len)
{
	return find(folder, stem, len, true);
}

struct node *tree_first(const struct node *folder)
{
	return folder->kind == NODE_FOLDER && folder->children != NULL
		       ? folder->children->first
		       : NULL;
}

size_t tree_count(const struct node *folder)
{
	return folder->kind == NODE_FOLDER && folder->children != NULL
		       ? folder->children->count
		       : 0;
}

struct children *children_of(struct tree *tree, struct node *folder)
{
	assert(folder->kind == NODE_FOLDER);
	if (folder->children == NULL) {
		folder->children = tree_alloc(tree, sizeof *folder->children);
		if (folder->children != NULL)
			folder->children->arena = tree->arena;
	}
	return folder->children;
}

/* Replaces the slots by `n` of them, a power of two. */
static int rehash(struct children *children, size_t n, struct error *err)
{
	struct slot *slots = calloc(n, sizeof *slots);
	bool first = children->slots == NULL;

	if (slots == NULL)
		return error_set(err, ENOMEM, "not enough memory for a folder of %zu",
			children->count);
	free(children->slots);
	children->slots = slots;
	children->n_slots = n;
	for (struct node *node = children->first; node != NULL; node = node->next)
		put_slot(children, node, hash_node(children->arena, node));
	if (first) {
		children->next_indexed = children->arena->indexed;
		children->arena->indexed = children;
	}
	return 0;
}

int children_reserve(struct tree *tree, struct node *folder, struct error *err)
{
	struct children *children = children_of(tree, folder);

	if (children == NULL)
		return error_set(err, ENOMEM, "not enough memory for a folder");
	if (children->count < FEW)
		return 0;
	if (children->slots == NULL)
		return rehash(children, 4 * FEW, err);
	if (children->count + 1 > children->n_slots / 3 * 2)
		return rehash(children, 2 * children->n_slots, err);
	return 0;
}

void children_insert(struct node *folder, struct node *prev, struct node *node)
{
	struct children *children = folder->children;
	struct node *next = prev != NULL ? prev->next : children->first;

	node->parent = folder;
	node->prev = prev;
	node->next = next;
	*(prev != NULL ? &prev->next : &children->first) = node;
	*(next != NULL ? &next->prev : &children->last) = node;
	children->count++;
	children->n_files += node->kind == NODE_DOCUMENT || node->kind == NODE_LINK;
	if (children->slots != NULL)
		put_slot(children, node, hash_node(children->arena, node));
}

void children_remove(struct node *node)
{
	struct children *children = node->parent->children;
	struct node *prev = node->prev, *next = node->next;
	size_t i;

	*(prev != NULL ? &prev->next : &children->first) = next;
	*(next != NULL ? &next->prev : &children->last) = prev;
	children->count--;
	children->n_files -= node->kind == NODE_DOCUMENT || node->kind == NODE_LINK;
	node->parent = node->prev = node->next = NULL;
	if (children->slots == NULL)
		return;
	i = hash_node(children->arena, node) & (children->n_slots - 1);
	while (children->slots[i].node != node)
		i = (i + 1) & (children->n_slots - 1);
	clear_slot(children, i);
}

/* Whether a file STEM.bin or STEM.json is there that is not a tensor's. */
static bool stem_meets_file(const struct node *folder, const char *stem, size_t len)
{
	static const char *const suffixes[] = {".bin", ".json"};
	const size_t max = sizeof ".json";
	struct node *found = NULL;
	char *file;

	if (folder->children == NULL || folder->children->n_files == 0)
		return false;
	file = malloc(len + max);
	for (size_t i = 0; file != NULL && found == NULL && i < 2; i++) {
		memcpy(file, stem, len);
		memcpy(file + len, suffixes[i], strlen(suffixes[i]));
		found = tree_child(folder, file, len + strlen(suffixes[i]));
	}
	free(file);
	return found != NULL;
}

/* Whether a tensor is there that has a file of this name. */
static bool file_meets_stem(const struct node *folder, const char *name, size_t len)
{
	return (len > 4 && memcmp(name + len - 4, ".bin", 4) == 0 &&
		       tree_stem(folder, name, len - 4) != NULL) ||
	       (len > 5 && memcmp(name + len - 5, ".json", 5) == 0 &&
		       tree_stem(folder, name, len - 5) != NULL);
}

int children_free_name(const struct node *folder, enum node_kind kind, const char *name,
	size_t len, struct error *err)
{
	bool taken = kind == NODE_TENSOR ? tree_stem(folder, name, len) != NULL ||
						   stem_meets_file(folder, name, len)
					 : tree_child(folder, name, len) != NULL ||
						   file_meets_stem(folder, name, len);

	if (taken)
		return error_set(err, EEXIST, "%.*s: the name is taken", (int)len, name);
	return 0;
}

void children_done(struct arena *arena)
{
	for (struct children *c = arena->indexed; c != NULL; c = c->next_indexed)
		free(c->slots);
	arena->indexed = NULL;
}
