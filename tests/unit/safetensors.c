/* safetensors: fixtures against their listings, hostile headers, and every kind of
 * edit, whose outcome is decoded again. */
#include "decoders/base/model.h"
#include "tests/unit/listing.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <time.h>

#define OFFSETS "\"data_offsets\":"
/* Two tensors of four bytes each, as the official writer has them. */
#define TWO                                                                             \
	"{\"__metadata__\":{\"format\":\"pt\"},\"a.x\":{\"dtype\":\"F32\",\"shape\":[]" \
	"," OFFSETS "[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[2,2]," OFFSETS "[4,8]}}"

static void release(struct model **model)
{
	model_free(model);
}
#define AUTO_M __attribute__((cleanup(release))) struct model

/* A container in memory: `n` bytes of header (0: its length), then data. */
static struct source *container(const char *json, size_t n, const char *data, size_t len)
{
	AUTO_TEXT bytes = {0};
	struct source *source = NULL;
	uint64_t size = n > 0 ? n : strlen(json);

	for (unsigned i = 0; i < 8; i++)
		text_putc(&bytes, (char)(size >> 8 * i));
	text_puts(&bytes, json);
	while (bytes.len < 8 + size)
		text_putc(&bytes, ' ');
	text_put(&bytes, data, len);
	CHECK_INT(source_memory(&source, bytes.bytes, bytes.len, "m", NULL), 0);
	return source;
}

static struct model *decode(struct source *source)
{
	struct error err = {0};
	struct model *model = NULL;

	if (model_open(&model, source, NULL, &err) < 0)
		unit_fail("%s", err.text);
	return model;
}

static struct model *model_of(const char *json, size_t n, const char *data, size_t len)
{
	AUTO_SOURCE *source = container(json, n, data, len);

	return decode(source);
}

/* The container with the model's edits, whole. */
static char *encoded(struct model *model, size_t *len, struct plan **plan)
{
	AUTO_SOURCE *outcome = NULL;
	struct error err = {0};
	char *bytes = NULL;

	if (model_encode(model, plan, &err) < 0 ||
		plan_outcome(*plan, &outcome, &err) < 0) {
		unit_fail("%s", err.text);
		return NULL;
	}
	*len = source_size(outcome);
	bytes = malloc(*len + 1);
	CHECK_INT(source_read(outcome, 0, bytes, *len, &err), 0);
	bytes[*len] = '\0';
	return bytes;
}

/* The edits encode to this header and data; decoded again they are no edits. */
static void encodes(struct model *model, const char *json, size_t n, const char *data,
	size_t data_len)
{
	AUTO_SOURCE *want = container(json, n, data, data_len);
	AUTO_PLAN *plan = NULL;
	size_t len = 0, want_len = source_size(want);
	char *bytes = encoded(model, &len, &plan), *want_bytes = malloc(want_len);

	CHECK_INT(source_read(want, 0, want_bytes, want_len, NULL), 0);
	if (bytes != NULL) {
		CHECK_BYTES(bytes + 8, len - 8, want_bytes + 8, want_len - 8);
		CHECK(memcmp(bytes, want_bytes, 8) == 0);
	}
	if (bytes != NULL && len == want_len) {
		AUTO_M *again = decode(want);

		CHECK(again != NULL && again->readonly == NULL && again->damaged == 0);
	}
	free(bytes);
	free(want_bytes);
}

static struct node *at(struct model *model, const char *path)
{
	struct node *node = tree_at(model->tree, path);

	if (node == NULL)
		unit_fail("%s is not there", path);
	return node;
}

static struct blob *blob_of(const char *bytes, size_t len)
{
	struct blob *blob = NULL;
	char *copy = malloc(len + 1);

	memcpy(copy, bytes, len);
	CHECK_INT(blob_memory(&blob, copy, len, NULL), 0);
	return blob;
}

static struct tensor *type_of(
	struct model *model, const char *dtype, unsigned rank, const uint64_t *shape)
{
	struct tensor *type = NULL;

	CHECK_INT(tree_type(model->tree, dtype_find(dtype, strlen(dtype)), rank, shape,
			  &type, NULL),
		0);
	return type;
}

static void set_metadata(struct model *model, const char *json)
{
	tree_set_value(model->tree->values, strdup(json), strlen(json));
}

