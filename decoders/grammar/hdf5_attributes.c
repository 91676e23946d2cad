/*
 * hdf5_attributes: attributes as JSON, and the strings and lists of strings that formats
 * keep in them.
 */
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/grammar/hdf5_private.h"
#include "decoders/grammar/image.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Elements may take this much more than the file: an edit makes some that are not in it.
 */
#define MEMORY_SLACK (64u << 20)

bool hdf5_hidden(const char *const *hide, const char *name)
{
	for (; hide != NULL && *hide != NULL; hide++)
		if (strcmp(*hide, name) == 0)
			return true;
	return false;
}

void hdf5_attribute_done_locked(struct hdf5_attribute *attribute)
{
	if (attribute->elements != NULL && H5Tget_class(attribute->type) >= 0)
		hdf5_values_free_locked(&attribute->values, attribute->elements);
	free(attribute->elements);
	attribute->elements = NULL;
	hdf5_hid_close(&attribute->space);
	hdf5_hid_close(&attribute->type);
	hdf5_hid_close(&attribute->id);
}

/* XXX Nothing bounds what the strings of one attribute take together, where a hostile
 * file refers to one long string often: H5Aread has no limit, reading the heap here would
 * give one. */
static int read_elements(
	struct hdf5 *hdf5, struct hdf5_attribute *attribute, struct error *err)
{
	uint64_t n = hdf5_values_count(&attribute->values), bytes;
	uint64_t most = source_size(hdf5->image.source) + MEMORY_SLACK;

	if (__builtin_mul_overflow(n, H5Tget_size(attribute->type), &bytes) ||
		bytes > HDF5_TEXT_MAX || bytes > most)
		return error_set(err, EIO,
			"expected an attribute that the file can hold, found one of "
			"%" PRIu64 " elements",
			n);
	attribute->elements = calloc(1, bytes + 1);
	if (attribute->elements == NULL)
		return error_set(err, ENOMEM, "not enough memory for an attribute");
	if (n > 0 && H5Aread(attribute->id, attribute->type, attribute->elements) < 0)
		return hdf5_fail_locked(err, EIO, "attribute cannot be read");
	return 0;
}

int hdf5_attribute_open_locked(struct hdf5 *hdf5, hid_t object, const char *name,
	struct hdf5_attribute *out, struct error *err)
{
	AUTO_HID type = 0;
	int rank;

	memset(out, 0, sizeof *out);
	out->id = H5Aopen(object, name, H5P_DEFAULT);
	type = H5Aget_type(out->id);
	/* A copy is in memory, also of a named type. */
	out->type = H5Tcopy(type);
	out->space = H5Aget_space(out->id);
	if (out->id < 0 || out->type < 0 || out->space < 0)
		return hdf5_fail_locked(err, EIO, "attribute cannot be opened");
	out->null = H5Sget_simple_extent_type(out->space) == H5S_NULL;
	out->values.hdf5 = hdf5;
	out->values.type = out->type;
	if (out->null)
		return 0;
	rank = H5Sget_simple_extent_dims(out->space, out->values.dims, NULL);
	if (rank < 0)
		return hdf5_fail_locked(err, EIO, "attribute cannot be read");
	out->values.rank = (unsigned)rank;
	return read_elements(hdf5, out, err);
}

/* In the place of what cannot be read. */
static void put_error(const struct error *why, struct text *out)
{
	text_puts(out, "{\"%error\": ");
	image_put_string(out, why->text, strlen(why->text));
	text_putc(out, '}');
}

void hdf5_attribute_put_locked(
	struct hdf5 *hdf5, hid_t object, const char *name, struct text *out)
{
	AUTO_ATTRIBUTE attribute = {0};
	struct error why = {0};

	if (hdf5_attribute_open_locked(hdf5, object, name, &attribute, &why) < 0) {
		put_error(&why, out);
		return;
	}
	if (attribute.null)
		text_puts(out, "null");
	else
		hdf5_values_put_locked(&attribute.values, attribute.elements, out);
}

bool hdf5_attributes_tracked_locked(hid_t object)
{
	H5I_type_t kind = H5Iget_type(object);
	AUTO_HID list = kind == H5I_DATASET    ? H5Dget_create_plist(object)
			: kind == H5I_DATATYPE ? H5Tget_create_plist(object)
					       : 0;
	unsigned flags = 0;

	if (kind == H5I_GROUP)
		list = H5Gget_create_plist(object);
	return list > 0 && H5Pget_attr_creation_order(list, &flags) >= 0 &&
	       (flags & H5P_CRT_ORDER_TRACKED) != 0;
}

