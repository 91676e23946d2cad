/*
 * hdf5_types: HDF5's datatypes as dtypes of the tree, and back.
 *
 * The tree shows an element as the file has it, with two differences: the dimensions of
 * an array type are dimensions of the tensor, and numbers are little-endian. So a form is
 * a dtype, some dimensions, and a list of what has to be swapped; nothing is ever
 * converted by libhdf5. What has no better name is V<n>: its bytes as they are.
 */
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_DEPTH_MAX 32 /* types within types */
#define SWAPS_MAX 65536
#define MEMBERS_MAX 65536

/* Layouts of floats, all with a sign at the top and an implied first bit. */
static const struct layout {
	const char *dtype;
	size_t size;
	size_t exponent, mantissa; /* bits */
	size_t bias;
} layouts[] = {
	{"float32", 4, 8, 23, 127},
	{"float64", 8, 11, 52, 1023},
	{"float16", 2, 5, 10, 15},
	{"bfloat16", 2, 8, 7, 127},
	{"float8_e4m3fn", 1, 4, 3, 7},
	{"float8_e5m2", 1, 5, 2, 15},
};

static const struct dtype *find(const char *name)
{
	return dtype_find(name, strlen(name));
}

/* Little-endian or big-endian without gaps; false: neither. */
static bool plain_order(hid_t type, size_t size, bool *swap)
{
	H5T_order_t order = H5Tget_order(type);

	*swap = order == H5T_ORDER_BE && size > 1;
	return size == 1 || order == H5T_ORDER_LE || order == H5T_ORDER_BE;
}

static const struct dtype *integer_dtype(hid_t type, bool is_signed, bool *swap)
{
	static const char *const names[2][4] = {
		{"uint8", "uint16", "uint32", "uint64"},
		{"int8", "int16", "int32", "int64"},
	};
	size_t size = H5Tget_size(type);
	unsigned log = size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;

	if (size != (size_t)1 << log || H5Tget_precision(type) != size * 8 ||
		H5Tget_offset(type) != 0 || !plain_order(type, size, swap))
		return NULL;
	return find(names[is_signed][log]);
}

static const struct dtype *float_dtype(hid_t type, bool *swap)
{
	size_t size = H5Tget_size(type), spos, epos, esize, mpos, msize, i;
	const struct layout *l;

	if (H5Tget_fields(type, &spos, &epos, &esize, &mpos, &msize) < 0 ||
		H5Tget_precision(type) != size * 8 || H5Tget_offset(type) != 0 ||
		!plain_order(type, size, swap) || H5Tget_norm(type) != H5T_NORM_IMPLIED)
		return NULL;
	for (i = 0; i < sizeof layouts / sizeof *layouts; i++) {
		l = &layouts[i];
		if (size == l->size && spos == size * 8 - 1 && epos == l->mantissa &&
			esize == l->exponent && mpos == 0 && msize == l->mantissa &&
			H5Tget_ebias(type) == l->bias)
			return find(l->dtype);
	}
	return NULL;
}

/* What C calls long double here: 80 bits in 16 bytes. */
static const struct dtype *long_dtype(hid_t type)
{
	AUTO_HID native = H5Tcopy(H5T_NATIVE_LDOUBLE);

	return H5Tget_size(native) == 16 && H5Tequal(type, native) > 0 ? find("float128")
								       : NULL;
}

static const struct dtype *real_dtype(hid_t type, bool *swap)
{
	const struct dtype *dtype = float_dtype(type, swap);

	if (dtype != NULL)
		return dtype;
	*swap = false;
	return long_dtype(type);
}

static bool member_is(hid_t type, unsigned i, const char *name, size_t off)
{
	char *have = H5Tget_member_name(type, i);
	bool is = have != NULL && strcmp(have, name) == 0 &&
		  H5Tget_member_offset(type, i) == off;

	(void)H5free_memory(have);
	return is;
}

