/*
 * accept: elements, sidecars and documents are judged, each by its own rule.
 */
#include "fs/accept.h"
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/document.h"
#include "fs/container.h"
#include "fs/fs_private.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CONTENTS (EDIT_CONTENT | EDIT_TYPE | EDIT_SIDECAR)
#define SIDECAR_MAX (1u << 30)

/* Bytes of a document in memory. */
struct loaded {
	char *bytes;
	size_t len;
};

static void loaded_done(struct loaded *loaded)
{
	free(loaded->bytes);
}
#define AUTO_LOADED __attribute__((cleanup(loaded_done))) struct loaded
#define AUTO_SIDECAR __attribute__((cleanup(sidecar_done))) struct sidecar

/* Taking back. */

void undo_done(struct undo *undo)
{
	blob_unref(&undo->bytes);
	text_done(&undo->sidecar);
	free(undo->text);
	*undo = (struct undo){0};
}

/* Remembers what the node is now; before its first change. */
static int undo_node(struct undo *undo, struct node *node, struct error *err)
{
	const struct edit *edit = node->edit;

	undo->node = node;
	if (edit == NULL)
		return 0;
	undo->what = edit->what;
	undo->bytes = edit->content != NULL ? blob_ref(edit->content) : NULL;
	undo->type = edit->tensor;
	text_put(&undo->sidecar, edit->sidecar.bytes, edit->sidecar.len);
	return text_check(&undo->sidecar, err);
}

static int undo_value(struct undo *undo, struct value *value, struct error *err)
{
	undo->value = value;
	if (value->edited == NULL)
		return 0;
	undo->text = malloc(value->edited_len + 1);
	if (undo->text == NULL)
		return error_set(err, ENOMEM, "not enough memory to save a document");
	memcpy(undo->text, value->edited, value->edited_len);
	undo->text[value->edited_len] = '\0';
	undo->len = value->edited_len;
	return 0;
}

/* Nothing here needs memory that is not there: what is set again was set before. */
static void restore_node(struct tree *tree, struct undo *undo)
{
	struct node *node = undo->node;
	unsigned now = node->edit != NULL ? node->edit->what : 0;

	(void)tree_undo(tree, node, now & ~undo->what & CONTENTS, NULL);
	if (undo->type != NULL)
		(void)tree_set_type(tree, node, undo->type, NULL);
	if (undo->bytes != NULL)
		(void)tree_set_content(tree, node, undo->bytes, NULL);
	if ((undo->what & EDIT_SIDECAR) != 0)
		(void)tree_set_sidecar(
			tree, node, undo->sidecar.bytes, undo->sidecar.len, NULL);
}

void undo_apply(struct fs *fs, struct undo *undo)
{
	struct tree *tree = fs->model->tree;

	if (!undo->changed)
		return;
	fs_own(fs);
	if (undo->value != NULL) {
		tree_set_value(undo->value, undo->text, undo->len);
		undo->text = NULL;
	}
	if (undo->added) {
		(void)tree_undo(tree, undo->node, EDIT_ADDED, NULL);
	} else if (undo->value == NULL && undo->node != NULL) {
		restore_node(tree, undo);
		if (undo->removed)
			(void)tree_remove(tree, undo->node, NULL);
	}
	inode_forget_contents(fs);
	fs_unlock(fs);
	undo->changed = false;
}

/* Telling. */

/* The bytes of a node's file are others than the kernel has seen. Exclusively. */
static void tell(struct fs *fs, struct node *node, enum inode_kind kind)
{
	struct inode *inode = inode_of(fs, node, kind);

	if (inode == NULL)
		return;
	inode->stale = true;
	notify_inode(&fs->notifier, inode->ino);
}

/* Accepted bytes are shown as they were written unless what they say has changed. */
static void drop_shown(struct fs *fs, struct node *node, enum inode_kind kind)
{
	struct inode *inode = inode_of(fs, node, kind);

	if (inode != NULL && inode->desk != NULL)
		blob_unref(&inode->desk->shown);
}

/* Elements. */

static int refuse_size(const struct tensor *type, uint64_t found, struct error *err)
{
	AUTO_TEXT shape = {0};

	for (unsigned i = 0; i < type->rank; i++)
		text_printf(&shape, "%s%" PRIu64, i > 0 ? ", " : "", type->shape[i]);
	return error_set(err, EINVAL,
		"expected %" PRIu64 " bytes (%s [%s]), found %" PRIu64, type->bytes,
		type->dtype->name, shape.bytes != NULL ? shape.bytes : "", found);
}

/* Puts elements into the tree, unless they are there already. */
static int set_content(struct fs *fs, struct node *node, struct blob *bytes,
	struct undo *undo, struct error *err)
{
	AUTO_BLOB *old = NULL;
	int rc = model_content(fs->model, node, &old, NULL);

