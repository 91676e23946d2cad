/*
 * hdf5_sound: what an object header says of types and attributes, looked at before
 * libhdf5 gets it.
 *
 * libhdf5 1.10 takes names for terminated, copies as many bytes as a reference into a
 * heap leads to, whatever the reference says, and frees tables that it filled in part. So
 * an object whose types or attributes do not add up is not given to it.
 *
 * The hard idea: a datatype message is walked twice, first by itself, until all sizes are
 * known to fit, then along each element, where it leads to strings and sequences.
 */
#include "decoders/base/error.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SHARED_TYPE 1 /* flags of an attribute: messages in it that are shared */
#define SHARED_SPACE 2
#define TYPE_DEPTH_MAX 32
#define ROOM_FREE (64u << 20)
#define STEPS_FREE 10000000 /* types, and objects of heaps, that are looked at */
#define STEPS_PER_BYTE 64   /* of the file, beyond that */
#define STEP_BYTES 64	    /* of a heap that is read */
#define SUPERBLOCK_MAX 128
#define CACHED_GROUP 1
#define LINK_ORDERED 0x04 /* flags of a link */
#define LINK_TYPED 0x08
#define LINK_ENCODED 0x10
#define MESSAGE_SPACES 0x17
#define MESSAGE_CACHE_IMAGE 0x18

enum type_class {
	FIXED,
	FLOAT,
	TIME,
	STRING,
	BITFIELD,
	OPAQUE,
	COMPOUND,
	REFERENCE,
	ENUM,
	VLEN,
	ARRAY,
};

/* One object being looked at. */
struct look {
	struct hdf5_image *image;
	struct error *err;
	uint64_t room; /* bytes that its strings and sequences may still take */
	uint64_t at;   /* of the heap at hand */
	unsigned char *heap;
	uint64_t heap_size;
	bool later; /* the datatype itself is of a version that is not known */
};

/* Bytes of a message that are still to be read. */
struct piece {
	const unsigned char *p;
	size_t left;
};

struct type {
	unsigned class, version, flags;
	uint64_t size; /* of an element */
	bool variable; /* leads into a heap */
};

static int unsound(struct look *l, const char *what)
{
	return error_set(l->err, EIO, "%s", what);
}

bool hdf5_step(struct hdf5_image *image, uint64_t n)
{
	image->looked += n;
	return image->looked / STEPS_PER_BYTE <=
	       image->size + STEPS_FREE / STEPS_PER_BYTE;
}

void hdf5_steps_back(struct hdf5_image *image, uint64_t looked)
{
	if (hdf5_step(image, 0))
		image->looked = looked;
}

static bool step(const struct look *l, uint64_t n)
{
	return hdf5_step(l->image, n);
}

/* The next bytes, or NULL where there are too few. */
static const unsigned char *take(struct piece *in, uint64_t n)
{
	const unsigned char *p = in->p;

	if (n > in->left)
		return NULL;
	in->p += n;
	in->left -= n;
	return p;
}

/* A terminated name, padded to 8 before version 3. */
static bool take_name(struct piece *in, unsigned version)
{
	const unsigned char *end = memchr(in->p, '\0', in->left);
	size_t len;

	if (end == NULL)
		return false;
	len = (size_t)(end - in->p) + 1;
	return take(in, version < 3 ? (len + 7) & ~(size_t)7 : len) != NULL;
}

/* Heaps. */

/* Loads the collection at an offset, which is then the one at hand. */
static int load_heap(struct look *l, uint64_t off)
{
	size_t head = hdf5_heap_head(l->image);
	unsigned char start[16];
	uint64_t size;

	if (l->heap != NULL && l->at == off)
		return 0;
	free(l->heap);
	l->heap = NULL;
	if (off > l->image->size || l->image->size - off < head ||
		hdf5_image_read(l->image, off, start, head, l->err) < 0 ||
		memcmp(start, "GCOL\1", 5) != 0)
		return unsound(l, "expected a global heap where an element leads to");
	size = hdf5_little(start + 8, l->image->length_size);
	if (size < head || size > l->image->size - off)
		return unsound(l, "a global heap of more bytes than the file");
	if (!step(l, size / STEP_BYTES))
		return unsound(l, "global heaps that are referred to too often");
	l->heap = malloc(size);
	if (l->heap == NULL)
		return error_set(l->err, ENOMEM, "not enough memory for a heap");
	l->at = off;
	l->heap_size = size;
	return hdf5_image_read(l->image, off, l->heap, size, l->err);
}

