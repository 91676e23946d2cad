/*
 * hdf5_references: elements of variable length, followed before libhdf5 follows them.
 *
 * Such an element is a reference into a global heap. libhdf5 1.10 believes it: which
 * object, and how long it is. So the stored elements of a dataset are read by ourselves
 * first, wherever they are: in one piece, in chunks, or in the object header.
 */
#include "decoders/base/error.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (1u << 16) /* bytes of elements that are read at once */

/* A dataset being looked at. */
struct stored {
	struct hdf5 *hdf5;
	hid_t dataset;
	uint64_t n; /* elements */
	size_t size;
	struct hdf5_message type, layout; /* copies; `bytes` are owned */
};

static void stored_done(struct stored *stored)
{
	free((void *)stored->type.bytes);
	free((void *)stored->layout.bytes);
}

static int keep(struct hdf5_message *to, const struct hdf5_message *m, struct error *err)
{
	unsigned char *copy = malloc(m->len + 1);

	if (copy == NULL)
		return error_set(err, ENOMEM, "not enough memory for a datatype");
	memcpy(copy, m->bytes, m->len);
	free((void *)to->bytes);
	*to = *m;
	to->bytes = copy;
	return 0;
}

static int keep_message(void *arg, const struct hdf5_message *m, struct error *err)
{
	struct stored *stored = arg;

	if (m->type == HDF5_MESSAGE_TYPE)
		return keep(&stored->type, m, err);
	return m->type == HDF5_MESSAGE_LAYOUT ? keep(&stored->layout, m, err) : 0;
}

/* A named type is in the header of an object of its own. */
static int follow_type(struct stored *stored, struct error *err)
{
	struct hdf5_message named;
	int rc;

	if (stored->type.bytes == NULL || (stored->type.flags & HDF5_MESSAGE_SHARED) == 0)
		return 0;
	rc = hdf5_shared_type(
		&stored->hdf5->image, stored->type.bytes, stored->type.len, &named, err);
	if (rc < 0)
		return rc;
	free((void *)stored->type.bytes);
	stored->type = named;
	return 0;
}

static int read_header(struct stored *stored, uint64_t address, struct error *err)
{
	int rc = hdf5_messages(&stored->hdf5->image, address, keep_message, stored, err);

	if (rc == 0)
		rc = follow_type(stored, err);
	if (rc < 0)
		return rc;
	if (stored->type.len < 8)
		return error_set(err, EIO, "expected a datatype, found none");
	stored->size = hdf5_little(stored->type.bytes + 4, 4);
	return stored->size > 0 && stored->size <= PIECE
		       ? 0
		       : error_set(err, EOPNOTSUPP,
				 "elements of %zu bytes of variable length are not "
				 "supported",
				 stored->size);
}

static int check_linear(struct stored *stored, struct error *err)
{
	uint64_t off = H5Dget_offset(stored->dataset), step = PIECE / stored->size;
	struct hdf5_image *image = &stored->hdf5->image;
	unsigned char *bytes = malloc(PIECE);
	int rc = 0;

	if (bytes == NULL)
		return error_set(err, ENOMEM, "not enough memory for elements");
	for (uint64_t i = 0; rc == 0 && i < stored->n; i += step) {
		step = step < stored->n - i ? step : stored->n - i;
		rc = hdf5_image_read(image, off, bytes, step * stored->size, err);
		if (rc == 0)
			rc = hdf5_check_elements(image, &stored->type, bytes, step, err);
		off += step * stored->size;
	}
	free(bytes);
	return rc;
}

/* version 3 or 4, class, length, u16, elements */
static int check_compact(struct stored *stored, struct error *err)
{
	const struct hdf5_message *m = &stored->layout;

	if (m->len < 4 || m->bytes[0] < 3 || m->bytes[1] != 0 ||
		(m->len - 4) / stored->size < stored->n)
		return error_set(err, EIO, "expected %zu elements in the object header",
			(size_t)stored->n);
	return hdf5_check_elements(
		&stored->hdf5->image, &stored->type, m->bytes + 4, stored->n, err);
}

/* The origin of the next chunk in C order; false behind the last. */
static bool next_chunk(const struct hdf5_chunking *c, hsize_t *origin)
{
	for (unsigned i = c->rank; i-- > 0;) {
		if (c->dims[i] - origin[i] > c->chunk[i]) {
			origin[i] += c->chunk[i];
			return true;
		}
		origin[i] = 0;
	}
	return false;
}

static int check_each_chunk(
	struct stored *stored, const struct hdf5_chunking *c, struct error *err)
{
	hsize_t origin[H5S_MAX_RANK] = {0};
	unsigned char *bytes = malloc(c->bytes);
	int rc;

	if (bytes == NULL)
		return error_set(err, ENOMEM, "not enough memory for a chunk");
	do {
		rc = hdf5_chunk_stored_locked(
			stored->hdf5, stored->dataset, c, origin, bytes, err);
		if (rc > 0)
			rc = hdf5_check_elements(&stored->hdf5->image, &stored->type,
				bytes, c->bytes / stored->size, err);
	} while (rc == 0 && next_chunk(c, origin));
	free(bytes);
	return rc;
}

static int check_chunks(struct stored *stored, hid_t dcpl, struct error *err)
{
	struct hdf5_form form = {.size = stored->size};
	struct hdf5_chunking c = {0};
	AUTO_HID space = H5Dget_space(stored->dataset);
	int rc = hdf5_chunking_locked(dcpl, &form, &c, err);

	if (rc < 0)
		return rc;
	if (c.library || H5Sget_simple_extent_dims(space, c.dims, NULL) != (int)c.rank)
		return error_set(err, EOPNOTSUPP,
			"elements of variable length behind this filter are not "
			"supported");
	return check_each_chunk(stored, &c, err);
}

static int check_stored(struct stored *stored, uint64_t address, struct error *err)
{
	AUTO_HID dcpl = H5Dget_create_plist(stored->dataset);
	int rc = dcpl < 0 ? hdf5_fail_locked(err, EIO, "dataset cannot be read")
			  : read_header(stored, address, err);

	if (rc < 0)
		return rc;
	switch (H5Pget_layout(dcpl)) {
	case H5D_CONTIGUOUS:
		return H5Dget_storage_size(stored->dataset) > 0
			       ? check_linear(stored, err)
			       : 0;
	case H5D_COMPACT: return check_compact(stored, err);
	case H5D_CHUNKED: return check_chunks(stored, dcpl, err);
	default: return 0;
	}
}

/* Once is enough, as the file does not change while it is open. What is refused is asked
 * for again. */
int hdf5_check_values_locked(
	struct hdf5 *hdf5, hid_t dataset, uint64_t n, struct error *err)
{
	__attribute__((cleanup(stored_done))) struct stored stored = {
		.hdf5 = hdf5, .dataset = dataset, .n = n};
	uint64_t looked = hdf5->image.looked;
	H5O_info_t info;
	uint32_t object;
	int rc;

	if (H5Oget_info2(dataset, &info, H5O_INFO_BASIC) < 0)
		return hdf5_fail_locked(err, EIO, "dataset cannot be read");
	object = hdf5_at_address(hdf5, info.addr);
	/* What an edit has made itself is not in the file yet. */
	if (n == 0 || object == 0 || hdf5->objects[object].sound)
		return 0;
	rc = check_stored(&stored, info.addr, err);
	hdf5->objects[object].sound = rc == 0;
	if (rc < 0)
		hdf5_steps_back(&hdf5->image, looked);
	return rc;
}
