/*
 * hdf5: plain HDF5 files, whatever wrote them.
 *
 *	user block | superblock | objects, heaps, indexes, elements in any order
 *
 *	/ (group)              layers/             metadata.json: its attributes
 *	+- a (group)           layers/a/           layers/a/attributes.json
 *	|  +- w (dataset)      layers/a/w.bin      layers/a/w.json
 *	|  +- t (named type)                       layers/a/t.json
 *	+- b -> /a (soft)      layers/b -> a
 *	+- v = /a/w (hard)     layers/v.bin -> a/w.bin, layers/v.json -> a/w.json
 *	+- x -> other.h5:/x                        layers/x.json: why it is not followed
 *
 * The hard idea: the file is a graph and the tree is not. An object stands in the tree
 * once, at its shallowest, then alphabetically first place (grammar/hdf5_walk.c); every
 * other way to it is a symbolic link, so cycles end, and no path leads out of the mount.
 */
#include "decoders/grammar/hdf5.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/names.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/hdf5_plain.h"
#include "decoders/grammar/layers.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SAME_NAME_MAX 1000 /* links of one name in one group */

static void plain_free(struct model *model)
{
	struct hdf5_plain *plain = model->priv;

	if (plain == NULL)
		return;
	hdf5_unref(&plain->hdf5);
	free(plain->nodes);
	free(plain->soft);
	free(plain);
	model->priv = NULL;
}

static struct hdf5 *hdf5_of(const struct model *model)
{
	const struct hdf5_plain *plain = model->priv;

	return plain->hdf5;
}

/* --- decode --- */

struct decoding {
	struct model *model;
	struct hdf5_plain *plain;
	const struct hdf5_link *link; /* being placed */
	uint32_t number;	      /* of it */
	struct node *parent;	      /* where its last component goes */
	struct text name;	      /* of that */
	const struct node *target;    /* that the link leads to; NULL: none */
};

/* Appends a component, or several nested ones. What libhdf5 would take for a path is one
 * name all the same. */
static void put_piece(
	const char *name, size_t len, enum names_place place, struct text *path)
{
	bool slash = memchr(name, '/', len) != NULL;

	names_piece(name, len, slash ? '.' : HDF5_SEPARATOR, place, path);
}

/* Finds where the link goes in the tree: d->parent and d->name. */
static int place_link(struct decoding *d, enum names_place place, struct error *err)
{
	struct node *parent = d->plain->nodes[d->link->group];
	AUTO_TEXT path = {0};
	const char *last;
	int rc;

	put_piece(d->link->name, d->link->len, place, &path);
	rc = text_check(&path, err);
	if (rc < 0)
		return rc;
	last = strrchr(path.bytes, '/');
	d->parent = parent;
	if (last != NULL)
		rc = tree_folders(d->model->tree, parent, path.bytes,
			(size_t)(last - path.bytes), &d->parent, err);
	text_clear(&d->name);
	text_puts(&d->name, last == NULL ? path.bytes : last + 1);
	return rc < 0 ? rc : text_check(&d->name, err);
}

/* Something of that name is there already, which no sound file has. */
static int rename_duplicate(struct decoding *d, size_t len, unsigned n, struct error *err)
{
	model_set_readonly(d->model, "several links are called %.*s", (int)d->link->len,
		d->link->name);
	text_splice(&d->name, len, d->name.len - len, NULL, 0);
	text_printf(&d->name, "%%=%u", n);
	return text_check(&d->name, err);
}

typedef int (*add_fn)(struct decoding *d, struct node **out, struct error *err);

/* Adds a node under the first name that is free. */
static int add_node(struct decoding *d, enum names_place place, add_fn add,
	struct node **out, struct error *err)
{
	int rc = place_link(d, place, err);
	size_t len = d->name.len;
	unsigned n;

	if (rc == 0)
		rc = add(d, out, err);
	for (n = 2; rc == -EEXIST && n < SAME_NAME_MAX; n++) {
		rc = rename_duplicate(d, len, n, err);
		if (rc == 0)
			rc = add(d, out, err);
	}
	if (rc == 0)
		(*out)->origin = d->number;
	return rc;
}

static int add_folder(struct decoding *d, struct node **out, struct error *err)
{
	return tree_folder(d->model->tree, d->parent, d->name.bytes, out, err);
}

static int add_tensor(struct decoding *d, struct node **out, struct error *err)
{
	return tree_tensor(d->model->tree, d->parent, d->name.bytes, out, err);
}

