/* edits: see edits.h. */
#include "tests/fuzz/edits.h"
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/document.h"
#include "fs/verify.h"
#include <errno.h>
#include <string.h>

int edits_check(struct editing *e, const struct change *change)
{
	struct error err = {0};
	int rc = model_check(e->model, change, &err);

	if (rc < 0)
		fuzz_refused(rc, &err);
	return rc;
}

void edits_set(int rc)
{
	HOLDS(rc == 0 || rc == -EEXIST || rc == -EINVAL || rc == -ENAMETOOLONG);
}

/* Elements. */

struct blob *edits_elements(struct editing *e, uint64_t size)
{
	unsigned char *bytes = malloc(size + 1),
		      first = (unsigned char)fuzz_draw(&e->draw, 256);
	struct blob *blob = NULL;

	HOLDS(bytes != NULL);
	for (uint64_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(first + i);
	HOLDS(blob_memory(&blob, bytes, size, NULL) == 0);
	return blob;
}

struct blob *edits_over(struct editing *e, struct node *node, uint64_t size)
{
	AUTO_BLOB *old = NULL;
	struct blob *staged = NULL;

	if (fuzz_draw(&e->draw, 2) == 0)
		return edits_elements(e, size);
	if (model_content(e->model, node, &old, NULL) < 0)
		return NULL;
	HOLDS(blob_staged(&staged, old, &e->pool, NULL) == 0);
	HOLDS(blob_resize(staged, size, NULL) == 0);
	if (size > 0)
		HOLDS(blob_write(staged, fuzz_draw(&e->draw, 256) % size, "\x01", 1,
			      NULL) == 0);
	return staged;
}

/* Texts. */

void edits_document(struct editing *e, struct node *node, const struct text *base,
	const struct text *edited)
{
	struct error err = {0};
	char *text = NULL;
	size_t len = 0;
	int rc = document_apply(e->model, node, base->bytes, base->len, edited->bytes,
		edited->len, &text, &len, &err);

	if (rc < 0)
		fuzz_refused(rc, &err);
	else if (text != NULL)
		tree_set_value(node->view->value, text, len);
}

/* The elements that fit a sidecar's type; NULL where they stay. False: refused. */
static bool fit_content(struct editing *e, struct node *node,
	const struct sidecar *sidecar, struct blob **content)
{
	const struct tensor *old = NULL, *type = sidecar->type;

	HOLDS(model_tensor_now(e->model, node, &old, NULL) == 0);
	if (type == NULL)
		type = old;
	if (type->bytes != old->bytes &&
		(type->bytes > ELEMENTS_MAX ||
			(e->model->decoder->flags & DECODER_RESIZES) == 0))
		return false;
	if (type->bytes != old->bytes)
		*content = edits_over(e, node, type->bytes);
	if (sidecar->value != NULL) {
		blob_unref(content);
		HOLDS(blob_staged(content, NULL, &e->pool, NULL) == 0);
		HOLDS(blob_write(*content, 0, sidecar->value, dtype_size(type->dtype),
			      NULL) == 0);
	}
	return *content != NULL || type->bytes == old->bytes;
}

static void accept_sidecar(struct editing *e, struct node *node,
	const struct sidecar *sidecar, const struct text *text)
{
	struct change change = {EDIT_TYPE, .node = node, .type = sidecar->type,
		.edited = text->bytes, .edited_len = text->len};
	AUTO_BLOB *content = NULL;

	if (!fit_content(e, node, sidecar, &content) ||
		(sidecar->type != NULL && edits_check(e, &change) < 0))
		return;
	change.what = EDIT_SIDECAR;
	if (sidecar->rest && edits_check(e, &change) < 0)
		return;
	if (sidecar->type != NULL)
		edits_set(tree_set_type(e->model->tree, node, sidecar->type, NULL));
	if (sidecar->rest)
		edits_set(tree_set_sidecar(
			e->model->tree, node, text->bytes, text->len, NULL));
	if (content != NULL)
		edits_set(tree_set_content(e->model->tree, node, content, NULL));
}

void edits_sidecar(struct editing *e, struct node *node, const struct text *base,
	const struct text *edited)
{
	struct sidecar sidecar = {0};
	struct error err = {0};
	int rc = sidecar_parse(e->model, node, base->bytes, base->len, edited->bytes,
		edited->len, &sidecar, &err);

	if (rc < 0)
		fuzz_refused(rc, &err);
	else
		accept_sidecar(e, node, &sidecar, edited);
	sidecar_done(&sidecar);
}

/* Outcomes. */

/* Who makes a damaged container say something else is stopped by the last look. */
static void complain(const struct model *model, const char *what, const char *why)
{
	if (model->damaged == 0)
		fuzz_fail("%s: %s", what, why);
}

static void check_outcome(struct model *model, struct source *outcome)
{
	AUTO_MODEL *again = NULL;
	struct error err = {0};

	if (model_open(&again, outcome, NULL, &err) < 0)
		complain(model, "what was encoded is refused", err.text);
	/* Without its last layer a model may be one of another format. */
	if (again == NULL || again->decoder != model->decoder)
		return;
	if (verify_outcome(model, again, &err) < 0)
		complain(model, "what was encoded is not the edited tree", err.text);
	if (again->readonly != NULL)
		complain(model, "what was encoded is read-only", again->readonly);
	fuzz_walk(again);
}

void edits_outcome(struct model *model)
{
	AUTO_SOURCE *outcome = NULL;
	AUTO_PLAN *plan = NULL;
	struct error err = {0};
	int rc = model_encode(model, &plan, &err);

	if (rc < 0) {
		fuzz_refused(rc, &err);
		return;
	}
	HOLDS(plan_outcome(plan, &outcome, &err) == 0);
	check_outcome(model, outcome);
}

void edits_undo(struct model *model)
{
	for (struct value *value = model->tree->values; value != NULL;
		value = value->next)
		tree_set_value(value, NULL, 0);
	while (model->tree->last_edit != NULL) {
		struct edit *last = model->tree->last_edit;
		struct error err = {0};

		if (tree_undo(model->tree, last->node, last->what, &err) < 0)
			fuzz_fail("an edit is not undone: %s", err.text);
	}
	HOLDS(tree_clean(model->tree));
	fuzz_unedited(model);
}
