/*
 * spill: pages in memory while they are few, then a temporary file without a name.
 *
 * Both are counted in pages, so a hole costs nothing, and a byte at the end of a
 * terabyte costs a page. Moving to the file changes where the pages lie and not how
 * many are counted.
 */
#include "decoders/base/spill.h"
#include "decoders/base/error.h"
#include "decoders/base/ranges.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define PAGE ((uint64_t)64 * 1024)
/* A spill with more in memory moves to a file, where there is a folder for one. */
#define MEMORY_MAX ((uint64_t)1024 * 1024)
/* Tries to find a name that is free; each is random. */
#define NAME_TRIES 100

struct page {
	uint64_t index;
	unsigned char *bytes;
};

struct spill {
	struct spill_pool *pool;
	uint64_t size;
	struct page *pages; /* by index; none once there is a file */
	size_t n_pages, cap;
	int fd;		     /* -1: in memory */
	struct ranges in_fd; /* indices of the pages that the file has */
};

/* Adds `pages` to a counter of the pool unless it would exceed `limit`. */
static bool take(uint64_t *counter, uint64_t limit, uint64_t pages)
{
	uint64_t used = __atomic_load_n(counter, __ATOMIC_RELAXED);

	do {
		if (used > limit || pages > (limit - used) / PAGE)
			return false;
	} while (!__atomic_compare_exchange_n(counter, &used, used + pages * PAGE, true,
		__ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

static void give(uint64_t *counter, uint64_t pages)
{
	__atomic_sub_fetch(counter, pages * PAGE, __ATOMIC_RELAXED);
}

int spill_new(struct spill **out, struct spill_pool *pool, struct error *err)
{
	struct spill *spill = calloc(1, sizeof *spill);

	if (spill == NULL)
		return error_set(err, ENOMEM, "not enough memory for what is written");
	spill->pool = pool;
	spill->fd = -1;
	*out = spill;
	return 0;
}

/* Frees the memory of the pages from `first` on; returns how many those were. */
static uint64_t free_pages(struct spill *spill, size_t first)
{
	uint64_t n = spill->n_pages - first;

	for (size_t i = first; i < spill->n_pages; i++)
		free(spill->pages[i].bytes);
	spill->n_pages = first;
	give(&spill->pool->used_memory, n);
	return n;
}

void spill_free(struct spill **spill)
{
	struct spill *s = *spill;

	*spill = NULL;
	if (s == NULL)
		return;
	give(&s->pool->used, free_pages(s, 0));
	free(s->pages);
	give(&s->pool->used, ranges_count(&s->in_fd, 0, UINT64_MAX));
	ranges_done(&s->in_fd);
	if (s->fd >= 0)
		(void)close(s->fd); /* nobody can read what it might lose */
	free(s);
}

uint64_t spill_size(const struct spill *spill)
{
	return spill->size;
}

bool spill_fd(struct spill *spill, int *fd)
{
	if (spill->fd < 0)
		return false;
	*fd = spill->fd;
	return true;
}

/* In memory. */

/* Where the page of that index is, or would be. */
static size_t find_page(const struct spill *spill, uint64_t index)
{
	size_t low = 0, high = spill->n_pages;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (spill->pages[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The bytes of a page, or NULL for a hole. */
static unsigned char *page_at(const struct spill *spill, uint64_t index)
{
	size_t i = find_page(spill, index);

	if (i == spill->n_pages || spill->pages[i].index != index)
		return NULL;
	return spill->pages[i].bytes;
}

static int no_room(const struct spill_pool *pool, struct error *err)
{
	return error_set(
		err, ENOSPC, "no more than %" PRIu64 " bytes may be staged", pool->limit);
}

/* Makes an empty page; the pool has counted it. */
static unsigned char *make_page(struct spill *spill, uint64_t index)
{
	size_t i = find_page(spill, index), cap = spill->cap + spill->cap / 2 + 4;
	struct page *pages;
	unsigned char *bytes;

	if (spill->n_pages == spill->cap) {
		pages = reallocarray(spill->pages, cap, sizeof *pages);
		if (pages == NULL)
			return NULL;
		spill->pages = pages;
		spill->cap = cap;
	}
	bytes = calloc(1, PAGE);
	if (bytes == NULL)
		return NULL;
	memmove(spill->pages + i + 1, spill->pages + i,
		(spill->n_pages - i) * sizeof *spill->pages);
	spill->pages[i] = (struct page){.index = index, .bytes = bytes};
	spill->n_pages++;
	return bytes;
}

/* The page, made where it is a hole. NULL with *code set. */
static unsigned char *page_for(
	struct spill *spill, uint64_t index, int *code, struct error *err)
{
	struct spill_pool *pool = spill->pool;
	unsigned char *bytes = page_at(spill, index);

	if (bytes != NULL)
		return bytes;
	if (!take(&pool->used, pool->limit, 1)) {
		*code = no_room(pool, err);
		return NULL;
	}
	__atomic_add_fetch(&pool->used_memory, PAGE, __ATOMIC_RELAXED);
	bytes = make_page(spill, index);
	if (bytes == NULL) {
		give(&pool->used, 1);
		give(&pool->used_memory, 1);
		*code = error_set(err, ENOMEM, "not enough memory for what is written");
	}
	return bytes;
}

static int write_memory(struct spill *spill, uint64_t off, const unsigned char *buf,
	size_t len, struct error *err)
{
	int rc = 0;

	while (len > 0) {
		uint64_t skip = off % PAGE;
		size_t n = len < PAGE - skip ? len : (size_t)(PAGE - skip);
		unsigned char *page = page_for(spill, off / PAGE, &rc, err);

		if (page == NULL)
			return rc;
		memcpy(page + skip, buf, n);
		buf += n;
		off += n;
		len -= n;
	}
	return 0;
}

static void read_memory(
	const struct spill *spill, uint64_t off, unsigned char *buf, size_t len)
{
	while (len > 0) {
		uint64_t skip = off % PAGE;
		size_t n = len < PAGE - skip ? len : (size_t)(PAGE - skip);
		const unsigned char *page = page_at(spill, off / PAGE);

		if (page != NULL)
			memcpy(buf, page + skip, n);
		else
			memset(buf, 0, n);
		buf += n;
		off += n;
		len -= n;
	}
}

static void cut_memory(struct spill *spill, uint64_t size)
{
	unsigned char *last = size % PAGE > 0 ? page_at(spill, size / PAGE) : NULL;

	give(&spill->pool->used,
		free_pages(spill, find_page(spill, (size + PAGE - 1) / PAGE)));
	if (last != NULL)
		memset(last + size % PAGE, 0, PAGE - size % PAGE);
}

/* In a file. */

static int pwrite_all(
	int fd, uint64_t off, const unsigned char *buf, size_t len, struct error *err)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(err, n < 0 ? errno : EIO, "a temporary file: %s",
				strerror(n < 0 ? errno : EIO));
		buf += n;
		off += (size_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Where O_TMPFILE is not supported: a file with a name for a moment. */
static int named_file(int dir)
{
	for (int i = 0; i < NAME_TRIES; i++) {
		char name[sizeof ".weightfs-0123456789abcdef.spill"];
		uint64_t random = 0;
		int fd;

		if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
			random = (uint64_t)i;
		(void)snprintf(
			name, sizeof name, ".weightfs-%016" PRIx64 ".spill", random);
		fd = openat(dir, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
		if (fd < 0 && errno == EEXIST)
			continue;
		if (fd >= 0 && unlinkat(dir, name, 0) != 0) {
			(void)close(fd); /* empty */
			return -1;
		}
		return fd;
	}
	return -1;
}

static int temporary_file(int dir, int *fd, struct error *err)
{
	*fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (*fd < 0 && errno != ENOSPC && errno != EACCES && errno != EROFS)
		*fd = named_file(dir);
	if (*fd < 0)
		return error_set(err, errno, "a temporary file: %s", strerror(errno));
	return 0;
}

/* Moves the pages to a file. On failure they stay where they are. */
static int move_to_file(struct spill *spill, struct error *err)
{
	struct ranges in_fd = {0};
	int fd = -1, rc = temporary_file(spill->pool->dir, &fd, err);

	for (size_t i = 0; i < spill->n_pages && rc == 0; i++) {
		uint64_t index = spill->pages[i].index;

		rc = ranges_add(&in_fd, index, index + 1, err);
		if (rc == 0)
			rc = pwrite_all(
				fd, index * PAGE, spill->pages[i].bytes, PAGE, err);
	}
	if (rc == 0 && ftruncate(fd, (off_t)spill->size) != 0)
		rc = error_set(err, errno, "a temporary file: %s", strerror(errno));
	if (rc < 0) {
		ranges_done(&in_fd);
		if (fd >= 0)
			(void)close(fd); /* what is in it is in memory too */
		return rc;
	}
	(void)free_pages(spill, 0); /* they count as the file's now */
	free(spill->pages);
	spill->pages = NULL;
	spill->cap = 0;
	spill->fd = fd;
	spill->in_fd = in_fd;
	return 0;
}

static int write_file(struct spill *spill, uint64_t off, const unsigned char *buf,
	size_t len, struct error *err)
{
	uint64_t first = off / PAGE, last = (off + len - 1) / PAGE + 1;
	uint64_t more = last - first - ranges_count(&spill->in_fd, first, last);
	int rc;

	if (!take(&spill->pool->used, spill->pool->limit, more))
		return no_room(spill->pool, err);
	rc = ranges_add(&spill->in_fd, first, last, err);
	if (rc < 0) {
		give(&spill->pool->used, more);
		return rc;
	}
	return pwrite_all(spill->fd, off, buf, len, err);
}

static int read_file(struct spill *spill, uint64_t off, unsigned char *buf, size_t len,
	struct error *err)
{
	while (len > 0) {
		ssize_t n = pread(spill->fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(err, EIO, "a temporary file: %s",
				n < 0 ? strerror(errno) : "it became shorter");
		buf += n;
		off += (size_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Both. */

ssize_t spill_read(
	struct spill *spill, uint64_t off, void *buf, size_t len, struct error *err)
{
	int rc = 0;

	if (off >= spill->size)
		return 0;
	if (len > spill->size - off)
		len = (size_t)(spill->size - off);
	if (spill->fd < 0)
		read_memory(spill, off, buf, len);
	else
		rc = read_file(spill, off, buf, len, err);
	return rc < 0 ? rc : (ssize_t)len;
}

/* Whether the pages [first, last) would make what is in memory too much. */
static bool outgrows(const struct spill *spill, uint64_t first, uint64_t last)
{
	const struct spill_pool *pool = spill->pool;
	uint64_t used = __atomic_load_n(&pool->used_memory, __ATOMIC_RELAXED);
	uint64_t had = find_page(spill, last) - find_page(spill, first);
	uint64_t more = last - first - had;

	return spill->fd < 0 && pool->dir >= 0 && more > 0 &&
	       (spill->n_pages + more > MEMORY_MAX / PAGE ||
		       used + more * PAGE > pool->in_memory);
}

int spill_resize(struct spill *spill, uint64_t size, struct error *err)
{
	uint64_t pages = (size + PAGE - 1) / PAGE;

	if (size > INT64_MAX)
		return error_set(
			err, EFBIG, "%" PRIu64 " bytes are more than any file", size);
	if (spill->fd >= 0 && ftruncate(spill->fd, (off_t)size) != 0)
		return error_set(err, errno, "a temporary file: %s", strerror(errno));
	if (spill->fd >= 0) {
		give(&spill->pool->used, ranges_count(&spill->in_fd, pages, UINT64_MAX));
		ranges_cut(&spill->in_fd, pages);
	} else {
		cut_memory(spill, size);
	}
	spill->size = size;
	return 0;
}

int spill_write(
	struct spill *spill, uint64_t off, const void *buf, size_t len, struct error *err)
{
	uint64_t end;
	int rc = 0;

	if (len == 0)
		return 0;
	if (__builtin_add_overflow(off, len, &end) || end > INT64_MAX)
		return error_set(
			err, EFBIG, "offset %" PRIu64 " is beyond any file", off);
	if (outgrows(spill, off / PAGE, (end - 1) / PAGE + 1))
		rc = move_to_file(spill, err);
	if (rc == 0 && spill->fd < 0)
		rc = write_memory(spill, off, buf, len, err);
	else if (rc == 0)
		rc = write_file(spill, off, buf, len, err);
	if (rc == 0 && end > spill->size)
		spill->size = end;
	/* What a failure left beyond the end must not appear when the spill grows. */
	if (rc < 0 && end > spill->size)
		(void)spill_resize(spill, spill->size, NULL);
	return rc;
}
