/*
 * json: JSON texts as they stand in containers, read by position and rewritten
 * by splicing, so that what nobody touched keeps its bytes: spelling of
 * numbers, escapes, separators, order and duplicates of keys.
 *
 * The grammar is RFC 8259. JSON_NONFINITE adds the tokens NaN, Infinity and
 * -Infinity that Python's json module writes and reads. Texts are UTF-8;
 * invalid UTF-8 is refused. Nesting is limited by JSON_DEPTH_MAX.
 *
 * A parsed text is an index of positions over bytes that the caller keeps
 * alive. A value is named by its number in the index (`json_value`); the root
 * is 0, values are numbered in the order of the text, keys are not values.
 */
#ifndef WEIGHTFS_GRAMMAR_JSON_H
#define WEIGHTFS_GRAMMAR_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct text;

#define JSON_DEPTH_MAX 512

enum json_type {
	JSON_OBJECT,
	JSON_ARRAY,
	JSON_STRING,
	JSON_NUMBER, /* also NaN, Infinity, -Infinity */
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL,
};

enum json_flags {
	JSON_NONFINITE = 1, /* accept NaN, Infinity, -Infinity */
	JSON_PREFIX =
		2, /* stop after the first value; else only white space may follow */
};

typedef uint32_t json_value;
#define JSON_NONE UINT32_MAX

struct json;

/*
 * Indexes `len` bytes of `text`, which must outlive the index. On failure
 * -EINVAL and a text that begins with "LINE:COLUMN: " (both from 1, columns in
 * characters) and says what was expected and what was found. Memory is
 * proportional to the number of values (at most 24 bytes each) and bounded by
 * `len`. Texts of 4 GiB and more: -EFBIG. With JSON_PREFIX the text is taken to
 * end where its root does (json_raw of 0 tells where).
 */
int json_parse(struct json **out, const char *text, size_t len, unsigned flags,
	struct error *err);
/*
 * As json_parse, for an object of very many members, of which nobody needs two at a time:
 * `fn` gets each while it is read, in an index whose root has this member alone and which
 * goes on to the next one when it returns; a negative errno ends the reading. So memory
 * is that of the largest member. What fn did before a mistake further on was found stays
 * done. -EINVAL where the text is no object.
 */
typedef int (*json_member_fn)(
	void *arg, const struct json *json, json_value member, struct error *err);
int json_parse_members(
	const char *text, size_t len, json_member_fn fn, void *arg, struct error *err);
void json_free(struct json *json);
/* For __attribute__((cleanup)). */
void json_freep(struct json **json);
#define AUTO_JSON __attribute__((cleanup(json_freep))) struct json

enum json_type json_type(const struct json *json, json_value v);
/* The name of a type for messages: "an object", "a number", ... */
const char *json_type_name(enum json_type type);
/* Members of an object, elements of an array, 0 for all else. */
size_t json_count(const struct json *json, json_value v);
/* First child of an object or array, its next sibling; JSON_NONE at the end. */
json_value json_first(const struct json *json, json_value v);
json_value json_next(const struct json *json, json_value v);
json_value json_parent(const struct json *json, json_value v);
/* The bytes of a value as they stand in the text, without white space around. */
const char *json_raw(const struct json *json, json_value v, size_t *len);
/* Where in the text the value begins, as "LINE:COLUMN" (1-based). */
void json_place(const struct json *json, json_value v, unsigned *line, unsigned *column);

/* Appends the decoded UTF-8 of a string value, or of the key of an object's
 * member. "\u0000" becomes a NUL byte; a lone surrogate becomes its three-byte
 * form, so that nothing is lost. The value must be of the right kind. */
void json_string(const struct json *json, json_value v, struct text *out);
void json_key(const struct json *json, json_value member, struct text *out);
/* Whether the decoded key / string is exactly these bytes. */
bool json_key_is(const struct json *json, json_value member, const char *key, size_t len);
bool json_string_is(const struct json *json, json_value v, const char *s, size_t len);

