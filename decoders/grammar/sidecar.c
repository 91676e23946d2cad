/*
 * sidecar: NAME.json, what a tensor is in a few members: dtype, shape, then only
 * where there is something to say, value, what the format adds, and error.
 *
 * It is rendered when it is looked at and never stored. A saved one is compared member by
 * member with what the file showed, so that only what was typed is asked for.
 */
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/document.h"
#include "decoders/grammar/image.h"
#include "decoders/grammar/json.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FOUND_MAX 40 /* bytes of a value that an error text repeats */
#define RANK_MAX UINT16_MAX
#define SCALAR_MAX 32 /* bytes of one number */

static void put_dtype(struct text *out, const struct dtype *dtype)
{
	if (dtype->class == DTYPE_RECORD)
		text_puts(out, dtype->name);
	else
		image_put_string(out, dtype->name, strlen(dtype->name));
}

/* Whether people edit it as a number. */
static bool scalar(const struct tensor *tensor)
{
	switch (tensor->dtype->class) {
	case DTYPE_BOOL:
	case DTYPE_INT:
	case DTYPE_UINT:
	case DTYPE_FLOAT:
	case DTYPE_MINIFLOAT:
	case DTYPE_COMPLEX: break;
	default: return false;
	}
	return tensor->rank == 0 && !(tensor->flags & (TENSOR_NULL | TENSOR_NO_BIN)) &&
	       dtype_size(tensor->dtype) > 0 && dtype_size(tensor->dtype) <= SCALAR_MAX;
}

static int put_value(struct model *model, struct node *node, const struct tensor *tensor,
	struct text *out, struct error *err)
{
	unsigned char bytes[SCALAR_MAX];
	AUTO_TEXT image = {0};
	AUTO_BLOB *content = NULL;
	int rc = model_content(model, node, &content, err);

	if (rc == 0)
		rc = blob_read_all(content, 0, bytes, dtype_size(tensor->dtype), err);
	if (rc < 0)
		return rc;
	if (image_put_element(&image, tensor->dtype, bytes) < 0)
		return 0; /* a number that has no image */
	text_puts(out, ", \"value\": ");
	text_put(out, image.bytes, image.len);
	return 0;
}

/* Members that a sidecar has of itself; what else it has is the format's. */
static bool common(const struct json *json, json_value member)
{
	return json_key_is(json, member, "dtype", 5) ||
	       json_key_is(json, member, "shape", 5) ||
	       json_key_is(json, member, "value", 5) ||
	       json_key_is(json, member, "error", 5);
}

/* The format's members of a NAME.json that waits to be committed. */
static int put_pending(const struct text *sidecar, struct text *out, struct error *err)
{
	AUTO_JSON *json = NULL;
	int rc = json_parse(&json, sidecar->bytes, sidecar->len, JSON_NONFINITE, err);

	if (rc < 0)
		return rc;
	for (json_value m = json_first(json, 0); m != JSON_NONE; m = json_next(json, m)) {
		AUTO_TEXT key = {0};
		size_t len;
		const char *raw = json_raw(json, m, &len);

		if (common(json, m))
			continue;
		json_key(json, m, &key);
		text_puts(out, ", ");
		json_put_string(out, key.bytes, key.len);
		text_puts(out, ": ");
		text_put(out, raw, len);
	}
	return 0;
}

static int put_rest(struct model *model, struct node *node, const struct tensor *tensor,
	struct text *out, struct error *err)
{
	AUTO_TEXT members = {0};
	int rc;

	if (node->edit != NULL && (node->edit->what & EDIT_SIDECAR))
		return put_pending(&node->edit->sidecar, out, err);
	if (!(tensor->flags & TENSOR_SIDECAR))
		return 0;
	rc = model_sidecar(model, node, &members, err);
	if (rc < 0 || members.len == 0)
		return rc;
	text_puts(out, ", ");
	text_put(out, members.bytes, members.len);
	return text_check(&members, err);
}

/* Appends `compact` in the style of documents. */
static int print(const struct text *compact, struct text *out, struct error *err)
{
	AUTO_JSON *json = NULL;
	int rc = text_check(compact, err);

	if (rc == 0)
		rc = json_parse(&json, compact->bytes, compact->len, JSON_NONFINITE, err);
	if (rc < 0)
		return rc;
	json_print(json, 0, NULL, 0, true, out);
	return text_check(out, err);
}

