/*
 * hdf5_write: elements on their way into a file.
 *
 * Where they lie contiguous they are written past libhdf5, which only says where: as they
 * are by the plan, or swapped into the image. Everything else goes through libhdf5 a box
 * at a time: a chunk, or about a mebibyte. A box that holds what is there already is not
 * written, so what a user saves unchanged is no edit.
 */
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BOX_BYTES (1u << 20)
#define COPY_STEP (256u << 10)
#define CHUNKS_MAX (UINT64_C(1) << 32) /* in one dataset that is written */

void hdf5_boxes(unsigned rank, const hsize_t *dims, size_t size, hsize_t *box)
{
	hsize_t room = size < BOX_BYTES ? BOX_BYTES / size : 1;
	unsigned i = rank;

	while (i-- > 0) {
		box[i] = dims[i] < room ? dims[i] : room;
		box[i] = box[i] == 0 ? 1 : box[i];
		room /= box[i];
		room = room == 0 ? 1 : room;
	}
}

/* Copies what somebody else computes into the image, so that a plan never has to ask
 * libhdf5 while libhdf5 reads the plan. */
static int copy_into(
	struct hdf5_edit *edit, uint64_t off, struct blob *blob, struct error *err)
{
	uint64_t at, n, size = blob_size(blob);
	char *buf = malloc(COPY_STEP);
	int rc = buf == NULL ? error_set(err, ENOMEM, "not enough memory to copy") : 0;

	for (at = 0; rc == 0 && at < size; at += n) {
		n = size - at < COPY_STEP ? size - at : COPY_STEP;
		rc = blob_read_all(blob, at, buf, n, err);
		if (rc == 0)
			rc = hdf5_image_write(&edit->image, off + at, buf, n, err);
	}
	free(buf);
	return rc;
}

static int write_at(
	struct hdf5_edit *edit, uint64_t off, struct blob *blob, struct error *err)
{
	struct blob *base = blob_base(blob);

	if (base != NULL && blob_priv(base, &hdf5_data_ops) != NULL)
		return copy_into(edit, off, blob, err);
	return hdf5_edit_direct(edit, off, blob, err);
}

static haddr_t offset_of(hid_t dataset)
{
	AUTO_LOCK;

	return H5Dget_offset(dataset);
}

int hdf5_write_new(
	struct hdf5_edit *edit, hid_t dataset, struct blob *content, struct error *err)
{
	haddr_t off = offset_of(dataset);

	if (blob_size(content) == 0)
		return 0;
	if (off == HADDR_UNDEF)
		return error_set(err, EIO, "a new dataset got no room");
	return write_at(edit, off, content, err);
}

/* --- boxes --- */

/* One box: its place, and what of it lies in the dataset. */
struct box {
	hsize_t origin[H5S_MAX_RANK], count[H5S_MAX_RANK];
	size_t bytes;
};

static uint64_t count_boxes(const struct hdf5_target *t)
{
	uint64_t n = 1;
	unsigned i;

	for (i = 0; i < t->rank; i++)
		if (t->dims[i] == 0 ||
			__builtin_mul_overflow(n, (t->dims[i] - 1) / t->box[i] + 1, &n))
			return t->dims[i] == 0 ? 0 : UINT64_MAX;
	return n;
}

static void set_box(const struct hdf5_target *t, uint64_t number, struct box *box)
{
	unsigned i = t->rank;
	uint64_t n;

	box->bytes = t->form->size;
	while (i-- > 0) {
		n = (t->dims[i] - 1) / t->box[i] + 1;
		box->origin[i] = number % n * t->box[i];
		number /= n;
		box->count[i] = t->dims[i] - box->origin[i];
		if (box->count[i] > t->box[i])
			box->count[i] = t->box[i];
		box->bytes *= box->count[i];
	}
}

/* Where the box's run number `index` begins in the blob. A run spans dimension `inner`
 * and those behind it. */
static uint64_t run_at(const struct hdf5_target *t, const struct box *box, unsigned inner,
	uint64_t index)
{
	uint64_t at = 0, step = t->form->size;

	for (unsigned i = t->rank; i-- > 0; step *= t->dims[i]) {
		at += box->origin[i] * step;
		if (i < inner) {
			at += index % box->count[i] * step;
			index /= box->count[i];
		}
	}
	return at;
}

/* Reads the box's elements out of the blob, row by row; rows that follow each other in
 * both are one. */
static int gather(const struct hdf5_target *t, const struct box *box, struct blob *blob,
	unsigned char *bytes, struct error *err)
{
	size_t run = t->form->size;
	unsigned inner = t->rank;
	int rc = 0;

	while (inner > 0) {
		run *= box->count[--inner];
		if (box->count[inner] != t->dims[inner])
			break;
	}
	for (size_t done = 0; rc == 0 && done < box->bytes; done += run)
		rc = blob_read_all(
			blob, run_at(t, box, inner, done / run), bytes + done, run, err);
	return rc;
}

