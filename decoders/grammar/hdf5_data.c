/*
 * hdf5_data: what a dataset is in the tree, and its elements as a blob.
 *
 * A contiguous dataset that needs no swapping is a span of the source and never comes
 * here again. Everything else is computed: numbers swapped on the way, fill values that
 * were never written (which cost nothing, however many), chunks decoded.
 */
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SWAP_STEP (64 * 1024) /* bytes that are swapped at a time */
#define COMPACT_MAX (64 * 1024)

/* A dataset that is being looked at. */
struct look {
	hid_t dataset, type, dcpl, space;
	struct hdf5_form form;
	int rank;
	hsize_t dims[H5S_MAX_RANK];
	bool null;		    /* a null dataspace */
	const struct dtype *tagged; /* what the attribute `dtype` says, or NULL */
};

static void look_done(struct look *look)
{
	hdf5_form_done(&look->form);
	hdf5_hid_close(&look->space);
	hdf5_hid_close(&look->dcpl);
	hdf5_hid_close(&look->type);
	hdf5_hid_close(&look->dataset);
}

#define AUTO_LOOK __attribute__((cleanup(look_done))) struct look

/* The string in an attribute `dtype`, at most size - 1 bytes of it. */
static void read_tag(hid_t dataset, char *name, size_t size)
{
	AUTO_HID attribute = H5Aopen(dataset, "dtype", H5P_DEFAULT);
	AUTO_HID type = H5Aget_type(attribute);
	AUTO_HID space = H5Aget_space(attribute);
	char *variable = NULL;

	if (H5Tget_class(type) != H5T_STRING || H5Sget_simple_extent_npoints(space) != 1)
		return;
	if (H5Tis_variable_str(type) > 0) {
		if (H5Aread(attribute, type, &variable) >= 0 && variable != NULL)
			(void)snprintf(name, size, "%s", variable);
		(void)H5free_memory(variable);
	} else if (H5Tget_size(type) < size) {
		(void)H5Aread(attribute, type, name);
	}
}

/* Opaque elements may be numbers that HDF5 has no type for: Keras says which in an
 * attribute. */
const struct dtype *hdf5_tagged_locked(hid_t dataset, hid_t type)
{
	const struct dtype *dtype;
	char name[32] = "";

	if (H5Tget_class(type) != H5T_OPAQUE || H5Aexists(dataset, "dtype") <= 0)
		return NULL;
	read_tag(dataset, name, sizeof name);
	dtype = dtype_find(name, strlen(name));
	if (dtype == NULL || dtype->class != DTYPE_MINIFLOAT ||
		dtype_size(dtype) != H5Tget_size(type))
		return NULL;
	return dtype;
}

static int look_at_space(struct look *look, struct error *err)
{
	look->space = H5Dget_space(look->dataset);
	if (look->space < 0)
		return hdf5_fail_locked(err, EIO, "shape cannot be read");
	look->null = H5Sget_simple_extent_type(look->space) == H5S_NULL;
	if (look->null)
		return 0;
	look->rank = H5Sget_simple_extent_dims(look->space, look->dims, NULL);
	if (look->rank < 0)
		return hdf5_fail_locked(err, EIO, "shape cannot be read");
	return 0;
}

/* Opens a dataset and reads its type and shape. */
static int look_at(
	struct hdf5 *hdf5, uint32_t object, struct look *look, struct error *err)
{
	int rc;

	look->dataset = H5Oopen_by_addr(hdf5->file, hdf5->objects[object].address);
	if (look->dataset < 0)
		return hdf5_fail_locked(err, EIO, "dataset cannot be opened");
	look->type = H5Dget_type(look->dataset);
	look->dcpl = H5Dget_create_plist(look->dataset);
	if (look->type < 0 || look->dcpl < 0)
		return hdf5_fail_locked(err, EIO, "dataset cannot be read");
	rc = hdf5_form_locked(look->type, &look->form, err);
	if (rc < 0)
		return rc;
	look->tagged = hdf5_tagged_locked(look->dataset, look->type);
	/* A virtual dataset's shape may hang on its sources, which are not opened. */
	return look_at_space(look, err);
}

