/*
 * safetensors: a JSON header, then the elements of all tensors without gaps.
 *
 *	0        8                               8 + N                 size
 *	+--------+-------------------------------+---------------------+
 *	| N, u64 | JSON, padded with spaces to N | elements            |
 *	+--------+-------------------------------+---------------------+
 *
 *	{"__metadata__":{"format":"pt"},
 *	 "a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
 *	 "a.bias":{"dtype":"BF16","shape":[3],"data_offsets":[24,30]}}
 *
 * Everything is little-endian and in C order; offsets count from 8 + N. What is
 * checked is what the reference implementation enforces (crate safetensors, struct
 * Metadata). What it would refuse but is sound in part is shown, and not written.
 *
 * The hard idea: the header is spliced as text (grammar/safetensors_header.h), and N
 * stays, or grows by blocks, so that an edit of a name or a number writes a few bytes and
 * the elements stay where they are.
 */
#include "decoders/base/blob.h"
#include "decoders/base/cursor.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/names.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/json.h"
#include "decoders/grammar/layers.h"
#include "decoders/grammar/safetensors_header.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMPARED 512 /* bytes of the header that are written together */
#define PROBED 64    /* bytes looked at behind the length */
#define RANGES_FIRST 64

/* What is kept of a container. */
struct layout {
	uint64_t metadata_off, metadata_len; /* of the value in the file; len 0: none */
};

/* Reading a container. */
struct decoding {
	struct model *model;
	struct layout *layout;
	const struct json *json; /* of the member at hand */
	const char *text;	 /* of the header */
	uint64_t data_off, data_len;
	struct node *layers;
	uint64_t origin;		  /* of the member at hand */
	struct text name;		  /* of the tensor at hand */
	struct safetensors_range *ranges; /* of sound tensors */
	size_t n_ranges, cap;
};

static int add_range(
	struct decoding *d, const struct safetensors_entry *entry, struct error *err)
{
	size_t cap = d->cap * 2 + RANGES_FIRST;
	struct safetensors_range *ranges;

	if (d->n_ranges == d->cap) {
		ranges = reallocarray(d->ranges, cap, sizeof *ranges);
		if (ranges == NULL)
			return error_set(err, ENOMEM, "not enough memory for a header");
		d->ranges = ranges;
		d->cap = cap;
	}
	d->ranges[d->n_ranges++] = (struct safetensors_range){entry->begin, entry->end};
	return 0;
}

/* Checks where the elements lie. */
static int decode_range(struct decoding *d, const struct safetensors_entry *entry,
	struct tensor *tensor, struct error *err)
{
	uint64_t bytes = entry->end - entry->begin;

	if (entry->end > d->data_len)
		return error_set(err, EINVAL,
			"data_offsets: expected an end of at most %" PRIu64
			" (the file's), found %" PRIu64,
			d->data_len, entry->end);
	if (tensor->dtype->bits > 0 && tensor->bytes != bytes)
		return error_set(err, EINVAL,
			"data_offsets: expected %" PRIu64
			" bytes by dtype and shape, found %" PRIu64,
			tensor->bytes, bytes);
	tensor->bytes = bytes;
	tensor->source = d->model->source;
	tensor->off = d->data_off + entry->begin;
	tensor->flags |= TENSOR_SPAN;
	return add_range(d, entry, err);
}

/* Fills node->tensor as far as it can. -EINVAL: the tensor is damaged. */
static int decode_entry(
	struct decoding *d, json_value member, struct node *node, struct error *err)
{
	uint64_t shape[SAFETENSORS_RANK_MAX];
	const struct dtype *dtype;
	struct safetensors_entry entry;
	int rank, rc = safetensors_entry_read(&entry, d->json, member, err);

	if (rc == 0)
		rc = safetensors_dtype(d->json, entry.dtype, &dtype, err);
	if (rc < 0)
		return rc;
	rank = safetensors_shape(d->json, entry.shape, shape, err);
	if (rank < 0)
		return rank;
	rc = tree_type(d->model->tree, dtype, (unsigned)rank, shape, &node->tensor, err);
	if (rc < 0) {
		error_prefix(err, "shape");
		return rc == -ENOMEM ? rc : -EINVAL;
	}
	if (entry.twice)
		model_set_readonly(d->model, "tensor %.*s: a member stands twice",
			(int)d->name.len, d->name.bytes);
	return decode_range(d, &entry, node->tensor, err);
}

