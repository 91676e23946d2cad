/*
 * hdf5_stored: which chunks of a dataset were ever written.
 *
 * libhdf5 1.10 finds one chunk fast and lists all of them slowly, so the index that most
 * files have is walked here, once, when a dataset is first read, and libhdf5 is spared
 * one that leads around in a circle:
 *
 *	"TREE" 1 | level | entries, u16 | left | right | key | child | key | child ... key
 *	key: bytes, u32 | filters, u32 | place of the first element, u64 each | 0, u64
 *
 * The children of level 0 are chunks. Of datasets with another index each place is asked
 * for, where there are not too many. What nobody wrote in C order are the gaps between
 * the numbers of chunks: the largest that begins at an element is found from the first
 * dimension inwards. "HDF5 File Format Specification", III.A.1.
 */
#include "decoders/base/error.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ASKED_FREE (1u << 22) /* chunks that libhdf5 is asked for: seconds */
#define ASKED_PER_BYTES 8     /* and one for so many bytes of the file */
#define GAP_MIN 4096	      /* bytes: smaller gaps are read */
#define LEVEL_ANY 256
#define NODE_HEAD 8 /* and two addresses */
#define STEP_BYTES 64

/* A walk over the index of a dataset. */
struct walk {
	struct hdf5_data *data;
	struct hdf5_image *image;
	size_t key_len;
};

/* How many chunks there are along a dimension. */
static uint64_t along(const struct hdf5_chunking *c, unsigned i)
{
	return (c->dims[i] - 1) / c->chunk[i] + 1;
}

/* The chunk of a key; those outside of the dataset do not count. */
static int add_chunk(struct walk *walk, const unsigned char *key)
{
	const struct hdf5_chunking *c = &walk->data->chunking;
	uint64_t number = 0, place;

	for (unsigned i = 0; i < c->rank; i++) {
		place = hdf5_little(key + 8 + 8 * i, 8);
		if (place >= c->dims[i])
			return 0;
		number = number * along(c, i) + place / c->chunk[i];
	}
	return ranges_add(&walk->data->stored, number, number + 1, NULL);
}

/* The bytes of a node: malloc'ed. */
static int read_node(struct walk *walk, uint64_t off, unsigned level, unsigned char **out,
	unsigned *entries)
{
	size_t width = walk->image->address_size, head = NODE_HEAD + 2 * width, len;
	unsigned char start[NODE_HEAD];

	if (off > walk->image->size ||
		hdf5_image_read(walk->image, off, start, sizeof start, NULL) < 0 ||
		memcmp(start, "TREE\1", 5) != 0 ||
		(level == LEVEL_ANY ? start[5] == 255 : start[5] != level))
		return -EIO;
	*entries = (unsigned)hdf5_little(start + 6, 2);
	len = head + *entries * (walk->key_len + width) + walk->key_len;
	if (len > walk->image->size - off)
		return -EIO;
	if (!hdf5_step(walk->image, 1 + len / STEP_BYTES))
		return -E2BIG;
	*out = malloc(len);
	return *out == NULL ? -ENOMEM
			    : hdf5_image_read(walk->image, off, *out, len, NULL);
}

/* The level goes down by one a step, so that no tree leads around in a circle. */
static int walk_node(struct walk *walk, uint64_t address, unsigned level)
{
	size_t width = walk->image->address_size;
	unsigned char *node = NULL, *at;
	unsigned entries = 0;
	uint64_t off;
	int rc = __builtin_add_overflow(address, walk->image->base, &off) ? -EIO : 0;

	if (rc == 0)
		rc = read_node(walk, off, level, &node, &entries);
	for (unsigned i = 0; rc == 0 && i < entries; i++) {
		at = node + NODE_HEAD + 2 * width + i * (walk->key_len + width);
		if (node[5] == 0)
			rc = add_chunk(walk, at);
		else
			rc = walk_node(walk, hdf5_little(at + walk->key_len, width),
				node[5] - 1u);
	}
	free(node);
	return rc;
}

static int walk_tree(struct hdf5_data *data, uint64_t address)
{
	struct walk walk = {.data = data,
		.image = &data->hdf5->image,
		.key_len = 8 + 8 * (data->chunking.rank + 1)};

	return walk_node(&walk, address, LEVEL_ANY);
}

/* The number of all chunks, if it is not too many to ask for each. */
static int count_all(struct hdf5_data *data, uint64_t *n)
{
	const struct hdf5_chunking *c = &data->chunking;
	struct hdf5_image *image = &data->hdf5->image;
	uint64_t max = ASKED_FREE + image->size / ASKED_PER_BYTES;

	*n = 1;
	for (unsigned i = 0; i < c->rank; i++)
		if (__builtin_mul_overflow(*n, along(c, i), n) || *n > max - image->asked)
			return -E2BIG;
	image->asked += *n;
	return 0;
}

