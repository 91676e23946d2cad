/*
 * shift: finding it in a plan, making it, and telling what is left of one.
 *
 * What a power cut leaves of an insertion of `len` bytes at `off`, by the size of the
 * file and where its hole is (measured on ext4, which sets the size first and then moves
 * extents from the last to the first, in as many transactions as it takes):
 *
 *   the old size                            nothing has moved
 *   a hole up to the end                    nothing has moved: cut to the old size
 *   a hole of `len` bytes behind `off`      what lies behind it has: collapse it
 *   holes in the gap alone, or none         all has moved
 *
 * Collapsing and cutting leave one of these states too, so all can be repeated.
 */
#include "fs/shift.h"
#include "decoders/base/error.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "fs/file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Times that a call which was interrupted is made anew. */
#define TRIES 100

uint64_t shift_block(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0 || fs.f_type != EXT4_SUPER_MAGIC || fs.f_bsize <= 0)
		return 0;
	return (uint64_t)fs.f_bsize;
}

/* The first region that has moved; NULL: there is none. */
static const struct region *first_moved(const struct plan *plan)
{
	for (size_t i = 0; i < plan_count(plan); i++) {
		const struct region *region = plan_region(plan, i);

		if (region->kind == REGION_OLD && region->old_off != region->off)
			return region;
	}
	return NULL;
}

/* Whether a region of old bytes is where the gap leaves it. */
static bool keeps_up(const struct region *region, const struct region *moved, uint64_t by)
{
	if (region->off < moved->off)
		return region->old_off + region->len <= moved->old_off;
	return region->old_off + by == region->off;
}

bool shift_find(const struct plan *plan, uint64_t block, struct shift *shift)
{
	const struct region *moved = first_moved(plan);
	uint64_t old_size = source_size(plan_source_old(plan)), by;

	if (moved == NULL || moved->off < moved->old_off)
		return false;
	by = moved->off - moved->old_off;
	if (by % block != 0 || plan_size(plan) < old_size + by)
		return false;
	for (size_t i = 0; i < plan_count(plan); i++) {
		const struct region *region = plan_region(plan, i);

		if (region->kind == REGION_OLD && !keeps_up(region, moved, by))
			return false;
	}
	*shift = (struct shift){.off = moved->old_off / block * block,
		.len = by,
		.old_size = old_size,
		.from = old_size};
	return true;
}

/* Holes. */

static int next(
	int fd, uint64_t off, int whence, uint64_t size, uint64_t *out, struct error *err)
{
	off_t at = lseek(fd, (off_t)off, whence);

	if (at < 0 && errno != ENXIO)
		return error_set(err, errno, "looking for holes: %s", strerror(errno));
	*out = at < 0 ? size : (uint64_t)at;
	return 0;
}

/* The first hole at or behind `off`; both are the size where there is none. */
static int next_hole(
	int fd, uint64_t off, uint64_t size, uint64_t hole[2], struct error *err)
{
	int code = next(fd, off, SEEK_HOLE, size, &hole[0], err);

	hole[1] = size;
	return code < 0 ? code : next(fd, hole[0], SEEK_DATA, size, &hole[1], err);
}

bool shift_allowed(int fd, uint64_t size)
{
	uint64_t hole[2];

	return file_sync(fd, "", NULL) == 0 && next_hole(fd, 0, size, hole, NULL) == 0 &&
	       hole[0] == size;
}

static int no_shift(const uint64_t hole[2], struct error *err)
{
	return error_set(err, EINVAL,
		"it has a hole from offset %" PRIu64 " to %" PRIu64
		", which no shift leaves",
		hole[0], hole[1]);
}

/* Whether all holes lie in the gap, of which `hole` is the first. 1, 0 or negative. */
static int all_in_gap(const struct shift *shift, int fd, uint64_t size, uint64_t hole[2],
	struct error *err)
{
	int code = 0;

	while (code == 0 && hole[0] < size) {
		if (hole[0] < shift->off || hole[1] > shift->off + shift->len)
			return 0;
		code = next_hole(fd, hole[1], size, hole, err);
	}
	return code < 0 ? code : 1;
}

