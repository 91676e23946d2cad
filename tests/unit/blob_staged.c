/* Staged blobs: what was written over what was there, and nothing else. */
#include "decoders/base/blob.h"
#include "decoders/base/source.h"
#include "decoders/base/spill.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <stdlib.h>

#define SPACE 20000

static struct spill_pool pool = {.dir = -1, .limit = 1 << 26, .in_memory = 1 << 26};
static uint64_t state = 521288629;

static uint32_t random_below(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 33) % n;
}

/* Bytes and what they should be. */
struct pair {
	struct blob *blob;
	unsigned char want[SPACE];
	size_t size;
};

static void check(struct pair *pair)
{
	static unsigned char got[SPACE];
	size_t off = random_below(SPACE), left = off < pair->size ? pair->size - off : 0;

	CHECK_INT(blob_size(pair->blob), (intmax_t)pair->size);
	CHECK_INT(blob_read_all(pair->blob, 0, got, pair->size, NULL), 0);
	CHECK(memcmp(got, pair->want, pair->size) == 0);
	CHECK_INT(blob_read(pair->blob, off, got, 500, NULL), left < 500 ? left : 500);
	CHECK(memcmp(got, pair->want + off, left < 500 ? left : 500) == 0);
}

static void write_some(struct pair *pair)
{
	unsigned char bytes[600];
	size_t off = random_below(SPACE - sizeof bytes);
	size_t len = random_below(sizeof bytes);

	memset(bytes, (int)random_below(256), sizeof bytes);
	CHECK_INT(blob_write(pair->blob, off, bytes, len, NULL), 0);
	if (len == 0)
		return;
	memcpy(pair->want + off, bytes, len);
	pair->size = off + len > pair->size ? off + len : pair->size;
}

static void resize(struct pair *pair)
{
	size_t size = random_below(SPACE);

	CHECK_INT(blob_resize(pair->blob, size, NULL), 0);
	if (size < pair->size)
		memset(pair->want + size, 0, pair->size - size);
	pair->size = size;
}

/* Parts that are said to be a source's are the source's bytes, and none was written. */
static void origins(struct pair *pair, const unsigned char *bytes, struct source *source)
{
	uint64_t off = random_below(SPACE), len = SPACE, at = 0, begin, end;
	struct source *found = NULL;

	if (!blob_origin(pair->blob, off, &len, &found, &at))
		return;
	CHECK(found == source && len > 0);
	CHECK(memcmp(pair->want + off, bytes + at, len) == 0);
	CHECK(!blob_next_written(pair->blob, off, &begin, &end) || begin >= off + len);
}

static void anything(void)
{
	static unsigned char bytes[SPACE];
	static struct pair pair;
	AUTO_SOURCE *source = NULL;

	unit_begin(
		"after any writes and cuts a staged blob has the bytes that it should");
	for (size_t i = 0; i < SPACE; i++)
		bytes[i] = (unsigned char)(1 + i % 255);
	CHECK_INT(source_memory(&source, bytes, SPACE, "m", NULL), 0);
	for (int round = 0; round < 300; round++) {
		size_t off = random_below(SPACE), len = random_below(SPACE - off + 1);
		AUTO_BLOB *span = NULL;

		memset(pair.want, 0, SPACE);
		pair.size = round & 1 ? len : 0;
		memcpy(pair.want, bytes + off, pair.size);
		CHECK_INT(blob_span(&span, source, off, len, NULL), 0);
		CHECK_INT(
			blob_staged(&pair.blob, round & 1 ? span : NULL, &pool, NULL), 0);
		for (int i = 0; i < 30; i++) {
			if (random_below(4) == 0)
				resize(&pair);
			else
				write_some(&pair);
			check(&pair);
			if (random_below(3) == 0)
				origins(&pair, bytes, source);
		}
		blob_unref(&pair.blob);
		CHECK_INT(pool.used, 0);
	}
}

static void growing(void)
{
	AUTO_SOURCE *source = NULL;
	AUTO_BLOB *span = NULL, *staged = NULL;
	uint64_t begin = 0, end = 0;
	char *bytes = NULL;
	size_t len = 0;

	unit_begin("what is cut off and grown again is zeros, and counts as written");
	CHECK_INT(source_memory(&source, "0123456789", 10, "m", NULL), 0);
	CHECK_INT(blob_span(&span, source, 0, 10, NULL), 0);
	CHECK_INT(blob_staged(&staged, span, &pool, NULL), 0);
	CHECK(!blob_next_written(staged, 0, &begin, &end));
	CHECK_INT(blob_write(staged, 6, "x", 1, NULL), 0);
	CHECK_INT(blob_resize(staged, 4, NULL), 0);
	CHECK_INT(blob_resize(staged, 8, NULL), 0);
	CHECK_INT(blob_load(staged, 100, &bytes, &len, NULL), 0);
	CHECK_BYTES(bytes, len, "0123\0\0\0\0", 8);
	CHECK(blob_next_written(staged, 1, &begin, &end) && begin == 4 && end == 8);
	CHECK(blob_next_written(staged, 5, &begin, &end) && begin == 5 && end == 8);
	CHECK(!blob_next_written(staged, 8, &begin, &end));
	free(bytes);

	unit_begin("nothing is written beyond any file or beyond the limit");
	CHECK_INT(blob_write(staged, INT64_MAX, "x", 1, NULL), -EFBIG);
	CHECK_INT(blob_resize(staged, 1ULL << 63, NULL), -EFBIG);
	CHECK_INT(blob_resize(staged, 1ULL << 62, NULL), 0);
	CHECK_INT(blob_size(staged), 1LL << 62);
}

