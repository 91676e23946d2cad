/*
 * mend: what a mutation breaks although nothing depends on it is put right again.
 *
 * Metadata of HDF5 and journals carry checksums, so nearly every mutation would be
 * refused before anything looks at what it says. This mutator lets libFuzzer change
 * bytes, then computes the checksums anew, mostly.
 *
 * How many bytes a checksum covers hangs on what the file says elsewhere. So each one
 * that was right before the mutation is looked for, and the n-th structure of its kind
 * afterwards is taken to be the same one.
 */
#include "tests/fuzz/fuzz.h"
#include <endian.h>
#include <libdeflate.h>
#include <stdbool.h>
#include <string.h>

#define SEALED_MAX 256 /* structures of an input */
#define COVERED_MAX 600
#define BLOCK_MIN 512 /* of a block of a fractal heap */
#define BLOCK_MAX 2048

/* Bytes with a checksum: at `sum`, of all `len` with zeros there, or at the end. */
struct sealed {
	const char *kind;
	size_t len, sum;
};

static const char *const kinds[] = {"OCHK", "BTHD", "BTIN", "BTLF", "FRHP", "FHDB",
	"FHIB", "FSHD", "FSSE", "SMTB", "SMLI", "FAHD", "FADB", "EAHD", "EAIB", "EASB",
	"EADB"};

/* libFuzzer's; replay.c has none and needs none. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return le32toh(v);
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof v);
}

static uint32_t turn(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

/* Jenkins' lookup3, as HDF5 has it. */
static uint32_t lookup3(const uint8_t *p, size_t len)
{
	static const unsigned char mixing[] = {4, 6, 8, 16, 19, 4},
				   ending[] = {14, 11, 25, 16, 4, 14, 24};
	uint32_t v[3], start = 0xdeadbeef + (uint32_t)len;

	v[0] = v[1] = v[2] = start;
	if (len == 0)
		return start;
	for (; len > 12; p += 12, len -= 12) {
		for (unsigned i = 0; i < 3; i++)
			v[i] += get32(p + 4 * i);
		for (unsigned i = 0; i < 6; i++) {
			uint32_t *a = &v[i % 3], *b = &v[(i + 1) % 3],
				 *c = &v[(i + 2) % 3];

			*a = (*a - *c) ^ turn(*c, mixing[i]);
			*c += *b;
		}
	}
	for (size_t i = 0; i < len; i++)
		v[i / 4] += (uint32_t)p[i] << (8 * (i % 4));
	for (unsigned i = 0; i < 7; i++) {
		uint32_t *to = &v[(i + 2) % 3], from = v[(i + 1) % 3];

		*to = (*to ^ from) - turn(from, ending[i]);
	}
	return v[2];
}

/* The checksum that belongs there. */
static uint32_t sum_of(const uint8_t *p, const struct sealed *s)
{
	uint8_t block[BLOCK_MAX];

	if (s->sum + 4 == s->len)
		return lookup3(p, s->sum);
	memcpy(block, p, s->len);
	memset(block + s->sum, 0, 4);
	return lookup3(block, s->len);
}

static bool is_right(const uint8_t *p, const struct sealed *s)
{
	return sum_of(p, s) == get32(p + s->sum);
}

/* "FHDB" 0 | address | offset, of 4 or 5 bytes | checksum | objects */
static bool find_block(const uint8_t *p, size_t left, struct sealed *s)
{
	for (s->len = BLOCK_MIN; s->len <= BLOCK_MAX && s->len <= left; s->len *= 2)
		for (s->sum = 17; s->sum < 19; s->sum++)
			if (is_right(p, s))
				return true;
	return false;
}

static bool find_end(const uint8_t *p, size_t left, struct sealed *s)
{
	for (s->len = 10; s->len <= left && s->len <= COVERED_MAX; s->len++) {
		s->sum = s->len - 4;
		if (is_right(p, s))
			return true;
	}
	return false;
}

/* An object header of version 2, or a superblock, says itself how long it is. */
static bool measure(const uint8_t *p, size_t left, struct sealed *s)
{
	size_t at = 6;

	if (left > 48 && memcmp(p, "\x89HDF", 4) == 0 && (p[8] == 2 || p[8] == 3)) {
		s->len = 16 + 4 * (size_t)(p[9] & 15);
	} else if (left > 36 && memcmp(p, "OHDR", 4) == 0) {
		at += (p[5] & 0x20 ? 16 : 0) + (p[5] & 0x10 ? 4 : 0);
		s->len = at + p[at] + ((p[5] & 3) == 1 ? 256u * p[at + 1] + 1 : 0) + 5;
	} else {
		return false;
	}
	s->sum = s->len - 4;
	return s->len <= left;
}

static const char *kind_at(const uint8_t *p)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (memcmp(p, kinds[i], 4) == 0)
			return kinds[i];
	return NULL;
}

static size_t find_sealed(const uint8_t *data, size_t size, struct sealed *found)
{
	size_t n = 0;

	for (size_t i = 0; i + 16 < size && n < SEALED_MAX; i++) {
		const char *kind = kind_at(data + i);
		struct sealed *s = &found[n];

		if (kind == NULL)
			continue;
		*s = (struct sealed){.kind = kind};
		if (strcmp(kind, "FHDB") == 0 ? !find_block(data + i, size - i, s)
					      : !find_end(data + i, size - i, s))
			s->len = 0;
		n++;
	}
	return n;
}

static void mend_hdf5(uint8_t *data, size_t size, const struct sealed *was, size_t n)
{
	size_t next = 0;

	for (size_t i = 0; i + 16 < size; i++) {
		const char *kind = kind_at(data + i);
		struct sealed s;

		if (measure(data + i, size - i, &s))
			put32(data + i + s.sum, sum_of(data + i, &s));
		if (kind == NULL)
			continue;
		while (next < n && was[next].kind != kind)
			next++;
		if (next < n && was[next].len > 0 && was[next].len <= size - i)
			put32(data + i + was[next].sum, sum_of(data + i, &was[next]));
		next += next < n;
	}
}

/* See fs/journal_format.h. */
static void mend_journal(uint8_t *data, size_t size)
{
	size_t len = fuzz_journal(data, size);

	if (len < 72 || memcmp(data, "WeightFJ", 8) != 0)
		return;
	put32(data + 36, libdeflate_crc32(0, data, 36));
	put32(data + len - 16, (uint32_t)len);
	put32(data + len - 4, libdeflate_crc32(0, data, len - 4));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	static struct sealed was[SEALED_MAX];
	size_t n = find_sealed(data, size, was);

	size = LLVMFuzzerMutate(data, size, max);
	if (seed % 8 == 0)
		return size;
	mend_hdf5(data, size, was, n);
	mend_journal(data, size);
	return size;
}
