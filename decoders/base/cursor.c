/*
 * cursor: reading from front to back through a small buffer, with a sticky error.
 *
 * What is longer than the buffer goes straight to where it is wanted.
 */
#include "decoders/base/cursor.h"
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void cursor_init(struct cursor *cursor, struct source *source, uint64_t off, uint64_t end,
	struct error *err)
{
	uint64_t size = source_size(source);

	cursor->source = source;
	cursor->end = end < size ? end : size;
	cursor->off = off < cursor->end ? off : cursor->end;
	cursor->code = 0;
	cursor->err = err;
	cursor->at = 0;
	cursor->filled = 0;
}

uint64_t cursor_left(const struct cursor *cursor)
{
	return cursor->end - cursor->off;
}

int cursor_check(const struct cursor *cursor)
{
	return cursor->code;
}

/* Whether `len` bytes are left and nothing has failed; fails where they are not. */
static bool wants(struct cursor *cursor, uint64_t len)
{
	if (cursor->code != 0)
		return false;
	if (len <= cursor_left(cursor))
		return true;
	cursor->code = error_set(cursor->err, EINVAL,
		"offset %" PRIu64 ": expected %" PRIu64 " bytes, found the end after "
		"%" PRIu64,
		cursor->off, len, cursor_left(cursor));
	return false;
}

/* Copies what the buffer has of `len` bytes; returns how many those are. */
static size_t take(struct cursor *cursor, void *buf, size_t len)
{
	size_t skip, n;

	if (cursor->off < cursor->at || cursor->off - cursor->at >= cursor->filled)
		return 0;
	skip = (size_t)(cursor->off - cursor->at);
	n = cursor->filled - skip < len ? cursor->filled - skip : len;
	memcpy(buf, cursor->buffer + skip, n);
	cursor->off += n;
	return n;
}

/* Fills the buffer from the current offset. */
static bool fill(struct cursor *cursor)
{
	uint64_t left = cursor_left(cursor);
	size_t n = left < CURSOR_BUFFER ? (size_t)left : CURSOR_BUFFER;

	cursor->filled = 0;
	cursor->code =
		source_read(cursor->source, cursor->off, cursor->buffer, n, cursor->err);
	if (cursor->code < 0)
		return false;
	cursor->at = cursor->off;
	cursor->filled = n;
	return true;
}

/* What `buf` still needs after the buffer was empty. */
static bool read_rest(struct cursor *cursor, void *buf, size_t len)
{
	if (len < CURSOR_BUFFER) {
		if (!fill(cursor))
			return false;
		(void)take(cursor, buf, len); /* all: wants() has checked */
		return true;
	}
	cursor->code = source_read(cursor->source, cursor->off, buf, len, cursor->err);
	if (cursor->code < 0)
		return false;
	cursor->off += len;
	return true;
}

void cursor_bytes(struct cursor *cursor, void *buf, size_t len)
{
	uint64_t start = cursor->off;
	size_t n = 0;

	if (len == 0)
		return;
	if (wants(cursor, len)) {
		n = take(cursor, buf, len);
		if (n == len || read_rest(cursor, (char *)buf + n, len - n))
			return;
		cursor->off = start;
	}
	memset(buf, 0, len);
}

void cursor_skip(struct cursor *cursor, uint64_t len)
{
	if (wants(cursor, len))
		cursor->off += len;
}

/* An unsigned little-endian integer of `n` bytes. */
static uint64_t little(struct cursor *cursor, size_t n)
{
	unsigned char bytes[8] = {0};
	uint64_t v = 0;

	cursor_bytes(cursor, bytes, n);
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)bytes[i] << (8 * i);
	return v;
}

uint8_t cursor_u8(struct cursor *cursor)
{
	return (uint8_t)little(cursor, 1);
}

uint16_t cursor_le16(struct cursor *cursor)
{
	return (uint16_t)little(cursor, 2);
}

uint32_t cursor_le32(struct cursor *cursor)
{
	return (uint32_t)little(cursor, 4);
}

uint64_t cursor_le64(struct cursor *cursor)
{
	return little(cursor, 8);
}

int cursor_fail(struct cursor *cursor, int code, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;

	if (cursor->code != 0)
		return cursor->code;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	cursor->code =
		error_set(cursor->err, code, "offset %" PRIu64 ": %s", cursor->off, text);
	return cursor->code;
}