	/* Old elements that cannot be read are no reason to refuse new ones. */
	if (rc == 0 && blob_equal(old, bytes, NULL) == 1)
		return 0;
	fs_own(fs);
	rc = tree_set_content(fs->model->tree, node, bytes, err);
	if (rc == 0) {
		undo->changed = true;
		inode_forget_contents(fs);
		drop_shown(fs, node, INODE_SIDECAR);
		tell(fs, node, INODE_SIDECAR);
	}
	fs_unlock(fs);
	return rc;
}

static int accept_elements(
	struct fs *fs, const struct saved *saved, struct undo *undo, struct error *err)
{
	const struct tensor *type;
	int rc = model_tensor_now(fs->model, saved->node, &type, err);

	if (rc < 0)
		return rc;
	if (blob_size(saved->bytes) != type->bytes)
		return refuse_size(type, blob_size(saved->bytes), err);
	rc = undo_node(undo, saved->node, err);
	if (rc < 0)
		return rc;
	rc = set_content(fs, saved->node, saved->bytes, undo, err);
	undo->content = true;
	return rc;
}

/* Sidecars. */

static int load_text(struct blob *blob, size_t max, struct loaded *out, struct error *err)
{
	return blob_load(blob, max, &out->bytes, &out->len, err);
}

/* What the file showed when it was opened. Of a document that nobody else changed since,
 * what its value says now: a type may have rounded the number that the file still shows,
 * and then only the value's own words can be found in it. */
static int load_base(
	struct fs *fs, const struct saved *saved, struct loaded *out, struct error *err)
{
	AUTO_BLOB *now = NULL;
	int rc;

	if (saved->base != NULL && (saved->merge || saved->kind != INODE_DOCUMENT))
		return load_text(saved->base, DOCUMENT_MAX, out, err);
	rc = inode_render(fs, saved->node, saved->kind, &now, err);
	return rc < 0 ? rc : load_text(now, DOCUMENT_MAX, out, err);
}

/* The tree's memory is shared with what fills it for readers, so under its lock. */
static int parse_sidecar(struct fs *fs, const struct saved *saved, struct loaded *edited,
	struct sidecar *out, struct error *err)
{
	AUTO_LOADED base = {0};
	int rc = load_text(saved->bytes, SIDECAR_MAX, edited, err);

	if (rc == 0)
		rc = load_base(fs, saved, &base, err);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&fs->model->lock);
	rc = sidecar_parse(fs->model, saved->node, base.bytes, base.len, edited->bytes,
		edited->len, out, err);
	pthread_mutex_unlock(&fs->model->lock);
	return rc;
}

/* The elements that a tensor will have: those that came with the sidecar, else the old
 * ones cut or with zeros appended, else (NULL) the old ones as they are. */
static int resized(struct fs *fs, const struct saved *saved, const struct tensor *type,
	struct blob **out, struct error *err)
{
	const struct tensor *old;
	AUTO_BLOB *content = NULL;
	int rc = model_tensor_now(fs->model, saved->node, &old, err);

	if (rc < 0)
		return rc;
	if (type == NULL)
		type = old;
	if (saved->elements != NULL) {
		if (blob_size(saved->elements) != type->bytes)
			return refuse_size(type, blob_size(saved->elements), err);
		*out = blob_ref(saved->elements);
		return 0;
	}
	if (type->bytes == old->bytes)
		return 0;
	rc = model_content(fs->model, saved->node, &content, err);
	if (rc == 0)
		rc = blob_staged(out, content, &fs->pool, err);
	if (rc == 0)
		rc = blob_resize(*out, type->bytes, err);
	return rc;
}

/* May the type and the rest be changed so? */
static int check_sidecar(struct fs *fs, const struct saved *saved,
	const struct sidecar *sidecar, const struct loaded *text, struct error *err)
{
	struct change change = {.what = EDIT_TYPE,
		.node = saved->node,
		.type = sidecar->type,
		.edited = text->bytes,
		.edited_len = text->len};
	const struct tensor *old;
	int rc = model_tensor_now(fs->model, saved->node, &old, err);

	if (rc == 0 && sidecar->type != NULL && sidecar->type->bytes != old->bytes &&
		(fs->model->decoder->flags & DECODER_RESIZES) == 0)
		return error_set(err, EOPNOTSUPP,
			"expected a type of %" PRIu64 " bytes, found one of %" PRIu64
			": %s tensors cannot be resized",
			old->bytes, sidecar->type->bytes, fs->model->decoder->title);
	if (rc == 0 && sidecar->type != NULL)
		rc = model_check(fs->model, &change, err);
	change.what = EDIT_SIDECAR;
	if (rc == 0 && sidecar->rest)
		rc = model_check(fs->model, &change, err);
	return rc;
}

