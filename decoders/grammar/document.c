/*
 * document: views of JSON values, rendered with the names of parts that have folders of
 * their own, and taken back.
 *
 * The hard idea: a saved document is never the value. It is compared with what
 * the document showed when it was opened, after both have got their parts back in
 * the places of the names; the difference is laid over the value's text as it is now. So
 * the parts cannot be lost, and two documents of one value do not undo each other.
 *
 * Pointers are those of the container's text and stay so while it is edited: an array
 * that holds names keeps its elements' places.
 */
#include "decoders/grammar/document.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/grammar/json.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A part that stands out of a document. */
struct part {
	json_value value; /* in the value's text */
	const struct view *view;
};

/* A document with the value around it. */
struct document {
	const struct view *view;
	const struct json *json; /* of the value's text as it is now */
	struct json *own;	 /* the same, where nobody else keeps it */
	json_value root;	 /* what the document views */
	struct part *parts;	 /* sorted by value; none lies inside another */
	size_t n_parts;
};

static void document_done(struct document *document)
{
	json_free(document->own);
	free(document->parts);
}

#define AUTO_DOCUMENT __attribute__((cleanup(document_done))) struct document

static void free_stands(struct json_stand **stands)
{
	free(*stands);
}

#define AUTO_STANDS __attribute__((cleanup(free_stands))) struct json_stand

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "not enough memory for a document");
}

static void free_index(void *index)
{
	json_free(index);
}

/* Parses what the value is now; many views of one value share the index. */
static int document_index(struct document *document, struct model *model,
	struct value *value, struct error *err)
{
	const char *text = value->edited;
	size_t len = value->edited_len;
	int rc = 0;

	if (text == NULL)
		rc = model_load(model, value, &text, &len, err);
	if (rc < 0)
		return rc;
	if (value->views == NULL || value->views->next == NULL) {
		rc = json_parse(&document->own, text, len, JSON_NONFINITE, err);
		document->json = document->own;
		return rc;
	}
	pthread_mutex_lock(&model->lock);
	if (value->index == NULL) {
		struct json *json = NULL;

		rc = json_parse(&json, text, len, JSON_NONFINITE, err);
		value->index = json;
		value->index_free = free_index;
	}
	document->json = value->index;
	pthread_mutex_unlock(&model->lock);
	return rc;
}

/* The rest of a pointer that lies strictly below another; NULL where it does not. */
static const char *below(const char *pointer, const char *top)
{
	size_t len = strlen(top);

	return strncmp(pointer, top, len) == 0 && pointer[len] == '/' ? pointer + len
								      : NULL;
}

/* Whether `v` is `outer` or lies inside it: what contains a value has a lower number. */
static bool inside(const struct json *json, json_value v, json_value outer)
{
	while (v > outer)
		v = json_parent(json, v);
	return v == outer;
}

static int compare_parts(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

static int document_parts(struct document *document, struct error *err)
{
	const struct view *top = document->view;
	size_t n = 0, kept = 0;

	for (const struct view *v = top->value->views; v != NULL; v = v->next)
		n += v->stand != NULL && below(v->pointer, top->pointer) != NULL;
	if (n == 0 || top->whole)
		return 0;
	document->parts = calloc(n, sizeof *document->parts);
	if (document->parts == NULL)
		return no_memory(err);
	n = 0;
	for (const struct view *v = top->value->views; v != NULL; v = v->next) {
		if (v->stand == NULL || below(v->pointer, top->pointer) == NULL)
			continue;
		document->parts[n].value = json_at(document->json, v->pointer);
		document->parts[n].view = v;
		n += document->parts[n].value != JSON_NONE;
	}
	qsort(document->parts, n, sizeof *document->parts, compare_parts);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !inside(document->json, document->parts[i].value,
					 document->parts[kept - 1].value))
			document->parts[kept++] = document->parts[i];
	document->n_parts = kept;
	return 0;
}

static int document_open(struct document *document, struct model *model,
	struct node *node, struct error *err)
{
	int rc;

