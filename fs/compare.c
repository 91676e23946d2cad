/*
 * compare: two trees joined by path.
 *
 * Each side is listed and sorted; what both have becomes a difference at once, or, for
 * tensors of one shape, a pair that the sweep over the elements judges. The outcome is in
 * the order of paths, whatever the order of the work.
 */
#include "fs/compare.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/grammar/document.h"
#include "decoders/grammar/json.h"
#include "fs/compare_private.h"
#include "fs/lines.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONTEXT 3 /* lines, as diff -u has them */
#define LAYERS "layers/"

/* What one side has at a path. */
struct found {
	char *path;
	struct node *node;
};

struct listing {
	struct found *all;
	size_t n, room;
};

struct comparing {
	struct comparison *out;
	struct look *looks;
	const struct compare_options *options;
	struct listing sides[2];
	struct pair *pairs;
	size_t n_pairs, room_pairs, room_all;
	struct error *err;
};

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "not enough memory to compare");
}

/* Differences. */

static int add_difference(struct comparing *comparing, const char *path,
	enum difference_kind kind, struct difference **out)
{
	struct comparison *comparison = comparing->out;

	if (comparison->n == comparing->room_all) {
		size_t room = comparing->room_all ? 2 * comparing->room_all : 64;
		struct difference *all = reallocarray(comparison->all, room, sizeof *all);
		if (!all)
			return no_memory(comparing->err);
		comparison->all = all;
		comparing->room_all = room;
	}
	struct difference *difference = &comparison->all[comparison->n];
	*difference = (struct difference){.path = strdup(path), .kind = kind};
	if (!difference->path)
		return no_memory(comparing->err);
	comparison->n++;
	*out = difference;
	return 0;
}

static int add_trouble(
	struct comparing *comparing, struct node *node, int side, const char *why)
{
	struct difference *difference;
	AUTO_TEXT path = {0};

	tree_path(node, &path);
	int code = add_difference(
		comparing, path.bytes ? path.bytes : "", DIFFERENCE_TROUBLE, &difference);
	if (code)
		return code;
	comparing->out->counts.trouble++;
	difference->nodes[side] = node;
	text_puts(&difference->text, why);
	return text_check(&difference->text, comparing->err);
}

/* Listing. */

static int by_path(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	/* A tensor's path has no suffix: another kind may have the same one. */
	return order ? order
		     : (x->node->kind == NODE_TENSOR) - (y->node->kind == NODE_TENSOR);
}

static bool is_wanted(const struct comparing *comparing, const char *path)
{
	const char *layers = comparing->options->layers;

	if ((layers || comparing->out->across) && strncmp(path, LAYERS, strlen(LAYERS)))
		return false;
	return look_meant(layers, path);
}

static int add_found(struct comparing *comparing, struct listing *list, struct node *node)
{
	AUTO_TEXT path = {0};

	tree_path(node, &path);
	if (text_check(&path, comparing->err))
		return -ENOMEM;
	if (!is_wanted(comparing, path.bytes)) {
		comparing->out->counts.left_out += comparing->out->across;
		return 0;
	}
	if (list->n == list->room) {
		size_t room = list->room ? 2 * list->room : 256;
		struct found *all = reallocarray(list->all, room, sizeof *all);
		if (!all)
			return no_memory(comparing->err);
		list->all = all;
		list->room = room;
	}
	list->all[list->n++] = (struct found){text_take(&path, NULL), node};
	return 0;
}

/* Folders count where nothing in them says that they are there. */
static bool counts(const struct node *node)
{
	return node->kind != NODE_FOLDER || (node->parent && tree_count(node) == 0);
}

static int list_side(struct comparing *comparing, int side)
{
	struct model *model = comparing->looks[side].model;
	struct node *root = model->tree->root;
	struct listing *list = &comparing->sides[side];
	int code = 0;

	for (struct node *node = root; node && !code; node = tree_walk(root, node)) {
		struct error why = {0};
		if (node->flags & NODE_HIDDEN)
			continue;
		if (node->kind == NODE_FOLDER && model_expand(model, node, &why))
			code = add_trouble(comparing, node, side, why.text);
		else if (counts(node))
			code = add_found(comparing, list, node);
	}
	if (!code && list->n > 0)
		qsort(list->all, list->n, sizeof *list->all, by_path);
	return code;
}

