/* safetensors: every kind of edit, whose outcome is decoded again. */
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "tests/unit/safetensors.h"
#include "tests/unit/unit.h"

static void metadata(void)
{
	AUTO_MODEL *model = model_of(TWO, 0, "12345678", 8), *bare;
	AUTO_PLAN *plan = NULL;
	AUTO_TEXT long_text = {0}, want = {0};
	size_t len;

	unit_begin("an edit of the metadata changes the header alone");
	set_metadata(model, "{\"format\":\"np\"}");
	free(encoded(model, &len, &plan));
	CHECK(plan_patches(plan));
	CHECK(plan_changed_bytes(plan) <= 512);
	encodes(model,
		"{\"__metadata__\":{\"format\":\"np\"},\"a.x\":{\"dtype\":\"F32\","
		"\"shape\":["
		"]," OFFSETS "[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[2,2]," OFFSETS
		"[4,8]}}",
		0, "12345678", 8);

	unit_begin("a header that has outgrown its space grows by 4096 bytes");
	text_puts(&long_text, "{\"format\":\"");
	for (int i = 0; i < 100; i++)
		text_putc(&long_text, 'x');
	text_puts(&long_text, "\"}");
	set_metadata(model, long_text.bytes);
	text_printf(&want,
		"{\"__metadata__\":%s,\"a.x\":{\"dtype\":\"F32\",\"shape\":[]," OFFSETS
		"[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[2,2]," OFFSETS "[4,8]}}",
		long_text.bytes);
	encodes(model, want.bytes, strlen(TWO) + 4096, "12345678", 8);

	unit_begin("metadata that is emptied is no member, and comes back as the first");
	set_metadata(model, "{}");
	encodes(model,
		"{\"a.x\":{\"dtype\":\"F32\",\"shape\":[]," OFFSETS
		"[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[2,2]," OFFSETS "[4,8]}}",
		strlen(TWO), "12345678", 8);
	bare = model_of("{\"b\": {\"dtype\": \"U8\", \"shape\": [2], " OFFSETS
			" [0, 2]}}",
		200, "12", 2);
	set_metadata(bare, "{\"k\": \"v\"}");
	encodes(bare,
		"{\"__metadata__\": {\"k\": \"v\"}, \"b\": {\"dtype\": \"U8\", "
		"\"shape\": "
		"[2], " OFFSETS " [0, 2]}}",
		200, "12", 2);
	model_free(&bare);
	bare = model_of("{}", 40, "", 0);
	set_metadata(bare, "{\"k\":\"v\"}");
	encodes(bare, "{\"__metadata__\":{\"k\":\"v\"}}", 40, "", 0);
	model_free(&bare);
}

static void elements(void)
{
	AUTO_MODEL *model = model_of(TWO, 0, "12345678", 8);
	AUTO_BLOB *four = blob_of("abcd", 4), *two = blob_of("xy", 2);
	AUTO_BLOB *eight = blob_of("ABCDEFGH", 8);
	const uint64_t shape[] = {1, 2}, longer[] = {2};
	AUTO_PLAN *plan = NULL;
	size_t len;

	unit_begin("elements of the same size are patched");
	CHECK_INT(
		tree_set_content(model->tree, at(model, "layers/b.bin"), four, NULL), 0);
	encodes(model, TWO, 0, "1234abcd", 8);
	free(encoded(model, &len, &plan));
	CHECK_INT((intmax_t)plan_changed_bytes(plan), 4);

	unit_begin("a type of as many bytes changes its own tokens");
	CHECK_INT(tree_set_type(model->tree, at(model, "layers/b.bin"),
			  type_of(model, "int16", 2, shape), NULL),
		0);
	encodes(model,
		"{\"__metadata__\":{\"format\":\"pt\"},\"a.x\":{\"dtype\":\"F32\","
		"\"shape\":["
		"]," OFFSETS "[0,4]},\"b\":{\"dtype\":\"I16\",\"shape\":[1,2]," OFFSETS
		"[4,8]}}",
		strlen(TWO) + 4096, "1234abcd", 8);

	unit_begin("a tensor that is resized stays in its place, and what follows moves");
	CHECK_INT(tree_undo(model->tree, at(model, "layers/b.bin"),
			  EDIT_TYPE | EDIT_CONTENT, NULL),
		0);
	CHECK_INT(tree_set_type(model->tree, at(model, "layers/a/x.bin"),
			  type_of(model, "uint8", 1, longer), NULL),
		0);
	CHECK_INT(
		tree_set_content(model->tree, at(model, "layers/a/x.bin"), two, NULL), 0);
	encodes(model,
		"{\"__metadata__\":{\"format\":\"pt\"},\"a.x\":{\"dtype\":\"U8\","
		"\"shape\":["
		"2]," OFFSETS "[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[2,2]," OFFSETS
		"[2,6]}}",
		strlen(TWO), "xy5678", 6);
	CHECK_INT(tree_set_type(model->tree, at(model, "layers/a/x.bin"),
			  type_of(model, "float32", 1, longer), NULL),
		0);
	CHECK_INT(tree_set_content(model->tree, at(model, "layers/a/x.bin"), eight, NULL),
		0);
	encodes(model,
		"{\"__metadata__\":{\"format\":\"pt\"},\"a.x\":{\"dtype\":\"F32\","
		"\"shape\":["
		"2]," OFFSETS "[0,8]},\"b\":{\"dtype\":\"U8\",\"shape\":[2,2]," OFFSETS
		"[8,12]}}",
		strlen(TWO) + 4096, "ABCDEFGH5678", 12);
}