/* A tensor whose elements cannot be shown says why in its place. */
static int decode_damaged(
	struct decoding *d, struct node *node, const char *why, struct error *err)
{
	struct tree *tree = d->model->tree;
	int rc = 0;

	if (node->tensor == NULL) {
		const struct dtype *unknown = dtype_intern("unknown", 7, DTYPE_NONE, 0);

		if (unknown == NULL)
			return error_set(err, ENOMEM, "not enough memory for a type");
		rc = tree_type(tree, unknown, 0, NULL, &node->tensor, err);
		if (rc < 0)
			return rc;
		node->tensor->flags |= TENSOR_NULL;
	}
	node->tensor->flags |= TENSOR_NO_BIN;
	node->tensor->error = tree_string(tree, why, strlen(why));
	if (node->tensor->error == NULL)
		return error_set(err, ENOMEM, "not enough memory for a tensor");
	d->model->damaged++;
	return 0;
}

static int decode_tensor(struct decoding *d, json_value member, struct error *err)
{
	struct error why = {0};
	bool duplicate = false;
	struct node *node;
	int rc;

	text_clear(&d->name);
	text_put(&d->name, "", 0);
	json_key(d->json, member, &d->name);
	rc = text_check(&d->name, err);
	if (rc == 0)
		rc = tree_name(d->model->tree, d->layers, d->name.bytes, d->name.len,
			&node, &duplicate, err);
	if (rc < 0)
		return rc;
	node->origin = d->origin;
	if (duplicate)
		model_set_readonly(d->model, "several tensors are called %.*s",
			(int)d->name.len, d->name.bytes);
	if (!json_utf8(d->name.bytes, d->name.len))
		model_set_readonly(d->model, "the name of a tensor has half a character");
	rc = decode_entry(d, member, node, &why);
	if (rc != -EINVAL)
		return rc < 0 ? error_set(err, -rc, "%s", why.text) : rc;
	model_set_readonly(
		d->model, "tensor %.*s: %s", (int)d->name.len, d->name.bytes, why.text);
	return decode_damaged(d, node, why.text, err);
}

static void decode_metadata(struct decoding *d, json_value member)
{
	struct error why = {0};
	json_value wrong;
	size_t len;
	const char *raw = json_raw(d->json, member, &len);

	if (d->layout->metadata_len > 0)
		model_set_readonly(
			d->model, "%s stands twice in the header", SAFETENSORS_METADATA);
	d->layout->metadata_off = SAFETENSORS_HEADER_AT + (uint64_t)(raw - d->text);
	d->layout->metadata_len = len;
	if (json_type(d->json, member) != JSON_NULL && /* which is none, officially */
		safetensors_metadata_check(d->json, member, &wrong, &why) < 0)
		model_set_readonly(d->model, "%s: %s", SAFETENSORS_METADATA, why.text);
}

static int decode_member(
	void *arg, const struct json *json, json_value member, struct error *err)
{
	struct decoding *d = arg;

	d->json = json;
	d->origin++;
	if (!safetensors_is_metadata(json, member))
		return decode_tensor(d, member, err);
	decode_metadata(d, member);
	return 0;
}

static int decode_tree(struct decoding *d, struct error *err)
{
	struct model *model = d->model;
	struct node *document;
	struct value *value;
	int rc = tree_new(&model->tree, '.', err);

	if (rc == 0)
		rc = tree_value(model->tree, 0, &value, err);
	if (rc == 0)
		rc = tree_document(model->tree, model->tree->root, "metadata.json", value,
			"", NULL, &document, err);
	if (rc == 0)
		rc = tree_folder(model->tree, model->tree->root, LAYERS, &d->layers, err);
	if (rc < 0)
		return rc;
	d->layers->flags |= NODE_GROWS | NODE_FIXED;
	return 0;
}

/* A model may have a million tensors: what the header says of each is forgotten before
 * the next one is read. */
static int decode_header(
	struct decoding *d, const struct safetensors_header *header, struct error *err)
{
	struct error why = {0};
	int rc = decode_tree(d, err);

