/*
 * hdf5_described: what an object header says of a dataset's elements, looked at before
 * libhdf5 gets it.
 *
 *	fill value: 3 | flags | [size, u32 | value], or 1, 2 | 2 | defined | [the same]
 *	filters: 1 | n | [6] | each: id, u16 | length of its name | flags | n | name |
 *values external files: 1 | 3 | room, u16 | n, u16 | heap | each: name in the heap | 2
 *sizes chunks: 3 | 2 | rank | index | dimensions, u32; or 1, 2 | rank | 2 | 5 | the same
 *	virtual: 4 | 3 | heap | object, u32
 *
 * libhdf5 1.10 copies a fill value of any size, takes names for terminated, fills more
 * room than it took, divides by a chunk's dimensions, and gives selections of any rank
 * room for 32 dimensions. So each message has to add up, and those that speak of the
 * size of an element have to agree.
 */
#include "decoders/base/error.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RANK_MAX 33 /* of a chunk, with the bytes of an element */
#define CHUNKED 2
#define VIRTUAL 3
#define HAS_VALUE 0x20	/* flags of a fill value of version 3 */
#define FILTER_OURS 256 /* identifiers below: without a name, from version 2 on */
#define FILTERS_1 8	/* bytes before the filters, of version 1 */
#define FILTERS_2 2

/* What an object header says of the size of an element; 0: nothing. */
struct described {
	struct hdf5_image *image;
	uint64_t type, fill, chunk;
};

static int unsound(struct error *err, const char *what)
{
	return error_set(err, EIO, "%s", what);
}

/* Size and value at `at`, the size being -1 or 0 for none. */
static int take_value(
	struct described *d, const struct hdf5_message *m, size_t at, struct error *err)
{
	if (m->len < at + 4)
		return unsound(err, "a fill value that is cut off");
	d->fill = hdf5_little(m->bytes + at, 4);
	if (m->bytes[0] < 3 && d->fill > INT32_MAX)
		d->fill = 0;
	return d->fill <= m->len - at - 4
		       ? 0
		       : unsound(err, "a fill value of more bytes than it has");
}

static int take_fill(struct described *d, const struct hdf5_message *m, struct error *err)
{
	if (m->len < 2 || (m->bytes[0] < 3 && m->len < 4))
		return unsound(err, "a fill value that is cut off");
	if (m->bytes[0] >= 3)
		return (m->bytes[1] & HAS_VALUE) == 0 ? 0 : take_value(d, m, 2, err);
	return m->bytes[3] == 0 ? 0 : take_value(d, m, 4, err);
}

/* Bytes of the filter at `p`; 0: it is cut off. */
static size_t filter_bytes(const unsigned char *p, size_t left, unsigned version)
{
	bool named = left >= 2 && (version == 1 || hdf5_little(p, 2) >= FILTER_OURS);
	size_t head = named ? 8 : 6, name, values;

	if (left < head)
		return 0;
	name = named ? hdf5_little(p + 2, 2) : 0;
	values = 4 * hdf5_little(p + head - 2, 2);
	if (version == 1 && values % 8 != 0)
		values += 4;
	if (left - head < name || left - head - name < values ||
		(name > 0 && memchr(p + head, '\0', name) == NULL))
		return 0;
	return head + name + values;
}

static int check_filters(const struct hdf5_message *m, struct error *err)
{
	size_t at, n;

	if (m->len < 2)
		return unsound(err, "filters that are cut off");
	at = m->bytes[0] == 1 ? FILTERS_1 : FILTERS_2;
	for (unsigned i = 0; i < m->bytes[1]; i++, at += n) {
		n = at > m->len ? 0
				: filter_bytes(m->bytes + at, m->len - at, m->bytes[0]);
		if (n == 0)
			return unsound(err, "filters that are cut off");
	}
	return 0;
}

static int check_files(
	struct described *d, const struct hdf5_message *m, struct error *err)
{
	size_t width = d->image->address_size, each = 3 * d->image->length_size;
	uint64_t n;