int hdf5_obstacle_locked(hid_t dataset, hid_t dcpl, struct error *err)
{
	char name[256] = "";
	off_t off;
	hsize_t size;

	(void)dataset;
	if (H5Pget_layout(dcpl) == H5D_VIRTUAL)
		return error_set(err, EOPNOTSUPP,
			"virtual dataset: its elements are parts of other datasets");
	if (H5Pget_layout(dcpl) == H5D_CHUNKED || H5Pget_external_count(dcpl) <= 0)
		return 0;
	(void)H5Pget_external(dcpl, 0, sizeof name - 1, name, &off, &size);
	return error_set(err, EOPNOTSUPP,
		"external storage: the elements are in the file %s, which is never "
		"opened",
		name);
}

/* The tensor's shape: the dataset's, then the array type's. */
static int shape_tensor(const struct look *look, struct tree *tree, struct tensor **out,
	struct error *err)
{
	uint64_t shape[H5S_MAX_RANK + HDF5_RANK_MAX];
	unsigned rank = 0, i;

	for (i = 0; i < (unsigned)look->rank; i++)
		shape[rank++] = look->dims[i];
	for (i = 0; i < look->form.rank; i++)
		shape[rank++] = look->form.shape[i];
	return tree_type(tree, look->tagged != NULL ? look->tagged : look->form.dtype,
		rank, shape, out, err);
}

static int linear_bounds(
	struct hdf5_data *data, const struct look *look, haddr_t off, struct error *err)
{
	uint64_t size = source_size(data->hdf5->image.source);

	if (H5Dget_storage_size(look->dataset) < data->bytes || off > size ||
		data->bytes > size - off)
		return error_set(err, EIO,
			"expected %" PRIu64 " bytes at offset %" PRIu64
			", found a file of %" PRIu64,
			data->bytes, (uint64_t)off, size);
	data->layout = HDF5_LINEAR;
	data->off = off;
	return 0;
}

static int read_fill(struct hdf5_data *data, const struct look *look, struct error *err)
{
	H5D_fill_value_t defined = H5D_FILL_VALUE_UNDEFINED;

	data->memory = calloc(1, data->form.size);
	if (data->memory == NULL)
		return error_set(err, ENOMEM, "not enough memory for a fill value");
	if (H5Pfill_value_defined(look->dcpl, &defined) >= 0 &&
		defined == H5D_FILL_VALUE_USER_DEFINED &&
		H5Pget_fill_value(look->dcpl, look->type, data->memory) < 0)
		return hdf5_fail_locked(err, EIO, "fill value cannot be read");
	hdf5_swap(&data->form, data->memory, 1);
	return 0;
}

static int read_compact(
	struct hdf5_data *data, const struct look *look, struct error *err)
{
	if (data->bytes > COMPACT_MAX)
		return error_set(err, EIO,
			"expected at most %d bytes of compact storage, found %" PRIu64,
			COMPACT_MAX, data->bytes);
	/* libhdf5 1.10 copies as much as the shape says. */
	if (H5Dget_storage_size(look->dataset) < data->bytes)
		return error_set(err, EIO,
			"expected %" PRIu64 " bytes of compact storage, found %" PRIu64,
			data->bytes, (uint64_t)H5Dget_storage_size(look->dataset));
	data->layout = HDF5_COMPACT;
	data->memory = calloc(1, data->bytes + 1);
	if (data->memory == NULL)
		return error_set(err, ENOMEM, "not enough memory for a dataset");
	if (H5Dread(look->dataset, look->type, H5S_ALL, H5S_ALL, H5P_DEFAULT,
		    data->memory) < 0)
		return hdf5_fail_locked(err, EIO, "elements cannot be read");
	hdf5_swap(&data->form, data->memory, data->bytes / data->form.size);
	return 0;
}

