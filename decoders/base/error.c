/*
 * error: texts that may be printed as they are. Format strings are ours, but
 * their arguments come from hostile files, so the finished text is escaped as
 * a whole: what is printable passes, all else becomes \xNN.
 */
#include "decoders/base/error.h"
#include "decoders/base/utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A text before it is escaped: longer would be cut anyway. */
#define RAW_MAX (2 * ERROR_TEXT_MAX)
#define ELLIPSIS "..."

/* Writes the escaped form of the character at `s`; returns what it took of `s`. */
static size_t escape_one(const unsigned char *s, size_t len, char form[17], size_t *n)
{
	uint32_t code = 0;
	size_t took = utf8_read(s, len, &code);

	*n = 0;
	if (took > 0 && !utf8_acts(code)) {
		memcpy(form, s, took);
		*n = took;
		return took;
	}
	took = took > 0 ? took : 1;
	for (size_t i = 0; i < took; i++)
		*n += (size_t)snprintf(form + *n, 17 - *n, "\\x%02x", s[i]);
	return took;
}

size_t error_escape(char *out, size_t size, const char *text, size_t len)
{
	const size_t dots = sizeof ELLIPSIS - 1;
	const unsigned char *s = (const unsigned char *)text;
	size_t at = 0, cut = 0, n;
	char form[17];

	if (size == 0)
		return 0;
	for (size_t i = 0; i < len; at += n) {
		i += escape_one(s + i, len - i, form, &n);
		if (at + dots < size)
			cut = at; /* the last place where the dots would fit */
		if (at + n >= size) {
			at = size > dots ? cut : 0;
			n = size > dots ? dots : 0;
			memcpy(out + at, ELLIPSIS, n);
			at += n;
			break;
		}
		memcpy(out + at, form, n);
	}
	out[at] = '\0';
	return at;
}

/* Formats into `raw` and returns the length, cut at its end. */
__attribute__((format(printf, 2, 0))) static size_t format(
	char raw[RAW_MAX], const char *fmt, va_list args)
{
	int n = vsnprintf(raw, RAW_MAX, fmt, args);

	if (n < 0)
		return 0;
	return n < RAW_MAX ? (size_t)n : RAW_MAX - 1;
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
	char raw[RAW_MAX];
	va_list args;

	if (err == NULL)
		return -code;
	va_start(args, fmt);
	(void)error_escape(err->text, sizeof err->text, raw, format(raw, fmt, args));
	va_end(args);
	return -code;
}

void error_prefix(struct error *err, const char *fmt, ...)
{
	char raw[RAW_MAX];
	va_list args;
	size_t n;

	if (err == NULL)
		return;
	va_start(args, fmt);
	n = format(raw, fmt, args);
	va_end(args);
	/* What is there is escaped already, and escaping it again changes nothing. */
	(void)snprintf(raw + n, sizeof raw - n, ": %s", err->text);
	(void)error_escape(err->text, sizeof err->text, raw, strlen(raw));
}