	document->view = node->view;
	rc = document_index(document, model, node->view->value, err);
	if (rc < 0) {
		error_prefix(err, "%s", node->name);
		return rc;
	}
	document->root = json_at(document->json, node->view->pointer);
	if (document->root == JSON_NONE)
		return error_set(err, EINVAL,
			"%s: nothing is at %s of the edited document around it",
			node->name, node->view->pointer);
	return document_parts(document, err);
}

int document_render(
	struct model *model, struct node *node, struct text *out, struct error *err)
{
	AUTO_DOCUMENT document = {0};
	AUTO_STANDS *stands = NULL;
	int rc = document_open(&document, model, node, err);

	if (rc < 0)
		return rc;
	stands = calloc(document.n_parts + 1, sizeof *stands);
	if (stands == NULL)
		return no_memory(err);
	for (size_t i = 0; i < document.n_parts; i++)
		stands[i] = (struct json_stand){document.parts[i].value,
			document.parts[i].view->stand,
			strlen(document.parts[i].view->stand)};
	json_print(document.json, document.root, stands, document.n_parts, true, out);
	return text_check(out, err);
}

/* Appends the step to a value from what contains it: ".key" or "[2]". */
static void put_step(const struct json *json, json_value v, struct text *out)
{
	json_value up = json_parent(json, v);
	size_t i = 0;

	if (json_type(json, up) == JSON_OBJECT) {
		if (out->len > 0)
			text_putc(out, '.');
		json_key(json, v, out);
		return;
	}
	for (json_value e = json_first(json, up); e != v; e = json_next(json, e))
		i++;
	text_printf(out, "[%zu]", i);
}

/* A name in the base was changed; `now` is what stands in its place, if anything. */
static int refuse_name(const struct json *base, json_value name,
	const struct json *edited, json_value now, struct error *err)
{
	json_value way[JSON_DEPTH_MAX + 1];
	AUTO_TEXT path = {0};
	unsigned line, column, n = 0;

	for (json_value v = name; v != 0; v = json_parent(base, v))
		way[n++] = v;
	while (n > 0)
		put_step(base, way[--n], &path);
	(void)error_set(err, EOPNOTSUPP,
		"%s: expected the name of its folder as it was, found something else (mv "
		"renames)",
		path.bytes != NULL ? path.bytes : "");
	if (now != JSON_NONE) {
		json_place(edited, now, &line, &column);
		error_prefix(err, "%u:%u", line, column);
	}
	return -EOPNOTSUPP;
}

/* Whether a name is in the same place of the edited text. Arrays that hold
 * names keep their length, so that the elements keep their numbers. */
static bool same_name(const struct json *base, json_value name, const struct json *edited,
	json_value now)
{
	json_value up = json_parent(base, name);

	if (!json_equal(base, name, edited, now))
		return false;
	return json_type(base, up) != JSON_ARRAY ||
	       json_count(base, up) == json_count(edited, json_parent(edited, now));
}

/* A saved text on its way: parsed, and then with the parts in the names' places. */
struct saved {
	struct json *json;
	struct json_stand *with;
	struct text full;
	struct json *full_json;
};

static void saved_done(struct saved *saved)
{
	json_free(saved->json);
	free(saved->with);
	json_free(saved->full_json);
	text_done(&saved->full);
}

#define AUTO_SAVED __attribute__((cleanup(saved_done))) struct saved

static int saved_open(struct saved *saved, const char *text, size_t len, size_t n_parts,
	struct error *err)
{
	int rc = json_parse(&saved->json, text, len, JSON_NONFINITE, err);

	if (rc < 0)
		return rc;
	saved->with = calloc(n_parts + 1, sizeof *saved->with);
	return saved->with != NULL ? 0 : no_memory(err);
}