static void structure(void)
{
	AUTO_MODEL *model = model_of(TWO, 0, "12345678", 8);
	AUTO_BLOB *two = blob_of("xy", 2);
	const uint64_t shape[] = {2};
	struct node *folder = NULL, *node = NULL;

	unit_begin("a tensor that is renamed keeps all but its name");
	CHECK_INT(tree_move(model->tree, at(model, "layers/b.bin"), at(model, "layers/a"),
			  "\"q", NULL),
		0);
	encodes(model,
		"{\"__metadata__\":{\"format\":\"pt\"},\"a.x\":{\"dtype\":\"F32\","
		"\"shape\":["
		"]," OFFSETS
		"[0,4]},\"a.\\\"q\":{\"dtype\":\"U8\",\"shape\":[2,2]," OFFSETS "[4,8]}}",
		strlen(TWO) + 4096, "12345678", 8);

	unit_begin("a folder that is renamed renames all in it");
	CHECK_INT(tree_move(model->tree, at(model, "layers/a"), at(model, "layers"), "c",
			  NULL),
		0);
	encodes(model,
		"{\"__metadata__\":{\"format\":\"pt\"},\"c.x\":{\"dtype\":\"F32\","
		"\"shape\":["
		"]," OFFSETS
		"[0,4]},\"c.\\\"q\":{\"dtype\":\"U8\",\"shape\":[2,2]," OFFSETS "[4,8]}}",
		strlen(TWO) + 4096, "12345678", 8);

	unit_begin(
		"a tensor that is removed leaves no gap, one that is added comes last");
	CHECK_INT(tree_remove(model->tree, at(model, "layers/c/x.bin"), NULL), 0);
	encodes(model,
		"{\"__metadata__\":{\"format\":\"pt\"},\"c.\\\"q\":{\"dtype\":\"U8\","
		"\"shape\":[2,2]," OFFSETS "[0,4]}}",
		strlen(TWO), "5678", 4);
	CHECK_INT(
		tree_add_folder(model->tree, at(model, "layers"), "n", &folder, NULL), 0);
	CHECK_INT(tree_add_tensor(model->tree, folder, "0",
			  type_of(model, "uint8", 1, shape), two, &node, NULL),
		0);
	encodes(model,
		"{\"__metadata__\":{\"format\":\"pt\"},\"c.\\\"q\":{\"dtype\":\"U8\","
		"\"shape\":[2,2]," OFFSETS
		"[0,4]},\"n.0\":{\"dtype\":\"U8\",\"shape\":[2]," OFFSETS "[4,6]}}",
		strlen(TWO) + 4096, "5678xy", 6);

	unit_begin("all tensors and the metadata can go, and others come");
	CHECK_INT(tree_remove(model->tree, at(model, "layers/c/\"q.bin"), NULL), 0);
	encodes(model,
		"{\"__metadata__\":{\"format\":\"pt\"},\"n.0\":{\"dtype\":\"U8\","
		"\"shape\":[2]," OFFSETS "[0,2]}}",
		strlen(TWO), "xy", 2);
	set_metadata(model, "{}");
	encodes(model, "{\"n.0\":{\"dtype\":\"U8\",\"shape\":[2]," OFFSETS "[0,2]}}",
		strlen(TWO), "xy", 2);
	CHECK_INT(tree_remove(model->tree, node, NULL), 0);
	encodes(model, "{}", strlen(TWO), "", 0);
}

