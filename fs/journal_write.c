/*
 * journal_write: from a plan to a journal.
 *
 * Each range that the plan changes is read twice, as it is and as it shall be, a
 * piece at a time; runs of units that differ become records. So writing back what was
 * read costs reading and leaves no record.
 */
#include "decoders/base/error.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "fs/file.h"
#include "fs/journal_format.h"
#include <endian.h>
#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

/* A run of fewer equal units than this is written along rather than ending a record. */
#define GAP_UNITS 8

/* One piece as it is and as it shall be, and the checksums of its units. */
struct piece {
	unsigned char now[JOURNAL_PIECE];
	unsigned char new[JOURNAL_PIECE];
	uint32_t sums[JOURNAL_UNITS_MAX];
};

struct writer {
	struct journal *journal;
	const struct journal_edit *edit;
	struct source *old;
	struct piece *piece;
	uint64_t at;   /* bytes of the journal so far */
	uint32_t crc;  /* of them */
	uint64_t done; /* the container up to here needs no more looking at */
};

static void put32(unsigned char *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof v);
}

static void put64(unsigned char *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof v);
}

static int put(struct writer *w, const void *bytes, size_t len, struct error *err)
{
	int code = file_write(w->journal->fd, JOURNAL_NAME, bytes, len, w->at, err);

	w->crc = libdeflate_crc32(w->crc, bytes, len);
	w->at += len;
	return code;
}

static int put_header(struct writer *w, struct error *err)
{
	unsigned char header[JOURNAL_HEADER] = JOURNAL_MAGIC;

	put32(header + 8,
		w->journal->shift.len > 0 ? JOURNAL_VERSION_GAP : JOURNAL_VERSION);
	put32(header + 12, JOURNAL_UNIT);
	put64(header + 16, w->journal->old_size);
	put64(header + 24, w->journal->new_size);
	put32(header + 36, libdeflate_crc32(0, header, 36));
	return put(w, header, sizeof header, err);
}

static int put_gap(struct writer *w, struct error *err)
{
	unsigned char gap[JOURNAL_GAP] = {0};

	put64(gap, w->journal->shift.off);
	put64(gap + 8, w->journal->shift.len);
	put32(gap + 20, libdeflate_crc32(0, gap, 20));
	return put(w, gap, sizeof gap, err);
}

static int put_trailer(struct writer *w, struct error *err)
{
	unsigned char trailer[JOURNAL_TRAILER] = {0};

	put64(trailer, JOURNAL_END);
	put64(trailer + 8, w->journal->n);
	put64(trailer + 16, w->at + JOURNAL_TRAILER);
	put32(trailer + 28, libdeflate_crc32(w->crc, trailer, 28));
	return put(w, trailer, sizeof trailer, err);
}

/* Units [first, end) of the piece, whose `len` bytes begin at `off`. */
static int put_record(struct writer *w, uint64_t off, size_t len, size_t first,
	size_t end, struct error *err)
{
	size_t skip = first * JOURNAL_UNIT;
	uint32_t bytes = (uint32_t)(least(len, end * JOURNAL_UNIT) - skip);
	unsigned char head[JOURNAL_RECORD] = {0};
	struct record record = {
		.off = off + skip, .at = w->at + JOURNAL_RECORD, .len = bytes};
	struct piece *p = w->piece;
	int code;

	for (size_t i = first; i < end; i++)
		p->sums[i] = htole32(libdeflate_crc32(
			0, p->now + i * JOURNAL_UNIT, journal_unit_len(len, i)));
	put64(head, record.off);
	put32(head + 8, bytes);
	code = put(w, head, sizeof head, err);
	if (code == 0)
		code = put(w, p->sums + first, (end - first) * sizeof p->sums[0], err);
	if (code == 0)
		code = put(w, p->new + skip, bytes, err);
	return code < 0 ? code : journal_add(w->journal, record, err);
}