int sidecar_render(
	struct model *model, struct node *node, struct text *out, struct error *err)
{
	const struct tensor *tensor, *container;
	AUTO_TEXT compact = {0};
	int rc = model_tensor_now(model, node, &tensor, err);

	container = tensor;
	if (rc == 0 && !(node->edit != NULL && (node->edit->what & EDIT_ADDED)))
		rc = model_tensor(model, node, &container, err);
	if (rc < 0)
		return rc;
	text_puts(&compact, "{\"dtype\": ");
	put_dtype(&compact, tensor->dtype);
	text_puts(&compact, ", \"shape\": ");
	tensor_put_shape(tensor, &compact);
	if (scalar(tensor))
		rc = put_value(model, node, tensor, &compact, err);
	if (rc == 0)
		rc = put_rest(model, node, container, &compact, err);
	if (rc < 0)
		return rc;
	if (tensor->error != NULL) {
		text_puts(&compact, ", \"error\": ");
		image_put_string(&compact, tensor->error, strlen(tensor->error));
	}
	text_putc(&compact, '}');
	return print(&compact, out, err);
}

/* "LINE:COLUMN: member: expected ..., found ...". */
static int refuse(const struct json *json, json_value v, const char *member,
	const char *expected, struct error *err)
{
	size_t len;
	const char *raw = json_raw(json, v, &len);
	enum json_type type = json_type(json, v);
	unsigned line, column;

	json_place(json, v, &line, &column);
	if (type == JSON_OBJECT || (type == JSON_ARRAY && len > FOUND_MAX))
		return error_set(err, EINVAL, "%u:%u: %s: expected %s, found %s", line,
			column, member, expected, json_type_name(type));
	return error_set(err, EINVAL, "%u:%u: %s: expected %s, found %.*s%s", line,
		column, member, expected, (int)(len < FOUND_MAX ? len : FOUND_MAX), raw,
		len > FOUND_MAX ? "..." : "");
}

/* Puts the place in front of a text about a member. */
static int locate(const struct json *json, json_value v, const char *member, int rc,
	struct error *err)
{
	if (rc < 0)
		json_locate(json, v, member, err);
	return rc;
}

/* A saved NAME.json. */
struct saved {
	struct model *model;
	const struct json *json;
	const struct json *base; /* what it showed; NULL: it stands alone */
	json_value dtype, shape, value;
	const struct tensor *now; /* what the tensor is so far; NULL: nothing */
};

static int saved_init(struct saved *saved, struct model *model, const struct json *json,
	struct error *err)
{
	int rc;

	*saved = (struct saved){.model = model, .json = json};
	if (json_type(json, 0) != JSON_OBJECT)
		return error_set(err, EINVAL,
			"1:1: expected an object with dtype and shape, found %s",
			json_type_name(json_type(json, 0)));
	rc = json_check_keys(json, err);
	if (rc < 0)
		return rc;
	saved->dtype = json_get(json, 0, "dtype");
	saved->shape = json_get(json, 0, "shape");
	saved->value = json_get(json, 0, "value");
	if (saved->dtype == JSON_NONE || saved->shape == JSON_NONE)
		return error_set(err, EINVAL,
			"1:1: %s: expected a member of this name, found none",
			saved->dtype == JSON_NONE ? "dtype" : "shape");
	return 0;
}

static int read_shape(const struct saved *saved, uint64_t **shape, struct error *err)
{
	const char *expected = "an integer from 0 to 18446744073709551615";
	const struct json *json = saved->json;
	size_t i = 0, n = json_count(json, saved->shape);
	json_value v;

	if (json_type(json, saved->shape) != JSON_ARRAY)
		return refuse(json, saved->shape, "shape", "a list of integers", err);
	if (n > RANK_MAX)
		return refuse(json, saved->shape, "shape", "at most 65535 numbers", err);
	*shape = calloc(n + 1, sizeof **shape);
	if (*shape == NULL)
		return error_set(err, ENOMEM, "not enough memory for a shape");
	for (v = json_first(json, saved->shape); v != JSON_NONE; v = json_next(json, v))
		if (json_uint64(json, v, &(*shape)[i++], NULL) < 0)
			return refuse(json, v, "shape", expected, err);
	return 0;
}

static void free_shape(uint64_t **shape)
{
	free(*shape);
}

