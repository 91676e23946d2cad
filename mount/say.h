/*
 * say: how weightfs speaks to a person: nothing that a model file or its name says acts
 * on a terminal.
 */
#ifndef WEIGHTFS_MOUNT_SAY_H
#define WEIGHTFS_MOUNT_SAY_H

#include <stddef.h>
#include <stdio.h>

/* One line on standard error, "weightfs: ..."; what is not printable is \xNN, also a line
 * break. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A part of a line, escaped as above: the number of bytes that it became. */
size_t say_field(FILE *out, const char *text, size_t len);
/* A text of lines: line breaks and tabs pass, all else as above. The number of bytes of
 * it that were written. */
size_t say_text(FILE *out, const char *text, size_t len);

#endif
