/* Documents and sidecars: what they show, what a saved one changes and what is refused.
 */
#include "decoders/grammar/document.h"
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define LAYER_A \
	"{\"class_name\": \"Dropout\", \"config\": {\"name\": \"a\", \"rate\": 1e-07}}"
#define LAYER_C "{\"class_name\": \"Dense\", \"config\": {\"name\": \"c\", \"units\": 8}}"
#define CONFIG(a, c, tail)                                                \
	"{\"class_name\": \"Functional\", \"config\": {\"layers\": [" a   \
	", {\"class_name\": \"Functional\", \"config\": {\"layers\": [" c \
	"]}}]}, \"build\": " tail "}"
#define OUTER(tail)                                                                  \
	"{\n  \"class_name\": \"Functional\",\n  \"config\": {\n    \"layers\": [\n" \
	"      \"a\",\n      \"inner\"\n    ]\n  },\n  \"build\": " tail "\n}\n"
#define SHOWN_A(rate)                                                                \
	"{\n  \"class_name\": \"Dropout\",\n  \"config\": {\n    \"name\": \"a\",\n" \
	"    \"rate\": " rate "\n  }\n}\n"

/* A format of our own: one value with documents, and a tensor of each sort. */
static int fake_load(
	struct model *model, struct value *value, struct text *out, struct error *err)
{
	(void)model, (void)value, (void)err;
	text_puts(out, CONFIG(LAYER_A, LAYER_C, "1.0"));
	return 0;
}

static int fake_content(
	struct model *model, struct node *node, struct blob **out, struct error *err)
{
	static const char elements[] = "\x00\x00\x80\x3f\x00\x00\x00\x40";
	char *bytes = malloc(8);

	(void)model;
	memcpy(bytes, elements, 8);
	return blob_memory(out, bytes, node->tensor->bytes, err);
}

static int fake_sidecar(
	struct model *model, struct node *node, struct text *out, struct error *err)
{
	(void)model, (void)node, (void)err;
	text_puts(out, "\"values\": [\"x\", \"y\"], \"attributes\": {\"unit\": \"m\"}");
	return 0;
}

static int fake_check(struct model *model, const struct change *change, struct error *err)
{
	(void)model;
	if (change->what == 0 && memmem(change->edited, change->edited_len, "-1", 2))
		return error_set(err, EINVAL, "expected a positive rate");
	return 0;
}

static const struct model_ops fake_ops = {
	.content = fake_content, .sidecar = fake_sidecar, .load = fake_load};

static int add_document(struct model *model, struct value *value, const char *folder,
	const char *pointer, const char *stand)
{
	struct node *parent, *node;
	int rc = tree_folders(
		model->tree, model->tree->root, folder, strlen(folder), &parent, NULL);

	if (rc == 0)
		rc = tree_document(model->tree, parent, "config.json", value, pointer,
			stand, &node, NULL);
	if (rc == 0)
		node->view->whole = strcmp(folder, "whole") == 0;
	return rc;
}

static struct tensor *add_tensor(struct model *model, const char *name, const char *dtype,
	unsigned rank, uint64_t dim, unsigned flags)
{
	struct node *node = NULL;
	const struct dtype *type = dtype_intern(dtype, strlen(dtype), DTYPE_RECORD, 48);

	if (tree_tensor(model->tree, model->tree->root, name, &node, NULL) < 0 ||
		tree_type(model->tree, type, rank, &dim, &node->tensor, NULL) < 0)
		abort();
	node->tensor->flags |= flags;
	return node->tensor;
}

static int fake_decode(struct model *model, struct error *err)
{
	struct value *value = NULL;
	int rc = tree_new(&model->tree, '/', err);

	if (rc == 0)
		rc = tree_value(model->tree, 1, &value, err);
	if (rc < 0)
		return rc;
	model->ops = &fake_ops;
	add_tensor(model, "scalar", "float32", 0, 0, 0);
	add_tensor(model, "vector", "float32", 1, 2, 0);
	add_tensor(model, "strings", "string", 1, 2, TENSOR_NO_BIN | TENSOR_SIDECAR);
	add_tensor(model, "null", "float64", 0, 0, TENSOR_NO_BIN | TENSOR_NULL);
	add_tensor(model, "record", "[[\"a\", \"<f4\"], [\"b\", \"<i2\"]]", 0, 0,
		TENSOR_NO_BIN);
	add_tensor(model, "broken", "int8", 1, 3, TENSOR_NO_BIN)->error =
		"the filter \"x\" is unknown";
	rc = add_document(model, value, "top", "", NULL);
	if (rc == 0)
		rc = add_document(model, value, "inner", "/config/layers/1", "\"inner\"");
	if (rc == 0)
		rc = add_document(model, value, "a", "/config/layers/0", "\"a\"");
	if (rc == 0)
		rc = add_document(
			model, value, "c", "/config/layers/1/config/layers/0", "\"c\"");
	return rc == 0 ? add_document(model, value, "whole", "", NULL) : rc;
}

