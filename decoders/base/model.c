/*
 * model: opening a container by evidence, and asking a decoded one for more.
 *
 * Decoders are called under one lock, so that no format has to be thread-safe. What has
 * been asked for once is kept in the tree, where others find it without the lock: so it
 * is published by a flag of the node, stored last.
 */
#include "decoders/base/model.h"
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "decoders/base/spill.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of models whose owner has no place for temporary files. */
static struct spill_pool memory = {
	.dir = -1, .limit = UINT64_MAX, .in_memory = UINT64_MAX};

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "not enough memory for a model");
}

static void unlock(pthread_mutex_t **mutex)
{
	(void)pthread_mutex_unlock(*mutex); /* fails only for who has no lock */
}
#define AUTO_UNLOCK __attribute__((cleanup(unlock), unused)) pthread_mutex_t

/* Takes the model's lock up to the end of the caller's block. */
static pthread_mutex_t *lock(struct model *model)
{
	(void)pthread_mutex_lock(&model->lock); /* a recursive one does not fail */
	return &model->lock;
}

/* Opening. */

static int init_lock(pthread_mutex_t *mutex, struct error *err)
{
	pthread_mutexattr_t attributes;
	int code = pthread_mutexattr_init(&attributes);

	if (code == 0)
		code = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	if (code == 0)
		code = pthread_mutex_init(mutex, &attributes);
	(void)pthread_mutexattr_destroy(&attributes);
	return code == 0 ? 0 : error_set(err, code, "a lock: %s", strerror(code));
}

static int model_new(struct model **out, const struct decoder *decoder,
	struct source *source, struct error *err)
{
	struct model *model = calloc(1, sizeof *model);
	int rc;

	if (model == NULL)
		return no_memory(err);
	rc = init_lock(&model->lock, err);
	if (rc < 0) {
		free(model);
		return rc;
	}
	model->decoder = decoder;
	model->source = source_ref(source);
	model->pool = &memory;
	*out = model;
	return 0;
}

void model_free(struct model **model)
{
	struct model *m = *model;

	*model = NULL;
	if (m == NULL)
		return;
	if (m->ops != NULL && m->ops->free != NULL)
		m->ops->free(m);
	else
		free(m->priv);
	tree_free(&m->tree);
	source_unref(&m->source);
	free(m->readonly);
	(void)pthread_mutex_destroy(&m->lock); /* nobody holds it */
	free(m);
}

/* The format of that name, or the one with the most evidence; the first of equals. */
static const struct decoder *choose(
	const struct decoder *const *list, struct source *source, const char *format)
{
	const struct decoder *best = NULL;
	unsigned most = 0, bits;

	for (; *list != NULL; list++) {
		if (format != NULL && strcmp((*list)->name, format) == 0)
			return *list;
		bits = format == NULL ? (*list)->probe(source) : 0;
		if (bits > most) {
			most = bits;
			best = *list;
		}
	}
	return best;
}

int model_open_with(struct model **out, struct source *source, const char *format,
	const struct decoder *const *list, struct error *err)
{
	const struct decoder *decoder = choose(list, source, format);
	AUTO_MODEL *model = NULL;
	int rc;

	if (decoder == NULL && format != NULL)
		return error_set(err, EINVAL, "%s: no such format", format);
	if (decoder == NULL)
		return error_set(err, EINVAL, "%s: not a model file that weightfs knows",
			source_name(source));
	rc = model_new(&model, decoder, source, err);
	if (rc == 0)
		rc = decoder->decode(model, err);
	if (rc < 0)
		return rc;
	*out = model;
	model = NULL;
	return 0;
}

int model_open(
	struct model **out, struct source *source, const char *format, struct error *err)
{
	return model_open_with(out, source, format, decoder_list, err);
}

void model_set_readonly(struct model *model, const char *fmt, ...)
{
	char *reason = NULL, safe[ERROR_TEXT_MAX];
	va_list args;

	if (model->readonly != NULL)
		return;
	va_start(args, fmt);
	if (vasprintf(&reason, fmt, args) < 0)
		reason = NULL;
	va_end(args);
	if (reason != NULL)
		(void)error_escape(safe, sizeof safe, reason, strlen(reason));
	model->readonly = strdup(reason != NULL ? safe : "not enough memory");
	free(reason);
}