	if (rc == 0)
		rc = safetensors_header_members(header, decode_member, d, err);
	if (rc == 0 &&
		safetensors_ranges_check(d->ranges, d->n_ranges, d->data_len, &why) < 0)
		model_set_readonly(d->model, "%s", why.text);
	return rc;
}

static int safetensors_load(
	struct model *model, struct value *value, struct text *out, struct error *err)
{
	const struct layout *layout = model->priv;
	char *text;
	int rc;

	(void)value; /* there is one */
	if (layout->metadata_len == 0) {
		text_puts(out, "{}");
		return 0;
	}
	text = malloc(layout->metadata_len);
	if (text == NULL)
		return error_set(err, ENOMEM, "not enough memory for metadata");
	rc = source_read(
		model->source, layout->metadata_off, text, layout->metadata_len, err);
	if (rc == 0)
		text_put(out, text, layout->metadata_len);
	free(text);
	return rc;
}

static int safetensors_facts(
	struct model *model, struct node *node, model_fact_fn fn, void *arg)
{
	const char *stored;
	AUTO_TEXT name = {0};
	int rc = 0;

	if (node->kind != NODE_TENSOR || node->tensor == NULL)
		return 0;
	if (layers_name(model->tree, node->parent, node->name, NAMES_STEM, &name, NULL) ==
		0)
		rc = fn(arg, "name", name.bytes);
	stored = safetensors_dtype_stored(node->tensor->dtype);
	return rc == 0 && stored != NULL ? fn(arg, "container_dtype", stored) : rc;
}

static const struct model_ops safetensors_ops = {
	.load = safetensors_load,
	.facts = safetensors_facts,
};

static int safetensors_decode(struct model *model, struct error *err)
{
	AUTO_SAFETENSORS_HEADER header = {0};
	struct decoding d = {.model = model};
	int rc = safetensors_header_text(&header, model->source, err);

	if (rc < 0)
		return rc;
	d.layout = calloc(1, sizeof *d.layout);
	model->ops = &safetensors_ops;
	model->priv = d.layout;
	d.text = header.text;
	d.data_off = SAFETENSORS_HEADER_AT + header.len;
	d.data_len = source_size(model->source) - d.data_off;
	rc = d.layout != NULL ? decode_header(&d, &header, err)
			      : error_set(err, ENOMEM, "not enough memory for a header");
	text_done(&d.name);
	free(d.ranges);
	return rc;
}

/* A length that can be one, and an object whose first key or end follows. */
static unsigned safetensors_probe(struct source *source)
{
	struct cursor cursor;
	unsigned char c;
	uint64_t len;

	cursor_init(&cursor, source, 0, SAFETENSORS_HEADER_AT + PROBED, NULL);
	len = cursor_le64(&cursor);
	if (len < 2 || len > SAFETENSORS_HEADER_MAX || cursor_u8(&cursor) != '{')
		return 0;
	do
		c = cursor_u8(&cursor);
	while (c == ' ' || c == '\n' || c == '\r' || c == '\t');
	if (cursor_check(&cursor) < 0 || (c != '"' && c != '}'))
		return 0;
	return 37 + 8 + 8; /* zeros in the length, and two characters */
}

/* The header's key of a tensor or folder called `last` in `parent`. */
static int name_read(struct model *model, const struct node *parent, const char *last,
	enum names_place place, struct text *name, struct error *err)
{
	int rc = layers_name(model->tree, parent, last, place, name, err);

	if (rc == 0 && place == NAMES_STEM &&
		strcmp(name->bytes, SAFETENSORS_METADATA) == 0)
		return error_set(err, EINVAL,
			"%s: the name is taken by the container's metadata", name->bytes);
	return rc;
}

static int check_metadata(const struct change *change, struct error *err)
{
	const char *text = change->document;
	size_t len = change->document_len;
	unsigned line, column;
	AUTO_JSON *json = NULL;
	json_value wrong;
	int rc;

	if (text == NULL) {
		text = change->edited;
		len = change->edited_len;
	}
	rc = json_parse(&json, text, len, JSON_NONFINITE, err);
	if (rc < 0)
		return rc;
	rc = safetensors_metadata_check(json, 0, &wrong, err);
	if (rc == 0)
		return 0;
	json_place(json, wrong, &line, &column);
	error_prefix(err, "%u:%u", line, column);
	return rc;
}

