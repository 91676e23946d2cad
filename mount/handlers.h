/*
 * handlers: the kernel's requests, translated one by one into fs/ calls.
 */
#ifndef WEIGHTFS_MOUNT_HANDLERS_H
#define WEIGHTFS_MOUNT_HANDLERS_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <stdbool.h>

struct fs;

/* What a session's handlers share: the userdata of the session. Borrowed. */
struct handlers {
	struct fs *fs;
	struct fuse_session *session;
	bool readonly;		      /* nothing ever changes: the kernel need not ask */
	struct folder_cache *folders; /* owned; handlers_done() */
};

int handlers_init(struct handlers *handlers, struct fs *fs, bool readonly);
void handlers_done(struct handlers *handlers);

/* The operations, with what this mount does without left out. */
struct fuse_lowlevel_ops handlers_ops(bool readonly, bool xattr);
/* From then on the kernel is told when what it caches is no longer so. */
void handlers_notify(struct handlers *handlers, struct fuse_session *session);

#endif
