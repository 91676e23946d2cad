/*
 * hdf5_new_types: the HDF5 types that new tensors get, as h5py would choose them.
 */
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_DEPTH_MAX 32 /* records within records */

static const struct dtype *find(const char *name)
{
	return dtype_find(name, strlen(name));
}

/* IEEE 754 floats of 2, 4 and 8 bytes. */
static const struct layout {
	size_t size, exponent, mantissa, bias;
} half = {2, 5, 10, 15}, single = {4, 8, 23, 127}, twice = {8, 11, 52, 1023};

static hid_t float_type(size_t size)
{
	const struct layout *l = size == 2 ? &half : size == 4 ? &single : &twice;
	hid_t type = H5Tcopy(H5T_IEEE_F64LE);

	if (type < 0)
		return type;
	(void)H5Tset_fields(
		type, l->size * 8 - 1, l->mantissa, l->exponent, 0, l->mantissa);
	(void)H5Tset_ebias(type, l->bias);
	(void)H5Tset_precision(type, l->size * 8);
	(void)H5Tset_size(type, l->size);
	return type;
}

static hid_t bool_type(void)
{
	hid_t type = H5Tenum_create(H5T_STD_I8LE);
	signed char no = 0, yes = 1;

	(void)H5Tenum_insert(type, "FALSE", &no);
	(void)H5Tenum_insert(type, "TRUE", &yes);
	return type;
}

static hid_t complex_type(const struct dtype *dtype)
{
	size_t size = dtype_size(dtype);
	AUTO_HID real = float_type(size / 2);
	hid_t type = H5Tcreate(H5T_COMPOUND, size);

	(void)H5Tinsert(type, "r", 0, real);
	(void)H5Tinsert(type, "i", size / 2, real);
	return type;
}

static hid_t integer_type(const struct dtype *dtype)
{
	bool is_signed = dtype->class == DTYPE_INT;

	switch (dtype->bits) {
	case 8: return H5Tcopy(is_signed ? H5T_STD_I8LE : H5T_STD_U8LE);
	case 16: return H5Tcopy(is_signed ? H5T_STD_I16LE : H5T_STD_U16LE);
	case 32: return H5Tcopy(is_signed ? H5T_STD_I32LE : H5T_STD_U32LE);
	case 64: return H5Tcopy(is_signed ? H5T_STD_I64LE : H5T_STD_U64LE);
	default: return -1;
	}
}

static hid_t string_type(size_t size)
{
	hid_t type = H5Tcopy(H5T_C_S1);

	(void)H5Tset_size(type, size);
	(void)H5Tset_strpad(type, H5T_STR_NULLPAD);
	return type;
}

static hid_t opaque_type(size_t size)
{
	hid_t type = H5Tcreate(H5T_OPAQUE, size);

	(void)H5Tset_tag(type, "");
	return type;
}

/* The type of one of numpy's codes ("<f4", "|S8"). */
static hid_t code_type(const char *code)
{
	static const struct {
		const char *code, *dtype;
	} codes[] = {{"b1", "bool"}, {"i1", "int8"}, {"i2", "int16"}, {"i4", "int32"},
		{"i8", "int64"}, {"u1", "uint8"}, {"u2", "uint16"}, {"u4", "uint32"},
		{"u8", "uint64"}, {"f2", "float16"}, {"f4", "float32"}, {"f8", "float64"},
		{"f16", "float128"}, {"c8", "complex64"}, {"c16", "complex128"}};
	const struct dtype *dtype;
	hid_t type = -1;
	bool tagged;
	size_t i;

	if (code[0] != '<' && code[0] != '|')
		return -1;
	dtype = find(code + 1); /* S8, V8 */
	for (i = 0; i < sizeof codes / sizeof *codes; i++)
		if (strcmp(code + 1, codes[i].code) == 0)
			dtype = find(codes[i].dtype);
	if (dtype == NULL || hdf5_type_locked(dtype, &type, &tagged, NULL) < 0)
		return -1;
	return type;
}

static hid_t fields_type(const struct json *json, json_value list, unsigned depth);

