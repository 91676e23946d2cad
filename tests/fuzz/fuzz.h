/*
 * fuzz: what the fuzz targets share.
 *
 * A target is a file with LLVMFuzzerTestOneInput(), which takes any bytes and returns 0;
 * what must hold and does not ends the process with a sentence. `make fuzz` drives
 * targets by libFuzzer, `make check` by replay.c over tests/fuzz/corpus/TARGET.
 */
#ifndef WEIGHTFS_TESTS_FUZZ_H
#define WEIGHTFS_TESTS_FUZZ_H

#include "decoders/base/model.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Says what does not hold, and ends the process. */
__attribute__((noreturn, format(printf, 1, 2))) void fuzz_fail(const char *fmt, ...);
#define HOLDS(cond)                                                                 \
	do {                                                                        \
		if (!(cond))                                                        \
			fuzz_fail("%s:%d: expected %s", __FILE__, __LINE__, #cond); \
	} while (0)

/* Numbers taken from an input, from its end backwards; zeros where it is used up. */
struct draw {
	const uint8_t *bytes;
	size_t left;
};
/* Takes at most `max` bytes from the end of an input, which gets shorter. */
struct draw fuzz_tail(const uint8_t *data, size_t *size, size_t max);
/* From 0 to n - 1; n > 0. */
unsigned fuzz_draw(struct draw *draw, unsigned n);

/* Bytes of the journal in an input of the target "journal": what is left of it is the
 * container and, in its last two bytes, how long that is. */
size_t fuzz_journal(const uint8_t *data, size_t size);

/* Opens a container of these bytes, probed where `format` is NULL. NULL when it is
 * refused: with an errno and a text of one clean line. */
struct model *fuzz_open(const uint8_t *data, size_t size, const char *format);
/* The same for a source; `source` stays the caller's. */
struct model *fuzz_open_source(struct source *source, const char *format);
/* A failure that a user may see: an errno and a line without control bytes. Failures by
 * our own mistake (an outcome that says something else) are none of these. */
void fuzz_refused(int rc, const struct error *err);

/* A container of these bytes is refused, or shown as DESIGN promises. */
void fuzz_container(const uint8_t *data, size_t size, const char *format);
/* Walks the tree: expands, describes, renders, reads some of each content. Writing back
 * what was read is no edit. */
void fuzz_walk(struct model *model);
/* Without edits the outcome is the container. */
void fuzz_unedited(struct model *model);
/* Fills all lazy folders; false where one cannot be. */
bool fuzz_expand(struct model *model);

#endif
