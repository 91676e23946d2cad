/*
 * source: files, slices, memory, and handles whose backing changes.
 *
 * A container may lie in a slice of a slice under a handle. Who asks whether two ranges
 * are the same bytes compares what source_resolve() leaves when all of these are taken
 * away.
 */
#include "decoders/base/source.h"
#include "decoders/base/error.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct file_source {
	struct source source;
	int fd;
};

struct slice_source {
	struct source source;
	struct source *base;
	uint64_t off;
};

struct memory_source {
	struct source source;
	unsigned char bytes[];
};

struct handle_source {
	struct source source;
	struct source *backing;
};

static int no_memory(struct error *err, const char *name)
{
	return error_set(err, ENOMEM, "%s: not enough memory", name);
}

int source_init(struct source *source, const struct source_ops *ops, const char *name,
	uint64_t size, struct error *err)
{
	char *copy = strdup(name);

	if (copy == NULL)
		return no_memory(err, name);
	*source = (struct source){.ops = ops, .name = copy, .size = size, .refs = 1};
	return 0;
}

struct source *source_ref(struct source *source)
{
	__atomic_add_fetch(&source->refs, 1, __ATOMIC_RELAXED);
	return source;
}

void source_unref(struct source **source)
{
	struct source *s = *source;

	*source = NULL;
	if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	free(s->name);
	s->ops->free(s);
}

uint64_t source_size(const struct source *source)
{
	return source->size;
}

const char *source_name(const struct source *source)
{
	return source->name;
}

static bool inside(const struct source *source, uint64_t off, uint64_t len)
{
	return off <= source->size && len <= source->size - off;
}

int source_read(
	struct source *source, uint64_t off, void *buf, size_t len, struct error *err)
{
	if (!inside(source, off, len))
		return error_set(err, EINVAL,
			"%s: %zu bytes at offset %" PRIu64 " do not lie in its %" PRIu64
			" bytes",
			source->name, len, off, source->size);
	if (len == 0)
		return 0;
	return source->ops->read(source, off, buf, len, err);
}

bool source_locate(
	struct source *source, uint64_t off, uint64_t len, int *fd, uint64_t *fd_off)
{
	return source->ops->locate != NULL && inside(source, off, len) &&
	       source->ops->locate(source, off, len, fd, fd_off);
}

/* Up to where the file is the one or the other; a file that has become shorter has no
 * holes: whoever reads it must see that. */
bool source_hole(struct source *source, uint64_t off, uint64_t *len)
{
	uint64_t at;
	off_t next;
	int fd;

	if (*len == 0 || !source_locate(source, off, *len, &fd, &at) ||
		at + *len > INT64_MAX)
		return false;
	next = lseek(fd, (off_t)at, SEEK_DATA);
	if (next < 0 && errno == ENXIO)
		next = lseek(fd, 0, SEEK_END);
	if (next < 0 || (uint64_t)next < at)
		return false;
	if ((uint64_t)next > at) {
		*len = (uint64_t)next - at < *len ? (uint64_t)next - at : *len;
		return true;
	}
	next = lseek(fd, (off_t)at, SEEK_HOLE);
	if (next > 0 && (uint64_t)next > at && (uint64_t)next - at < *len)
		*len = (uint64_t)next - at;
	return false;
}

/* Files. */

static int file_read(
	struct source *source, uint64_t off, void *buf, size_t len, struct error *err)
{
	struct file_source *file = (struct file_source *)source;
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(
			file->fd, (char *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, EIO,
				"%s: %zu bytes at offset %" PRIu64 ": %s", source->name,
				len, off, strerror(errno));
		if (n == 0)
			return error_set(err, EIO,
				"%s: expected %" PRIu64 " bytes, the file now ends at "
				"%" PRIu64 " or before",
				source->name, source->size, off + done);
		done += (size_t)n;
	}
	return 0;
}

static bool file_locate(
	struct source *source, uint64_t off, uint64_t len, int *fd, uint64_t *fd_off)
{
	(void)len;
	*fd = ((struct file_source *)source)->fd;
	*fd_off = off;
	return true;
}

static void file_free(struct source *source)
{
	/* Opened for reading: there is nothing that close() could still lose. */
	(void)close(((struct file_source *)source)->fd);
	free(source);
}

static const struct source_ops file_ops = {
	.read = file_read,
	.locate = file_locate,
	.free = file_free,
};

/* The size of what `fd` has open, which must be a regular file. */
static int regular(int fd, const char *name, uint64_t *size, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return error_set(err, errno, "%s: %s", name, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return error_set(
			err, EISDIR, "%s: expected a file, found a folder", name);
	if (!S_ISREG(st.st_mode))
		return error_set(err, EINVAL,
			"%s: expected a regular file, found something else", name);
	*size = (uint64_t)st.st_size;
	return 0;
}

int source_from_fd(struct source **out, int fd, const char *name, struct error *err)
{
	struct file_source *file = NULL;
	uint64_t size = 0;
	int rc = regular(fd, name, &size, err);

	if (rc == 0 && (file = malloc(sizeof *file)) == NULL)
		rc = no_memory(err, name);
	if (rc == 0)
		rc = source_init(&file->source, &file_ops, name, size, err);
	if (rc < 0) {
		free(file);
		(void)close(fd); /* opened for reading, nothing can be lost */
		return rc;
	}
	file->fd = fd;
	*out = &file->source;
	return 0;
}

int source_open(struct source **out, const char *path, struct error *err)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY;
	/* Without O_NONBLOCK a FIFO would wait for its writer. */
	int fd = open(path, flags | O_NONBLOCK);

	/* Somebody's lease on a regular file is being broken: that is worth waiting for.
	 */
	if (fd < 0 && errno == EWOULDBLOCK)
		fd = open(path, flags);
	if (fd < 0)
		return error_set(err, errno, "%s: %s", path, strerror(errno));
	return source_from_fd(out, fd, path, err);
}

