/*
 * rebind: nodes of two trees are matched by path, in one walk from the top.
 */
#include "fs/rebind.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "fs/control.h"
#include "fs/fs_private.h"
#include "fs/inode.h"
#include "fs/notify.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rebind {
	struct model *model;
	struct node **old_of; /* by the new tree's own numbers */
	size_t n_old_of;
	struct node **new_of; /* by the old tree's numbers */
	size_t n_new_of;
	uint32_t last_id; /* of the old tree when they were matched */
};

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "not enough memory for the new tree");
}

/* Room for all nodes of the new tree that there are by now. */
static int reserve(struct rebind *rebind, struct error *err)
{
	size_t n = (size_t)rebind->model->tree->last_id + 1;
	struct node **bigger;

	if (n <= rebind->n_old_of)
		return 0;
	bigger = realloc(rebind->old_of, n * sizeof *bigger);
	if (bigger == NULL)
		return no_memory(err);
	memset(bigger + rebind->n_old_of, 0, (n - rebind->n_old_of) * sizeof *bigger);
	rebind->old_of = bigger;
	rebind->n_old_of = n;
	return 0;
}

static struct node *counterpart(const struct rebind *rebind, const struct node *node)
{
	struct node *folder = rebind->old_of[node->parent->id], *old;
	size_t len = strlen(node->name);

	if (folder == NULL)
		return NULL;
	if (node->kind == NODE_TENSOR)
		return tree_stem(folder, node->name, len);
	old = tree_child(folder, node->name, len);
	return old != NULL && old->kind == node->kind ? old : NULL;
}

static int match(
	struct rebind *rebind, struct node *node, struct node *old, struct error *err)
{
	int rc = 0;

	rebind->old_of[node->id] = old;
	if (old == NULL)
		return 0;
	if (old->id < rebind->n_new_of)
		rebind->new_of[old->id] = node;
	if (node->kind == NODE_FOLDER && (old->flags & NODE_LAZY) == 0)
		rc = model_expand(rebind->model, node, err);
	return rc < 0 ? rc : reserve(rebind, err);
}

static int match_all(struct rebind *rebind, struct tree *old, struct error *err)
{
	struct node *root = rebind->model->tree->root, *node = root;
	int rc = match(rebind, root, old->root, err);

	while (rc == 0 && (node = tree_walk(root, node)) != NULL)
		rc = match(rebind, node, counterpart(rebind, node), err);
	return rc;
}

/* Matches all that there is in the old tree by now. */
static int match_trees(struct rebind *rebind, struct fs *fs, struct error *err)
{
	struct tree *old = fs->model->tree;
	int rc;

	pthread_mutex_lock(&fs->model->lock);
	rebind->last_id = old->last_id;
	rebind->n_new_of =
		(old->last_id > fs->last_id ? old->last_id : fs->last_id) + 1ul;
	free(rebind->new_of);
	rebind->new_of = calloc(rebind->n_new_of, sizeof *rebind->new_of);
	rc = rebind->new_of != NULL ? reserve(rebind, err) : no_memory(err);
	if (rc == 0)
		rc = match_all(rebind, old, err);
	pthread_mutex_unlock(&fs->model->lock);
	return rc;
}

int rebind_new(struct rebind **out, struct fs *fs, struct model *model, struct error *err)
{
	struct rebind *rebind = calloc(1, sizeof *rebind);
	int rc;

	if (rebind == NULL)
		return no_memory(err);
	rebind->model = model;
	rc = match_trees(rebind, fs, err);
	if (rc < 0) {
		rebind_free(&rebind);
		return rc;
	}
	*out = rebind;
	return 0;
}

void rebind_free(struct rebind **rebind)
{
	struct rebind *r = *rebind;

	*rebind = NULL;
	if (r == NULL)
		return;
	free(r->old_of);
	free(r->new_of);
	free(r);
}

