/*
 * hdf5_private: what the hdf5_*.c files share and nobody else includes.
 *
 * Functions whose names end in _locked want the lock of libhdf5 to be held; those that
 * call libhdf5 and have no such name take it. The lock is not recursive, and no blob is
 * read, and none let go, while it is held: a blob may need it.
 */
#ifndef WEIGHTFS_GRAMMAR_HDF5_PRIVATE_H
#define WEIGHTFS_GRAMMAR_HDF5_PRIVATE_H

#include "decoders/base/error.h"
#include "decoders/base/ranges.h"
#include "decoders/grammar/hdf5.h"
#include "decoders/grammar/json.h"
#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blob;
struct blob_ops;
struct dtype;
struct plan;
struct source;
struct spill_pool;
struct text;

#define HDF5_LZF 32000	  /* h5py's own filter */
#define HDF5_RANK_MAX 128 /* of a dataset with the dimensions of its array type */
#define HDF5_CHUNK_MAX                                                                \
	(1u << 30)		 /* decoded bytes of one chunk that is decoded at all \
				  */
#define HDF5_TEXT_MAX (1u << 28) /* bytes of variable length that are read at once */

/* --- hdf5_file.c: the lock, errors, opening --- */

void hdf5_lock(void);
void hdf5_unlock(void);
/* For a lock that ends with its block: AUTO_LOCK */
static inline void hdf5_unlockp(const bool *held)
{
	if (*held)
		hdf5_unlock();
}
#define AUTO_LOCK \
	__attribute__((cleanup(hdf5_unlockp), unused)) bool locked_ = (hdf5_lock(), true)

/* Gives back an identifier of any kind; for __attribute__((cleanup)). With the lock. */
void hdf5_hid_close(hid_t *id);
#define AUTO_HID __attribute__((cleanup(hdf5_hid_close))) hid_t

/* The text, then ": " and libhdf5's innermost reason (or that of a failed read). To be
 * called before any other call of libhdf5. */
