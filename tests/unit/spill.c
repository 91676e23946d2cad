/* Spills: bytes at any place, in memory and then in a file, counted and bounded. */
#include "decoders/base/spill.h"
#include "decoders/base/error.h"
#include "decoders/base/ranges.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PAGE (64 * 1024)
#define SPACE (4 << 20)

static uint64_t state = 362436069;

static uint32_t random_below(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 33) % n;
}

/* Random writes, cuts and reads beside a plain array. */
static void behaves(struct spill_pool *pool, int steps)
{
	static unsigned char want[SPACE], got[SPACE];
	struct spill *spill = NULL;
	size_t size = 0;

	CHECK_INT(spill_new(&spill, pool, NULL), 0);
	for (int i = 0; i < steps; i++) {
		size_t off = random_below(SPACE - 100000);
		size_t len = random_below(random_below(8) ? 3000 : 100000);

		if (random_below(8) == 0) {
			CHECK_INT(spill_resize(spill, off, NULL), 0);
			memset(want + off, 0, off < size ? size - off : 0);
			size = off;
			continue;
		}
		for (size_t k = 0; k < len; k++)
			got[k] = (unsigned char)(state >> (k % 50));
		CHECK_INT(spill_write(spill, off, got, len, NULL), 0);
		memcpy(want + off, got, len);
		if (len > 0 && off + len > size)
			size = off + len;
		off = random_below(SPACE);
		CHECK_INT(spill_read(spill, off, got, 70000, NULL),
			off >= size	     ? 0
			: size - off < 70000 ? (ssize_t)(size - off)
					     : 70000);
		CHECK(off >= size ||
			memcmp(got, want + off,
				size - off < 70000 ? size - off : 70000) == 0);
	}
	CHECK_INT(spill_size(spill), (intmax_t)size);
	CHECK_INT(spill_read(spill, 0, got, SPACE, NULL), (ssize_t)size);
	CHECK(memcmp(got, want, size) == 0);
	memset(want, 0, sizeof want);
	spill_free(&spill);
	CHECK_INT(pool->used, 0);
	CHECK_INT(pool->used_memory, 0);
}

static void anything(int dir)
{
	struct spill_pool memory = {.dir = -1, .limit = 1 << 30, .in_memory = 1 << 30};
	struct spill_pool file = {.dir = dir, .limit = 1 << 30, .in_memory = 1 << 30};
	struct spill_pool small = {.dir = dir, .limit = 1 << 30};

	unit_begin("what is written is read back, holes are zeros, in memory");
	for (int i = 0; i < 20; i++)
		behaves(&memory, 50);

	unit_begin(
		"what is written is read back, holes are zeros, from memory to a file");
	for (int i = 0; i < 20; i++)
		behaves(&file, 50);

	unit_begin("what is written is read back where nothing may lie in memory");
	for (int i = 0; i < 20; i++)
		behaves(&small, 50);
}

static void sparse(int dir)
{
	struct spill_pool pool = {.dir = dir, .limit = 4 * PAGE, .in_memory = 4 * PAGE};
	struct spill *spill = NULL;
	char byte = 1;
	int fd;

	unit_begin("a byte at the end of a terabyte costs a page");
	CHECK_INT(spill_new(&spill, &pool, NULL), 0);
	CHECK_INT(spill_write(spill, 1ULL << 40, "x", 1, NULL), 0);
	CHECK_INT(pool.used, PAGE);
	CHECK_INT(spill_read(spill, 1ULL << 39, &byte, 1, NULL), 1);
	CHECK_INT(byte, 0);
	CHECK(!spill_fd(spill, &fd));
	CHECK_INT(spill_resize(spill, 1ULL << 50, NULL), 0);
	CHECK_INT(pool.used, PAGE);
	CHECK_INT(spill_resize(spill, 5, NULL), 0);
	CHECK_INT(pool.used, 0);
	spill_free(&spill);
}

