/*
 * error: the one-line text that explains a failure.
 *
 * Every function that can fail for a reason worth telling returns 0 or a
 * negative errno and takes a struct error as its last parameter. Whoever
 * discovers the problem writes the text; callers add context in front; only
 * mount/ prints. A text is lower case, without a full stop, and says what was
 * expected, what was found and where.
 */
#ifndef WEIGHTFS_BASE_ERROR_H
#define WEIGHTFS_BASE_ERROR_H

#include <stddef.h>

#define ERROR_TEXT_MAX 1024

/* Owned by the caller, usually on its stack. Initialise with {0}. */
struct error {
	char text[ERROR_TEXT_MAX];
};

/*
 * Writes the text and returns -code, so that a failure reads
 * `return error_set(err, EINVAL, "...")`. `code` is a positive errno. Control
 * bytes (C0, DEL, C1), bidirectional marks and invalid UTF-8 that the
 * arguments bring in (from a hostile file) are written as \xNN; a text that is
 * too long is cut between characters and ends in "...". `err` may be NULL:
 * then only the code is returned.
 */
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the text that is there. `err` may be NULL. */
void error_prefix(struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Copies `len` bytes of `text` to `out` (always terminated, at most `size`
 * bytes with the NUL), escaped as error_set does. For what a model file says
 * on its way to a terminal. Returns the length written.
 */
size_t error_escape(char *out, size_t size, const char *text, size_t len);

#endif
