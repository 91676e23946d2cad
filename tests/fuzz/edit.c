/*
 * edit: what was encoded decodes to the edited tree, whatever the container and the
 *edits.
 *
 *	container | script, the last SCRIPT_MAX bytes, read backwards
 *
 * The edits go the way of fs/: judged by the decoder, then put into the tree. An encoder
 * may refuse what is left; what it makes must be right. Undone, nothing is left.
 */
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/names.h"
#include "decoders/base/spill.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/document.h"
#include "decoders/grammar/json.h"
#include "tests/fuzz/edits.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SCRIPT_MAX 48
#define EDITS_MAX 6

/* Drawing. */

static const char *const names[] = {"a", "b", "0", "layers", "dense", "kernel", "bias",
	"config", "a.b", "x.bin", "%", "..", "\xc3\xa9", "\x01", "", "vars", "dense_1:0"};
static const char *const values[] = {"0", "1", "-1", "3.5", "1e400", "1e-9", "NaN",
	"18446744073709551615", "true", "null", "\"\"", "\"x\"", "\"float32\"",
	"\"int8\"", "\"S3\"", "\"\\u0000\"", "\"\\ud800\"", "[]", "[0]", "[2, 3]",
	"[1, [2]]", "{}", "{\"k\": 1}", "{\"%bytes\": \"AAH/\"}",
	"{\"%complex\": [1, 2]}", "{\"%reference\": \"/\"}",
	"[[\"re\", \"<f4\"], [\"n\", \"<i2\", [3]]]"};
static const char *const dtypes[] = {"uint8", "int8", "bool", "int16", "float32",
	"bfloat16", "float64", "S4", "complex64"};

#define DRAW(e, array) ((array)[fuzz_draw(&(e)->draw, sizeof(array) / sizeof *(array))])

/* One of the nodes of these kinds (a set of bits), or NULL. */
static struct node *draw_node(struct editing *e, unsigned kinds)
{
	struct node *root = e->model->tree->root, *node;
	unsigned n = 0, which;

	for (node = root; node != NULL; node = tree_walk(root, node))
		n += (kinds >> node->kind & 1) != 0 && node != root;
	if (n == 0)
		return NULL;
	which = fuzz_draw(&e->draw, n < 256 ? n : 256);
	for (node = root; node != NULL; node = tree_walk(root, node))
		if ((kinds >> node->kind & 1) != 0 && node != root && which-- == 0)
			break;
	return node;
}

/* A component that a user could type: canonical, as fs/ demands. False: none. */
static bool draw_name(struct editing *e, enum names_place place, struct text *name)
{
	const char *piece = DRAW(e, names);
	char separator = e->model->tree->separator;

	if (strchr(piece, separator) != NULL || strchr(piece, '/') != NULL)
		return false;
	names_piece(piece, strlen(piece), separator, place, name);
	return text_check(name, NULL) == 0 && strchr(name->bytes, '/') == NULL;
}

/* Elements. */

static void edit_content(struct editing *e)
{
	struct node *node = draw_node(e, 1u << NODE_TENSOR);
	const struct tensor *type = NULL;
	AUTO_BLOB *content = NULL;

	if (node == NULL || model_tensor_now(e->model, node, &type, NULL) < 0 ||
		(type->flags & TENSOR_NO_BIN) != 0 || type->bytes > ELEMENTS_MAX)
		return;
	content = edits_over(e, node, type->bytes);
	TRACE("content of %s\n", node->name);
	if (content != NULL)
		edits_set(tree_set_content(e->model->tree, node, content, NULL));
}

/* Texts. */

/* Prints an array or object without one of its children. */
static void put_without(
	const struct json *json, json_value v, json_value child, struct text *out)
{
	bool object = json_type(json, v) == JSON_OBJECT;
	const char *comma = "";
	size_t len;

	text_putc(out, object ? '{' : '[');
	for (json_value c = json_first(json, v); c != JSON_NONE; c = json_next(json, c)) {
		AUTO_TEXT key = {0};
		const char *raw = json_raw(json, c, &len);

		if (c == child)
			continue;
		text_puts(out, comma);
		comma = ", ";
		if (object) {
			json_key(json, c, &key);
			json_put_string(out, key.bytes != NULL ? key.bytes : "", key.len);
			text_puts(out, ": ");
		}
		text_put(out, raw, len);
	}
	text_putc(out, object ? '}' : ']');
}

static void put_more(
	struct editing *e, const struct json *json, json_value v, struct text *out)
{
	size_t len;
	const char *raw = json_raw(json, v, &len), *value = DRAW(e, values);
	bool object = json_type(json, v) == JSON_OBJECT;

	if (!object && json_type(json, v) != JSON_ARRAY) {
		text_puts(out, value);
		return;
	}
	text_put(out, raw, len - 1);
	text_puts(out, json_count(json, v) > 0 ? ", " : "");
	text_printf(out, "%s%s%c", object ? "\"new\": " : "", value, object ? '}' : ']');
}

/* What a text editor may do: a value is replaced, removed or added. */
static void edit_text(struct editing *e, const struct text *text, struct text *out)
{
	struct json *json = NULL;
	struct json_stand stand = {0};
	AUTO_TEXT with = {0};
	unsigned steps = fuzz_draw(&e->draw, 24), what = fuzz_draw(&e->draw, 4);
	json_value v = 0;

	HOLDS(json_parse(&json, text->bytes, text->len, JSON_NONFINITE, NULL) == 0);
	for (; steps > 0; steps--) {
		json_value next = json_first(json, v);

		if (next == JSON_NONE || steps % 3 == 0)
			next = json_next(json, v);
		if (next == JSON_NONE)
			break;
		v = next;
	}
	stand.value = v;
	if (what == 0 && v != 0) {
		stand.value = json_parent(json, v);
		put_without(json, stand.value, v, &with);
	} else if (what == 1) {
		put_more(e, json, v, &with);
	} else {
		text_puts(&with, DRAW(e, values));
	}
	stand.text = with.bytes;
	stand.len = with.len;
	json_splice(json, &stand, 1, out);
	json_free(json);
	HOLDS(text_check(out, NULL) == 0);
}

