/*
 * daemon: the process that has the model open and answers the kernel.
 */
#ifndef WEIGHTFS_MOUNT_DAEMON_H
#define WEIGHTFS_MOUNT_DAEMON_H

struct options;

/*
 * Opens the model, mounts it, serves until it is unmounted, commits. `guardian` is the
 * channel to the guardian, which gets READY once the mount can be used and one VERDICT at
 * the end (the only one where the start fails). Returns the process's exit code.
 */
int daemon_run(const struct options *options, const char *mountpoint, int guardian);

#endif
