/*
 * hdf5_set: one attribute made what a JSON value says.
 *
 * It keeps its type: the same variable or fixed length, character set, padding, byte
 * order. A string that outgrows its fixed length gets a longer one, up to what an object
 * header holds, then a variable one. Where type and shape stay, the attribute is written
 * over; else it is made anew, and where the order of creation is tracked those that came
 * after it are too, so that the order stays.
 */
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/grammar/hdf5_private.h"
#include "decoders/grammar/image.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Elements of one attribute in an object header, with room for the message around them.
 */
#define HEADER_MAX 64000
#define ELEMENTS_MAX (1u << 24)

/* An attribute to be written. */
struct setting {
	struct hdf5_edit *edit;
	hid_t object;
	const char *name;
	const struct json *json;
	json_value v;
	hid_t type;
	bool null;
	struct hdf5_values values;
};

static int refuse(
	const struct setting *s, int code, const char *expected, struct error *err)
{
	(void)json_refuse(s->json, s->v, expected, code, err);
	json_locate(s->json, s->v, s->name, err);
	return -code;
}

/* Dimensions that belong to the type and not to the dataspace. */
static unsigned inner_rank(hid_t type)
{
	hsize_t dims[H5S_MAX_RANK];
	int rank;

	switch (H5Tget_class(type)) {
	case H5T_VLEN: return 1;
	case H5T_ARRAY:
		rank = H5Tget_array_dims2(type, dims);
		return rank > 0 ? (unsigned)rank : 0;
	default: return 0;
	}
}

/* The shape of nested lists, by their first elements: the others are checked when they
 * are read. */
static int set_shape(struct setting *s, struct error *err)
{
	unsigned inner = inner_rank(s->type), rank = 0;
	json_value v = s->v;

	for (; v != JSON_NONE && json_type(s->json, v) == JSON_ARRAY;
		v = json_first(s->json, v)) {
		if (rank == H5S_MAX_RANK)
			return refuse(
				s, EINVAL, "at most 32 lists inside each other", err);
		s->values.dims[rank++] = json_count(s->json, v);
	}
	if (rank < inner)
		return refuse(s, EINVAL, "a list", err);
	s->values.rank = rank - inner;
	s->null = json_type(s->json, s->v) == JSON_NULL;
	if (hdf5_values_count(&s->values) > ELEMENTS_MAX)
		return refuse(
			s, EINVAL, "fewer elements (an attribute is no tensor)", err);
	return 0;
}

/* The longest string below a value. */
static size_t longest(const struct json *json, json_value v)
{
	AUTO_TEXT text = {0};
	size_t max = 0, len;
	json_value child;

	if (json_type(json, v) != JSON_ARRAY)
		return image_get_string(json, v, &text, NULL) < 0 ? 0 : text.len;
	for (child = json_first(json, v); child != JSON_NONE;
		child = json_next(json, child)) {
		len = longest(json, child);
		max = len > max ? len : max;
	}
	return max;
}

/* A fixed-length string type with room for what is to be stored. */
static void fit_string(struct setting *s)
{
	size_t size = H5Tget_size(s->type), want = longest(s->json, s->v);

	if (H5Tget_class(s->type) != H5T_STRING || H5Tis_variable_str(s->type) != 0)
		return;
	want += H5Tget_strpad(s->type) == H5T_STR_NULLTERM;
	if (want <= size)
		return;
	if (want * hdf5_values_count(&s->values) <= HEADER_MAX) {
		(void)H5Tset_size(s->type, want);
		return;
	}
	(void)H5Tset_size(s->type, H5T_VARIABLE);
	(void)H5Tset_cset(s->type, H5T_CSET_UTF8);
}

static hid_t make_space(const struct setting *s)
{
	if (s->null)
		return H5Screate(H5S_NULL);
	if (s->values.rank == 0)
		return H5Screate(H5S_SCALAR);
	return H5Screate_simple((int)s->values.rank, s->values.dims, NULL);
}

/* The elements in memory: malloc'ed, given back with free_elements(). */
static int get_elements(const struct setting *s, void **elements, struct error *err)
{
	size_t n = s->null ? 0 : hdf5_values_count(&s->values);

	*elements = calloc(n + 1, H5Tget_size(s->type));
	if (*elements == NULL)
		return error_set(err, ENOMEM, "not enough memory for an attribute");
	if (s->null)
		return 0;
	return hdf5_values_get_locked(&s->values, s->json, s->v, *elements, err);
}