static int check_type(const struct change *change, struct error *err)
{
	const struct tensor *now =
		change->node != NULL ? tree_tensor_now(change->node) : NULL;

	if ((change->type->flags & TENSOR_NULL) != 0)
		return error_set(err, EOPNOTSUPP,
			"shape: expected a list of integers, found null");
	if (change->type->rank > SAFETENSORS_RANK_MAX)
		return error_set(err, EOPNOTSUPP,
			"shape: expected at most %u dimensions, found %u",
			SAFETENSORS_RANK_MAX, change->type->rank);
	if (safetensors_dtype_stored(change->type->dtype) != NULL ||
		(now != NULL && now->dtype == change->type->dtype))
		return 0;
	return error_set(err, EOPNOTSUPP,
		"dtype: expected a type that safetensors has, found %s",
		change->type->dtype->name);
}

static int check_name(struct model *model, const struct change *change,
	enum node_kind kind, struct error *err)
{
	AUTO_TEXT name = {0};

	if (kind != NODE_TENSOR && kind != NODE_FOLDER)
		return error_set(err, EOPNOTSUPP,
			"expected a tensor or a folder, all that safetensors holds");
	return name_read(model, change->parent, change->name,
		kind == NODE_FOLDER ? NAMES_FOLDER : NAMES_STEM, &name, err);
}

static int safetensors_check(
	struct model *model, const struct change *change, struct error *err)
{
	int rc;

	switch (change->what) {
	case 0: return check_metadata(change, err);
	case EDIT_ADDED:
		rc = check_name(model, change, change->kind, err);
		return rc < 0 || change->kind != NODE_TENSOR ? rc
							     : check_type(change, err);
	case EDIT_MOVED: return check_name(model, change, change->node->kind, err);
	case EDIT_TYPE: return check_type(change, err);
	case EDIT_SIDECAR:
		return error_set(err, EOPNOTSUPP,
			"expected dtype and shape, which is all that safetensors keeps "
			"of a "
			"tensor, found more");
	case EDIT_REMOVED:
		if (change->node->kind == NODE_DOCUMENT)
			return error_set(err, EOPNOTSUPP,
				"metadata cannot be removed (an empty object removes "
				"it)");
	}
	return 0;
}

/* Making a plan of the edits. */
struct encoding {
	struct model *model;
	struct plan *plan;
	struct safetensors_header header;
	struct safetensors_rewrite rewrite; /* owns members and added */
	struct node **nodes; /* of members that have edits, else NULL; then of added */
	size_t *order;	     /* tensors that stay, by number, as their elements lie */
	size_t n_order;
	struct text out; /* the new header */
};

static void encoding_done(struct encoding *e)
{
	for (size_t i = 0; i < e->rewrite.n; i++)
		text_done(&e->rewrite.members[i].name);
	for (size_t i = 0; i < e->rewrite.n_added; i++)
		text_done(&e->rewrite.added[i].name);
	free(e->rewrite.members);
	free(e->rewrite.added);
	free(e->nodes);
	free(e->order);
	text_done(&e->out);
	safetensors_header_done(&e->header);
}

static bool is_added(const struct edit *edit)
{
	return edit->node->kind == NODE_TENSOR && (edit->what & EDIT_ADDED);
}

static size_t number_of(const struct encoding *e, const struct node *node)
{
	assert(node->origin >= 1 && node->origin <= e->rewrite.n);
	return node->origin - 1;
}

static int rename_member(struct encoding *e, const struct node *node, struct error *err)
{
	struct text *name = &e->rewrite.members[number_of(e, node)].name;

	text_clear(name);
	return name_read(e->model, node->parent, node->name, NAMES_STEM, name, err);
}

/* All tensors of a renamed folder have other names. */
static int rename_below(struct encoding *e, struct node *folder, struct error *err)
{
	int rc = 0;

	for (struct node *node = tree_walk(folder, folder); node != NULL && rc == 0;
		node = tree_walk(folder, node))
		if (node->kind == NODE_TENSOR && node->origin > 0)
			rc = rename_member(e, node, err);
	return rc;
}

