/*
 * hdf5_space: lists of free space, which libhdf5 follows when it has something to store.
 *
 *	"FSHD" 0 | client | bytes | sections | those in the list | others | classes, u16 |
 *	       2 | 2 | bits, u16 | largest section | list | bytes of the list | allocated
 *	"FSSE" 0 | head | by size: n | size | each: offset | class | [more] ... | checksum
 *
 * libhdf5 1.10 takes the class of a section for one that it has, and reads on until the
 * list must end: lists that libhdf5 1.8 wrote into heaps, with fewer bytes for a size,
 * lead it anywhere. What only reads never needs them.
 */
#include "decoders/grammar/hdf5_private.h"
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX 96
#define CLASSES 4
#define FIRST_ROW 1 /* classes of sections that say more */
#define INDIRECT 3
#define CHECKSUM_LEN 4
#define STEP_BYTES 64

/* How the numbers of a list are stored. */
struct list {
	size_t count_width, size_width, off_width, more;
	unsigned bits;
};

static size_t width_of(uint64_t most)
{
	return most == 0 ? 1 : (63 - (size_t)__builtin_clzll(most)) / 8 + 1;
}

/* Bytes of `n` sections of one size at `p`; 0: they do not add up. */
static size_t skip_sections(const struct list *l, const unsigned char *p, size_t left,
	uint64_t n, uint64_t size)
{
	const unsigned char *start = p;
	uint64_t end;
	size_t len;

	for (; n > 0; n--, p += len, left -= len) {
		len = l->off_width + 1;
		if (left < len || p[l->off_width] >= CLASSES)
			return 0;
		if (p[l->off_width] == FIRST_ROW || p[l->off_width] == INDIRECT)
			len += l->more;
		if (left < len ||
			__builtin_add_overflow(
				hdf5_little(p, l->off_width), size, &end) ||
			(l->bits < 64 && end > UINT64_C(1) << l->bits))
			return 0;
	}
	return (size_t)(p - start);
}

static bool list_sound(
	const struct list *l, const unsigned char *p, size_t left, uint64_t sections)
{
	uint64_t n, size;
	size_t len;

	for (; left > CHECKSUM_LEN; p += len, left -= len) {
		if (left < l->count_width + l->size_width)
			return false;
		n = hdf5_little(p, l->count_width);
		size = hdf5_little(p + l->count_width, l->size_width);
		p += l->count_width + l->size_width;
		left -= l->count_width + l->size_width;
		len = n == 0 || n > sections || size == 0
			      ? 0
			      : skip_sections(l, p, left, n, size);
		if (len == 0)
			return false;
		sections -= n;
	}
	return left == CHECKSUM_LEN && sections == 0;
}

/* Reads the list, whose head is at `head`. */
static bool read_list(struct hdf5_image *image, const struct list *l,
	const unsigned char *head, uint64_t address)
{
	size_t a = image->address_size, w = image->length_size, prefix = 5 + a;
	uint64_t off = hdf5_little(head + 14 + 5 * w, a);
	uint64_t len = hdf5_little(head + 14 + 5 * w + a, w);
	unsigned char *bytes;
	bool sound;

	if (__builtin_add_overflow(off, image->base, &off) || off > image->size ||
		len > image->size - off || len < prefix + CHECKSUM_LEN ||
		!hdf5_step(image, 1 + len / STEP_BYTES))
		return false;
	bytes = malloc(len);
	sound = bytes != NULL && hdf5_image_read(image, off, bytes, len, NULL) == 0 &&
		memcmp(bytes, "FSSE", 5) == 0 && hdf5_little(bytes + 5, a) == address &&
		list_sound(l, bytes + prefix, len - prefix,
			hdf5_little(head + 6 + 2 * w, w));
	free(bytes);
	return sound;
}

bool hdf5_space_sound(struct hdf5_image *image, uint64_t address, size_t more)
{
	size_t w = image->length_size;
	unsigned char head[HEAD_MAX];
	struct list list = {.more = more};
	uint64_t off;

	if (address == UINT64_MAX >> (64 - 8 * image->address_size))
		return true;
	if (__builtin_add_overflow(address, image->base, &off) || off > image->size ||
		hdf5_image_read(image, off, head, sizeof head, NULL) < 0 ||
		memcmp(head, "FSHD", 5) != 0)
		return false;
	list.bits = (unsigned)hdf5_little(head + 12 + 4 * w, 2);
	list.count_width = width_of(hdf5_little(head + 6 + 2 * w, w));
	list.size_width = width_of(hdf5_little(head + 14 + 4 * w, w));
	list.off_width = (list.bits + 7) / 8;
	if (list.bits == 0 || list.bits > 64)
		return false;
	return hdf5_little(head + 6 + 2 * w, w) == 0 ||
	       read_list(image, &list, head, address);
}