/* What opening says, or why the model is read-only. */
static void complains(
	const char *json, size_t len, const char *data, size_t data_len, const char *want)
{
	AUTO_SOURCE *source = container(json, len, data, data_len);
	struct error err = {0};
	AUTO_M *model = NULL;
	int rc = model_open(&model, source, "safetensors", &err);

	CHECK_STR(rc < 0 ? err.text : model->readonly, want);
}

static void one_fixture(const char *path)
{
	AUTO_SOURCE *source = NULL;
	AUTO_PLAN *plan = NULL;
	struct error err = {0};
	AUTO_TEXT listing = {0};
	size_t len = 0;
	AUTO_M *model = NULL;
	char *bytes, *old;

	if (source_open(&source, path, &err) < 0) {
		unit_fail("%s", err.text);
		return;
	}
	model = decode(source);
	if (model == NULL)
		return;
	CHECK_STR(model->decoder->name, "safetensors");
	CHECK_STR(model->readonly, NULL);
	text_put(&listing, path, strlen(path) - strlen("safetensors"));
	text_puts(&listing, "listing");
	listing_check(model, listing.bytes);
	bytes = encoded(model, &len, &plan);
	old = malloc(len);
	CHECK(plan_unchanged(plan));
	CHECK_INT((intmax_t)len, (intmax_t)source_size(source));
	CHECK_INT(source_read(source, 0, old, len, &err), 0);
	CHECK(memcmp(bytes, old, len) == 0);
	free(old);
	free(bytes);
}