static int encode_added(struct encoding *e, struct edit *edit, struct error *err)
{
	size_t n = e->rewrite.n_added++;
	struct safetensors_member *added = &e->rewrite.added[n];

	added->type = tree_tensor_now(edit->node);
	e->nodes[e->rewrite.n + n] = edit->node;
	return name_read(e->model, edit->node->parent, edit->node->name, NAMES_STEM,
		&added->name, err);
}

/* Says in the header's members what an edit asks for. */
static int encode_edit(struct encoding *e, struct edit *edit, struct error *err)
{
	struct node *node = edit->node;
	struct safetensors_member *member;

	if (node->kind == NODE_FOLDER) /* is nothing by itself here */
		return node->parent != NULL && (edit->what & EDIT_MOVED)
			       ? rename_below(e, node, err)
			       : 0;
	if (node->kind != NODE_TENSOR || (edit->what & EDIT_SIDECAR))
		return error_set(err, EOPNOTSUPP,
			"%s: safetensors holds elements, dtype and shape of tensors, "
			"and metadata",
			node->name);
	if (edit->what & EDIT_ADDED)
		return encode_added(e, edit, err);
	member = &e->rewrite.members[number_of(e, node)];
	e->nodes[number_of(e, node)] = node;
	member->removed = (edit->what & EDIT_REMOVED) != 0;
	if (member->removed)
		return 0;
	if (edit->what & EDIT_TYPE)
		member->type = tree_tensor_now(node);
	return edit->what & EDIT_MOVED ? rename_member(e, node, err) : 0;
}

static int encode_members(struct encoding *e, struct error *err)
{
	const struct json *json = e->header.json;
	struct safetensors_member *member = e->rewrite.members;
	int rc = 0;

	for (json_value v = json_first(json, 0); v != JSON_NONE && rc == 0;
		v = json_next(json, v), member++) {
		member->metadata = safetensors_is_metadata(json, v);
		member->entry.member = v;
		if (!member->metadata)
			rc = safetensors_entry_read(&member->entry, json, v, err);
	}
	for (struct edit *edit = e->model->tree->edits; edit != NULL && rc == 0;
		edit = edit->next)
		rc = encode_edit(e, edit, err);
	return rc;
}

/* Allocates by what the header and the tree hold. */
static int encoding_alloc(struct encoding *e, struct error *err)
{
	const struct value *metadata = e->model->tree->values;
	size_t n = json_count(e->header.json, 0), n_added = 0;

	for (const struct edit *edit = e->model->tree->edits; edit != NULL;
		edit = edit->next)
		n_added += is_added(edit);
	e->rewrite.old = &e->header;
	e->rewrite.members = calloc(n + 1, sizeof *e->rewrite.members);
	e->rewrite.added = calloc(n_added + 1, sizeof *e->rewrite.added);
	e->nodes = calloc(n + n_added + 1, sizeof(struct node *));
	e->order = calloc(n + 1, sizeof *e->order);
	if (e->rewrite.members == NULL || e->rewrite.added == NULL || e->nodes == NULL ||
		e->order == NULL)
		return error_set(err, ENOMEM, "not enough memory for a header");
	e->rewrite.n = n;
	e->rewrite.metadata = metadata->edited;
	e->rewrite.metadata_len = metadata->edited_len;
	return 0;
}