/* The attributes of a group, as a document in its folder. */
static int add_attributes(struct decoding *d, struct node *folder, const char *name,
	uint32_t object, struct error *err)
{
	struct tree *tree = d->model->tree;
	struct value *value;
	struct node *node;
	int rc = tree_value(tree, object, &value, err);

	if (rc == 0)
		rc = tree_document(tree, folder, name, value, "", NULL, &node, err);
	return rc;
}

/* A tensor that is only a reason why it is none. */
static int add_reason(
	struct decoding *d, const char *reason, unsigned number, struct error *err)
{
	struct tree *tree = d->model->tree;
	struct node *node;
	int rc = add_node(d, NAMES_STEM, add_tensor, &node, err);

	if (rc == 0)
		rc = tree_type(
			tree, dtype_find("object", 6), 0, NULL, &node->tensor, err);
	if (rc < 0)
		return rc;
	node->origin = number;
	node->tensor->flags |= TENSOR_NO_BIN | TENSOR_NULL;
	node->tensor->error = tree_string(tree, reason, strlen(reason));
	return node->tensor->error == NULL ? error_set(err, ENOMEM, "not enough memory")
					   : 0;
}

static int add_group(struct decoding *d, struct error *err)
{
	uint32_t object = d->link->object;
	const struct hdf5_object *o = hdf5_object(d->plain->hdf5, object);
	struct node *folder;
	int rc = add_node(d, NAMES_FOLDER, add_folder, &folder, err);

	if (rc < 0)
		return rc;
	folder->flags |= NODE_OBJECT | NODE_GROWS;
	d->plain->nodes[object] = folder;
	if (o->n_attributes > 0)
		rc = add_attributes(d, folder, HDF5_ATTRIBUTES, object, err);
	if (rc == 0 && o->error != NULL)
		rc = add_reason(d, o->error, d->number, err);
	return rc;
}

static int add_real(struct decoding *d, struct error *err)
{
	const struct hdf5_object *o = hdf5_object(d->plain->hdf5, d->link->object);
	struct node *node;
	int rc;

	d->plain->n_shared += o->n_names > 1;
	if (o->kind == HDF5_GROUP)
		return add_group(d, err);
	rc = add_node(d, NAMES_STEM, add_tensor, &node, err);
	if (rc == 0)
		d->plain->nodes[d->link->object] = node;
	return rc;
}

static int add_external(struct decoding *d, struct error *err)
{
	AUTO_TEXT reason = {0};
	char safe[ERROR_TEXT_MAX];

	if (d->link->kind == HDF5_EXTERNAL) {
		(void)error_escape(
			safe, sizeof safe, d->link->target, strlen(d->link->target));
		text_printf(&reason, "external link to %s is never followed", safe);
	} else {
		text_puts(&reason, "a link of a kind that is not supported");
	}
	if (text_check(&reason, err) < 0)
		return -ENOMEM;
	return add_reason(d, reason.bytes, d->number, err);
}

/* Everything that stands at its real place; the other links need to know where that is.
 */
static int decode_real(struct decoding *d, struct error *err)
{
	struct hdf5 *hdf5 = d->plain->hdf5;
	uint32_t i;
	int rc = 0;

	for (i = HDF5_ROOT + 1; rc == 0 && i <= hdf5_n_links(hdf5); i++) {
		d->link = hdf5_link(hdf5, i);
		d->number = i;
		if (d->link->kind == HDF5_HARD && hdf5_real(hdf5, i))
			rc = add_real(d, err);
		else if (d->link->kind == HDF5_EXTERNAL || d->link->kind == HDF5_OTHER)
			rc = add_external(d, err);
	}
	return rc;
}

/* Appends `path` as seen from a folder; both are paths of the tree. */
static void put_relative(const struct node *folder, const char *path, struct text *out)
{
	AUTO_TEXT from = {0};
	const char *f, *p = path;
	size_t i, same = 0;

	tree_path(folder, &from);
	text_putc(&from, '/');
	if (text_check(&from, NULL) < 0) {
		out->failed = true;
		return;
	}
	for (i = 0; from.bytes[i] != '\0'; i++) {
		if (from.bytes[i] != path[i] &&
			!(from.bytes[i] == '/' && path[i] == '\0'))
			break;
		if (from.bytes[i] == '/')
			same = i + 1;
		if (path[i] == '\0')
			break;
	}
	for (f = from.bytes + same; *f != '\0'; f++)
		text_puts(out, *f == '/' ? "../" : "");
	p += same < strlen(path) ? same : strlen(path);
	text_puts(out, *p == '\0' && out->len == 0 ? "." : p);
	if (*p == '\0' && out->len > 0 && out->bytes[out->len - 1] == '/')
		text_splice(out, out->len - 1, 1, NULL, 0);
}