/* The scalar's new element as a blob, laid over what the tensor will have. */
static int with_value(struct fs *fs, const struct saved *saved,
	const struct sidecar *sidecar, struct blob **content, struct error *err)
{
	AUTO_BLOB *under = *content;
	const struct tensor *type = sidecar->type;
	int rc = 0;

	*content = NULL;
	if (type == NULL)
		rc = model_tensor_now(fs->model, saved->node, &type, err);
	if (rc == 0)
		rc = blob_staged(content, NULL, &fs->pool, err);
	if (rc == 0)
		rc = blob_write(
			*content, 0, sidecar->value, dtype_size(type->dtype), err);
	return rc;
}

/* Sets type, rest and elements: all or nothing. */
static int set_sidecar(struct fs *fs, const struct saved *saved,
	const struct sidecar *sidecar, const struct loaded *text, struct blob *content,
	struct undo *undo, struct error *err)
{
	struct tree *tree = fs->model->tree;
	struct node *node = saved->node;
	int rc = 0;

	fs_own(fs);
	if (sidecar->type != NULL)
		rc = tree_set_type(tree, node, sidecar->type, err);
	if (rc == 0 && sidecar->rest)
		rc = tree_set_sidecar(tree, node, text->bytes, text->len, err);
	undo->changed = sidecar->type != NULL || sidecar->rest;
	inode_forget_contents(fs);
	tell(fs, node, INODE_BIN);
	fs_unlock(fs);
	if (rc == 0 && content != NULL)
		rc = set_content(fs, node, content, undo, err);
	if (rc < 0)
		undo_apply(fs, undo);
	return rc;
}

static int accept_sidecar(
	struct fs *fs, const struct saved *saved, struct undo *undo, struct error *err)
{
	AUTO_SIDECAR sidecar = {0};
	AUTO_LOADED text = {0};
	AUTO_BLOB *content = NULL;
	int rc = parse_sidecar(fs, saved, &text, &sidecar, err);

	if (rc == 0)
		rc = check_sidecar(fs, saved, &sidecar, &text, err);
	if (rc == 0)
		rc = resized(fs, saved, sidecar.type, &content, err);
	if (rc == 0 && sidecar.value != NULL)
		rc = with_value(fs, saved, &sidecar, &content, err);
	if (rc == 0)
		rc = undo_node(undo, saved->node, err);
	if (rc < 0)
		return rc;
	if (sidecar.type == NULL && !sidecar.rest && content == NULL)
		return 0;
	return set_sidecar(fs, saved, &sidecar, &text, content, undo, err);
}

/* Documents. */

/* Another document of the same value, and what it said before. */
struct witness {
	struct node *node;
	struct blob *before;
};

/* Those whose accepted bytes are shown as they were written. The number, or -ENOMEM. */
static int call_witnesses(
	struct fs *fs, const struct view *view, struct witness **out, struct error *err)
{
	struct inode *inode;
	size_t n = 0;

	for (const struct view *v = view->value->views; v != NULL; v = v->next)
		n++;
	*out = calloc(n, sizeof **out);
	if (*out == NULL)
		return error_set(err, ENOMEM, "not enough memory to save a document");
	n = 0;
	for (const struct view *v = view->value->views; v != NULL; v = v->next) {
		inode = v != view ? inode_of(fs, v->node, INODE_DOCUMENT) : NULL;
		if (inode == NULL || inode->desk == NULL || inode->desk->shown == NULL)
			continue;
		(*out)[n].node = v->node;
		if (inode_render(fs, v->node, INODE_DOCUMENT, &(*out)[n].before, NULL) ==
			0)
			n++;
	}
	return (int)n;
}

static void hear_witnesses(struct fs *fs, struct witness *all, int n)
{
	for (int i = 0; i < n; i++) {
		AUTO_BLOB *after = NULL;
		int rc = inode_render(fs, all[i].node, INODE_DOCUMENT, &after, NULL);

		if (rc < 0 || blob_equal(all[i].before, after, NULL) != 1)
			drop_shown(fs, all[i].node, INODE_DOCUMENT);
		blob_unref(&all[i].before);
	}
	free(all);
}

static int set_document(struct fs *fs, const struct saved *saved, char *text, size_t len,
	struct undo *undo, struct error *err)
{
	struct view *view = saved->node->view;
	struct witness *witnesses = NULL;
	int n = call_witnesses(fs, view, &witnesses, err);

	if (n < 0) {
		free(text);
		return n;
	}
	fs_own(fs);
	tree_set_value(view->value, text, len);
	undo->changed = true;
	inode_forget_contents(fs);
	hear_witnesses(fs, witnesses, n);
	for (const struct view *v = view->value->views; v != NULL; v = v->next)
		if (v != view)
			tell(fs, v->node, INODE_DOCUMENT);
	fs_unlock(fs);
	return 0;
}

