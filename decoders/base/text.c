/*
 * text: a growable string of bytes whose failure is sticky, so that writers
 * of long texts check once.
 */
#include "decoders/base/text.h"
#include "decoders/base/error.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAP_FIRST 64

/* Room for `more` bytes and the NUL. False, and failed, without memory. */
static bool reserve(struct text *text, size_t more)
{
	size_t need, cap;
	char *bytes;

	if (text->failed)
		return false;
	if (__builtin_add_overflow(text->len, more, &need) ||
		__builtin_add_overflow(need, 1, &need))
		return !(text->failed = true);
	if (need <= text->cap)
		return true;
	if (__builtin_add_overflow(text->cap, text->cap / 2 + CAP_FIRST, &cap) ||
		cap < need)
		cap = need;
	bytes = realloc(text->bytes, cap);
	if (bytes == NULL)
		return !(text->failed = true);
	text->bytes = bytes;
	text->cap = cap;
	return true;
}

void text_put(struct text *text, const void *bytes, size_t len)
{
	if (!reserve(text, len))
		return;
	if (len > 0)
		memcpy(text->bytes + text->len, bytes, len);
	text->len += len;
	text->bytes[text->len] = '\0';
}

void text_puts(struct text *text, const char *string)
{
	text_put(text, string, strlen(string));
}

void text_putc(struct text *text, char c)
{
	text_put(text, &c, 1);
}

void text_printf(struct text *text, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0 || !reserve(text, (size_t)n)) {
		text->failed = true;
		return;
	}
	va_start(args, fmt);
	(void)vsnprintf(text->bytes + text->len, (size_t)n + 1, fmt, args);
	va_end(args);
	text->len += (size_t)n;
}

void text_splice(
	struct text *text, size_t off, size_t len, const void *with, size_t with_len)
{
	if (!reserve(text, with_len > len ? with_len - len : 0))
		return;
	memmove(text->bytes + off + with_len, text->bytes + off + len,
		text->len - off - len);
	if (with_len > 0)
		memcpy(text->bytes + off, with, with_len);
	text->len = text->len - len + with_len;
	text->bytes[text->len] = '\0';
}

void text_clear(struct text *text)
{
	text->len = 0;
	text->failed = false;
	if (text->bytes != NULL)
		text->bytes[0] = '\0';
}

int text_check(const struct text *text, struct error *err)
{
	if (text->failed)
		return error_set(err, ENOMEM,
			"not enough memory for a text of more than %zu bytes", text->len);
	return 0;
}

char *text_take(struct text *text, size_t *len)
{
	char *bytes;

	text_put(text, NULL, 0); /* an empty text is a NUL, not NULL */
	if (text->failed) {
		text_done(text);
		return NULL;
	}
	bytes = text->bytes;
	if (len != NULL)
		*len = text->len;
	*text = (struct text){0};
	return bytes;
}

void text_done(struct text *text)
{
	if (text == NULL)
		return;
	free(text->bytes);
	*text = (struct text){0};
}
