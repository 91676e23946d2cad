/*
 * hdf5_indexes: whether the indexes that an object header names are of its kind.
 *
 * Where chunks, links and attributes are is in arrays and trees that say themselves what
 * they hold. libhdf5 1.10 takes their word: it reads beyond an array that has fewer
 * entries than the dataset has chunks, and puts entries of one kind into the room for
 * another.
 *
 *	"FAHD" 0 | client | bytes of an entry | bits of a page | entries
 *	"EAHD" 0 | client | ...
 *	"BTHD" 0 | type | bytes of a node, u32 | bytes of a record, u16 | ...
 */
#include "decoders/base/error.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <string.h>

#define MESSAGE_SPACE 0x01
#define CHUNKED 2
#define RANK_MAX 33 /* with the bytes of an element */
#define HAS_LIMITS 1
#define HEAD_LEN 16

/* As they are numbered in messages of version 4; that of version 3 is a tree. */
enum index_type { FIXED_ARRAY = 3, EXTENSIBLE_ARRAY = 4, TREE = 5 };

enum tree_type {
	LINKS_BY_NAME = 5,
	LINKS_BY_ORDER = 6,
	ATTRIBUTES_BY_NAME = 8,
	ATTRIBUTES_BY_ORDER = 9,
	CHUNKS = 10,
	CHUNKS_FILTERED = 11,
};

/* What an object header says of its chunks. */
struct chunks {
	struct hdf5_image *image;
	unsigned rank, chunk_rank; /* of the dataspace; one more for the chunk */
	uint64_t dims[RANK_MAX], chunk[RANK_MAX];
	bool filtered;
	unsigned index; /* 0: none of ours */
	bool is_old;	/* the tree of version 1 */
	uint64_t address;
};

static int unsound(struct error *err, const char *what)
{
	return error_set(err, EIO, "%s", what);
}

static bool is_nowhere(const struct hdf5_image *image, uint64_t address)
{
	return address == UINT64_MAX >> (64 - 8 * image->address_size);
}

/* The beginning of an index; false where there is none, which libhdf5 says itself. */
static bool read_head(const struct chunks *c, uint64_t address, const char *signature,
	unsigned char *head)
{
	uint64_t off;

	return !is_nowhere(c->image, address) &&
	       !__builtin_add_overflow(address, c->image->base, &off) &&
	       off < c->image->size &&
	       hdf5_image_read(c->image, off, head, HEAD_LEN, NULL) == 0 &&
	       memcmp(head, signature, 4) == 0;
}

static int check_tree(
	const struct chunks *c, uint64_t address, unsigned type, struct error *err)
{
	unsigned char head[HEAD_LEN];

	if (!read_head(c, address, "BTHD", head))
		return 0;
	if (head[5] != type)
		return unsound(err, "an index of another kind");
	/* libhdf5 divides by the size of a record, and takes memory for a node at once.
	 */
	if (hdf5_little(head + 10, 2) == 0 || hdf5_little(head + 6, 4) > c->image->size ||
		hdf5_little(head + 6, 4) < 10 + hdf5_little(head + 10, 2))
		return unsound(err, "an index whose records do not fit");
	return 0;
}

/* version | flags | [highest order] | heap | tree by name | [tree by order] */
static int check_trees(const struct chunks *c, const struct hdf5_message *m,
	size_t order_len, unsigned type, struct error *err)
{
	size_t width = c->image->address_size, at;
	int rc;

	if (m->len < 2)
		return 0;
	at = 2 + ((m->bytes[1] & 1) != 0 ? order_len : 0) + width;
	if (m->len < at + width)
		return 0;
	rc = check_tree(c, hdf5_little(m->bytes + at, width), type, err);
	at += width;
	if (rc == 0 && (m->bytes[1] & 2) != 0 && m->len >= at + width)
		rc = check_tree(c, hdf5_little(m->bytes + at, width), type + 1, err);
	return rc;
}

/* version | rank | flags | [5 bytes of version 1] or type | dimensions | [limits] */
static void take_space(struct chunks *c, const struct hdf5_message *m)
{
	size_t width = c->image->length_size, at, rank;

	if (m->len < 4)
		return;
	rank = m->bytes[1];
	at = m->bytes[0] == 1 ? 8 : 4;
	if ((m->bytes[2] & HAS_LIMITS) != 0)
		at += rank * width;
	if (rank >= RANK_MAX || m->len < at + rank * width)
		return;
	c->rank = (unsigned)rank;
	for (size_t i = 0; i < rank; i++)
		c->dims[i] = hdf5_little(m->bytes + at + i * width, width);
}