static int compare_stands(const void *a, const void *b)
{
	const struct json_stand *x = a, *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

static int saved_fill(struct saved *saved, size_t n, struct error *err)
{
	int rc;

	qsort(saved->with, n, sizeof *saved->with, compare_stands);
	json_splice(saved->json, saved->with, n, &saved->full);
	rc = text_check(&saved->full, err);
	if (rc < 0)
		return rc;
	return json_parse(&saved->full_json, saved->full.bytes, saved->full.len,
		JSON_NONFINITE, err);
}

/* Puts the parts back in the places of their names, in both texts. */
static int fill_in(const struct document *document, struct saved *base,
	struct saved *edited, struct error *err)
{
	size_t n = 0;
	int rc;

	for (size_t i = 0; i < document->n_parts; i++) {
		const struct part *part = &document->parts[i];
		const char *way = below(part->view->pointer, document->view->pointer);
		json_value name = json_at(base->json, way), now;
		size_t len;
		const char *raw;

		if (name == JSON_NONE)
			continue; /* it did not stand out when this was opened */
		raw = json_raw(base->json, name, &len);
		if (len != strlen(part->view->stand) ||
			memcmp(raw, part->view->stand, len) != 0)
			continue;
		now = json_at(edited->json, way);
		if (now == JSON_NONE || !same_name(base->json, name, edited->json, now))
			return refuse_name(base->json, name, edited->json, now, err);
		raw = json_raw(document->json, part->value, &len);
		base->with[n] = (struct json_stand){name, raw, len};
		edited->with[n++] = (struct json_stand){now, raw, len};
	}
	rc = saved_fill(base, n, err);
	return rc < 0 ? rc : saved_fill(edited, n, err);
}

/* Lays the edit over the value; *text stays NULL where nothing changes. */
static int merge(const struct document *document, const struct saved *base,
	const struct saved *edited, struct text *whole, struct error *err)
{
	AUTO_JSON *old = NULL;
	AUTO_TEXT merged = {0};
	struct json_stand with;
	size_t len;
	const char *raw = json_raw(document->json, document->root, &len);
	int rc = json_parse(&old, raw, len, JSON_NONFINITE, err);

	if (rc < 0)
		return rc;
	rc = json_merge(old, base->full_json, edited->full_json, &merged, err);
	if (rc == 0)
		rc = text_check(&merged, err);
	if (rc < 0)
		return rc;
	if (merged.len == len && memcmp(merged.bytes, raw, len) == 0)
		return 0;
	with = (struct json_stand){document->root, merged.bytes, merged.len};
	json_splice(document->json, &with, 1, whole);
	return text_check(whole, err);
}

int document_apply(struct model *model, struct node *node, const char *base,
	size_t base_len, const char *edited, size_t edited_len, char **text, size_t *len,
	struct error *err)
{
	AUTO_DOCUMENT document = {0};
	AUTO_SAVED was = {0}, saved = {0};
	AUTO_TEXT whole = {0};
	struct change change = {.node = node, .value = node->view->value};
	int rc;

	*text = NULL;
	if (base_len == edited_len && memcmp(base, edited, base_len) == 0)
		return 0;
	if (edited_len > DOCUMENT_MAX)
		return error_set(err, EFBIG,
			"expected a document of at most %u bytes, found %zu",
			DOCUMENT_MAX, edited_len);
	rc = document_open(&document, model, node, err);
	if (rc == 0)
		rc = saved_open(&saved, edited, edited_len, document.n_parts, err);
	if (rc == 0)
		rc = saved_open(&was, base, base_len, document.n_parts, err);
	/* Keys that the container has twice are its own affair. */
	if (rc == 0 && json_check_keys(was.json, NULL) == 0)
		rc = json_check_keys(saved.json, err);
	if (rc == 0)
		rc = fill_in(&document, &was, &saved, err);
	if (rc == 0)
		rc = merge(&document, &was, &saved, &whole, err);
	if (rc < 0 || whole.bytes == NULL)
		return rc;
	change.edited = whole.bytes;
	change.edited_len = whole.len;
	change.document = edited;
	change.document_len = edited_len;
	rc = model_check(model, &change, err);
	if (rc < 0)
		return rc;
	*text = text_take(&whole, len);
	return *text != NULL ? 0 : no_memory(err);
}
