/*
 * json_print: documents for people, and texts with parts exchanged.
 *
 * Printing lays out, it does not write anew: what stands in the text is copied.
 * The exception are escapes of characters that people can read.
 */
#include "decoders/base/text.h"
#include "decoders/base/utf8.h"
#include "decoders/grammar/json_private.h"
#include <string.h>

#define COLUMNS_MAX 80
#define INDENT 2

struct printer {
	const struct json *json;
	const struct json_stand *stand, *stands_end; /* the next that may come */
	struct text *out;
	size_t line; /* where in `out` the last line begins */
};

static void print_line(struct printer *p, unsigned depth)
{
	text_putc(p->out, '\n');
	p->line = p->out->len;
	text_printf(p->out, "%*s", (int)(depth * INDENT), "");
}

/* Characters of the last line. */
static size_t columns(const struct printer *p)
{
	size_t n = 0;

	for (size_t i = p->line; i < p->out->len; i++)
		n += ((unsigned char)p->out->bytes[i] & 0xc0) != 0x80;
	return n;
}

/* Whether an escaped character is shown as itself: not what acts on a
 * terminal, cannot be told from a space, or is nothing at all. */
static bool shown(uint32_t code)
{
	if (code < 0xa1 || code == 0xad || utf8_acts(code))
		return false;
	if ((code >= 0x2000 && code <= 0x200f) || (code >= 0x2028 && code <= 0x202f) ||
		(code >= 0x205f && code <= 0x206f))
		return false;
	if (code == 0x1680 || code == 0x180e || code == 0x3000 || code == 0xfeff)
		return false;
	if ((code >= 0xd800 && code <= 0xf8ff) || (code >= 0xfdd0 && code <= 0xfdef))
		return false;
	return code < 0xe0000 && (code & 0xfffe) != 0xfffe;
}

/* A string with its quotes. */
static void print_string(struct printer *p, const char *s)
{
	const char *from = s, *end = json_string_end(s), *next;
	char form[4];
	uint32_t code;

	for (s++; s < end - 1; s = next) {
		next = s;
		code = json_char(&next);
		if (*s != '\\' || !shown(code))
			continue;
		text_put(p->out, from, (size_t)(s - from));
		text_put(p->out, form, utf8_write(form, code));
		from = next;
	}
	text_put(p->out, from, (size_t)(end - from));
}

/*
 * Adds the columns that a value takes in an array on one line to *n. False, in
 * an early moment, when it is not numbers alone or takes more than `most`.
 */
static bool fits(const struct json *json, json_value v, size_t most, size_t *n)
{
	size_t len;

	if (json_type(json, v) == JSON_NUMBER) {
		(void)json_raw(json, v, &len);
		*n += len;
		return *n <= most;
	}
	if (json_type(json, v) != JSON_ARRAY)
		return false;
	*n += 2;
	for (json_value e = json_first(json, v); e != JSON_NONE; e = json_next(json, e)) {
		*n += e > v + 1 ? 2 : 0;
		if (*n > most || !fits(json, e, most, n))
			return false;
	}
	return *n <= most;
}

/* `more`: whether a comma will follow. */
static bool on_one_line(const struct printer *p, json_value v, bool more)
{
	size_t taken, n = 0;

	if (json_type(p->json, v) != JSON_ARRAY)
		return false;
	if (p->stand < p->stands_end && p->stand->value < p->json->values[v].after)
		return false;
	taken = columns(p) + more;
	return taken <= COLUMNS_MAX && fits(p->json, v, COLUMNS_MAX - taken, &n);
}

static void print_inline(struct printer *p, json_value v)
{
	const char *raw;
	size_t len;

	if (json_type(p->json, v) == JSON_NUMBER) {
		raw = json_raw(p->json, v, &len);
		text_put(p->out, raw, len);
		return;
	}
	text_putc(p->out, '[');
	for (json_value e = json_first(p->json, v); e != JSON_NONE;
		e = json_next(p->json, e)) {
		text_puts(p->out, e > v + 1 ? ", " : "");
		print_inline(p, e);
	}
	text_putc(p->out, ']');
}

static bool print_stand(struct printer *p, json_value v)
{
	while (p->stand < p->stands_end && p->stand->value < v)
		p->stand++;
	if (p->stand == p->stands_end || p->stand->value != v)
		return false;
	text_put(p->out, p->stand->text, p->stand->len);
	return true;
}

static void print_scalar(struct printer *p, json_value v)
{
	size_t len;
	const char *raw = json_raw(p->json, v, &len);

	if (*raw == '"')
		print_string(p, raw);
	else
		text_put(p->out, raw, len);
}

static void print_value(struct printer *p, json_value v, unsigned depth, bool more);

/* The children of a container, a line each. */
static void print_children(struct printer *p, json_value v, unsigned depth)
{
	json_value child = json_first(p->json, v), next;

	for (; child != JSON_NONE; child = next) {
		next = json_next(p->json, child);
		print_line(p, depth);
		if (p->json->values[child].key != 0) {
			print_string(p, json_key_text(p->json, child) - 1);
			text_puts(p->out, ": ");
		}
		print_value(p, child, depth, next != JSON_NONE);
		text_puts(p->out, next != JSON_NONE ? "," : "");
	}
}

/* Recursion is as deep as texts are: JSON_DEPTH_MAX. */
static void print_value(struct printer *p, json_value v, unsigned depth, bool more)
{
	enum json_type type = json_type(p->json, v);
	bool object = type == JSON_OBJECT;

	if (print_stand(p, v))
		return;
	if (!object && type != JSON_ARRAY) {
		print_scalar(p, v);
		return;
	}
	if (json_count(p->json, v) == 0) {
		text_puts(p->out, object ? "{}" : "[]");
		return;
	}
	if (on_one_line(p, v, more)) {
		print_inline(p, v);
		return;
	}
	text_putc(p->out, object ? '{' : '[');
	print_children(p, v, depth + 1);
	print_line(p, depth);
	text_putc(p->out, object ? '}' : ']');
}

void json_print(const struct json *json, json_value v, const struct json_stand *stands,
	size_t n_stands, bool newline, struct text *out)
{
	struct printer p = {json, stands, stands + n_stands, out, out->len};

	print_value(&p, v, 0, false);
	if (newline)
		text_putc(out, '\n');
}

void json_splice(const struct json *json, const struct json_stand *with, size_t n,
	struct text *out)
{
	uint32_t at = 0;

	for (size_t i = 0; i < n; i++) {
		const struct value *v = &json->values[with[i].value];

		text_put(out, json->text + at, v->off - at);
		text_put(out, with[i].text, with[i].len);
		at = v->end;
	}
	text_put(out, json->text + at, json->len - at);
}