static int set_layout(struct hdf5_data *data, struct look *look, struct error *err)
{
	int rc = hdf5_obstacle_locked(look->dataset, look->dcpl, err);

	if (rc < 0)
		return rc;
	data->layout = HDF5_FILLED;
	switch (H5Pget_layout(look->dcpl)) {
	case H5D_CONTIGUOUS:
		/* Not by the offset: behind a user block no offset is one. */
		if (H5Dget_storage_size(look->dataset) > 0)
			return linear_bounds(
				data, look, H5Dget_offset(look->dataset), err);
		break;
	case H5D_COMPACT: return read_compact(data, look, err);
	case H5D_CHUNKED:
		rc = hdf5_chunking_locked(look->dcpl, &data->form, &data->chunking, err);
		if (rc < 0)
			return rc;
		data->layout = HDF5_CHUNKED;
		memcpy(data->chunking.dims, look->dims, sizeof look->dims);
		if (data->chunking.rank != (unsigned)look->rank)
			return error_set(err, EIO,
				"expected chunks of %d dimensions, found %u", look->rank,
				data->chunking.rank);
		break;
	default: return error_set(err, EOPNOTSUPP, "a layout that is not supported");
	}
	return read_fill(data, look, err);
}

/* Bytes of the whole array. */
static int count_bytes(const struct look *look, uint64_t *bytes, struct error *err)
{
	uint64_t n = look->null ? 0 : look->form.size;
	int i;

	for (i = 0; i < look->rank; i++)
		if (__builtin_mul_overflow(n, look->dims[i], &n) || n > INT64_MAX)
			return error_set(err, EOVERFLOW, "a shape of 2^63 bytes or more");
	*bytes = n;
	return 0;
}

static void data_free(struct hdf5_data *data)
{
	if (data == NULL)
		return;
	if (data->dataset > 0) {
		AUTO_LOCK;

		hdf5_hid_close(&data->dataset);
	}
	hdf5_form_done(&data->form);
	free(data->memory);
	ranges_done(&data->stored);
	hdf5_unref(&data->hdf5);
	free(data);
}

void hdf5_data_close(struct hdf5_data **data)
{
	data_free(*data);
	*data = NULL;
}

/* Fills `data`; what it took from `look` is gone there. */
static int take_look(struct hdf5_data *data, struct look *look, struct error *err)
{
	int rc;

	data->form = look->form;
	look->form.swaps = NULL;
	look->form.n_swaps = 0;
	rc = count_bytes(look, &data->bytes, err);
	if (rc < 0)
		return rc;
	if (data->form.size > HDF5_TEXT_MAX)
		return error_set(err, EOPNOTSUPP,
			"elements of more than %u bytes are not supported",
			HDF5_TEXT_MAX);
	rc = set_layout(data, look, err);
	if (rc == 0 && data->layout == HDF5_CHUNKED) {
		data->dataset = look->dataset;
		look->dataset = 0;
	}
	return rc;
}

int hdf5_data_open_locked(
	struct hdf5 *hdf5, uint32_t object, struct hdf5_data **out, struct error *err)
{
	AUTO_LOOK look = {0};
	struct hdf5_data *data = calloc(1, sizeof *data);
	int rc;

	if (data == NULL)
		return error_set(err, ENOMEM, "not enough memory for a dataset");
	*out = data; /* to be closed by the caller, on failure too */
	data->hdf5 = hdf5_ref(hdf5);
	data->object = object;
	rc = look_at(hdf5, object, &look, err);
	return rc < 0 ? rc : take_look(data, &look, err);
}

