/*
 * sidecar_dtype: a dtype from its JSON: a name, or for records numpy's list of
 * fields, [["re", "<f4"], ["n", "<i2", [3]], ["in", [["a", "|u1"]]]].
 *
 * The size of a record is the sum of its fields': padding is a field of its own,
 * ["", "|V4"] (numpy.dtype.descr). The list is spelled anew, so that one record has one
 * name however it was typed.
 */
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/grammar/document.h"
#include "decoders/grammar/json.h"
#include <errno.h>

#define RECORD_DEPTH_MAX 32
#define RECORD_TEXT_MAX (1u << 20) /* a dtype lives as long as the program */
#define RECORD_BYTES_MAX (INT64_MAX / 16)
#define NAME_MAX_SHOWN 80

struct record {
	const struct json *json;
	struct text name; /* spelled anew */
	unsigned depth;
	struct error *err;
};

/* Bytes of "<f4", "|S10", "?" or a name of the vocabulary; 0: it is none. */
static uint64_t type_bytes(const char *s, size_t len)
{
	static const struct {
		char kind;
		uint64_t most, unit; /* of the number behind it; bytes for each */
	} kinds[] = {{'b', 1, 1}, {'i', 8, 1}, {'u', 8, 1}, {'f', 16, 1}, {'c', 32, 1},
		{'S', INT32_MAX, 1}, {'V', INT32_MAX, 1}, {'U', INT32_MAX, 4}};
	const struct dtype *dtype = dtype_find(s, len);
	uint64_t n = 0;

	if (dtype != NULL)
		return dtype_size(dtype);
	if (len > 0 && (*s == '<' || *s == '>' || *s == '|' || *s == '=')) {
		s++;
		len--;
	}
	if (len == 1 && *s == '?')
		return 1;
	for (size_t i = 1; i < len; i++) {
		if (s[i] < '0' || s[i] > '9' || n > INT32_MAX)
			return 0;
		n = n * 10 + (uint64_t)(s[i] - '0');
	}
	for (size_t i = 0; len > 1 && i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i].kind == *s)
			return n <= kinds[i].most ? n * kinds[i].unit : 0;
	return 0;
}

static int refuse(const struct record *record, json_value v, const char *expected)
{
	unsigned line, column;

	json_place(record->json, v, &line, &column);
	return error_set(record->err, EINVAL,
		"expected %s at %u:%u of the record, found %s", expected, line, column,
		json_type_name(json_type(record->json, v)));
}

static int read_fields(struct record *record, json_value list, uint64_t *bytes);

/* The type of a field: a string, or the fields of a record inside. */
static int read_field_type(struct record *record, json_value v, uint64_t *bytes)
{
	AUTO_TEXT type = {0};

	if (json_type(record->json, v) == JSON_ARRAY)
		return read_fields(record, v, bytes);
	if (json_type(record->json, v) != JSON_STRING)
		return refuse(record, v, "a type");
	json_string(record->json, v, &type);
	*bytes = type.failed ? 0 : type_bytes(type.bytes, type.len);
	if (*bytes == 0)
		return refuse(record, v, "a type such as \"<f4\"");
	json_put_string(&record->name, type.bytes, type.len);
	return 0;
}

/* The shape of a field: multiplies *bytes. */
static int read_field_shape(struct record *record, json_value shape, uint64_t *bytes)
{
	const struct json *json = record->json;
	const char *comma = "";
	uint64_t n;

	if (json_type(json, shape) != JSON_ARRAY)
		return refuse(record, shape, "a shape");
	text_puts(&record->name, ", [");
	for (json_value v = json_first(json, shape); v != JSON_NONE;
		v = json_next(json, v)) {
		if (json_uint64(json, v, &n, NULL) < 0 ||
			__builtin_mul_overflow(*bytes, n, bytes))
			return refuse(record, v, "a smaller non-negative integer");
		text_printf(&record->name, "%s%llu", comma, (unsigned long long)n);
		comma = ", ";
	}
	text_putc(&record->name, ']');
	return 0;
}

