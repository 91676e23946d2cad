/*
 * utf8: one character at a time, strictly: no overlong forms, no surrogates,
 * nothing above U+10FFFF.
 */
#ifndef WEIGHTFS_BASE_UTF8_H
#define WEIGHTFS_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the character that begins at `s` (`len` is at least 1), its code in
 * *code; 0 if there is none. */
static inline size_t utf8_read(const void *s, size_t len, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *byte = s;
	size_t n = byte[0] < 0x80 ? 1 : byte[0] >= 0xf0 ? 4 : byte[0] >= 0xe0 ? 3 : 2;

	if ((byte[0] >= 0x80 && byte[0] < 0xc2) || byte[0] > 0xf4 || n > len)
		return 0;
	*code = n == 1 ? byte[0] : byte[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (byte[i] & 0x3f);
	}
	if (*code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return n;
}

/* Writes the character and returns its length. A surrogate, which is no
 * character, gets the three bytes that its code would have. */
static inline size_t utf8_write(char out[4], uint32_t code)
{
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (size_t i = n - 1; i > 0; i--, code >>= 6)
		out[i] = (char)(0x80 | (code & 0x3f));
	out[0] = (char)(lead[n] | code);
	return n;
}

/* Controls (C0, DEL, C1), bidirectional marks and line separators: what acts on
 * a terminal instead of standing on it. */
static inline bool utf8_acts(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x061c ||
	       (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069);
}

#endif