static void edit_document(struct editing *e)
{
	struct node *node = draw_node(e, 1u << NODE_DOCUMENT);
	AUTO_TEXT base = {0}, edited = {0};
	struct error err = {0};

	if (node == NULL || document_render(e->model, node, &base, &err) < 0)
		return;
	edit_text(e, &base, &edited);
	TRACE("document %s: %s\n  to %s\n", node->name, base.bytes, edited.bytes);
	edits_document(e, node, &base, &edited);
}

static void edit_sidecar(struct editing *e)
{
	struct node *node = draw_node(e, 1u << NODE_TENSOR);
	AUTO_TEXT base = {0}, edited = {0};
	struct error err = {0};

	if (node == NULL || sidecar_render(e->model, node, &base, &err) < 0)
		return;
	edit_text(e, &base, &edited);
	TRACE("sidecar %s: %s\n  to %s\n", node->name, base.bytes, edited.bytes);
	edits_sidecar(e, node, &base, &edited);
}

/* Structure. */

static void remove_node(struct editing *e)
{
	struct node *node = draw_node(e, 0xf);

	if (node == NULL || (node->flags & NODE_FIXED) != 0 ||
		edits_check(e, &(struct change){.what = EDIT_REMOVED, .node = node}) < 0)
		return;
	TRACE("remove %s\n", node->name);
	edits_set(tree_remove(e->model->tree, node, NULL));
}

static void move_node(struct editing *e)
{
	struct node *node = draw_node(e, 0xf & ~(1u << NODE_DOCUMENT)), *parent;
	struct change change = {.what = EDIT_MOVED, .node = node};
	AUTO_TEXT name = {0};

	if (node == NULL)
		return;
	parent = fuzz_draw(&e->draw, 2) == 0 ? node->parent
					     : draw_node(e, 1u << NODE_FOLDER);
	if (parent == NULL || (parent->flags & NODE_GROWS) == 0 ||
		(node->flags & NODE_FIXED) != 0 ||
		!draw_name(
			e, node->kind == NODE_TENSOR ? NAMES_STEM : NAMES_FOLDER, &name))
		return;
	change.parent = parent;
	change.name = name.bytes;
	TRACE("move %s to %s/%s\n", node->name, parent->name, name.bytes);
	if (edits_check(e, &change) == 0)
		edits_set(tree_move(e->model->tree, node, parent, name.bytes, NULL));
}

/* NAME.json of a new tensor: of a type of ours, or of what another one says. */
static struct tensor *new_type(struct editing *e)
{
	const char *dtype = DRAW(e, dtypes);
	unsigned n = fuzz_draw(&e->draw, 4);
	struct sidecar sidecar = {0};
	AUTO_TEXT text = {0};
	struct tensor *type;

	text_printf(&text, "{\"dtype\": \"%s\", \"shape\": [%s%u]}", dtype,
		n > 1 ? "2, " : "", n);
	HOLDS(sidecar_parse_new(e->model, text.bytes, text.len, &sidecar, NULL) == 0);
	type = sidecar.type;
	sidecar.type = NULL;
	sidecar_done(&sidecar);
	return type;
}

static void add_node(struct editing *e)
{
	struct node *parent = draw_node(e, 1u << NODE_FOLDER), *node;
	bool folder = fuzz_draw(&e->draw, 3) == 0;
	struct change change = {.what = EDIT_ADDED,
		.parent = parent,
		.kind = folder ? NODE_FOLDER : NODE_TENSOR};
	struct tree *tree = e->model->tree;
	AUTO_TEXT name = {0};

	if (parent == NULL || (parent->flags & NODE_GROWS) == 0 ||
		!draw_name(e, folder ? NAMES_FOLDER : NAMES_STEM, &name))
		return;
	change.name = name.bytes;
	TRACE("add %s %s/%s\n", folder ? "folder" : "tensor", parent->name, name.bytes);
	if (folder) {
		if ((e->model->decoder->flags & DECODER_FOLDERS) != 0 &&
			edits_check(e, &change) == 0)
			edits_set(tree_add_folder(tree, parent, name.bytes, &node, NULL));
		return;
	}
	struct tensor *type = new_type(e);
	AUTO_BLOB *content = edits_elements(e, type->bytes);

	change.type = type;
	if (edits_check(e, &change) == 0)
		edits_set(tree_add_tensor(
			tree, parent, name.bytes, type, content, &node, NULL));
}

static void edit(struct editing *e)
{
	switch (fuzz_draw(&e->draw, 8)) {
	case 0:
	case 1: edit_content(e); break;
	case 2: edit_document(e); break;
	case 3:
	case 4: edit_sidecar(e); break;
	case 5: remove_node(e); break;
	case 6: move_node(e); break;
	default: add_node(e); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct editing e = EDITING;

	e.draw = fuzz_tail(data, &size, SCRIPT_MAX);
	AUTO_MODEL *model = fuzz_open(data, size, NULL);
	if (model == NULL || model->readonly != NULL || !fuzz_expand(model))
		return 0;
	e.model = model;
	for (unsigned n = 1 + fuzz_draw(&e.draw, EDITS_MAX); n > 0; n--)
		edit(&e);
	edits_outcome(model);
	edits_undo(model);
	return 0;
}
