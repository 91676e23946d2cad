/*
 * lock: one weightfs at a time writes a container, and a second one can say who the
 * first is.
 *
 * The lock is an open-file-description lock on one byte far beyond the end, which
 * disturbs no loader. The kernel does not tell who holds such a lock, so the holder
 * leaves a record in the user's runtime folder; a record is only ever used in a message.
 */
#ifndef WEIGHTFS_FS_LOCK_H
#define WEIGHTFS_FS_LOCK_H

#include <stdbool.h>
#include <sys/stat.h>

struct error;

/* Embedded; {.folder = -1} owns nothing. */
struct lock_record {
	int folder;
	char name[48]; /* empty: none was written */
};

/* Locks the file that `fd` (open for writing) has open, for all that share this
 * descriptor. 0; -EBUSY where another one has it; -ENOLCK and the like where the file
 * system cannot lock. */
int lock_take(int fd, const struct stat *st, struct error *err);
/* The same, but waits some seconds for a holder that is not mounted: it has something to
 * do for a moment, such as the last commit of a session. */
int lock_wait(int fd, const struct stat *st, struct error *err);
void lock_drop(int fd);

/* Whether a program beside this one has the file open or mapped. `fd` must be this
 * program's only open file description of it. False where that cannot be found out (the
 * file belongs to somebody else, the file system has no leases). */
bool lock_is_shared(int fd);

/* Opens the folder of records, where that can be done; else none is ever written. */
void lock_record_open(struct lock_record *record);
/* Writes who has the file of `st`, and removes what was written for another one before.
 * `mountpoint` may be NULL. Best effort. */
void lock_record_write(
	struct lock_record *record, const struct stat *st, const char *mountpoint);
void lock_record_done(struct lock_record *record);

#endif
