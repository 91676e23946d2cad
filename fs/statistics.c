/*
 * statistics: the tensors of a model, swept by all processors.
 *
 * Moments are kept by piece and merged in order, so that they do not depend on the
 * threads; histograms are counts, whose order does not matter. Layers add up what their
 * tensors are.
 */
#include "fs/statistics.h"
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/grammar/elements.h"
#include "fs/cuts.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define STEP (256u << 10)      /* bytes that are read at once */
#define PIECE (512u << 10)     /* numbers of a piece */
#define ALL_COUNTED (1u << 20) /* numbers up to which all are in the histogram */
#define OF_BLOCKS 32	       /* beyond, the blocks of which one is */

_Static_assert(PIECE % ELEMENTS_BLOCK == 0, "pieces are whole blocks");
_Static_assert(ELEMENTS_BLOCK <= FIGURES_BLOCK, "a block of numbers is taken in at once");

/* A tensor, and its statistic. */
struct study {
	struct node *node;
	struct statistic out;
	/* While it is swept. */
	struct blob *blob;
	struct elements *kind;
	struct histogram *histogram; /* by the lock below */
	struct cuts cuts;
	struct moments *partials; /* one a cut */
	uint64_t numbers;
};

struct studies {
	struct study *all;
	size_t n, room;
	struct look *look;
	const struct statistics_options *options;
	struct error *err;
	pthread_mutex_t lock;
};

/* The memory of a thread. */
struct room {
	double x[ELEMENTS_BLOCK];
	unsigned char bytes[STEP + 64];
	struct histogram histogram;
};

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "not enough memory for statistics");
}

/* Listing. */

static uint64_t elements_of(const struct tensor *type)
{
	uint64_t n = 1;

	if (type->flags & TENSOR_NULL)
		return 0;
	for (unsigned i = 0; i < type->rank; i++)
		if (__builtin_mul_overflow(n, type->shape[i], &n))
			return UINT64_MAX;
	return n;
}

static int add_error(struct studies *studies, struct study *study, const char *why)
{
	if (!study->out.error)
		study->out.error = strdup(why);
	return study->out.error ? 0 : no_memory(studies->err);
}

static int add_study(struct studies *studies, struct node *node, const char *path)
{
	struct error why = {0};

	if (studies->n == studies->room) {
		size_t room = studies->room ? 2 * studies->room : 256;
		struct study *all = reallocarray(studies->all, room, sizeof *all);
		if (!all)
			return no_memory(studies->err);
		studies->all = all;
		studies->room = room;
	}
	struct study *study = &studies->all[studies->n];
	*study = (struct study){.node = node, .out.path = strdup(path), .out.tensors = 1};
	if (!study->out.path)
		return no_memory(studies->err);
	studies->n++;
	if (node->kind != NODE_TENSOR)
		return 0;
	if (model_tensor(studies->look->model, node, &study->out.type, &why))
		return add_error(studies, study, why.text);
	study->out.elements = elements_of(study->out.type);
	if (study->out.type->error)
		return add_error(studies, study, study->out.type->error);
	if (!(study->out.type->flags & TENSOR_NO_BIN))
		study->out.bytes = study->out.type->bytes;
	return 0;
}

static int list(struct studies *studies)
{
	struct model *model = studies->look->model;
	struct node *root = model->tree->root;
	int code = 0;

	for (struct node *node = root; node && !code; node = tree_walk(root, node)) {
		struct error why = {0};
		AUTO_TEXT path = {0};
		bool broken =
			node->kind == NODE_FOLDER && model_expand(model, node, &why);

		if (!broken && (node->kind != NODE_TENSOR || node->flags & NODE_HIDDEN))
			continue;
		tree_path(node, &path);
		code = text_check(&path, studies->err);
		if (code ||
			!look_meant(studies->options->glob, path.bytes ? path.bytes : ""))
			continue;
		code = add_study(studies, node, path.bytes ? path.bytes : "");
		if (!code && broken)
			code = add_error(
				studies, &studies->all[studies->n - 1], why.text);
	}
	return code;
}

/* Sweeping. */