/* What both sides have at a path. */
struct both {
	const char *path;
	struct node *nodes[2];
};

static int add_both(struct comparing *comparing, const struct both *both,
	enum difference_kind kind, struct difference **out)
{
	int code = add_difference(comparing, both->path, kind, out);

	if (code)
		return code;
	memcpy((*out)->nodes, both->nodes, sizeof both->nodes);
	return 0;
}

/* Documents. */

/* Whether two texts say the same. */
static bool say_the_same(const struct text *a, const struct text *b)
{
	AUTO_JSON *json_a = NULL, *json_b = NULL;

	if (a->len == b->len && (a->len == 0 || !memcmp(a->bytes, b->bytes, a->len)))
		return true;
	return json_parse(&json_a, a->bytes ? a->bytes : "", a->len, JSON_NONFINITE,
		       NULL) == 0 &&
	       json_parse(&json_b, b->bytes ? b->bytes : "", b->len, JSON_NONFINITE,
		       NULL) == 0 &&
	       json_equal(json_a, 0, json_b, 0);
}

/* 1 where they differ, and that is noted. */
static int compare_texts(struct comparing *comparing, const struct both *both,
	enum difference_kind kind, struct text texts[2])
{
	struct difference *difference;

	if (say_the_same(&texts[0], &texts[1]))
		return 0;
	int code = add_both(comparing, both, kind, &difference);
	if (!code && !comparing->options->brief)
		code = lines_diff(
			&texts[0], &texts[1], CONTEXT, &difference->text, comparing->err);
	return code ? code : 1;
}

static void texts_done(struct text (*texts)[2])
{
	text_done(&(*texts)[0]);
	text_done(&(*texts)[1]);
}
#define AUTO_TEXTS __attribute__((cleanup(texts_done))) struct text

static int compare_documents(struct comparing *comparing, const struct both *both)
{
	struct compare_counts *counts = &comparing->out->counts;
	AUTO_TEXTS texts[2] = {{0}};

	counts->documents++;
	for (int i = 0; i < 2; i++) {
		struct error why = {0};
		if (document_render(
			    comparing->looks[i].model, both->nodes[i], &texts[i], &why))
			return add_trouble(comparing, both->nodes[i], i, why.text);
	}
	int code = compare_texts(comparing, both, DIFFERENCE_DOCUMENT, texts);
	counts->documents_differ += code > 0;
	return code < 0 ? code : 0;
}

static int compare_links(struct comparing *comparing, const struct both *both)
{
	struct difference *difference;

	if (!strcmp(both->nodes[0]->target, both->nodes[1]->target))
		return 0;
	return add_both(comparing, both, DIFFERENCE_LINK, &difference);
}

/* Tensors. */

/* What the NAME.json has beyond dtype, shape and value; across formats its `values`. */
static int render_sidecar(
	struct comparing *comparing, struct node *node, int side, struct text *out)
{
	AUTO_TEXT members = {0}, whole = {0};
	AUTO_JSON *json = NULL;
	int code = model_sidecar(
		comparing->looks[side].model, node, &members, comparing->err);

	text_printf(&whole, "{%s}", members.bytes ? members.bytes : "");
	if (!code)
		code = text_check(&whole, comparing->err);
	if (!code)
		code = json_parse(
			&json, whole.bytes, whole.len, JSON_NONFINITE, comparing->err);
	if (code)
		return code;
	json_value v = comparing->out->across ? json_get(json, 0, "values") : 0;
	if (v != JSON_NONE)
		json_print(json, v, NULL, 0, true, out);
	return text_check(out, comparing->err);
}