static void carry_numbers(struct rebind *rebind, struct fs *fs)
{
	struct tree *tree = rebind->model->tree;
	uint32_t last = fs->model->tree->last_id;
	struct node *old;

	if (last < fs->last_id)
		last = fs->last_id;
	for (struct node *node = tree->root; node != NULL;
		node = tree_walk(tree->root, node)) {
		old = node->id < rebind->n_old_of ? rebind->old_of[node->id] : NULL;
		node->id = old != NULL ? old->id : ++last;
	}
	tree->last_id = fs->last_id = last;
}

static struct node *new_node(const struct rebind *rebind, const struct node *old)
{
	return old->id < rebind->n_new_of ? rebind->new_of[old->id] : NULL;
}

/* A folder that the container keeps no more stays visible until it is removed. */
static void keep_folder(struct fs *fs, struct inode *inode)
{
	const struct node *old = inode->node;
	struct inode *parent = inode_of(fs, old->parent, INODE_FOLDER);
	struct entry *entry = parent != NULL ? entry_find(parent, old->name) : NULL;

	if (entry != NULL && entry->inode == NULL)
		entry_remove(entry); /* it was removed by name */
	else if (parent != NULL && entry == NULL &&
		 entry_set(fs, parent, old->name, inode) == 0)
		return;
	inode->flags |= INODE_GONE;
}

static bool is_lost(const struct rebind *rebind, const struct inode *inode)
{
	return inode->node != NULL && inode->kind == INODE_FOLDER &&
	       inode->node->parent != NULL && new_node(rebind, inode->node) == NULL &&
	       inode->entry == NULL;
}

static void keep_lost(struct fs *fs, struct inode *inode, void *arg)
{
	if (is_lost(arg, inode))
		keep_folder(fs, inode);
}

/* What somebody else took out of the container is gone, but for the way to what was made
 * here. */
static void keep_used(struct fs *fs, struct inode *inode, void *arg)
{
	const struct entry *made = inode->entries;

	while (made != NULL && made->inode == NULL)
		made = made->next;
	if (made == NULL)
		return;
	for (; inode != NULL && is_lost(arg, inode);
		inode = inode_of(fs, inode->node->parent, INODE_FOLDER))
		keep_folder(fs, inode);
}

static void bind(struct fs *fs, struct inode *inode, void *arg)
{
	struct rebind *rebind = arg;

	if (inode->node == NULL)
		return;
	inode->node = new_node(rebind, inode->node);
	if (inode->node != NULL)
		return;
	inode_detach(fs, inode, NULL);
	if (inode->entry == NULL)
		inode->flags |= INODE_GONE;
}

void rebind_run(struct rebind *rebind, struct fs *fs, bool foreign)
{
	inode_forget_contents(fs);
	/* Readers may have opened folders since; without memory their files are lost. */
	if (fs->model->tree->last_id != rebind->last_id)
		(void)match_trees(rebind, fs, NULL);
	inode_each(fs, foreign ? keep_used : keep_lost, rebind);
	inode_each(fs, bind, rebind);
	carry_numbers(rebind, fs);
	fs->model = rebind->model;
	control_bind(fs);
}

/* Telling. */

static void tell_inode(struct fs *fs, struct inode *inode, void *arg)
{
	AUTO_TEXT name = {0};
	struct inode *folder = NULL;
	struct node *node = inode->node;

	(void)arg;
	if (inode->lookups == 0 && inode != fs->root)
		return;
	inode->stale = true;
	notify_inode(&fs->notifier, inode->ino);
	if (node == NULL || node->parent == NULL)
		return;
	folder = inode_of(fs, node->parent, INODE_FOLDER);
	text_puts(&name, node->name);
	if (inode->kind == INODE_BIN)
		text_puts(&name, ".bin");
	if (inode->kind == INODE_SIDECAR)
		text_puts(&name, ".json");
	if (folder != NULL && !name.failed)
		notify_entry(&fs->notifier, folder->ino, name.bytes);
}

void rebind_tell_all(struct fs *fs)
{
	inode_each(fs, tell_inode, NULL);
}