static void study_close(struct study *study)
{
	blob_unref(&study->blob);
	free(study->kind);
	free(study->histogram);
	free(study->partials);
	free(study->cuts.all);
	study->cuts = (struct cuts){0};
	study->kind = NULL;
	study->histogram = NULL;
	study->partials = NULL;
}

static void know(void *arg, struct cut *cut)
{
	const struct study *study = arg;

	if (cuts_repeat(
		    study->blob, study->kind->bits, cut->off, &cut->n, &cut->period) &&
		cut->period <= ELEMENTS_BLOCK)
		cut->kind = CUT_REPEATS;
}

/* Of a blob that is there. */
static int study_open(struct study *study, struct error *why)
{
	unsigned bits = study->kind->bits;
	uint64_t size = blob_size(study->blob);
	struct cutting how = {.n = size / bits * 8 + size % bits * 8 / bits,
		.grain = ELEMENTS_BLOCK,
		.piece = PIECE,
		.know = know,
		.arg = study};

	how.least = cuts_least(size) * 8 / bits;
	study->numbers = how.n;
	study->histogram = calloc(1, sizeof *study->histogram);
	int code = cuts_make(&study->cuts, &how, why);
	if (code)
		return code;
	study->partials = calloc(study->cuts.n + 1, sizeof *study->partials);
	if (!study->histogram || !study->partials)
		return no_memory(why);
	study->out.numbers = true;
	return 0;
}

static struct sweep_span sweep_open(void *arg, size_t i)
{
	struct studies *studies = arg;
	struct study *study = &studies->all[i];
	struct sweep_span span = {0};
	struct error why = {0};
	int code;

	if (study->out.error || !study->out.type ||
		(study->out.type->flags & TENSOR_NO_BIN))
		return span;
	study->kind = malloc(sizeof *study->kind);
	if (study->kind && !elements_init(study->kind, study->out.type->dtype)) {
		study_close(study);
		return span;
	}
	code = study->kind ? model_content(studies->look->model, study->node,
				     &study->blob, &why)
			   : no_memory(&why);
	if (!code)
		code = study_open(study, &why);
	if (code)
		(void)add_error(studies, study, why.text);
	else
		span = (struct sweep_span){study->cuts.n, 1};
	if (span.length == 0)
		study_close(study);
	return span;
}

/* Numbers that have been read, the first of which is number `off` of the tensor. */
static void take_in(const struct study *study, struct room *room, uint64_t off,
	uint64_t n, struct moments *moments)
{
	bool all = study->numbers <= ALL_COUNTED;
	size_t length;

	for (uint64_t at = 0; at < n; at += length) {
		length = n - at < ELEMENTS_BLOCK ? (size_t)(n - at) : ELEMENTS_BLOCK;
		elements_decode(study->kind,
			room->bytes + elements_bytes(study->kind, at), length, room->x);
		moments_add(moments, room->x, length);
		if (all || (off + at) / ELEMENTS_BLOCK % OF_BLOCKS == 0)
			histogram_add(&room->histogram, room->x, length);
	}
}

/* Reads `n` numbers (a step at most) from number `off` on into the room. */
static int read_numbers(struct study *study, struct room *room, uint64_t off, uint64_t n,
	struct error *why)
{
	uint64_t begin = elements_bytes(study->kind, off);
	uint64_t end = elements_bytes(study->kind, off + n);

	return blob_read_all(study->blob, begin, room->bytes, end - begin, why);
}

static int do_read(struct study *study, struct room *room, const struct cut *cut,
	struct moments *moments, struct error *why)
{
	uint64_t step =
		(uint64_t)STEP * 8 / study->kind->bits / ELEMENTS_BLOCK * ELEMENTS_BLOCK;
	uint64_t end = cut->off + cut->n, n;
	int code = 0;

	for (uint64_t at = cut->off; at < end && !code; at += n) {
		n = end - at < step ? end - at : step;
		code = read_numbers(study, room, at, n, why);
		if (!code)
			take_in(study, room, at, n, moments);
	}
	return code;
}

