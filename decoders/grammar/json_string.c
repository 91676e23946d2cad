/*
 * json_string: the characters of strings and keys.
 *
 * One reader undoes escapes; all that decodes, compares or prints strings goes
 * through it. The text has been checked by the parser.
 */
#include "decoders/base/text.h"
#include "decoders/base/utf8.h"
#include "decoders/grammar/json_private.h"
#include <string.h>

static uint32_t hex4(const char *s)
{
	uint32_t code = 0;

	for (int i = 0; i < 4; i++) {
		char c = s[i];

		code = code << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return code;
}

/* Behind a backslash. */
static uint32_t escaped(const char **s)
{
	char c = *(*s)++;
	uint32_t code, low;

	switch (c) {
	case 'b': return '\b';
	case 'f': return '\f';
	case 'n': return '\n';
	case 'r': return '\r';
	case 't': return '\t';
	case 'u': break;
	default: return (unsigned char)c;
	}
	code = hex4(*s);
	*s += 4;
	if ((code & 0xfc00) != 0xd800 || (*s)[0] != '\\' || (*s)[1] != 'u')
		return code;
	low = hex4(*s + 2);
	if ((low & 0xfc00) != 0xdc00)
		return code;
	*s += 6;
	return 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff));
}

uint32_t json_char(const char **s)
{
	unsigned char c = (unsigned char)**s;
	uint32_t code = c;

	if (c >= 0x80) {
		*s += utf8_read(*s, 4, &code);
		return code;
	}
	if (c == '"')
		return JSON_QUOTE;
	++*s;
	return c == '\\' ? escaped(s) : c;
}

int json_chars_compare(const char *a, const char *b)
{
	uint32_t x, y;

	do {
		x = json_char(&a);
		y = json_char(&b);
	} while (x == y && x != JSON_QUOTE);
	/* The end is less than any character. */
	return x == y ? 0 : x + 1 < y + 1 ? -1 : 1;
}

const char *json_string_end(const char *s)
{
	for (s++; *s != '"'; s++)
		s += *s == '\\';
	return s + 1;
}

const char *json_key_text(const struct json *json, json_value member)
{
	return json->text + json->values[member].key + 1;
}

const char *json_string_text(const struct json *json, json_value v)
{
	return json->text + json->values[v].off + 1;
}

static void put_chars(const char *s, struct text *out)
{
	uint32_t code;
	char form[4];

	for (;;) {
		const char *from = s;

		while (*s != '"' && *s != '\\')
			s++;
		text_put(out, from, (size_t)(s - from));
		code = json_char(&s);
		if (code == JSON_QUOTE)
			return;
		text_put(out, form, utf8_write(form, code));
	}
}

/* Whether the characters from `s` to its quote are these bytes. */
static bool chars_are(const char *s, const char *bytes, size_t len)
{
	uint32_t code;
	char form[4];

	for (size_t n; (code = json_char(&s)) != JSON_QUOTE; bytes += n, len -= n) {
		n = utf8_write(form, code);
		if (n > len || memcmp(form, bytes, n) != 0)
			return false;
	}
	return len == 0;
}

void json_string(const struct json *json, json_value v, struct text *out)
{
	put_chars(json_string_text(json, v), out);
}

void json_key(const struct json *json, json_value member, struct text *out)
{
	put_chars(json_key_text(json, member), out);
}

bool json_key_is(const struct json *json, json_value member, const char *key, size_t len)
{
	return chars_are(json_key_text(json, member), key, len);
}

bool json_string_is(const struct json *json, json_value v, const char *s, size_t len)
{
	return json_type(json, v) == JSON_STRING &&
	       chars_are(json_string_text(json, v), s, len);
}

/* Writes what may not stand in a string as it is: what RFC 8259 says, and the
 * three bytes of a lone surrogate. Returns how many bytes of `s` that took. */
static size_t put_escape(struct text *out, const unsigned char *s)
{
	static const char letters[0x20] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};

	if (*s == 0xed) {
		text_printf(
			out, "\\u%04x", 0xd000u | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu));
		return 3;
	}
	if (*s == '"' || *s == '\\')
		text_printf(out, "\\%c", *s);
	else if (letters[*s] != '\0')
		text_printf(out, "\\%c", letters[*s]);
	else
		text_printf(out, "\\u%04x", *s);
	return 1;
}

void json_put_string(struct text *out, const char *s, size_t len)
{
	const unsigned char *byte = (const unsigned char *)s;
	size_t from = 0, n;

	text_putc(out, '"');
	for (size_t i = 0; i < len; i++) {
		if (byte[i] >= 0x20 && byte[i] != '"' && byte[i] != '\\' &&
			byte[i] != 0xed)
			continue;
		if (byte[i] == 0xed && (len - i < 3 || byte[i + 1] < 0xa0))
			continue;
		text_put(out, s + from, i - from);
		n = put_escape(out, byte + i);
		from = i + n;
		i += n - 1;
	}
	text_put(out, s + from, len - from);
	text_putc(out, '"');
}

bool json_utf8(const char *s, size_t len)
{
	uint32_t code;

	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_read(s + i, len - i, &code);
		if (n == 0)
			return false;
	}
	return true;
}