/* Remembers where a soft link leads; its second half is not of interest. */
static int note_soft(struct decoding *d, struct node *node, struct error *err)
{
	struct hdf5_plain *plain = d->plain;
	struct hdf5_soft *soft = plain->soft;
	size_t n = plain->n_soft;

	if (d->link->kind != HDF5_SOFT ||
		(n > 0 && soft[n - 1].node->origin == node->origin))
		return 0;
	if ((n & (n - 1)) == 0) {
		soft = reallocarray(soft, n == 0 ? 1 : n * 2, sizeof *soft);
		if (soft == NULL)
			return error_set(err, ENOMEM, "not enough memory");
		plain->soft = soft;
	}
	soft[plain->n_soft++] = (struct hdf5_soft){node, d->target};
	return 0;
}

static int add_link_node(struct decoding *d, const char *suffix, const char *path,
	enum names_place place, struct error *err)
{
	AUTO_TEXT target = {0};
	struct node *node;
	int rc = place_link(d, place, err);

	if (rc < 0)
		return rc;
	put_relative(d->parent, path, &target);
	text_puts(&target, suffix);
	text_puts(&d->name, suffix);
	if (text_check(&target, err) < 0 || text_check(&d->name, err) < 0)
		return -ENOMEM;
	rc = tree_link(
		d->model->tree, d->parent, d->name.bytes, target.bytes, &node, err);
	if (rc == -EEXIST) {
		model_set_readonly(d->model, "several links are called %.*s",
			(int)d->link->len, d->link->name);
		return 0;
	}
	if (rc < 0)
		return rc;
	node->origin = d->number;
	return note_soft(d, node, err);
}

/* A link to a dataset is two: to its .bin, if it has one, and to its .json. */
static int add_tensor_links(struct decoding *d, struct node *target, struct error *err)
{
	AUTO_TEXT path = {0};
	int rc = 0;

	if (target->tensor == NULL)
		rc = hdf5_describe(d->plain->hdf5, d->model,
			hdf5_plain_object(d->model, target), &target->tensor, err);
	tree_path(target, &path);
	if (rc == 0)
		rc = text_check(&path, err);
	if (rc == 0 && (target->tensor->flags & TENSOR_NO_BIN) == 0)
		rc = add_link_node(d, ".bin", path.bytes, NAMES_STEM, err);
	if (rc == 0)
		rc = add_link_node(d, ".json", path.bytes, NAMES_STEM, err);
	return rc;
}

/* Where a soft link would lead: never out of layers/. */
static int add_dangling(struct decoding *d, struct error *err)
{
	const char *at = d->link->target, *end;
	const struct node *group =
		d->plain->nodes[*at == '/' ? HDF5_ROOT : d->link->group];
	AUTO_TEXT path = {0};

	tree_path(group, &path);
	for (; *at != '\0'; at = end + (*end == '/')) {
		end = at + strcspn(at, "/");
		if (end == at || (end == at + 1 && *at == '.'))
			continue;
		text_putc(&path, '/');
		put_piece(at, (size_t)(end - at), NAMES_FOLDER, &path);
	}
	if (text_check(&path, err) < 0)
		return -ENOMEM;
	return add_link_node(d, "", path.bytes, NAMES_FOLDER, err);
}

static int add_link(struct decoding *d, uint32_t object, struct error *err)
{
	struct node *target = d->plain->nodes[object];
	AUTO_TEXT path = {0};

	d->target = target;
	if (target == NULL)
		return add_dangling(d, err);
	if (target->kind == NODE_TENSOR)
		return add_tensor_links(d, target, err);
	tree_path(target, &path);
	if (text_check(&path, err) < 0)
		return -ENOMEM;
	return add_link_node(d, "", path.bytes, NAMES_FOLDER, err);
}

static int decode_links(struct decoding *d, struct error *err)
{
	struct hdf5 *hdf5 = d->plain->hdf5;
	uint32_t i, end;
	int rc = 0;

	for (i = HDF5_ROOT + 1; rc == 0 && i <= hdf5_n_links(hdf5); i++) {
		d->link = hdf5_link(hdf5, i);
		d->number = i;
		if (d->link->kind == HDF5_HARD && !hdf5_real(hdf5, i)) {
			rc = add_link(d, d->link->object, err);
		} else if (d->link->kind == HDF5_SOFT) {
			end = hdf5_resolve(hdf5, d->link->group, d->link->target,
				strlen(d->link->target));
			d->target = NULL;
			rc = end == 0 ? add_dangling(d, err)
				      : add_link(d, hdf5_link(hdf5, end)->object, err);
		}
	}
	return rc;
}

