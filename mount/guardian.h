/*
 * guardian: the small process that starts the daemon, outlives it, and unmounts.
 */
#ifndef WEIGHTFS_MOUNT_GUARDIAN_H
#define WEIGHTFS_MOUNT_GUARDIAN_H

struct options;

/*
 * Mounts options->model: chooses the mount point, starts the daemon and returns when the
 * mount is ready, the guardian going on in the background; in the foreground it returns
 * when the session is over. All that is to be said is printed. Returns the exit code.
 */
int guardian_start(const struct options *options);

#endif