/* 3 | 2 | rank | address | dimensions */
static void take_old_layout(struct chunks *c, const struct hdf5_message *m)
{
	if (m->len < 3 + c->image->address_size || m->bytes[1] != CHUNKED)
		return;
	c->is_old = true;
	c->address = hdf5_little(m->bytes + 3, c->image->address_size);
}

/* 4 | 2 | flags | rank | bytes of each | dimensions | index | what it has | address */
static void take_layout(struct chunks *c, const struct hdf5_message *m)
{
	static const unsigned char more[] = {0, 0, 0, 1, 5, 6};
	const unsigned char *p = m->bytes;
	size_t at, width;

	if (m->len > 0 && p[0] == 3)
		take_old_layout(c, m);
	if (m->len < 5 || p[0] != 4 || p[1] != CHUNKED || p[3] > RANK_MAX || p[4] > 8)
		return;
	width = p[4];
	at = 5 + p[3] * width;
	if (m->len <= at || p[at] < FIXED_ARRAY || p[at] > TREE ||
		m->len < at + 1 + more[p[at]] + c->image->address_size)
		return;
	c->chunk_rank = p[3];
	for (size_t i = 0; i < p[3]; i++)
		c->chunk[i] = hdf5_little(p + 5 + i * width, width);
	c->index = p[at];
	c->address = hdf5_little(p + at + 1 + more[p[at]], c->image->address_size);
}

static int take_message(void *arg, const struct hdf5_message *m, struct error *err)
{
	struct chunks *c = arg;

	if ((m->flags & HDF5_MESSAGE_SHARED) != 0)
		return 0;
	switch (m->type) {
	case MESSAGE_SPACE: take_space(c, m); return 0;
	case HDF5_MESSAGE_LAYOUT: take_layout(c, m); return 0;
	case HDF5_MESSAGE_FILTERS: c->filtered = m->len > 1 && m->bytes[1] > 0; return 0;
	case HDF5_MESSAGE_LINKS: return check_trees(c, m, 8, LINKS_BY_NAME, err);
	case HDF5_MESSAGE_ATTRIBUTES:
		return check_trees(c, m, 2, ATTRIBUTES_BY_NAME, err);
	default: return 0;
	}
}

/* Whether an array has an entry for each chunk. */
static bool has_all(const struct chunks *c, uint64_t entries)
{
	uint64_t n = 1, along;

	for (unsigned i = 0; i < c->rank; i++) {
		if (c->chunk[i] == 0)
			return false;
		along = c->dims[i] / c->chunk[i] + (c->dims[i] % c->chunk[i] != 0);
		if (__builtin_mul_overflow(n, along, &n))
			return false;
	}
	return n <= entries;
}

static int check_array(const struct chunks *c, const char *signature, struct error *err)
{
	unsigned char head[HEAD_LEN];

	if (!read_head(c, c->address, signature, head))
		return 0;
	if (head[5] != c->filtered || head[6] < c->image->address_size)
		return unsound(err, "an index of another kind");
	if (c->index == FIXED_ARRAY &&
		(c->chunk_rank != c->rank + 1 ||
			!has_all(c, hdf5_little(head + 8, c->image->length_size))))
		return unsound(err, "an index of fewer chunks than the dataset has");
	return 0;
}

int hdf5_check_indexes(struct hdf5_image *image, uint64_t address, struct error *err)
{
	struct chunks c = {.image = image};
	int rc = hdf5_messages(image, address, take_message, &c, err);

	if (rc < 0)
		return rc;
	switch (c.index) {
	case FIXED_ARRAY: return check_array(&c, "FAHD", err);
	case EXTENSIBLE_ARRAY: return check_array(&c, "EAHD", err);
	case TREE:
		return check_tree(
			&c, c.address, c.filtered ? CHUNKS_FILTERED : CHUNKS, err);
	default: return 0;
	}
}

enum hdf5_index hdf5_chunk_index(
	struct hdf5_image *image, uint64_t object, uint64_t *address)
{
	struct chunks c = {.image = image};
	int rc = hdf5_messages(image, object, take_message, &c, NULL);

	if (rc < 0 || (!c.is_old && c.index == 0))
		return HDF5_INDEX_OTHER;
	if (is_nowhere(image, c.address))
		return HDF5_INDEX_NOWHERE;
	*address = c.address;
	return c.is_old ? HDF5_INDEX_TREE : HDF5_INDEX_OTHER;
}
