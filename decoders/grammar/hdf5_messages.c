/*
 * hdf5_messages: the messages of an object header, read without libhdf5.
 *
 *	version 1: 1, 0 | number, u16 | references, u32 | length, u32 | 4 | messages
 *	           message: type, u16 | length, u16 | flags | 3 | bytes
 *	version 2: "OHDR" 2 flags [times] [limits] length | messages | checksum
 *	           message: type | length, u16 | flags [order, u16] | bytes
 *
 * A continuation names a further block of messages ("OCHK" and a checksum around them in
 * version 2). "HDF5 File Format Specification", IV.A.1.
 */
#include "decoders/base/error.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CONTINUATION 0x10
#define BLOCKS_MAX 65536
#define BLOCK_MAX (64u << 20) /* bytes of one block of messages */
#define PREFIX_MAX 36	      /* of version 2, with all that may be in it */
#define PREFIX_1 16
#define CHECKSUM_LEN 4
#define COMMITTED 2
#define HAS_ORDER 0x04 /* flags of a header of version 2 */
#define HAS_LIMITS 0x10
#define HAS_TIMES 0x20

/* A header on its way. */
struct header {
	struct hdf5_image *image;
	unsigned version, flags;
	uint64_t (*blocks)[2]; /* offset and length in the file of each block found */
	size_t n, cap;
	hdf5_message_fn fn;
	void *arg;
	struct error *err;
};

static int broken(const struct header *h, const char *what)
{
	return error_set(h->err, EIO, "object header: %s", what);
}

uint64_t hdf5_little(const unsigned char *bytes, size_t n)
{
	uint64_t value = 0;

	while (n-- > 0)
		value = value << 8 | bytes[n];
	return value;
}

static int add_block(struct header *h, uint64_t off, uint64_t len)
{
	if (off > h->image->size || len > h->image->size - off || len > BLOCK_MAX)
		return broken(h, "messages beyond the end of the file");
	if (h->n == BLOCKS_MAX)
		return broken(h, "too many blocks of messages");
	if (h->n == h->cap) {
		size_t cap = h->cap == 0 ? 4 : h->cap * 2;
		uint64_t(*blocks)[2] = reallocarray(h->blocks, cap, sizeof *blocks);

		if (blocks == NULL)
			return error_set(h->err, ENOMEM, "not enough memory");
		h->blocks = blocks;
		h->cap = cap;
	}
	h->blocks[h->n][0] = off;
	h->blocks[h->n++][1] = len;
	return 0;
}

static int add_continuation(struct header *h, const struct hdf5_message *m)
{
	size_t width = h->image->address_size, more = h->version == 1 ? 0 : CHECKSUM_LEN;
	uint64_t off, len;

	if (m->len < width + h->image->length_size)
		return broken(h, "a continuation that is cut off");
	off = hdf5_little(m->bytes, width) + h->image->base;
	len = hdf5_little(m->bytes + width, h->image->length_size);
	if (len < 2 * more)
		return broken(h, "a continuation of no bytes");
	return add_block(h, off + more, len - 2 * more);
}

static int take_messages(struct header *h, const unsigned char *p, size_t left)
{
	size_t head = h->version == 1 ? 8 : (h->flags & HAS_ORDER) != 0 ? 6 : 4;
	struct hdf5_message m;
	int rc = 0;

	while (rc == 0 && left >= head) {
		m.type = h->version == 1 ? (unsigned)hdf5_little(p, 2) : p[0];
		m.len = hdf5_little(p + (h->version == 1 ? 2 : 1), 2);
		m.flags = p[h->version == 1 ? 4 : 3];
		m.bytes = p + head;
		if (m.len > left - head)
			return broken(h, "a message that is cut off");
		p += head + m.len;
		left -= head + m.len;
		rc = m.type == CONTINUATION ? add_continuation(h, &m)
					    : h->fn(h->arg, &m, h->err);
	}
	return rc;
}

/* Reads the prefix: where the first block of messages is. */
static int read_prefix(struct header *h, uint64_t off)
{
	unsigned char p[PREFIX_MAX];
	size_t at = 6, width;

	if (off > h->image->size || h->image->size - off < PREFIX_1)
		return broken(h, "it is beyond the end of the file");
	if (hdf5_image_read(h->image, off, p, sizeof p, h->err) < 0)
		return -EIO;
	if (p[0] == 1) {
		h->version = 1;
		return add_block(h, off + PREFIX_1, hdf5_little(p + 8, 4));
	}
	if (memcmp(p, "OHDR\2", 5) != 0)
		return broken(h, "expected one of version 1 or 2");
	h->version = 2;
	h->flags = p[5];
	at += (h->flags & HAS_TIMES) != 0 ? 16 : 0;
	at += (h->flags & HAS_LIMITS) != 0 ? 4 : 0;
	width = (size_t)1 << (h->flags & 3);
	return add_block(h, off + at + width, hdf5_little(p + at, width));
}

int hdf5_messages(struct hdf5_image *image, uint64_t address, hdf5_message_fn fn,
	void *arg, struct error *err)
{
	struct header h = {.image = image, .fn = fn, .arg = arg, .err = err};
	uint64_t off;
	int rc;

	if (__builtin_add_overflow(address, image->base, &off))
		return broken(&h, "it is beyond the end of the file");
	rc = read_prefix(&h, off);
	for (size_t i = 0; rc == 0 && i < h.n; i++) {
		size_t len = h.blocks[i][1];
		unsigned char *bytes = malloc(len + 1);

		rc = bytes == NULL
			     ? error_set(err, ENOMEM, "not enough memory")
			     : hdf5_image_read(image, h.blocks[i][0], bytes, len, err);
		if (rc == 0)
			rc = take_messages(&h, bytes, len);
		free(bytes);
	}
	free(h.blocks);
	return rc;
}

static int keep_type(void *arg, const struct hdf5_message *m, struct error *err)
{
	struct hdf5_message *out = arg;
	unsigned char *copy;

	if (m->type != HDF5_MESSAGE_TYPE || out->bytes != NULL)
		return 0;
	copy = malloc(m->len + 1);
	if (copy == NULL)
		return error_set(err, ENOMEM, "not enough memory for a datatype");
	memcpy(copy, m->bytes, m->len);
	*out = *m;
	out->bytes = copy;
	return 0;
}

/* version 3 | kind, 2: in another object's header | address; or 2 | ... | address; or
 * 1 | ... | of an entry of a group: offset of its name | address */
int hdf5_shared_type(struct hdf5_image *image, const unsigned char *bytes, size_t len,
	struct hdf5_message *out, struct error *err)
{
	struct hdf5_message type = {0};
	size_t at = len > 0 && bytes[0] == 1 ? 8 + image->length_size : 2;
	int rc;

	if (len < at + image->address_size || bytes[0] < 1 || bytes[0] > 3 ||
		(bytes[0] == 3 && bytes[1] != COMMITTED))
		return error_set(err, EIO, "a datatype that is shared in a way unknown");
	rc = hdf5_messages(image, hdf5_little(bytes + at, image->address_size), keep_type,
		&type, err);
	if (rc == 0 && (type.bytes == NULL || (type.flags & HDF5_MESSAGE_SHARED) != 0))
		rc = error_set(err, EIO, "a shared datatype that leads to none");
	if (rc == 0)
		*out = type;
	else
		free((void *)type.bytes);
	return rc;
}