/* Asks for each chunk. */
static int ask_all_locked(struct hdf5_data *data)
{
	const struct hdf5_chunking *c = &data->chunking;
	hsize_t origin[H5S_MAX_RANK], size;
	uint64_t n, rest;
	int rc = count_all(data, &n);

	for (uint64_t number = 0; rc == 0 && number < n; number++) {
		rest = number;
		for (unsigned i = c->rank; i-- > 0; rest /= along(c, i))
			origin[i] = rest % along(c, i) * c->chunk[i];
		rc = hdf5_chunk_size_locked(data->dataset, origin, &size, NULL);
		if (rc == 0 && size > 0)
			rc = ranges_add(&data->stored, number, number + 1, NULL);
	}
	return rc;
}

static enum hdf5_listing listed_as(int rc)
{
	return rc == 0	    ? HDF5_CHUNKS_LISTED
	       : rc == -EIO ? HDF5_CHUNKS_DAMAGED
			    : HDF5_CHUNKS_UNKNOWN;
}

static enum hdf5_listing list_locked(struct hdf5_data *data, bool asking)
{
	uint64_t address = 0;

	if (data->listing == HDF5_CHUNKS_UNASKED)
		return asking && ask_all_locked(data) == 0 ? HDF5_CHUNKS_LISTED
							   : HDF5_CHUNKS_UNKNOWN;
	switch (hdf5_chunk_index(&data->hdf5->image,
		data->hdf5->objects[data->object].address, &address)) {
	case HDF5_INDEX_NOWHERE: return HDF5_CHUNKS_LISTED;
	case HDF5_INDEX_TREE: return listed_as(walk_tree(data, address));
	default: return HDF5_CHUNKS_UNASKED;
	}
}

static enum hdf5_listing get_listing(const struct hdf5_data *data)
{
	return __atomic_load_n(&data->listing, __ATOMIC_ACQUIRE);
}

/* What is not known yet is looked at; with `asking` also where that takes long. */
static enum hdf5_listing look(struct hdf5_data *data, bool asking)
{
	enum hdf5_listing listing = get_listing(data);
	enum hdf5_listing last = asking ? HDF5_CHUNKS_UNASKED : HDF5_CHUNKS_UNSEEN;

	while (listing <= last) {
		AUTO_LOCK;

		if (data->listing <= last)
			__atomic_store_n(&data->listing, list_locked(data, asking),
				__ATOMIC_RELEASE);
		listing = data->listing;
	}
	return listing;
}

int hdf5_stored_check(struct hdf5_data *data, struct error *err)
{
	if (look(data, false) == HDF5_CHUNKS_DAMAGED)
		return error_set(err, EIO, "an index of chunks that does not add up");
	return 0;
}

bool hdf5_stored_never(const struct hdf5_data *data, uint64_t number)
{
	uint64_t begin, end;

	return get_listing(data) == HDF5_CHUNKS_LISTED &&
	       !(ranges_next(&data->stored, number, &begin, &end) && begin == number);
}

/* The part of the array in which all indices but those from a dimension on are fixed. */
struct slab {
	uint64_t elements, chunks; /* for each index of that dimension */
	uint64_t first;		   /* its first chunk's number */
	uint64_t index;		   /* of the element, along that dimension */
};

/* Chunks along the dimension, from the element's own on, that were never written. */
static uint64_t count_gap(
	const struct hdf5_data *data, unsigned d, const struct slab *slab)
{
	const struct hdf5_chunking *c = &data->chunking;
	uint64_t mine = slab->index / c->chunk[d], next, end;

	if (!ranges_next(&data->stored, slab->first + mine * slab->chunks, &next, &end) ||
		next >= slab->first + along(c, d) * slab->chunks)
		return along(c, d) - mine;
	return (next - slab->first) / slab->chunks - mine;
}

/* Elements up to the end of that many chunks, from the element's own on. */
static uint64_t elements_to(const struct hdf5_chunking *c, unsigned d,
	const struct slab *slab, uint64_t element, uint64_t chunks)
{
	uint64_t to = (slab->index / c->chunk[d] + chunks) * c->chunk[d];

	to = to < c->dims[d] ? to : c->dims[d];
	return (to - slab->index) * slab->elements - element % slab->elements;
}

bool hdf5_stored_repeats(
	struct hdf5_data *data, uint64_t off, uint64_t *len, uint64_t *period)
{
	const struct hdf5_chunking *c = &data->chunking;
	uint64_t size = data->form.size, element = off / size, n = 1, gap = 0;
	struct slab slab = {.elements = 1, .chunks = 1};

	if (off % size != 0 || look(data, true) != HDF5_CHUNKS_LISTED)
		return false;
	for (unsigned i = 0; i < c->rank; i++) {
		slab.elements *= c->dims[i];
		slab.chunks *= along(c, i);
	}
	for (unsigned d = 0; d < c->rank && gap == 0; d++) {
		slab.elements /= c->dims[d];
		slab.chunks /= along(c, d);
		if (d > 0 && slab.elements * c->chunk[d] * size < GAP_MIN)
			break;
		slab.index = element / slab.elements % c->dims[d];
		gap = count_gap(data, d, &slab);
		n = elements_to(c, d, &slab, element, gap > 0 ? gap : 1);
		slab.first += slab.index / c->chunk[d] * slab.chunks;
	}
	*len = n * size < *len ? n * size : *len;
	*period = size;
	return gap > 0;
}
