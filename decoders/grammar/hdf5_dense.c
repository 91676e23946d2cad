/*
 * hdf5_dense: attributes and links that an object's header has no room for, without
 * libhdf5.
 *
 *	"BTHD" 0 type | node, u32 | record, u16 | depth, u16 | 2 | root | records, u16
 *	node: "BTIN" or "BTLF" 0 type | records | below: address, records, [all records]
 *	attribute: place in the heap, 8 bytes | flags | order, u32 | [hash of the name]
 *	link: hash of the name, u32, or order, 8 bytes | place in the heap, 7 bytes
 *
 *	"FRHP" 0 | bytes of a place, u16 | filters, u16 | flags | most bytes, u32 | ... |
 *table table: columns, u16 | first | largest direct | bits, u16 | 2 | root | rows, u16
 *	place: kind | offset and length, in one of its blocks; or the number in a tree
 *
 * The blocks of a heap double in size: those of a row are as large as all rows above it.
 * Those of later rows are tables of smaller ones. "HDF5 File Format Specification",
 * III.A.2 and III.G.
 */
#include "decoders/base/error.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 16
#define TREE_HEAD 40
#define NODE_PREFIX 6
#define NODE_AROUND 10 /* its checksum, too */
#define HEAP_HEAD 160  /* the most that it takes */
#define STEP_BYTES 64
#define DIRECT_BITS_MAX 31
#define BY_NUMBER 1 /* of huge objects */
#define MORE 6	    /* bytes of rows and columns, of a section of free blocks */
#define SHARED 2    /* flags of an attribute's record */

/* How one kind is found. */
struct kind {
	unsigned by_name, by_order; /* types of trees */
	size_t place_len, order_len;
	size_t record, record_order; /* bytes of one */
	size_t place_at, place_at_order;
	bool flags; /* behind the place */
};

static const struct kind attributes = {8, 9, 8, 2, 17, 13, 0, 0, true};
static const struct kind links = {5, 6, 7, 8, 11, 15, 4, 8, false};

typedef int (*record_fn)(void *arg, const unsigned char *record);

/* A tree on its way. */
struct index {
	struct hdf5_image *image;
	unsigned type;
	size_t node, record;
	size_t count_width, all_width[DEPTH_MAX + 1]; /* bytes of counts; by height */
	record_fn fn;
	void *arg;
	struct error *err;
};

struct dense {
	struct hdf5_image *image;
	const struct kind *kind;
	size_t place_at; /* in a record of the tree at hand */
	hdf5_bytes_fn fn;
	void *arg;
	struct error *err;
	unsigned columns_bits, first_bits, direct_bits, rows; /* of the table */
	size_t offset_width, length_width;		      /* in a place */
	uint64_t root, huge;				      /* addresses */
	uint64_t number, at, len; /* the huge object that is looked for; where it is */
	bool found;
};

static int unsound(struct error *err, const char *what)
{
	return error_set(err, EIO, "%s", what);
}

/* Bytes that are all in the file. */
static int read_bytes(struct hdf5_image *image, uint64_t address, unsigned char *buf,
	uint64_t len, struct error *err)
{
	uint64_t off;

	if (__builtin_add_overflow(address, image->base, &off) || off > image->size ||
		len > image->size - off)
		return unsound(err, "attributes or links beyond the end of the file");
	if (!hdf5_step(image, 1 + len / STEP_BYTES))
		return unsound(err, "attributes or links that are referred to too often");
	return hdf5_image_read(image, off, buf, len, err);
}

static bool is_nowhere(const struct hdf5_image *image, uint64_t address)
{
	return address == UINT64_MAX >> (64 - 8 * image->address_size);
}

static unsigned log2_of(uint64_t n)
{
	return n == 0 ? 0 : 63 - (unsigned)__builtin_clzll(n);
}

