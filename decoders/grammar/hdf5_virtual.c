/*
 * hdf5_virtual: where a virtual dataset has its elements from, looked at before libhdf5
 * gets it.
 *
 *	in a global heap: 0 | n | each: file NUL dataset NUL selection selection |
 *checksum selection: kind, u32 | version, u32 | ... points: 4 | length, u32 | rank, u32 |
 *n, u32 | coordinates, u32 each blocks: 4 | length, u32 | rank, u32 | n, u32 | corners,
 *u32 each regular: flags 1 | length, u32 | rank, u32 | start, stride, count, block, u64
 *each
 *
 * libhdf5 1.10 has room for 32 dimensions, whatever the rank, and for as many entries as
 * it is told.
 */
#include "decoders/base/error.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHECKSUM_LEN 4
#define ENTRY_MIN 20 /* two names, two selections */

enum selection { NONE, POINTS, BLOCKS, ALL };

static int unsound(struct error *err)
{
	return error_set(err, EIO, "a virtual dataset whose parts do not add up");
}

/* Bytes of a selection, whose head is at `p`; false: it is none. libhdf5 puts blocks
 * together one by one, which takes their square. */
static bool measure(
	struct hdf5_image *image, const unsigned char *p, size_t left, uint64_t *len)
{
	uint64_t kind = hdf5_little(p, 4), version = hdf5_little(p + 4, 4), rank, n;
	bool regular = kind == BLOCKS && version == 2;
	size_t at = regular ? 13 : 16;

	*len = 16;
	if (kind == NONE || kind == ALL)
		return version == 1;
	if ((kind != POINTS && kind != BLOCKS) || left < at + 8 ||
		(regular ? p[8] != 1 : version != 1))
		return false;
	rank = hdf5_little(p + at, 4);
	if (rank == 0 || rank > H5S_MAX_RANK)
		return false;
	if (regular) {
		*len = at + 4 + 32 * rank;
		return true;
	}
	n = hdf5_little(p + at + 4, 4);
	*len = at + 8 + (kind == POINTS ? 4 : 8) * rank * n;
	return n <= left && (kind == POINTS || hdf5_step(image, n * n));
}

/* Of the one, and of the other. */
static bool skip_selections(
	struct hdf5_image *image, const unsigned char **p, const unsigned char *end)
{
	for (unsigned i = 0; i < 2; i++) {
		size_t left = (size_t)(end - *p);
		uint64_t len;

		if (left < 16 || !measure(image, *p, left, &len) || len > left)
			return false;
		*p += len;
	}
	return true;
}

/* That of a file, and that of a dataset in it. */
static bool skip_names(const unsigned char **p, const unsigned char *end)
{
	for (unsigned i = 0; i < 2; i++) {
		const unsigned char *nul = memchr(*p, '\0', (size_t)(end - *p));

		if (nul == NULL)
			return false;
		*p = nul + 1;
	}
	return true;
}

static bool adds_up(struct hdf5_image *image, const unsigned char *p, uint64_t size)
{
	const unsigned char *end = p + size - CHECKSUM_LEN;
	size_t width = image->length_size;
	uint64_t n;

	if (size < 1 + width + CHECKSUM_LEN || p[0] != 0)
		return false;
	n = hdf5_little(p + 1, width);
	if (n == 0 || n > size / ENTRY_MIN)
		return false;
	for (p += 1 + width; n > 0; n--)
		if (!skip_names(&p, end) || !skip_selections(image, &p, end))
			return false;
	return p == end;
}

int hdf5_check_virtual(
	struct hdf5_image *image, const struct hdf5_message *m, struct error *err)
{
	size_t width = image->address_size;
	unsigned char *object = NULL;
	uint64_t size, address;
	int rc;

	if (m->len < 6 + width)
		return unsound(err);
	address = hdf5_little(m->bytes + 2, width);
	if (address == UINT64_MAX >> (64 - 8 * width))
		return 0;
	rc = hdf5_heap_object(image, address, hdf5_little(m->bytes + 2 + width, 4),
		&object, &size, err);
	if (rc == 0 && !adds_up(image, object, size))
		rc = unsound(err);
	free(object);
	return rc;
}
