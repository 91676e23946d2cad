/*
 * json_private: what the files of json share; of others, image.c includes it.
 *
 * The text of a parsed value is valid, so everything here reads it without looking
 * for its end: strings end at their quote, numbers at the end of their value.
 */
#ifndef WEIGHTFS_GRAMMAR_JSON_PRIVATE_H
#define WEIGHTFS_GRAMMAR_JSON_PRIVATE_H

#include "decoders/grammar/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct text;

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
/* The double that is nearest to a number's text, infinite where it is too large, in
 * any locale. -ENOMEM, without a text, or 0. */
int decimal_double(const char *raw, size_t len, double *out);

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

/* A text that takes part in a merge. Equal values have equal digests; where
 * digests are equal, the values still have to be compared. */
struct side {
	const struct json *json;
	struct digest {
		uint64_t loose;	  /* for json_equal */
		uint64_t ordered; /* for json_same */
	} * digests;		  /* of each value */
};
/* -ENOMEM, without a text, or 0. */
int side_init(struct side *side, const struct json *json);
void side_done(struct side *side);
bool side_equal(const struct side *a, json_value va, const struct side *b, json_value vb);
bool side_same(const struct side *a, json_value va, const struct side *b, json_value vb);

/* The children of a container as a list. */
struct children {
	const struct side *side;
	json_value *values;
	uint32_t n;
};
/* -ENOMEM, without a text, or 0. */
int json_children_init(struct children *children, const struct side *side, json_value v);
void json_children_done(struct children *children);
/* Finds the partner of each of `now` among `base`: match[i] is its place there, or
 * JSON_NONE; places rise. `steps` is how many comparisons may be made to find the
 * best partners, and goes down; at 0 place decides. -ENOMEM, without a text, or 0. */
int json_children_align(const struct children *base, const struct children *now,
	size_t *steps, json_value *match);

/* How a text is laid out, as far as it shows. Spans point into the text. */
struct style {
	struct span {
		const char *bytes;
		size_t len;
	} comma, colon;		     /* on one line, with the white space around */
	struct span newline, indent; /* of one level */
	bool ascii;		     /* nothing but ASCII: other characters are escaped */
	bool lines;		     /* containers have a line for each child */
	bool inline_numbers;	     /* but arrays of numbers have not */
};
struct style style_of(const struct json *json);
/* Whether a value of any text would have a line for each child in this style. */
bool style_breaks(const struct style *style, const struct json *json, json_value v);
void style_put_span(struct span span, struct text *out);
void style_put_line(const struct style *style, unsigned depth, struct text *out);
/* A string, quote to quote, as it stands at `s`, in this style. */
void style_put_string(const struct style *style, const char *s, struct text *out);
/* A value of any text in this style, `depth` containers deep. */
void style_put_value(const struct style *style, const struct json *json, json_value v,
	unsigned depth, struct text *out);

/* A merge under way. */
struct merge {
	struct side old, base, edited;
	size_t steps;	    /* of aligning arrays, that are left */
	struct style style; /* of old */
	struct text *out;
	struct error *err;
};

/* A child in the three texts, JSON_NONE where it is not. */
struct entry {
	json_value old, base, edited;
	uint32_t peer; /* of an object's: its place in the other list, or JSON_NONE */
};

struct entries {
	struct entry *list;
	uint32_t n;
};
void entries_done(struct entries *entries);
#define AUTO_ENTRIES __attribute__((cleanup(entries_done))) struct entries

/* Add the children of three objects or arrays (`at`) to a list that has room for
 * those of old and of edited. 0, or a negative errno with a text. */
int merge_members(struct merge *m, const struct entry *at, struct entries *entries);
int merge_elements(struct merge *m, const struct entry *at, struct entries *entries);
/* -EINVAL, naming an entry that has been edited twice. */
int merge_conflict(struct merge *m, const struct entry *e);
int merge_no_memory(struct merge *m);

#endif
