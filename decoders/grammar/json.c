/*
 * json: the parser, and walking over what it made.
 *
 * The parser turns a text into an array of positions in one pass. It knows no
 * recursion: a container that is open is found again through its child's
 * `parent`, so the array is its own stack. Numbers and strings are checked, not
 * converted.
 */
#include "decoders/grammar/json.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/base/utf8.h"
#include "decoders/grammar/json_private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 16
#define WORD_MAX 20 /* of an unknown word, in a message */

struct parser {
	struct json *json;
	const char *text;
	size_t len, at;
	size_t cap; /* of json->values */
	unsigned flags;
	unsigned depth;
	json_value open; /* the container that is being filled, or JSON_NONE */
	json_member_fn
		fn; /* gets the root's members, which then are forgotten; or NULL */
	void *arg;
	struct error *err;
};

static void place(const char *text, size_t off, unsigned *line, unsigned *column)
{
	*line = *column = 1;
	for (size_t i = 0; i < off; i++) {
		if (text[i] == '\n') {
			++*line;
			*column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			++*column;
		}
	}
}

static bool letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* What stands at the parser's place, for a message. */
static void found(const struct parser *p, struct text *out)
{
	const char *s = p->text + p->at;
	size_t left = p->len - p->at, n = 0;
	uint32_t code;

	while (n < left && n < WORD_MAX && letter(s[n]))
		n++;
	if (left == 0)
		text_puts(out, "the end of the text");
	else if (n > 1)
		text_printf(out, "\"%.*s\"", (int)n, s);
	else if (*s == '\n' || *s == '\r')
		text_puts(out, "the end of the line");
	else if ((n = utf8_read(s, left, &code)) == 0 || code < 0x20)
		text_printf(out, "byte 0x%02x", (unsigned char)*s);
	else if (code == 0xfeff)
		text_puts(out, "a byte order mark");
	else
		text_printf(out, "'%.*s'", (int)n, s);
}

static int refuse(const struct parser *p, const char *expected)
{
	AUTO_TEXT what = {0};
	unsigned line, column;

	found(p, &what);
	place(p->text, p->at, &line, &column);
	return error_set(p->err, EINVAL, "%u:%u: expected %s, found %s", line, column,
		expected, what.failed ? "something else" : what.bytes);
}

/* The byte at the parser's place, or 0 (which no rule expects) at the end. */
static char peek(const struct parser *p)
{
	return p->at < p->len ? p->text[p->at] : '\0';
}

static void skip_space(struct parser *p)
{
	while (p->at < p->len &&
		(p->text[p->at] == ' ' || p->text[p->at] == '\n' ||
			p->text[p->at] == '\t' || p->text[p->at] == '\r'))
		p->at++;
}

static bool skip_digits(struct parser *p)
{
	size_t from = p->at;

	while (p->at < p->len && p->text[p->at] >= '0' && p->text[p->at] <= '9')
		p->at++;
	return p->at > from;
}

static int read_word(struct parser *p)
{
	static const struct {
		const char *word;
		unsigned flag; /* that it needs */
	} words[] = {{"true", 0}, {"false", 0}, {"null", 0}, {"NaN", JSON_NONFINITE},
		{"Infinity", JSON_NONFINITE}, {"-Infinity", JSON_NONFINITE}};
	size_t n = p->at + (peek(p) == '-');

	while (n < p->len && letter(p->text[n]))
		n++;
	n -= p->at;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strlen(words[i].word) != n ||
			memcmp(p->text + p->at, words[i].word, n) != 0)
			continue;
		if ((p->flags & words[i].flag) != words[i].flag)
			return refuse(p, "a finite number");
		p->at += n;
		return 0;
	}
	return refuse(p, "a value");
}

static int read_number(struct parser *p)
{
	if (peek(p) == '-') {
		if (p->at + 1 < p->len && p->text[p->at + 1] == 'I')
			return read_word(p);
		p->at++;
	}
	if (peek(p) == '0')
		p->at++;
	else if (!skip_digits(p))
		return refuse(p, "a digit");
	if (peek(p) == '.') {
		p->at++;
		if (!skip_digits(p))
			return refuse(p, "a digit");
	}
	if (peek(p) == 'e' || peek(p) == 'E') {
		p->at++;
		if (peek(p) == '+' || peek(p) == '-')
			p->at++;
		if (!skip_digits(p))
			return refuse(p, "a digit");
	}
	return 0;
}

