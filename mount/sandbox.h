/*
 * sandbox: what a process that reads a stranger's model gives up before it does.
 *
 * Best effort, part by part: where the kernel lacks one the others are in force, and
 * info.json says which.
 */
#ifndef WEIGHTFS_MOUNT_SANDBOX_H
#define WEIGHTFS_MOUNT_SANDBOX_H

struct confine;
struct places;

/*
 * For struct confine: from then on this process (which has one thread yet) and its
 * threads open files in `places` only, start no program and no process, make no socket,
 * gain no privilege, and leave no core. What is open stays open.
 */
void sandbox_enter(struct confine *confine, const struct places *places);

/* landlock.c: files are opened in these folders only. The version of the kernel's
 * interface, or a negative errno where there is none. */
int landlock_restrict(const struct places *places);
/* seccomp.c: the system calls of the table only; all others do not exist (ENOSYS). 0 or a
 * negative errno. */
int seccomp_restrict(void);

#endif
