/* Cursors: integers, bytes across the buffer's ends, and the sticky error. */
#include "decoders/base/cursor.h"
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <stdlib.h>

static void numbers(void)
{
	static const char bytes[] = "\x01\x02\x03\x04\x05\x06\x07\x08"
				    "\x09\x0a\x0b\x0c\x0d\x0e\x0f";
	AUTO_SOURCE *source = NULL;
	struct error err = {0};
	struct cursor cursor;

	unit_begin("integers are little-endian and read one after the other");
	CHECK_INT(source_memory(&source, bytes, sizeof bytes - 1, "m", &err), 0);
	cursor_init(&cursor, source, 0, UINT64_MAX, &err);
	CHECK_INT(cursor_left(&cursor), 15);
	CHECK_INT(cursor_u8(&cursor), 1);
	CHECK_INT(cursor_le16(&cursor), 0x0302);
	CHECK_INT(cursor_le32(&cursor), 0x07060504);
	CHECK(cursor_le64(&cursor) == 0x0f0e0d0c0b0a0908);
	CHECK_INT(cursor_check(&cursor), 0);

	unit_begin("after the first failure reads give zeros and move nothing");
	cursor_init(&cursor, source, 12, UINT64_MAX, &err);
	CHECK_INT(cursor_le32(&cursor), 0);
	CHECK_INT(cursor_check(&cursor), -EINVAL);
	CHECK_STR(err.text, "offset 12: expected 4 bytes, found the end after 3");
	CHECK_INT(cursor_u8(&cursor), 0);
	cursor_skip(&cursor, UINT64_MAX);
	CHECK_INT(cursor.off, 12);
	CHECK_INT(cursor_fail(&cursor, EIO, "another"), -EINVAL);
	CHECK_STR(err.text, "offset 12: expected 4 bytes, found the end after 3");

	unit_begin("an end inside the source is an end, and failures say where");
	cursor_init(&cursor, source, 0, 2, &err);
	cursor_skip(&cursor, 1);
	CHECK_INT(cursor_le16(&cursor), 0);
	CHECK_INT(cursor_check(&cursor), -EINVAL);
	cursor_init(&cursor, source, 40, 50, &err);
	CHECK_INT(cursor_left(&cursor), 0);
	cursor_init(&cursor, source, 5, 9, &err);
	CHECK_INT(cursor_fail(&cursor, EINVAL, "magic %d", 7), -EINVAL);
	CHECK_STR(err.text, "offset 5: magic 7");
}

static void buffering(void)
{
	const size_t n = 5 * CURSOR_BUFFER;
	unsigned char *bytes = malloc(n), *got = malloc(n);
	AUTO_SOURCE *source = NULL;
	struct error err = {0};
	struct cursor cursor;

	unit_begin("reads of any length give the same bytes as the source");
	for (size_t i = 0; i < n; i++)
		bytes[i] = (unsigned char)(i * 7 + i / 251);
	CHECK_INT(source_memory(&source, bytes, n, "m", &err), 0);
	for (size_t step = 1; step < n; step = step * 2 + 1) {
		cursor_init(&cursor, source, 0, n, &err);
		while (cursor_left(&cursor) >= step) {
			size_t at = (size_t)cursor.off;

			cursor_bytes(&cursor, got, step);
			CHECK(memcmp(got, bytes + at, step) == 0);
			if (cursor_left(&cursor) > 3)
				cursor_skip(&cursor, 3);
		}
		CHECK_INT(cursor_check(&cursor), 0);
	}
	free(bytes);
	free(got);
}

static int broken_read(
	struct source *source, uint64_t off, void *buf, size_t len, struct error *err)
{
	(void)source;
	(void)off;
	memset(buf, 'x', len);
	return error_set(err, EIO, "the disk is gone");
}

static void broken_free(struct source *source)
{
	(void)source;
}

static void failing(void)
{
	static const struct source_ops ops = {broken_read, NULL, broken_free};
	struct source source, *shared = &source;
	struct error err = {0};
	struct cursor cursor;
	char buf[2 * CURSOR_BUFFER];

	unit_begin("a source that fails gives zeros and its own reason");
	CHECK_INT(source_init(&source, &ops, "broken", 1 << 20, &err), 0);
	cursor_init(&cursor, &source, 0, UINT64_MAX, &err);
	cursor_bytes(&cursor, buf, sizeof buf);
	CHECK_INT(cursor_check(&cursor), -EIO);
	CHECK(buf[0] == 0 && buf[sizeof buf - 1] == 0);
	CHECK_INT(cursor.off, 0);
	CHECK_STR(err.text, "the disk is gone");
	source_unref(&shared);
}

int main(void)
{
	numbers();
	buffering();
	failing();
	return unit_end();
}
