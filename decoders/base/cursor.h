/*
 * cursor: bounds-checked reading of a source from front to back, with a sticky
 * error. The only place where a decoder's bytes are indexed: read a whole record, check
 * the cursor once, then use the values. After the first failure every read gives
 * zeros and moves nothing.
 */
#ifndef WEIGHTFS_BASE_CURSOR_H
#define WEIGHTFS_BASE_CURSOR_H

#include <stddef.h>
#include <stdint.h>

struct error;
struct source;

#define CURSOR_BUFFER 4096

struct cursor {
	struct source *source; /* borrowed */
	uint64_t off;	       /* of the next byte, in the source */
	uint64_t end;	       /* no byte from here on is read */
	int code;	       /* 0, or the negative errno of the first failure */
	struct error *err;     /* borrowed; has the text of the first failure */
	uint64_t at;	       /* where the buffer begins in the source */
	size_t filled;
	unsigned char buffer[CURSOR_BUFFER];
};

/* Reads from `off` up to `end` (clamped to the source's size). */
void cursor_init(struct cursor *cursor, struct source *source, uint64_t off, uint64_t end,
	struct error *err);
uint8_t cursor_u8(struct cursor *cursor);
uint16_t cursor_le16(struct cursor *cursor);
uint32_t cursor_le32(struct cursor *cursor);
uint64_t cursor_le64(struct cursor *cursor);
/* Copies `len` bytes out. */
void cursor_bytes(struct cursor *cursor, void *buf, size_t len);
void cursor_skip(struct cursor *cursor, uint64_t len);
uint64_t cursor_left(const struct cursor *cursor);
/* 0 or the negative errno of the first failure. */
int cursor_check(const struct cursor *cursor);
/* Fails on the format's behalf at the current offset: "offset N: ...". */
int cursor_fail(struct cursor *cursor, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