static unsigned fake_probe(struct source *source)
{
	return source != NULL;
}

static const struct decoder fake = {.name = "fake",
	.title = "fake",
	.edits = "",
	.probe = fake_probe,
	.decode = fake_decode,
	.check = fake_check};

static struct model *model_new_fake(const struct decoder *decoder)
{
	const struct decoder *const list[] = {decoder, NULL};
	struct source *source = NULL;
	struct model *model = NULL;
	struct error err = {0};

	if (source_memory(&source, "x", 1, "fake", &err) < 0 ||
		model_open_with(&model, source, NULL, list, &err) < 0) {
		printf("not ok - the fake model opens (%s)\n", err.text);
		exit(1);
	}
	source_unref(&source);
	return model;
}

static void shows(struct model *model, const char *path, const char *want)
{
	struct node *node = tree_at(model->tree, path);
	struct error err = {0};
	AUTO_TEXT text = {0};
	int rc = node->kind == NODE_DOCUMENT ? document_render(model, node, &text, &err)
					     : sidecar_render(model, node, &text, &err);

	CHECK_STR(rc < 0 ? err.text : text.bytes, want);
}

/* Saves a document over what it showed; what the value becomes, or the error. */
static void saves(struct model *model, const char *path, const char *base,
	const char *edited, const char *want)
{
	struct node *node = tree_at(model->tree, path);
	struct error err = {0};
	char *text = NULL;
	size_t len = 0;
	int rc = document_apply(model, node, base, strlen(base), edited, strlen(edited),
		&text, &len, &err);

	CHECK_STR(rc < 0 ? err.text : text, want);
	CHECK(text == NULL || strlen(text) == len);
	if (text != NULL)
		tree_set_value(node->view->value, text, len);
}

static void documents(void)
{
	AUTO_MODEL *model = model_new_fake(&fake);

	unit_begin("a document has the names of parts that have documents of their own");
	shows(model, "top/config.json", OUTER("1.0"));
	shows(model, "a/config.json", SHOWN_A("1e-07"));
	shows(model, "inner/config.json",
		"{\n  \"class_name\": \"Functional\",\n  \"config\": {\n    \"layers\": "
		"[\n"
		"      \"c\"\n    ]\n  }\n}\n");

	unit_begin("an edit changes what it names and keeps all other bytes");
	saves(model, "a/config.json", SHOWN_A("1e-07"), SHOWN_A("0.5"),
		CONFIG("{\"class_name\": \"Dropout\", \"config\": {\"name\": \"a\", "
		       "\"rate\": 0.5}}",
			LAYER_C, "1.0"));
	shows(model, "a/config.json", SHOWN_A("0.5"));

	unit_begin("two documents of one value do not undo each other");
	saves(model, "top/config.json", OUTER("1.0"), OUTER("NaN"),
		CONFIG("{\"class_name\": \"Dropout\", \"config\": {\"name\": \"a\", "
		       "\"rate\": 0.5}}",
			LAYER_C, "NaN"));
	saves(model, "a/config.json", SHOWN_A("0.5"), SHOWN_A("1e-07"),
		CONFIG(LAYER_A, LAYER_C, "NaN"));

	unit_begin("spelling and white space alone are no edit");
	saves(model, "a/config.json", SHOWN_A("1e-07"),
		"{\"class_name\":\"Dropout\",\"config\":{\"name\":\"a\",\"rate\":0."
		"0000001}}",
		NULL);
	saves(model, "top/config.json", OUTER("NaN"), OUTER("NaN") "\n\n", NULL);
}