/* A period (at most a block), and what is there of the last one. */
static int do_repeating(struct study *study, struct room *room, const struct cut *cut,
	struct moments *moments, struct error *why)
{
	uint64_t times = cut->n / cut->period, rest = cut->n % cut->period;
	struct moments last = {0};
	int code = read_numbers(study, room, cut->off, cut->period, why);

	if (code)
		return code;
	elements_decode(study->kind, room->bytes, cut->period, room->x);
	moments_add(moments, room->x, cut->period);
	moments_repeat(moments, times);
	histogram_add(&room->histogram, room->x, cut->period);
	if (study->numbers > ALL_COUNTED)
		times = (times + OF_BLOCKS - 1) / OF_BLOCKS;
	histogram_repeat(&room->histogram, times);
	if (rest > 0) {
		moments_add(&last, room->x, rest);
		moments_merge(moments, &last);
		histogram_add(&room->histogram, room->x, rest);
	}
	return 0;
}

static uint64_t sweep_piece(
	void *arg, size_t i, uint64_t off, uint64_t length, void *memory)
{
	struct studies *studies = arg;
	struct study *study = &studies->all[i];
	const struct cut *cut = &study->cuts.all[off];
	struct room *room = memory;
	struct error why = {0};
	int code;

	(void)length; /* one cut */
	memset(&room->histogram, 0, sizeof room->histogram);
	code = (cut->kind == CUT_REPEATS ? do_repeating : do_read)(
		study, room, cut, &study->partials[off], &why);
	pthread_mutex_lock(&studies->lock);
	histogram_merge(study->histogram, &room->histogram);
	if (code)
		(void)add_error(studies, study, why.text);
	pthread_mutex_unlock(&studies->lock);
	return elements_bytes(study->kind, cut->off + cut->n) -
	       elements_bytes(study->kind, cut->off);
}

static void sweep_close(void *arg, size_t i)
{
	struct study *study = &((struct studies *)arg)->all[i];
	struct statistic *out = &study->out;

	for (size_t p = 0; p < study->cuts.n; p++)
		moments_merge(&out->moments, &study->partials[p]);
	histogram_bars(study->histogram, out->moments.min, out->moments.max, out->bars,
		STATISTICS_BARS);
	out->numbers = !out->error;
	study_close(study);
}

static int sweep_all(struct studies *studies)
{
	struct sweep sweep = {.n = studies->n,
		.room = sizeof(struct room),
		.arg = studies,
		.open = sweep_open,
		.piece = sweep_piece,
		.close = sweep_close,
		.progress = studies->options->progress,
		.progress_arg = studies->options->progress_arg};

	for (size_t i = 0; i < studies->n; i++)
		sweep.total += studies->all[i].out.bytes;
	return sweep_run(&sweep, studies->err);
}

/* Layers. */

/* Length of the folder's path, with its slash. */
static size_t layer_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) + 1 : 0;
}

static int by_name(const void *a, const void *b)
{
	const struct study *x = a, *y = b;
	size_t len_x = layer_len(x->out.path), len_y = layer_len(y->out.path);
	int order = memcmp(x->out.path, y->out.path, len_x < len_y ? len_x : len_y);

	if (!order &&
		len_x != len_y) /* a layer's own tensors before those of its parts */
		return len_x < len_y ? -1 : 1;
	return order ? order : strcmp(x->out.path, y->out.path);
}

static int larger(const struct statistic *x, const struct statistic *y)
{
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return strcmp(x->path, y->path);
}

/* A layer, and where its tensors are among the studies. */
struct layer {
	struct statistic out;
	size_t first, n;
};

struct layers {
	struct layer *all;
	size_t n;
};

static int layers_by_size(const void *a, const void *b)
{
	return larger(&((const struct layer *)a)->out, &((const struct layer *)b)->out);
}

static int studies_by_size(const void *a, const void *b)
{
	return larger(&((const struct study *)a)->out, &((const struct study *)b)->out);
}

static void add_up(struct statistic *into, const struct statistic *from)
{
	into->bytes += from->bytes;
	into->elements += from->elements;
	into->tensors += from->tensors;
	into->numbers |= from->numbers;
	if (from->numbers)
		moments_merge(&into->moments, &from->moments);
}