static void limits(int dir)
{
	struct spill_pool pool = {.dir = dir, .limit = 40 * PAGE, .in_memory = 2 * PAGE};
	static char bytes[64 * PAGE];
	struct spill *a = NULL, *b = NULL;
	struct error err = {0};
	int fd = -1;

	unit_begin("spills move to a file when memory is used up, and both stay counted");
	CHECK_INT(spill_new(&a, &pool, &err), 0);
	CHECK_INT(spill_new(&b, &pool, &err), 0);
	CHECK_INT(spill_write(a, 0, bytes, 2 * PAGE, &err), 0);
	CHECK(!spill_fd(a, &fd));
	CHECK_INT(spill_write(b, 0, bytes, 100, &err), 0);
	CHECK(spill_fd(b, &fd));
	CHECK_INT(lseek(fd, 0, SEEK_END), 100);
	CHECK_INT(pool.used_memory, 2 * PAGE);
	CHECK_INT(pool.used, 3 * PAGE);
	CHECK_INT(spill_write(b, 50, bytes, 100, &err), 0);
	CHECK_INT(pool.used, 3 * PAGE);
	CHECK_INT(spill_write(a, 10 * PAGE, bytes, 1, &err), 0);
	CHECK_INT(pool.used_memory, 0);
	CHECK_INT(pool.used, 4 * PAGE);

	unit_begin("beyond the limit there is no space, and nothing of it appears");
	CHECK_INT(spill_write(b, PAGE, bytes, 37 * PAGE, &err), -ENOSPC);
	CHECK_STR(err.text, "no more than 2621440 bytes may be staged");
	CHECK_INT(spill_size(b), 150);
	CHECK_INT(spill_write(b, PAGE, bytes, 36 * PAGE, &err), 0);
	CHECK_INT(spill_write(a, 10 * PAGE + 1, bytes, 1, &err), 0);
	spill_free(&b);
	CHECK_INT(pool.used, 4 * PAGE - PAGE);
	spill_free(&a);
	CHECK_INT(pool.used, 0);

	unit_begin("a write that fails half way leaves zeros behind the end");
	pool = (struct spill_pool){.dir = -1, .limit = 2 * PAGE};
	memset(bytes, 'x', sizeof bytes);
	CHECK_INT(spill_new(&a, &pool, &err), 0);
	CHECK_INT(spill_write(a, 0, bytes, 10, &err), 0);
	CHECK_INT(spill_write(a, 0, bytes, 3 * PAGE, &err), -ENOSPC);
	CHECK_INT(spill_size(a), 10);
	CHECK_INT(spill_resize(a, 2 * PAGE, &err), 0);
	CHECK_INT(spill_read(a, 0, bytes, 2 * PAGE, &err), 2 * PAGE);
	CHECK(bytes[9] == 'x' && bytes[10] == 0 && bytes[PAGE + 1] == 0);
	CHECK_INT(spill_write(a, INT64_MAX, "x", 1, &err), -EFBIG);
	CHECK_INT(spill_write(a, UINT64_MAX, "xy", 2, &err), -EFBIG);
	spill_free(&a);
	spill_free(&a);
}

static void sets(void)
{
	enum { N = 3000 };
	static bool want[N];
	struct ranges ranges = {0};

	unit_begin("ranges are what was added and not cut, without gaps between");
	for (int i = 0; i < 4000; i++) {
		uint64_t begin = random_below(N), end = begin + random_below(40), b, e;

		if (random_below(50) == 0) {
			ranges_cut(&ranges, begin);
			memset(want + begin, 0, N - begin);
			continue;
		}
		end = end < N ? end : N;
		CHECK_INT(ranges_add(&ranges, begin, end, NULL), 0);
		memset(want + begin, 1, end - begin);
		begin = random_below(N);
		for (end = begin; end < N && !want[end];)
			end++;
		if (CHECK(ranges_next(&ranges, begin, &b, &e) == (end < N)) && end < N) {
			CHECK_INT(b, (intmax_t)end);
			while (end < N && want[end])
				end++;
			CHECK_INT(e, (intmax_t)end);
		}
		e = 0;
		for (b = begin; b < N; b++)
			e += want[b];
		CHECK_INT(ranges_count(&ranges, begin, UINT64_MAX), (intmax_t)e);
	}
	ranges_done(&ranges);
}

static void many(void)
{
	enum { N = 100000, STEP = 10 };
	struct ranges ranges = {0};
	uint64_t begin, end;

	unit_begin("a hundred thousand ranges in any order are all there, and all go");
	for (uint64_t i = 0; i < N; i++) { /* 7919 is prime: every place once */
		begin = i * 7919 % N * STEP;
		CHECK_INT(ranges_add(&ranges, begin, begin + 4, NULL), 0);
	}
	CHECK_INT(ranges_count(&ranges, 0, UINT64_MAX), 4 * N);
	for (uint64_t i = 0; i < N; i += 97)
		CHECK(ranges_next(&ranges, i * STEP + 4, &begin, &end) == (i + 1 < N) &&
			(i + 1 == N || begin == (i + 1) * STEP));
	CHECK_INT(ranges_add(&ranges, 6, (N - 1) * STEP + 1, NULL), 0);
	CHECK(ranges_next(&ranges, 4, &begin, &end) && begin == 6);
	CHECK_INT(end, (N - 1) * STEP + 4);
	ranges_cut(&ranges, 2);
	CHECK_INT(ranges_count(&ranges, 0, UINT64_MAX), 2);
	for (uint64_t i = N; i > 0; i--) /* from back to front */
		CHECK_INT(ranges_add(&ranges, i * STEP, i * STEP + 1, NULL), 0);
	for (uint64_t i = 1; i <= N; i++) /* from front to back, filling */
		CHECK_INT(ranges_add(&ranges, i * STEP, (i + 1) * STEP, NULL), 0);
	CHECK_INT(ranges_count(&ranges, 0, UINT64_MAX), 2 + N * STEP);
	ranges_done(&ranges);
}

int main(void)
{
	int dir = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	sets();
	many();
	anything(dir);
	sparse(dir);
	limits(dir);
	(void)close(dir);
	return unit_end();
}