/* [name, type] or [name, type, shape]. */
static int read_field(struct record *record, json_value field, uint64_t *bytes)
{
	const struct json *json = record->json;
	size_t n = json_type(json, field) == JSON_ARRAY ? json_count(json, field) : 0;
	json_value name = n > 0 ? json_first(json, field) : JSON_NONE;
	AUTO_TEXT text = {0};
	json_value type;
	int rc;

	if (n < 2 || n > 3 || json_type(json, name) != JSON_STRING)
		return refuse(
			record, field, "[\"name\", type] or [\"name\", type, shape]");
	json_string(json, name, &text);
	text_putc(&record->name, '[');
	json_put_string(&record->name, text.bytes, text.len);
	text_puts(&record->name, ", ");
	type = json_next(json, name);
	rc = read_field_type(record, type, bytes);
	if (rc == 0 && n == 3)
		rc = read_field_shape(record, json_next(json, type), bytes);
	text_putc(&record->name, ']');
	return rc;
}

static int read_fields(struct record *record, json_value list, uint64_t *bytes)
{
	const struct json *json = record->json;
	uint64_t n;
	int rc = 0;

	*bytes = 0;
	if (json_count(json, list) == 0)
		return refuse(record, list, "at least one field");
	if (record->depth == RECORD_DEPTH_MAX)
		return refuse(record, list, "at most 32 records inside each other");
	record->depth++;
	text_putc(&record->name, '[');
	for (json_value f = json_first(json, list); f != JSON_NONE && rc == 0;
		f = json_next(json, f)) {
		if (f != json_first(json, list))
			text_puts(&record->name, ", ");
		rc = read_field(record, f, &n);
		if (rc == 0 && (__builtin_add_overflow(*bytes, n, bytes) ||
				       *bytes > RECORD_BYTES_MAX))
			rc = refuse(record, f, "a smaller record");
	}
	text_putc(&record->name, ']');
	record->depth--;
	return rc;
}

static int find_name(const struct json *json, json_value v, const struct dtype **out,
	struct error *err)
{
	AUTO_TEXT name = {0};
	const struct dtype *dtype;
	int rc;

	json_string(json, v, &name);
	rc = text_check(&name, err);
	if (rc < 0)
		return rc;
	dtype = dtype_find(name.bytes, name.len);
	if (dtype == NULL)
		return error_set(err, EINVAL,
			"expected the name of a type such as float32 or int64, found "
			"\"%.*s%s\"",
			(int)(name.len < NAME_MAX_SHOWN ? name.len : NAME_MAX_SHOWN),
			name.bytes, name.len > NAME_MAX_SHOWN ? "..." : "");
	*out = dtype;
	return 0;
}

int sidecar_dtype(const struct json *json, json_value v, const struct dtype **out,
	struct error *err)
{
	struct record record = {.json = json, .err = err};
	const struct dtype *dtype = NULL;
	uint64_t bytes;
	int rc;

	if (json_type(json, v) == JSON_STRING)
		return find_name(json, v, out, err);
	if (json_type(json, v) != JSON_ARRAY)
		return error_set(err, EINVAL,
			"expected the name of a type such as float32, or a list of "
			"fields, found %s",
			json_type_name(json_type(json, v)));
	rc = read_fields(&record, v, &bytes);
	if (rc == 0)
		rc = text_check(&record.name, err);
	if (rc == 0 && record.name.len > RECORD_TEXT_MAX)
		rc = error_set(err, EINVAL,
			"expected a record of at most %u bytes of text, found %zu",
			RECORD_TEXT_MAX, record.name.len);
	if (rc == 0) {
		dtype = dtype_intern(
			record.name.bytes, record.name.len, DTYPE_RECORD, bytes * 8);
		if (dtype == NULL)
			rc = error_set(err, ENOMEM, "not enough memory for a type");
	}
	if (rc == 0)
		*out = dtype;
	text_done(&record.name);
	return rc;
}