static int compare_sidecars(struct comparing *comparing, const struct both *both,
	const struct tensor *const types[2])
{
	AUTO_TEXTS texts[2] = {{0}};

	if (!((types[0]->flags | types[1]->flags) & TENSOR_SIDECAR))
		return 0;
	for (int i = 0; i < 2; i++) {
		int code = render_sidecar(comparing, both->nodes[i], i, &texts[i]);
		if (code)
			return add_trouble(
				comparing, both->nodes[i], i, comparing->err->text);
	}
	return compare_texts(comparing, both, DIFFERENCE_SIDECAR, texts);
}

static bool same_type(const struct tensor *a, const struct tensor *b)
{
	return a->dtype == b->dtype && a->rank == b->rank &&
	       !((a->flags ^ b->flags) & (TENSOR_NULL | TENSOR_NO_BIN)) &&
	       !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape);
}

static int add_pair(struct comparing *comparing, const struct both *both,
	const struct tensor *const types[2])
{
	if (comparing->n_pairs == comparing->room_pairs) {
		size_t room = comparing->room_pairs ? 2 * comparing->room_pairs : 256;
		struct pair *pairs = reallocarray(comparing->pairs, room, sizeof *pairs);
		if (!pairs)
			return no_memory(comparing->err);
		comparing->pairs = pairs;
		comparing->room_pairs = room;
	}
	comparing->pairs[comparing->n_pairs++] = (struct pair){.path = both->path,
		.nodes = {both->nodes[0], both->nodes[1]},
		.types = {types[0], types[1]}};
	return 0;
}

/* What both could be described as. */
static int compare_described(struct comparing *comparing, const struct both *both,
	const struct tensor *const types[2])
{
	struct compare_counts *counts = &comparing->out->counts;
	struct pair pair = {.types = {types[0], types[1]}};
	struct difference *difference;
	int rest = compare_sidecars(comparing, both, types), code = 0;

	if (rest < 0)
		return rest;
	if (!same_type(types[0], types[1])) {
		counts->tensors_differ++;
		if (pair_of_numbers(&pair) && !comparing->options->brief)
			return add_pair(comparing, both, types);
		code = add_both(comparing, both, DIFFERENCE_TYPE, &difference);
		if (!code)
			memcpy(difference->types, types, sizeof difference->types);
		return code;
	}
	if (!(types[0]->flags & TENSOR_NO_BIN)) {
		counts->bytes += types[0]->bytes;
		code = add_pair(comparing, both, types);
	} else if (rest) {
		counts->tensors_differ++;
	}
	return code;
}

static int compare_tensors(struct comparing *comparing, const struct both *both)
{
	const struct tensor *types[2] = {NULL, NULL};

	comparing->out->counts.tensors++;
	for (int i = 0; i < 2; i++) {
		struct error why = {0};
		int code = model_tensor(
			comparing->looks[i].model, both->nodes[i], &types[i], &why);
		if (code || types[i]->error)
			return add_trouble(comparing, both->nodes[i], i,
				code ? why.text : types[i]->error);
	}
	return compare_described(comparing, both, types);
}

/* Joining. */

static int compare_both(struct comparing *comparing, const struct both *both)
{
	struct difference *difference;

	if (both->nodes[0]->kind != both->nodes[1]->kind)
		return add_both(comparing, both, DIFFERENCE_KIND, &difference);
	switch (both->nodes[0]->kind) {
	case NODE_TENSOR: return compare_tensors(comparing, both);
	case NODE_DOCUMENT: return compare_documents(comparing, both);
	case NODE_LINK: return compare_links(comparing, both);
	default: return 0;
	}
}

/* Across formats a document that one side has is of its format. */
static int compare_one(struct comparing *comparing, const struct found *found, int side)
{
	struct comparison *out = comparing->out;
	struct difference *difference;
	struct error why = {0};

	if (out->across && found->node->kind != NODE_TENSOR) {
		out->counts.left_out++;
		return 0;
	}
	int code = add_difference(comparing, found->path, DIFFERENCE_ONLY, &difference);
	if (code)
		return code;
	out->counts.only[side]++;
	difference->nodes[side] = found->node;
	if (found->node->kind == NODE_TENSOR) /* shown without where it is damaged */
		(void)model_tensor(comparing->looks[side].model, found->node,
			&difference->types[side], &why);
	return 0;
}