static void free_elements(const struct setting *s, void *elements)
{
	if (!s->null)
		hdf5_values_free_locked(&s->values, elements);
	free(elements);
}

static hid_t create(hid_t object, const char *name, hid_t type, hid_t space)
{
	hid_t list = H5Pcreate(H5P_ATTRIBUTE_CREATE), id, reason = -1;
	const char *c;

	for (c = name; *c != '\0'; c++)
		if ((unsigned char)*c >= 0x80)
			(void)H5Pset_char_encoding(list, H5T_CSET_UTF8);
	id = H5Acreate2(object, name, type, space, list, H5P_DEFAULT);
	/* A call that succeeds forgets why the one before failed. */
	if (id < 0)
		reason = H5Eget_current_stack();
	(void)H5Pclose(list);
	if (reason >= 0)
		(void)H5Eset_current_stack(reason);
	return id;
}

static int write_new(struct setting *s, const void *elements, struct error *err)
{
	AUTO_HID space = make_space(s);
	AUTO_HID id = create(s->object, s->name, s->type, space);

	if (id < 0)
		return hdf5_fail_locked(err, EINVAL, "attribute %s", s->name);
	if (!s->null && H5Awrite(id, s->type, elements) < 0)
		return hdf5_fail_locked(err, EIO, "attribute %s", s->name);
	return 0;
}

/* Makes an attribute anew as it is, which puts it at the end of the order. */
static int renew(
	struct hdf5_edit *edit, hid_t object, const char *name, struct error *err)
{
	AUTO_ATTRIBUTE old = {0};
	AUTO_HID fresh = 0;
	AUTO_HID type = 0;
	int rc = hdf5_attribute_open_locked(edit->hdf5, object, name, &old, err);

	if (rc < 0)
		return rc;
	type = H5Aget_type(old.id);
	if (hdf5_attribute_delete_locked(edit, object, name) < 0)
		return hdf5_fail_locked(err, EIO, "attribute %s", name);
	fresh = create(object, name, type, old.space);
	if (fresh < 0 || (!old.null && H5Awrite(fresh, old.type, old.elements) < 0))
		return hdf5_fail_locked(err, EIO, "attribute %s", name);
	return 0;
}

/* Those that were made after `name`, in their order: it was made anew itself. */
static int renew_followers(
	struct setting *s, const struct text *names, size_t n, struct error *err)
{
	const char *name = names->bytes;
	bool after = false;
	int rc = 0;

	for (; rc == 0 && n > 0; n--, name += strlen(name) + 1) {
		if (after)
			rc = renew(s->edit, s->object, name, err);
		after = after || strcmp(name, s->name) == 0;
	}
	return rc;
}

static int replace(struct setting *s, const void *elements, struct error *err)
{
	bool tracked = hdf5_attributes_tracked_locked(s->object);
	AUTO_TEXT names = {0};
	size_t n = 0;
	int rc = 0;

	if (tracked)
		rc = hdf5_attribute_names_locked(s->object, &names, &n, err);
	if (rc == 0 && hdf5_attribute_delete_locked(s->edit, s->object, s->name) < 0)
		rc = hdf5_fail_locked(err, EIO, "attribute %s", s->name);
	if (rc == 0)
		rc = write_new(s, elements, err);
	return rc < 0 ? rc : renew_followers(s, &names, n, err);
}

static bool same_shape(const struct setting *s, const struct hdf5_attribute *old)
{
	if (s->null || old->null || s->values.rank != old->values.rank ||
		H5Tequal(s->type, old->type) <= 0)
		return false;
	return memcmp(s->values.dims, old->values.dims,
		       s->values.rank * sizeof *s->values.dims) == 0;
}

/* Whether what is there shows as the same value. */
static bool is_same(const struct setting *s)
{
	AUTO_TEXT text = {0};
	AUTO_JSON *json = NULL;

	hdf5_attribute_put_locked(s->edit->hdf5, s->object, s->name, &text);
	if (text_check(&text, NULL) < 0 ||
		json_parse(&json, text.bytes, text.len, JSON_NONFINITE, NULL) < 0)
		return false;
	return json_equal(json, 0, s->json, s->v);
}