/* The object of that number in the heap at hand, or NULL. */
static const unsigned char *find_object(
	const struct look *l, uint64_t number, uint64_t *size)
{
	uint64_t head = hdf5_heap_head(l->image), at = head, n;

	for (; l->heap_size - at >= head && step(l, 1); at += n) {
		const unsigned char *p = l->heap + at;
		uint64_t index = hdf5_little(p, 2);

		*size = hdf5_little(p + 8, l->image->length_size);
		if (*size > l->heap_size - at)
			return NULL;
		n = index == 0 ? *size : head + ((*size + 7) & ~UINT64_C(7));
		if (n < head || n > l->heap_size - at)
			return NULL;
		if (index == number && number != 0)
			return p + head;
	}
	return NULL;
}

/* The bytes that an element of a variable type leads to: malloc'ed, NULL where it leads
 * nowhere. */
static int follow(struct look *l, const unsigned char *element, uint64_t base,
	unsigned char **out, uint64_t *count)
{
	size_t width = l->image->address_size;
	uint64_t address = hdf5_little(element + 4, width), off, size, bytes;
	uint64_t number = hdf5_little(element + 4 + width, 4);
	const unsigned char *object;
	int rc;

	*out = NULL;
	*count = hdf5_little(element, 4);
	if (address == 0 || *count == 0)
		return 0;
	bytes = *count * base; /* of 32 bits each */
	if (bytes > l->room)
		return unsound(l, "its strings take more than the file has");
	l->room -= bytes;
	if (__builtin_add_overflow(address, l->image->base, &off))
		return unsound(l, "expected a global heap where an element leads to");
	rc = load_heap(l, off);
	if (rc < 0)
		return rc;
	object = find_object(l, number, &size);
	if (object == NULL || size != bytes)
		return unsound(l, "expected as many bytes in the heap as it refers to");
	*out = malloc(size);
	if (*out == NULL)
		return error_set(l->err, ENOMEM, "not enough memory for elements");
	memcpy(*out, object, size);
	return 0;
}

/* Types. */

/* Reads the type at `in` and, with `element`, follows where that leads to. */
static int walk_type(struct look *l, struct piece *in, const unsigned char *element,
	unsigned depth, struct type *out);

/* Elements of the type that begins at `in`, which is known to be sound. */
static int walk_elements(struct look *l, struct piece in, const unsigned char *elements,
	uint64_t count, unsigned depth)
{
	struct piece again;
	struct type type;
	int rc = 0;

	for (uint64_t i = 0; rc == 0 && i < count; i++) {
		again = in;
		rc = walk_type(l, &again, elements, depth, &type);
		if (rc == 0 && !type.variable)
			return 0;
		elements += type.size;
	}
	return rc;
}

static unsigned offset_width(uint64_t size)
{
	unsigned n = 1;

	while ((size >>= 8) > 0)
		n++;
	return n;
}

static int walk_compound(struct look *l, struct piece *in, const unsigned char *element,
	unsigned depth, struct type *type)
{
	unsigned width = type->version < 3 ? 4 : offset_width(type->size);
	size_t more = type->version == 1 ? 28 : 0; /* dimensions of old */
	const unsigned char *p;
	struct type member;
	uint64_t off;
	int rc;

	for (unsigned n = type->flags & 0xffff; n > 0; n--) {
		if (!take_name(in, type->version) || (p = take(in, width)) == NULL ||
			take(in, more) == NULL)
			return unsound(l, "a compound type that is cut off");
		off = hdf5_little(p, width);
		rc = walk_type(
			l, in, element != NULL ? element + off : NULL, depth, &member);
		if (rc < 0)
			return rc;
		if (off > type->size || member.size > type->size - off)
			return unsound(l, "a compound type whose members do not fit");
		type->variable |= member.variable;
	}
	return 0;
}

