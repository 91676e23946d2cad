/*
 * text: a growable string of bytes.
 *
 * `struct text` is embedded by its owner; {0} is an empty one. `bytes` is
 * NUL-terminated after any successful call (the NUL is not counted in `len`),
 * NULL before. Growing can fail only for want of memory: then the text turns
 * `failed`, keeps what it has, and every later put is ignored, so that a writer
 * checks once, at the end, with text_check().
 */
#ifndef WEIGHTFS_BASE_TEXT_H
#define WEIGHTFS_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct error;

struct text {
	char *bytes;
	size_t len;
	size_t cap;
	bool failed;
};

void text_put(struct text *text, const void *bytes, size_t len);
void text_puts(struct text *text, const char *string);
void text_putc(struct text *text, char c);
void text_printf(struct text *text, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Replaces `len` bytes at `off` by `with_len` bytes of `with`. */
void text_splice(
	struct text *text, size_t off, size_t len, const void *with, size_t with_len);
/* Empties the text and keeps its memory. */
void text_clear(struct text *text);
/* 0, or -ENOMEM with a text in `err`. */
int text_check(const struct text *text, struct error *err);
/* Hands the bytes over (the caller frees them; never NULL unless failed). */
char *text_take(struct text *text, size_t *len);
/* Frees the bytes; the text is empty and usable again. NULL is allowed. */
void text_done(struct text *text);

#define AUTO_TEXT __attribute__((cleanup(text_done))) struct text

#endif