int hdf5_fail_locked(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A name that none in the object's header can have, being longer; NULL where the header
 * cannot be read, or without memory; the caller's. libhdf5 looks for it in all links or
 * attributes that the header holds, and so decodes them: in a table of its own, which it
 * fills only in part where one does not decode, it would then free what it never filled.
 */
char *hdf5_name_of_none_locked(hid_t object);

/* --- hdf5_vfd.c: the bytes that libhdf5 sees --- */

/* A file as libhdf5 sees it: a source, and over it what was written. */
struct hdf5_image {
	struct source *source;	 /* a reference */
	struct spill_pool *pool; /* of what is written; NULL: it is only read */
	bool opened;		 /* once: what else libhdf5 wants to open is refused */
	struct spill *spill;	 /* written bytes at their own offsets; NULL: none */
	struct ranges written;
	uint64_t size;	     /* the end of the file */
	uint64_t base;	     /* where addresses count from: behind a user block */
	size_t address_size; /* bytes of an address and of a length in this file */
	size_t length_size;
	uint64_t asked;	  /* chunks that hdf5_stored.c asked for so far */
	uint64_t looked;  /* steps that hdf5_check_object() took so far */
	bool space_lies;  /* a list of free space does not add up */
	struct error err; /* of the last read or write that failed */
};

int hdf5_image_init(struct hdf5_image *image, struct source *source,
	struct spill_pool *pool, struct error *err);
void hdf5_image_done(struct hdf5_image *image);
/* Opens the image with libhdf5: the file's identifier, or a negative errno. */
int hdf5_image_open_locked(struct hdf5_image *image, hid_t *file, struct error *err);
/* Bytes as libhdf5 sees them; zeros behind the end. */
int hdf5_image_read(struct hdf5_image *image, uint64_t off, unsigned char *buf,
	size_t len, struct error *err);
int hdf5_image_write(struct hdf5_image *image, uint64_t off, const void *buf, size_t len,
	struct error *err);
/* Puts the old container with all that was written into `plan`; the spill goes with it.
 */
int hdf5_image_plan(struct hdf5_image *image, struct plan *plan, struct error *err);

/* --- hdf5_messages.c, hdf5_sound.c: object headers without libhdf5 --- */

uint64_t hdf5_little(const unsigned char *bytes, size_t n);

#define HDF5_MESSAGE_TYPE 0x03	/* a datatype */
#define HDF5_MESSAGE_LINKS 0x02 /* where those outside of the header are */
#define HDF5_MESSAGE_FILL 0x05
#define HDF5_MESSAGE_LINK 0x06
#define HDF5_MESSAGE_FILES 0x07 /* external ones */
#define HDF5_MESSAGE_LAYOUT 0x08
#define HDF5_MESSAGE_FILTERS 0x0b
#define HDF5_MESSAGE_ATTRIBUTE 0x0c
#define HDF5_MESSAGE_GROUP 0x11 /* an old group: addresses of its tree and its names */
#define HDF5_MESSAGE_ATTRIBUTES 0x15 /* where those outside of the header are */
#define HDF5_MESSAGE_SHARED 0x02     /* in `flags`: its body is elsewhere */

/* A message of an object header; `bytes` are borrowed for the call. */
struct hdf5_message {
	unsigned type, flags;
	const unsigned char *bytes;
	size_t len;
};
/* 0: go on; else hdf5_messages() returns it. */
typedef int (*hdf5_message_fn)(
	void *arg, const struct hdf5_message *message, struct error *err);
/* Calls `fn` for each message of the header at an address. -EIO for a header that does
 * not add up. */
int hdf5_messages(struct hdf5_image *image, uint64_t address, hdf5_message_fn fn,
	void *arg, struct error *err);
/* The datatype that a shared message leads to (`bytes` of that message): a copy, whose
 * bytes the caller frees. -EIO where it leads to none. */
int hdf5_shared_type(struct hdf5_image *image, const unsigned char *bytes, size_t len,
	struct hdf5_message *out, struct error *err);
/* Whether libhdf5 can be given an object: -EIO with the reason where its datatype or its
 * attributes, which it trusts, do not add up. */
int hdf5_check_object(struct hdf5_image *image, uint64_t address, struct error *err);
/* All objects of a file together take time in proportion to its size. False: too much. */
bool hdf5_step(struct hdf5_image *image, uint64_t n);
/* Gives back the steps taken since `looked` was read from the image: what may be asked
 * for again and again, as long as the file is open, must not use them up. No step comes
 * back once there were too many. */
void hdf5_steps_back(struct hdf5_image *image, uint64_t looked);
/* A part of it: whether the indexes that an object names are of its kind. */
int hdf5_check_indexes(struct hdf5_image *image, uint64_t address, struct error *err);
/* How the chunks of a dataset are found, and where that begins. */
enum hdf5_index {
	HDF5_INDEX_OTHER,
	HDF5_INDEX_NOWHERE, /* none was ever written */
	HDF5_INDEX_TREE,    /* of version 1 */
};
enum hdf5_index hdf5_chunk_index(
	struct hdf5_image *image, uint64_t object, uint64_t *address);
/* Another: whether what it says of a dataset's elements adds up. hdf5_described.c. */
int hdf5_check_described(struct hdf5_image *image, uint64_t address, struct error *err);
/* And the parts of a virtual dataset, from its layout. hdf5_virtual.c. */
int hdf5_check_virtual(
	struct hdf5_image *image, const struct hdf5_message *m, struct error *err);
/* The same for what libhdf5 looks at when it opens the file: the superblock, what it
 * leads to, and the root group. A superblock that is none is not judged. */
int hdf5_check_superblock(struct hdf5_image *image, struct error *err);
/* Follows `count` elements of a datatype message to where they lead, of a message that
 * hdf5_check_object() has seen. `elements` are the file's. */
int hdf5_check_elements(struct hdf5_image *image, const struct hdf5_message *type,
	const unsigned char *elements, uint64_t count, struct error *err);

/* 0: go on; else hdf5_dense_attributes() returns it. `bytes` are borrowed. */
typedef int (*hdf5_bytes_fn)(void *arg, const unsigned char *bytes, size_t len);
/* Calls `fn` for each attribute that a message HDF5_MESSAGE_ATTRIBUTES leads to (twice
 * where they have two indexes). -EIO where that does not add up. hdf5_dense.c. */
int hdf5_dense_attributes(struct hdf5_image *image, const struct hdf5_message *m,
	hdf5_bytes_fn fn, void *arg, struct error *err);
/* The same for the links of a group, of a message HDF5_MESSAGE_LINKS. */
int hdf5_dense_links(struct hdf5_image *image, const struct hdf5_message *m,
	hdf5_bytes_fn fn, void *arg, struct error *err);
/* A copy of the object with that number in the global heap at an address; the caller
 * frees it. -EIO where there is none. */
int hdf5_heap_object(struct hdf5_image *image, uint64_t address, uint64_t number,
	unsigned char **out, uint64_t *size, struct error *err);
/* The address of the object that a reference to a region leads to; 0: none. libhdf5 would
 * believe the reference, and then that what it leads to is an object. */
uint64_t hdf5_region_object(struct hdf5_image *image, const unsigned char *element);

/* Whether a list of free space adds up; `more` are bytes that sections of some classes
 * have: those of a heap. True where there is none. hdf5_space.c. */
bool hdf5_space_sound(struct hdf5_image *image, uint64_t address, size_t more);

/* --- hdf5_references.c --- */

/* Whether libhdf5 can be asked for the `n` elements of a dataset of variable length:
 * -EIO with the reason where they lead to what is not there. */
int hdf5_check_values_locked(
	struct hdf5 *hdf5, hid_t dataset, uint64_t n, struct error *err);

/* --- hdf5_heap.c --- */

#define HDF5_COLLECTION_MIN                                         \
	4096 /* of a global heap; what libhdf5 reads of it at first \
	      */

/* Bytes in front of the objects of a global heap, and of each of them: what they say,
 * filled up to eight. */
static inline size_t hdf5_heap_head(const struct hdf5_image *image)
{
	return (8 + image->length_size + 7) / 8 * 8;
}

/* Whether a local heap has no more names than the file; what is none is not judged. */
bool hdf5_local_heap_sound(struct hdf5_image *image, uint64_t address);
/* Whether it is one that has a terminated name at that place. */
bool hdf5_local_heap_names(struct hdf5_image *image, uint64_t address, uint64_t name);
/* Whether what libhdf5 reads at `off` begins a global heap collection that is damaged. */
bool hdf5_heap_suspicious(
	struct hdf5_image *image, uint64_t off, const unsigned char *start, size_t len);

/* --- hdf5_file.c, hdf5_walk.c --- */

struct hdf5_cache;

struct hdf5 {
	unsigned refs; /* atomic */
	struct hdf5_image image;
	hid_t file;
	char *readonly;
	struct hdf5_link *links; /* [0] is not used */
	uint32_t n_links, cap_links;
	struct hdf5_object *objects; /* [0] is not used */
	uint32_t n_objects, cap_objects;
	uint32_t *by_address;  /* open addressing: object numbers */
	uint32_t n_by_address; /* a power of two */
	uint32_t *by_name;     /* links by group and name */
	uint32_t n_by_name;
	struct hdf5_page *pages; /* memory of names */
	struct hdf5_cache *cache;
};

void hdf5_table_done(struct hdf5 *hdf5);
/* The object at an address; 0: none. */
uint32_t hdf5_at_address(const struct hdf5 *hdf5, uint64_t address);

/* --- hdf5_types.c --- */

/* Bytes of an element that are not in NAME.bin as they are in the file. */
struct hdf5_swap {
	uint32_t off, width, count;
	bool spaces; /* strings padded with spaces: with NULs in NAME.bin; else numbers in
			the other byte order */
};

/* What an HDF5 type is in the tree. */
struct hdf5_form {
	const struct dtype *dtype; /* of what is left without the array's dimensions */
	unsigned rank;		   /* dimensions of an array type */
	uint64_t shape[HDF5_RANK_MAX];
	size_t size;   /* bytes of an element in the file, the array's dimensions in it */
	bool variable; /* has strings or sequences of variable length, or references */
	bool enumerated;	 /* an enumeration that is no bool */
	struct hdf5_swap *swaps; /* owned */
	size_t n_swaps;
};

int hdf5_form_locked(hid_t type, struct hdf5_form *form, struct error *err);
void hdf5_form_done(struct hdf5_form *form);
#define AUTO_FORM __attribute__((cleanup(hdf5_form_done))) struct hdf5_form
/* Turns whole elements from how the file has them into how the tree has them; and back.
 */
void hdf5_swap(const struct hdf5_form *form, void *elements, size_t n);
void hdf5_swap_back(const struct hdf5_form *form, void *elements, size_t n);
/* The HDF5 type that a new tensor gets; *tagged where only an attribute `dtype` tells
 * what it is. A negative errno where it has none. */
int hdf5_type_locked(
	const struct dtype *dtype, hid_t *type, bool *tagged, struct error *err);
/* The dtype of a number's type (integer, float, bitfield, enumeration, complex) in
 * either byte order, or NULL; *swap: it is the other one. */
const struct dtype *hdf5_number_locked(hid_t type, bool *swap);
/* Whether it is h5py's bool: an enumeration FALSE = 0, TRUE = 1. */
bool hdf5_is_bool_locked(hid_t type);

/* --- hdf5_chunks.c --- */

#define HDF5_FILTERS_MAX 32

struct hdf5_filter {
	int id;
	unsigned n_values;
	unsigned values[8];
};

/* How a dataset is chunked. */
struct hdf5_chunking {
	unsigned rank;
	hsize_t dims[H5S_MAX_RANK];  /* of the dataset */
	hsize_t chunk[H5S_MAX_RANK]; /* of one chunk */
	size_t bytes;		     /* of one decoded chunk */
	bool edges_plain; /* chunks that reach over the edge are not filtered */
	bool library;	  /* a filter that only libhdf5 decodes */
	size_t n_filters;
	struct hdf5_filter filters[HDF5_FILTERS_MAX];
};

/* One dataset being read. */
struct hdf5_data {
	struct hdf5 *hdf5; /* a reference */
	uint32_t object;
	hid_t dataset; /* chunked ones stay open; else 0 */
	struct hdf5_form form;
	uint64_t bytes;
	enum { HDF5_LINEAR, HDF5_FILLED, HDF5_COMPACT, HDF5_CHUNKED } layout;
	uint64_t off; /* LINEAR: in the source */
	unsigned char
		*memory; /* COMPACT: the elements; FILLED, CHUNKED: the fill value */
	struct hdf5_chunking chunking;
	/* CHUNKED, of hdf5_stored.c: whether `stored` has all chunks that were written,
	 * by their numbers in C order. Atomic. */
	enum hdf5_listing {
		HDF5_CHUNKS_UNSEEN,
		HDF5_CHUNKS_UNASKED, /* by asking for each, if somebody needs it */
		HDF5_CHUNKS_LISTED,
		HDF5_CHUNKS_UNKNOWN, /* and will be */
		HDF5_CHUNKS_DAMAGED,
	} listing;
	struct ranges stored;
};

extern const struct blob_ops hdf5_data_ops;

/* Why the filters cannot be decoded (a text in `err` and -EOPNOTSUPP), or 0. */
int hdf5_chunking_locked(hid_t dcpl, const struct hdf5_form *form,
	struct hdf5_chunking *out, struct error *err);
/* Decodes one chunk, whole, in the tree's byte order. */
int hdf5_chunk_read(struct hdf5_data *data, const hsize_t *origin, unsigned char *bytes,
	struct error *err);
/* The same as the file has it, in the order of bytes that it has: 1; 0 where it was never
 * written. For filters that are decoded here. */
int hdf5_chunk_stored_locked(const struct hdf5 *hdf5, hid_t dataset,
	const struct hdf5_chunking *chunking, const hsize_t *origin, unsigned char *bytes,
	struct error *err);
/* Bytes of a stored chunk; 0: it was never written. */
int hdf5_chunk_size_locked(
	hid_t dataset, const hsize_t *origin, hsize_t *size, struct error *err);
/* A range of the logical array of a chunked dataset, through the cache. */
int hdf5_chunks_read(struct hdf5_data *data, uint64_t off, unsigned char *buf, size_t len,
	struct error *err);
/* h5py's filter for libhdf5, for what is written. */
void hdf5_lzf_register_locked(void);
struct hdf5_cache *hdf5_cache_new(uint64_t limit);
void hdf5_cache_free(struct hdf5_cache **cache);

/* --- hdf5_stored.c: chunks that were never written --- */

/* blob_repeats() of a chunked dataset. Outside the lock. */
bool hdf5_stored_repeats(
	struct hdf5_data *data, uint64_t off, uint64_t *len, uint64_t *period);
/* -EIO where libhdf5 would go around in the index of a dataset's chunks. Outside the
 * lock; to be called before libhdf5 is asked for one. */
int hdf5_stored_check(struct hdf5_data *data, struct error *err);
/* Whether it is already known that a chunk was never written. */
bool hdf5_stored_never(const struct hdf5_data *data, uint64_t number);

/* Undoes the filters (last to first) but those in `mask`. `bytes` gets exactly
 * chunking->bytes. */
int hdf5_unfilter(const struct hdf5_chunking *chunking, unsigned mask, unsigned char *raw,
	size_t len, unsigned char *bytes, struct error *err);

/* --- hdf5_data.c --- */

/* Opens a dataset for reading its elements. */
int hdf5_data_open_locked(
	struct hdf5 *hdf5, uint32_t object, struct hdf5_data **out, struct error *err);
/* The elements of what was never written. */
void hdf5_data_fill(
	const struct hdf5_data *data, uint64_t off, unsigned char *buf, size_t len);
/* Outside the lock. */
void hdf5_data_close(struct hdf5_data **data);
/* The dtype that an attribute gives to opaque elements of that size, or NULL. */
const struct dtype *hdf5_tagged_locked(hid_t dataset, hid_t type);
/* What stands in the way of reading a dataset's elements (external storage, a virtual
 * dataset, an unknown filter): -EOPNOTSUPP with the reason, or 0. */
int hdf5_obstacle_locked(hid_t dataset, hid_t dcpl, struct error *err);

/* --- hdf5_values.c: elements <-> JSON, by their HDF5 type --- */

struct hdf5_values {
	struct hdf5 *hdf5; /* for the paths of references; may be NULL */
	const char *name;  /* for messages: the attribute's; may be NULL */
	hid_t type;	   /* of the elements in memory (which is that in the file) */
	unsigned rank;
	hsize_t dims[H5S_MAX_RANK];
};

/* Appends nested lists by shape (a scalar: the element itself). */
void hdf5_values_put_locked(
	const struct hdf5_values *values, const void *elements, struct text *out);
/* Fills `elements` (zeroed; n * size bytes) from nested lists of that shape. What is
 * allocated for variable lengths belongs to hdf5_values_free_locked(), also on failure.
 */
int hdf5_values_get_locked(const struct hdf5_values *values, const struct json *json,
	json_value v, void *elements, struct error *err);
void hdf5_values_free_locked(const struct hdf5_values *values, void *elements);
/* How many elements. */
uint64_t hdf5_values_count(const struct hdf5_values *values);
/* Appends a string of a fixed size without its padding. */
void hdf5_unpad(const char *bytes, size_t size, H5T_str_t pad, struct text *out);

/* --- hdf5_attributes.c --- */

/* One attribute, read. */
struct hdf5_attribute {
	hid_t id, type, space;
	bool null;		   /* it has no elements: a null dataspace */
	struct hdf5_values values; /* `type` borrowed from above */
	void *elements;		   /* as libhdf5 reads them */
};

/* Opens and reads. To be done with in either case. */
int hdf5_attribute_open_locked(struct hdf5 *hdf5, hid_t object, const char *name,
	struct hdf5_attribute *out, struct error *err);
void hdf5_attribute_done_locked(struct hdf5_attribute *attribute);
#define AUTO_ATTRIBUTE \
	__attribute__((cleanup(hdf5_attribute_done_locked))) struct hdf5_attribute
/* The image of one attribute, or {"%error": ...}. */
void hdf5_attribute_put_locked(
	struct hdf5 *hdf5, hid_t object, const char *name, struct text *out);
/* Names of an object's attributes in the container's order, each NUL-terminated. */
int hdf5_attribute_names_locked(
	hid_t object, struct text *names, size_t *n, struct error *err);
/* Whether that order is the order of creation. */
bool hdf5_attributes_tracked_locked(hid_t object);
bool hdf5_hidden(const char *const *hide, const char *name);
/* All but the hidden ones, as one JSON object on one line; 1 where they cannot be listed.
 */
int hdf5_attributes_put_locked(struct hdf5 *hdf5, hid_t object, const char *const *hide,
	struct text *out, struct error *err);
/* What says how a dataset is stored and is not shown as an attribute; may be NULL. */
const char *const *hdf5_dataset_hide_locked(hid_t dataset);

/* The elements of a dataset that has no .bin, read whole. To be done with. */
int hdf5_dataset_values_locked(
	struct hdf5 *hdf5, hid_t dataset, struct hdf5_attribute *out, struct error *err);
/* Whether an object is a dataset that has its elements in `values`, not in a .bin. */
bool hdf5_is_variable_locked(hid_t object);

/* --- hdf5_edit.c --- */

/* A link that was taken out of its group. */
struct hdf5_lifted {
	uint32_t link;
	uint32_t group;	 /* where it was placed; 0: nowhere yet */
	hid_t object;	 /* HARD: open, so that it stays; else 0 */
	H5L_type_t type; /* of one that has a value */
	char *value;	 /* SOFT, EXTERNAL: as it is stored */
	size_t size;
};

/* Elements that need nothing of libhdf5 but to know where they go. */
struct hdf5_direct {
	uint64_t off;
	struct blob *blob; /* a reference */
};

struct hdf5_edit {
	struct hdf5 *hdf5; /* what is edited; a reference */
	struct hdf5_image image;
	hid_t file;
	uint64_t *addresses; /* by object, new ones too; [0] is not used */
	uint32_t n_objects, cap_objects;
	struct hdf5_lifted *lifted;
	size_t n_lifted;
	uint32_t *unlinked; /* links */
	size_t n_unlinked;
	struct hdf5_direct *direct;
	size_t n_direct;
	struct hdf5_place *released; /* hdf5_release.c */
	size_t n_released;
};

/* Opens an object of the edit: its identifier, or negative with a text. */
hid_t hdf5_edit_object_locked(struct hdf5_edit *edit, uint32_t object, struct error *err);
/* The group in which a link of the old file is now; 0: it is gone. */
uint32_t hdf5_edit_group_of(struct hdf5_edit *edit, uint32_t link);
/* Makes a link anew as it is, which puts it at the end of the order of creation. */
int hdf5_link_renew_locked(hid_t group, const char *name, struct error *err);
/* The properties of a new link: its name's character set. */
hid_t hdf5_link_list_locked(const char *name);
/* At commit, `blob` is written at `off` past libhdf5. Outside the lock. */
int hdf5_edit_direct(
	struct hdf5_edit *edit, uint64_t off, struct blob *blob, struct error *err);

/* --- hdf5_release.c --- */

void hdf5_release_register_locked(void);
/* Before an attribute is written over: the room of its strings of variable length is
 * given back with hdf5_release_all(). Best effort. */
void hdf5_release_locked(struct hdf5_edit *edit, hid_t attribute);
/* Removes an attribute, and the same. */
herr_t hdf5_attribute_delete_locked(
	struct hdf5_edit *edit, hid_t object, const char *name);
/* After libhdf5 has closed the edit's file. */
int hdf5_release_all(struct hdf5_edit *edit, struct error *err);

/* --- hdf5_write.c --- */

/* Where elements are written: an open dataset of the edit's file, and how. */
struct hdf5_target {
	struct hdf5_edit *edit;
	hid_t dataset, type;
	const struct hdf5_form *form;
	unsigned rank;
	hsize_t dims[H5S_MAX_RANK];
	hsize_t box[H5S_MAX_RANK]; /* what is written at a time: chunks, or about 1 MiB */
};

/* Boxes of about 1 MiB, whole rows first. */
void hdf5_boxes(unsigned rank, const hsize_t *dims, size_t size, hsize_t *box);
/* Writes `blob` (or, with `own`, those of its ranges that were written over its base)
 * where it differs from what is there. Outside the lock. */
int hdf5_write_boxes(
	struct hdf5_target *target, struct blob *blob, bool own, struct error *err);
/* Writes a new dataset's elements. Outside the lock. */
int hdf5_write_new(
	struct hdf5_edit *edit, hid_t dataset, struct blob *content, struct error *err);

/* --- hdf5_set.c --- */

/* Makes one attribute what a value of `json` says. */
int hdf5_attribute_set_locked(struct hdf5_edit *edit, hid_t object, const char *name,
	const struct json *json, json_value v, struct error *err);
/* Copies all attributes of an object to another. */
int hdf5_attributes_copy_locked(
	struct hdf5_edit *edit, hid_t from, hid_t to, struct error *err);
/* The attribute that says what opaque elements are. */
int hdf5_tag_locked(
	struct hdf5_edit *edit, hid_t dataset, const char *dtype, struct error *err);

#endif