static int walk_enum(struct look *l, struct piece *in, unsigned depth, struct type *type)
{
	unsigned n = type->flags & 0xffff;
	struct type base;
	int rc = walk_type(l, in, NULL, depth, &base);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < n; i++)
		if (!take_name(in, type->version))
			return unsound(l, "an enumeration that is cut off");
	if (base.variable || base.size != type->size || take(in, n * base.size) == NULL)
		return unsound(l, "an enumeration that is cut off");
	return 0;
}

static int walk_variable(struct look *l, struct piece *in, const unsigned char *element,
	unsigned depth, struct type *type)
{
	struct piece base_at = *in;
	unsigned char *bytes;
	struct type base;
	uint64_t count;
	int rc = walk_type(l, in, NULL, depth, &base);

	if (rc < 0)
		return rc;
	/* A sequence or a string: libhdf5 takes anything else for one half. */
	if ((type->flags & 0x0f) > 1)
		return unsound(l, "a type of variable length of an unknown kind");
	if (type->size != 8 + l->image->address_size || base.size > UINT32_MAX)
		return unsound(l, "a type of variable length that is no reference");
	type->variable = true;
	if (element == NULL)
		return 0;
	rc = follow(l, element, base.size, &bytes, &count);
	if (rc == 0 && bytes != NULL && base.variable)
		rc = walk_elements(l, base_at, bytes, count, depth);
	free(bytes);
	return rc;
}

static int walk_array(struct look *l, struct piece *in, const unsigned char *element,
	unsigned depth, struct type *type)
{
	const unsigned char *rank = take(in, type->version < 3 ? 4 : 1), *dims;
	struct piece base_at;
	struct type base;
	uint64_t count = 1;
	int rc;

	dims = rank == NULL ? NULL : take(in, *rank * 4u);
	if (dims == NULL || (type->version < 3 && take(in, *rank * 4u) == NULL))
		return unsound(l, "an array type that is cut off");
	for (unsigned i = 0; i < *rank; i++)
		if (__builtin_mul_overflow(count, hdf5_little(dims + 4 * i, 4), &count))
			return unsound(l, "an array type of too many elements");
	base_at = *in;
	rc = walk_type(l, in, NULL, depth, &base);
	if (rc < 0)
		return rc;
	if (__builtin_mul_overflow(count, base.size, &count) || count != type->size)
		return unsound(l, "an array type of another size than its elements");
	type->variable = base.variable;
	if (element == NULL || !base.variable)
		return 0;
	return walk_elements(l, base_at, element, count / base.size, depth);
}

/* To an object, or to a region: a global heap has it. */
static int walk_reference(struct look *l, const struct type *type)
{
	uint64_t size = sizeof(uint64_t);

	if ((type->flags & 0x0f) == 1)
		size = l->image->address_size + 4;
	return type->size >= size && type->size >= sizeof(uint64_t)
		       ? 0
		       : unsound(l, "a reference of too few bytes");
}

static int walk_class(struct look *l, struct piece *in, const unsigned char *element,
	unsigned depth, struct type *type)
{
	/* Bytes of properties, by class; of an opaque type, its tag. */
	static const unsigned char properties[] = {4, 12, 2, 0, 4, 0};

	switch (type->class) {
	case COMPOUND: return walk_compound(l, in, element, depth, type);
	case REFERENCE: return walk_reference(l, type);
	case ENUM: return walk_enum(l, in, depth, type);
	case VLEN: return walk_variable(l, in, element, depth, type);
	case ARRAY: return walk_array(l, in, element, depth, type);
	default: break;
	}
	if (type->class > OPAQUE)
		return unsound(l, "a datatype of an unknown class");
	if (take(in, type->class == OPAQUE ? type->flags & 0xff
					   : properties[type->class]) == NULL)
		return unsound(l, "a datatype that is cut off");
	return 0;
}