/* Asking for more. */

static uint8_t flags_of(const struct node *node)
{
	return __atomic_load_n(&node->flags, __ATOMIC_ACQUIRE);
}

int model_expand(struct model *model, struct node *folder, struct error *err)
{
	int rc = 0;

	if (!(flags_of(folder) & NODE_LAZY))
		return 0;

	AUTO_UNLOCK *locked = lock(model);
	if (!(flags_of(folder) & NODE_LAZY))
		return 0;
	if (model->ops != NULL && model->ops->expand != NULL)
		rc = model->ops->expand(model, folder, err);
	if (rc < 0)
		tree_empty(folder);
	else
		__atomic_and_fetch(&folder->flags, (uint8_t)~NODE_LAZY, __ATOMIC_RELEASE);
	return rc;
}

/* Sets node->tensor. With the lock held. */
static int describe(struct model *model, struct node *node, struct error *err)
{
	int rc = 0;

	if (node->tensor == NULL && model->ops != NULL && model->ops->describe != NULL)
		rc = model->ops->describe(model, node, err);
	if (rc == 0 && node->tensor == NULL)
		return error_set(
			err, EIO, "%s: the container has no type for it", node->name);
	return rc;
}

int model_tensor(struct model *model, struct node *node, const struct tensor **out,
	struct error *err)
{
	int rc = 0;

	if (!(flags_of(node) & NODE_KNOWN)) {
		AUTO_UNLOCK *locked = lock(model);
		rc = describe(model, node, err);
		if (rc == 0)
			__atomic_or_fetch(&node->flags, NODE_KNOWN, __ATOMIC_RELEASE);
	}
	if (rc == 0)
		*out = node->tensor;
	return rc;
}

int model_tensor_now(struct model *model, struct node *node, const struct tensor **out,
	struct error *err)
{
	if (node->edit == NULL || !(node->edit->what & (EDIT_TYPE | EDIT_ADDED)))
		return model_tensor(model, node, out, err);
	*out = node->edit->tensor;
	return 0;
}

static int no_content(const struct tensor *tensor, struct error *err)
{
	return error_set(err, EOPNOTSUPP, "%s",
		tensor->error != NULL ? tensor->error
				      : "this tensor has no bytes of a fixed size");
}

/* The container's elements. */
static int stored_content(
	struct model *model, struct node *node, struct blob **out, struct error *err)
{
	const struct tensor *tensor = NULL;
	int rc = model_tensor(model, node, &tensor, err);

	if (rc < 0)
		return rc;
	if (tensor->flags & TENSOR_NO_BIN)
		return no_content(tensor, err);
	if (tensor->flags & TENSOR_SPAN)
		return blob_span(out, tensor->source, tensor->off, tensor->bytes, err);
	if (model->ops == NULL || model->ops->content == NULL)
		return no_content(tensor, err);

	AUTO_UNLOCK *locked = lock(model);
	return model->ops->content(model, node, out, err);
}

int model_content(
	struct model *model, struct node *node, struct blob **out, struct error *err)
{
	const struct edit *edit = node->edit;

	if (edit != NULL && edit->content != NULL) {
		*out = blob_ref(edit->content);
		return 0;
	}
	if (edit != NULL && (edit->what & EDIT_ADDED))
		return no_content(edit->tensor, err);
	return stored_content(model, node, out, err);
}

/* Fills value->text. With the lock held. */
static int load(struct model *model, struct value *value, struct error *err)
{
	AUTO_TEXT text = {0};
	int rc;

	if (model->ops == NULL || model->ops->load == NULL)
		return error_set(err, EIO, "the container has no text for a document");
	rc = model->ops->load(model, value, &text, err);
	if (rc == 0)
		rc = text_check(&text, err);
	if (rc < 0)
		return rc;
	value->text = text_take(&text, &value->len);
	return value->text != NULL ? 0 : no_memory(err);
}

