/*
 * hdf5_values: elements of any HDF5 type as JSON, and JSON as elements.
 *
 * Both directions walk the type: lists for shapes, arrays and sequences, objects for
 * compounds, numbers, strings; what JSON has no notation for has its image (image.h).
 * Elements lie in memory as libhdf5 reads them with the file's own type: pointers for
 * what has a variable length, numbers in the file's byte order.
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

#define NUMBER_MAX 32 /* bytes */
#define VALUE_DEPTH_MAX 32

/* One element, or some of one, on the way out. */
struct out {
	struct hdf5 *hdf5;
	struct text *text;
	unsigned depth;
};

/* The same on the way in. */
struct in {
	const char *name; /* of the attribute, or NULL */
	const struct json *json;
	struct error *err;
	unsigned depth;
};

static void put_element(struct out *out, hid_t type, const unsigned char *bytes);

uint64_t hdf5_values_count(const struct hdf5_values *values)
{
	uint64_t n = 1;
	unsigned i;

	for (i = 0; i < values->rank; i++)
		if (__builtin_mul_overflow(n, values->dims[i], &n))
			return UINT64_MAX;
	return n;
}

void hdf5_unpad(const char *bytes, size_t size, H5T_str_t pad, struct text *out)
{
	if (pad == H5T_STR_NULLTERM)
		size = strnlen(bytes, size);
	while (pad == H5T_STR_SPACEPAD && size > 0 && bytes[size - 1] == ' ')
		size--;
	/* NULs in the place of spaces are padding too, as in h5py. */
	while (size > 0 && bytes[size - 1] == '\0')
		size--;
	text_put(out, bytes, size);
}

static void swap_number(const struct dtype *dtype, unsigned char *bytes)
{
	size_t size = dtype_size(dtype), part, i, j;
	unsigned char c;

	part = dtype->class == DTYPE_COMPLEX ? size / 2 : size;
	for (i = 0; i < size; i += part)
		for (j = 0; j < part / 2; j++) {
			c = bytes[i + j];
			bytes[i + j] = bytes[i + part - 1 - j];
			bytes[i + part - 1 - j] = c;
		}
}

static void put_number(
	struct out *out, const struct dtype *dtype, bool swap, const unsigned char *bytes)
{
	unsigned char number[NUMBER_MAX];
	size_t size = dtype_size(dtype);

	memcpy(number, bytes, size);
	if (swap)
		swap_number(dtype, number);
	if (image_put_element(out->text, dtype, number) < 0)
		image_put_bytes(out->text, number, size);
}

static void put_string(struct out *out, hid_t type, const unsigned char *bytes)
{
	const char *variable;
	AUTO_TEXT text = {0};

	if (H5Tis_variable_str(type) > 0) {
		memcpy(&variable, bytes, sizeof variable);
		variable = variable == NULL ? "" : variable;
		image_put_string(out->text, variable, strlen(variable));
		return;
	}
	hdf5_unpad((const char *)bytes, H5Tget_size(type), H5Tget_strpad(type), &text);
	out->text->failed |= text.failed;
	image_put_string(out->text, text.len > 0 ? text.bytes : "", text.len);
}

static void put_compound(struct out *out, hid_t type, const unsigned char *bytes)
{
	int n = H5Tget_nmembers(type), i;
	char *name;

	text_putc(out->text, '{');
	for (i = 0; i < n; i++) {
		AUTO_HID member = H5Tget_member_type(type, (unsigned)i);

		name = H5Tget_member_name(type, (unsigned)i);
		text_puts(out->text, i > 0 ? ", " : "");
		if (name != NULL)
			image_put_key(out->text, name, strlen(name), (size_t)n);
		(void)H5free_memory(name);
		put_element(out, member, bytes + H5Tget_member_offset(type, (unsigned)i));
	}
	text_putc(out->text, '}');
}

/* Nested lists by `dims`; *at goes over the elements. */
static void put_list(struct out *out, hid_t type, const hsize_t *dims, unsigned rank,
	const unsigned char **at)
{
	hsize_t i;

	if (rank == 0) {
		put_element(out, type, *at);
		*at += H5Tget_size(type);
		return;
	}
	text_putc(out->text, '[');
	for (i = 0; i < dims[0] && !out->text->failed; i++) {
		text_puts(out->text, i > 0 ? ", " : "");
		put_list(out, type, dims + 1, rank - 1, at);
	}
	text_putc(out->text, ']');
}

