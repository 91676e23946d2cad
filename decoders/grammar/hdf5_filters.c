/*
 * hdf5_filters: what was done to a chunk before it was stored, undone without libhdf5 and
 * so outside its lock; and h5py's LZF, which libhdf5 has to be given.
 *
 * A chunk is bytes of a known number. Whatever its filters claim, they decode into
 * buffers of about that size, and what does not end up with exactly that many bytes is
 * damaged.
 */
#include "decoders/base/error.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <libdeflate.h>
#include <lzf.h>
#include <stdlib.h>
#include <string.h>

#define CHECKSUM_LEN 4
/* Filters may have put a checksum behind what others then compressed. */
#define SLACK (CHECKSUM_LEN * HDF5_FILTERS_MAX)
/* Words that may be added before a sum of 32 bits needs folding. */
#define FLETCHER_RUN 360

/* What a chunk is while it is being decoded: two buffers that take turns. */
struct work {
	unsigned char *bytes, *other;
	size_t len, cap;
};

static uint32_t fold(uint32_t sum)
{
	return (sum & 0xffff) + (sum >> 16);
}

/* Fletcher's checksum over big-endian words of 16 bits, an odd last byte being the upper
 * half of one. */
static uint32_t fletcher32(const unsigned char *bytes, size_t len)
{
	uint32_t a = 0, b = 0;
	size_t n = 0;

	for (; len > 0; len -= len < 2 ? 1 : 2, bytes += 2) {
		a += (uint32_t)bytes[0] << 8 | (len > 1 ? bytes[1] : 0);
		b += a;
		if (++n % FLETCHER_RUN == 0) {
			a = fold(a);
			b = fold(b);
		}
	}
	a = fold(fold(a));
	b = fold(fold(b));
	return b << 16 | a;
}

/* Files of old versions on little-endian machines have the halves' bytes swapped. */
static uint32_t fletcher32_old(uint32_t sum)
{
	return (sum & 0x00ff00ff) << 8 | (sum & 0xff00ff00) >> 8;
}

static int undo_fletcher(struct work *work, struct error *err)
{
	const unsigned char *p;
	uint32_t stored, sum;

	if (work->len < CHECKSUM_LEN)
		return error_set(err, EIO, "chunk: expected a checksum, found %zu bytes",
			work->len);
	work->len -= CHECKSUM_LEN;
	p = work->bytes + work->len;
	stored = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
	sum = fletcher32(work->bytes, work->len);
	if (stored != sum && stored != fletcher32_old(sum))
		return error_set(err, EIO,
			"chunk: expected the checksum %08x, found %08x", stored, sum);
	return 0;
}

static void turn(struct work *work, size_t len)
{
	unsigned char *bytes = work->bytes;

	work->bytes = work->other;
	work->other = bytes;
	work->len = len;
}

/* Byte i of all elements stands together: put back into elements of `size`. What does not
 * fill an element stays at the end. */
static int undo_shuffle(struct work *work, size_t size, struct error *err)
{
	const unsigned char *from = work->bytes;
	size_t n, i, j;

	if (size <= 1 || work->len < size)
		return 0;
	if (work->len > work->cap)
		return error_set(err, EIO, "chunk: %zu bytes too many to unshuffle",
			work->len - work->cap);
	n = work->len / size;
	for (i = 0; i < size; i++)
		for (j = 0; j < n; j++)
			work->other[j * size + i] = *from++;
	memcpy(work->other + n * size, from, work->len - n * size);
	turn(work, work->len);
	return 0;
}

static int undo_deflate(struct work *work, struct error *err)
{
	struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	enum libdeflate_result result;
	size_t len;

	if (d == NULL)
		return error_set(err, ENOMEM, "not enough memory to decompress");
	result = libdeflate_zlib_decompress(
		d, work->bytes, work->len, work->other, work->cap, &len);
	libdeflate_free_decompressor(d);
	if (result != LIBDEFLATE_SUCCESS)
		return error_set(err, EIO, "chunk: %s",
			result == LIBDEFLATE_INSUFFICIENT_SPACE
				? "more compressed bytes than it has room for"
				: "compressed bytes are damaged");
	turn(work, len);
	return 0;
}

static int undo_lzf(struct work *work, struct error *err)
{
	unsigned len;

	if (work->len > UINT32_MAX || work->cap > UINT32_MAX)
		return error_set(err, EIO, "chunk: too large for lzf");
	len = lzf_decompress(
		work->bytes, (unsigned)work->len, work->other, (unsigned)work->cap);
	if (len == 0)
		return error_set(err, EIO, "chunk: compressed bytes are damaged (lzf)");
	turn(work, len);
	return 0;
}

