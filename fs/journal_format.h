/*
 * journal_format: the bytes of a journal, for those who write and who read it.
 *
 *   header    0  8  "WeightFJ"             all numbers little-endian
 *             8  4  version, 1; 2 where a gap follows
 *            12  4  bytes of a unit, 512
 *            16  8  size of the container before
 *            24  8  size after
 *            32  4  0
 *            36  4  crc32 of bytes 0 to 35
 *   gap       0  8  offset in the container, a multiple of 512
 *             8  8  length, the same
 *            16  4  0
 *            20  4  crc32 of bytes 0 to 19
 *   record    0  8  offset in the container, a multiple of 512
 *             8  4  length, 1 to 1 MiB; not a multiple of 512 only at the new end
 *            12  4  0
 *            16  4  crc32 of the first unit as it was (bytes beyond the old end are 0)
 *                   ... one for each unit
 *                   the new bytes
 *   trailer   0  8  2^64 - 1
 *             8  8  number of records
 *            16  8  size of the journal
 *            24  4  0
 *            28  4  crc32 of everything before
 *
 * Records ascend and do not overlap. What lies beyond the old size and in no record is
 * zeros. Growing comes first and shrinking last, each in one step, so the container's
 * size is always the old or the new one.
 *
 * A gap is opened before all else (shift.h): records and their checksums are of the
 * container with the gap in it, which is zeros and written over whole. Such an edit does
 * not shrink the container; its size may also be the old one with the gap.
 */
#ifndef WEIGHTFS_FS_JOURNAL_FORMAT_H
#define WEIGHTFS_FS_JOURNAL_FORMAT_H

#include "fs/journal.h"
#include "fs/shift.h"
#include <stddef.h>
#include <stdint.h>

struct error;

#define JOURNAL_MAGIC "WeightFJ"
#define JOURNAL_VERSION 1
#define JOURNAL_VERSION_GAP 2
#define JOURNAL_HEADER 40
#define JOURNAL_GAP 24
#define JOURNAL_RECORD 16
#define JOURNAL_TRAILER 32
#define JOURNAL_END UINT64_MAX
#define JOURNAL_UNITS_MAX (JOURNAL_PIECE / JOURNAL_UNIT)
#define JOURNAL_NAME "the journal"

struct record {
	uint64_t off; /* in the container */
	uint64_t at;  /* of its checksums, in the journal */
	uint32_t len;
};

/* Owns the descriptor and the list. */
struct journal {
	int fd;
	uint64_t old_size, new_size;
	struct shift shift;
	struct record *records;
	size_t n, cap;
};

/* Takes `fd`, on failure too. */
int journal_new(struct journal **out, int fd, struct error *err);
int journal_add(struct journal *journal, struct record record, struct error *err);

/* Bytes of the container before its patch, with a gap that is open. */
uint64_t journal_size_before(const struct journal *journal);
/* Units in `len` bytes, and bytes of the i-th of them. */
size_t journal_units(size_t len);
size_t journal_unit_len(size_t len, size_t i);

#endif