/* Writes the box unless that is what is there. `bytes` has room for both. */
static int write_box_locked(const struct hdf5_target *t, const struct box *box,
	unsigned char *bytes, struct error *err)
{
	AUTO_HID file = H5Dget_space(t->dataset);
	AUTO_HID memory = t->rank == 0 ? H5Screate(H5S_SCALAR)
				       : H5Screate_simple((int)t->rank, box->count, NULL);
	unsigned char *old = bytes + box->bytes;

	if (t->rank > 0 && H5Sselect_hyperslab(file, H5S_SELECT_SET, box->origin, NULL,
				   box->count, NULL) < 0)
		return hdf5_fail_locked(err, EIO, "elements cannot be selected");
	if (H5Dread(t->dataset, t->type, memory, file, H5P_DEFAULT, old) >= 0 &&
		memcmp(old, bytes, box->bytes) == 0)
		return 0;
	if (H5Dwrite(t->dataset, t->type, memory, file, H5P_DEFAULT, bytes) < 0) {
		if (t->edit->image.err.text[0] != '\0')
			return error_set(err, EIO, "%s", t->edit->image.err.text);
		return hdf5_fail_locked(err, EIO, "elements cannot be written");
	}
	return 0;
}

static int write_box(const struct hdf5_target *t, uint64_t number, struct blob *blob,
	struct error *err)
{
	struct box box;
	unsigned char *bytes;
	int rc;

	set_box(t, number, &box);
	bytes = malloc(2 * box.bytes);
	if (bytes == NULL)
		return error_set(
			err, ENOMEM, "not enough memory for %zu bytes", 2 * box.bytes);
	rc = gather(t, &box, blob, bytes, err);
	if (rc == 0) {
		AUTO_LOCK;

		hdf5_swap_back(t->form, bytes, box.bytes / t->form->size);
		rc = write_box_locked(t, &box, bytes, err);
	}
	free(bytes);
	return rc;
}

/* Which boxes a range of the logical array touches: bits. The first dimension in which
 * its ends differ has all boxes between them, those below have all. */
static void mark(
	const struct hdf5_target *t, uint64_t begin, uint64_t end, unsigned char *touched)
{
	uint64_t first = begin / t->form->size, last = (end - 1) / t->form->size;
	hsize_t from[H5S_MAX_RANK], to[H5S_MAX_RANK], at[H5S_MAX_RANK];
	uint64_t number;
	bool differ = false;
	unsigned i = t->rank;

	while (i-- > 0) {
		from[i] = first % t->dims[i];
		to[i] = last % t->dims[i];
		first /= t->dims[i];
		last /= t->dims[i];
	}
	for (i = 0; i < t->rank; i++) {
		from[i] = differ ? 0 : from[i] / t->box[i];
		to[i] = (differ ? t->dims[i] - 1 : to[i]) / t->box[i];
		differ = differ || from[i] != to[i];
		at[i] = from[i];
	}
	do {
		number = 0;
		for (i = 0; i < t->rank; i++)
			number = number * ((t->dims[i] - 1) / t->box[i] + 1) + at[i];
		touched[number / 8] |= (unsigned char)(1u << number % 8);
		for (i = t->rank; i > 0 && at[i - 1] == to[i - 1]; i--)
			at[i - 1] = from[i - 1];
		if (i > 0)
			at[i - 1]++;
	} while (i > 0);
}

static void mark_written(
	const struct hdf5_target *t, struct blob *blob, unsigned char *touched)
{
	uint64_t begin, end = 0;

	while (blob_next_written(blob, end, &begin, &end))
		mark(t, begin, end, touched);
}

static int write_touched(
	struct hdf5_target *target, struct blob *blob, uint64_t n, struct error *err)
{
	unsigned char *touched;
	uint64_t i;
	int rc = 0;

	if (n > CHUNKS_MAX)
		return error_set(err, EOPNOTSUPP,
			"a dataset of more than %" PRIu64 " chunks cannot be written",
			CHUNKS_MAX);
	touched = calloc(n / 8 + 1, 1);
	if (touched == NULL)
		return error_set(err, ENOMEM, "not enough memory for an edit");
	mark_written(target, blob, touched);
	for (i = 0; rc == 0 && i < n; i++) {
		if (touched[i / 8] == 0)
			i |= 7;
		else if ((touched[i / 8] & 1u << i % 8) != 0)
			rc = write_box(target, i, blob, err);
	}
	free(touched);
	return rc;
}

/* Whether a filter keeps fewer digits, or bits, than the elements have. */
static bool rounds(const struct hdf5_target *t)
{
	AUTO_LOCK;
	AUTO_HID dcpl = H5Dget_create_plist(t->dataset);
	unsigned flags, config, values[20] = {0};
	size_t n = sizeof values / sizeof *values;

	return H5Pget_filter_by_id2(dcpl, H5Z_FILTER_SCALEOFFSET, &flags, &n, values, 0,
		       NULL, &config) >= 0 &&
	       (values[0] != H5Z_SO_INT || values[1] != H5Z_SO_INT_MINBITS_DEFAULT);
}