static int accept_document(
	struct fs *fs, const struct saved *saved, struct undo *undo, struct error *err)
{
	AUTO_LOADED base = {0}, edited = {0};
	char *text = NULL;
	size_t len = 0;
	int rc;

	if (saved->base != NULL && blob_equal(saved->base, saved->bytes, NULL) == 1)
		return 0;
	rc = load_text(saved->bytes, DOCUMENT_MAX, &edited, err);

	if (rc == 0)
		rc = load_base(fs, saved, &base, err);
	if (rc == 0)
		rc = document_apply(fs->model, saved->node, base.bytes, base.len,
			edited.bytes, edited.len, &text, &len, err);
	if (rc < 0 || text == NULL)
		return rc;
	rc = undo_value(undo, saved->node->view->value, err);
	if (rc < 0) {
		free(text);
		return rc;
	}
	return set_document(fs, saved, text, len, undo, err);
}

int accept_saved(
	struct fs *fs, const struct saved *saved, struct undo *undo, struct error *err)
{
	if (fs->lost)
		return error_set(err, ESTALE,
			"%s was changed by another program and is no model any more",
			container_name(fs->container));
	switch (saved->kind) {
	case INODE_BIN: return accept_elements(fs, saved, undo, err);
	case INODE_SIDECAR: return accept_sidecar(fs, saved, undo, err);
	case INODE_DOCUMENT: return accept_document(fs, saved, undo, err);
	default: return error_set(err, EINVAL, "this is not a file of the model");
	}
}

int accept_restored(
	struct fs *fs, struct node *node, struct undo *undo, struct error *err)
{
	int rc;

	fs_own(fs);
	rc = tree_undo(fs->model->tree, node, EDIT_REMOVED, err);
	if (rc == 0)
		undo->removed = undo->changed = true;
	undo->node = node;
	fs_unlock(fs);
	return rc;
}

int accept_document_new(struct fs *fs, struct node *folder, const char *name,
	struct saved *saved, struct undo *undo, struct error *err)
{
	int rc;

	fs_own(fs);
	rc = tree_add_document(fs->model->tree, folder, name, &saved->node, err);
	undo->node = saved->node;
	undo->added = undo->changed = rc == 0;
	fs_unlock(fs);
	if (rc == 0)
		rc = accept_saved(fs, saved, undo, err);
	if (rc == 0 && undo->value == NULL)
		rc = -EAGAIN;
	if (rc < 0)
		undo_apply(fs, undo);
	return rc;
}

/* New tensors. */

static int check_new(struct fs *fs, struct node *folder, const char *stem,
	const struct tensor *type, struct error *err)
{
	return model_check(fs->model,
		&(struct change){.what = EDIT_ADDED,
			.parent = folder,
			.name = stem,
			.kind = NODE_TENSOR,
			.type = type},
		err);
}

static int add_tensor(struct fs *fs, struct node *folder, const char *stem,
	struct tensor *type, struct blob *elements, struct undo *undo, struct error *err)
{
	int rc;

	fs_own(fs);
	rc = tree_add_tensor(
		fs->model->tree, folder, stem, type, elements, &undo->node, err);
	undo->added = undo->changed = undo->content = rc == 0;
	fs_unlock(fs);
	return rc;
}

/* Members of the new NAME.json beyond its type. */
static int add_rest(
	struct fs *fs, struct node *node, const struct loaded *text, struct error *err)
{
	int rc = model_check(fs->model,
		&(struct change){.what = EDIT_SIDECAR,
			.node = node,
			.edited = text->bytes,
			.edited_len = text->len},
		err);

	if (rc < 0)
		return rc;
	fs_own(fs);
	rc = tree_set_sidecar(fs->model->tree, node, text->bytes, text->len, err);
	fs_unlock(fs);
	return rc;
}

int accept_new(struct fs *fs, struct node *folder, const char *stem, struct blob *sidecar,
	struct blob *elements, struct undo *undo, struct error *err)
{
	AUTO_SIDECAR asked = {0};
	AUTO_LOADED text = {0};
	int rc = load_text(sidecar, SIDECAR_MAX, &text, err);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&fs->model->lock);
	rc = sidecar_parse_new(fs->model, text.bytes, text.len, &asked, err);
	pthread_mutex_unlock(&fs->model->lock);
	if (rc < 0)
		return rc;
	if (asked.type->bytes != blob_size(elements)) {
		(void)refuse_size(asked.type, blob_size(elements), err);
		return -EAGAIN;
	}
	rc = check_new(fs, folder, stem, asked.type, err);
	if (rc == 0)
		rc = add_tensor(fs, folder, stem, asked.type, elements, undo, err);
	if (rc == 0 && asked.rest)
		rc = add_rest(fs, undo->node, &text, err);
	if (rc < 0)
		undo_apply(fs, undo);
	return rc;
}