/* h5py's complex numbers: a compound of r and i. */
static const struct dtype *complex_dtype(hid_t type, bool *swap)
{
	size_t size = H5Tget_size(type);

	if (H5Tget_nmembers(type) != 2 || !member_is(type, 0, "r", 0) ||
		!member_is(type, 1, "i", size / 2))
		return NULL;
	AUTO_HID real = H5Tget_member_type(type, 0);
	AUTO_HID imaginary = H5Tget_member_type(type, 1);

	if (H5Tget_class(real) != H5T_FLOAT || H5Tequal(real, imaginary) <= 0 ||
		H5Tget_size(real) * 2 != size || real_dtype(real, swap) == NULL)
		return NULL;
	switch (size) {
	case 4: return find("complex32");
	case 8: return find("complex64");
	case 16: return find("complex128");
	case 32: return find("complex256");
	default: return NULL;
	}
}

static bool enum_is(hid_t type, unsigned i, const char *name)
{
	char *have = H5Tget_member_name(type, i);
	bool is = have != NULL && strcmp(have, name) == 0;
	signed char value = -1;

	(void)H5free_memory(have);
	return is && H5Tget_member_value(type, i, &value) >= 0 &&
	       value == (name[0] == 'T');
}

bool hdf5_is_bool_locked(hid_t type)
{
	return H5Tget_class(type) == H5T_ENUM && H5Tget_size(type) == 1 &&
	       H5Tget_nmembers(type) == 2 && enum_is(type, 0, "FALSE") &&
	       enum_is(type, 1, "TRUE");
}

static const struct dtype *enum_dtype(hid_t type, bool *swap)
{
	AUTO_HID base = 0;

	if (hdf5_is_bool_locked(type)) {
		*swap = false;
		return find("bool");
	}
	base = H5Tget_super(type);
	return integer_dtype(base, H5Tget_sign(base) == H5T_SGN_2, swap);
}

const struct dtype *hdf5_number_locked(hid_t type, bool *swap)
{
	switch (H5Tget_class(type)) {
	case H5T_INTEGER:
		return integer_dtype(type, H5Tget_sign(type) == H5T_SGN_2, swap);
	case H5T_BITFIELD: return integer_dtype(type, false, swap);
	case H5T_FLOAT: return real_dtype(type, swap);
	case H5T_ENUM: return enum_dtype(type, swap);
	case H5T_COMPOUND: return complex_dtype(type, swap);
	default: return NULL;
	}
}

static bool is_variable(hid_t type, unsigned depth);

static bool member_is_variable(hid_t type, unsigned depth)
{
	int i, n = H5Tget_nmembers(type);

	for (i = 0; i < n; i++) {
		AUTO_HID member = H5Tget_member_type(type, (unsigned)i);

		if (is_variable(member, depth + 1))
			return true;
	}
	return false;
}

/* Whether elements hold what lies elsewhere: strings and sequences of any length,
 * references. What is nested too deeply counts as that too. */
static bool is_variable(hid_t type, unsigned depth)
{
	AUTO_HID base = 0;

	if (depth > TYPE_DEPTH_MAX)
		return true;
	switch (H5Tget_class(type)) {
	case H5T_STRING: return H5Tis_variable_str(type) != 0;
	case H5T_VLEN:
	case H5T_REFERENCE: return true;
	case H5T_ARRAY: base = H5Tget_super(type); return is_variable(base, depth + 1);
	case H5T_COMPOUND: return member_is_variable(type, depth);
	default: return false;
	}
}

static bool add_swap(struct hdf5_form *form, struct hdf5_swap swap)
{
	struct hdf5_swap *swaps;

	if (form->n_swaps == SWAPS_MAX)
		return false;
	if ((form->n_swaps & (form->n_swaps - 1)) == 0) {
		swaps = reallocarray(form->swaps,
			form->n_swaps == 0 ? 1 : form->n_swaps * 2, sizeof *swaps);
		if (swaps == NULL)
			return false;
		form->swaps = swaps;
	}
	form->swaps[form->n_swaps++] = swap;
	return true;
}

/* `count` numbers in the other order. A complex one is two of its halves. */
static bool swap_number(
	struct hdf5_form *form, const struct dtype *dtype, size_t off, size_t count)
{
	size_t width = dtype_size(dtype);