/* Elements of a shape, where they can be told apart. */
static uint64_t elements(const struct tensor *tensor)
{
	uint64_t n = 1;

	for (unsigned i = 0; i < tensor->rank; i++)
		if (tensor->shape[i] == 0)
			return 0;
	for (unsigned i = 0; i < tensor->rank; i++)
		if (__builtin_mul_overflow(n, tensor->shape[i], &n))
			return UINT64_MAX;
	return n;
}

/* A type whose dtype has no size that we know has as many bytes as before, and
 * so as many elements. */
static int keep_bytes(const struct saved *saved, struct tensor *type, struct error *err)
{
	if (type->dtype->class == DTYPE_NONE)
		return 0;
	if (saved->now == NULL || saved->now->dtype != type->dtype)
		return refuse(saved->json, saved->dtype, "dtype",
			"a type whose size is known", err);
	if (elements(saved->now) != elements(type))
		return refuse(saved->json, saved->shape, "shape",
			"the same number of elements", err);
	type->bytes = saved->now->bytes;
	return 0;
}

/* Whether the type may have another number of bytes than the tensor has now. */
static int judge_bytes(
	const struct saved *saved, const struct tensor *type, struct error *err)
{
	const struct tensor *now = saved->now;
	bool reshaped;

	if (now == NULL || type->bytes == now->bytes ||
		((type->flags | now->flags) & TENSOR_NO_BIN))
		return 0;
	reshaped = type->rank != now->rank ||
		   memcmp(type->shape, now->shape, now->rank * sizeof *now->shape) != 0;
	if (reshaped && (saved->model->decoder->flags & DECODER_RESIZES))
		return 0;
	return locate(saved->json, reshaped ? saved->shape : saved->dtype,
		reshaped ? "shape" : "dtype",
		error_set(err, EINVAL,
			"expected a type that fills the tensor's %" PRIu64
			" bytes, found one of %" PRIu64 "%s",
			now->bytes, type->bytes,
			reshaped ? "" : " (change the shape as well)"),
		err);
}

/* Whether a member is in both texts and the same; in neither is the same, too. */
static bool same(const struct json *a, const struct json *b, const char *key)
{
	json_value in_a = json_get(a, 0, key), in_b = json_get(b, 0, key);

	if (in_a == JSON_NONE || in_b == JSON_NONE)
		return in_a == in_b;
	return json_equal(a, in_a, b, in_b);
}

static int read_dtype(
	const struct saved *saved, const struct dtype **out, struct error *err)
{
	if (saved->base == NULL || !same(saved->base, saved->json, "dtype"))
		return locate(saved->json, saved->dtype, "dtype",
			sidecar_dtype(saved->json, saved->dtype, out, err), err);
	*out = saved->now->dtype;
	return 0;
}

static int read_type(const struct saved *saved, struct tensor **out, struct error *err)
{
	__attribute__((cleanup(free_shape))) uint64_t *shape = NULL;
	bool null = json_type(saved->json, saved->shape) == JSON_NULL;
	const struct dtype *dtype;
	struct tensor *type;
	uint64_t bytes;
	unsigned rank = (unsigned)json_count(saved->json, saved->shape);
	int rc = read_dtype(saved, &dtype, err);

	if (rc == 0 && !null)
		rc = read_shape(saved, &shape, err);
	if (rc == 0 && !null && dtype->bits > 0)
		rc = locate(saved->json, saved->shape, "shape",
			dtype_bytes(dtype, shape, rank, &bytes, err), err);
	if (rc == 0)
		rc = tree_type(saved->model->tree, dtype, rank, shape, &type, err);
	if (rc < 0)
		return rc == -EOVERFLOW ? -EINVAL : rc;
	if (null)
		type->flags |= TENSOR_NULL;
	if (null || dtype->class == DTYPE_NONE)
		type->flags |= TENSOR_NO_BIN;
	if (!null && dtype->bits == 0)
		rc = keep_bytes(saved, type, err);
	if (rc == 0)
		rc = judge_bytes(saved, type, err);
	if (rc == 0)
		*out = type;
	return rc;
}

static int read_value(const struct saved *saved, const struct tensor *type, void **out,
	struct error *err)
{
	unsigned char bytes[SCALAR_MAX];
	int rc;

