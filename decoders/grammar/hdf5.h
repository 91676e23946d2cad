/*
 * hdf5: HDF5 files, for the formats that live in them: plain HDF5, and Keras, which
 * arranges the same objects in a tree of its own.
 *
 * All of libhdf5 is behind this header. It does its input and output through a driver of
 * ours, which reads a struct source and keeps what an edit writes for a plan; it opens no
 * other file, ever: external links, external storage and filters from disk are refused.
 * It is not thread-safe: every function here takes the one lock of the process itself, so
 * callers need none (struct hdf5_edit: one thread at a time).
 *
 * Objects (groups, datasets, named datatypes) and the links that lead to them have
 * numbers, which are the same whenever the same bytes are opened. 0 is none, the root
 * group is object HDF5_ROOT and its place is link HDF5_ROOT, which has no name and no
 * group. A node's `origin` is the number of its link.
 */
#ifndef WEIGHTFS_GRAMMAR_HDF5_H
#define WEIGHTFS_GRAMMAR_HDF5_H

#include "decoders/base/model.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blob;
struct error;
struct plan;
struct source;
struct spill_pool;
struct tensor;
struct text;

#define HDF5_ROOT 1
#define HDF5_BITS 64 /* of evidence that the signature is */
#define HDF5_OBJECTS_MAX (1u << 27)
#define HDF5_CACHE (64u << 20)	/* bytes of decoded chunks kept, for each file */
#define HDF5_VALUES_MAX 1000000 /* elements of `values` in a sidecar */

struct hdf5;

enum hdf5_kind {
	HDF5_GROUP,
	HDF5_DATASET,
	HDF5_TYPE,    /* a named datatype */
	HDF5_DAMAGED, /* cannot be opened: see error */
};

enum hdf5_link_kind {
	HDF5_HARD,
	HDF5_SOFT,
	HDF5_EXTERNAL,
	HDF5_OTHER, /* user-defined */
};

struct hdf5_object {
	enum hdf5_kind kind;
	uint32_t link;	       /* its real place: the shallowest, then first path */
	uint32_t first;	       /* GROUP: its first link, in the container's order */
	uint32_t n_names;      /* hard links that lead here */
	uint32_t n_attributes; /* GROUP; else not counted */
	uint64_t address;
	bool sound;	   /* its elements of variable length were looked at */
	const char *error; /* DAMAGED: why; GROUP: why its list breaks off */
};

struct hdf5_link {
	enum hdf5_link_kind kind;
	uint32_t group;	  /* the object that has it; 0: the root's */
	uint32_t object;  /* HARD: where it leads */
	uint32_t next;	  /* of the same group; 0: the last */
	uint32_t depth;	  /* links from the root to here */
	int64_t order;	  /* of creation, where that is tracked */
	const char *name; /* NUL-terminated; any bytes but '/' */
	uint32_t len;
	const char *target; /* SOFT: the path; EXTERNAL: "FILE:PATH"; else NULL */
};

/* Whether a superblock's signature stands at 0, 512, 1024, 2048, ... and where: what is
 * before it is a user block. */
bool hdf5_signature(struct source *source, uint64_t *base);

/*
 * Opens the file that `source` (referenced) is. Looks at the superblock and the root
 * group only: a format's probe can afford it. A mark that a writer left when it died is
 * overlooked; hdf5_readonly() then says so. -EINVAL with libhdf5's reason for what is
 * no HDF5 file or a truncated one.
 */
int hdf5_open(struct hdf5 **out, struct source *source, struct error *err);
/* Shared with the blobs that it gives. hdf5_unref sets the pointer to NULL. */
struct hdf5 *hdf5_ref(struct hdf5 *hdf5);
void hdf5_unref(struct hdf5 **hdf5);
#define AUTO_HDF5 __attribute__((cleanup(hdf5_unref))) struct hdf5

/* Why it cannot be written, or NULL. */
const char *hdf5_readonly(const struct hdf5 *hdf5);

/*
 * Finds all links and objects, breadth first from the root, each group's links in the
 * container's order (of creation where that is tracked, else of names). Once, before
 * anything below but the attributes of HDF5_ROOT and hdf5_exists(). What is damaged
 * becomes an object of kind HDF5_DAMAGED and counts in *damaged.
 */
