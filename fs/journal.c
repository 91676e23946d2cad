/*
 * journal: reading back and replaying. See journal_format.h for the bytes.
 *
 * A journal that was found is a stranger's file until its last checksum has been seen:
 * nothing is believed, and nothing written, before that.
 */
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "fs/file.h"
#include "fs/journal_format.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A record as it is read back: checksums, then the new bytes. */
struct content {
	uint32_t sums[JOURNAL_UNITS_MAX];
	unsigned char new[JOURNAL_PIECE];
};

struct reader {
	struct journal *journal;
	uint64_t at, size;
	uint32_t crc;
	unsigned char *buffer; /* sizeof(struct content) */
};

static uint32_t get32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return le32toh(v);
}

static uint64_t get64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return le64toh(v);
}

uint64_t journal_size_before(const struct journal *journal)
{
	return journal->old_size + journal->shift.len;
}

size_t journal_units(size_t len)
{
	return (len + JOURNAL_UNIT - 1) / JOURNAL_UNIT;
}

size_t journal_unit_len(size_t len, size_t i)
{
	return (size_t)least(JOURNAL_UNIT, len - i * JOURNAL_UNIT);
}

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "not enough memory for a journal");
}

int journal_new(struct journal **out, int fd, struct error *err)
{
	struct journal *journal = calloc(1, sizeof *journal);

	if (journal == NULL) {
		file_close(&fd);
		return no_memory(err);
	}
	journal->fd = fd;
	*out = journal;
	return 0;
}

void journal_close(struct journal **journal)
{
	if (*journal == NULL)
		return;
	file_close(&(*journal)->fd);
	free((*journal)->records);
	free(*journal);
	*journal = NULL;
}

int journal_add(struct journal *journal, struct record record, struct error *err)
{
	size_t cap = journal->cap > 0 ? 2 * journal->cap : 64;
	struct record *records;

	if (journal->n == journal->cap) {
		records = reallocarray(journal->records, cap, sizeof *records);
		if (records == NULL)
			return no_memory(err);
		journal->records = records;
		journal->cap = cap;
	}
	journal->records[journal->n++] = record;
	return 0;
}

bool journal_is_empty(const struct journal *journal)
{
	return journal->n == 0 && journal->old_size == journal->new_size;
}

uint64_t journal_old_size(const struct journal *journal)
{
	return journal->old_size;
}

uint64_t journal_new_size(const struct journal *journal)
{
	return journal->new_size;
}

int journal_fd(const struct journal *journal)
{
	return journal->fd;
}

/* Reading back. */

static int not_whole(struct reader *r, struct error *err, const char *what)
{
	return error_set(err, EINVAL,
		"%s is not whole: %s at offset %" PRIu64 " of %" PRIu64, JOURNAL_NAME,
		what, r->at, r->size);
}

/* The next `len` bytes, which must be there, counted into the checksum. */
static int get(struct reader *r, void *buf, size_t len, struct error *err)
{
	int code;

	if (len > r->size - r->at)
		return not_whole(r, err, "a part is missing");
	code = file_read(r->journal->fd, JOURNAL_NAME, buf, len, r->at, err);
	r->crc = libdeflate_crc32(r->crc, buf, len);
	r->at += len;
	return code;
}

/* Whether an edit can begin with this gap. */
static bool is_sound_gap(const struct journal *journal)
{
	const struct shift *shift = &journal->shift;

	return shift->off % JOURNAL_UNIT == 0 && shift->off < journal->old_size &&
	       shift->len % JOURNAL_UNIT == 0 && shift->len > 0 &&
	       journal->old_size <= journal->new_size &&
	       shift->len <= journal->new_size - journal->old_size;
}

static int get_gap(struct reader *r, struct error *err)
{
	unsigned char gap[JOURNAL_GAP];
	int code = get(r, gap, sizeof gap, err);

	if (code < 0)
		return code;
	r->journal->shift = (struct shift){.off = get64(gap),
		.len = get64(gap + 8),
		.old_size = r->journal->old_size,
		.from = r->journal->old_size};
	if (get32(gap + 16) != 0 || get32(gap + 20) != libdeflate_crc32(0, gap, 20) ||
		!is_sound_gap(r->journal))
		return not_whole(r, err, "an impossible gap ends");
	return 0;
}