static void refusals(void)
{
	AUTO_MODEL *model = model_new_fake(&fake);

	unit_begin("names in a document are not changed, moved, added or removed");
	saves(model, "top/config.json", OUTER("1.0"),
		"{\"class_name\": \"Functional\",\n\"config\": {\"layers\": [\"a\", "
		"\"other\"]}, \"build\": 1.0}",
		"2:28: config.layers[1]: expected the name of its folder as it was, "
		"found something else (mv renames)");
	saves(model, "top/config.json", OUTER("1.0"),
		"{\"config\": {\"layers\": [\"inner\", \"a\"]}, \"build\": 1.0}",
		"1:24: config.layers[0]: expected the name of its folder as it was, "
		"found something else (mv renames)");
	saves(model, "top/config.json", OUTER("1.0"),
		"{\"config\": {\"layers\": [\"a\", \"inner\", \"new\"]}, \"build\": 1.0}",
		"1:24: config.layers[0]: expected the name of its folder as it was, "
		"found something else (mv renames)");
	saves(model, "top/config.json", OUTER("1.0"), "{\"build\": 2}",
		"config.layers[0]: expected the name of its folder as it was, found "
		"something else (mv renames)");

	unit_begin("what is no JSON is refused with its place, what the format refuses, "
		   "too");
	saves(model, "a/config.json", SHOWN_A("1e-07"), "{\n  \"rate\": x\n}\n",
		"2:11: expected a value, found 'x'");
	saves(model, "a/config.json", SHOWN_A("1e-07"), "",
		"1:1: expected a value, found the end of the text");
	saves(model, "a/config.json", SHOWN_A("1e-07"), SHOWN_A("-1"),
		"expected a positive rate");
	shows(model, "a/config.json", SHOWN_A("1e-07"));

	unit_begin("the document in one piece has its parts, and edits them");
	saves(model, "whole/config.json", CONFIG(LAYER_A, LAYER_C, "1.0"),
		CONFIG(LAYER_A,
			"{\"class_name\": \"Dense\", \"config\": {\"name\": \"c\", "
			"\"units\": 9}}",
			"1.0"),
		CONFIG(LAYER_A,
			"{\"class_name\": \"Dense\", \"config\": {\"name\": \"c\", "
			"\"units\": 9}}",
			"1.0"));
	shows(model, "c/config.json",
		"{\n  \"class_name\": \"Dense\",\n  \"config\": {\n    \"name\": \"c\",\n"
		"    \"units\": 9\n  }\n}\n");
}

#define MANY 1000

static int many_load(
	struct model *model, struct value *value, struct text *out, struct error *err)
{
	(void)model, (void)value, (void)err;
	text_puts(out, "{\"layers\": [");
	for (unsigned i = 0; i < MANY; i++) {
		text_printf(out, "%s{\"name\": \"l%u\"", i > 0 ? ", " : "", i);
		for (unsigned j = 0; j < 40; j++)
			text_printf(out, ", \"option_%u\": %u.5", j, j);
		text_puts(out, "}");
	}
	text_puts(out, "]}");
	return 0;
}

static const struct model_ops many_ops = {.load = many_load};

static int many_decode(struct model *model, struct error *err)
{
	struct value *value = NULL;
	char name[32], pointer[32], stand[32];
	int rc = tree_new(&model->tree, '/', err);

	if (rc == 0)
		rc = tree_value(model->tree, 1, &value, err);
	if (rc == 0)
		rc = add_document(model, value, "top", "", NULL);
	model->ops = &many_ops;
	for (unsigned i = 0; i < MANY && rc == 0; i++) {
		(void)snprintf(name, sizeof name, "l%u", i);
		(void)snprintf(pointer, sizeof pointer, "/layers/%u", i);
		(void)snprintf(stand, sizeof stand, "\"l%u\"", i);
		rc = add_document(model, value, name, pointer, stand);
	}
	return rc;
}

static const struct decoder many_decoder = {.name = "many",
	.title = "many",
	.edits = "",
	.probe = fake_probe,
	.decode = many_decode};

