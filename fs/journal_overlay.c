/*
 * journal_overlay: a container with an unfinished edit, read as if it were finished.
 */
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "fs/file.h"
#include "fs/journal_format.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct overlay {
	struct source source;
	struct journal *journal;
	struct source *base;
};

/* The first record that ends after `off`; n if there is none. */
static size_t record_after(const struct journal *journal, uint64_t off)
{
	size_t low = 0, high = journal->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct record *record = &journal->records[mid];

		if (record->off + record->len > off)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static int overlay_read(
	struct source *source, uint64_t off, void *buf, size_t len, struct error *err)
{
	struct overlay *overlay = (struct overlay *)source;
	const struct journal *journal = overlay->journal;
	size_t i = record_after(journal, off), n;
	int code = 0;

	for (; code == 0 && len > 0; off += n, buf = (char *)buf + n, len -= n) {
		const struct record *record = &journal->records[i];

		if (i == journal->n || off < record->off) {
			n = i == journal->n ? len : (size_t)least(len, record->off - off);
			code = shift_read(
				&journal->shift, overlay->base, off, buf, n, err);
			continue;
		}
		n = (size_t)least(len, record->off + record->len - off);
		code = file_read(journal->fd, JOURNAL_NAME, buf, n,
			record->at + journal_units(record->len) * sizeof(uint32_t) +
				(off - record->off),
			err);
		i += off + n == record->off + record->len;
	}
	return code;
}

static bool overlay_locate(
	struct source *source, uint64_t off, uint64_t len, int *fd, uint64_t *fd_off)
{
	struct overlay *overlay = (struct overlay *)source;
	const struct journal *journal = overlay->journal;
	size_t i = record_after(journal, off);
	uint64_t there = len;

	if (i < journal->n && journal->records[i].off < off + len)
		return false;
	if (!shift_place(&journal->shift, &off, &there) || there < len)
		return false;
	return source_locate(overlay->base, off, len, fd, fd_off);
}

static void overlay_free(struct source *source)
{
	struct overlay *overlay = (struct overlay *)source;

	journal_close(&overlay->journal);
	source_unref(&overlay->base);
	free(overlay);
}

static const struct source_ops overlay_ops = {
	.read = overlay_read, .locate = overlay_locate, .free = overlay_free};

void journal_overlay_rebase(struct source *source, struct source *base)
{
	struct overlay *overlay = (struct overlay *)source;

	source_unref(&overlay->base);
	overlay->base = source_ref(base);
}

int journal_overlay(struct source **out, struct journal *journal, struct source *base,
	struct error *err)
{
	struct overlay *overlay = calloc(1, sizeof *overlay);
	int code = overlay == NULL
			   ? error_set(err, ENOMEM, "not enough memory for a journal")
			   : source_init(&overlay->source, &overlay_ops,
				     source_name(base), journal->new_size, err);

	if (code < 0) {
		free(overlay);
		journal_close(&journal);
		return code;
	}
	overlay->journal = journal;
	overlay->base = source_ref(base);
	*out = &overlay->source;
	return 0;
}
