/* Blobs: spans, computed and memory ones read alike, and know where their bytes lie. */
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int counting_read(
	void *priv, uint64_t off, void *buf, size_t len, struct error *err)
{
	(void)priv;
	(void)err;
	for (size_t i = 0; i < len; i++)
		((unsigned char *)buf)[i] = (unsigned char)(off + i);
	return 0;
}

static void counting_free(void *priv)
{
	++*(int *)priv;
}

static const struct blob_ops counting = {.read = counting_read, .free = counting_free};

static void reading(void)
{
	AUTO_SOURCE *source = NULL;
	AUTO_BLOB *span = NULL, *memory = NULL, *computed = NULL, *none = NULL;
	struct error err = {0};
	int freed = 0;
	char buf[8] = {0}, *bytes = NULL;
	size_t len = 0;

	unit_begin("a blob reads up to its end, or exactly, or as a whole");
	CHECK_INT(source_memory(&source, "0123456789", 10, "m", &err), 0);
	CHECK_INT(blob_span(&span, source, 2, 6, &err), 0);
	CHECK_INT(blob_memory(&memory, strdup("memory"), 6, &err), 0);
	CHECK_INT(blob_computed(&computed, &counting, &freed, 1ULL << 40, &err), 0);
	CHECK_INT(blob_read(span, 4, buf, 8, &err), 2);
	CHECK_STR(buf, "67");
	CHECK_INT(blob_read(span, 6, buf, 8, &err), 0);
	CHECK_INT(blob_read(span, UINT64_MAX, buf, 8, &err), 0);
	CHECK_INT(blob_read_all(memory, 2, buf, 4, &err), 0);
	CHECK_STR(buf, "mory");
	CHECK_INT(blob_read_all(memory, 3, buf, 4, &err), -EINVAL);
	CHECK_INT(blob_read_all(computed, (1ULL << 40) - 3, buf, 3, &err), 0);
	CHECK_BYTES(buf, 3, "\xfd\xfe\xff", 3);
	CHECK_INT(blob_load(span, 6, &bytes, &len, &err), 0);
	CHECK_BYTES(bytes, len + 1, "234567", 7);
	free(bytes);
	CHECK_INT(blob_load(computed, 1 << 20, &bytes, &len, &err), -EFBIG);
	CHECK_INT(blob_span(&none, source, 5, 6, &err), -EINVAL);
	CHECK_INT(blob_span(&none, source, UINT64_MAX, 2, &err), -EINVAL);
	blob_unref(&computed);
	CHECK_INT(freed, 1);
}

static void origins(void)
{
	AUTO_SOURCE *source = NULL, *slice = NULL;
	AUTO_BLOB *span = NULL, *memory = NULL;
	struct source *found = NULL;
	struct error err = {0};
	uint64_t len = 100, off = 0, end;

	unit_begin("a span knows the range that it is, other blobs have none");
	CHECK_INT(source_memory(&source, "0123456789", 10, "m", &err), 0);
	CHECK_INT(source_slice(&slice, source, 1, 8, NULL, &err), 0);
	CHECK_INT(blob_span(&span, slice, 2, 5, &err), 0);
	CHECK(blob_origin(span, 1, &len, &found, &off));
	CHECK(len == 4 && found == slice && off == 3);
	CHECK(!blob_origin(span, 5, &len, &found, &off));
	CHECK_INT(blob_memory(&memory, strdup("x"), 1, &err), 0);
	CHECK(!blob_origin(memory, 0, &len, &found, &off));
	CHECK(!blob_next_written(span, 0, &off, &end));
}

static void comparing(void)
{
	AUTO_SOURCE *source = NULL, *slice = NULL;
	AUTO_BLOB *a = NULL, *b = NULL, *c = NULL;
	const size_t n = 400000;
	char *bytes = calloc(1, n);

	unit_begin("blobs are equal when their bytes are");
	CHECK_INT(source_memory(&source, bytes, n, "m", NULL), 0);
	CHECK_INT(source_slice(&slice, source, 1, n - 1, NULL, NULL), 0);
	CHECK_INT(blob_span(&a, source, 1, n - 1, NULL), 0);
	CHECK_INT(blob_span(&b, slice, 0, n - 1, NULL), 0);
	CHECK_INT(blob_equal(a, b, NULL), 1);
	CHECK_INT(blob_equal(a, a, NULL), 1);
	blob_unref(&b);
	CHECK_INT(blob_span(&b, source, 0, n - 1, NULL), 0);
	CHECK_INT(blob_equal(a, b, NULL), 1);
	bytes[n - 2] = 1;
	CHECK_INT(blob_memory(&c, bytes, n - 1, NULL), 0);
	CHECK_INT(blob_equal(a, c, NULL), 0);
	blob_unref(&b);
	CHECK_INT(blob_span(&b, source, 0, n - 2, NULL), 0);
	CHECK_INT(blob_equal(a, b, NULL), 0);
}

static bool fives(void *priv, uint64_t off, uint64_t *len, uint64_t *period)
{
	(void)priv;
	*len = *len < 100 - off % 100 ? *len : 100 - off % 100;
	*period = 5;
	return off % 200 < 100;
}

/* A hole of 1 MiB between two pages of letters. */
static void open_holes(struct source **out, int *fd)
{
	char page[4096];

	memset(page, 'x', sizeof page);
	*fd = memfd_create("holes", MFD_CLOEXEC);
	CHECK_INT(pwrite(*fd, page, sizeof page, 0), sizeof page);
	CHECK_INT(pwrite(*fd, page, sizeof page, sizeof page + (1 << 20)), sizeof page);
	CHECK_INT(source_from_fd(out, dup(*fd), "holes", NULL), 0);
}

static void repeating(void)
{
	static const struct blob_ops ops = {
		.read = counting_read, .free = counting_free, .repeats = fives};
	AUTO_SOURCE *source = NULL;
	AUTO_BLOB *span = NULL, *computed = NULL, *memory = NULL;
	uint64_t len, period = 0;
	int fd = -1, freed = 0;

	unit_begin("holes of a file repeat, and what a blob says of itself");
	open_holes(&source, &fd);
	CHECK_INT(blob_span(&span, source, 96, (1 << 20) + 8000, NULL), 0);
	len = 1 << 30;
	CHECK(!blob_repeats(span, 0, &len, &period) && len == 4000);
	len = 1 << 30;
	CHECK(blob_repeats(span, 4010, &len, &period) && len == (1 << 20) - 10);
	CHECK_INT(period, 1);
	len = 100;
	CHECK(blob_repeats(span, 4010, &len, &period) && len == 100);
	len = 1 << 30;
	CHECK(!blob_repeats(span, 4000 + (1 << 20), &len, &period) && len == 4000);
	CHECK(!blob_repeats(span, blob_size(span), &len, &period));
	CHECK_INT(ftruncate(fd, 4096), 0);
	len = 100;
	CHECK(!blob_repeats(span, 4010, &len, &period)); /* who reads it has to know */
	CHECK_INT(blob_computed(&computed, &ops, &freed, 300, NULL), 0);
	len = 300;
	CHECK(blob_repeats(computed, 230, &len, &period) && len == 70 && period == 5);
	CHECK_INT(blob_memory(&memory, strdup("x"), 1, NULL), 0);
	len = 1;
	CHECK(!blob_repeats(memory, 0, &len, &period) && len == 1);
	CHECK_INT(close(fd), 0);
}

int main(void)
{
	reading();
	repeating();
	origins();
	comparing();
	return unit_end();
}
