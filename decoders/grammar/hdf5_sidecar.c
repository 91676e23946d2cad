/*
 * hdf5_sidecar: what NAME.json says of a dataset beyond dtype and shape, and what
 * extended attributes say about how it is stored.
 */
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/grammar/hdf5_private.h"
#include "decoders/grammar/image.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FREE (64u << 20)

/* Elements of variable length come one by one: all that is left of a limit. */
static void *limited_alloc(size_t size, void *left)
{
	uint64_t *room = left;

	if (size > *room)
		return NULL;
	*room -= size;
	return malloc(size);
}

static void limited_free(void *bytes, void *left)
{
	(void)left;
	free(bytes);
}

/* What a file's elements may take together: more than it has is there only where many
 * refer to the same. */
static uint64_t room_for(const struct hdf5 *hdf5)
{
	uint64_t size = source_size(hdf5->image.source);

	return size < HDF5_TEXT_MAX - ROOM_FREE ? size + ROOM_FREE : HDF5_TEXT_MAX;
}

static int read_limited(struct hdf5 *hdf5, hid_t dataset, struct hdf5_attribute *out,
	uint64_t n, struct error *err)
{
	AUTO_HID list = H5Pcreate(H5P_DATASET_XFER);
	uint64_t left = room_for(hdf5);
	size_t size = H5Tget_size(out->type);
	int rc;

	if (n > HDF5_VALUES_MAX || n * size > left)
		return error_set(err, EOPNOTSUPP,
			"%" PRIu64 " elements of variable size are too many to show", n);
	rc = hdf5_check_values_locked(hdf5, dataset, n, err);
	if (rc < 0)
		return rc;
	out->elements = calloc(n + 1, size);
	if (out->elements == NULL || list < 0)
		return error_set(err, ENOMEM, "not enough memory for a dataset");
	(void)H5Pset_vlen_mem_manager(list, limited_alloc, &left, limited_free, &left);
	if (n > 0 &&
		H5Dread(dataset, out->type, H5S_ALL, H5S_ALL, list, out->elements) < 0)
		return hdf5_fail_locked(err, EIO, "elements cannot be read");
	return 0;
}

int hdf5_dataset_values_locked(
	struct hdf5 *hdf5, hid_t dataset, struct hdf5_attribute *out, struct error *err)
{
	AUTO_HID type = H5Dget_type(dataset);
	AUTO_HID dcpl = H5Dget_create_plist(dataset);
	int rank, rc;

	memset(out, 0, sizeof *out);
	out->type = H5Tcopy(type);
	out->space = H5Dget_space(dataset);
	if (out->type < 0 || out->space < 0 || dcpl < 0)
		return hdf5_fail_locked(err, EIO, "dataset cannot be read");
	rc = hdf5_obstacle_locked(dataset, dcpl, err);
	if (rc < 0)
		return rc;
	out->null = H5Sget_simple_extent_type(out->space) == H5S_NULL;
	out->values.hdf5 = hdf5;
	out->values.type = out->type;
	if (out->null)
		return 0;
	rank = H5Sget_simple_extent_dims(out->space, out->values.dims, NULL);
	if (rank < 0)
		return hdf5_fail_locked(err, EIO, "shape cannot be read");
	out->values.rank = (unsigned)rank;
	return read_limited(hdf5, dataset, out, hdf5_values_count(&out->values), err);
}

/* `"values": ...`, or why there are none. */
static void put_values(struct hdf5 *hdf5, hid_t dataset, struct text *out)
{
	AUTO_ATTRIBUTE values = {0};
	struct error why = {0};

	if (hdf5_dataset_values_locked(hdf5, dataset, &values, &why) < 0) {
		text_puts(out, "\"error\": ");
		image_put_string(out, why.text, strlen(why.text));
		return;
	}
	text_puts(out, "\"values\": ");
	if (values.null)
		text_puts(out, "null");
	else
		hdf5_values_put_locked(&values.values, values.elements, out);
}

bool hdf5_is_variable_locked(hid_t id)
{
	AUTO_HID type = H5Iget_type(id) == H5I_DATASET ? H5Dget_type(id) : 0;
	AUTO_FORM form = {0};

	return type > 0 && hdf5_form_locked(type, &form, NULL) == 0 && form.variable;
}

int hdf5_sidecar(struct hdf5 *hdf5, uint32_t object, struct text *out, struct error *err)
{
	AUTO_LOCK;
	AUTO_HID id = H5Oopen_by_addr(hdf5->file, hdf5->objects[object].address);
	AUTO_TEXT attributes = {0};
	bool values;
	int rc;

	if (id < 0)
		return hdf5_fail_locked(err, EIO, "object cannot be opened");
	values = hdf5_is_variable_locked(id);
	if (values)
		put_values(hdf5, id, out);
	rc = hdf5_attributes_put_locked(
		hdf5, id, hdf5_dataset_hide_locked(id), &attributes, err);
	if (rc < 0)
		return rc;
	if (attributes.len > 2) {
		text_puts(out, values ? ", \"attributes\": " : "\"attributes\": ");
		text_put(out, attributes.bytes, attributes.len);
	}
	return text_check(out, err);
}