static int linear_read(struct hdf5_data *data, uint64_t off, unsigned char *buf,
	size_t len, struct error *err)
{
	size_t size = data->form.size, skip = off % size, n, step;
	unsigned char *elements;
	int rc = 0;

	step = size > SWAP_STEP ? size : SWAP_STEP / size * size;
	elements = malloc(step);
	if (elements == NULL)
		return error_set(err, ENOMEM, "not enough memory to swap bytes");
	for (off -= skip; rc == 0 && len > 0; off += step, skip = 0) {
		n = data->bytes - off < step ? data->bytes - off : step;
		rc = source_read(
			data->hdf5->image.source, data->off + off, elements, n, err);
		if (rc < 0)
			break;
		hdf5_swap(&data->form, elements, n / size);
		n = n - skip < len ? n - skip : len;
		memcpy(buf, elements + skip, n);
		buf += n;
		len -= n;
	}
	free(elements);
	return rc;
}

void hdf5_data_fill(
	const struct hdf5_data *data, uint64_t off, unsigned char *buf, size_t len)
{
	size_t size = data->form.size, at = off % size, n;

	for (; len > 0; buf += n, len -= n, at = 0) {
		n = size - at < len ? size - at : len;
		memcpy(buf, data->memory + at, n);
	}
}

static int data_read(void *priv, uint64_t off, void *buf, size_t len, struct error *err)
{
	struct hdf5_data *data = priv;

	switch (data->layout) {
	case HDF5_LINEAR: return linear_read(data, off, buf, len, err);
	case HDF5_CHUNKED: return hdf5_chunks_read(data, off, buf, len, err);
	case HDF5_COMPACT: memcpy(buf, data->memory + off, len); return 0;
	default: hdf5_data_fill(data, off, buf, len); return 0;
	}
}

static void data_done(void *priv)
{
	data_free(priv);
}

/* A hole of the file, whole elements of it: what is swapped moves within its element. */
static bool linear_repeats(
	const struct hdf5_data *data, uint64_t off, uint64_t *len, uint64_t *period)
{
	uint64_t size = data->form.size;

	*period = 1;
	if (off % size != 0 ||
		!source_hole(data->hdf5->image.source, data->off + off, len))
		return false;
	if (*len >= size) {
		*len -= *len % size;
		return true;
	}
	return false;
}

static bool data_repeats(void *priv, uint64_t off, uint64_t *len, uint64_t *period)
{
	struct hdf5_data *data = priv;

	switch (data->layout) {
	case HDF5_LINEAR: return linear_repeats(data, off, len, period);
	case HDF5_FILLED: *period = data->form.size; return true;
	case HDF5_CHUNKED: return hdf5_stored_repeats(data, off, len, period);
	default: return false;
	}
}

const struct blob_ops hdf5_data_ops = {
	.read = data_read, .free = data_done, .repeats = data_repeats};

static int open_data(
	struct hdf5 *hdf5, uint32_t object, struct hdf5_data **out, struct error *err)
{
	AUTO_LOCK;

	return hdf5_data_open_locked(hdf5, object, out, err);
}

int hdf5_content(struct hdf5 *hdf5, uint32_t object, struct blob **out, struct error *err)
{
	struct hdf5_data *data = NULL;
	int rc = open_data(hdf5, object, &data, err);
	uint64_t bytes;

	if (rc < 0) {
		hdf5_data_close(&data);
		return rc;
	}
	bytes = data->bytes;
	if (data->layout != HDF5_LINEAR || data->form.n_swaps > 0)
		return blob_computed(out, &hdf5_data_ops, data, bytes, err);
	rc = blob_span(out, hdf5->image.source, data->off, bytes, err);
	hdf5_data_close(&data);
	return rc;
}

/* There is no .bin, and this is why. */
static int explain(
	struct tree *tree, struct tensor *tensor, const char *why, struct error *err)
{
	tensor->flags |= TENSOR_NO_BIN;
	tensor->flags &= (uint16_t)~TENSOR_SPAN;
	tensor->error = tree_string(tree, why, strlen(why));
	return tensor->error == NULL ? error_set(err, ENOMEM, "not enough memory") : 0;
}