static void style(void)
{
	static const char json[] =
		"{\n  \"z\\u00e9\" : {\"x\": [], \"data_offsets\": [ 2, 4 ], \"dtype\": "
		"\"\\u00558\", \"shape\": [2]},\n  \"a\": {\"shape\": [2], \"dtype\": "
		"\"U8\", \"data_offsets\": [0, 2]}\n}\n";
	AUTO_MODEL *model = model_of(json, 400, "1234", 4);
	AUTO_BLOB *one = blob_of("x", 1), *three = blob_of("xyz", 3);
	const uint64_t shape[] = {3, 1};
	struct node *node = NULL;

	unit_begin("what is not edited keeps its spelling, what is added follows it");
	if (model == NULL)
		return;
	CHECK_INT(tree_set_type(model->tree, at(model, "layers/a.bin"),
			  type_of(model, "uint8", 1, shape), NULL),
		0);
	CHECK_INT(
		tree_set_content(model->tree, at(model, "layers/a.bin"), three, NULL), 0);
	CHECK_INT(tree_add_tensor(model->tree, at(model, "layers"),
			  "\xc3\xa4\xf0\x9f\x98\x80", type_of(model, "bool", 0, NULL),
			  one, &node, NULL),
		0);
	encodes(model,
		"{\n  \"z\\u00e9\" : {\"x\": [], \"data_offsets\": [ 3, 5 ], \"dtype\": "
		"\"\\u00558\", \"shape\": [2]},\n  \"a\": {\"shape\": [3], \"dtype\": "
		"\"U8\", \"data_offsets\": [0, 3]},\n  \"\\u00e4\\ud83d\\ude00\": "
		"{\"dtype\": \"BOOL\", \"shape\": [], \"data_offsets\": [5, 6]}\n}\n",
		400, "xyz34x", 6);
}

/* Numbers that look random and are the same each time. */
static unsigned draw(unsigned *state, unsigned n)
{
	*state = *state * 1664525 + 1013904223;
	return (*state >> 8) % n;
}

/* A container of some tensors, in one of two styles, with metadata or without. */
static struct model *random_model(unsigned *state)
{
	AUTO_TEXT json = {0}, data = {0};
	const char *space = draw(state, 2) ? " " : "";
	unsigned n = draw(state, 6), at = 0;

	text_puts(&json, "{");
	if (draw(state, 2))
		text_printf(&json, "\"__metadata__\":%s{\"k\":%s\"v\"}%s", space, space,
			n > 0 ? "," : "");
	for (unsigned i = 0; i < n; i++) {
		unsigned len = draw(state, 5);

		text_printf(&json,
			"%s\"f%u.t%u\":%s{\"dtype\":%s\"U8\",%s\"shape\":[%u]," OFFSETS
			"[%u,%s%u]}%s",
			i > 0 ? space : "", i % 2, i, space, space, space, len, at, space,
			at + len, i + 1 < n ? "," : "");
		for (unsigned j = 0; j < len; j++)
			text_putc(&data, (char)('a' + i));
		at += len;
	}
	text_puts(&json, "}");
	return model_of(json.bytes, json.len + draw(state, 40), data.bytes, data.len);
}

/* One of the tensors, or NULL. */
static struct node *random_tensor(struct model *model, unsigned *state)
{
	struct node *found = NULL;
	unsigned n = 0;

	for (struct node *node = model->tree->root; node != NULL;
		node = tree_walk(model->tree->root, node))
		if (node->kind == NODE_TENSOR && draw(state, ++n) == 0)
			found = node;
	return found;
}