static int walk_type(struct look *l, struct piece *in, const unsigned char *element,
	unsigned depth, struct type *out)
{
	const unsigned char *p = take(in, 8);

	if (p == NULL)
		return unsound(l, "a datatype that is cut off");
	if (depth == TYPE_DEPTH_MAX || !step(l, 1))
		return unsound(l, "a datatype that is too large");
	*out = (struct type){.class = p[0] & 0x0f,
		.version = p[0] >> 4,
		.flags = (unsigned)hdf5_little(p + 1, 3),
		.size = hdf5_little(p + 4, 4)};
	l->later = depth == 0 && out->version > 3;
	if (out->version < 1 || out->version > 3)
		return error_set(l->err, EIO,
			"datatype: expected a version from 1 to 3, found %u",
			out->version);
	if (out->size == 0)
		return unsound(l, "a datatype of no bytes");
	return walk_class(l, in, element, depth + 1, out);
}

/* Attributes. */

/* Elements that a dataspace message asks for. */
static int count_elements(struct look *l, struct piece in, uint64_t *count)
{
	const unsigned char *p = take(&in, 4), *dim;

	if (p == NULL || p[0] < 1 || p[0] > 2 || (p[0] == 1 && take(&in, 4) == NULL))
		return unsound(l, "a dataspace of an unknown version");
	*count = p[0] == 2 && p[3] == 2 ? 0 : 1;
	for (unsigned i = 0; i < p[1]; i++) {
		dim = take(&in, l->image->length_size);
		if (dim == NULL ||
			__builtin_mul_overflow(
				*count, hdf5_little(dim, l->image->length_size), count))
			return unsound(l, "a dataspace that is cut off");
	}
	return 0;
}

static int check_elements(
	struct look *l, struct piece type_at, struct piece space, struct piece data)
{
	struct piece in = type_at;
	struct type type;
	uint64_t count = 0, bytes;
	int rc = walk_type(l, &in, NULL, 0, &type);

	if (rc == 0)
		rc = count_elements(l, space, &count);
	if (rc < 0)
		return rc;
	if (__builtin_mul_overflow(count, type.size, &bytes) || bytes > data.left)
		return unsound(l, "an attribute of more elements than it has bytes");
	return type.variable ? walk_elements(l, type_at, data.p, count, 0) : 0;
}

/* The same where the type has a name, and so a header of its own. */
static int check_named(
	struct look *l, struct piece shared, struct piece space, struct piece data)
{
	struct hdf5_message type = {0};
	int rc = hdf5_shared_type(l->image, shared.p, shared.left, &type, l->err);

	if (rc == 0)
		rc = check_elements(l, (struct piece){type.bytes, type.len}, space, data);
	free((void *)type.bytes);
	return rc;
}

/* A datatype message, or one that leads to another's. */
static int check_type(struct look *l, const struct hdf5_message *m)
{
	struct hdf5_message named = {0};
	struct piece in = {m->bytes, m->len};
	struct type type;
	int rc = 0;

	if ((m->flags & HDF5_MESSAGE_SHARED) != 0) {
		rc = hdf5_shared_type(l->image, m->bytes, m->len, &named, l->err);
		in = (struct piece){named.bytes, named.len};
	}
	if (rc == 0)
		rc = walk_type(l, &in, NULL, 0, &type);
	free((void *)named.bytes);
	return rc;
}

/* address of the tree | address of the local heap */
static int check_group(struct look *l, const struct hdf5_message *m)
{
	size_t width = l->image->address_size;

	if (m->len < 2 * width ||
		!hdf5_local_heap_sound(l->image, hdf5_little(m->bytes + width, width)))
		return unsound(l, "a group of more names than the file has");
	return 0;
}