static int compare_places(const void *a, const void *b, void *arg)
{
	const struct safetensors_member *members = arg;
	const struct safetensors_entry *x = &members[*(const size_t *)a].entry;
	const struct safetensors_entry *y = &members[*(const size_t *)b].entry;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

/* Gives every tensor its new place: in the old order, without gaps, added ones last. */
static void encode_places(struct encoding *e)
{
	struct safetensors_member *members = e->rewrite.members, *member;
	uint64_t at = 0;

	for (size_t i = 0; i < e->rewrite.n; i++)
		if (!members[i].removed && !members[i].metadata)
			e->order[e->n_order++] = i;
	qsort_r(e->order, e->n_order, sizeof *e->order, compare_places, members);
	for (size_t i = 0; i < e->n_order; i++) {
		member = &members[e->order[i]];
		member->begin = at;
		at += member->type != NULL ? member->type->bytes
					   : member->entry.end - member->entry.begin;
		member->end = at;
	}
	for (size_t i = 0; i < e->rewrite.n_added; i++) {
		member = &e->rewrite.added[i];
		member->begin = at;
		member->end = at += member->type->bytes;
	}
}

/* Plans length and header; what is as it was stays the old container's. */
static int plan_header(struct encoding *e, struct error *err)
{
	unsigned char len[SAFETENSORS_HEADER_AT];
	size_t n;
	int rc = 0;

	for (unsigned i = 0; i < sizeof len; i++)
		len[i] = (unsigned char)((uint64_t)e->out.len >> 8 * i);
	if (e->out.len == e->header.len)
		rc = plan_old(e->plan, 0, sizeof len, err);
	else
		rc = plan_bytes(e->plan, len, sizeof len, err);
	for (size_t off = 0; off < e->out.len && rc == 0; off += n) {
		n = e->out.len - off < COMPARED ? e->out.len - off : COMPARED;
		if (off + n <= e->header.len &&
			memcmp(e->header.text + off, e->out.bytes + off, n) == 0)
			rc = plan_old(e->plan, sizeof len + off, n, err);
		else
			rc = plan_bytes(e->plan, e->out.bytes + off, n, err);
	}
	return rc;
}

/* Plans `len` bytes of new elements; they must be as many as were staged. */
static int plan_content(
	struct encoding *e, const struct node *node, uint64_t len, struct error *err)
{
	struct blob *content = node->edit->content;
	uint64_t size = content != NULL ? blob_size(content) : 0;
	AUTO_TEXT path = {0};

	if (size == len)
		return len > 0 ? plan_blob(e->plan, content, 0, len, err) : 0;
	tree_path(node, &path);
	return error_set(err, EINVAL,
		"%s: expected %" PRIu64 " bytes of elements, found %" PRIu64,
		path.bytes != NULL ? path.bytes : "", len, size);
}

static int plan_elements(struct encoding *e, struct error *err)
{
	const uint64_t off = SAFETENSORS_HEADER_AT + e->header.len;
	int rc = 0;

	for (size_t i = 0; i < e->n_order && rc == 0; i++) {
		const struct safetensors_member *m = &e->rewrite.members[e->order[i]];
		const struct node *node = e->nodes[e->order[i]];
		uint64_t len = m->end - m->begin;

		if (len != m->entry.end - m->entry.begin ||
			(node != NULL && (node->edit->what & EDIT_CONTENT)))
			rc = plan_content(e, node, len, err);
		else
			rc = plan_old(e->plan, off + m->entry.begin, len, err);
	}
	for (size_t i = 0; i < e->rewrite.n_added && rc == 0; i++)
		rc = plan_content(e, e->nodes[e->rewrite.n + i],
			e->rewrite.added[i].type->bytes, err);
	return rc;
}

static int safetensors_encode(struct model *model, struct plan *plan, struct error *err)
{
	__attribute__((cleanup(encoding_done))) struct encoding e = {
		.model = model, .plan = plan};
	int rc;

	if (tree_clean(model->tree))
		return plan_old(plan, 0, source_size(model->source), err);
	if (model->readonly != NULL)
		return error_set(err, EROFS, "%s", model->readonly);
	rc = safetensors_header_read(&e.header, model->source, err);
	if (rc == 0)
		rc = encoding_alloc(&e, err);
	if (rc == 0)
		rc = encode_members(&e, err);
	if (rc < 0)
		return rc;
	encode_places(&e);
	rc = safetensors_header_write(&e.rewrite, &e.out, err);
	if (rc == 0)
		rc = plan_header(&e, err);
	return rc == 0 ? plan_elements(&e, err) : rc;
}

const struct decoder safetensors_decoder = {
	.name = "safetensors",
	.title = "safetensors",
	.edits = "elements, dtype, shape; tensors added, removed, renamed; metadata",
	.flags = DECODER_PATCHES | DECODER_RESIZES,
	.probe = safetensors_probe,
	.decode = safetensors_decode,
	.encode = safetensors_encode,
	.check = safetensors_check,
};