	if (m->len < 8 + width)
		return unsound(err, "external files that are cut off");
	n = hdf5_little(m->bytes + 6, 2);
	if (n > hdf5_little(m->bytes + 4, 2) || n * each > m->len - 8 - width)
		return unsound(err, "external files that are cut off");
	for (const unsigned char *p = m->bytes + 8 + width; n > 0; n--, p += each)
		if (!hdf5_local_heap_names(d->image, hdf5_little(m->bytes + 8, width),
			    hdf5_little(p, d->image->length_size)))
			return unsound(err, "external files without a name");
	return 0;
}

/* `rank` dimensions, the last the bytes of an element. */
static int take_chunk(struct described *d, const unsigned char *dims, unsigned rank,
	size_t width, struct error *err)
{
	for (unsigned i = 0; i < rank; i++) {
		d->chunk = hdf5_little(dims + i * width, width);
		if (d->chunk == 0)
			return unsound(err, "chunks of no elements");
	}
	return 0;
}

static int take_layout(
	struct described *d, const struct hdf5_message *m, struct error *err)
{
	const unsigned char *p = m->bytes;
	size_t at, width = 4, a = d->image->address_size;
	unsigned rank;

	if (m->len < 5)
		return unsound(err, "a layout that is cut off");
	if (p[0] > 2 && p[1] == VIRTUAL)
		return hdf5_check_virtual(d->image, m, err);
	if (p[p[0] < 3 ? 2 : 1] != CHUNKED)
		return p[0] > 2 || p[2] < CHUNKED ? 0 : unsound(err, "a layout unknown");
	rank = p[p[0] < 3 ? 1 : p[0] == 3 ? 2 : 3];
	at = p[0] < 3 ? 8 + a : p[0] == 3 ? 3 + a : 5;
	if (p[0] > 3)
		width = p[4];
	if (rank < 2 || rank > RANK_MAX || width == 0 || width > 8 ||
		m->len < at + rank * width)
		return unsound(err, "chunks whose dimensions are cut off");
	return take_chunk(d, p + at, rank, width, err);
}

static int take_type(struct described *d, const struct hdf5_message *m, struct error *err)
{
	struct hdf5_message named = *m;
	int rc = 0;

	if ((m->flags & HDF5_MESSAGE_SHARED) != 0)
		rc = hdf5_shared_type(d->image, m->bytes, m->len, &named, err);
	if (rc == 0 && named.len >= 8)
		d->type = hdf5_little(named.bytes + 4, 4);
	if (rc == 0 && named.bytes != m->bytes)
		free((void *)named.bytes);
	return rc;
}

static int take_message(void *arg, const struct hdf5_message *m, struct error *err)
{
	struct described *d = arg;
	bool shared = (m->flags & HDF5_MESSAGE_SHARED) != 0;

	switch (m->type) {
	case HDF5_MESSAGE_TYPE: return take_type(d, m, err);
	case HDF5_MESSAGE_FILL:
	case HDF5_MESSAGE_FILTERS:
	case HDF5_MESSAGE_FILES:
	case HDF5_MESSAGE_LAYOUT: break;
	default: return 0;
	}
	if (shared)
		return error_set(
			err, EOPNOTSUPP, "messages that objects share are not supported");
	switch (m->type) {
	case HDF5_MESSAGE_FILL: return take_fill(d, m, err);
	case HDF5_MESSAGE_FILTERS: return check_filters(m, err);
	case HDF5_MESSAGE_FILES: return check_files(d, m, err);
	default: return take_layout(d, m, err);
	}
}

int hdf5_check_described(struct hdf5_image *image, uint64_t address, struct error *err)
{
	struct described d = {.image = image};
	int rc = hdf5_messages(image, address, take_message, &d, err);

	if (rc < 0)
		return rc;
	if (d.fill != 0 && d.fill != d.type)
		return unsound(err, "a fill value of another size than an element");
	if (d.chunk != 0 && d.chunk != d.type)
		return unsound(err, "chunks of elements of another size");
	return 0;
}