static void layers_done(struct layers *layers)
{
	for (size_t i = 0; i < layers->n; i++)
		free(layers->all[i].out.path);
	free(layers->all);
}

static int add_layer(struct studies *studies, struct layers *layers, size_t first)
{
	const char *path = studies->all[first].out.path;
	char *own = strndup(path, layer_len(path));

	if (!own)
		return no_memory(studies->err);
	layers->all[layers->n++] = (struct layer){.out.path = own, .first = first};
	return 0;
}

static bool in_layer(const struct layer *layer, const char *path)
{
	size_t len = layer_len(path);

	return strlen(layer->out.path) == len && !memcmp(layer->out.path, path, len);
}

/* Of studies that are sorted by name. */
static int find_layers(struct studies *studies, struct layers *layers)
{
	int code = 0;

	layers->all = calloc(studies->n ? studies->n : 1, sizeof *layers->all);
	if (!layers->all)
		return no_memory(studies->err);
	for (size_t i = 0; i < studies->n && !code; i++) {
		struct study *study = &studies->all[i];
		if (layers->n == 0 ||
			!in_layer(&layers->all[layers->n - 1], study->out.path))
			code = add_layer(studies, layers, i);
		if (code)
			break;
		struct layer *layer = &layers->all[layers->n - 1];
		layer->n++;
		add_up(&layer->out, &study->out);
	}
	return code;
}

/* The layers, and the tensors in each. */
static void sort_by_size(struct studies *studies, struct layers *layers)
{
	for (size_t i = 0; i < layers->n; i++)
		qsort(studies->all + layers->all[i].first, layers->all[i].n,
			sizeof *studies->all, studies_by_size);
	if (layers->n > 0)
		qsort(layers->all, layers->n, sizeof *layers->all, layers_by_size);
}

/* Hands the statistics over. */
static int give(struct studies *studies, struct layers *layers, struct statistics *out)
{
	out->all = calloc(studies->n + layers->n + 1, sizeof *out->all);
	out->total.path = strdup("/");
	if (!out->all || !out->total.path)
		return no_memory(studies->err);
	for (size_t i = 0; i < layers->n; i++) {
		struct layer *layer = &layers->all[i];
		add_up(&out->total, &layer->out);
		out->all[out->n++] = layer->out;
		layer->out.path = NULL;
		for (size_t t = layer->first; t < layer->first + layer->n; t++) {
			out->all[out->n++] = studies->all[t].out;
			studies->all[t].out = (struct statistic){0};
		}
	}
	return 0;
}

static void studies_done(struct studies *studies)
{
	for (size_t i = 0; i < studies->n; i++) {
		free(studies->all[i].out.path);
		free(studies->all[i].out.error);
	}
	free(studies->all);
	(void)pthread_mutex_destroy(&studies->lock);
}

int statistics_run(struct statistics *out, struct look *look,
	const struct statistics_options *options, struct error *err)
{
	__attribute__((cleanup(studies_done))) struct studies studies = {.look = look,
		.options = options,
		.err = err,
		.lock = PTHREAD_MUTEX_INITIALIZER};
	__attribute__((cleanup(layers_done))) struct layers layers = {0};

	*out = (struct statistics){0};
	int code = list(&studies);
	if (!code)
		code = sweep_all(&studies);
	if (!code && studies.n > 0)
		qsort(studies.all, studies.n, sizeof *studies.all, by_name);
	if (!code)
		code = find_layers(&studies, &layers);
	if (!code && options->order == STATISTICS_BY_SIZE)
		sort_by_size(&studies, &layers);
	if (!code)
		code = give(&studies, &layers, out);
	if (code)
		statistics_done(out);
	return code;
}

void statistics_done(struct statistics *statistics)
{
	for (size_t i = 0; i < statistics->n; i++) {
		free(statistics->all[i].path);
		free(statistics->all[i].error);
	}
	free(statistics->all);
	free(statistics->total.path);
	*statistics = (struct statistics){0};
}