static int join(struct comparing *comparing)
{
	const struct listing *a = &comparing->sides[0], *b = &comparing->sides[1];
	size_t i = 0, j = 0;
	int code = 0;

	while (!code && (i < a->n || j < b->n)) {
		int order = i == a->n	? 1
			    : j == b->n ? -1
					: by_path(&a->all[i], &b->all[j]);
		if (order < 0)
			code = compare_one(comparing, &a->all[i++], 0);
		else if (order > 0)
			code = compare_one(comparing, &b->all[j++], 1);
		else
			code = compare_both(
				comparing, &(struct both){a->all[i].path,
						   {a->all[i].node, b->all[j].node}});
		i += order == 0;
		j += order == 0;
	}
	return code;
}

/* The outcome of the sweep. */

static int take_pair(struct comparing *comparing, const struct pair *pair)
{
	struct both both = {pair->path, {pair->nodes[0], pair->nodes[1]}};
	struct compare_counts *counts = &comparing->out->counts;
	bool one_type = same_type(pair->types[0], pair->types[1]);
	struct difference *difference;

	counts->read += one_type ? pair->read : 0;
	if (pair->why)
		return add_trouble(comparing, pair->nodes[pair->why->side],
			pair->why->side, pair->why->error.text);
	if (one_type && !pair->differs)
		return 0;
	int code = add_both(comparing, &both,
		one_type ? DIFFERENCE_ELEMENTS : DIFFERENCE_TYPE, &difference);
	if (code)
		return code;
	counts->tensors_differ += one_type;
	memcpy(difference->types, pair->types, sizeof difference->types);
	difference->numbers = pair_of_numbers(pair);
	difference->of_bytes = pair_of_bytes(pair);
	difference->elements = pair_elements(pair);
	difference->differ = pair->differ;
	difference->figures = pair->figures;
	return 0;
}

static int compare_pairs(struct comparing *comparing)
{
	struct shared shared;

	shared_init(&shared, comparing->looks);
	int code = pairs_sweep(comparing->pairs, comparing->n_pairs, comparing->looks,
		&shared, comparing->options, comparing->err);
	for (size_t i = 0; i < comparing->n_pairs && !code; i++)
		code = take_pair(comparing, &comparing->pairs[i]);
	shared_done(&shared);
	return code;
}

static int by_place(const void *a, const void *b)
{
	const struct difference *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	return order ? order : (int)x->kind - (int)y->kind;
}

static void comparing_done(struct comparing *comparing)
{
	for (size_t i = 0; i < comparing->n_pairs; i++)
		pair_done(&comparing->pairs[i]);
	free(comparing->pairs);
	for (int side = 0; side < 2; side++) {
		for (size_t i = 0; i < comparing->sides[side].n; i++)
			free(comparing->sides[side].all[i].path);
		free(comparing->sides[side].all);
	}
}

/* A folder's format is not known: it may be any. */
static bool is_across(const struct look looks[2])
{
	return looks[0].container && looks[1].container &&
	       looks[0].model->decoder != looks[1].model->decoder;
}

int compare_run(struct comparison *out, struct look looks[2],
	const struct compare_options *options, struct error *err)
{
	__attribute__((cleanup(comparing_done))) struct comparing comparing = {
		.out = out, .looks = looks, .options = options, .err = err};

	*out = (struct comparison){.across = is_across(looks)};
	int code = list_side(&comparing, 0);
	if (!code)
		code = list_side(&comparing, 1);
	if (!code)
		code = join(&comparing);
	if (!code)
		code = compare_pairs(&comparing);
	if (code)
		compare_done(out);
	else if (out->n > 0)
		qsort(out->all, out->n, sizeof *out->all, by_place);
	return code;
}

void compare_done(struct comparison *comparison)
{
	for (size_t i = 0; i < comparison->n; i++) {
		free(comparison->all[i].path);
		text_done(&comparison->all[i].text);
	}
	free(comparison->all);
	*comparison = (struct comparison){0};
}
