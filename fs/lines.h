/*
 * lines: two texts compared line by line.
 */
#ifndef WEIGHTFS_FS_LINES_H
#define WEIGHTFS_FS_LINES_H

#include <stddef.h>

struct error;
struct text;

/* Appends what differs as the hunks of a unified diff with that many lines of context
 * ("@@ -1,3 +1,4 @@" and so on, no names in front); nothing for equal texts. Texts that
 * differ in thousands of lines get a diff that is right but may not be the shortest. */
int lines_diff(const struct text *a, const struct text *b, size_t context,
	struct text *out, struct error *err);

#endif
