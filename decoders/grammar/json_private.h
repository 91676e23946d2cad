/*
 * json_private: what the files of json share; of others, image.c includes it.
 *
 * The text of a parsed value is valid, so everything here reads it without looking
 * for its end: strings end at their quote, numbers at the end of their value.
 */
#ifndef WEIGHTFS_GRAMMAR_JSON_PRIVATE_H
#define WEIGHTFS_GRAMMAR_JSON_PRIVATE_H

#include "decoders/grammar/json.h"

struct value {
	uint32_t off, end; /* the value's bytes in the text */
	uint32_t key;	   /* of a member: where its key's quote opens; else 0 */
	uint32_t count;	   /* children */
	json_value parent; /* JSON_NONE of the root */
	json_value after;  /* the first value behind it that is no descendant */
};

struct json {
	const char *text; /* the caller's */
	uint32_t len;	  /* with JSON_PREFIX up to the end of the root */
	uint32_t n;
	struct value *values;
};

/* The next character of a string and the place behind it, escapes undone; a
 * lone surrogate stands for itself. JSON_QUOTE at the closing quote. */
#define JSON_QUOTE UINT32_MAX
uint32_t json_char(const char **s);
/* Order of two strings by their characters; both begin behind their quote. */
int json_chars_compare(const char *a, const char *b);
/* One past the closing quote of a string that begins with its quote at `s`. */
const char *json_string_end(const char *s);
const char *json_key_text(const struct json *json, json_value member);
const char *json_string_text(const struct json *json, json_value v);

/*
 * A number's exact value: `n` digits from `first` (a '.' among them is not
 * counted), of which the first and the last are not zero; the first stands for
 * its tens' power `exponent`. No digits: zero.
 */
struct decimal {
	const char *first;
	size_t n;
	int64_t exponent;
	bool negative;
	bool special; /* NaN, Infinity, -Infinity: no digits */
	bool extreme; /* the exponent has no room here: value unknown */
};
struct decimal decimal_read(const char *raw, size_t len);
/* Order of the magnitudes of two numbers neither special nor extreme. */
int decimal_compare(const struct decimal *a, const struct decimal *b);
/* Whether two numbers' texts have one exact value. */
bool decimal_equal(const char *a, size_t a_len, const char *b, size_t b_len);
uint64_t decimal_hash(const char *raw, size_t len);

/* error_set of "expected ..., found ...", the latter being the value. */
int json_refuse(const struct json *json, json_value v, const char *expected, int code,
	struct error *err);

/*
 * The members of an object by key and occurrence: each take of a key gives its
 * next member, from the first.
 */
struct members {
	const struct json *json;
	struct slot *slots; /* in the order of keys, then of the text */
	uint32_t n;
};
/* -ENOMEM, without a text, or 0. `object` is an object. */
int members_init(struct members *members, const struct json *json, json_value object);
void members_done(struct members *members);
/* `key` is a string's text behind its quote. JSON_NONE when there are no more. */
json_value members_take(struct members *members, const char *key);

/* Whether two values are equal with their keys in the same order. */
bool json_same(const struct json *a, json_value va, const struct json *b, json_value vb);

#endif