static void put_array(struct out *out, hid_t type, const unsigned char *bytes)
{
	AUTO_HID base = H5Tget_super(type);
	hsize_t dims[H5S_MAX_RANK];
	int rank = H5Tget_array_dims2(type, dims);

	if (rank > 0 && base > 0)
		put_list(out, base, dims, (unsigned)rank, &bytes);
	else
		text_puts(out->text, "null");
}

static void put_sequence(struct out *out, hid_t type, const unsigned char *bytes)
{
	AUTO_HID base = H5Tget_super(type);
	const unsigned char *at;
	hsize_t n;
	hvl_t sequence;

	memcpy(&sequence, bytes, sizeof sequence);
	at = sequence.p;
	n = at == NULL ? 0 : sequence.len;
	put_list(out, base, &n, 1, &at);
}

/* The object that a reference leads to; 0: none in the table. */
static uint32_t referred(struct hdf5 *hdf5, bool region, const unsigned char *bytes)
{
	haddr_t address;

	if (hdf5 == NULL)
		return 0;
	memcpy(&address, bytes, sizeof address);
	if (region)
		address = hdf5_region_object(&hdf5->image, bytes);
	return hdf5_at_address(hdf5, address);
}

/* The path of what is referred to; null for a reference to nothing. */
static void put_reference(struct out *out, hid_t type, const unsigned char *bytes)
{
	bool region = H5Tequal(type, H5T_STD_REF_DSETREG) > 0;
	AUTO_TEXT path = {0};
	haddr_t address;
	uint32_t object;

	memcpy(&address, bytes, sizeof address);
	if (address == 0 || address == HADDR_UNDEF) {
		text_puts(out->text, "null");
		return;
	}
	object = referred(out->hdf5, region, bytes);
	if (object != 0)
		hdf5_path(out->hdf5, object, &path);
	else
		text_printf(&path, "#%" PRIu64, (uint64_t)address);
	text_puts(out->text, region ? "{\"%region\": " : "{\"%reference\": ");
	if (text_check(&path, NULL) == 0)
		image_put_string(out->text, path.bytes, path.len);
	out->text->failed |= path.failed;
	text_putc(out->text, '}');
}

static void put_element(struct out *out, hid_t type, const unsigned char *bytes)
{
	bool swap = false;
	const struct dtype *dtype = hdf5_number_locked(type, &swap);

	if (dtype != NULL) {
		put_number(out, dtype, swap, bytes);
		return;
	}
	if (++out->depth > VALUE_DEPTH_MAX) {
		text_puts(out->text, "null");
		out->depth--;
		return;
	}
	switch (H5Tget_class(type)) {
	case H5T_STRING: put_string(out, type, bytes); break;
	case H5T_COMPOUND: put_compound(out, type, bytes); break;
	case H5T_ARRAY: put_array(out, type, bytes); break;
	case H5T_VLEN: put_sequence(out, type, bytes); break;
	case H5T_REFERENCE: put_reference(out, type, bytes); break;
	default: image_put_bytes(out->text, bytes, H5Tget_size(type));
	}
	out->depth--;
}

void hdf5_values_put_locked(
	const struct hdf5_values *values, const void *elements, struct text *text)
{
	struct out out = {values->hdf5, text, 0};
	struct hdf5_image *image = values->hdf5 != NULL ? &values->hdf5->image : NULL;
	const unsigned char *at = elements;
	uint64_t looked = image != NULL ? image->looked : 0;

	put_list(&out, values->type, values->dims, values->rank, &at);
	if (image != NULL)
		hdf5_steps_back(image, looked);
}

static int refuse(const struct in *in, json_value v, int code, const char *expected)
{
	(void)json_refuse(in->json, v, expected, code, in->err);
	json_locate(in->json, v, in->name, in->err);
	return -code;
}

static int get_element(struct in *in, hid_t type, json_value v, unsigned char *bytes);

static int get_number(struct in *in, const struct dtype *dtype, bool swap, json_value v,
	unsigned char *bytes)
{
	int rc = image_get_element(dtype, in->json, v, bytes, in->err);

	if (rc < 0) {
		json_locate(in->json, v, in->name, in->err);
		return -EINVAL;
	}
	if (swap)
		swap_number(dtype, bytes);
	return 0;
}

