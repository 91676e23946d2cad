/*
 * confine: giving up rights once all is open that is opened by its path.
 *
 * A container is opened in two steps: what has a path (folders, the file, the lock's
 * record), then what the bytes mean (a journal, headers). Between them its opener may
 * confine the process to the folders in which files will still be opened.
 */
#ifndef WEIGHTFS_FS_CONFINE_H
#define WEIGHTFS_FS_CONFINE_H

#include <stdbool.h>

/* Open folders, borrowed; -1 is none. */
struct places {
	const int *folders;
	unsigned n;
	bool writable; /* files are made and removed there, not only read */
};

struct confine {
	void (*enter)(struct confine *confine, const struct places *places);
	/* Set by enter(): what is in force, in words; "" for nothing. */
	char what[64];
};

#endif