int hdf5_walk(struct hdf5 *hdf5, unsigned *damaged, struct error *err);
/* Whether a path of hard links from the root leads to what is sound ("layers/dense"). */
bool hdf5_exists(struct hdf5 *hdf5, const char *path);

/* Numbers run from 1 to these. Borrowed, until the last hdf5_unref(). NULL: no such. */
uint32_t hdf5_n_objects(const struct hdf5 *hdf5);
uint32_t hdf5_n_links(const struct hdf5 *hdf5);
const struct hdf5_object *hdf5_object(const struct hdf5 *hdf5, uint32_t object);
const struct hdf5_link *hdf5_link(const struct hdf5 *hdf5, uint32_t link);
/* Whether a link is its object's real place. */
bool hdf5_real(const struct hdf5 *hdf5, uint32_t link);
/* The link of a group by its name; 0: none. */
uint32_t hdf5_child(
	const struct hdf5 *hdf5, uint32_t group, const char *name, size_t len);
/*
 * The link at the end of a path, which begins at the root where it begins with '/', else
 * at `group`; empty components and "." are passed over. Soft links on the way are
 * followed (40 at most), the last one as well: the result is a hard link, or 0 where the
 * path leads nowhere or out of the file.
 */
uint32_t hdf5_resolve(
	const struct hdf5 *hdf5, uint32_t group, const char *path, size_t len);
/* Appends the path of a link, or of an object's real place: "/a/b"; "/" is the root. */
void hdf5_link_path(const struct hdf5 *hdf5, uint32_t link, struct text *out);
void hdf5_path(const struct hdf5 *hdf5, uint32_t object, struct text *out);

/*
 * Attributes as a JSON object, in the container's order, pretty-printed as a document is
 * (so that places in an edited text are places in the document): strings, numbers, true
 * and false, lists of these by shape, objects for compounds, {"%reference": "/path"},
 * null for what has no elements. Those named in `hide` (NULL-terminated; NULL: none) are
 * left out. An attribute that cannot be read is {"%error": "why"}; so are all where they
 * cannot be listed, and the result is 1.
 */
int hdf5_attributes(struct hdf5 *hdf5, uint32_t object, const char *const *hide,
	struct text *out, struct error *err);
bool hdf5_has_attribute(struct hdf5 *hdf5, uint32_t object, const char *name);
/* Appends the bytes of a string attribute (a scalar, or of one element; fixed or variable
 * length, without padding). -ENOENT: there is none; -EINVAL: it is no such string. */
int hdf5_string(struct hdf5 *hdf5, uint32_t object, const char *name, struct text *out,
	struct error *err);
/*
 * The strings of a list attribute, in order, each NUL-terminated, appended to *out;
 * *n counts them. A list that Keras had to break is joined: where there is no NAME,
 * NAME0, NAME1, ... An empty list of numbers (as numpy writes one) is a list of none.
 * -ENOENT, -EINVAL as above.
 */
int hdf5_strings(struct hdf5 *hdf5, uint32_t object, const char *name, struct text *out,
	size_t *n, struct error *err);

/*
 * What a dataset is, for model_ops.describe: dtype, shape, where its elements lie, in the
 * tree's memory. A damaged or unsupported one has TENSOR_NO_BIN and an error; a damaged
 * one counts in model->damaged. A named datatype is a tensor without a shape.
 */
int hdf5_describe(struct hdf5 *hdf5, struct model *model, uint32_t object,
	struct tensor **out, struct error *err);
/* The elements, for model_ops.content: a blob that decodes on demand and holds a
 * reference to the file. */
int hdf5_content(
	struct hdf5 *hdf5, uint32_t object, struct blob **out, struct error *err);
/* `values` and `attributes`, for model_ops.sidecar. */
int hdf5_sidecar(struct hdf5 *hdf5, uint32_t object, struct text *out, struct error *err);
/* The full name and how a dataset is stored, for model_ops.facts. */
int hdf5_facts(struct hdf5 *hdf5, uint32_t object, model_fact_fn fn, void *arg);

/* Whether new tensors of that type can be stored: 0, or -EOPNOTSUPP with the reason. */
int hdf5_storable(const struct tensor *type, struct error *err);

