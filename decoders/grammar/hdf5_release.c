/*
 * hdf5_release: strings that an edit takes out of attributes give their room back.
 *
 * libhdf5 puts the strings of an attribute that is written over into the heap anew and
 * leaves the old ones there for ever, in its own edits too: a heap that is only added to
 * grows and gets slow. Where the old ones lie only the stored bytes of the attribute
 * say, and libhdf5 hands those out through a conversion that leaves them as they are:
 *
 *	length, u32 | address of the collection | index in it, u32
 *
 * They are taken out when libhdf5 has closed the file, as it would do it: what lies
 * behind moves up, and the free space at the end (index 0) grows.
 */
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLACE_TAG "weightfs: where a string lies"
#define PLACES_MAX (1u << 20) /* strings of one attribute */

/* One string in a heap. */
struct hdf5_place {
	uint64_t address;
	uint64_t index;
};

static bool is_place(hid_t type)
{
	char *tag = H5Tget_class(type) == H5T_OPAQUE ? H5Tget_tag(type) : NULL;
	bool found = tag != NULL && strcmp(tag, PLACE_TAG) == 0;

	(void)H5free_memory(tag);
	return found;
}

/* From a stored string of variable length to its place: the same bytes. */
static herr_t keep_bytes(hid_t from, hid_t to, H5T_cdata_t *cdata, size_t n,
	size_t stride, size_t other_stride, void *bytes, void *other, hid_t list)
{
	(void)n, (void)stride, (void)other_stride, (void)bytes, (void)other, (void)list;
	if (cdata->command != H5T_CONV_INIT)
		return 0;
	cdata->need_bkg = H5T_BKG_NO;
	return H5Tis_variable_str(from) > 0 && is_place(to) &&
			       H5Tget_size(from) == H5Tget_size(to)
		       ? 0
		       : -1;
}

static hid_t place_type(size_t size)
{
	hid_t type = H5Tcreate(H5T_OPAQUE, size);

	(void)H5Tset_tag(type, PLACE_TAG);
	return type;
}

void hdf5_release_register_locked(void)
{
	AUTO_HID string = H5Tcopy(H5T_C_S1);
	AUTO_HID place = place_type(16);

	(void)H5Tset_size(string, H5T_VARIABLE);
	(void)H5Tregister(H5T_PERS_SOFT, "places", string, place, keep_bytes);
}

static void remember(
	struct hdf5_edit *edit, const unsigned char *bytes, size_t n, size_t size)
{
	struct hdf5_place *places = reallocarray(
		edit->released, edit->n_released + n, sizeof *edit->released);
	size_t width = edit->image.address_size;

	if (places == NULL) /* it stays where it is, as ever */
		return;
	edit->released = places;
	for (; n > 0; n--, bytes += size)
		places[edit->n_released++] =
			(struct hdf5_place){.address = hdf5_little(bytes + 4, width),
				.index = hdf5_little(bytes + 4 + width, 4)};
}

void hdf5_release_locked(struct hdf5_edit *edit, hid_t attribute)
{
	size_t size = 8 + edit->image.address_size;
	AUTO_HID type = H5Aget_type(attribute);
	AUTO_HID space = H5Aget_space(attribute);
	AUTO_HID place = 0;
	hssize_t n = H5Sget_simple_extent_npoints(space);
	unsigned char *bytes;

	if (H5Tis_variable_str(type) <= 0 || n <= 0 || n > PLACES_MAX)
		return;
	place = place_type(size);
	bytes = calloc((size_t)n, size);
	if (bytes != NULL && H5Aread(attribute, place, bytes) >= 0)
		remember(edit, bytes, (size_t)n, size);
	free(bytes);
}

/* In the collection. */

struct collection {
	unsigned char *bytes;
	uint64_t size;
	size_t header; /* of an object */
	size_t width;  /* of a size */
};

/* Bytes of the object at `at`, with its header; 0: there is none. */
static uint64_t bytes_at(const struct collection *c, uint64_t at)
{
	uint64_t size;

	if (c->size - at < c->header || hdf5_little(c->bytes + at, 2) == 0)
		return 0;
	size = hdf5_little(c->bytes + at + 8, c->width);
	if (size > c->size - at - c->header)
		return 0;
	size = c->header + ((size + 7) & ~UINT64_C(7));
	return size > c->size - at ? 0 : size;
}

/* Where the object of that index is, or `end`, where the last one ends. */
static uint64_t find(const struct collection *c, uint64_t index, uint64_t *end)
{
	uint64_t at = c->header, found = 0, n;

	for (; (n = bytes_at(c, at)) > 0; at += n)
		if (hdf5_little(c->bytes + at, 2) == index)
			found = at;
	*end = at;
	return found != 0 ? found : at;
}

static void put_little(unsigned char *bytes, uint64_t value, size_t n)
{
	for (; n > 0; n--, value >>= 8)
		*bytes++ = (unsigned char)value;
}

/* Behind the last object is the free space, if it has room for its header, and nothing
 * else. */
static bool ends_free(const struct collection *c, uint64_t end)
{
	return c->size - end < c->header ||
	       (hdf5_little(c->bytes + end, 2) == 0 &&
		       hdf5_little(c->bytes + end + 8, c->width) == c->size - end);
}

/* False: it is not there, not alone, or not as it should be: nothing was done. */
static bool take_out(const struct collection *c, uint64_t index)
{
	uint64_t end, at = find(c, index, &end), n;

	if (at == end || !ends_free(c, end) || hdf5_little(c->bytes + at + 2, 2) > 1)
		return false;
	n = bytes_at(c, at);
	memmove(c->bytes + at, c->bytes + at + n, end - at - n);
	end -= n;
	memset(c->bytes + end, 0, c->size - end);
	put_little(c->bytes + end + 8, c->size - end, c->width);
	return true;
}

static int release(
	struct hdf5_image *image, const struct hdf5_place *place, struct error *err)
{
	unsigned char head[HDF5_COLLECTION_MIN];
	struct collection c = {
		.header = hdf5_heap_head(image), .width = image->length_size};
	uint64_t off;
	int rc;

	if (place->index == 0 ||
		__builtin_add_overflow(place->address, image->base, &off) ||
		off > image->size || image->size - off < sizeof head)
		return 0;
	rc = hdf5_image_read(image, off, head, sizeof head, err);
	if (rc < 0 || memcmp(head, "GCOL\1", 5) != 0 ||
		hdf5_heap_suspicious(image, off, head, sizeof head))
		return rc;
	c.size = hdf5_little(head + 8, image->length_size);
	c.bytes = malloc(c.size);
	if (c.bytes == NULL)
		return error_set(err, ENOMEM, "not enough memory for an edit");
	rc = hdf5_image_read(image, off, c.bytes, c.size, err);
	if (rc == 0 && take_out(&c, place->index))
		rc = hdf5_image_write(image, off, c.bytes, c.size, err);
	free(c.bytes);
	return rc;
}

int hdf5_release_all(struct hdf5_edit *edit, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < edit->n_released; i++)
		rc = release(&edit->image, &edit->released[i], err);
	return rc;
}

herr_t hdf5_attribute_delete_locked(
	struct hdf5_edit *edit, hid_t object, const char *name)
{
	hid_t id = H5Aopen(object, name, H5P_DEFAULT);

	if (id >= 0)
		hdf5_release_locked(edit, id);
	hdf5_hid_close(&id);
	return H5Adelete(object, name);
}