static bool hexadecimal(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* At a backslash. */
static int read_escape(struct parser *p)
{
	p->at++;
	if (peek(p) == '\0' || strchr("\"\\/bfnrtu", peek(p)) == NULL)
		return refuse(p, "an escape (one of \"\\/bfnrtu) behind the backslash");
	if (p->text[p->at++] != 'u')
		return 0;
	for (int i = 0; i < 4; i++, p->at++)
		if (!hexadecimal(peek(p)))
			return refuse(p, "four hexadecimal digits behind \\u");
	return 0;
}

/* Printable ASCII but '"' and '\\': what most strings are made of. */
static bool plain(char c)
{
	return c >= 0x20 && c != '"' && c != '\\';
}

/* At the opening quote. */
static int read_string(struct parser *p)
{
	uint32_t code;
	size_t n;
	int rc;

	p->at++;
	for (;;) {
		while (p->at < p->len && plain(p->text[p->at]))
			p->at++;
		if (peek(p) == '"')
			break;
		if (peek(p) == '\\') {
			rc = read_escape(p);
			if (rc < 0)
				return rc;
			continue;
		}
		if (p->at == p->len || (unsigned char)p->text[p->at] < 0x20)
			return refuse(p,
				p->at == p->len || p->text[p->at] == '\n'
					? "the quote that ends the string"
					: "no control byte in a string (a tab is \\t)");
		n = utf8_read(p->text + p->at, p->len - p->at, &code);
		if (n == 0)
			return refuse(p, "UTF-8");
		p->at += n;
	}
	p->at++;
	return 0;
}

/* Room for one value more; never for more than the rest of the text can hold. */
static int grow(struct parser *p)
{
	size_t most = p->json->n + (p->len - p->at) / 2 + 1;
	size_t cap = p->cap + p->cap / 2 + FIRST_CAP;
	struct value *values;

	cap = cap < most ? cap : most;
	values = reallocarray(p->json->values, cap, sizeof *values);
	if (values == NULL)
		return error_set(p->err, ENOMEM,
			"not enough memory for a text of %zu bytes", p->len);
	p->json->values = values;
	p->cap = cap;
	return 0;
}

/* Adds a value that begins here. */
static int add(struct parser *p, uint32_t key)
{
	struct json *json = p->json;
	int rc = json->n == p->cap ? grow(p) : 0;

	if (rc < 0)
		return rc;
	json->values[json->n++] = (struct value){
		.off = (uint32_t)p->at,
		.key = key,
		.parent = p->open,
	};
	if (p->open != JSON_NONE)
		json->values[p->open].count++;
	return 0;
}

/* Values end here, at the place of the parser. */
static void end(struct parser *p, json_value v)
{
	p->json->values[v].end = (uint32_t)p->at;
	p->json->values[v].after = p->json->n;
}

static char closer(const struct parser *p)
{
	return p->text[p->json->values[p->open].off] == '{' ? '}' : ']';
}

/* At the bracket that closes the open container. */
static void close_container(struct parser *p)
{
	p->at++;
	end(p, p->open);
	p->open = p->json->values[p->open].parent;
	p->depth--;
}

/* At an opening bracket. 1: children follow. 0: it was empty. */
static int open_container(struct parser *p, json_value v)
{
	if (p->depth == JSON_DEPTH_MAX)
		return refuse(p, "at most 512 levels of nesting");
	p->depth++;
	p->open = v;
	p->at++;
	skip_space(p);
	if (peek(p) != closer(p))
		return 1;
	close_container(p);
	return 0;
}

/* The key of a member, its colon and what space is around. */
static int read_key(struct parser *p, uint32_t *key)
{
	int rc;

	skip_space(p);
	if (peek(p) != '"')
		return refuse(p, "a key in quotes");
	*key = (uint32_t)p->at;
	rc = read_string(p);
	if (rc < 0)
		return rc;
	skip_space(p);
	if (peek(p) != ':')
		return refuse(p, "':' behind a key");
	p->at++;
	return 0;
}

/* A scalar or the opening of a container, which answers 1 when it is not empty. */
static int read_value(struct parser *p)
{
	json_value v = p->json->n;
	uint32_t key = 0;
	int rc = 0;
	char c;

	if (p->open != JSON_NONE && closer(p) == '}')
		rc = read_key(p, &key);
	if (rc < 0)
		return rc;
	skip_space(p);
	rc = add(p, key);
	if (rc < 0)
		return rc;
	c = peek(p);
	if (c == '{' || c == '[')
		return open_container(p, v);
	if (c == '"')
		rc = read_string(p);
	else if (c == '-' || (c >= '0' && c <= '9'))
		rc = read_number(p);
	else
		rc = read_word(p);
	end(p, v);
	return rc;
}

/* Behind a value of the root. */
static int give_member(struct parser *p)
{
	struct json *json = p->json;
	int rc = 0;

	if (json_type(json, 0) == JSON_OBJECT)
		rc = p->fn(p->arg, json, 1, p->err);
	json->n = 1;
	json->values[0].count = 0;
	return rc;
}

/* Behind a value. 1: another one follows. 0: that was the last. */
static int read_on(struct parser *p)
{
	while (p->open != JSON_NONE) {
		int rc = p->fn != NULL && p->open == 0 ? give_member(p) : 0;

		if (rc != 0)
			return rc;
		skip_space(p);
		if (peek(p) == ',') {
			p->at++;
			return 1;
		}
		if (peek(p) != closer(p))
			return refuse(p, closer(p) == '}' ? "',' or '}'" : "',' or ']'");
		close_container(p);
	}
	return 0;
}

static int read_text(struct parser *p)
{
	int rc;

	do {
		rc = read_value(p);
		if (rc == 0)
			rc = read_on(p);
	} while (rc > 0);
	if (rc < 0)
		return rc;
	if (p->flags & JSON_PREFIX) {
		p->json->len = (uint32_t)p->at;
		return 0;
	}
	skip_space(p);
	return p->at < p->len ? refuse(p, "the end of the text") : 0;
}

/* An index without values. */
static int json_new(struct json **out, const char *text, size_t len, struct error *err)
{
	struct json *json;

	if (len > UINT32_MAX)
		return error_set(err, EFBIG,
			"expected a text of less than 4 GiB, found %zu bytes", len);
	json = calloc(1, sizeof *json);
	if (json == NULL)
		return error_set(err, ENOMEM, "not enough memory for a text");
	json->text = text;
	json->len = (uint32_t)len;
	*out = json;
	return 0;
}

int json_parse(struct json **out, const char *text, size_t len, unsigned flags,
	struct error *err)
{
	AUTO_JSON *json = NULL;
	struct value *values;
	struct parser p;
	int rc = json_new(&json, text, len, err);

	if (rc < 0)
		return rc;
	p = (struct parser){.json = json,
		.text = text,
		.len = len,
		.flags = flags,
		.open = JSON_NONE,
		.err = err};
	rc = read_text(&p);
	if (rc < 0)
		return rc;
	values = reallocarray(json->values, json->n, sizeof *values);
	if (values != NULL)
		json->values = values;
	*out = json;
	json = NULL;
	return 0;
}

int json_parse_members(
	const char *text, size_t len, json_member_fn fn, void *arg, struct error *err)
{
	AUTO_JSON *json = NULL;
	int rc = json_new(&json, text, len, err);

	if (rc < 0)
		return rc;
	rc = read_text(&(struct parser){.json = json,
		.text = text,
		.len = len,
		.open = JSON_NONE,
		.fn = fn,
		.arg = arg,
		.err = err});
	if (rc == 0 && json_type(json, 0) != JSON_OBJECT)
		return error_set(err, EINVAL, "expected an object, found %s",
			json_type_name(json_type(json, 0)));
	return rc;
}

void json_free(struct json *json)
{
	if (json == NULL)
		return;
	free(json->values);
	free(json);
}

void json_freep(struct json **json)
{
	json_free(*json);
	*json = NULL;
}

enum json_type json_type(const struct json *json, json_value v)
{
	switch (json->text[json->values[v].off]) {
	case '{': return JSON_OBJECT;
	case '[': return JSON_ARRAY;
	case '"': return JSON_STRING;
	case 't': return JSON_TRUE;
	case 'f': return JSON_FALSE;
	case 'n': return JSON_NULL;
	default: return JSON_NUMBER;
	}
}

const char *json_type_name(enum json_type type)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object",
		[JSON_ARRAY] = "an array",
		[JSON_STRING] = "a string",
		[JSON_NUMBER] = "a number",
		[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",
		[JSON_NULL] = "null",
	};

	return names[type];
}

size_t json_count(const struct json *json, json_value v)
{
	return json->values[v].count;
}

json_value json_first(const struct json *json, json_value v)
{
	return json->values[v].count > 0 ? v + 1 : JSON_NONE;
}

json_value json_next(const struct json *json, json_value v)
{
	json_value next = json->values[v].after;

	if (next < json->n && json->values[next].parent == json->values[v].parent)
		return next;
	return JSON_NONE;
}

json_value json_parent(const struct json *json, json_value v)
{
	return json->values[v].parent;
}

const char *json_raw(const struct json *json, json_value v, size_t *len)
{
	*len = json->values[v].end - json->values[v].off;
	return json->text + json->values[v].off;
}

void json_place(const struct json *json, json_value v, unsigned *line, unsigned *column)
{
	place(json->text, json->values[v].off, line, column);
}