/* Seconds; a limit that holds under sanitizers and on a busy machine. */
static void many(void)
{
	AUTO_MODEL *model = model_new_fake(&many_decoder);
	AUTO_TEXT text = {0}, edited = {0};
	struct error err = {0};
	struct timespec start, end;
	struct node *top = tree_at(model->tree, "top/config.json");
	char *new = NULL;
	size_t len = 0;
	char *at;

	unit_begin(
		"a thousand layers are shown, and one of them edited, without trouble");
	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	for (struct node *node = model->tree->root; node != NULL;
		node = tree_walk(model->tree->root, node)) {
		text_clear(&text);
		if (node->kind == NODE_DOCUMENT)
			CHECK_INT(document_render(model, node, &text, &err), 0);
	}
	CHECK(text.len > 500);
	text_clear(&text);
	CHECK_INT(document_render(model, top, &text, &err), 0);
	CHECK(text.len < 20 * MANY);
	text_put(&edited, text.bytes, text.len);
	at = strchr(edited.bytes, '}');
	text_splice(&edited, (size_t)(at - edited.bytes), 0, ", \"k\": 1", 8);
	CHECK_INT(document_apply(model, top, text.bytes, text.len, edited.bytes,
			  edited.len, &new, &len, &err),
		0);
	CHECK(new != NULL &&len > 500 * MANY);
	free(new);
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	CHECK(end.tv_sec - start.tv_sec < 10);
	if (getenv("TIMES") != NULL)
		printf("# %zu bytes of value, %.3f s\n", len,
			(double)(end.tv_sec - start.tv_sec) +
				(double)(end.tv_nsec - start.tv_nsec) / 1e9);
}

static void sidecars(void)
{
	AUTO_MODEL *model = model_new_fake(&fake);

	unit_begin("a sidecar has dtype and shape, and what else there is to say");
	shows(model, "vector.json",
		"{\n  \"dtype\": \"float32\",\n  \"shape\": [2]\n}\n");
	shows(model, "scalar.json",
		"{\n  \"dtype\": \"float32\",\n  \"shape\": [],\n  \"value\": 1.0\n}\n");
	shows(model, "null.json", "{\n  \"dtype\": \"float64\",\n  \"shape\": null\n}\n");
	shows(model, "strings.json",
		"{\n  \"dtype\": \"string\",\n  \"shape\": [2],\n  \"values\": [\n    "
		"\"x\",\n"
		"    \"y\"\n  ],\n  \"attributes\": {\n    \"unit\": \"m\"\n  }\n}\n");
	shows(model, "broken.json",
		"{\n  \"dtype\": \"int8\",\n  \"shape\": [3],\n  \"error\": \"the filter "
		"\\\"x\\\" is unknown\"\n}\n");
}

/* What a saved sidecar asks for: "type dtype rank bytes value rest", or the error. */
static void asks(
	struct model *model, const char *path, const char *edited, const char *want)
{
	struct node *node = path != NULL ? tree_at(model->tree, path) : NULL;
	struct sidecar sidecar = {0};
	AUTO_TEXT base = {0}, found = {0};
	struct error err = {0};
	int rc = node != NULL ? sidecar_render(model, node, &base, &err) : 0;

	if (rc == 0 && node != NULL)
		rc = sidecar_parse(model, node, base.bytes, base.len, edited,
			strlen(edited), &sidecar, &err);
	else if (rc == 0)
		rc = sidecar_parse_new(model, edited, strlen(edited), &sidecar, &err);
	text_puts(&found, rc < 0 ? err.text : "");
	if (sidecar.type != NULL)
		text_printf(&found, "%s rank %u bytes %llu;", sidecar.type->dtype->name,
			sidecar.type->rank, (unsigned long long)sidecar.type->bytes);
	if (sidecar.value != NULL)
		text_printf(&found, "value %02x;", ((unsigned char *)sidecar.value)[3]);
	if (sidecar.rest)
		text_puts(&found, "rest;");
	CHECK_STR(found.bytes, want);
	sidecar_done(&sidecar);
}