	if (dtype->class == DTYPE_COMPLEX) {
		width /= 2;
		count *= 2;
	}
	if (off > UINT32_MAX || count > UINT32_MAX)
		return false;
	return add_swap(form, (struct hdf5_swap){(uint32_t)off, (uint32_t)width,
				      (uint32_t)count, false});
}

/* `count` strings that may be padded with spaces. */
static bool swap_string(struct hdf5_form *form, hid_t type, size_t off, size_t count)
{
	size_t width = H5Tget_size(type);

	if (H5Tget_strpad(type) != H5T_STR_SPACEPAD)
		return true;
	if (off > UINT32_MAX || count > UINT32_MAX || width > UINT32_MAX)
		return false;
	return add_swap(form, (struct hdf5_swap){(uint32_t)off, (uint32_t)width,
				      (uint32_t)count, true});
}

/* numpy's code of a number: "<f4", "|u1". */
static void put_code(struct text *out, const struct dtype *dtype)
{
	static const char kinds[] = {[DTYPE_BOOL] = 'b',
		[DTYPE_INT] = 'i',
		[DTYPE_UINT] = 'u',
		[DTYPE_FLOAT] = 'f',
		[DTYPE_COMPLEX] = 'c'};
	size_t size = dtype_size(dtype);

	if (dtype->class == DTYPE_OPAQUE) {
		text_puts(out, size == 16 ? "\"<f16\"" : "\"<c32\"");
		return;
	}
	if (dtype->class == DTYPE_MINIFLOAT ||
		(dtype->class == DTYPE_COMPLEX && size < 8))
		text_printf(out, "\"|V%zu\"", size);
	else
		text_printf(out, "\"%c%c%zu\"", size == 1 ? '|' : '<',
			kinds[dtype->class], size);
}

/* One type that stands `count` times at `off` of the element being described. */
struct part {
	hid_t type;
	size_t off, count;
	unsigned depth;
};

static bool describe_part(struct hdf5_form *form, struct part part, struct text *out);

/* ["name", DESCR] or ["name", DESCR, SHAPE]. */
static bool describe_field(
	struct hdf5_form *form, struct part part, const char *name, struct text *out)
{
	hsize_t dims[H5S_MAX_RANK];
	AUTO_HID base = 0;
	int rank = 0, i;

	if (!json_utf8(name, strlen(name)))
		return false;
	text_putc(out, '[');
	json_put_string(out, name, strlen(name));
	text_puts(out, ", ");
	if (H5Tget_class(part.type) == H5T_ARRAY) {
		rank = H5Tget_array_dims2(part.type, dims);
		base = H5Tget_super(part.type);
		part.type = base;
	}
	for (i = 0; i < rank; i++)
		part.count *= dims[i];
	if (rank < 0 || !describe_part(form, part, out))
		return false;
	for (i = 0; i < rank; i++)
		text_printf(out, "%s%" PRIu64, i == 0 ? ", [" : ", ", (uint64_t)dims[i]);
	text_puts(out, rank > 0 ? "]]" : "]");
	return true;
}

/* What is between members has no name. */
static void describe_gap(size_t size, struct text *out)
{
	text_printf(out, "[\"\", \"|V%zu\"]", size);
}

/* Member i, and the gap that *at, the end of what comes before it, leaves. */
static bool describe_member(struct hdf5_form *form, struct part part, unsigned i,
	size_t *at, struct text *out)
{
	AUTO_HID member = H5Tget_member_type(part.type, i);
	size_t off = H5Tget_member_offset(part.type, i), size = H5Tget_size(member);
	char *name = H5Tget_member_name(part.type, i);
	struct part field = {member, part.off + off, 1, part.depth + 1};
	bool ok = name != NULL && off >= *at && size > 0;

	text_puts(out, i > 0 ? ", " : "");
	if (ok && off > *at) {
		describe_gap(off - *at, out);
		text_puts(out, ", ");
	}
	ok = ok && describe_field(form, field, name, out);
	(void)H5free_memory(name);
	*at = off + size;
	return ok;
}