static hid_t field_type(const struct json *json, json_value field, unsigned depth)
{
	json_value name = json_first(json, field), code, shape, v;
	hsize_t dims[H5S_MAX_RANK];
	AUTO_TEXT text = {0};
	unsigned rank = 0;
	hid_t type, array;
	uint64_t dim;

	if (json_count(json, field) < 2 || json_type(json, name) != JSON_STRING)
		return -1;
	code = json_next(json, name);
	shape = json_next(json, code);
	if (json_type(json, code) == JSON_ARRAY) {
		type = fields_type(json, code, depth + 1);
	} else if (json_type(json, code) == JSON_STRING) {
		json_string(json, code, &text);
		type = text_check(&text, NULL) < 0 ? -1 : code_type(text.bytes);
	} else {
		return -1;
	}
	if (type < 0 || shape == JSON_NONE)
		return type;
	for (v = json_first(json, shape); v != JSON_NONE; v = json_next(json, v)) {
		if (rank == H5S_MAX_RANK || json_uint64(json, v, &dim, NULL) < 0 ||
			dim == 0)
			break;
		dims[rank++] = dim;
	}
	array = v != JSON_NONE || rank == 0 ? -1 : H5Tarray_create2(type, rank, dims);
	hdf5_hid_close(&type);
	return array;
}

/* Inserts one field behind *size bytes; a gap has no name. */
static bool insert_field(hid_t record, const struct json *json, json_value field,
	size_t *size, unsigned depth)
{
	AUTO_HID type = field_type(json, field, depth);
	AUTO_TEXT name = {0};
	size_t grown;

	if (type < 0 || H5Tget_size(type) == 0 ||
		__builtin_add_overflow(*size, H5Tget_size(type), &grown))
		return false;
	json_string(json, json_first(json, field), &name);
	if (text_check(&name, NULL) < 0 || H5Tset_size(record, grown) < 0)
		return false;
	if (name.len > 0 && H5Tinsert(record, name.bytes, *size, type) < 0)
		return false;
	*size = grown;
	return true;
}

static hid_t fields_type(const struct json *json, json_value list, unsigned depth)
{
	hid_t record = depth > TYPE_DEPTH_MAX ? -1 : H5Tcreate(H5T_COMPOUND, 1);
	size_t size = 0;
	json_value v;

	for (v = json_first(json, list); record >= 0 && v != JSON_NONE;
		v = json_next(json, v))
		if (!insert_field(record, json, v, &size, depth)) {
			hdf5_hid_close(&record);
			return -1;
		}
	return record;
}

static hid_t record_type(const struct dtype *dtype)
{
	AUTO_JSON *json = NULL;

	if (json_parse(&json, dtype->name, strlen(dtype->name), 0, NULL) < 0 ||
		json_type(json, 0) != JSON_ARRAY || json_count(json, 0) == 0)
		return -1;
	return fields_type(json, 0, 0);
}

/* A record of numpy's may say what a type of HDF5 cannot: gaps that have a kind, or
 * stand next to each other. */
static bool reads_as(hid_t type, const struct dtype *dtype)
{
	AUTO_FORM form = {0};

	return hdf5_form_locked(type, &form, NULL) == 0 && form.dtype == dtype;
}

int hdf5_type_locked(
	const struct dtype *dtype, hid_t *type, bool *tagged, struct error *err)
{
	size_t size = dtype_size(dtype);
	hid_t id = -1;

	*tagged = false;
	if (size == 0 || dtype->class == DTYPE_BLOCK || dtype->class == DTYPE_NONE)
		return error_set(err, EOPNOTSUPP,
			"dtype: expected a type that HDF5 files can hold, found %s",
			dtype->name);
	if (dtype->class == DTYPE_BOOL)
		id = bool_type();
	else if (dtype->class == DTYPE_INT || dtype->class == DTYPE_UINT)
		id = integer_type(dtype);
	else if (dtype->class == DTYPE_FLOAT)
		id = float_type(size);
	else if (dtype->class == DTYPE_COMPLEX)
		id = complex_type(dtype);
	else if (dtype == find("float128"))
		id = H5Tcopy(H5T_NATIVE_LDOUBLE);
	else if (dtype->class == DTYPE_BYTES)
		id = string_type(size);
	else if (dtype->class == DTYPE_RECORD)
		id = record_type(dtype);
	else
		id = opaque_type(size);
	*tagged = dtype->class == DTYPE_MINIFLOAT;
	if (id > 0 && !*tagged && !reads_as(id, dtype))
		hdf5_hid_close(&id);
	if (id <= 0)
		return hdf5_fail_locked(err, EOPNOTSUPP,
			"dtype: expected a type that HDF5 files can hold, found %s",
			dtype->name);
	*type = id;
	return 0;
}

int hdf5_storable(const struct tensor *type, struct error *err)
{
	AUTO_LOCK;
	AUTO_HID id = 0;
	bool tagged;

	if (type->rank > H5S_MAX_RANK)
		return error_set(err, EOPNOTSUPP,
			"shape: expected at most %d dimensions, found %u", H5S_MAX_RANK,
			type->rank);
	return hdf5_type_locked(type->dtype, &id, &tagged, err);
}