static int decode_root(struct decoding *d, struct error *err)
{
	const struct hdf5_object *root = hdf5_object(d->plain->hdf5, HDF5_ROOT);
	struct tree *tree = d->model->tree;
	struct node *layers;
	int rc = add_attributes(d, tree->root, "metadata.json", HDF5_ROOT, err);

	if (rc == 0)
		rc = tree_folder(tree, tree->root, LAYERS, &layers, err);
	if (rc < 0)
		return rc;
	layers->origin = HDF5_ROOT;
	layers->flags |= NODE_OBJECT | NODE_GROWS | NODE_FIXED;
	d->plain->nodes[HDF5_ROOT] = layers;
	if (root->error != NULL)
		return error_set(err, EIO, "root %s", root->error);
	return 0;
}

static int decode_tree(struct model *model, struct hdf5_plain *plain, struct error *err)
{
	struct decoding d = {.model = model, .plain = plain};
	int rc;

	plain->nodes =
		calloc((size_t)hdf5_n_objects(plain->hdf5) + 1, sizeof *plain->nodes);
	if (plain->nodes == NULL)
		return error_set(err, ENOMEM, "not enough memory for the tree");
	rc = decode_root(&d, err);
	if (rc == 0)
		rc = decode_real(&d, err);
	if (rc == 0)
		rc = decode_links(&d, err);
	text_done(&d.name);
	return rc;
}

static int plain_describe(struct model *model, struct node *node, struct error *err)
{
	return hdf5_describe(hdf5_of(model), model, hdf5_plain_object(model, node),
		&node->tensor, err);
}

static int plain_content(
	struct model *model, struct node *node, struct blob **out, struct error *err)
{
	return hdf5_content(hdf5_of(model), hdf5_plain_object(model, node), out, err);
}

static int plain_sidecar(
	struct model *model, struct node *node, struct text *out, struct error *err)
{
	return hdf5_sidecar(hdf5_of(model), hdf5_plain_object(model, node), out, err);
}

static int plain_load(
	struct model *model, struct value *value, struct text *out, struct error *err)
{
	int rc = hdf5_attributes(hdf5_of(model), (uint32_t)value->origin, NULL, out, err);

	model->damaged += rc > 0;
	return rc < 0 ? rc : 0;
}

static int plain_facts(
	struct model *model, struct node *node, model_fact_fn fn, void *arg)
{
	uint32_t object = hdf5_plain_object(model, node);

	return object == 0 ? 0 : hdf5_facts(hdf5_of(model), object, fn, arg);
}

static const struct model_ops plain_ops = {
	.free = plain_free,
	.describe = plain_describe,
	.content = plain_content,
	.sidecar = plain_sidecar,
	.load = plain_load,
	.facts = plain_facts,
};

static int plain_decode(struct model *model, struct error *err)
{
	struct hdf5_plain *plain = calloc(1, sizeof *plain);
	int rc;

	if (plain == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	model->priv = plain;
	model->ops = &plain_ops;
	rc = tree_new(&model->tree, HDF5_SEPARATOR, err);
	if (rc == 0)
		rc = hdf5_open(&plain->hdf5, model->source, err);
	if (rc == 0)
		rc = hdf5_walk(plain->hdf5, &model->damaged, err);
	if (rc == 0)
		rc = decode_tree(model, plain, err);
	if (rc < 0)
		return rc;
	if (hdf5_readonly(plain->hdf5) != NULL)
		model_set_readonly(model, "%s", hdf5_readonly(plain->hdf5));
	if (model->damaged > 0)
		model_set_readonly(model, "parts of this file are damaged");
	return 0;
}

static unsigned plain_probe(struct source *source)
{
	uint64_t base;

	return hdf5_signature(source, &base) ? HDF5_BITS : 0;
}

// ENCODE

const struct decoder hdf5_decoder = {
	.name = "hdf5",
	.title = "HDF5",
	.edits = "elements, dtypes, shapes, attributes; tensors and groups added, "
		 "removed, "
		 "renamed",
	.flags = DECODER_PATCHES | DECODER_FOLDERS | DECODER_RESIZES | DECODER_DOCUMENTS,
	.probe = plain_probe,
	.decode = plain_decode,
	.encode = hdf5_plain_encode,
	.check = hdf5_plain_check,
};
