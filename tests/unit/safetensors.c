/* safetensors: fixtures against their listings, hostile headers, what is refused,
 * many tensors. */
#include "tests/unit/safetensors.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "tests/unit/listing.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <time.h>

/* What opening says, or why the model is read-only. */
static void complains(
	const char *json, size_t len, const char *data, size_t data_len, const char *want)
{
	AUTO_SOURCE *source = container(json, len, data, data_len);
	struct error err = {0};
	AUTO_MODEL *model = NULL;
	int rc = model_open(&model, source, "safetensors", &err);

	CHECK_STR(rc < 0 ? err.text : model->readonly, want);
}

static void one_fixture(const char *path)
{
	AUTO_SOURCE *source = NULL;
	AUTO_PLAN *plan = NULL;
	struct error err = {0};
	size_t len = 0;
	AUTO_MODEL *model = NULL;
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
	listing_check(model, path);
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
	unit_begin(
		"fixtures read as the official library does, and encode to themselves");
	each_fixture("safetensors/*.safetensors", one_fixture);
}

static void hostile(void)
{
	static const char eight[8] = "12345678";
	AUTO_SOURCE *source = NULL;
	AUTO_MODEL *model = NULL;
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
		"tensor a: shape: expected less than 2^63 bytes of uint8, found more");
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
	AUTO_MODEL *model = model_of(TWO, 0, "1234567", 7);
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
	AUTO_MODEL *model = model_of(json, 0, "12345678", 8);
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

static void check(struct model *model, struct change change, const char *want)
{
	struct error err = {0};
	int rc = model_check(model, &change, &err);

	CHECK_STR(rc < 0 ? err.text : NULL, want);
}

static void checks(void)
{
	AUTO_MODEL *model = model_of(TWO, 0, "12345678", 8);
	struct node *layers = at(model, "layers"), *b = at(model, "layers/b.bin");
	struct change add = {.what = EDIT_ADDED,
		.parent = layers,
		.name = "n",
		.kind = NODE_TENSOR,
		.type = type_of(model, "complex128", 0, NULL)};
	struct change move = {.what = EDIT_MOVED, .node = b, .parent = layers};
	const uint64_t zeros[1025] = {0};
	struct tensor *type;
	struct change text = {.value = model->tree->values,
		.edited = "{\"format\":1}",
		.edited_len = 12,
		.document = "{\n  \"format\": 1\n}\n",
		.document_len = 18};

	unit_begin("what the format cannot hold is refused before it is done");
	check(model, add,
		"dtype: expected a type that safetensors has, found complex128");
	add.type = type_of(model, "float32", 0, NULL);
	check(model, add, NULL);
	add.type = type_of(model, "float32", 1025, zeros);
	check(model, add, "shape: expected at most 1024 dimensions, found 1025");
	type = type_of(model, "float32", 0, NULL);
	type->flags |= TENSOR_NULL;
	add.type = type;
	check(model, add, "shape: expected a list of integers, found null");
	add.type = type_of(model, "float32", 0, NULL);
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

static double seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
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
	AUTO_MODEL *model = NULL;
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
	checks();
	many();
	return unit_end();
}
