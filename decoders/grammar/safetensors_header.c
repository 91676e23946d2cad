/*
 * safetensors_header: the header read by position, and the names of its types.
 */
#include "decoders/grammar/safetensors_header.h"
#include "decoders/base/cursor.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/grammar/json.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of a type that is not in the table. */
#define DTYPE_NAME_MAX 64
#define DTYPE_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

/* Types of the specification, often met ones first. */
static const struct {
	const char *stored, *name;
} types[] = {
	{"F32", "float32"},
	{"BF16", "bfloat16"},
	{"F16", "float16"},
	{"I64", "int64"},
	{"U8", "uint8"},
	{"I8", "int8"},
	{"F8_E4M3", "float8_e4m3fn"},
	{"F8_E5M2", "float8_e5m2"},
	{"I32", "int32"},
	{"U32", "uint32"},
	{"F64", "float64"},
	{"BOOL", "bool"},
	{"I16", "int16"},
	{"U16", "uint16"},
	{"U64", "uint64"},
	{"C64", "complex64"},
	{"F8_E8M0", "float8_e8m0fnu"},
	{"F8_E4M3FNUZ", "float8_e4m3fnuz"},
	{"F8_E5M2FNUZ", "float8_e5m2fnuz"},
	{"F6_E2M3", "float6_e2m3fn"},
	{"F6_E3M2", "float6_e3m2fn"},
	{"F4", "float4_e2m1fn"},
};
#define N_TYPES (sizeof types / sizeof *types)

void safetensors_header_done(struct safetensors_header *header)
{
	json_free(header->json);
	free(header->text);
}

bool safetensors_is_metadata(const struct json *json, json_value member)
{
	return json_key_is(
		json, member, SAFETENSORS_METADATA, sizeof SAFETENSORS_METADATA - 1);
}

int safetensors_header_text(
	struct safetensors_header *header, struct source *source, struct error *err)
{
	uint64_t size = source_size(source);
	struct cursor cursor;
	int rc;

	cursor_init(&cursor, source, 0, SAFETENSORS_HEADER_AT, err);
	header->len = cursor_le64(&cursor);
	rc = cursor_check(&cursor);
	if (rc < 0)
		return rc;
	if (header->len > SAFETENSORS_HEADER_MAX)
		return error_set(err, EINVAL,
			"offset 0: header length: expected at most %d, found %" PRIu64,
			SAFETENSORS_HEADER_MAX, header->len);
	if (header->len > size - SAFETENSORS_HEADER_AT)
		return error_set(err, EINVAL,
			"offset 0: header length: expected at most %" PRIu64
			" (the rest of the file), found %" PRIu64,
			size - SAFETENSORS_HEADER_AT, header->len);
	header->text = malloc(header->len + 1);
	if (header->text == NULL)
		return error_set(err, ENOMEM, "not enough memory for a header");
	rc = source_read(source, SAFETENSORS_HEADER_AT, header->text, header->len, err);
	if (rc < 0)
		return rc;
	header->text[header->len] = '\0';
	return 0;
}

int safetensors_header_members(const struct safetensors_header *header, json_member_fn fn,
	void *arg, struct error *err)
{
	int rc = json_parse_members(header->text, header->len, fn, arg, err);

	if (rc < 0)
		error_prefix(err, "header at offset %d", SAFETENSORS_HEADER_AT);
	return rc;
}

int safetensors_header_read(
	struct safetensors_header *header, struct source *source, struct error *err)
{
	int rc = safetensors_header_text(header, source, err);

	if (rc < 0)
		return rc;
	rc = json_parse(&header->json, header->text, header->len, 0, err);
	if (rc == 0 && json_type(header->json, 0) != JSON_OBJECT)
		rc = error_set(err, EINVAL, "expected an object, found %s",
			json_type_name(json_type(header->json, 0)));
	if (rc < 0)
		error_prefix(err, "header at offset %d", SAFETENSORS_HEADER_AT);
	return rc;
}

