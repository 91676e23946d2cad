/*
 * model: a decoded container; decoder: how one format is decoded and encoded.
 *
 * A format is one file with one const struct decoder. decode() reads headers only
 * and makes a model: the tree, and what the format has to remember. encode() makes a plan
 * out of the tree's edits. Nothing else of a format is known outside its file.
 */
#ifndef WEIGHTFS_BASE_MODEL_H
#define WEIGHTFS_BASE_MODEL_H

#include "decoders/base/tree.h"
#include <pthread.h>
#include <stddef.h>

struct blob;
struct decoder;
struct error;
struct model;
struct plan;
struct source;
struct spill_pool;
struct text;

/* Derived facts of a node (DESIGN 1.4): `name` without "user.weightfs.", `value` as text.
 */
typedef int (*model_fact_fn)(void *arg, const char *name, const char *value);

/*
 * What a model can be asked for later. All are called with the model's lock held, so none
 * needs to be thread-safe (libhdf5 is not); any may be NULL, with the default that is
 * said. The lock is recursive: ops, encode and check may call the model_ functions below.
 */
struct model_ops {
	void (*free)(struct model *model); /* NULL: nothing but `priv` (free()) */
	/* Fills a NODE_LAZY folder. Where this fails the folder is emptied again. */
	int (*expand)(struct model *model, struct node *folder, struct error *err);
	/* Sets node->tensor of a tensor that decode left NULL. A damaged one is no
	 * failure: it gets TENSOR_NO_BIN and an error text. */
	int (*describe)(struct model *model, struct node *node, struct error *err);
	/* The elements of a tensor that is no TENSOR_SPAN (the container's, not an
	 * edit's). The blob is read without the lock. */
	int (*content)(struct model *model, struct node *node, struct blob **out,
		struct error *err);
	/* Appends the members of NAME.json beyond dtype, shape and value, each as
	 * `"name": JSON`, separated by
	 * ", " (values, attributes): for TENSOR_SIDECAR. */
	int (*sidecar)(struct model *model, struct node *node, struct text *out,
		struct error *err);
	/* Appends the JSON text of a value that decode left NULL. */
	int (*load)(struct model *model, struct value *value, struct text *out,
		struct error *err);
	/* Reports derived facts beyond dtype, shape and a span's offset, which are
	 * known without. */
	int (*facts)(struct model *model, struct node *node, model_fact_fn fn, void *arg);
};

struct model {
	const struct decoder *decoder;
	const struct model_ops *ops;
	struct source *source; /* the container; a reference */
	struct tree *tree;
	void *priv;
	/* Of what encode() and check() write by the way, borrowed: it outlives the plans.
	 * model_open()'s has memory only. */
	struct spill_pool *pool;
	char *readonly; /* why this container cannot be written (one line, owned), or NULL
			 */
	unsigned damaged; /* parts that could not be decoded and say so in their place */
	pthread_mutex_t lock;
};

/* One structural change that is asked for; see decoder.check. */
struct change {
	unsigned what;	     /* one of EDIT_ADDED, _REMOVED, _MOVED, _TYPE, _SIDECAR; 0: a
				document */
	struct node *node;   /* NULL for ADDED */
	struct node *parent; /* ADDED, MOVED: the folder it goes to; of a document NULL
			      * for one that is to be added itself */
	const char *name;    /* ADDED, MOVED: component or stem */
	enum node_kind kind; /* ADDED */
	const struct tensor *type; /* ADDED (of a tensor), TYPE */
	struct value *value;	   /* 0: with `edited` text already parsed as JSON */
	const char *edited;
	size_t edited_len;
	/* 0: the document as it was saved, for LINE:COLUMN in messages; NULL where there
	 * is none */
	const char *document;
	size_t document_len;
};

enum decoder_flags {
	DECODER_PATCHES = 1,   /* a span's bytes carry no checksum elsewhere: same-size
				  contents are written over without encode() */
	DECODER_FOLDERS = 2,   /* folders are objects of their own: mkdir adds one, rmdir
				  removes it */
	DECODER_DOCUMENTS = 8, /* documents can be added: check() says which, and where */
	DECODER_RESIZES = 4,   /* shape edits may change the number of bytes */
};

struct decoder {
	const char *name;  /* of -o format= and info.json: "safetensors" */
	const char *title; /* for --formats: "safetensors" */
	const char *edits; /* for --formats: what can be edited, in words */
	unsigned flags;
	/*
	 * How many bits of the content were verified to be this format; 0: it is another.
	 * Evidence at offset 0 only, or what hangs on it; never from the name. Reads
	 * little; never fails: unreadable is 0.
	 */
	unsigned (*probe)(struct source *source);
	/* Makes a model from a model_new() one: fills model->tree, ops and priv. On
	 * failure the caller frees the model, through model->ops->free where set. Reads
	 * headers only. */
	int (*decode)(struct model *model, struct error *err);
	/*
	 * Optional. Writes into `plan` (empty, made for model->source) the container with
	 * all edits of the tree. Without edits the outcome is byte for byte the old
	 * container. -EINVAL, -EOPNOTSUPP with "PATH: what" for an edit that the format
	 * cannot hold. Called with the model's lock held; does not change the model.
	 */
	int (*encode)(struct model *model, struct plan *plan, struct error *err);
	/* Optional. May this be done? 0, or -EOPNOTSUPP / -EINVAL with the reason, before
	 * the tree is touched. NULL: what the tree can express can be encoded. With the
	 * lock held. */
	int (*check)(struct model *model, const struct change *change, struct error *err);
};

/* Probes all formats, or takes the one called `format` (NULL: probe), and decodes.
 * -EINVAL when no format fits ("not a model file that weightfs knows"). The model holds a
 * reference to `source`. */
int model_open(
	struct model **out, struct source *source, const char *format, struct error *err);
/* The same with these formats, NULL-terminated; for tests. */
int model_open_with(struct model **out, struct source *source, const char *format,
	const struct decoder *const *list, struct error *err);
void model_free(struct model **model);
#define AUTO_MODEL __attribute__((cleanup(model_free))) struct model

/* These take the model's lock, call the op once, and keep what it made. */
int model_expand(struct model *model, struct node *folder, struct error *err);
/* The container's type: never NULL on success. */
int model_tensor(struct model *model, struct node *node, const struct tensor **out,
	struct error *err);
/* The type as it is now, edits included. */
int model_tensor_now(struct model *model, struct node *node, const struct tensor **out,
	struct error *err);
/* The elements as they are now (an edit's content, a span, or the op's); a reference for
 * the caller. -EOPNOTSUPP with the tensor's error text where there is no .bin. */
int model_content(
	struct model *model, struct node *node, struct blob **out, struct error *err);
/* The value's text as the container has it, loaded at most once. Borrowed. */
int model_load(struct model *model, struct value *value, const char **text, size_t *len,
	struct error *err);
int model_sidecar(
	struct model *model, struct node *node, struct text *out, struct error *err);
int model_facts(struct model *model, struct node *node, model_fact_fn fn, void *arg);
/* Makes the plan (a new one) for the tree's edits: the format's encode, or, where all
 * edits are contents of the same size in spans and the format has DECODER_PATCHES, the
 * old container written over in places. */
int model_encode(struct model *model, struct plan **out, struct error *err);
int model_check(struct model *model, const struct change *change, struct error *err);
/* Sets model->readonly (first reason wins), escaped as error_set() does it. */
void model_set_readonly(struct model *model, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* All formats, NULL-terminated (decoders/list.c). */
extern const struct decoder *const decoder_list[];

#endif
