/*
 * hdf5_heap: a look at heaps before libhdf5 gets them.
 *
 *	"GCOL" | version 1 | 3 bytes | size of the collection | objects
 *	object: index, u16 | references, u16 | 4 bytes | size | bytes, padded to 8
 *
 * Strings and sequences of variable length lie in these. libhdf5 1.10 follows the sizes
 * of objects without end where one is 0, and copies more than there is where one is too
 * large; so a collection whose objects do not add up is not given to it.
 *
 *	"HEAP" | version 0 | 3 bytes | size of the names | free list | address of the
 *names
 *
 * Names of old groups lie in these. libhdf5 does not notice that it has no memory for as
 * many as this says, so that has to be no more than the file has. It follows the list of
 * free pieces (each: the next one, 1 at the end | its size) without end where that leads
 * back.
 */
#include "decoders/grammar/hdf5_private.h"
#include <stdlib.h>
#include <string.h>

#define COLLECTION_MAX (UINT64_C(1) << 32)
#define LOCAL_HEAD_MAX 32 /* of a local heap, with widths of 8 */
#define LOCAL_FREE_END 1
#define STEP_BYTES 64 /* of a heap that is read */

/* Bytes that the object at the beginning of `bytes` takes; 0: it does not fit. Index 0 is
 * the free space, whose size counts its header. */
static uint64_t object_bytes(
	const struct hdf5_image *image, const unsigned char *bytes, uint64_t left)
{
	size_t header = hdf5_heap_head(image);
	uint64_t size;

	if (left < header)
		return 0;
	size = hdf5_little(bytes + 8, image->length_size);
	if (size > left)
		return 0;
	if (hdf5_little(bytes, 2) == 0)
		return size < header ? 0 : size;
	size = header + ((size + 7) & ~UINT64_C(7));
	return size > left ? 0 : size;
}

/* What is left behind the last object may be too little for a header. */
static bool adds_up(
	const struct hdf5_image *image, const unsigned char *bytes, uint64_t size)
{
	size_t head = hdf5_heap_head(image);
	uint64_t at = head, n;

	while (size - at >= head) {
		n = object_bytes(image, bytes + at, size - at);
		if (n == 0)
			return false;
		at += n;
	}
	return true;
}

static bool global_heap_suspicious(
	struct hdf5_image *image, uint64_t off, const unsigned char *start)
{
	uint64_t size = hdf5_little(start + 8, image->length_size);
	unsigned char *bytes;
	bool sound;

	if (size < HDF5_COLLECTION_MIN || size > COLLECTION_MAX || off > image->size ||
		size > image->size - off)
		return true;
	bytes = malloc(size);
	sound = bytes != NULL && hdf5_image_read(image, off, bytes, size, NULL) == 0 &&
		adds_up(image, bytes, size);
	free(bytes);
	return !sound;
}

bool hdf5_heap_suspicious(
	struct hdf5_image *image, uint64_t off, const unsigned char *start, size_t len)
{
	return len >= 8 + image->length_size && len <= HDF5_COLLECTION_MIN &&
	       memcmp(start, "GCOL\1", 5) == 0 &&
	       global_heap_suspicious(image, off, start);
}

/* Each piece that the list of free ones names is inside of the names, and no more of them
 * than there is room for. */
static bool free_list_sound(
	struct hdf5_image *image, uint64_t names, uint64_t size, uint64_t next)
{
	size_t width = image->length_size;
	unsigned char piece[16];

	for (uint64_t n = size / (2 * width); next != LOCAL_FREE_END; n--) {
		if (n == 0 || next > size || size - next < 2 * width ||
			hdf5_image_read(image, names + next, piece, 2 * width, NULL) < 0)
			return false;
		next = hdf5_little(piece, width);
	}
	return true;
}

bool hdf5_local_heap_sound(struct hdf5_image *image, uint64_t address)
{
	size_t width = image->length_size;
	unsigned char head[LOCAL_HEAD_MAX];
	uint64_t off, size, at;

	if (__builtin_add_overflow(address, image->base, &off) || off > image->size ||
		hdf5_image_read(image, off, head, sizeof head, NULL) < 0)
		return false;
	if (memcmp(head, "HEAP", 4) != 0)
		return true;
	size = hdf5_little(head + 8, width);
	at = hdf5_little(head + 8 + 2 * width, image->address_size);
	return !__builtin_add_overflow(at, image->base, &at) && at <= image->size &&
	       size <= image->size - at &&
	       free_list_sound(image, at, size, hdf5_little(head + 8 + width, width));
}

/* Where the names of a local heap are in the file, and how many bytes. */
static bool find_names(
	struct hdf5_image *image, uint64_t address, uint64_t *at, uint64_t *size)
{
	size_t width = image->length_size;
	unsigned char head[LOCAL_HEAD_MAX];
	uint64_t off;

	if (__builtin_add_overflow(address, image->base, &off) || off > image->size ||
		hdf5_image_read(image, off, head, sizeof head, NULL) < 0 ||
		memcmp(head, "HEAP", 4) != 0)
		return false;
	*size = hdf5_little(head + 8, width);
	*at = hdf5_little(head + 8 + 2 * width, image->address_size);
	return !__builtin_add_overflow(*at, image->base, at);
}

bool hdf5_local_heap_names(struct hdf5_image *image, uint64_t address, uint64_t name)
{
	uint64_t at, size;
	unsigned char *bytes;
	bool ends;

	if (!hdf5_local_heap_sound(image, address) ||
		!find_names(image, address, &at, &size) || name >= size ||
		!hdf5_step(image, 1 + size / STEP_BYTES))
		return false;
	bytes = malloc(size - name);
	ends = bytes != NULL &&
	       hdf5_image_read(image, at + name, bytes, size - name, NULL) == 0 &&
	       memchr(bytes, '\0', size - name) != NULL;
	free(bytes);
	return ends;
}