static void random_edit(struct model *model, unsigned *state)
{
	static const char bytes[] = "0123456789";
	struct node *node = random_tensor(model, state), *folder = NULL;
	uint64_t len = draw(state, 9);
	AUTO_BLOB *blob = blob_of(bytes, len);
	struct tensor *type = type_of(model, "uint8", 1, &len);
	unsigned what = draw(state, 6);
	char name[16];

	(void)snprintf(name, sizeof name, "n%u", draw(state, 1000000));
	if (what == 0)
		set_metadata(model, draw(state, 2) ? "{}" : "{\"new\":\"metadata\"}");
	else if (what == 1)
		CHECK_INT(tree_add_tensor(model->tree, at(model, "layers"), name, type,
				  blob, &node, NULL),
			0);
	else if (node != NULL && what == 2)
		CHECK_INT(tree_remove(model->tree, node, NULL), 0);
	else if (node != NULL && what == 3)
		CHECK_INT(tree_move(model->tree, node, node->parent, name, NULL), 0);
	else if (node != NULL && what == 4)
		folder = node->parent;
	else if (node != NULL)
		CHECK(tree_set_type(model->tree, node, type, NULL) == 0 &&
			tree_set_content(model->tree, node, blob, NULL) == 0);
	if (folder != NULL && folder != at(model, "layers"))
		CHECK_INT(tree_move(model->tree, folder, folder->parent, name, NULL), 0);
}

/* The tensor is in the other model, too, with the same type and elements. */
static void same_tensor(struct model *model, struct node *node, struct model *other)
{
	const struct tensor *type = NULL, *other_type = NULL;
	AUTO_BLOB *blob = NULL, *other_blob = NULL;
	struct error err = {0};
	AUTO_TEXT path = {0};
	struct node *found;

	tree_path(node, &path);
	found = tree_at(other->tree, path.bytes);
	if (found == NULL) {
		unit_fail("%s is not in the outcome", path.bytes);
		return;
	}
	CHECK_INT(model_tensor_now(model, node, &type, &err), 0);
	CHECK_INT(model_tensor_now(other, found, &other_type, &err), 0);
	CHECK(type->dtype == other_type->dtype && type->rank == other_type->rank &&
		memcmp(type->shape, other_type->shape,
			type->rank * sizeof *type->shape) == 0);
	CHECK_INT(model_content(model, node, &blob, &err), 0);
	CHECK_INT(model_content(other, found, &other_blob, &err), 0);
	CHECK_INT(blob_equal(blob, other_blob, &err), 1);
}

static void same_model(struct model *model, struct model *other)
{
	struct value *metadata = model->tree->values;
	const char *text = "", *other_text = "";
	size_t len = 0, n = 0, n_other = 0;

	CHECK_STR(other->readonly, NULL);
	CHECK_INT(model_load(model, metadata, &text, &len, NULL), 0);
	CHECK_INT(model_load(other, other->tree->values, &other_text, &len, NULL), 0);
	CHECK_STR(other_text, metadata->edited != NULL ? metadata->edited : text);
	for (struct node *node = model->tree->root; node != NULL;
		node = tree_walk(model->tree->root, node)) {
		if (node->kind == NODE_TENSOR)
			same_tensor(model, node, other);
		n += node->kind == NODE_TENSOR;
	}
	for (struct node *node = other->tree->root; node != NULL;
		node = tree_walk(other->tree->root, node))
		n_other += node->kind == NODE_TENSOR;
	CHECK_INT((intmax_t)n, (intmax_t)n_other);
}

static void random_edits(void)
{
	unit_begin("whatever edits meet, what was encoded decodes to the edited tree");
	for (unsigned seed = 1; seed <= 2000 && unit.why[0] == '\0'; seed++) {
		unsigned state = seed, n = 1 + draw(&state, 6);
		AUTO_MODEL *model = random_model(&state), *again = NULL;
		AUTO_SOURCE *outcome = NULL;
		AUTO_PLAN *plan = NULL;
		struct error err = {0};

		while (model != NULL && n-- > 0)
			random_edit(model, &state);
		if (model == NULL || model_encode(model, &plan, &err) < 0 ||
			plan_outcome(plan, &outcome, &err) < 0 ||
			model_open(&again, outcome, NULL, &err) < 0)
			unit_fail("seed %u: %s", seed, err.text);
		else
			same_model(model, again);
		if (unit.why[0] != '\0')
			printf("# seed %u\n", seed);
		model_free(&again);
	}
}

int main(void)
{
	metadata();
	elements();
	structure();
	style();
	random_edits();
	return unit_end();
}