/* A name on its way into a sorted list. */
struct entry {
	char *name;
	int64_t order; /* of creation; 0 where it is not tracked */
};

struct entries {
	struct entry *list;
	size_t n;
	bool failed;
};

static herr_t add_entry(hid_t object, const char *name, const H5A_info_t *info, void *arg)
{
	struct entries *entries = arg;
	struct entry *list = entries->list;

	(void)object;
	if ((entries->n & (entries->n - 1)) == 0)
		list = reallocarray(
			list, entries->n == 0 ? 1 : entries->n * 2, sizeof *list);
	if (list != NULL) {
		entries->list = list;
		list += entries->n;
		list->order = info->corder_valid ? info->corder : 0;
		list->name = strdup(name);
	}
	entries->failed = list == NULL || list->name == NULL;
	entries->n += !entries->failed;
	return entries->failed ? -1 : 0;
}

static int by_order(const void *a, const void *b)
{
	const struct entry *ea = a, *eb = b;

	if (ea->order != eb->order)
		return ea->order < eb->order ? -1 : 1;
	return strcmp(ea->name, eb->name);
}

/* So that libhdf5 needs no table that it fills only in part. */
static bool attributes_decode(hid_t object)
{
	char *name = hdf5_name_of_none_locked(object);
	bool decode = name != NULL && H5Aexists(object, name) >= 0;

	free(name);
	return decode;
}

/* Listed in libhdf5's own order, for which it makes no table, and sorted here. */
int hdf5_attribute_names_locked(
	hid_t object, struct text *names, size_t *n, struct error *err)
{
	bool tracked = hdf5_attributes_tracked_locked(object);
	struct entries entries = {0};
	hsize_t at = 0;
	size_t i;
	int rc = 0;

	if (!attributes_decode(object) ||
		H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_NATIVE, &at, add_entry,
			&entries) < 0)
		rc = entries.failed
			     ? error_set(err, ENOMEM, "not enough memory")
			     : hdf5_fail_locked(err, EIO, "attributes cannot be listed");
	for (i = 0; !tracked && i < entries.n; i++)
		entries.list[i].order = 0;
	if (entries.n > 0)
		qsort(entries.list, entries.n, sizeof *entries.list, by_order);
	for (i = 0; i < entries.n; i++) {
		text_put(names, entries.list[i].name, strlen(entries.list[i].name) + 1);
		free(entries.list[i].name);
	}
	free(entries.list);
	*n = entries.n;
	return rc < 0 ? rc : text_check(names, err);
}

/* How many of the names are shown: a key's image depends on that. */
static size_t count_shown(const char *name, size_t n, const char *const *hide)
{
	size_t shown = 0;

	for (; n > 0; n--, name += strlen(name) + 1)
		shown += !hdf5_hidden(hide, name);
	return shown;
}

int hdf5_attributes_put_locked(struct hdf5 *hdf5, hid_t object, const char *const *hide,
	struct text *out, struct error *err)
{
	const char *separator = "", *name;
	AUTO_TEXT names = {0};
	struct error why = {0};
	size_t n = 0, shown;

	if (hdf5_attribute_names_locked(object, &names, &n, &why) < 0) {
		put_error(&why, out);
		return text_check(out, err) < 0 ? -ENOMEM : 1;
	}
	name = names.bytes;
	shown = count_shown(name, n, hide);
	text_putc(out, '{');
	for (; n > 0; n--, name += strlen(name) + 1) {
		if (hdf5_hidden(hide, name))
			continue;
		text_puts(out, separator);
		image_put_key(out, name, strlen(name), shown);
		hdf5_attribute_put_locked(hdf5, object, name, out);
		separator = ", ";
	}
	text_putc(out, '}');
	return text_check(out, err);
}

static int put_attributes(struct hdf5 *hdf5, uint32_t object, const char *const *hide,
	struct text *out, struct error *err)
{
	AUTO_LOCK;
	AUTO_HID id = H5Oopen_by_addr(hdf5->file, hdf5->objects[object].address);

	if (id < 0)
		return hdf5_fail_locked(err, EIO, "object cannot be opened");
	return hdf5_attributes_put_locked(hdf5, id, hide, out, err);
}

