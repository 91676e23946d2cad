/*
 * json_style: how a text is laid out, and new values in that layout.
 *
 * The first separator of each sort is taken for all. Where a text shows none, it
 * is as Python's json.dumps writes.
 */
#include "decoders/base/text.h"
#include "decoders/base/utf8.h"
#include "decoders/grammar/json_private.h"
#include <string.h>

#define SPAN(literal) ((struct span){literal, sizeof(literal) - 1})

static bool has_line(struct span span)
{
	return memchr(span.bytes, '\n', span.len) != NULL;
}

/* What is between a container's bracket and its first child. */
static struct span opening(const struct json *json, json_value v)
{
	const struct value *child = &json->values[v + 1];
	uint32_t from = json->values[v].off + 1;

	return (struct span){
		json->text + from, (child->key ? child->key : child->off) - from};
}

/* What is between a child and the next. */
static struct span between(const struct json *json, json_value v, json_value next)
{
	const struct value *child = &json->values[next];
	uint32_t from = json->values[v].end;

	return (struct span){
		json->text + from, (child->key ? child->key : child->off) - from};
}

static struct span colon(const struct json *json, json_value member)
{
	const char *end = json_string_end(json_key_text(json, member) - 1);

	return (struct span){end, (size_t)(json->text + json->values[member].off - end)};
}

static unsigned depth_of(const struct json *json, json_value v)
{
	unsigned depth = 0;

	while ((v = json_parent(json, v)) != JSON_NONE)
		depth++;
	return depth;
}

/* Takes the line break and one level's indentation from a container's opening. */
static void read_lines(struct style *style, const struct json *json, json_value v)
{
	struct span span = opening(json, v);
	const char *line = memrchr(span.bytes, '\n', span.len);
	size_t indent = (size_t)(span.bytes + span.len - line - 1);
	unsigned levels = depth_of(json, v) + 1;

	style->lines = true;
	style->newline = (struct span){line, 1};
	if (line > span.bytes && line[-1] == '\r')
		style->newline = (struct span){line - 1, 2};
	style->indent = (struct span){line + 1, indent / levels};
}

static void read_value(struct style *style, const struct json *json, json_value v)
{
	json_value next = json_next(json, v);
	struct span span;

	if (next != JSON_NONE && style->comma.bytes == NULL) {
		span = between(json, v, next);
		if (!has_line(span))
			style->comma = span;
	}
	if (json->values[v].key != 0 && style->colon.bytes == NULL)
		style->colon = colon(json, v);
	if (json_count(json, v) == 0)
		return;
	span = opening(json, v);
	if (!style->lines && has_line(span))
		read_lines(style, json, v);
	if (json_type(json, v) == JSON_ARRAY && json_type(json, v + 1) == JSON_NUMBER)
		style->inline_numbers |= !has_line(span);
}

struct style style_of(const struct json *json)
{
	struct style style = {.ascii = true};
	bool tight;

	for (json_value v = 0; v < json->n; v++)
		read_value(&style, json, v);
	for (uint32_t i = 0; i < json->len && style.ascii; i++)
		style.ascii = (unsigned char)json->text[i] < 0x80;
	/* Who writes one separator without a space writes both so. */
	tight = (style.colon.bytes != NULL && style.colon.len == 1) ||
		(style.colon.bytes == NULL && style.comma.bytes != NULL &&
			style.comma.len == 1);
	if (style.comma.bytes == NULL)
		style.comma = tight ? SPAN(",") : SPAN(", ");
	if (style.colon.bytes == NULL)
		style.colon = tight ? SPAN(":") : SPAN(": ");
	return style;
}

void style_put_span(struct span span, struct text *out)
{
	text_put(out, span.bytes, span.len);
}

void style_put_line(const struct style *style, unsigned depth, struct text *out)
{
	style_put_span(style->newline, out);
	while (depth-- > 0)
		style_put_span(style->indent, out);
}

void style_put_string(const struct style *style, const char *s, struct text *out)
{
	const char *end = json_string_end(s);
	uint32_t code = 0;
	size_t n;

	if (!style->ascii) {
		text_put(out, s, (size_t)(end - s));
		return;
	}
	for (; s < end; s += n) {
		n = utf8_read(s, (size_t)(end - s), &code);
		if (code < 0x80)
			text_putc(out, *s);
		else if (code < 0x10000)
			text_printf(out, "\\u%04x", code);
		else
			text_printf(out, "\\u%04x\\u%04x",
				0xd800 + ((code - 0x10000) >> 10),
				0xdc00 + (code & 0x3ff));
	}
}

/* Numbers alone, or arrays of such. */
static bool numbers(const struct json *json, json_value v)
{
	if (json_type(json, v) != JSON_ARRAY)
		return json_type(json, v) == JSON_NUMBER;
	for (v = json_first(json, v); v != JSON_NONE; v = json_next(json, v))
		if (!numbers(json, v))
			return false;
	return true;
}

bool style_breaks(const struct style *style, const struct json *json, json_value v)
{
	return style->lines && json_count(json, v) > 0 &&
	       !(style->inline_numbers && numbers(json, v));
}

struct writer {
	const struct style *style;
	const struct json *json;
	struct text *out;
};

static void put_value(const struct writer *w, json_value v, unsigned depth, bool lines);

static void put_children(const struct writer *w, json_value v, unsigned depth, bool lines)
{
	json_value first = json_first(w->json, v);

	for (json_value c = first; c != JSON_NONE; c = json_next(w->json, c)) {
		if (c != first && lines)
			text_putc(w->out, ',');
		else if (c != first)
			style_put_span(w->style->comma, w->out);
		if (lines)
			style_put_line(w->style, depth, w->out);
		if (w->json->values[c].key != 0) {
			style_put_string(w->style, json_key_text(w->json, c) - 1, w->out);
			style_put_span(w->style->colon, w->out);
		}
		put_value(w, c, depth, lines);
	}
}

/* Recursion is as deep as texts are: JSON_DEPTH_MAX. */
static void put_value(const struct writer *w, json_value v, unsigned depth, bool lines)
{
	enum json_type type = json_type(w->json, v);
	size_t len;
	const char *raw = json_raw(w->json, v, &len);

	if (type == JSON_STRING) {
		style_put_string(w->style, raw, w->out);
		return;
	}
	if (type != JSON_OBJECT && type != JSON_ARRAY) {
		text_put(w->out, raw, len);
		return;
	}
	lines = lines && style_breaks(w->style, w->json, v);
	text_putc(w->out, *raw);
	put_children(w, v, depth + 1, lines);
	if (lines)
		style_put_line(w->style, depth, w->out);
	text_putc(w->out, raw[len - 1]);
}

void style_put_value(const struct style *style, const struct json *json, json_value v,
	unsigned depth, struct text *out)
{
	put_value(&(struct writer){style, json, out}, v, depth, style->lines);
}