int hdf5_write_boxes(
	struct hdf5_target *target, struct blob *blob, bool own, struct error *err)
{
	uint64_t n = blob_size(blob) == 0 ? 0 : count_boxes(target), i;
	int rc = 0;

	if (rounds(target))
		return error_set(err, EOPNOTSUPP,
			"its filter scale-offset rounds elements, so that they cannot "
			"be stored as they are: h5repack takes it away");
	if (own)
		return write_touched(target, blob, n, err);
	for (i = 0; rc == 0 && i < n; i++)
		rc = write_box(target, i, blob, err);
	return rc;
}

/* --- contents of datasets that are there --- */

/* The written ranges of numbers in another byte order: swapped, in place. */
static int write_swapped(struct hdf5_edit *edit, const struct hdf5_data *data,
	struct blob *blob, uint64_t begin, uint64_t end, struct error *err)
{
	size_t size = data->form.size, n, step;
	unsigned char *bytes;
	int rc = 0;

	step = size > COPY_STEP ? size : COPY_STEP / size * size;
	bytes = malloc(step);
	if (bytes == NULL)
		return error_set(err, ENOMEM, "not enough memory to swap bytes");
	for (begin -= begin % size; rc == 0 && begin < end; begin += n) {
		n = end - begin + size - 1;
		n = n / size * size < step ? n / size * size : step;
		rc = blob_read_all(blob, begin, bytes, n, err);
		hdf5_swap_back(&data->form, bytes, n / size);
		if (rc == 0)
			rc = hdf5_image_write(
				&edit->image, data->off + begin, bytes, n, err);
	}
	free(bytes);
	return rc;
}

static int write_linear(struct hdf5_edit *edit, const struct hdf5_data *data,
	struct blob *blob, bool own, struct error *err)
{
	uint64_t begin, end = 0;
	int rc = 0;

	if (data->form.n_swaps == 0)
		return write_at(edit, data->off, blob, err);
	if (!own)
		return write_swapped(edit, data, blob, 0, blob_size(blob), err);
	while (rc == 0 && blob_next_written(blob, end, &begin, &end))
		rc = write_swapped(edit, data, blob, begin, end, err);
	return rc;
}

/* Opens the dataset in the edit's file, with a cache that holds some chunks. */
static int open_target(struct hdf5_target *t, uint32_t object, struct error *err)
{
	AUTO_LOCK;
	AUTO_HID id = hdf5_edit_object_locked(t->edit, object, err);
	AUTO_HID space = 0;

	if (id < 0)
		return (int)id;
	space = H5Dget_space(id);
	t->type = H5Dget_type(id);
	t->rank = (unsigned)H5Sget_simple_extent_dims(space, t->dims, NULL);
	if (t->type < 0 || t->rank > H5S_MAX_RANK)
		return hdf5_fail_locked(err, EIO, "dataset cannot be read");
	t->dataset = id;
	id = 0;
	return 0;
}

static void close_target(struct hdf5_target *t)
{
	AUTO_LOCK;

	hdf5_hid_close(&t->type);
	hdf5_hid_close(&t->dataset);
}

static int write_stored(struct hdf5_edit *edit, const struct hdf5_data *data,
	struct blob *blob, bool own, struct error *err)
{
	struct hdf5_target target = {.edit = edit, .form = &data->form};
	int rc = open_target(&target, data->object, err);

	if (rc == 0 && data->layout == HDF5_CHUNKED)
		memcpy(target.box, data->chunking.chunk, sizeof target.box);
	else if (rc == 0)
		hdf5_boxes(target.rank, target.dims, data->form.size, target.box);
	if (rc == 0)
		rc = hdf5_write_boxes(&target, blob, own, err);
	close_target(&target);
	return rc;
}

static int open_data(
	struct hdf5 *hdf5, uint32_t object, struct hdf5_data **out, struct error *err)
{
	AUTO_LOCK;

	return hdf5_data_open_locked(hdf5, object, out, err);
}

int hdf5_edit_content(
	struct hdf5_edit *edit, uint32_t object, struct blob *content, struct error *err)
{
	const struct hdf5_data *base = NULL;
	struct hdf5_data *data = NULL;
	bool own;
	int rc;

	if (hdf5_object(edit->hdf5, object) == NULL)
		return error_set(err, EINVAL, "no object %" PRIu32, object);
	rc = open_data(edit->hdf5, object, &data, err);
	if (rc == 0 && blob_size(content) != data->bytes)
		rc = error_set(err, EINVAL, "expected %" PRIu64 " bytes, found %" PRIu64,
			data->bytes, blob_size(content));
	if (blob_base(content) != NULL)
		base = blob_priv(blob_base(content), &hdf5_data_ops);
	own = base != NULL && base->hdf5 == edit->hdf5 && base->object == object;
	if (rc == 0 && data->layout == HDF5_LINEAR)
		rc = write_linear(edit, data, content, own, err);
	else if (rc == 0)
		rc = write_stored(edit, data, content, own, err);
	hdf5_data_close(&data);
	return rc;
}