/* version | flags | lengths of name, type and space, u16 each | [character set] */
static int check_attribute(struct look *l, struct piece in)
{
	const unsigned char *head = take(&in, 8), *name;
	struct piece part[2];
	size_t len;

	if (head == NULL || head[0] < 1 || head[0] > 3 ||
		(head[0] == 3 && take(&in, 1) == NULL))
		return unsound(l, "an attribute of an unknown version");
	for (unsigned i = 0; i < 3; i++) {
		len = hdf5_little(head + 2 + 2 * i, 2);
		name = take(&in, head[0] == 1 ? (len + 7) & ~(size_t)7 : len);
		if (name == NULL)
			return unsound(l, "an attribute that is cut off");
		if (i == 0 && memchr(name, '\0', len) == NULL)
			return unsound(l, "an attribute's name without an end");
		if (i > 0)
			part[i - 1] = (struct piece){name, len};
	}
	if (head[0] > 1 && (head[1] & SHARED_SPACE) != 0)
		return unsound(l, "an attribute with a dataspace that is shared");
	if (head[0] > 1 && (head[1] & SHARED_TYPE) != 0)
		return check_named(l, part[0], part[1], in);
	return check_elements(l, part[0], part[1], in);
}

/* libhdf5 itself refuses a datatype of a later version, at its first byte; the object has
 * more than that attribute. */
static int check_dense(void *arg, const unsigned char *bytes, size_t len)
{
	struct look *l = arg;
	struct error *err = l->err, why = {0};
	int rc;

	l->err = &why;
	l->later = false;
	rc = check_attribute(l, (struct piece){bytes, len});
	l->err = err;
	return rc == 0 || l->later ? 0 : error_set(err, -rc, "%s", why.text);
}

/* 1 | flags | [type] | [order, 8 bytes] | [character set] | length of the name | name |
 * address of an object; or length, u16, and value */
static int check_link(void *arg, const unsigned char *bytes, size_t len)
{
	struct look *l = arg;
	struct piece in = {bytes, len};
	const unsigned char *head = take(&in, 2), *p;
	unsigned type = 0;

	if (head != NULL && (head[1] & LINK_TYPED) != 0)
		type = (p = take(&in, 1)) != NULL ? *p : 0;
	if (head == NULL ||
		take(&in, ((head[1] & LINK_ORDERED) != 0 ? 8 : 0) +
				  ((head[1] & LINK_ENCODED) != 0)) == NULL ||
		(p = take(&in, (size_t)1 << (head[1] & 3))) == NULL ||
		take(&in, hdf5_little(p, (size_t)1 << (head[1] & 3))) == NULL)
		return unsound(l, "a link whose name is cut off");
	if (type == 0)
		p = take(&in, l->image->address_size);
	else if ((p = take(&in, 2)) != NULL)
		p = take(&in, hdf5_little(p, 2));
	return p != NULL ? 0 : unsound(l, "a link that is cut off");
}

static int check_message(void *arg, const struct hdf5_message *m, struct error *err)
{
	struct look *l = arg;

	(void)err;
	if (m->type == HDF5_MESSAGE_TYPE)
		return check_type(l, m);
	if (m->type == HDF5_MESSAGE_GROUP)
		return check_group(l, m);
	if (m->type == HDF5_MESSAGE_ATTRIBUTES)
		return hdf5_dense_attributes(l->image, m, check_dense, l, l->err);
	if (m->type == HDF5_MESSAGE_LINKS)
		return hdf5_dense_links(l->image, m, check_link, l, l->err);
	if (m->type == HDF5_MESSAGE_LINK)
		return check_link(l, m->bytes, m->len);
	if (m->type != HDF5_MESSAGE_ATTRIBUTE || (m->flags & HDF5_MESSAGE_SHARED) != 0)
		return 0;
	return check_attribute(l, (struct piece){m->bytes, m->len});
}

int hdf5_check_object(struct hdf5_image *image, uint64_t address, struct error *err)
{
	struct look l = {.image = image, .err = err, .room = image->size + ROOM_FREE};
	int rc = hdf5_messages(image, address, check_message, &l, err);

	free(l.heap);
	if (rc == 0)
		rc = hdf5_check_described(image, address, err);
	return rc < 0 ? rc : hdf5_check_indexes(image, address, err);
}

/* The root group's entry in a superblock of version 0 or 1 says again, behind the address
 * of its header, where its names are, and libhdf5 believes that one.
 *
 *	offset of its name | header | 1: there are addresses | 4 | tree | names
 */
static int check_entry(
	struct hdf5_image *image, const unsigned char *p, struct error *err)
{
	size_t width = image->address_size;
	uint64_t names = hdf5_little(p + 3 * width + 8, width);

