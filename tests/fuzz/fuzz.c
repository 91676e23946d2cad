/*
 * fuzz: a model is opened, looked at in every way and encoded without an edit.
 *
 * The hard idea: hostile bytes may be refused or shown, but what is shown must keep the
 * promises of DESIGN: names that are components, documents that parse, and that
 * nothing has changed when what was read is written back.
 */
#include "tests/fuzz/fuzz.h"
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/document.h"
#include "decoders/grammar/json.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SUFFIX_MAX 5	      /* of ".json" */
#define RENDER_MAX (1u << 20) /* bytes of a document that is taken back */

void fuzz_fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fputc('\n', stderr);
	abort();
}

/* Drawing. */

struct draw fuzz_tail(const uint8_t *data, size_t *size, size_t max)
{
	size_t n = *size < max ? *size : max;

	*size -= n;
	return (struct draw){data + *size, n};
}

unsigned fuzz_draw(struct draw *draw, unsigned n)
{
	return draw->left == 0 ? 0 : draw->bytes[--draw->left] % n;
}

size_t fuzz_journal(const uint8_t *data, size_t size)
{
	size_t len;

	if (size < 2)
		return 0;
	len = data[size - 2] + 256u * data[size - 1];
	return size - 2 - (len < size - 2 ? len : size - 2);
}

/* Opening. */