int hdf5_attributes(struct hdf5 *hdf5, uint32_t object, const char *const *hide,
	struct text *out, struct error *err)
{
	AUTO_TEXT line = {0};
	AUTO_JSON *json = NULL;
	int rc, unlisted = put_attributes(hdf5, object, hide, &line, err);

	if (unlisted < 0)
		return unlisted;
	rc = json_parse(&json, line.bytes, line.len, JSON_NONFINITE, err);
	if (rc < 0)
		return rc;
	json_print(json, 0, NULL, 0, true, out);
	return text_check(out, err) < 0 ? -ENOMEM : unlisted;
}

bool hdf5_has_attribute(struct hdf5 *hdf5, uint32_t object, const char *name)
{
	AUTO_LOCK;
	AUTO_HID id = H5Oopen_by_addr(hdf5->file, hdf5->objects[object].address);

	return id > 0 && H5Aexists(id, name) > 0;
}

/* Appends string `i`, without its padding. */
static void put_plain(const struct hdf5_attribute *attribute, size_t i, struct text *out)
{
	size_t size = H5Tget_size(attribute->type);
	const char *bytes = (const char *)attribute->elements + i * size, *variable;

	if (H5Tis_variable_str(attribute->type) <= 0) {
		hdf5_unpad(bytes, size, H5Tget_strpad(attribute->type), out);
		return;
	}
	memcpy(&variable, bytes, sizeof variable);
	text_puts(out, variable == NULL ? "" : variable);
}

/* The strings of one attribute, appended, each with `n_end` NULs behind it. */
static int read_strings(struct hdf5 *hdf5, hid_t object, const char *name, size_t n_end,
	struct text *out, size_t *n, struct error *err)
{
	AUTO_ATTRIBUTE attribute = {0};
	size_t i, count;
	int rc;

	if (H5Aexists(object, name) <= 0)
		return error_set(err, ENOENT, "no attribute %s", name);
	rc = hdf5_attribute_open_locked(hdf5, object, name, &attribute, err);
	if (rc < 0)
		return rc;
	count = attribute.null ? 0 : hdf5_values_count(&attribute.values);
	if (count > 0 && H5Tget_class(attribute.type) != H5T_STRING)
		return error_set(err, EINVAL, "attribute %s: expected strings", name);
	for (i = 0; i < count; i++) {
		put_plain(&attribute, i, out);
		text_put(out, "", n_end);
	}
	*n += count;
	return text_check(out, err);
}

int hdf5_string(struct hdf5 *hdf5, uint32_t object, const char *name, struct text *out,
	struct error *err)
{
	AUTO_LOCK;
	AUTO_HID id = H5Oopen_by_addr(hdf5->file, hdf5->objects[object].address);
	AUTO_TEXT bytes = {0};
	size_t n = 0;
	int rc;

	if (id < 0)
		return hdf5_fail_locked(err, EIO, "object cannot be opened");
	rc = read_strings(hdf5, id, name, 0, &bytes, &n, err);
	if (rc < 0)
		return rc;
	if (n != 1)
		return error_set(err, EINVAL,
			"attribute %s: expected one string, found %zu", name, n);
	text_put(out, bytes.len > 0 ? bytes.bytes : "", bytes.len);
	return text_check(out, err);
}

int hdf5_strings(struct hdf5 *hdf5, uint32_t object, const char *name, struct text *out,
	size_t *n, struct error *err)
{
	AUTO_LOCK;
	AUTO_HID id = H5Oopen_by_addr(hdf5->file, hdf5->objects[object].address);
	AUTO_TEXT part = {0};
	unsigned i;
	int rc;

	*n = 0;
	if (id < 0)
		return hdf5_fail_locked(err, EIO, "object cannot be opened");
	rc = read_strings(hdf5, id, name, 1, out, n, err);
	for (i = 0; rc == -ENOENT || (rc == 0 && i > 0); i++) {
		text_clear(&part);
		text_printf(&part, "%s%u", name, i);
		if (text_check(&part, err) < 0 || H5Aexists(id, part.bytes) <= 0)
			return i == 0 ? rc : 0;
		rc = read_strings(hdf5, id, part.bytes, 1, out, n, err);
	}
	return rc;
}

const char *const *hdf5_dataset_hide_locked(hid_t dataset)
{
	static const char *const storage[] = {"dtype", NULL};
	AUTO_HID type = 0;

	if (H5Iget_type(dataset) != H5I_DATASET)
		return NULL;
	type = H5Dget_type(dataset);
	return hdf5_tagged_locked(dataset, type) != NULL ? storage : NULL;
}
