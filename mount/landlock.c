/*
 * landlock: everything is forbidden that this kernel can forbid, but for files in the
 * folders that were named and in what lies below them.
 *
 * The interface grows by versions; what an older header lacks is declared here. Never
 * granted: running, sockets, devices and links made, folders removed, files moved from
 * one folder to another, ioctls of devices, TCP, and, since 6, abstract sockets of others
 * and signals to them.
 */
#include "fs/confine.h"
#include "mount/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ACCESS_TRUNCATE (UINT64_C(1) << 14) /* since version 3 */
#define ALL_FS_1 ((UINT64_C(1) << 13) - 1)
#define ALL_FS_2 ((UINT64_C(1) << 14) - 1)
#define ALL_FS_3 ((UINT64_C(1) << 15) - 1)
#define ALL_FS_5 ((UINT64_C(1) << 16) - 1)
#define ALL_NET_4 UINT64_C(3)
#define ALL_SCOPES_6 UINT64_C(3)

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* Folders are made for edits that are kept. */
#define WRITING                                                                          \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE | LANDLOCK_ACCESS_FS_MAKE_REG | \
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE)

/* struct landlock_ruleset_attr as of version 6; older kernels take it, zeros behind what
 * they know. */
struct ruleset {
	uint64_t fs, net, scopes;
};

static struct ruleset all_of(int version)
{
	struct ruleset all = {.fs = ALL_FS_1};

	if (version >= 2)
		all.fs = ALL_FS_2;
	if (version >= 3)
		all.fs = ALL_FS_3;
	if (version >= 5)
		all.fs = ALL_FS_5;
	if (version >= 4)
		all.net = ALL_NET_4;
	if (version >= 6)
		all.scopes = ALL_SCOPES_6;
	return all;
}

static int allow(int ruleset, const struct places *places, uint64_t access)
{
	for (unsigned i = 0; i < places->n; i++) {
		struct landlock_path_beneath_attr rule = {
			.allowed_access = access, .parent_fd = places->folders[i]};

		if (places->folders[i] >= 0 &&
			syscall(SYS_landlock_add_rule, ruleset,
				LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
			return -errno;
	}
	return 0;
}

int landlock_restrict(const struct places *places)
{
	int version = (int)syscall(
		SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (version < 1)
		return version < 0 ? -errno : -EOPNOTSUPP;

	struct ruleset all = all_of(version);
	uint64_t access = READING | (places->writable ? WRITING : 0);
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	if (ruleset < 0)
		return -errno;
	int code = allow(ruleset, places, access & all.fs);
	if (!code && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
			     syscall(SYS_landlock_restrict_self, ruleset, 0)))
		code = -errno;
	close(ruleset);
	return code ? code : version;
}