/* The members in the order of their offsets; any other order is not described. */
static bool describe_fields(struct hdf5_form *form, struct part part, struct text *out)
{
	size_t size = H5Tget_size(part.type), at = 0;
	int i, n = H5Tget_nmembers(part.type);

	if (n <= 0 || n > MEMBERS_MAX)
		return false;
	text_putc(out, '[');
	for (i = 0; i < n; i++)
		if (!describe_member(form, part, (unsigned)i, &at, out))
			return false;
	if (at > size)
		return false;
	if (at < size) {
		text_puts(out, ", ");
		describe_gap(size - at, out);
	}
	text_putc(out, ']');
	return true;
}

/* Its spelling, once; its swaps, for each of the records. */
static bool describe_record(struct hdf5_form *form, struct part part, struct text *out)
{
	size_t size = H5Tget_size(part.type), before = form->n_swaps, i;
	AUTO_TEXT again = {0};

	for (i = 0; i < part.count; i++, part.off += size) {
		if (!describe_fields(form, part, i == 0 ? out : &again))
			return false;
		text_clear(&again);
		if (form->n_swaps == before)
			break; /* there is nothing to swap in the others either */
	}
	return true;
}

/* Appends the numpy spelling of a field's type and lists its swaps; false: it has none.
 */
static bool describe_part(struct hdf5_form *form, struct part part, struct text *out)
{
	bool swap = false;
	const struct dtype *dtype = hdf5_number_locked(part.type, &swap);

	if (part.depth > TYPE_DEPTH_MAX)
		return false;
	if (dtype != NULL) {
		put_code(out, dtype);
		return !swap || swap_number(form, dtype, part.off, part.count);
	}
	switch (H5Tget_class(part.type)) {
	case H5T_STRING:
		text_printf(out, "\"|S%zu\"", H5Tget_size(part.type));
		return swap_string(form, part.type, part.off, part.count);
	case H5T_COMPOUND: return describe_record(form, part, out);
	case H5T_ARRAY: return false; /* an array of arrays in a field */
	default: text_printf(out, "\"|V%zu\"", H5Tget_size(part.type)); return true;
	}
}

static const struct dtype *named(struct hdf5_form *form, hid_t type)
{
	const char *format = H5Tget_class(type) == H5T_STRING ? "S%zu" : "V%zu";
	char name[32];

	free(form->swaps);
	form->swaps = NULL;
	form->n_swaps = 0;
	(void)snprintf(name, sizeof name, format, H5Tget_size(type));
	return find(name);
}

static const struct dtype *record_dtype(struct hdf5_form *form, hid_t type)
{
	size_t count = form->size / H5Tget_size(type);
	struct part part = {type, 0, count, 0};
	AUTO_TEXT out = {0};

	if (!describe_record(form, part, &out) || text_check(&out, NULL) < 0)
		return named(form, type);
	return dtype_intern(
		out.bytes, out.len, DTYPE_RECORD, (uint64_t)H5Tget_size(type) * 8);
}

static const struct dtype *variable_dtype(hid_t type)
{
	switch (H5Tget_class(type)) {
	case H5T_STRING: return find("string");
	case H5T_REFERENCE: return find("reference");
	default: return find("object");
	}
}

static const struct dtype *element_dtype(struct hdf5_form *form, hid_t type)
{
	bool swap = false;
	const struct dtype *dtype;

	form->variable = is_variable(type, 0);
	if (form->variable)
		return variable_dtype(type);
	dtype = hdf5_number_locked(type, &swap);
	form->enumerated = H5Tget_class(type) == H5T_ENUM && dtype != NULL &&
			   dtype->class != DTYPE_BOOL;
	if (dtype != NULL && swap &&
		!swap_number(form, dtype, 0, form->size / dtype_size(dtype)))
		return named(form, type);
	if (dtype != NULL)
		return dtype;
	if (H5Tget_class(type) == H5T_COMPOUND)
		return record_dtype(form, type);
	dtype = named(form, type);
	if (H5Tget_class(type) == H5T_STRING &&
		!swap_string(form, type, 0, form->size / H5Tget_size(type)))
		return NULL;
	return dtype;
}