/* A unit that differs, or that lies in the gap: no hole is to stay there. */
static bool is_to_write(const struct writer *w, uint64_t off, size_t len, size_t i)
{
	const struct shift *shift = &w->journal->shift;
	size_t at = i * JOURNAL_UNIT;

	return off + at - shift->off < shift->len ||
	       memcmp(w->piece->now + at, w->piece->new + at, journal_unit_len(len, i)) !=
		       0;
}

/* Where the run of units that begins with the changed one `i` ends: before GAP_UNITS
 * equal ones. */
static size_t run_end(const struct writer *w, uint64_t off, size_t len, size_t i)
{
	size_t end = i + 1, n = journal_units(len);

	for (i++; i < n && i - end < GAP_UNITS; i++)
		if (is_to_write(w, off, len, i))
			end = i + 1;
	return end;
}

static int write_piece(struct writer *w, uint64_t off, size_t len, struct error *err)
{
	size_t n = journal_units(len), end;
	const struct shift *shift = &w->journal->shift;
	int code = source_read(w->edit->outcome, off, w->piece->new, len, err);

	if (code == 0)
		code = shift_read(shift, w->old, off, w->piece->now, len, err);
	for (size_t i = 0; code == 0 && i < n; i = end) {
		end = i + 1;
		if (!is_to_write(w, off, len, i))
			continue;
		end = run_end(w, off, len, i);
		code = put_record(w, off, len, i, end, err);
	}
	return code;
}

/* The changed range [off, end), widened to whole units; what an earlier range has
 * covered is not looked at again. */
static int write_range(struct writer *w, uint64_t off, uint64_t end, struct error *err)
{
	uint64_t size = w->journal->new_size;
	int code = 0;

	off = off / JOURNAL_UNIT * JOURNAL_UNIT;
	if (off < w->done)
		off = w->done;
	end = size - end < JOURNAL_UNIT
		      ? size
		      : (end + JOURNAL_UNIT - 1) / JOURNAL_UNIT * JOURNAL_UNIT;
	for (size_t len; code == 0 && off < end; off += len) {
		len = (size_t)least(end - off, JOURNAL_PIECE);
		code = write_piece(w, off, len, err);
		w->done = off + len;
	}
	return code;
}

static int write_region(struct writer *w, const struct region *region, struct error *err)
{
	const struct shift *shift = &w->journal->shift;
	uint64_t off = region->off, end = off + region->len;

	if (region->kind == REGION_OLD && region->old_off + shift->len == off)
		return 0;
	/* What does not move though it lies behind the gap's beginning is written anew.
	 */
	if (region->kind == REGION_OLD)
		off = shift->len > 0 && off < shift->off ? shift->off : off;
	/* Beyond the old size all is zeros by itself. */
	if (region->kind == REGION_FILL && region->fill == 0)
		end = least(end, journal_size_before(w->journal));
	return off < end ? write_range(w, off, end, err) : 0;
}

static int write_all(struct writer *w, struct error *err)
{
	const struct plan *plan = w->edit->plan;
	int code = put_header(w, err);

	if (code == 0 && w->journal->shift.len > 0)
		code = put_gap(w, err);
	for (size_t i = 0; code == 0 && i < plan_count(plan); i++)
		code = write_region(w, plan_region(plan, i), err);
	return code < 0 ? code : put_trailer(w, err);
}

int journal_write(
	struct journal **out, int fd, const struct journal_edit *edit, struct error *err)
{
	AUTO_JOURNAL *journal = NULL;
	struct writer w = {.edit = edit, .old = plan_source_old(edit->plan)};
	int code = journal_new(&journal, fd, err);

	if (code < 0)
		return code;
	journal->old_size = source_size(w.old);
	journal->new_size = plan_size(edit->plan);
	if (edit->shift != NULL)
		journal->shift = *edit->shift;
	w.journal = journal;
	w.piece = malloc(sizeof *w.piece);
	if (w.piece == NULL)
		return error_set(err, ENOMEM, "not enough memory to write a journal");
	code = write_all(&w, err);
	free(w.piece);
	if (code < 0)
		return code;
	*out = journal;
	journal = NULL;
	return 0;
}