static int write_old(struct setting *s, struct error *err)
{
	AUTO_ATTRIBUTE old = {0};
	void *elements = NULL;
	int rc = hdf5_attribute_open_locked(s->edit->hdf5, s->object, s->name, &old, err);

	if (rc < 0)
		return rc;
	s->type = H5Tcopy(old.type);
	s->values.type = s->type;
	rc = set_shape(s, err);
	if (rc < 0)
		return rc;
	fit_string(s);
	rc = get_elements(s, &elements, err);
	if (rc == 0 && same_shape(s, &old)) {
		hdf5_release_locked(s->edit, old.id);
		if (H5Awrite(old.id, s->type, elements) < 0)
			rc = hdf5_fail_locked(err, EIO, "attribute %s", s->name);
	} else if (rc == 0) {
		rc = replace(s, elements, err);
	}
	free_elements(s, elements);
	return rc;
}

/* --- types of new attributes --- */

/* What a value consists of. */
enum scalar {
	SCALAR_NONE,
	SCALAR_BOOL,
	SCALAR_INT,
	SCALAR_UINT, /* beyond int64 */
	SCALAR_FLOAT,
	SCALAR_STRING,
	SCALAR_COMPLEX,
	SCALAR_BYTES,
	SCALAR_OTHER,
};

static enum scalar number_scalar(const struct json *json, json_value v)
{
	size_t len;
	const char *raw = json_raw(json, v, &len);
	uint64_t u;
	int64_t i;

	if (memchr(raw, '.', len) != NULL || memchr(raw, 'e', len) != NULL ||
		memchr(raw, 'E', len) != NULL || memchr(raw, 'N', len) != NULL ||
		memchr(raw, 'I', len) != NULL)
		return SCALAR_FLOAT;
	if (json_int64(json, v, &i, NULL) == 0)
		return SCALAR_INT;
	return json_uint64(json, v, &u, NULL) == 0 ? SCALAR_UINT : SCALAR_FLOAT;
}

static enum scalar scalar_of(const struct json *json, json_value v)
{
	switch (json_type(json, v)) {
	case JSON_TRUE:
	case JSON_FALSE: return SCALAR_BOOL;
	case JSON_NUMBER: return number_scalar(json, v);
	case JSON_STRING: return SCALAR_STRING;
	case JSON_OBJECT:
		if (image_tagged(json, v, "complex") != JSON_NONE)
			return SCALAR_COMPLEX;
		return image_tagged(json, v, "bytes") != JSON_NONE ? SCALAR_BYTES
								   : SCALAR_OTHER;
	default: return SCALAR_NONE;
	}
}

/* What all leaves are: integers among floats are floats. */
static enum scalar common_scalar(const struct json *json, json_value v)
{
	enum scalar common = SCALAR_NONE, kind;
	json_value child;

	if (json_type(json, v) != JSON_ARRAY)
		return scalar_of(json, v);
	for (child = json_first(json, v); child != JSON_NONE;
		child = json_next(json, child)) {
		kind = common_scalar(json, child);
		if (common == SCALAR_NONE || common == kind)
			common = kind;
		else if (kind >= SCALAR_INT && kind <= SCALAR_FLOAT &&
			 common >= SCALAR_INT && common <= SCALAR_FLOAT)
			common = kind > common ? kind : common;
		else if (kind != SCALAR_NONE)
			return SCALAR_OTHER;
	}
	return common;
}

static hid_t dtype_type(const char *name)
{
	bool tagged;
	hid_t type = -1;

	(void)hdf5_type_locked(dtype_find(name, strlen(name)), &type, &tagged, NULL);
	return type;
}

static hid_t text_type(void)
{
	hid_t type = H5Tcopy(H5T_C_S1);

	(void)H5Tset_size(type, H5T_VARIABLE);
	(void)H5Tset_cset(type, H5T_CSET_UTF8);
	return type;
}

static hid_t bytes_type(const struct json *json, json_value v)
{
	size_t size = longest(json, v);
	hid_t type = H5Tcreate(H5T_OPAQUE, size == 0 ? 1 : size);

	(void)H5Tset_tag(type, "");
	return type;
}

static hid_t default_type(const struct setting *s, enum scalar kind)
{
	switch (kind) {
	case SCALAR_BOOL: return dtype_type("bool");
	case SCALAR_INT: return dtype_type("int64");
	case SCALAR_UINT: return dtype_type("uint64");
	case SCALAR_STRING: return text_type();
	case SCALAR_COMPLEX: return dtype_type("complex128");
	case SCALAR_BYTES: return bytes_type(s->json, s->v);
	case SCALAR_OTHER: return -1;
	default: return dtype_type("float64");
	}
}

static bool is_kind(hid_t type, enum scalar kind)
{
	H5T_class_t class = H5Tget_class(type);

	return (kind == SCALAR_STRING && class == H5T_STRING) ||
	       (kind == SCALAR_INT && class == H5T_INTEGER) ||
	       (kind == SCALAR_FLOAT && class == H5T_FLOAT);
}