/* Slices. */

static int slice_read(
	struct source *source, uint64_t off, void *buf, size_t len, struct error *err)
{
	struct slice_source *slice = (struct slice_source *)source;

	return source_read(slice->base, slice->off + off, buf, len, err);
}

static bool slice_locate(
	struct source *source, uint64_t off, uint64_t len, int *fd, uint64_t *fd_off)
{
	struct slice_source *slice = (struct slice_source *)source;

	return source_locate(slice->base, slice->off + off, len, fd, fd_off);
}

static void slice_free(struct source *source)
{
	source_unref(&((struct slice_source *)source)->base);
	free(source);
}

static const struct source_ops slice_ops = {
	.read = slice_read,
	.locate = slice_locate,
	.free = slice_free,
};

/* "BASE" or "BASE: NAME", malloc'ed. */
static char *slice_name(const struct source *base, const char *name)
{
	char *full = NULL;

	if (name == NULL)
		return strdup(base->name);
	return asprintf(&full, "%s: %s", base->name, name) < 0 ? NULL : full;
}

int source_slice(struct source **out, struct source *base, uint64_t off, uint64_t len,
	const char *name, struct error *err)
{
	struct slice_source *slice;
	char *full;
	int rc;

	if (!inside(base, off, len))
		return error_set(err, EINVAL,
			"%s: %" PRIu64 " bytes at offset %" PRIu64
			" do not lie in its %" PRIu64 " bytes",
			base->name, len, off, base->size);
	slice = malloc(sizeof *slice);
	full = slice_name(base, name);
	rc = slice == NULL || full == NULL
		     ? no_memory(err, base->name)
		     : source_init(&slice->source, &slice_ops, full, len, err);
	free(full);
	if (rc < 0) {
		free(slice);
		return rc;
	}
	slice->base = source_ref(base);
	slice->off = off;
	*out = &slice->source;
	return 0;
}

/* Memory. */

static int memory_read(
	struct source *source, uint64_t off, void *buf, size_t len, struct error *err)
{
	(void)err;
	memcpy(buf, ((struct memory_source *)source)->bytes + off, len);
	return 0;
}

static void memory_free(struct source *source)
{
	free(source);
}

static const struct source_ops memory_ops = {
	.read = memory_read,
	.free = memory_free,
};

int source_memory(struct source **out, const void *bytes, size_t len, const char *name,
	struct error *err)
{
	struct memory_source *memory = NULL;
	size_t size;
	int rc;

	if (!__builtin_add_overflow(sizeof *memory, len, &size))
		memory = malloc(size);
	if (memory == NULL)
		return no_memory(err, name);
	rc = source_init(&memory->source, &memory_ops, name, len, err);
	if (rc < 0) {
		free(memory);
		return rc;
	}
	if (len > 0)
		memcpy(memory->bytes, bytes, len);
	*out = &memory->source;
	return 0;
}

/* Handles. */

static int handle_read(
	struct source *source, uint64_t off, void *buf, size_t len, struct error *err)
{
	return source_read(((struct handle_source *)source)->backing, off, buf, len, err);
}

static bool handle_locate(
	struct source *source, uint64_t off, uint64_t len, int *fd, uint64_t *fd_off)
{
	return source_locate(
		((struct handle_source *)source)->backing, off, len, fd, fd_off);
}

static void handle_free(struct source *source)
{
	source_unref(&((struct handle_source *)source)->backing);
	free(source);
}

static const struct source_ops handle_ops = {
	.read = handle_read,
	.locate = handle_locate,
	.free = handle_free,
};

int source_handle(struct source **out, struct source *backing, struct error *err)
{
	struct handle_source *handle = malloc(sizeof *handle);
	int rc;

	if (handle == NULL)
		return no_memory(err, backing->name);
	rc = source_init(&handle->source, &handle_ops, backing->name, backing->size, err);
	if (rc < 0) {
		free(handle);
		return rc;
	}
	handle->backing = source_ref(backing);
	*out = &handle->source;
	return 0;
}

void source_rebase(struct source *handle, struct source *backing)
{
	struct handle_source *h = (struct handle_source *)handle;
	struct source *old = h->backing;

	assert(handle->ops == &handle_ops && backing->size == handle->size);
	h->backing = source_ref(backing);
	source_unref(&old);
}

void source_resolve(struct source **source, uint64_t *off)
{
	for (;;) {
		if ((*source)->ops == &slice_ops) {
			*off += ((struct slice_source *)*source)->off;
			*source = ((struct slice_source *)*source)->base;
		} else if ((*source)->ops == &handle_ops) {
			*source = ((struct handle_source *)*source)->backing;
		} else {
			return;
		}
	}
}