static int get_header(struct reader *r, struct error *err)
{
	unsigned char header[JOURNAL_HEADER];
	int code = get(r, header, sizeof header, err);
	uint32_t version;

	if (code < 0)
		return code;
	version = get32(header + 8);
	r->journal->old_size = get64(header + 16);
	r->journal->new_size = get64(header + 24);
	if (memcmp(header, JOURNAL_MAGIC, 8) != 0 ||
		get32(header + 36) != libdeflate_crc32(0, header, 36))
		return not_whole(r, err, "no header ends");
	if ((version != JOURNAL_VERSION && version != JOURNAL_VERSION_GAP) ||
		get32(header + 12) != JOURNAL_UNIT || get32(header + 32) != 0)
		return error_set(err, EINVAL,
			"%s is of version %" PRIu32 ", expected %d or %d", JOURNAL_NAME,
			version, JOURNAL_VERSION, JOURNAL_VERSION_GAP);
	if (r->journal->old_size > INT64_MAX || r->journal->new_size > INT64_MAX)
		return not_whole(r, err, "an impossible size stands");
	return version == JOURNAL_VERSION_GAP ? get_gap(r, err) : 0;
}

/* Whether a record may stand after those before it. */
static bool is_sound(const struct journal *journal, const struct record *record)
{
	const struct record *last =
		journal->n > 0 ? &journal->records[journal->n - 1] : NULL;
	uint64_t size = journal->new_size;

	return record->off % JOURNAL_UNIT == 0 && record->len > 0 &&
	       record->len <= JOURNAL_PIECE && record->off < size &&
	       record->len <= size - record->off &&
	       (record->len % JOURNAL_UNIT == 0 || record->off + record->len == size) &&
	       (last == NULL || record->off >= last->off + last->len);
}

static int get_record(struct reader *r, const unsigned char *head, struct error *err)
{
	struct record record = {.off = get64(head), .at = r->at, .len = get32(head + 8)};
	int code;

	if (!is_sound(r->journal, &record) || get32(head + 12) != 0)
		return not_whole(r, err, "an impossible record ends");
	code = get(r, r->buffer,
		journal_units(record.len) * sizeof(uint32_t) + record.len, err);
	return code < 0 ? code : journal_add(r->journal, record, err);
}

/* `head` has the first half of the trailer and is counted already. */
static int get_trailer(struct reader *r, const unsigned char *head, struct error *err)
{
	unsigned char rest[JOURNAL_TRAILER - JOURNAL_RECORD];
	uint32_t crc;
	int code = get(r, rest, 12, err);

	crc = r->crc;
	if (code == 0)
		code = get(r, rest + 12, 4, err);
	if (code < 0)
		return code;
	if (get32(rest + 12) != crc)
		return not_whole(r, err, "a wrong checksum ends");
	if (get64(head + 8) != r->journal->n || get64(rest) != r->size ||
		r->at != r->size || get32(rest + 8) != 0)
		return not_whole(r, err, "a wrong trailer ends");
	return 0;
}

static int get_all(struct reader *r, struct error *err)
{
	unsigned char head[JOURNAL_RECORD];
	int code = get_header(r, err);

	while (code == 0) {
		code = get(r, head, sizeof head, err);
		if (code == 0 && get64(head) == JOURNAL_END)
			return get_trailer(r, head, err);
		if (code == 0)
			code = get_record(r, head, err);
	}
	return code;
}

int journal_open(struct journal **out, int fd, struct error *err)
{
	AUTO_JOURNAL *journal = NULL;
	struct reader r = {0};
	struct stat st;
	int code = journal_new(&journal, fd, err);

	if (code < 0)
		return code;
	if (fstat(fd, &st) < 0)
		return error_set(err, errno, "%s: %s", JOURNAL_NAME, strerror(errno));
	r.journal = journal;
	r.size = (uint64_t)st.st_size;
	r.buffer = malloc(sizeof(struct content));
	if (r.buffer == NULL)
		return no_memory(err);
	code = get_all(&r, err);
	free(r.buffer);
	if (code < 0)
		return code;
	*out = journal;
	journal = NULL;
	return 0;
}

/* Replaying. */

static int read_content(const struct journal *journal, const struct record *record,
	struct content *content, struct error *err)
{
	size_t sums = journal_units(record->len) * sizeof content->sums[0];
	int code = file_read(
		journal->fd, JOURNAL_NAME, content->sums, sums, record->at, err);

	if (code < 0)
		return code;
	return file_read(journal->fd, JOURNAL_NAME, content->new, record->len,
		record->at + sums, err);
}

/* How many of a unit's bytes a file that ends at `end` has. A block may have reached the
 * disk before the size that shows all of it. */
static size_t bytes_there(uint64_t off, size_t len, uint64_t end)
{
	return off < end ? (size_t)least(len, end - off) : 0;
}

static int check_record(const struct record *record, const struct content *content,
	const unsigned char *now, uint64_t end, struct error *err)
{
	for (size_t i = 0; i < journal_units(record->len); i++) {
		size_t at = i * JOURNAL_UNIT, len = journal_unit_len(record->len, i);
		size_t there = bytes_there(record->off + at, len, end);

		if (memcmp(now + at, content->new + at, there) == 0 ||
			libdeflate_crc32(0, now + at, len) == le32toh(content->sums[i]))
			continue;
		return error_set(err, EINVAL,
			"the bytes at offset %" PRIu64
			" are neither those before the edit nor those after",
			record->off + at);
	}
	return 0;
}

