/*
 * means: by which means a container can be committed where it lies.
 *
 * Replacing a file takes a folder that may be written, a name that is the only one,
 * and the right to give the new file the old one's owner. Patching takes a place for the
 * journal where recovery will look for it.
 */
#include "decoders/base/error.h"
#include "fs/container_private.h"
#include "fs/copy.h"
#include "fs/shift.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool may_write(int folder)
{
	return faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) == 0;
}

static bool in_group(gid_t gid)
{
	int n = getgroups(0, NULL);
	gid_t *groups = n > 0 ? calloc((size_t)n, sizeof *groups) : NULL;
	bool found = gid == getegid();

	n = groups != NULL ? getgroups(n, groups) : 0;
	for (int i = 0; !found && i < n; i++)
		found = groups[i] == gid;
	free(groups);
	return found;
}

/* A new file of ours can be given this owner. Root without the right to is found out
 * when it tries. */
static bool may_own(const struct stat *st)
{
	return geteuid() == 0 || (st->st_uid == geteuid() && in_group(st->st_gid));
}

/* The file is mounted by itself over another one's name (docker run -v FILE:FILE). */
static bool is_mount_point(const struct container *c)
{
	struct statx file, folder;

	return statx(c->fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &file) == 0 &&
	       statx(c->beside.folder, "", AT_EMPTY_PATH, STATX_MNT_ID, &folder) == 0 &&
	       (file.stx_mask & folder.stx_mask & STATX_MNT_ID) != 0 &&
	       file.stx_mnt_id != folder.stx_mnt_id;
}

static void look_at_rewrite(struct container *c, const struct stat *st)
{
	char *why = c->means.no_rewrite;
	size_t size = sizeof c->means.no_rewrite;

	why[0] = '\0';
	if (!may_write(c->beside.folder))
		(void)snprintf(why, size, "its folder may not be written");
	else if (st->st_nlink > 1)
		(void)snprintf(why, size,
			"it has %ju names, which would become two files",
			(uintmax_t)st->st_nlink);
	else if (is_mount_point(c))
		(void)snprintf(
			why, size, "it is a mount point, which cannot be replaced");
	else if (!may_own(st))
		(void)snprintf(why, size,
			"it belongs to user %ju, group %ju, which a new file cannot be "
			"given",
			(uintmax_t)st->st_uid, (uintmax_t)st->st_gid);
	else if (c->trusted)
		(void)snprintf(why, size,
			"it has attributes trusted.*, which a new file cannot be given");
}

static void look_at_patch(struct container *c, const struct stat *st)
{
	char *why = c->means.no_patch;
	size_t size = sizeof c->means.no_patch;
	bool can_note = note_possible(c->fd);

	why[0] = '\0';
	c->means.note = can_note && (st->st_nlink > 1 || c->elsewhere.folder >= 0 ||
					    is_mount_point(c));
	if (c->elsewhere.folder >= 0 && !may_write(c->elsewhere.folder))
		(void)snprintf(
			why, size, "the folder for its journal may not be written");
	else if (c->elsewhere.folder < 0 && !may_write(c->beside.folder))
		(void)snprintf(why, size,
			"its folder may not be written: -o journal=DIR names another "
			"place "
			"for the journal");
	else if (st->st_nlink > 1 && !can_note)
		(void)snprintf(why, size,
			"it has %ju names and no extended attributes to say where its "
			"journal is",
			(uintmax_t)st->st_nlink);
}

const char *means_forbidden(const struct container *c)
{
	struct statx file;

	if (statx(c->fd, "", AT_EMPTY_PATH, STATX_TYPE, &file) < 0)
		return NULL;
	if ((file.stx_attributes & STATX_ATTR_IMMUTABLE) != 0)
		return "it is marked immutable (chattr +i)";
	if ((file.stx_attributes & STATX_ATTR_APPEND) != 0)
		return "it is marked append-only (chattr +a)";
	return NULL;
}

void means_look(struct container *c)
{
	struct stat st;

	if (fstat(c->fd, &st) < 0)
		return;
	look_at_rewrite(c, &st);
	look_at_patch(c, &st);
	c->means.alignment = c->means.no_rewrite[0] == '\0'
				     ? copy_alignment(c->fd, c->beside.folder)
				     : 0;
	c->means.block = shift_block(c->fd);
}

static bool is_large(const struct container *c)
{
	struct stat st;

	return fstat(c->fd, &st) == 0 && (uint64_t)st.st_size > c->shift_from;
}

const char *means_usual(const struct container *c, struct error *err)
{
	const struct means *means = &c->means;
	bool rewrite = means->no_rewrite[0] == '\0' && c->mode != COMMIT_PATCH;
	bool patch = means->no_patch[0] == '\0' && c->mode != COMMIT_REWRITE;

	if (patch && means->block > 0 && c->mode == COMMIT_AUTO && is_large(c))
		return "patch, shift";
	if (patch && (!rewrite || means->alignment == 0))
		return "patch";
	if (rewrite)
		return "rewrite";
	if (c->mode == COMMIT_REWRITE)
		(void)error_set(
			err, EOPNOTSUPP, "it cannot be replaced: %s", means->no_rewrite);
	else if (c->mode == COMMIT_PATCH ||
		 strcmp(means->no_patch, means->no_rewrite) == 0)
		(void)error_set(
			err, EOPNOTSUPP, "it cannot be patched: %s", means->no_patch);
	else
		(void)error_set(err, EOPNOTSUPP,
			"it cannot be replaced: %s; nor patched: %s", means->no_rewrite,
			means->no_patch);
	return NULL;
}
