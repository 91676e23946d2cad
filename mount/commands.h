/*
 * commands: what weightfs does besides mounting. Each prints what it has to say and
 * returns the exit code.
 */
#ifndef WEIGHTFS_MOUNT_COMMANDS_H
#define WEIGHTFS_MOUNT_COMMANDS_H

struct options;

/* contained.c: runs a command that writes nothing but output in a child: where that ends
 * by a crash, a line says so. Returns twice, in both with the command's exit code. */
int command_contained(
	int (*command)(const struct options *options), const struct options *options);
/* list.c: the tree of a model, without mounting. */
int command_list(const struct options *options);
int command_formats(void);
/* compare.c: what differs between two models; the exit codes are those of diff(1). */
int command_compare(const struct options *options);
/* stat.c: what the numbers of a model are like. */
int command_stat(const struct options *options);
/* access.c: one file of the tree, without FUSE; through the same edits and commits. */
int command_get(const struct options *options);
int command_put(const struct options *options);
/* unmount.c: asks the mount's guardian; waits for its verdict. */
int command_unmount(const struct options *options);
int command_errors(const struct options *options);
int command_recover(const struct options *options);

#endif