int model_load(struct model *model, struct value *value, const char **text, size_t *len,
	struct error *err)
{
	AUTO_UNLOCK *locked = lock(model);
	int rc = 0;

	if (value->text == NULL)
		rc = load(model, value, err);
	if (rc < 0)
		return rc;
	*text = value->text;
	*len = value->len;
	return 0;
}

int model_sidecar(
	struct model *model, struct node *node, struct text *out, struct error *err)
{
	const struct tensor *tensor = NULL;
	int rc = model_tensor(model, node, &tensor, err);

	if (rc < 0 || !(tensor->flags & TENSOR_SIDECAR) || model->ops->sidecar == NULL)
		return rc;

	AUTO_UNLOCK *locked = lock(model);
	rc = model->ops->sidecar(model, node, out, err);
	return rc < 0 ? rc : text_check(out, err);
}

int model_facts(struct model *model, struct node *node, model_fact_fn fn, void *arg)
{
	if (model->ops == NULL || model->ops->facts == NULL)
		return 0;

	AUTO_UNLOCK *locked = lock(model);
	return model->ops->facts(model, node, fn, arg);
}

int model_check(struct model *model, const struct change *change, struct error *err)
{
	if (model->decoder->check == NULL)
		return 0;

	AUTO_UNLOCK *locked = lock(model);
	return model->decoder->check(model, change, err);
}

/* Encoding. */

/* Where the edit's elements stand in the container, when writing over them there is all
 * that has to be done. */
static bool overwrites(
	const struct model *model, const struct edit *edit, uint64_t *container_off)
{
	const struct tensor *tensor = edit->node->tensor;
	struct source *source, *old = model->source;
	uint64_t size = source_size(model->source), off, begin = 0;

	if (edit->what != EDIT_CONTENT || tensor == NULL ||
		!(tensor->flags & TENSOR_SPAN) ||
		blob_size(edit->content) != tensor->bytes)
		return false;
	source = tensor->source;
	off = tensor->off;
	source_resolve(&source, &off);
	source_resolve(&old, &begin);
	*container_off = off - begin;
	return source == old && off >= begin && off - begin <= size &&
	       tensor->bytes <= size - (off - begin);
}

/* Whether all edits are contents that are written over in place. */
static bool can_overwrite(const struct model *model)
{
	uint64_t off;

	if (!(model->decoder->flags & DECODER_PATCHES))
		return false;
	for (const struct value *value = model->tree->values; value != NULL;
		value = value->next)
		if (value->edited != NULL)
			return false;
	for (const struct edit *edit = model->tree->edits; edit != NULL;
		edit = edit->next)
		if (!overwrites(model, edit, &off))
			return false;
	return true;
}

/* What the overlay of an edit leaves to its base becomes the old range that it is. */
static int overwrite(struct model *model, struct plan *plan, struct error *err)
{
	uint64_t off = 0;
	int rc = plan_old(plan, 0, source_size(model->source), err);

	for (struct edit *edit = model->tree->edits; rc == 0 && edit != NULL;
		edit = edit->next) {
		(void)overwrites(model, edit, &off); /* as can_overwrite() said */
		rc = plan_write_blob(
			plan, off, edit->content, 0, blob_size(edit->content), err);
	}
	return rc;
}

int model_encode(struct model *model, struct plan **out, struct error *err)
{
	AUTO_UNLOCK *locked = lock(model);
	AUTO_PLAN *plan = NULL;
	int rc;

	rc = plan_new(&plan, model->source, err);
	if (rc == 0 && can_overwrite(model))
		rc = overwrite(model, plan, err);
	else if (rc == 0 && model->decoder->encode != NULL)
		rc = model->decoder->encode(model, plan, err);
	else if (rc == 0)
		rc = error_set(err, EOPNOTSUPP, "%s containers cannot be edited so",
			model->decoder->title);
	if (rc < 0)
		return rc;
	*out = plan;
	plan = NULL;
	return 0;
}