static void fixtures(void)
{
	const char *folder = getenv("FIXTURES");
	AUTO_TEXT pattern = {0};
	glob_t found;

	unit_begin(
		"fixtures read as the official library does, and encode to themselves");
	text_printf(&pattern, "%s/safetensors/*.safetensors",
		folder != NULL ? folder : "tests/fixtures");
	CHECK_INT(glob(pattern.bytes, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		one_fixture(found.gl_pathv[i]);
	globfree(&found);
}

static void hostile(void)
{
	static const char eight[8] = "12345678";
	AUTO_SOURCE *source = NULL;
	AUTO_M *model = NULL;
	struct error err = {0};

	unit_begin("what is no header is refused in one line");
	complains("{", 0, "", 0,
		"header at offset 8: 1:2: expected a key in quotes, found the end of the "
		"text");
	complains(
		"[]", 0, "", 0, "header at offset 8: expected an object, found an array");
	complains("{\"a\":NaN}", 0, "", 0,
		"header at offset 8: 1:6: expected a finite number, found \"NaN\"");
	CHECK_INT(source_memory(
			  &source, "\xff\xff\xff\xff\x00\x00\x00\x00{}", 10, "m", NULL),
		0);
	CHECK_INT(model_open(&model, source, "safetensors", &err), -EINVAL);
	CHECK_STR(err.text, "offset 0: header length: expected at most 100000000, found "
			    "4294967295");
	source_unref(&source);
	CHECK_INT(source_memory(&source, "\x09\0\0\0\0\0\0\0{\"a\":", 13, "m", NULL), 0);
	CHECK_INT(model_open(&model, source, "safetensors", &err), -EINVAL);
	CHECK_STR(err.text,
		"offset 0: header length: expected at most 5 (the rest of the "
		"file), found 9");
	source_unref(&source);
	CHECK_INT(source_memory(&source, "1234567", 7, "m", NULL), 0);
	CHECK_INT(model_open(&model, source, "safetensors", &err), -EINVAL);

	unit_begin("what the official library refuses is shown and not written");
	complains(TWO, 0, eight, 8, NULL);
	complains(TWO, 0, "123456789", 9,
		"expected the last tensor to end at 9, where the file ends, found 8");
	complains(TWO, 0, eight, 7,
		"tensor b: data_offsets: expected an end of at most 7 (the file's), "
		"found 8");
	complains("{\"a\":{\"dtype\":\"U8\",\"shape\":[4]," OFFSETS "[0,4]},"
		  "\"b\":{\"dtype\":\"U8\",\"shape\":[6]," OFFSETS "[2,8]}}",
		0, eight, 8,
		"data_offsets: expected a tensor that begins at 4, found the next one at "
		"2");
	complains("{\"b\":{\"dtype\":\"U8\",\"shape\":[4]," OFFSETS "[4,8]}}", 0, eight,
		8,
		"data_offsets: expected a tensor that begins at 0, found the next one at "
		"4");
	complains("{\"a\":{\"dtype\":\"U8\",\"shape\":[8]," OFFSETS "[0,8]},"
		  "\"a\":{\"dtype\":\"U8\",\"shape\":[0]," OFFSETS "[8,8]}}",
		0, eight, 8, "several tensors are called a");
	complains("{\"a\":{\"dtype\":\"F32\",\"shape\":[3]," OFFSETS "[0,8]}}", 0, eight,
		8,
		"tensor a: data_offsets: expected 12 bytes by dtype and shape, found 8");
	complains("{\"a\":{\"dtype\":\"float32\",\"shape\":[2]," OFFSETS "[0,8]}}", 0,
		eight, 8,
		"tensor a: dtype: expected a type of safetensors, found \"float32\"");
	complains("{\"a\":{\"dtype\":\"U8\",\"shape\":[8]," OFFSETS "[8,0]}}", 0, eight,
		8, "tensor a: data_offsets: expected an end behind 8, found 0");
	complains("{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296]," OFFSETS
		  "[0,8]}}",
		0, eight, 8,
		"tensor a: shape: dtype uint8: a shape of 2^63 bytes or more");
	complains("{\"a\":{\"dtype\":\"F4\",\"shape\":[3]," OFFSETS "[0,8]}}", 0, eight,
		8,
		"tensor a: shape: dtype float4_e2m1fn: 3 elements of 4 bits do not fill "
		"whole bytes");
	complains("{\"a\":{\"dtype\":\"U8\"," OFFSETS "[0,8]}}", 0, eight, 8,
		"tensor a: shape: expected a list, found none");
	complains("{\"a\":7}", 0, "", 0,
		"tensor a: header: expected an object, found a number");
	complains("{\"__metadata__\":{\"n\":1}}", 0, "", 0,
		"__metadata__: n: expected a string, found a number");
	complains("{\"__metadata__\":{\"n\":\"\\ud800\"}}", 0, "", 0,
		"__metadata__: n: expected a string, found half a character");
	complains("{\"__metadata__\":null}", 0, "", 0, NULL);
	complains("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "", 0,
		"__metadata__ stands twice in the header");
	complains("{\"a\":{\"dtype\":\"U8\",\"shape\":[8.0]," OFFSETS "[0,8]}}", 0, eight,
		8, "tensor a: shape: expected an integer, found 8.0");
	complains("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[8]," OFFSETS
		  "[0,8]}}",
		0, eight, 8, "tensor a: a member stands twice");
	complains("{\"\\ud800\":{\"dtype\":\"U8\",\"shape\":[8]," OFFSETS "[0,8]}}", 0,
		eight, 8, "the name of a tensor has half a character");
}

static void damaged(void)
{
	AUTO_M *model = model_of(TWO, 0, "1234567", 7);
	const struct tensor *tensor = NULL;
	AUTO_BLOB *blob = NULL;
	char bytes[4];

	unit_begin("a file that was cut off shows what is whole, and says what is not");
	if (model == NULL)
		return;
	CHECK_INT(model->damaged, 1);
	CHECK_INT(model_content(model, at(model, "layers/a/x.bin"), &blob, NULL), 0);
	CHECK_INT(blob_read_all(blob, 0, bytes, 4, NULL), 0);
	CHECK(memcmp(bytes, "1234", 4) == 0);
	CHECK_INT(model_tensor(model, at(model, "layers/b.json"), &tensor, NULL), 0);
	CHECK_INT(tensor->flags, TENSOR_NO_BIN);
	CHECK_STR(tensor->error,
		"data_offsets: expected an end of at most 7 (the file's), found 8");
	CHECK_INT(tensor->rank, 2);
}

static void unknown(void)
{
	static const char json[] =
		"{\"a\":{\"dtype\":\"F8_NEW\",\"shape\":[3]," OFFSETS
		"[0,8]},\"b\":{\"dtype\":\"U8\",\"shape\":[0]," OFFSETS "[8,8]}}";
	AUTO_M *model = model_of(json, 0, "12345678", 8);
	const struct tensor *tensor = NULL;

	unit_begin("a type that is not known yet is shown with its bytes and kept");
	if (model == NULL)
		return;
	CHECK_STR(model->readonly, NULL);
	CHECK_INT(model_tensor(model, at(model, "layers/a.bin"), &tensor, NULL), 0);
	CHECK_STR(tensor->dtype->name, "F8_NEW");
	CHECK_INT((intmax_t)tensor->bytes, 8);
	CHECK_INT(tensor->flags, TENSOR_SPAN);
	CHECK_INT(tree_remove(model->tree, at(model, "layers/b.bin"), NULL), 0);
	encodes(model, "{\"a\":{\"dtype\":\"F8_NEW\",\"shape\":[3]," OFFSETS "[0,8]}}",
		strlen(json), "12345678", 8);
}

static void metadata(void)
{
	AUTO_M *model = model_of(TWO, 0, "12345678", 8), *bare;
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
	AUTO_M *model = model_of(TWO, 0, "12345678", 8);
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
	AUTO_M *model = model_of(TWO, 0, "12345678", 8);
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
	AUTO_M *model = model_of(json, 400, "1234", 4);
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

static void check(struct model *model, struct change change, const char *want)
{
	struct error err = {0};
	int rc = model_check(model, &change, &err);

	CHECK_STR(rc < 0 ? err.text : NULL, want);
}

static void checks(void)
{
	AUTO_M *model = model_of(TWO, 0, "12345678", 8);
	struct node *layers = at(model, "layers"), *b = at(model, "layers/b.bin");
	struct change add = {.what = EDIT_ADDED,
		.parent = layers,
		.name = "n",
		.kind = NODE_TENSOR,
		.type = type_of(model, "complex128", 0, NULL)};
	struct change move = {.what = EDIT_MOVED, .node = b, .parent = layers};
	struct change text = {.value = model->tree->values,
		.edited = "{\"format\":1}",
		.edited_len = 12,
		.document = "{\n  \"format\": 1\n}\n",
		.document_len = 18};

	unit_begin("what the format cannot hold is refused before it is done");
	check(model, add, "dtype complex128: safetensors has no such type");
	add.type = type_of(model, "float32", 0, NULL);
	check(model, add, NULL);
	add.name = "__metadata__";
	check(model, add, "__metadata__: the name is taken by the container's metadata");
	add.parent = model->tree->root;
	check(model, add, "__metadata__: tensors stay below layers/");
	move.name = "a%zz";
	check(model, move, "layers/a%zz: no tensor can have that name");
	move.name = "%FF";
	check(model, move, "layers/%FF: expected a name in UTF-8");
	check(model, text, "2:13: format: expected a string, found a number");
	text.edited = text.document = "{\"a\": \"1\"}";
	text.edited_len = text.document_len = 10;
	check(model, text, NULL);
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
		AUTO_M *model = random_model(&state), *again = NULL;
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

static double seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A limit that holds under sanitizers and on a busy machine. */
static void many(void)
{
	const unsigned n = 100000;
	AUTO_TEXT json = {0};
	AUTO_SOURCE *source = NULL;
	AUTO_PLAN *plan = NULL;
	struct error err = {0};
	AUTO_M *model = NULL;
	size_t len;
	double start, mounted, ended;

	unit_begin("100,000 tensors are mounted and one of them renamed without trouble");
	for (unsigned i = 0; i < n; i++)
		text_printf(&json,
			"%s\"model.layers.%u.self_attn.proj.%u.weight\":{\"dtype\":"
			"\"BF16\","
			"\"shape\":[1,2]," OFFSETS "[%u,%u]}",
			i == 0 ? "{" : ",", i / 100, i % 100, 4 * i, 4 * i + 4);
	text_putc(&json, '}');
	{
		char *data = calloc(n, 4);

		source = container(json.bytes, 0, data, 4ul * n);
		free(data);
	}
	start = seconds();
	CHECK_INT(model_open(&model, source, NULL, &err), 0);
	mounted = seconds();
	CHECK_INT(tree_move(model->tree, at(model, "layers/model/layers/7"),
			  at(model, "layers/model/layers"), "seven", NULL),
		0);
	free(encoded(model, &len, &plan));
	ended = seconds();
	CHECK_INT((intmax_t)len, (intmax_t)(source_size(source) + 4096));
	CHECK(mounted - start < 10 && ended - mounted < 10);
	if (getenv("TIMES") != NULL)
		printf("# %zu bytes of header, %.3f s to decode, %.3f s to encode\n",
			json.len, mounted - start, ended - mounted);
}

int main(void)
{
	fixtures();
	hostile();
	damaged();
	unknown();
	metadata();
	elements();
	structure();
	style();
	checks();
	random_edits();
	many();
	return unit_end();
}