static void saving(void)
{
	AUTO_SOURCE *source = NULL, *copy = NULL, *handle = NULL, *slice = NULL;
	AUTO_BLOB *blob = NULL, *staged = NULL;
	struct blob *span;
	char *bytes = NULL;
	size_t len = 0;

	unit_begin("bytes that somebody holds are saved before they are patched over");
	CHECK_INT(source_memory(&source, "0123456789abcdefghij", 20, "m", NULL), 0);
	CHECK_INT(source_memory(&copy, "....................", 20, "n", NULL), 0);
	CHECK_INT(source_handle(&handle, source, NULL), 0);
	CHECK_INT(source_slice(&slice, handle, 5, 15, NULL, NULL), 0);
	CHECK_INT(blob_span(&blob, slice, 5, 10, NULL), 0);
	span = blob;
	CHECK_INT(blob_save(&blob, source, 0, 10, &pool, NULL), 0);
	CHECK_INT(blob_save(&blob, source, 20, 5, &pool, NULL), 0);
	CHECK_INT(blob_save(&blob, copy, 0, 20, &pool, NULL), 0);
	CHECK(blob == span);
	CHECK_INT(blob_save(&blob, handle, 12, 3, &pool, NULL), 0);
	CHECK(blob != span);
	CHECK_INT(blob_save(&blob, source, 8, 3, &pool, NULL), 0);
	CHECK_INT(blob_staged(&staged, blob, &pool, NULL), 0);
	CHECK_INT(blob_write(staged, 0, "A", 1, NULL), 0);
	CHECK_INT(blob_save(&staged, source, 19, 1, &pool, NULL), 0);
	source_rebase(handle, copy);
	CHECK_INT(blob_load(blob, 20, &bytes, &len, NULL), 0);
	CHECK_BYTES(bytes, len, "a.cde.....", 10);
	free(bytes);
	CHECK_INT(blob_load(staged, 20, &bytes, &len, NULL), 0);
	CHECK_BYTES(bytes, len, "A.cde....j", 10);
	free(bytes);
}

static void repeating(void)
{
	AUTO_BLOB *staged = NULL;
	uint64_t len = 1000, period = 0;

	unit_begin(
		"what was appended and never written repeats, what was written does not");
	CHECK_INT(blob_staged(&staged, NULL, &pool, NULL), 0);
	CHECK_INT(blob_write(staged, 0, "abc", 3, NULL), 0);
	CHECK_INT(blob_resize(staged, 1000, NULL), 0);
	CHECK(!blob_repeats(staged, 0, &len, &period) && len == 3);
	len = 1000;
	CHECK(blob_repeats(staged, 3, &len, &period) && len == 997 && period == 1);
}

static int x_read(void *priv, uint64_t off, void *buf, size_t len, struct error *err)
{
	(void)off;
	(void)err;
	memset(buf, *(char *)priv, len);
	return 0;
}

static void saving_others(void)
{
	static const struct blob_ops ops = {.read = x_read};
	char letter = 'x', *bytes = NULL;
	AUTO_SOURCE *source = NULL;
	AUTO_BLOB *computed = NULL, *memory = NULL;
	struct blob *before;
	size_t len = 0;

	unit_begin("of computed bytes nobody knows where they lie, so all are saved");
	CHECK_INT(source_memory(&source, "abc", 3, "m", NULL), 0);
	CHECK_INT(blob_computed(&computed, &ops, &letter, 5, NULL), 0);
	CHECK_INT(blob_memory(&memory, strdup("12345"), 5, NULL), 0);
	before = memory;
	CHECK_INT(blob_save(&computed, source, 0, 1, &pool, NULL), 0);
	CHECK_INT(blob_save(&memory, source, 0, 1, &pool, NULL), 0);
	CHECK(memory == before);
	letter = 'y';
	CHECK_INT(blob_load(computed, 20, &bytes, &len, NULL), 0);
	CHECK_BYTES(bytes, len, "xxxxx", 5);
	free(bytes);
}

int main(void)
{
	anything();
	growing();
	repeating();
	saving();
	saving_others();
	return unit_end();
}