static void saved_sidecars(void)
{
	AUTO_MODEL *model = model_new_fake(&fake);

	unit_begin("a saved sidecar asks for what differs and nothing else");
	asks(model, "scalar.json",
		"{\"value\": 1, \"shape\": [], \"dtype\": \"float32\"}", "");
	asks(model, "scalar.json",
		"{\"dtype\": \"float32\", \"shape\": [], \"value\": -2}", "value c0;");
	asks(model, "scalar.json",
		"{\"dtype\": \"int32\", \"shape\": [], \"value\": 1.0}",
		"int32 rank 0 bytes 4;");
	asks(model, "scalar.json",
		"{\"dtype\": \"float32\", \"shape\": [1], \"value\": 1.0}",
		"float32 rank 1 bytes 4;");
	asks(model, "vector.json", "{\"dtype\": \"int64\", \"shape\": []}",
		"int64 rank 0 bytes 8;");
	asks(model, "vector.json",
		"{\"dtype\": \"float32\", \"shape\": [2], \"note\": 1}", "rest;");
	asks(model, "strings.json",
		"{\"dtype\": \"string\", \"shape\": [2], \"values\": [\"x\", \"z\"], "
		"\"attributes\": {\"unit\": \"m\"}}",
		"rest;");
	asks(model, "strings.json",
		"{\"dtype\": \"string\", \"shape\": [2], \"values\": [\"x\", \"y\"]}",
		"rest;");

	unit_begin("a sidecar that cannot be is refused with the place");
	asks(model, "vector.json", "{\"dtype\": \"float32\", \"shape\": [\"a\"]}",
		"1:32: shape: expected an integer from 0 to 18446744073709551615, found "
		"\"a\"");
	asks(model, "vector.json", "{\"dtype\": \"float32\", \"shape\": [-1]}",
		"1:32: shape: expected an integer from 0 to 18446744073709551615, found "
		"-1");
	asks(model, "vector.json", "{\"dtype\": \"float32\", \"shape\": 2}",
		"1:31: shape: expected a list of integers, found 2");
	asks(model, "vector.json", "{\"dtype\": \"float33\", \"shape\": [2]}",
		"1:11: dtype: expected the name of a type such as float32 or int64, "
		"found \"float33\"");
	asks(model, "vector.json", "{\"shape\": [2]}",
		"1:1: dtype: expected a member of this name, found none");
	asks(model, "vector.json", "[]",
		"1:1: expected an object with dtype and shape, found an array");
	asks(model, "vector.json", "{\"dtype\": \"float32\", \"shape\": [3]}",
		"1:31: shape: expected a type that fills the tensor's 8 bytes, found one "
		"of 12");
	asks(model, "vector.json", "{\"dtype\": \"int8\", \"shape\": [2]}",
		"1:11: dtype: expected a type that fills the tensor's 8 bytes, found one "
		"of 2 (change the shape as well)");
	asks(model, "vector.json",
		"{\"dtype\": \"float32\", \"shape\": [2], \"value\": 1}",
		"1:45: value: expected none (only a numeric scalar has one), found 1");
	asks(model, "vector.json",
		"{\"dtype\": \"float32\", \"shape\": [4294967296, 4294967296]}",
		"1:31: shape: expected less than 2^63 bytes of float32, found more");
	asks(model, "broken.json",
		"{\"dtype\": \"int16\", \"shape\": [3], \"error\": \"the filter "
		"\\\"x\\\" is "
		"unknown\"}",
		"the filter \"x\" is unknown");

	unit_begin("a sidecar that stands alone is the type of a new tensor");
	asks(model, NULL, "{\"dtype\": \"int16\", \"shape\": [2, 3]}",
		"int16 rank 2 bytes 12;");
	asks(model, NULL,
		"{\"dtype\": \"float32\", \"shape\": [], \"value\": 1, \"more\": 1}",
		"float32 rank 0 bytes 4;value 3f;rest;");
	asks(model, NULL,
		"{\"dtype\": [[\"a\",\"<f4\"],[\"b\",\"<i2\",[3]],[\"c\",[[\"d\","
		"\"S5\"]]]], \"shape\": [2]}",
		"[[\"a\", \"<f4\"], [\"b\", \"<i2\", [3]], [\"c\", [[\"d\", \"S5\"]]]] "
		"rank 1 "
		"bytes 30;");
	asks(model, NULL, "{\"dtype\": [[\"a\", \"<q4\"]], \"shape\": [2]}",
		"1:11: dtype: expected a type such as \"<f4\" at 1:18 of the record, "
		"found a "
		"string");
	asks(model, NULL,
		"{\"dtype\": [[\"a\", \"<f4\", [4294967296, 4294967296]]], "
		"\"shape\": []}",
		"1:11: dtype: expected a smaller non-negative integer at 1:38 of the "
		"record, "
		"found a number");
	asks(model, NULL, "{\"dtype\": \"int8\", \"shape\": [1], \"error\": \"x\"}",
		"1:42: error: expected none (a tensor without elements cannot be added), "
		"found \"x\"");
}

int main(void)
{
	documents();
	refusals();
	many();
	sidecars();
	saved_sidecars();
	return unit_end();
}