static int refuse_type(const struct json *json, json_value v, const char *member,
	const char *expected, struct error *err)
{
	return error_set(err, EINVAL, "%s: expected %s, found %s", member, expected,
		v != JSON_NONE ? json_type_name(json_type(json, v)) : "none");
}

/* A number as the reference implementation reads one: digits, neither 1.0 nor 1e0. */
static int read_uint(const struct json *json, json_value v, const char *member,
	uint64_t *out, struct error *err)
{
	size_t len;
	const char *raw = json_raw(json, v, &len);
	int rc = json_uint64(json, v, out, err);

	if (rc == 0 && strspn(raw, "0123456789") < len)
		rc = error_set(
			err, EINVAL, "expected an integer, found %.*s", (int)len, raw);
	if (rc == 0)
		return 0;
	error_prefix(err, "%s", member);
	return -EINVAL;
}

static bool is(const struct json *json, json_value v, enum json_type type)
{
	return v != JSON_NONE && json_type(json, v) == type;
}

static int entry_read_offsets(struct safetensors_entry *entry, const struct json *json,
	json_value offsets, struct error *err)
{
	static const char expected[] = "two offsets";
	int rc;

	if (!is(json, offsets, JSON_ARRAY) || json_count(json, offsets) != 2)
		return refuse_type(json, offsets, "data_offsets", expected, err);
	entry->first = json_first(json, offsets);
	entry->last = json_next(json, entry->first);
	rc = read_uint(json, entry->first, "data_offsets", &entry->begin, err);
	if (rc == 0)
		rc = read_uint(json, entry->last, "data_offsets", &entry->end, err);
	if (rc < 0)
		return rc;
	if (entry->begin > entry->end)
		return error_set(err, EINVAL,
			"data_offsets: expected an end behind %" PRIu64
			", found %" PRIu64,
			entry->begin, entry->end);
	return 0;
}

/* Finds the members of an entry, the last of several; others are allowed. */
int safetensors_entry_read(struct safetensors_entry *entry, const struct json *json,
	json_value member, struct error *err)
{
	json_value offsets = JSON_NONE;

	*entry = (struct safetensors_entry){
		.member = member, .dtype = JSON_NONE, .shape = JSON_NONE};
	if (json_type(json, member) != JSON_OBJECT)
		return refuse_type(json, member, "header", "an object", err);
	for (json_value v = json_first(json, member); v != JSON_NONE;
		v = json_next(json, v)) {
		json_value *field = NULL;

		if (json_key_is(json, v, "dtype", 5))
			field = &entry->dtype;
		else if (json_key_is(json, v, "shape", 5))
			field = &entry->shape;
		else if (json_key_is(json, v, "data_offsets", 12))
			field = &offsets;
		if (field == NULL)
			continue;
		entry->twice |= *field != JSON_NONE;
		*field = v;
	}
	if (!is(json, entry->dtype, JSON_STRING))
		return refuse_type(json, entry->dtype, "dtype", "a string", err);
	if (!is(json, entry->shape, JSON_ARRAY))
		return refuse_type(json, entry->shape, "shape", "a list", err);
	return entry_read_offsets(entry, json, offsets, err);
}

const char *safetensors_dtype_stored(const struct dtype *dtype)
{
	for (size_t i = 0; i < N_TYPES; i++)
		if (strcmp(types[i].name, dtype->name) == 0)
			return types[i].stored;
	return NULL;
}

/* A type that the specification did not have yet: its name stands as it is. */
static int read_new_dtype(const struct json *json, json_value v, const struct dtype **out,
	struct error *err)
{
	AUTO_TEXT name = {0};
	const struct dtype *dtype;