static bool has_nul(const struct text *text)
{
	return text->len > 0 && memchr(text->bytes, '\0', text->len) != NULL;
}

static bool ends_in(const struct text *text, char c)
{
	return text->len > 0 && text->bytes[text->len - 1] == c;
}

static int get_variable_string(
	struct in *in, const struct text *text, json_value v, unsigned char *bytes)
{
	char *copy;

	if (has_nul(text))
		return refuse(in, v, EINVAL, "a string without NUL bytes");
	copy = H5allocate_memory(text->len + 1, false);
	if (copy == NULL)
		return error_set(in->err, ENOMEM, "not enough memory");
	memcpy(copy, text->len > 0 ? text->bytes : "", text->len);
	copy[text->len] = '\0';
	memcpy(bytes, &copy, sizeof copy);
	return 0;
}

static int get_fixed_string(struct in *in, hid_t type, const struct text *text,
	json_value v, unsigned char *bytes)
{
	size_t size = H5Tget_size(type), room = size;
	H5T_str_t pad = H5Tget_strpad(type);
	char expected[64];

	room -= pad == H5T_STR_NULLTERM;
	if (text->len > room) {
		(void)snprintf(
			expected, sizeof expected, "a string of at most %zu bytes", room);
		return refuse(in, v, EINVAL, expected);
	}
	if (pad == H5T_STR_NULLTERM && has_nul(text))
		return refuse(in, v, EINVAL, "a string without NUL bytes");
	/* They would be taken for what pads the string. */
	if (ends_in(text, '\0') || (pad == H5T_STR_SPACEPAD && ends_in(text, ' ')))
		return refuse(in, v, EINVAL,
			pad == H5T_STR_SPACEPAD
				? "a string that ends in neither spaces nor NUL bytes"
				: "a string that does not end in a NUL byte");
	memset(bytes, pad == H5T_STR_SPACEPAD ? ' ' : '\0', size);
	if (text->len > 0)
		memcpy(bytes, text->bytes, text->len);
	return 0;
}

static int get_string(struct in *in, hid_t type, json_value v, unsigned char *bytes)
{
	AUTO_TEXT text = {0};

	if (image_get_string(in->json, v, &text, in->err) < 0) {
		json_locate(in->json, v, in->name, in->err);
		return -EINVAL;
	}
	if (text_check(&text, in->err) < 0)
		return -ENOMEM;
	/* One value has one notation. */
	if (json_type(in->json, v) == JSON_OBJECT && json_utf8(text.bytes, text.len))
		return refuse(in, v, EINVAL,
			"a string in quotes (%bytes is for what is no UTF-8)");
	if (H5Tis_variable_str(type) > 0)
		return get_variable_string(in, &text, v, bytes);
	return get_fixed_string(in, type, &text, v, bytes);
}

static int get_member(
	struct in *in, hid_t type, unsigned i, json_value object, unsigned char *bytes)
{
	AUTO_HID member = H5Tget_member_type(type, i);
	char *name = H5Tget_member_name(type, i), expected[160];
	json_value v;
	int rc;

	v = name == NULL ? JSON_NONE : json_get(in->json, object, name);
	(void)snprintf(expected, sizeof expected, "a member \"%s\" in the object",
		name == NULL ? "" : name);
	(void)H5free_memory(name);
	if (v == JSON_NONE)
		return refuse(in, object, EINVAL, expected);
	rc = get_element(in, member, v, bytes + H5Tget_member_offset(type, i));
	return rc;
}

static int get_compound(struct in *in, hid_t type, json_value v, unsigned char *bytes)
{
	int n = H5Tget_nmembers(type), i, rc = 0;

	if (json_type(in->json, v) != JSON_OBJECT || json_count(in->json, v) != (size_t)n)
		return refuse(in, v, EINVAL,
			"an object with all members of its type and no others");
	for (i = 0; rc == 0 && i < n; i++)
		rc = get_member(in, type, (unsigned)i, v, bytes);
	return rc;
}