/* The dimensions of an array type, outermost first; *type becomes what is in it. */
static int strip_array(hid_t *type, struct hdf5_form *form, struct error *err)
{
	hsize_t dims[H5S_MAX_RANK];
	int rank = H5Tget_array_dims2(*type, dims), i;
	hid_t base = H5Tget_super(*type);

	hdf5_hid_close(type);
	*type = base;
	if (rank < 0 || base < 0)
		return hdf5_fail_locked(err, EIO, "array type");
	if (form->rank + (unsigned)rank > HDF5_RANK_MAX - H5S_MAX_RANK)
		return error_set(err, EOPNOTSUPP, "array types within array types");
	for (i = 0; i < rank; i++)
		form->shape[form->rank++] = dims[i];
	return 0;
}

int hdf5_form_locked(hid_t type, struct hdf5_form *form, struct error *err)
{
	AUTO_HID base = H5Tcopy(type);
	int rc = 0;

	memset(form, 0, sizeof *form);
	form->size = H5Tget_size(type);
	while (rc == 0 && H5Tget_class(base) == H5T_ARRAY)
		rc = strip_array(&base, form, err);
	if (rc < 0)
		return rc;
	if (base < 0 || form->size == 0 || H5Tget_size(base) == 0)
		return hdf5_fail_locked(err, EIO, "datatype cannot be read");
	form->dtype = element_dtype(form, base);
	if (form->dtype == NULL)
		return error_set(err, EOPNOTSUPP, "elements of %zu bytes", form->size);
	return 0;
}

void hdf5_form_done(struct hdf5_form *form)
{
	free(form->swaps);
	form->swaps = NULL;
	form->n_swaps = 0;
}

static void swap_bytes(unsigned char *bytes, size_t width)
{
	unsigned char c;
	size_t i;

	for (i = 0; i < width / 2; i++) {
		c = bytes[i];
		bytes[i] = bytes[width - 1 - i];
		bytes[width - 1 - i] = c;
	}
}

static void swap_run(unsigned char *bytes, size_t width, size_t n)
{
	uint16_t half;
	uint32_t word;
	uint64_t both;

	for (; n > 0; n--, bytes += width) {
		if (width == 4) {
			memcpy(&word, bytes, 4);
			word = __builtin_bswap32(word);
			memcpy(bytes, &word, 4);
		} else if (width == 8) {
			memcpy(&both, bytes, 8);
			both = __builtin_bswap64(both);
			memcpy(bytes, &both, 8);
		} else if (width == 2) {
			memcpy(&half, bytes, 2);
			half = __builtin_bswap16(half);
			memcpy(bytes, &half, 2);
		} else {
			swap_bytes(bytes, width);
		}
	}
}

/* Trailing `from` of each string becomes `to`. */
static void pad_run(unsigned char *bytes, size_t width, size_t n, char from, char to)
{
	size_t len;

	for (; n > 0; n--, bytes += width)
		for (len = width; len > 0 && bytes[len - 1] == (unsigned char)from; len--)
			bytes[len - 1] = (unsigned char)to;
}

static void turn_run(
	const struct hdf5_swap *s, unsigned char *bytes, size_t n, char from, char to)
{
	if (s->spaces)
		pad_run(bytes, s->width, n, from, to);
	else
		swap_run(bytes, s->width, n);
}

static void turn(const struct hdf5_form *form, unsigned char *element, size_t n,
	char from, char to)
{
	const struct hdf5_swap *s = form->swaps;
	size_t i, count = 1;

	/* One kind alone: one run over all elements. */
	if (form->n_swaps == 1 && (size_t)s->width * s->count == form->size) {
		count = n;
		n = n > 0;
	}
	for (; form->n_swaps > 0 && n > 0; n--, element += form->size)
		for (i = 0; i < form->n_swaps; i++)
			turn_run(&s[i], element + s[i].off, s[i].count * count, from, to);
}

void hdf5_swap(const struct hdf5_form *form, void *elements, size_t n)
{
	turn(form, elements, n, ' ', '\0');
}

void hdf5_swap_back(const struct hdf5_form *form, void *elements, size_t n)
{
	turn(form, elements, n, '\0', ' ');
}