static bool is_clean(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

void fuzz_refused(int rc, const struct error *err)
{
	if (rc >= 0 || rc < -4095)
		fuzz_fail("expected a negative errno, found %d", rc);
	if (rc == -EBADMSG)
		fuzz_fail("our own mistake: %s", err->text);
	if (err->text[0] == '\0' || !is_clean(err->text))
		fuzz_fail("expected a line that says why (%s), found <%s>", strerror(-rc),
			err->text);
}

struct model *fuzz_open_source(struct source *source, const char *format)
{
	struct model *model = NULL;
	struct error err = {0};
	int rc = model_open(&model, source, format, &err);

	if (rc == 0)
		return model;
	fuzz_refused(rc, &err);
	HOLDS(model == NULL);
	return NULL;
}

struct model *fuzz_open(const uint8_t *data, size_t size, const char *format)
{
	AUTO_SOURCE *source = NULL;

	HOLDS(source_memory(&source, data, size, "input", NULL) == 0);
	return fuzz_open_source(source, format);
}

/* Walking. */

static void check_name(const struct node *node)
{
	size_t len = strlen(node->name);

	HOLDS(len > 0 && len + (node->kind == NODE_TENSOR ? SUFFIX_MAX : 0) <= 255);
	HOLDS(strchr(node->name, '/') == NULL && is_clean(node->name));
	HOLDS(strcmp(node->name, ".") != 0 && strcmp(node->name, "..") != 0);
	HOLDS(json_utf8(node->name, len));
}

static void read_piece(struct blob *blob, uint64_t off, size_t len)
{
	struct error err = {0};
	char bytes[64];
	ssize_t n = blob_read(blob, off, bytes, len, &err);

	if (n < 0)
		fuzz_refused((int)n, &err);
	HOLDS(n <= (ssize_t)len);
}

static void read_content(struct model *model, struct node *node)
{
	AUTO_BLOB *blob = NULL;
	struct error err = {0};
	const struct tensor *type = NULL;
	int rc = model_content(model, node, &blob, &err);

	if (rc < 0) {
		fuzz_refused(rc, &err);
		return;
	}
	HOLDS(model_tensor(model, node, &type, &err) == 0);
	HOLDS(blob_size(blob) == type->bytes);
	read_piece(blob, 0, 64);
	read_piece(blob, blob_size(blob) / 2, 7);
	read_piece(blob, blob_size(blob) > 64 ? blob_size(blob) - 64 : 0, 64);
	read_piece(blob, blob_size(blob), 1);
}

static void check_json(const struct text *text)
{
	AUTO_JSON *json = NULL;
	struct error err = {0};
	int rc = json_parse(&json, text->bytes, text->len, JSON_NONFINITE, &err);

	if (rc < 0)
		fuzz_fail("expected a document that parses: %s: %.*s", err.text,
			(int)(text->len < 400 ? text->len : 400), text->bytes);
}

/* An editor that leaves a space at the end, so that the texts have to be compared as
 * data. */
static void put_space(const struct text *text, struct text *out)
{
	text_put(out, text->bytes, text->len);
	text_putc(out, ' ');
	HOLDS(text_check(out, NULL) == 0);
}

static void take_back_sidecar(
	struct model *model, struct node *node, const struct text *text)
{
	struct sidecar sidecar = {0};
	struct error err = {0};
	AUTO_TEXT saved = {0};
	int rc;

	put_space(text, &saved);
	rc = sidecar_parse(model, node, text->bytes, text->len, saved.bytes, saved.len,
		&sidecar, &err);

	if (rc < 0 && rc != -EOPNOTSUPP)
		fuzz_fail("a sidecar that was read is refused: %s", err.text);
	HOLDS(rc < 0 || (sidecar.type == NULL && sidecar.value == NULL && !sidecar.rest));
	sidecar_done(&sidecar);
}

static void look_at_tensor(struct model *model, struct node *node)
{
	const struct tensor *type = NULL;
	struct error err = {0};
	AUTO_TEXT text = {0};
	int rc = model_tensor(model, node, &type, &err);

	if (rc == 0)
		rc = sidecar_render(model, node, &text, &err);
	if (rc < 0) {
		fuzz_refused(rc, &err);
		return;
	}
	HOLDS(type->error == NULL || is_clean(type->error));
	check_json(&text);
	if (text.len <= RENDER_MAX)
		take_back_sidecar(model, node, &text);
	read_content(model, node);
}

static void look_at_document(struct model *model, struct node *node)
{
	struct error err = {0};
	AUTO_TEXT text = {0}, saved = {0};
	char *edited = NULL;
	size_t len = 0;
	int rc = document_render(model, node, &text, &err);

	if (rc < 0) {
		fuzz_refused(rc, &err);
		return;
	}
	check_json(&text);
	if (text.len > RENDER_MAX)
		return;
	put_space(&text, &saved);
	rc = document_apply(model, node, text.bytes, text.len, saved.bytes, saved.len,
		&edited, &len, &err);
	if (rc < 0 && rc != -EOPNOTSUPP)
		fuzz_fail("%s: a document that was read is refused: %s", node->name,
			err.text);
	HOLDS(edited == NULL);
}

static int no_fact(void *arg, const char *name, const char *value)
{
	(void)arg;
	HOLDS(name[0] != '\0' && value != NULL);
	return 0;
}

static void look_at(struct model *model, struct node *node)
{
	if (node->kind == NODE_TENSOR)
		look_at_tensor(model, node);
	else if (node->kind == NODE_DOCUMENT)
		look_at_document(model, node);
	else if (node->kind == NODE_LINK)
		HOLDS(node->target[0] != '\0' && node->target[0] != '/');
	(void)model_facts(model, node, no_fact, NULL);
}

bool fuzz_expand(struct model *model)
{
	struct node *root = model->tree->root;

	for (struct node *node = root; node != NULL; node = tree_walk(root, node)) {
		struct error err = {0};
		int rc = node->kind == NODE_FOLDER ? model_expand(model, node, &err) : 0;

		if (rc < 0) {
			fuzz_refused(rc, &err);
			return false;
		}
	}
	return true;
}

void fuzz_walk(struct model *model)
{
	struct node *root = model->tree->root;

	HOLDS(model->readonly == NULL || is_clean(model->readonly));
	if (!fuzz_expand(model))
		return;
	for (struct node *node = root; node != NULL; node = tree_walk(root, node)) {
		if (node != root)
			check_name(node);
		look_at(model, node);
	}
	HOLDS(tree_clean(model->tree));
}

void fuzz_unedited(struct model *model)
{
	AUTO_PLAN *plan = NULL;
	struct error err = {0};
	int rc = model_encode(model, &plan, &err);

	if (rc < 0)
		fuzz_fail("an unedited tree is not encoded: %s", err.text);
	HOLDS(plan_unchanged(plan));
}

void fuzz_container(const uint8_t *data, size_t size, const char *format)
{
	AUTO_MODEL *model = fuzz_open(data, size, format);

	if (model == NULL)
		return;
	fuzz_walk(model);
	fuzz_unedited(model);
}