static int get_list(struct in *in, hid_t type, const hsize_t *dims, unsigned rank,
	json_value v, unsigned char **at)
{
	char expected[64];
	json_value element;
	int rc = 0;

	if (rank == 0) {
		rc = get_element(in, type, v, *at);
		*at += H5Tget_size(type);
		return rc;
	}
	if (json_type(in->json, v) != JSON_ARRAY || json_count(in->json, v) != dims[0]) {
		(void)snprintf(expected, sizeof expected, "a list of length %" PRIu64,
			(uint64_t)dims[0]);
		return refuse(in, v, EINVAL, expected);
	}
	for (element = json_first(in->json, v); rc == 0 && element != JSON_NONE;
		element = json_next(in->json, element))
		rc = get_list(in, type, dims + 1, rank - 1, element, at);
	return rc;
}

static int get_array(struct in *in, hid_t type, json_value v, unsigned char *bytes)
{
	AUTO_HID base = H5Tget_super(type);
	hsize_t dims[H5S_MAX_RANK];
	int rank = H5Tget_array_dims2(type, dims);

	if (rank <= 0)
		return refuse(in, v, EOPNOTSUPP, "an array type that can be read");
	return get_list(in, base, dims, (unsigned)rank, v, &bytes);
}

static int get_sequence(struct in *in, hid_t type, json_value v, unsigned char *bytes)
{
	AUTO_HID base = H5Tget_super(type);
	size_t size = H5Tget_size(base), n;
	unsigned char *at;
	hvl_t sequence = {0};
	hsize_t dim;

	if (json_type(in->json, v) != JSON_ARRAY)
		return refuse(in, v, EINVAL, "a list");
	n = json_count(in->json, v);
	if (n > HDF5_TEXT_MAX / size)
		return refuse(in, v, EINVAL, "a shorter list");
	if (n > 0) {
		sequence.p = H5allocate_memory(n * size, true);
		if (sequence.p == NULL)
			return error_set(in->err, ENOMEM, "not enough memory");
	}
	sequence.len = n;
	memcpy(bytes, &sequence, sizeof sequence);
	at = sequence.p;
	dim = n;
	return n == 0 ? 0 : get_list(in, base, &dim, 1, v, &at);
}

static int get_bytes(struct in *in, hid_t type, json_value v, unsigned char *bytes)
{
	AUTO_TEXT text = {0};
	size_t size = H5Tget_size(type);
	char expected[64];

	(void)snprintf(
		expected, sizeof expected, "{\"%%bytes\": ...} of %zu bytes", size);
	if (json_type(in->json, v) != JSON_OBJECT ||
		image_get_string(in->json, v, &text, NULL) < 0 || text.len != size)
		return refuse(in, v, EINVAL, expected);
	memcpy(bytes, text.bytes, size);
	return 0;
}

static int get_element(struct in *in, hid_t type, json_value v, unsigned char *bytes)
{
	bool swap = false;
	const struct dtype *dtype = hdf5_number_locked(type, &swap);
	int rc;

	if (dtype != NULL)
		return get_number(in, dtype, swap, v, bytes);
	if (++in->depth > VALUE_DEPTH_MAX)
		return refuse(in, v, EOPNOTSUPP, "a type that is nested less deeply");
	switch (H5Tget_class(type)) {
	case H5T_STRING: rc = get_string(in, type, v, bytes); break;
	case H5T_COMPOUND: rc = get_compound(in, type, v, bytes); break;
	case H5T_ARRAY: rc = get_array(in, type, v, bytes); break;
	case H5T_VLEN: rc = get_sequence(in, type, v, bytes); break;
	case H5T_OPAQUE: rc = get_bytes(in, type, v, bytes); break;
	default:
		rc = refuse(in, v, EOPNOTSUPP,
			"what was there (values of this type cannot be edited as text)");
	}
	in->depth--;
	return rc;
}

int hdf5_values_get_locked(const struct hdf5_values *values, const struct json *json,
	json_value v, void *elements, struct error *err)
{
	struct in in = {values->name, json, err, 0};
	unsigned char *at = elements;

	return get_list(&in, values->type, values->dims, values->rank, v, &at);
}

void hdf5_values_free_locked(const struct hdf5_values *values, void *elements)
{
	AUTO_HID space = H5Screate_simple((int)values->rank, values->dims, NULL);

	if (elements != NULL && space >= 0 && hdf5_values_count(values) > 0)
		(void)H5Dvlen_reclaim(values->type, space, H5P_DEFAULT, elements);
}
