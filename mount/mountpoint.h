/*
 * mountpoint: the folder on which a model is shown, and what the kernel says of it.
 */
#ifndef WEIGHTFS_MOUNT_MOUNTPOINT_H
#define WEIGHTFS_MOUNT_MOUNTPOINT_H

#include <stdbool.h>
#include <sys/types.h>

struct error;

struct mountpoint {
	char *path; /* absolute, without symbolic links; owned */
	bool made;  /* by us: it is removed at the end */
};

/* What a mount is whose processes were killed, guardian and all. */
#define MOUNTPOINT_DEAD                                                      \
	"its processes were killed; what was saved before is in the model, " \
	"or will be when it is mounted again"

/*
 * The folder that was given, which must exist; or, with `path` NULL, one named after the
 * model without its suffix (".mnt" behind it where that is the model itself, ".2",
 * ".3" ... where the name is taken by something that is not an empty folder of ours to
 * use), beside the model where that may be written and `readonly` is not asked for, else
 * in the working directory. A dead mount of ours ("Transport endpoint is not connected")
 * is cleared away, which is said; one of another file system is explained.
 */
int mountpoint_take(struct mountpoint *out, const char *path, const char *model,
	bool readonly, struct error *err);
/* Removes the folder if it was made by us. */
void mountpoint_remove(const struct mountpoint *mountpoint);
void mountpoint_done(struct mountpoint *mountpoint);

/* What the kernel's table of mounts says of a weightfs mount. */
struct mounted {
	dev_t device;
	uid_t owner; /* who mounted it */
};

/* Whether a weightfs mount (the topmost one there) is at exactly that absolute path. Asks
 * only the kernel's table, never the file system itself. */
bool mountpoint_mounted(const char *path, struct mounted *out);
/* The absolute path of the weightfs mount that `path` names or is a symbolic link to, to
 * be freed; NULL: there is none. It may be dead. */
char *mountpoint_find(const char *path, struct mounted *out);
/* Unmounts, lazily if asked. 0, -EBUSY while somebody uses it, another negative errno. By
 * the system call for root, else by fusermount3. */
int mountpoint_unmount(const char *path, bool lazy);
/* Ends what is mounted there though somebody uses it: all who wait for an answer get an
 * error, then it is unmounted lazily. Best effort; for when nobody will answer. */
void mountpoint_abort(const char *path);

/*
 * umount(8) looks for its helper, which waits for the last commit, only where its own
 * table
 * (/run/mount/utab) knows the mount: this writes it there, or takes it out again. For
 * root with the helper installed; does nothing otherwise. Best effort: without it umount
 * does not wait.
 */
void mountpoint_record(const char *path, const char *source);
void mountpoint_unrecord(const char *path);

#endif