	if (!scalar(type))
		return refuse(saved->json, saved->value, "value",
			"none (only a numeric scalar has one)", err);
	rc = image_get_element(type->dtype, saved->json, saved->value, bytes, err);
	if (rc < 0) {
		(void)locate(saved->json, saved->value, "value", rc, err);
		return rc == -ERANGE ? -EINVAL : rc;
	}
	*out = malloc(dtype_size(type->dtype));
	if (*out == NULL)
		return error_set(err, ENOMEM, "not enough memory for a number");
	memcpy(*out, bytes, dtype_size(type->dtype));
	return 0;
}

/* Whether the format's members differ. */
static bool rest_differs(const struct json *base, const struct json *edited)
{
	size_t n = 0;

	for (json_value m = json_first(base, 0); m != JSON_NONE; m = json_next(base, m))
		n += !common(base, m);
	for (json_value m = json_first(edited, 0); m != JSON_NONE;
		m = json_next(edited, m)) {
		AUTO_TEXT key = {0};

		if (common(edited, m))
			continue;
		text_put(&key, "", 0); /* an empty key is a string, too */
		json_key(edited, m, &key);
		if (n-- == 0 || key.failed || memchr(key.bytes, '\0', key.len) != NULL ||
			!same(base, edited, key.bytes))
			return true;
	}
	return n > 0;
}

static int judge_error(const struct saved *saved, bool typed, struct error *err)
{
	json_value error = json_get(saved->json, 0, "error");

	if (error != JSON_NONE && !same(saved->base, saved->json, "error"))
		return refuse(saved->json, error, "error",
			"what was there (it says why there is no .bin)", err);
	if (typed && saved->now->error != NULL)
		return error_set(err, EOPNOTSUPP, "%s", saved->now->error);
	return 0;
}

static int compare(const struct saved *saved, struct sidecar *out, struct error *err)
{
	const struct json *base = saved->base, *json = saved->json;
	bool typed = !same(base, json, "dtype") || !same(base, json, "shape");
	bool valued = saved->value != JSON_NONE && !same(base, json, "value");
	int rc = judge_error(saved, typed || valued, err);

	if (rc == 0 && typed)
		rc = read_type(saved, &out->type, err);
	if (rc == 0 && valued)
		rc = read_value(saved, out->type != NULL ? out->type : saved->now,
			&out->value, err);
	out->rest = rest_differs(base, json);
	return rc;
}

int sidecar_parse(struct model *model, struct node *node, const char *base,
	size_t base_len, const char *edited, size_t edited_len, struct sidecar *out,
	struct error *err)
{
	AUTO_JSON *was = NULL, *json = NULL;
	struct saved saved;
	int rc;

	*out = (struct sidecar){0};
	if (base_len == edited_len && memcmp(base, edited, base_len) == 0)
		return 0;
	rc = json_parse(&json, edited, edited_len, JSON_NONFINITE, err);
	if (rc == 0)
		rc = saved_init(&saved, model, json, err);
	if (rc == 0)
		rc = json_parse(&was, base, base_len, JSON_NONFINITE, err);
	if (rc == 0)
		rc = model_tensor_now(model, node, &saved.now, err);
	saved.base = was;
	if (rc == 0)
		rc = compare(&saved, out, err);
	if (rc < 0)
		sidecar_done(out);
	return rc;
}

int sidecar_parse_new(struct model *model, const char *text, size_t len,
	struct sidecar *out, struct error *err)
{
	AUTO_JSON *json = NULL;
	struct saved saved;
	json_value error;
	int rc = json_parse(&json, text, len, JSON_NONFINITE, err);

	*out = (struct sidecar){0};
	if (rc == 0)
		rc = saved_init(&saved, model, json, err);
	if (rc < 0)
		return rc;
	error = json_get(json, 0, "error");
	if (error != JSON_NONE)
		return refuse(json, error, "error",
			"none (a tensor without elements cannot be added)", err);
	rc = read_type(&saved, &out->type, err);
	if (rc == 0 && saved.value != JSON_NONE)
		rc = read_value(&saved, out->type, &out->value, err);
	for (json_value m = json_first(json, 0); m != JSON_NONE; m = json_next(json, m))
		out->rest |= !common(json, m);
	if (rc < 0)
		sidecar_done(out);
	return rc;
}

void sidecar_done(struct sidecar *sidecar)
{
	free(sidecar->value);
	*sidecar = (struct sidecar){0};
}
