/*
 * session: a FUSE session that one process mounts and another one serves.
 *
 * The daemon reads what strangers wrote, so it is confined before it does, and may not
 * mount. It asks the guardian, which gives it the connection to the kernel.
 */
#ifndef WEIGHTFS_MOUNT_SESSION_H
#define WEIGHTFS_MOUNT_SESSION_H

#include "mount/handlers.h"
#include <stdbool.h>

struct error;
struct options;

/* In the guardian: mounts. The connection's descriptor, the caller's, or a negative errno
 * with a text. */
int session_mount(const struct options *options, const char *mountpoint, bool readonly,
	struct error *err);
/* In the daemon: a session over such a connection, which it takes in any case. */
int session_open(struct fuse_session **out, const struct options *options,
	struct handlers *handlers, int connection, struct error *err);

#endif