	json_string(json, v, &name);
	if (name.failed)
		return text_check(&name, err);
	for (size_t i = 0; i < name.len; i++)
		if (i == DTYPE_NAME_MAX || strchr(DTYPE_LETTERS, name.bytes[i]) == NULL ||
			name.bytes[i] == '\0')
			return error_set(err, EINVAL,
				"dtype: expected the name of a type, found \"%.*s\"",
				(int)(i + 1), name.bytes);
	dtype = name.len == 0 ? NULL : dtype_find(name.bytes, name.len);
	if (name.len == 0 ||
		(dtype != NULL && (dtype->class != DTYPE_OPAQUE || dtype->bits > 0)))
		return error_set(err, EINVAL,
			"dtype: expected a type of safetensors, found \"%.*s\"",
			(int)name.len, name.len > 0 ? name.bytes : "");
	*out = dtype_intern(name.bytes, name.len, DTYPE_OPAQUE, 0);
	return *out != NULL ? 0 : error_set(err, ENOMEM, "not enough memory for a type");
}

int safetensors_dtype(const struct json *json, json_value v, const struct dtype **out,
	struct error *err)
{
	size_t len;
	const char *raw = json_raw(json, v, &len);

	for (size_t i = 0; i < N_TYPES; i++)
		if (strncmp(types[i].stored, raw + 1, len - 2) == 0 &&
			types[i].stored[len - 2] == '\0') {
			*out = dtype_find(types[i].name, strlen(types[i].name));
			return 0;
		}
	return read_new_dtype(json, v, out, err);
}

int safetensors_shape(const struct json *json, json_value v,
	uint64_t shape[SAFETENSORS_RANK_MAX], struct error *err)
{
	int rank = 0;

	if (json_count(json, v) > SAFETENSORS_RANK_MAX)
		return error_set(err, EINVAL,
			"shape: expected at most %d numbers, found %zu",
			SAFETENSORS_RANK_MAX, json_count(json, v));
	for (v = json_first(json, v); v != JSON_NONE; v = json_next(json, v))
		if (read_uint(json, v, "shape", &shape[rank++], err) < 0)
			return -EINVAL;
	return rank;
}

/* Whether a member is a string, and its key as well, of whole characters. */
static bool is_text(const struct json *json, json_value member)
{
	AUTO_TEXT text = {0};

	if (json_type(json, member) != JSON_STRING)
		return false;
	json_key(json, member, &text);
	json_string(json, member, &text);
	return !text.failed && json_utf8(text.bytes, text.len);
}

int safetensors_metadata_check(const struct json *json, json_value metadata,
	json_value *wrong, struct error *err)
{
	const char *found;
	AUTO_TEXT key = {0};

	*wrong = metadata;
	if (json_type(json, metadata) != JSON_OBJECT)
		return error_set(err, EINVAL, "expected an object of strings, found %s",
			json_type_name(json_type(json, metadata)));
	*wrong = json_first(json, metadata);
	while (*wrong != JSON_NONE && is_text(json, *wrong))
		*wrong = json_next(json, *wrong);
	if (*wrong == JSON_NONE)
		return 0;
	found = json_type_name(json_type(json, *wrong));
	if (json_type(json, *wrong) == JSON_STRING)
		found = "half a character";
	text_put(&key, "", 0);
	json_key(json, *wrong, &key);
	return error_set(err, EINVAL, "%.*s: expected a string, found %s", (int)key.len,
		key.bytes, found);
}

static int compare_ranges(const void *a, const void *b)
{
	const struct safetensors_range *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

int safetensors_ranges_check(
	struct safetensors_range *ranges, size_t n, uint64_t len, struct error *err)
{
	uint64_t at = 0;
	size_t i = 1;

	while (i < n && compare_ranges(&ranges[i - 1], &ranges[i]) <= 0)
		i++;
	if (i < n)
		qsort(ranges, n, sizeof *ranges, compare_ranges);
	for (i = 0; i < n && ranges[i].begin == at; i++)
		at = ranges[i].end;
	if (i < n)
		return error_set(err, EINVAL,
			"data_offsets: expected a tensor that begins at %" PRIu64
			", found the next one at %" PRIu64,
			at, ranges[i].begin);
	if (at != len)
		return error_set(err, EINVAL,
			"expected the last tensor to end at %" PRIu64
			", where the file ends, found %" PRIu64,
			len, at);
	return 0;
}
