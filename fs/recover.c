/*
 * recover: what an interrupted commit left behind.
 *
 * A `.new` and a `.tmp` are edits that were never made: they go. A `.journal` is an edit
 * that was made: it is finished, if it is whole and the container is one that it fits;
 * else it stays where it is for a person to look at, and the container is not written.
 */
#include "decoders/base/error.h"
#include "fs/container_private.h"
#include "fs/file.h"
#include "fs/journal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX ".weightfs-"
#define JOURNAL_SUFFIX ".journal"

/* FNV-1a: the name must be the same in every version, nothing more. */
static uint64_t hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return h;
}

void leftovers_name(struct leftovers *left, const char *of)
{
	unsigned long long h = hash(of);

	(void)snprintf(left->new, LEFTOVER_MAX, PREFIX "%016llx.new", h);
	(void)snprintf(left->tmp, LEFTOVER_MAX, PREFIX "%016llx.tmp", h);
	(void)snprintf(left->journal, LEFTOVER_MAX, PREFIX "%016llx" JOURNAL_SUFFIX, h);
}

struct leftovers *recover_place(struct container *c)
{
	return c->elsewhere.folder >= 0 ? &c->elsewhere : &c->beside;
}

/* Folders and the like under these names are nobody's leftovers and stay. */
static void remove_unmade(struct container *c, const struct leftovers *left)
{
	bool new = left->folder >= 0 && file_remove(left->folder, left->new) == 0;
	bool tmp = left->folder >= 0 && file_remove(left->folder, left->tmp) == 0;

	if (new || tmp)
		c->recovered = "an edit that was not finished was taken back";
}

/* Opens what may be a journal: -1 with errno. */
static int open_journal(int folder, const char *name)
{
	return openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* Nobody but those who may write the container anyway can have it rewritten. */
static bool is_trusted(const struct container *c, int fd, struct error *err)
{
	struct stat st, container;

	if (fstat(fd, &st) < 0 || fstat(c->fd, &container) < 0 || !S_ISREG(st.st_mode)) {
		(void)error_set(err, EINVAL, "it is not a regular file");
		return false;
	}
	if ((st.st_uid != geteuid() && st.st_uid != 0 && st.st_uid != container.st_uid) ||
		(st.st_mode & 022) != 0) {
		(void)error_set(err, EINVAL,
			"others than the container's owner could have written it");
		return false;
	}
	return true;
}

bool leftovers_is_journal(const char *name)
{
	const size_t prefix = sizeof PREFIX - 1;

	return strncmp(name, PREFIX, prefix) == 0 &&
	       strspn(name + prefix, "0123456789abcdef") == 16 &&
	       strcmp(name + prefix + 16, JOURNAL_SUFFIX) == 0;
}

static void find_in(const struct leftovers *left, struct found *found)
{
	if (found->fd >= 0 || left->folder < 0)
		return;
	found->fd = open_journal(left->folder, left->journal);
	found->folder = left->folder;
	memcpy(found->name, left->journal, sizeof found->name);
	if (found->fd < 0 && errno != ENOENT)
		found->code = -errno;
}

void recover_find(struct container *c)
{
	struct found *found = &c->found;

	note_read(c);
	file_close(&found->fd);
	found->code = 0;
	find_in(&c->elsewhere, found);
	find_in(&c->beside, found);
	find_in(&c->noted.place, found);
}

int recover_retire(struct container *c, int folder, const char *name, struct error *err)
{
	int code = file_remove(folder, name);

	if (code < 0 && code != -ENOENT)
		return error_set(err, -code, "%s: removing the journal: %s", name,
			strerror(-code));
	note_remove(c);
	return file_sync_folder(folder, name, err);
}

static int finish(struct container *c, const struct found *found, struct journal *journal,
	struct error *err)
{
	int code = journal_apply(journal, c->fd, err);

	if (code == 0)
		code = file_sync(c->fd, c->name, err);
	if (code == 0)
		code = recover_retire(c, found->folder, found->name, err);
	if (code == 0)
		c->recovered = "an edit that was interrupted was finished";
	return code;
}

/* Opens the journal and sees whether it may be believed. */
static int judge(struct container *c, struct found *found, struct journal **journal,
	struct error *err)
{
	AUTO_JOURNAL *opened = NULL;
	int code, fd = found->fd;

	if (!is_trusted(c, fd, err))
		return -EINVAL;
	found->fd = -1;
	code = journal_open(&opened, fd, err);
	if (code == 0)
		code = journal_fits(opened, c->fd, err);
	if (code < 0)
		return code;
	*journal = opened;
	opened = NULL;
	return 0;
}

static void stays(struct container *c, const char *name, const char *why)
{
	container_set_readonly(c,
		"an edit was interrupted and cannot be finished: its journal %s stays as "
		"it "
		"is, and the container too: %s",
		name, why);
}

void recover_container(struct container *c, struct journal **journal)
{
	struct found *found = &c->found;
	struct error why = {0};
	bool write = c->readonly == NULL;
	int code;

	*journal = NULL;
	if (write) {
		remove_unmade(c, &c->elsewhere);
		remove_unmade(c, &c->beside);
	}
	if (found->fd < 0 && found->code < 0)
		stays(c, found->name, strerror(-found->code));
	else if (found->fd < 0 && c->noted.why[0] != '\0')
		container_set_readonly(c, "%s", c->noted.why);
	if (found->fd < 0)
		return;
	code = judge(c, found, journal, &why);
	if (code < 0)
		stays(c, found->name, why.text);
	if (code < 0 || !write)
		return;
	code = finish(c, found, *journal, &why);
	if (code < 0)
		stays(c, found->name, why.text);
	/* What is laid over it must know what became of it. */
	if (code == 0 || journal_look(*journal, c->fd, NULL) < 0)
		journal_close(journal);
}