static int look_at_holes(struct shift *shift, int fd, uint64_t size, struct error *err)
{
	uint64_t first[2], hole[2];
	int code = next_hole(fd, 0, size, first, err);

	if (code < 0)
		return code;
	memcpy(hole, first, sizeof hole);
	code = all_in_gap(shift, fd, size, hole, err);
	if (code < 0)
		return code;
	if (code == 1) {
		shift->from = shift->off;
		return 0;
	}
	if (first[0] >= shift->old_size && first[1] == size) {
		shift->from = shift->old_size;
		return 0;
	}
	code = next_hole(fd, first[1], size, hole, err);
	if (code < 0)
		return code;
	if (first[0] < shift->off || first[1] - first[0] != shift->len || hole[0] != size)
		return no_shift(first, err);
	shift->from = first[0];
	return 0;
}

static int size_of(int fd, uint64_t *size, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set(err, errno, "%s", strerror(errno));
	*size = (uint64_t)st.st_size;
	return 0;
}

int shift_look(struct shift *shift, int fd, struct error *err)
{
	uint64_t size = 0;
	int code = shift->len > 0 ? size_of(fd, &size, err) : 0;

	if (code < 0 || shift->len == 0)
		return code;
	if (size == shift->old_size + shift->len)
		return look_at_holes(shift, fd, size, err);
	/* What the edit appends comes when the gap is durable. */
	shift->from = size > shift->old_size ? shift->off : shift->old_size;
	return 0;
}

/* Making and undoing. A call that was interrupted has done something or nothing: that is
 * looked at before it is made again. */

static int change(int fd, int mode, uint64_t off, uint64_t len, struct error *err)
{
	if (fallocate(fd, mode, (off_t)off, (off_t)len) == 0)
		return 0;
	/* Blocks in clusters, files without extents, swap files, attributes. */
	if (errno == EINVAL || errno == EPERM || errno == ETXTBSY || errno == ENOSYS)
		errno = EOPNOTSUPP;
	return error_set(err, errno,
		"%s a gap of %" PRIu64 " bytes at offset %" PRIu64 ": %s",
		mode == FALLOC_FL_COLLAPSE_RANGE ? "closing" : "opening", len, off,
		strerror(errno));
}

/* One step back; 1 where there is none left to do. */
static int step_back(struct shift *shift, int fd, struct error *err)
{
	uint64_t size = 0;
	int code = shift_look(shift, fd, err);

	if (code == 0)
		code = size_of(fd, &size, err);
	if (code < 0)
		return code;
	if (size == shift->old_size)
		return 1;
	if (shift->from == shift->old_size)
		return file_resize(fd, "the container", shift->old_size, err);
	return change(fd, FALLOC_FL_COLLAPSE_RANGE, shift->from, shift->len, err);
}

int shift_undo(struct shift *shift, int fd, struct error *err)
{
	int code = 0;

	for (int i = 0; (code == 0 || code == -EINTR) && i < TRIES; i++)
		code = step_back(shift, fd, err);
	return code < 0 ? code : 0;
}

static int insert(struct shift *shift, int fd, struct error *err)
{
	int code = shift_look(shift, fd, err);

	if (code == 0 && shift->from != shift->off) {
		code = shift_undo(shift, fd, err);
		if (code == 0)
			code = change(
				fd, FALLOC_FL_INSERT_RANGE, shift->off, shift->len, err);
		if (code == 0)
			shift->from = shift->off;
	}
	if (code == 0)
		code = change(fd, FALLOC_FL_KEEP_SIZE, shift->off, shift->len, err);
	return code;
}

int shift_make(struct shift *shift, int fd, struct error *err)
{
	int code = -EINTR;

	for (int i = 0; code == -EINTR && i < TRIES; i++)
		code = insert(shift, fd, err);
	return code;
}

/* Reading. */

bool shift_place(const struct shift *shift, uint64_t *off, uint64_t *len)
{
	uint64_t end = shift->off + shift->len, old;

	if (shift->from == shift->off || shift->len == 0)
		return true;
	if (*off < shift->off) {
		*len = least(*len, shift->off - *off);
		return true;
	}
	if (*off < end) {
		*len = least(*len, end - *off);
		return false;
	}
	old = *off - shift->len;
	if (old < shift->from) {
		*len = least(*len, shift->from - old);
		*off = old;
	}
	return true;
}

int shift_read(const struct shift *shift, struct source *file, uint64_t off, void *buf,
	size_t len, struct error *err)
{
	uint64_t size = source_size(file), at, n;
	int code = 0;

	for (char *to = buf; code == 0 && len > 0; to += n, off += n, len -= n) {
		at = off;
		n = len;
		if (shift_place(shift, &at, &n) && at < size) {
			n = least(n, size - at);
			code = source_read(file, at, to, n, err);
		} else {
			memset(to, 0, n);
		}
	}
	return code;
}