static int check_size(const struct journal *journal, int container, struct error *err)
{
	struct stat st;

	if (fstat(container, &st) < 0)
		return error_set(err, errno, "the container: %s", strerror(errno));
	if ((uint64_t)st.st_size != journal->old_size &&
		(uint64_t)st.st_size != journal_size_before(journal) &&
		(uint64_t)st.st_size != journal->new_size)
		return error_set(err, EINVAL,
			"expected %" PRIu64 " bytes before the edit or %" PRIu64
			" after, found %jd",
			journal->old_size, journal->new_size, (intmax_t)st.st_size);
	return 0;
}

static int read_container(int fd, struct source **out, struct error *err)
{
	int other = -1, code = file_dup(fd, &other, "the container", err);

	return code < 0 ? code : source_from_fd(out, other, "the container", err);
}

int journal_look(struct journal *journal, int container, struct error *err)
{
	return shift_look(&journal->shift, container, err);
}

/* Where the container ends, gap included. */
static uint64_t end_of(const struct journal *journal, const struct source *file)
{
	return source_size(file) == journal->new_size ? journal->new_size
						      : journal_size_before(journal);
}

int journal_fits(struct journal *journal, int container, struct error *err)
{
	struct content *content = malloc(sizeof *content);
	unsigned char *now = malloc(JOURNAL_PIECE);
	AUTO_SOURCE *file = NULL;
	int code = content == NULL || now == NULL ? no_memory(err)
						  : check_size(journal, container, err);

	if (code == 0)
		code = journal_look(journal, container, err);
	if (code == 0)
		code = read_container(container, &file, err);
	for (size_t i = 0; code == 0 && i < journal->n; i++) {
		const struct record *record = &journal->records[i];

		code = read_content(journal, record, content, err);
		if (code == 0)
			code = shift_read(&journal->shift, file, record->off, now,
				record->len, err);
		if (code == 0)
			code = check_record(
				record, content, now, end_of(journal, file), err);
	}
	free(content);
	free(now);
	return code;
}

static int apply_records(const struct journal *journal, int container,
	struct content *content, struct error *err)
{
	int code = 0;

	for (size_t i = 0; code == 0 && i < journal->n; i++) {
		const struct record *record = &journal->records[i];

		code = read_content(journal, record, content, err);
		if (code == 0)
			code = file_write(container, "the container", content->new,
				record->len, record->off, err);
	}
	return code;
}

int journal_shift(struct journal *journal, int container, struct error *err)
{
	return journal->shift.len > 0 ? shift_make(&journal->shift, container, err) : 0;
}

int journal_unshift(struct journal *journal, int container, struct error *err)
{
	return journal->shift.len > 0 ? shift_undo(&journal->shift, container, err) : 0;
}

int journal_apply(struct journal *journal, int container, struct error *err)
{
	struct content *content = malloc(sizeof *content);
	int code;

	if (content == NULL)
		return no_memory(err);
	code = journal_shift(journal, container, err);
	/* Where a byte of the patch goes must be certain before it is written. */
	if (code == 0 && journal->shift.len > 0)
		code = file_sync(container, "the container", err);
	if (code == 0 && journal->new_size > journal_size_before(journal))
		code = file_resize(container, "the container", journal->new_size, err);
	if (code == 0)
		code = apply_records(journal, container, content, err);
	if (code == 0 && journal->new_size < journal->old_size)
		code = file_resize(container, "the container", journal->new_size, err);
	free(content);
	return code;
}

/* Nothing changes but what is allocated. File systems that cannot promise space are
 * taken at their word. */
static int reserve(int container, uint64_t off, uint64_t len, struct error *err)
{
	if (TEMP_FAILURE_RETRY(fallocate(
		    container, FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len)) == 0 ||
		(errno != ENOSPC && errno != EDQUOT && errno != EIO))
		return 0;
	return error_set(err, errno, "allocating %" PRIu64 " bytes for the edit: %s", len,
		strerror(errno));
}

static bool is_sparse(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || st.st_blocks * 512 < st.st_size;
}

bool journal_needs_space(const struct journal *journal, int container)
{
	return journal->n > 0 &&
	       (journal->new_size > journal_size_before(journal) || is_sparse(container));
}

/* What lies beyond the end is shifted as well, and the gap has blocks when it opens. */
int journal_reserve(const struct journal *journal, int container, struct error *err)
{
	bool sparse = is_sparse(container);
	int code = 0;

	for (size_t i = 0; code == 0 && i < journal->n; i++) {
		const struct record *record = &journal->records[i];

		if (record->off + record->len > journal_size_before(journal))
			code = reserve(container, record->off - journal->shift.len,
				record->len, err);
		else if (sparse)
			code = reserve(container, record->off, record->len, err);
	}
	return code;
}