/*
 * An edit: the file opened once more, for writing, with all that libhdf5 writes kept
 * aside. Nothing of it reaches anybody before hdf5_edit_commit(); after any failure only
 * hdf5_edit_drop() is left. To judge an edit, make it and drop it.
 *
 * Objects keep their numbers in an edit, new ones get further numbers. The order that
 * always works: lift every link that moves, unlink what goes, make new groups, place what
 * was lifted, make new datasets, then types, contents and attributes.
 */
struct hdf5_edit;

/* What is written lies in `pool`, which outlives the edit and its plan. */
int hdf5_edit_open(struct hdf5_edit **out, struct hdf5 *hdf5, struct spill_pool *pool,
	struct error *err);
void hdf5_edit_drop(struct hdf5_edit **edit);
#define AUTO_HDF5_EDIT __attribute__((cleanup(hdf5_edit_drop))) struct hdf5_edit
/* Closes the file and puts the new container into `plan` (empty, for the same source):
 * the old one, written over where it changed, and longer. Frees the edit on success. */
int hdf5_edit_commit(struct hdf5_edit **edit, struct plan *plan, struct error *err);

/* Takes a link out of its group; its object stays for hdf5_edit_place(). What was lifted
 * and never placed is gone. */
int hdf5_edit_lift(struct hdf5_edit *edit, uint32_t link, struct error *err);
/* Puts a lifted link into a group, under a name that is free there. */
int hdf5_edit_place(struct hdf5_edit *edit, uint32_t link, uint32_t group,
	const char *name, size_t len, struct error *err);
/* Removes a link, and with a group's last one all that is only below it: links in a
 * removed group are not to be removed one by one. */
int hdf5_edit_unlink(struct hdf5_edit *edit, uint32_t link, struct error *err);
int hdf5_edit_group(struct hdf5_edit *edit, uint32_t group, const char *name, size_t len,
	uint32_t *out, struct error *err);
/* A new dataset, contiguous and little-endian, with the elements of `content` (NULL:
 * none written, which reads as zeros). */
int hdf5_edit_dataset(struct hdf5_edit *edit, uint32_t group, const char *name,
	size_t len, const struct tensor *type, struct blob *content, uint32_t *out,
	struct error *err);

/* Writes those elements of a dataset that `content` (of the same size) changes, in the
 * way in which it is stored. */
int hdf5_edit_content(
	struct hdf5_edit *edit, uint32_t object, struct blob *content, struct error *err);
/*
 * Gives a dataset another dtype or shape, and `content`'s elements (NULL: those that it
 * has, cut or with zeros appended). Chunks, filters, attributes and place are kept where
 * that can be; its old creation order is not.
 */
int hdf5_edit_type(struct hdf5_edit *edit, uint32_t object, const struct tensor *type,
	struct blob *content, struct error *err);

/*
 * Makes the attributes what a JSON object says (`text`, which hdf5_attributes() showed
 * with the same `hide` and somebody edited). Only those that differ are written, in their
 * stored type; new ones get the type of a value like theirs. -EINVAL with
 * "LINE:COLUMN: name: expected ..., found ..." for what their type cannot hold.
 */
int hdf5_edit_attributes(struct hdf5_edit *edit, uint32_t object, const char *const *hide,
	const char *text, size_t len, struct error *err);
/* The same for an edited NAME.json: its `attributes` and `values`, if it has them. */
int hdf5_edit_sidecar(struct hdf5_edit *edit, uint32_t object, const char *text,
	size_t len, struct error *err);
/* Sets one string attribute, in the stored type where there is one, else UTF-8 of
 * variable length. A fixed one that outgrows what a file can hold becomes variable. */
int hdf5_edit_string(struct hdf5_edit *edit, uint32_t object, const char *name,
	const char *bytes, size_t len, struct error *err);
/* Sets a list of `n` strings (each NUL-terminated, one behind the other), broken into
 * NAME0, NAME1, ... as Keras does where it is too long for one attribute. */
int hdf5_edit_strings(struct hdf5_edit *edit, uint32_t object, const char *name,
	const char *strings, size_t n, struct error *err);
/* Removes an attribute; 0 too when there is none. */
int hdf5_edit_remove_attribute(
	struct hdf5_edit *edit, uint32_t object, const char *name, struct error *err);

#endif