static bool is_power(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* Trees. */

/* A node with `n` records, `height` above the leaves. */
static int walk_node(struct index *t, uint64_t address, uint64_t n, unsigned height);

static int walk_below(
	struct index *t, const unsigned char *p, uint64_t n, unsigned height)
{
	size_t width = t->image->address_size;
	int rc = 0;

	for (uint64_t i = 0; rc == 0 && i <= n; i++) {
		rc = walk_node(t, hdf5_little(p, width),
			hdf5_little(p + width, t->count_width), height - 1);
		p += width + t->count_width + t->all_width[height - 1];
	}
	return rc;
}

static int walk_node(struct index *t, uint64_t address, uint64_t n, unsigned height)
{
	size_t below = t->image->address_size + t->count_width;
	unsigned char *node = malloc(t->node);
	int rc = node == NULL ? error_set(t->err, ENOMEM, "not enough memory")
			      : read_bytes(t->image, address, node, t->node, t->err);

	below = height == 0 ? 0 : below + t->all_width[height - 1];
	if (rc == 0 && (memcmp(node, height == 0 ? "BTLF" : "BTIN", 4) != 0 ||
			       node[5] != t->type ||
			       n > (t->node - NODE_AROUND) / (t->record + below) ||
			       n * (t->record + below) + below > t->node - NODE_AROUND))
		rc = unsound(
			t->err, "an index of attributes or links that does not add up");
	for (uint64_t i = 0; rc == 0 && i < n; i++)
		rc = t->fn(t->arg, node + NODE_PREFIX + i * t->record);
	if (rc == 0 && height > 0)
		rc = walk_below(t, node + NODE_PREFIX + n * t->record, n, height);
	free(node);
	return rc;
}

/* Counts take as many bytes as the most that a node of a height can have. */
static bool measure(struct index *t, unsigned depth)
{
	uint64_t all;

	if (depth > DEPTH_MAX || t->node < NODE_AROUND + t->record ||
		t->node > t->image->size)
		return false;
	all = (t->node - NODE_AROUND) / t->record;
	t->count_width = log2_of(all) / 8 + 1;
	for (unsigned i = 1; i <= depth; i++) {
		uint64_t below = t->image->address_size + t->count_width +
				 t->all_width[i - 1],
			 most;

		if (t->node < NODE_AROUND + below)
			return false;
		most = (t->node - NODE_AROUND - below) / (t->record + below);
		if (__builtin_mul_overflow(most + 1, all, &all) ||
			__builtin_add_overflow(all, most, &all))
			return false;
		t->all_width[i] = log2_of(all) / 8 + 1;
	}
	return true;
}

static int walk_tree(struct index *t, uint64_t address)
{
	size_t width = t->image->address_size;
	unsigned char head[TREE_HEAD];
	unsigned depth;
	int rc = read_bytes(t->image, address, head, 18 + width, t->err);

	if (rc < 0)
		return rc;
	t->node = hdf5_little(head + 6, 4);
	depth = (unsigned)hdf5_little(head + 12, 2);
	if (memcmp(head, "BTHD", 5) != 0 || head[5] != t->type ||
		hdf5_little(head + 10, 2) != t->record || !measure(t, depth))
		return unsound(
			t->err, "an index of attributes or links that does not add up");
	if (is_nowhere(t->image, hdf5_little(head + 16, width)))
		return 0;
	return walk_node(t, hdf5_little(head + 16, width),
		hdf5_little(head + 16 + width, 2), depth);
}

/* Heaps. */

static bool take_table(struct dense *d, const unsigned char *p)
{
	size_t width = d->image->length_size;
	uint64_t columns = hdf5_little(p, 2), first = hdf5_little(p + 2, width);
	uint64_t direct = hdf5_little(p + 2 + width, width);
	unsigned bits = (unsigned)hdf5_little(p + 2 + 2 * width, 2);

	p += 6 + 2 * width;
	d->root = hdf5_little(p, d->image->address_size);
	d->rows = (unsigned)hdf5_little(p + d->image->address_size, 2);
	d->columns_bits = log2_of(columns);
	d->first_bits = log2_of(first);
	d->direct_bits = log2_of(direct);
	d->offset_width = (bits + 7) / 8;
	return is_power(columns) && is_power(first) && is_power(direct) &&
	       first <= direct && d->direct_bits <= DIRECT_BITS_MAX && bits < 64 &&
	       d->direct_bits <= bits && d->first_bits + d->columns_bits <= bits &&
	       d->first_bits + d->columns_bits <= d->direct_bits + 1 &&
	       d->rows <= bits - d->first_bits - d->columns_bits + 1;
}

static int open_heap(struct dense *d, uint64_t address)
{
	size_t a = d->image->address_size, l = d->image->length_size;
	size_t table = 14 + 10 * l + 2 * a;
	unsigned char head[HEAP_HEAD];
	size_t by_direct, by_most;
	int rc = read_bytes(d->image, address, head, table + 8 + 2 * l + a, d->err);

	if (rc < 0)
		return rc;
	if (memcmp(head, "FRHP", 5) != 0 ||
		hdf5_little(head + 5, 2) != d->kind->place_len ||
		!take_table(d, head + table))
		return unsound(
			d->err, "a heap of attributes or links that does not add up");
	if (hdf5_little(head + 7, 2) != 0)
		return error_set(d->err, EOPNOTSUPP,
			"attributes or links in a heap with filters are not supported");
	d->huge = hdf5_little(head + 14 + l, a);
	if (!hdf5_space_sound(d->image, hdf5_little(head + 14 + 2 * l + a, a),
		    d->offset_width + MORE))
		d->image->space_lies = true;
	by_direct = (d->direct_bits + 7) / 8;
	by_most = log2_of(hdf5_little(head + 10, 4)) / 8 + 1;
	d->length_width = by_direct < by_most ? by_direct : by_most;
	return 1 + d->offset_width + d->length_width <= d->kind->place_len
		       ? 0
		       : unsound(d->err,
				 "a heap of attributes or links that does not add up");
}

/* The row of a block, and what is above it; `off` then counts from that row. */
static unsigned find_row(const struct dense *d, uint64_t *off, unsigned *bits)
{
	unsigned first = d->first_bits + d->columns_bits;
	unsigned row = *off >> first == 0 ? 0 : log2_of(*off) - first + 1;

	*bits = d->first_bits + (row > 1 ? row - 1 : 0);
	if (row > 0)
		*off -= UINT64_C(1) << (first + row - 1);
	return row;
}

/* Where the `len` bytes at `off` of the heap are in the file. */
static int find_managed(struct dense *d, uint64_t off, uint64_t len, uint64_t *address)
{
	size_t width = d->image->address_size, head = 5 + width + d->offset_width;
	unsigned rows = d->rows, bits = d->first_bits;
	unsigned char entry[8];
	uint64_t at = d->root;

	while (rows > 0) {
		unsigned row = find_row(d, &off, &bits);

		if (row >= rows)
			return unsound(d->err,
				"an attribute or link beyond the end of its heap");
		int rc = read_bytes(d->image,
			at + head +
				(((uint64_t)row << d->columns_bits) + (off >> bits)) *
					width,
			entry, width, d->err);
		if (rc < 0)
			return rc;
		at = hdf5_little(entry, width);
		off &= (UINT64_C(1) << bits) - 1;
		rows = bits <= d->direct_bits
			       ? 0
			       : bits - d->first_bits - d->columns_bits + 1;
	}
	if (off >> bits != 0 || len > (UINT64_C(1) << bits) - off)
		return unsound(d->err, "an attribute or link beyond the end of its heap");
	return __builtin_add_overflow(at, off, address)
		       ? unsound(d->err,
				 "an attribute or link beyond the end of its heap")
		       : 0;
}

/* address | length | number */
static int take_huge(void *arg, const unsigned char *record)
{
	struct dense *d = arg;
	size_t a = d->image->address_size, l = d->image->length_size;

	if (d->found || hdf5_little(record + a + l, l) != d->number)
		return 0;
	d->found = true;
	d->at = hdf5_little(record, a);
	d->len = hdf5_little(record + a, l);
	return 0;
}

static int find_huge(struct dense *d, uint64_t number)
{
	size_t a = d->image->address_size, l = d->image->length_size;
	struct index tree = {.image = d->image,
		.type = BY_NUMBER,
		.record = a + 2 * l,
		.fn = take_huge,
		.arg = d,
		.err = d->err};
	int rc;

	if (a + l < d->kind->place_len)
		return error_set(d->err, EOPNOTSUPP,
			"large attributes or links in a file of small addresses are not "
			"supported");
	d->number = number;
	d->found = false;
	rc = walk_tree(&tree, d->huge);
	if (rc == 0 && !d->found)
		rc = unsound(d->err, "a large attribute or link that is not in its heap");
	return rc;
}

static int find_object(struct dense *d, const unsigned char *place)
{
	switch (place[0]) {
	case 0x00:
		d->len = hdf5_little(place + 1 + d->offset_width, d->length_width);
		return find_managed(
			d, hdf5_little(place + 1, d->offset_width), d->len, &d->at);
	case 0x10: return find_huge(d, hdf5_little(place + 1, d->kind->place_len - 1));
	default: return unsound(d->err, "an attribute or link in no place of its heap");
	}
}

static int take_record(void *arg, const unsigned char *record)
{
	struct dense *d = arg;
	unsigned char *bytes;
	int rc;

	if (d->kind->flags && (record[d->kind->place_len] & SHARED) != 0)
		return error_set(d->err, EOPNOTSUPP,
			"attributes that objects share are not supported");
	rc = find_object(d, record + d->place_at);
	if (rc < 0)
		return rc;
	if (d->len > d->image->size)
		return unsound(d->err, "attributes or links beyond the end of the file");
	bytes = malloc(d->len + 1);
	rc = bytes == NULL ? error_set(d->err, ENOMEM, "not enough memory")
			   : read_bytes(d->image, d->at, bytes, d->len, d->err);
	if (rc == 0)
		rc = d->fn(d->arg, bytes, d->len);
	free(bytes);
	return rc;
}

static int walk_index(struct dense *d, uint64_t address, bool by_order)
{
	const struct kind *k = d->kind;
	struct index tree = {.image = d->image,
		.type = by_order ? k->by_order : k->by_name,
		.record = by_order ? k->record_order : k->record,
		.fn = take_record,
		.arg = d,
		.err = d->err};

	d->place_at = by_order ? k->place_at_order : k->place_at;
	return is_nowhere(d->image, address) ? 0 : walk_tree(&tree, address);
}

/* version | flags | [highest order] | heap | tree by name | [tree by order] */
static int walk_dense(struct dense *d, const struct hdf5_message *m)
{
	size_t width = d->image->address_size, at;
	bool ordered;
	int rc;

	if (m->len < 2)
		return unsound(d->err, "a list of attributes or links that is cut off");
	ordered = (m->bytes[1] & 2) != 0;
	at = 2 + ((m->bytes[1] & 1) != 0 ? d->kind->order_len : 0);
	if (m->len < at + (ordered ? 3 : 2) * width)
		return unsound(d->err, "a list of attributes or links that is cut off");
	if (is_nowhere(d->image, hdf5_little(m->bytes + at, width)))
		return 0;
	rc = open_heap(d, hdf5_little(m->bytes + at, width));
	at += width;
	if (rc == 0)
		rc = walk_index(d, hdf5_little(m->bytes + at, width), false);
	at += width;
	if (rc == 0 && ordered)
		rc = walk_index(d, hdf5_little(m->bytes + at, width), true);
	return rc;
}

int hdf5_dense_attributes(struct hdf5_image *image, const struct hdf5_message *m,
	hdf5_bytes_fn fn, void *arg, struct error *err)
{
	struct dense d = {
		.image = image, .kind = &attributes, .fn = fn, .arg = arg, .err = err};

	return walk_dense(&d, m);
}

int hdf5_dense_links(struct hdf5_image *image, const struct hdf5_message *m,
	hdf5_bytes_fn fn, void *arg, struct error *err)
{
	struct dense d = {
		.image = image, .kind = &links, .fn = fn, .arg = arg, .err = err};

	return walk_dense(&d, m);
}