static int undo(struct work *work, const struct hdf5_filter *filter, struct error *err)
{
	switch (filter->id) {
	case H5Z_FILTER_DEFLATE: return undo_deflate(work, err);
	case H5Z_FILTER_SHUFFLE:
		return undo_shuffle(
			work, filter->n_values > 0 ? filter->values[0] : 1, err);
	case H5Z_FILTER_FLETCHER32: return undo_fletcher(work, err);
	case HDF5_LZF: return undo_lzf(work, err);
	default:
		return error_set(
			err, EOPNOTSUPP, "filter %d is not supported", filter->id);
	}
}

int hdf5_unfilter(const struct hdf5_chunking *chunking, unsigned mask, unsigned char *raw,
	size_t len, unsigned char *bytes, struct error *err)
{
	size_t cap = chunking->bytes + SLACK, i;
	unsigned char *buffers = malloc(2 * cap);
	struct work work = {raw, buffers, len, cap};
	int rc = 0;

	if (buffers == NULL)
		return error_set(err, ENOMEM, "not enough memory to decode a chunk");
	for (i = chunking->n_filters; rc == 0 && i-- > 0;) {
		if ((mask & 1u << i) != 0)
			continue;
		rc = undo(&work, &chunking->filters[i], err);
		/* The raw bytes may be fewer than a buffer has to hold. */
		if (work.other == raw)
			work.other = buffers + cap;
	}
	if (rc == 0 && work.len != chunking->bytes)
		rc = error_set(err, EIO, "chunk: expected %zu decoded bytes, found %zu",
			chunking->bytes, work.len);
	if (rc == 0)
		memcpy(bytes, work.bytes, work.len);
	free(buffers);
	return rc;
}

/* LZF as h5py writes it: its values are its revision, lzf's version and the bytes of a
 * chunk. */
static herr_t lzf_set_local(hid_t dcpl, hid_t type, hid_t space)
{
	unsigned values[3] = {4, LZF_VERSION, 0}, flags;
	size_t n = 3, size = H5Tget_size(type);
	hsize_t chunk[H5S_MAX_RANK];
	int rank = H5Pget_chunk(dcpl, H5S_MAX_RANK, chunk), i;

	(void)space;
	if (rank < 0 || H5Pget_filter_by_id2(
				dcpl, HDF5_LZF, &flags, &n, values, 0, NULL, NULL) < 0)
		return -1;
	for (i = 0; i < rank; i++)
		size *= chunk[i];
	values[0] = 4;
	values[1] = LZF_VERSION;
	values[2] = (unsigned)size;
	return H5Pmodify_filter(dcpl, HDF5_LZF, flags, 3, values);
}

/* One direction of it into a fresh buffer of `cap` bytes; 0: it does not fit. */
static size_t lzf_turn(bool decode, void **buf, size_t *size, size_t len, size_t cap)
{
	void *out = malloc(cap + 1);
	unsigned n;

	if (out == NULL)
		return 0;
	if (decode)
		n = lzf_decompress(*buf, (unsigned)len, out, (unsigned)cap);
	else
		n = lzf_compress(*buf, (unsigned)len, out, (unsigned)cap);
	if (n == 0) {
		free(out);
		return 0;
	}
	(void)H5free_memory(*buf);
	*buf = out;
	*size = cap + 1;
	return n;
}

static size_t lzf_filter(unsigned flags, size_t n_values, const unsigned *values,
	size_t len, size_t *size, void **buf)
{
	size_t chunk = n_values > 2 ? values[2] : 0;

	if (len > UINT32_MAX || len < 2 || chunk > HDF5_CHUNK_MAX)
		return 0;
	if ((flags & H5Z_FLAG_REVERSE) == 0)
		return lzf_turn(false, buf, size, len, len - 1);
	return lzf_turn(true, buf, size, len, chunk + SLACK);
}

static const H5Z_class2_t lzf_class = {
	.version = H5Z_CLASS_T_VERS,
	.id = HDF5_LZF,
	.encoder_present = 1,
	.decoder_present = 1,
	.name = "lzf",
	.set_local = lzf_set_local,
	.filter = lzf_filter,
};

void hdf5_lzf_register_locked(void)
{
	(void)H5Zregister(&lzf_class);
}