	if (hdf5_little(p + 2 * width, 4) == CACHED_GROUP &&
		!hdf5_local_heap_sound(image, names))
		return error_set(err, EIO, "a group of more names than the file has");
	return hdf5_check_object(image, hdf5_little(p + width, width), err);
}

/* 1 | strategy | 1: lists are kept | smallest | page | u16 | end of the file | lists */
static void check_spaces(struct hdf5_image *image, const struct hdf5_message *m)
{
	size_t width = image->address_size, at = 5 + 2 * image->length_size + width;

	if (m->len < 3 || m->bytes[0] != 1 || m->bytes[2] == 0)
		return;
	for (; m->len >= at + width; at += width)
		if (!hdf5_space_sound(image, hdf5_little(m->bytes + at, width), 0))
			image->space_lies = true;
}

static int check_extension_message(
	void *arg, const struct hdf5_message *m, struct error *err)
{
	if (m->type == MESSAGE_SPACES)
		check_spaces(arg, m);
	if (m->type == MESSAGE_CACHE_IMAGE)
		return error_set(err, EOPNOTSUPP,
			"superblock: an image of the cache, which is not supported");
	return 0;
}

static int check_superblock_2(
	struct hdf5_image *image, const unsigned char *p, struct error *err)
{
	size_t width = image->address_size;
	uint64_t none = width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;
	uint64_t extension = hdf5_little(p + 12 + width, width);
	int rc = 0;

	if (extension != none)
		rc = hdf5_messages(image, extension, check_extension_message, image, err);
	if (rc < 0)
		return rc;
	rc = hdf5_check_object(image, hdf5_little(p + 12 + 3 * width, width), err);
	if (rc < 0)
		error_prefix(err, "root group");
	return rc;
}

int hdf5_check_superblock(struct hdf5_image *image, struct error *err)
{
	unsigned char p[SUPERBLOCK_MAX];
	int rc = hdf5_image_read(image, image->base, p, sizeof p, err);

	if (rc == 0 && (p[8] == 2 || p[8] == 3))
		return check_superblock_2(image, p, err);
	if (rc < 0 || p[8] > 3)
		return rc;
	rc = check_entry(image, p + (p[8] == 0 ? 24 : 28) + 4 * image->address_size, err);
	if (rc < 0)
		error_prefix(err, "root group");
	return rc;
}

int hdf5_check_elements(struct hdf5_image *image, const struct hdf5_message *type,
	const unsigned char *elements, uint64_t count, struct error *err)
{
	struct look l = {.image = image, .err = err, .room = image->size + ROOM_FREE};
	struct piece in = {type->bytes, type->len};
	int rc = walk_elements(&l, in, elements, count, 0);

	free(l.heap);
	return rc;
}

int hdf5_heap_object(struct hdf5_image *image, uint64_t address, uint64_t number,
	unsigned char **out, uint64_t *size, struct error *err)
{
	struct look l = {.image = image, .err = err};
	const unsigned char *object = NULL;
	uint64_t off;
	int rc = __builtin_add_overflow(address, image->base, &off)
			 ? unsound(&l, "a global heap beyond the end of the file")
			 : load_heap(&l, off);

	if (rc == 0 && (object = find_object(&l, number, size)) == NULL)
		rc = unsound(&l, "expected an object in a global heap, found none");
	if (rc == 0 && (*out = malloc(*size + 1)) == NULL)
		rc = error_set(err, ENOMEM, "not enough memory for a heap");
	if (rc == 0)
		memcpy(*out, object, *size);
	free(l.heap);
	return rc;
}

uint64_t hdf5_region_object(struct hdf5_image *image, const unsigned char *element)
{
	size_t width = image->address_size;
	unsigned char *object = NULL;
	uint64_t size, address = 0;
	struct error why = {0};

	if (hdf5_heap_object(image, hdf5_little(element, width),
		    hdf5_little(element + width, 4), &object, &size, &why) == 0 &&
		size >= width)
		address = hdf5_little(object, width);
	free(object);
	return address;
}
