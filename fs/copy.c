/*
 * copy: clones where offsets allow it, copies what is left.
 *
 * copy_file_range() alone turns holes into data (a sparse file of 4 KB became
 * one of 1 GB), so it is only shown what SEEK_DATA finds.
 */
#include "fs/copy.h"
#include "decoders/base/error.h"
#include "fs/file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LEAST_ALIGNMENT 4096
/* Bytes that the kernel is asked to copy at a time. */
#define KERNEL_PIECE (16u << 20)

static int clone_range(int from, int to, uint64_t from_off, uint64_t to_off, uint64_t len)
{
	struct file_clone_range range = {.src_fd = from,
		.src_offset = from_off,
		.src_length = len,
		.dest_offset = to_off};

	return TEMP_FAILURE_RETRY(ioctl(to, FICLONERANGE, &range));
}

/* Ones that are known to share no blocks are not asked. */
static bool never_clones(const struct statfs *fs)
{
	return fs->f_type == EXT4_SUPER_MAGIC || fs->f_type == TMPFS_MAGIC;
}

uint64_t copy_alignment(int from, int folder)
{
	struct statfs fs;
	struct stat st;
	uint64_t alignment;
	AUTO_FD trial = -1;

	if (fstatfs(from, &fs) < 0 || never_clones(&fs) || fstat(from, &st) < 0)
		return 0;
	alignment = fs.f_bsize > LEAST_ALIGNMENT ? (uint64_t)fs.f_bsize : LEAST_ALIGNMENT;
	if ((uint64_t)st.st_size < alignment)
		return 0;
	trial = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (trial < 0 || clone_range(from, trial, 0, 0, alignment) < 0)
		return 0;
	return alignment;
}

static int copy_in_memory(const struct copy *copy, uint64_t from_off, uint64_t to_off,
	uint64_t len, struct error *err)
{
	char *piece = malloc(FILE_PIECE);
	int code = 0;

	if (piece == NULL)
		return error_set(err, ENOMEM, "not enough memory to copy");
	while (code == 0 && len > 0) {
		size_t n = (size_t)least(len, FILE_PIECE);

		code = file_read(copy->from, copy->name, piece, n, from_off, err);
		if (code == 0)
			code = file_write(
				copy->to, "the new file", piece, n, to_off, err);
		from_off += n;
		to_off += n;
		len -= n;
	}
	free(piece);
	return code;
}

/* Errors that copying through memory would only meet again. */
static bool is_final(int code)
{
	return code == ENOSPC || code == EDQUOT || code == EIO || code == EFBIG;
}

static int copy_bytes(const struct copy *copy, uint64_t from_off, uint64_t to_off,
	uint64_t len, struct error *err)
{
	off_t in = (off_t)from_off, out = (off_t)to_off;
	ssize_t n;

	while (len > 0) {
		n = copy_file_range(
			copy->from, &in, copy->to, &out, least(len, KERNEL_PIECE), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && is_final(errno))
			return error_set(err, errno,
				"%s: copying %" PRIu64 " bytes from offset %" PRIu64
				": %s",
				copy->name, len, (uint64_t)in, strerror(errno));
		if (n <= 0)
			return copy_in_memory(
				copy, (uint64_t)in, (uint64_t)out, len, err);
		file_written(copy->to, (uint64_t)(out - n), (uint64_t)n);
		len -= (uint64_t)n;
	}
	return 0;
}

/* The next run of data at or after `at`, cut to `end`; false: only a hole is left. */
static bool next_data(int fd, uint64_t at, uint64_t end, uint64_t *begin, uint64_t *stop)
{
	off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;

	if (data < 0 && errno == ENXIO)
		return false;
	*begin = data < 0 ? at : (uint64_t)data;
	hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
	*stop = hole < 0 ? end : least(end, (uint64_t)hole);
	return *begin < end;
}

static int copy_data(const struct copy *copy, uint64_t from_off, uint64_t to_off,
	uint64_t len, struct error *err)
{
	uint64_t end = from_off + len, begin, stop;
	int code;

	for (uint64_t at = from_off; at < end; at = stop) {
		if (!next_data(copy->from, at, end, &begin, &stop))
			return 0;
		code = copy_bytes(
			copy, begin, to_off + (begin - from_off), stop - begin, err);
		if (code < 0)
			return code;
	}
	return 0;
}

/* Clones the blocks that lie whole in the range: *cloned bytes (0 where that cannot be)
 * after the first *skip. */
static void clone_middle(const struct copy *copy, uint64_t from_off, uint64_t to_off,
	uint64_t len, uint64_t *skip, uint64_t *cloned)
{
	uint64_t a = copy->alignment;

	*skip = *cloned = 0;
	if (a == 0 || from_off % a != to_off % a || len < a)
		return;
	*skip = (a - from_off % a) % a;
	*cloned = (len - *skip) / a * a;
	if (*cloned == 0 || clone_range(copy->from, copy->to, from_off + *skip,
				    to_off + *skip, *cloned) < 0)
		*skip = *cloned = 0;
}

int copy_range(const struct copy *copy, uint64_t from_off, uint64_t to_off, uint64_t len,
	struct error *err)
{
	uint64_t skip, cloned, tail;
	struct stat st;
	int code;

	if (fstat(copy->from, &st) < 0)
		return error_set(err, errno, "%s: %s", copy->name, strerror(errno));
	if (from_off > (uint64_t)st.st_size || len > (uint64_t)st.st_size - from_off)
		return error_set(err, EIO,
			"%s: expected %" PRIu64 " bytes at offset %" PRIu64
			", it ends at %" PRIu64,
			copy->name, len, from_off, (uint64_t)st.st_size);
	clone_middle(copy, from_off, to_off, len, &skip, &cloned);
	tail = skip + cloned;
	code = copy_data(copy, from_off, to_off, skip, err);
	if (code == 0)
		code = copy_data(copy, from_off + tail, to_off + tail, len - tail, err);
	return code;
}