struct facts {
	model_fact_fn fn;
	void *arg;
};

static int report(const struct facts *facts, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int report(const struct facts *facts, const char *name, const char *fmt, ...)
{
	char value[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(value, sizeof value, fmt, args);
	va_end(args);
	return facts->fn(facts->arg, name, value);
}

static int report_text(const struct facts *facts, const char *name, struct text *text)
{
	if (text_check(text, NULL) < 0 || text->len == 0)
		return 0;
	return facts->fn(facts->arg, name, text->bytes);
}

static int report_filters(const struct facts *facts, hid_t dcpl)
{
	int n = H5Pget_nfilters(dcpl), i, id;
	AUTO_TEXT text = {0};
	unsigned flags, config;
	char name[64];
	size_t none;

	for (i = 0; i < n; i++) {
		none = 0;
		name[0] = '\0';
		id = H5Pget_filter2(dcpl, (unsigned)i, &flags, &none, NULL, sizeof name,
			name, &config);
		text_printf(&text, "%s%s (%d)", i > 0 ? ", " : "", name, id);
	}
	return report_text(facts, "filters", &text);
}

static int report_chunks(const struct facts *facts, hid_t dcpl)
{
	hsize_t chunk[H5S_MAX_RANK];
	int rank = H5Pget_chunk(dcpl, H5S_MAX_RANK, chunk), i, rc;
	AUTO_TEXT text = {0};

	for (i = 0; i < rank; i++)
		text_printf(&text, "%s%" PRIu64, i > 0 ? "," : "", (uint64_t)chunk[i]);
	rc = report_text(facts, "chunks", &text);
	return rc != 0 ? rc : report_filters(facts, dcpl);
}

static int report_layout(const struct facts *facts, hid_t dataset)
{
	static const char *const names[] = {
		"compact", "contiguous", "chunked", "virtual"};
	AUTO_HID dcpl = H5Dget_create_plist(dataset);
	H5D_layout_t layout = H5Pget_layout(dcpl);
	int rc = 0;

	if (layout >= H5D_COMPACT && layout <= H5D_VIRTUAL)
		rc = report(facts, "layout", "%s", names[layout]);
	if (rc == 0)
		rc = report(facts, "stored", "%" PRIu64,
			(uint64_t)H5Dget_storage_size(dataset));
	if (rc == 0 && layout == H5D_CHUNKED)
		rc = report_chunks(facts, dcpl);
	return rc;
}

/* "NAME=VALUE, ..." of an enumeration. */
static int report_members(
	const struct facts *facts, hid_t type, bool swap, const struct dtype *dtype)
{
	int n = H5Tget_nmembers(type), i;
	unsigned char value[16];
	struct hdf5_swap s = {.width = (uint32_t)dtype_size(dtype), .count = 1};
	struct hdf5_form form = {.size = s.width, .swaps = &s, .n_swaps = swap};
	AUTO_TEXT text = {0};
	char *name;

	for (i = 0; i < n && text.len < 4096; i++) {
		name = H5Tget_member_name(type, (unsigned)i);
		(void)H5Tget_member_value(type, (unsigned)i, value);
		hdf5_swap(&form, value, 1);
		text_printf(&text, "%s%s=", i > 0 ? ", " : "", name == NULL ? "" : name);
		(void)image_put_element(&text, dtype, value);
		(void)H5free_memory(name);
	}
	return report_text(facts, "enum", &text);
}

static int report_type(const struct facts *facts, hid_t dataset)
{
	AUTO_HID type = H5Dget_type(dataset);
	bool swap = false;
	const struct dtype *dtype = hdf5_number_locked(type, &swap);
	int rc = 0;

	if (dtype != NULL && dtype_size(dtype) > 1)
		rc = report(facts, "byteorder", "%s", swap ? "big" : "little");
	if (rc == 0 && dtype != NULL && dtype->class != DTYPE_BOOL &&
		H5Tget_class(type) == H5T_ENUM)
		rc = report_members(facts, type, swap, dtype);
	return rc;
}

int hdf5_facts(struct hdf5 *hdf5, uint32_t object, model_fact_fn fn, void *arg)
{
	const struct hdf5_object *o = hdf5_object(hdf5, object);
	struct facts facts = {fn, arg};
	AUTO_LOCK;
	AUTO_HID id = 0;
	int rc;

	if (o == NULL || o->kind == HDF5_DAMAGED)
		return 0;
	rc = report(&facts, "address", "%" PRIu64, o->address);
	if (rc == 0 && o->n_names > 1)
		rc = report(&facts, "names", "%" PRIu32, o->n_names);
	id = H5Oopen_by_addr(hdf5->file, o->address);
	if (rc != 0 || id < 0 || o->kind != HDF5_DATASET)
		return rc;
	rc = report_layout(&facts, id);
	return rc != 0 ? rc : report_type(&facts, id);
}