/* The type that all attributes of this kind have around here, or -1. Strings of a fixed
 * length differ in it alone. */
static hid_t sibling_type(const struct setting *s, enum scalar kind)
{
	AUTO_TEXT names = {0};
	const char *name;
	hid_t found = -1;
	size_t n = 0;

	if (hdf5_attribute_names_locked(s->object, &names, &n, NULL) < 0)
		return -1;
	name = names.bytes;
	for (; n > 0; n--, name += strlen(name) + 1) {
		AUTO_HID id = H5Aopen(s->object, name, H5P_DEFAULT);
		AUTO_HID stored = H5Aget_type(id);
		AUTO_HID type = H5Tcopy(stored);

		if (!is_kind(type, kind))
			continue;
		if (kind == SCALAR_STRING && H5Tis_variable_str(type) == 0)
			(void)H5Tset_size(type, 1);
		if (found > 0 && H5Tequal(found, type) <= 0) {
			hdf5_hid_close(&found);
			return -1;
		}
		hdf5_hid_close(&found);
		found = type;
		type = 0;
	}
	return found;
}

/* Tries one type: the elements, or an error. */
static int try_type(struct setting *s, void **elements, struct error *err)
{
	int rc;

	s->values.type = s->type;
	rc = set_shape(s, err);
	if (rc == 0) {
		fit_string(s);
		rc = get_elements(s, elements, err);
	}
	if (rc < 0 && *elements != NULL) {
		free_elements(s, *elements);
		*elements = NULL;
	}
	return rc;
}

static int write_first(struct setting *s, struct error *err)
{
	enum scalar kind = common_scalar(s->json, s->v);
	void *elements = NULL;
	int rc = -1;

	s->type = sibling_type(s, kind);
	if (s->type > 0)
		rc = try_type(s, &elements, NULL);
	if (rc < 0) {
		hdf5_hid_close(&s->type);
		s->type = default_type(s, kind);
		if (s->type < 0)
			return refuse(s, EOPNOTSUPP,
				"a string, a number, true, false, null or a list of "
				"one of these",
				err);
		rc = try_type(s, &elements, err);
	}
	if (rc == 0)
		rc = write_new(s, elements, err);
	if (elements != NULL)
		free_elements(s, elements);
	return rc;
}

int hdf5_attribute_set_locked(struct hdf5_edit *edit, hid_t object, const char *name,
	const struct json *json, json_value v, struct error *err)
{
	struct setting setting = {
		.edit = edit, .object = object, .name = name, .json = json, .v = v};
	int rc = 0;

	setting.values.hdf5 = edit->hdf5;
	setting.values.name = name;
	if (H5Aexists(object, name) <= 0)
		rc = write_first(&setting, err);
	else if (!is_same(&setting))
		rc = write_old(&setting, err);
	hdf5_hid_close(&setting.type);
	return rc;
}

int hdf5_attributes_copy_locked(
	struct hdf5_edit *edit, hid_t from, hid_t to, struct error *err)
{
	AUTO_TEXT names = {0};
	const char *name;
	size_t n = 0;
	int rc = hdf5_attribute_names_locked(from, &names, &n, err);

	for (name = names.bytes; rc == 0 && n > 0; n--, name += strlen(name) + 1) {
		AUTO_ATTRIBUTE old = {0};
		AUTO_HID type = 0;
		AUTO_HID fresh = 0;

		rc = hdf5_attribute_open_locked(edit->hdf5, from, name, &old, err);
		if (rc < 0)
			return rc;
		type = H5Aget_type(old.id);
		fresh = create(to, name, type, old.space);
		if (fresh < 0 ||
			(!old.null && H5Awrite(fresh, old.type, old.elements) < 0))
			rc = hdf5_fail_locked(err, EIO, "attribute %s", name);
	}
	return rc;
}

int hdf5_tag_locked(
	struct hdf5_edit *edit, hid_t dataset, const char *dtype, struct error *err)
{
	AUTO_TEXT text = {0};
	AUTO_JSON *json = NULL;
	int rc;

	json_put_string(&text, dtype, strlen(dtype));
	rc = text_check(&text, err);
	if (rc == 0)
		rc = json_parse(&json, text.bytes, text.len, 0, err);
	if (rc == 0)
		rc = hdf5_attribute_set_locked(edit, dataset, "dtype", json, 0, err);
	return rc;
}