/* What cannot be read at all. */
static int broken(
	struct model *model, const char *why, struct tensor **out, struct error *err)
{
	int rc = tree_type(model->tree, dtype_find("object", 6), 0, NULL, out, err);

	if (rc < 0)
		return rc;
	model->damaged++;
	(*out)->flags |= TENSOR_NULL;
	return explain(model->tree, *out, why, err);
}

/* Where the elements of a dataset are that has some of a fixed size. */
static int place_elements(struct hdf5 *hdf5, struct model *model, struct look *look,
	struct tensor *tensor, struct error *err)
{
	struct hdf5_data data = {.hdf5 = hdf5};
	struct error why = {0};
	int rc = take_look(&data, look, &why);

	hdf5_hid_close(&data.dataset);
	free(data.memory);
	if (rc == 0 && data.layout == HDF5_LINEAR && data.form.n_swaps == 0) {
		tensor->flags |= TENSOR_SPAN;
		tensor->source = hdf5->image.source;
		tensor->off = data.off;
	}
	hdf5_form_done(&data.form);
	if (rc == 0)
		return 0;
	model->damaged += rc != -EOPNOTSUPP;
	return explain(model->tree, tensor, why.text, err);
}

static int describe_dataset(struct hdf5 *hdf5, struct model *model, uint32_t object,
	struct tensor **out, struct error *err)
{
	AUTO_LOOK look = {0};
	struct error why = {0};
	uint64_t bytes;
	int rc;

	if (look_at(hdf5, object, &look, &why) < 0 ||
		count_bytes(&look, &bytes, &why) < 0)
		return broken(model, why.text, out, err);
	rc = shape_tensor(&look, model->tree, out, err);
	if (rc < 0)
		return rc;
	if (look.null)
		(*out)->flags |= TENSOR_NULL | TENSOR_NO_BIN;
	if (look.form.variable)
		(*out)->flags |= TENSOR_NO_BIN | TENSOR_SIDECAR;
	if (H5Aget_num_attrs(look.dataset) > (look.tagged != NULL))
		(*out)->flags |= TENSOR_SIDECAR;
	if (((*out)->flags & TENSOR_NO_BIN) != 0) {
		(*out)->bytes = 0;
		return 0;
	}
	return place_elements(hdf5, model, &look, *out, err);
}

static int describe_type(struct hdf5 *hdf5, struct model *model, uint32_t object,
	struct tensor **out, struct error *err)
{
	AUTO_HID type = H5Oopen_by_addr(hdf5->file, hdf5->objects[object].address);
	struct error why = {0};
	AUTO_FORM form = {0};
	int rc;

	if (type < 0) {
		(void)hdf5_fail_locked(&why, EIO, "datatype cannot be opened");
		return broken(model, why.text, out, err);
	}
	if (hdf5_form_locked(type, &form, &why) < 0)
		return broken(model, why.text, out, err);
	rc = tree_type(model->tree, form.dtype, form.rank, form.shape, out, err);
	if (rc < 0)
		return rc;
	(*out)->flags |= TENSOR_NO_BIN | TENSOR_NULL;
	(*out)->bytes = 0;
	if (H5Aget_num_attrs(type) > 0)
		(*out)->flags |= TENSOR_SIDECAR;
	return 0;
}

int hdf5_describe(struct hdf5 *hdf5, struct model *model, uint32_t object,
	struct tensor **out, struct error *err)
{
	const struct hdf5_object *o = hdf5_object(hdf5, object);
	AUTO_LOCK;

	if (o == NULL)
		return error_set(err, EINVAL, "no object %" PRIu32, object);
	if (o->error != NULL) {
		model->damaged--; /* hdf5_walk() has counted it */
		return broken(model, o->error, out, err);
	}
	return o->kind == HDF5_TYPE ? describe_type(hdf5, model, object, out, err)
				    : describe_dataset(hdf5, model, object, out, err);
}