/* The member of an object by its key: the last of several, as Python and serde
 * choose. JSON_NONE when there is none or `object` is no object. */
json_value json_get(const struct json *json, json_value object, const char *key);
/* -EINVAL with "LINE:COLUMN: key: " where an object has a key twice, of which readers
 * would choose one. */
int json_check_keys(const struct json *json, struct error *err);
/* The value at a path of keys and indices, RFC 6901 ("/config/layers/0"). */
json_value json_at(const struct json *json, const char *pointer);
/* Appends the path of a value, as json_at takes it: for messages. */
void json_path(const struct json *json, json_value v, struct text *out);

/* Exact conversions; of a double, the nearest one, NaN and Infinity included.
 * -EINVAL with a text when the value is no number of that kind (5.0 and 5e0 are
 * integers), -ERANGE when it does not fit. */
int json_int64(const struct json *json, json_value v, int64_t *out, struct error *err);
int json_uint64(const struct json *json, json_value v, uint64_t *out, struct error *err);
int json_double(const struct json *json, json_value v, double *out, struct error *err);

/* error_set of "expected ..., found ...", the latter being the value. */
int json_refuse(const struct json *json, json_value v, const char *expected, int code,
	struct error *err);
/* Puts "LINE:COLUMN: name: " in front of a text; a long name is cut. `name` may be NULL.
 */
void json_locate(
	const struct json *json, json_value v, const char *name, struct error *err);

/* Whether two values are equal as data: numbers by exact value (1.0 == 1,
 * 1E5 == 100000, NaN == NaN; -0.0 and 0 differ), strings by characters, objects
 * by keys regardless of order, with duplicates by occurrence. */
bool json_equal(const struct json *a, json_value va, const struct json *b, json_value vb);

/* A value that is printed as something else: in a document whose part has a
 * folder of its own, the part's name stands in its place. */
struct json_stand {
	json_value value;
	const char *text; /* a JSON text, printed as it is */
	size_t len;
};

/*
 * Pretty-prints a value as a document of the tree: indentation of 2 spaces, one
 * member or element a line, arrays of numbers alone (or of such arrays) on one
 * line while that line has at most 80 columns, "{}" and "[]" for empty ones; strings and
 * numbers byte for byte as they stand, except that escapes of printable non-ASCII
 * characters are shown as the characters. `stands` is sorted by value. With
 * `newline` the document ends in a newline.
 */
void json_print(const struct json *json, json_value v, const struct json_stand *stands,
	size_t n_stands, bool newline, struct text *out);

/* Copies the whole text with some values (sorted, not nested in each other)
 * replaced: the inverse of standing in. */
void json_splice(const struct json *json, const struct json_stand *with, size_t n,
	struct text *out);

/*
 * Lays an edit over a container's value. `base` is what the document showed
 * when it was opened, `edited` what was saved, `old` what the container holds
 * (often equal to base as data, but spelled its own way). The result is `old`
 * with the difference between base and edited applied, and nothing else:
 * - objects are matched by key and occurrence, arrays by longest common
 *   subsequence (elements equal as data; then by position inside a gap);
 * - a number or string that is equal as data keeps old's bytes;
 * - order and new members follow the edited text; separators (white space after
 *   ',' and ':', indentation), and escaping of non-ASCII where the old text has
 *   nothing but ASCII, follow the old text;
 * - where only white space or spelling differs, the result is old, byte for byte.
 * -EINVAL when base and old differ in a place that edited changes as well (two
 * editors changed one thing), with the path of the place in `err`.
 */
int json_merge(const struct json *old, const struct json *base, const struct json *edited,
	struct text *out, struct error *err);

/* Appends a string as a JSON string in quotes: escapes what RFC 8259 demands
 * (control bytes, quote, backslash), leaves non-ASCII as it is. The bytes must be
 * UTF-8 (check with json_utf8; three-byte surrogates are written as \uD8xx). */
void json_put_string(struct text *out, const char *s, size_t len);
bool json_utf8(const char *s, size_t len);

#endif
