/*
 * extents: what FIEMAP says of shared blocks.
 *
 * Only extents that are shared, written and plain are kept: what is compressed, inline,
 * not yet on the disk or preallocated has no address to compare. The map is taken after a
 * sync of the file, since stores that still wait in memory show nowhere in it; only where
 * a first look, without one, found that it shares anything.
 */
#include "fs/extents.h"
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define AT_ONCE 256
#define EXTENTS_MAX (1u << 20) /* beyond, the rest is read */
#define UNFIT                                                                     \
	(FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_ENCODED | \
		FIEMAP_EXTENT_DATA_ENCRYPTED | FIEMAP_EXTENT_NOT_ALIGNED |        \
		FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_DATA_TAIL |             \
		FIEMAP_EXTENT_UNWRITTEN)

struct extent {
	uint64_t off, disk, len;
};

struct extents {
	dev_t device;
	size_t n, room;
	struct extent *all; /* by offset */
};

static bool keep(struct extents *extents, const struct fiemap_extent *found)
{
	if (!(found->fe_flags & FIEMAP_EXTENT_SHARED) || (found->fe_flags & UNFIT))
		return true;
	if (extents->n == extents->room) {
		size_t room = extents->room ? 2 * extents->room : 64;
		struct extent *all = room <= EXTENTS_MAX ? reallocarray(extents->all,
								   room, sizeof *all)
							 : NULL;
		if (!all)
			return false;
		extents->all = all;
		extents->room = room;
	}
	extents->all[extents->n++] =
		(struct extent){found->fe_logical, found->fe_physical, found->fe_length};
	return true;
}

/* One call; *off moves behind what it told, to the end of all where that was the last. */
static bool look(struct extents *extents, int fd, uint32_t flags, uint64_t *off)
{
	struct {
		struct fiemap map;
		struct fiemap_extent room[AT_ONCE];
	} ask = {.map = {.fm_start = *off,
			 .fm_length = FIEMAP_MAX_OFFSET - *off,
			 .fm_flags = flags,
			 .fm_extent_count = AT_ONCE}};

	if (ioctl(fd, FS_IOC_FIEMAP, &ask) < 0)
		return false;
	*off = FIEMAP_MAX_OFFSET;
	for (uint32_t i = 0; i < ask.map.fm_mapped_extents; i++) {
		const struct fiemap_extent *found = &ask.room[i];
		if (!keep(extents, found))
			return false;
		if (!(found->fe_flags & FIEMAP_EXTENT_LAST))
			*off = found->fe_logical + found->fe_length;
		else
			*off = FIEMAP_MAX_OFFSET;
	}
	return true;
}

static bool look_at_all(struct extents *extents, int fd, uint32_t flags)
{
	uint64_t off = 0;

	extents->n = 0;
	while (off < FIEMAP_MAX_OFFSET)
		if (!look(extents, fd, off ? 0 : flags, &off))
			return false;
	return extents->n > 0;
}

struct extents *extents_of(int fd)
{
	struct extents *extents = calloc(1, sizeof *extents);
	struct stat st;

	if (!extents)
		return NULL;
	if (fstat(fd, &st) < 0 || !look_at_all(extents, fd, 0) ||
		!look_at_all(extents, fd, FIEMAP_FLAG_SYNC))
		extents_free(&extents);
	else
		extents->device = st.st_dev;
	return extents;
}

void extents_free(struct extents **extents)
{
	if (*extents)
		free((*extents)->all);
	free(*extents);
	*extents = NULL;
}

/* The extent that `off` lies in, or NULL. */
static const struct extent *at(const struct extents *extents, uint64_t off)
{
	size_t low = 0, high = extents->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (extents->all[middle].off <= off)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || off - extents->all[low - 1].off >= extents->all[low - 1].len)
		return NULL;
	return &extents->all[low - 1];
}

uint64_t extents_same(const struct extents *a, uint64_t off_a, const struct extents *b,
	uint64_t off_b, uint64_t want)
{
	uint64_t same = 0;

	if (!a || !b || a->device != b->device)
		return 0;
	while (same < want) {
		const struct extent *in_a = at(a, off_a + same);
		const struct extent *in_b = at(b, off_b + same);
		if (!in_a || !in_b)
			break;
		uint64_t into_a = off_a + same - in_a->off;
		uint64_t into_b = off_b + same - in_b->off;
		if (in_a->disk + into_a != in_b->disk + into_b)
			break;
		uint64_t left_a = in_a->len - into_a, left_b = in_b->len - into_b;
		same += left_a < left_b ? left_a : left_b;
	}
	return same < want ? same : want;
}
