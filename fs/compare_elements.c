/*
 * compare_elements: the elements of pairs of tensors, swept by all processors.
 *
 * What is the same range of one file, or the same blocks, is not read; nor is what is
 * known to repeat on both sides (holes, fill values), of which the beginning stands for
 * all; what is read is compared by memcmp first. A similarity needs the squares of all
 * elements of a tensor that differs, equal ones included: equal ones that are read are
 * taken in at once, those that were not by a second sweep.
 */
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/model.h"
#include "decoders/base/source.h"
#include "decoders/grammar/elements.h"
#include "fs/compare_private.h"
#include "fs/cuts.h"
#include "fs/extents.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STEP (256u << 10)      /* bytes that are read at once: two fit in a cache */
#define PIECE (4u << 20)       /* bytes of a piece */
#define PERIOD_MAX (64u << 10) /* bytes, of what is not numbers */
#define UNIT_MAX (4u << 10)    /* larger elements are counted by bytes */

_Static_assert(ELEMENTS_BLOCK <= FIGURES_BLOCK, "a block of numbers is taken in at once");

struct partial {
	struct agreement figures;
	uint64_t differ;
};

/* The memory of a thread. */
struct room {
	double x[ELEMENTS_BLOCK], y[ELEMENTS_BLOCK], difference[ELEMENTS_BLOCK];
	unsigned char a[STEP + 64], b[STEP + 64];
};

struct sweeping {
	struct pair *pairs;
	struct look *looks;
	const struct shared *shared;
	const struct compare_options *options;
	bool again; /* the second sweep */
};

/* Types. */

static bool same_shape(const struct tensor *a, const struct tensor *b)
{
	return a->rank == b->rank &&
	       !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape);
}

bool pair_of_numbers(const struct pair *pair)
{
	struct elements kinds[2];
	const struct tensor *a = pair->types[0], *b = pair->types[1];

	return !((a->flags | b->flags) & (TENSOR_NO_BIN | TENSOR_NULL)) &&
	       same_shape(a, b) && elements_init(&kinds[0], a->dtype) &&
	       elements_init(&kinds[1], b->dtype) && kinds[0].parts == kinds[1].parts;
}

/* Bytes of what is counted as one. */
static uint64_t unit_of(const struct pair *pair)
{
	const struct dtype *dtype = pair->types[0]->dtype;
	uint64_t unit = dtype->bits / 8;

	return dtype->bits % 8 == 0 && unit > 0 && unit <= UNIT_MAX &&
			       pair->types[0]->bytes % unit == 0
		       ? unit
		       : 1;
}

bool pair_of_bytes(const struct pair *pair)
{
	return !pair_of_numbers(pair) &&
	       (unit_of(pair) == 1 || pair->types[0]->dtype->block > 1);
}

/* Numbers, of a pair of numbers. */
static uint64_t count_numbers(const struct tensor *tensor)
{
	unsigned parts = tensor->dtype->class == DTYPE_COMPLEX ? 2 : 1;

	return tensor->bytes / tensor->dtype->bits * parts * 8 +
	       tensor->bytes % tensor->dtype->bits * parts * 8 / tensor->dtype->bits;
}

uint64_t pair_elements(const struct pair *pair)
{
	const struct tensor *tensor = pair->types[0];

	if (pair_of_numbers(pair))
		return count_numbers(tensor);
	return pair_of_bytes(pair) ? tensor->bytes : tensor->bytes / unit_of(pair);
}

/* Sharing. */

static int container_fd(const struct look *look)
{
	struct source *source = look->model->source;
	uint64_t off;
	int fd;

	if (!look->container ||
		!source_locate(source, 0, source_size(source), &fd, &off) || off)
		return -1;
	return fd;
}

static bool same_file(int a, int b)
{
	struct stat st_a, st_b;

	return a >= 0 && b >= 0 && !fstat(a, &st_a) && !fstat(b, &st_b) &&
	       st_a.st_dev == st_b.st_dev && st_a.st_ino == st_b.st_ino;
}

void shared_init(struct shared *shared, struct look looks[2])
{
	*shared = (struct shared){0};
	for (int i = 0; i < 2; i++)
		shared->fds[i] = container_fd(&looks[i]);
	shared->identical = same_file(shared->fds[0], shared->fds[1]);
	if (shared->identical || shared->fds[0] < 0 || shared->fds[1] < 0)
		return;
	uint64_t size[2] = {
		source_size(looks[0].model->source), source_size(looks[1].model->source)};
	shared->extents[0] = extents_of(shared->fds[0]);
	if (shared->extents[0])
		shared->extents[1] = extents_of(shared->fds[1]);
	shared->identical = size[0] == size[1] && size[0] > 0 &&
			    extents_same(shared->extents[0], 0, shared->extents[1], 0,
				    size[0]) == size[0];
}

void shared_done(struct shared *shared)
{
	for (int i = 0; i < 2; i++)
		extents_free(&shared->extents[i]);
}

/* How many bytes from `off` on need not be read to be known as equal. */
static uint64_t known_equal(
	const struct shared *shared, const struct pair *pair, uint64_t off, uint64_t len)
{
	int fds[2];
	uint64_t at[2];

	for (int i = 0; i < 2; i++)
		if (!blob_locate(pair->blobs[i], off, len, &fds[i], &at[i]))
			return 0;
	if (fds[0] != shared->fds[0] || fds[1] != shared->fds[1])
		return at[0] == at[1] && same_file(fds[0], fds[1]) ? len : 0;
	return extents_same(shared->extents[0], at[0], shared->extents[1], at[1], len);
}

/* Opening and closing. */

static void fail(struct pair *pair, const struct trouble *why)
{
	struct trouble *copy = malloc(sizeof *copy), *none = NULL;

	if (copy)
		*copy = *why;
	if (!copy || !__atomic_compare_exchange_n(&pair->why, &none, copy, false,
			     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		free(copy);
	/* Without memory for the reason it differs, at least. */
	__atomic_store_n(&pair->differs, true, __ATOMIC_RELAXED);
}

static void pair_close(struct pair *pair)
{
	for (int i = 0; i < 2; i++) {
		blob_unref(&pair->blobs[i]);
		free(pair->kinds[i]);
		pair->kinds[i] = NULL;
	}
}

static void cuts_done(struct pair *pair)
{
	free(pair->cuts.all);
	free(pair->partials);
	pair->cuts = (struct cuts){0};
	pair->partials = NULL;
}

void pair_done(struct pair *pair)
{
	pair_close(pair);
	cuts_done(pair);
	free(pair->why);
}

static int open_blobs(struct pair *pair, struct look looks[2], struct trouble *why)
{
	int code = 0;

	for (int i = 0; i < 2 && !code; i++) {
		why->side = i;
		code = model_content(
			looks[i].model, pair->nodes[i], &pair->blobs[i], &why->error);
		if (!code && blob_size(pair->blobs[i]) != pair->types[i]->bytes)
			code = error_set(
				&why->error, EIO, "it has another size than its type");
	}
	return code;
}

static int open_kinds(struct pair *pair, struct error *why)
{
	if (!pair_of_numbers(pair))
		return 0;
	for (int i = 0; i < 2; i++) {
		pair->kinds[i] = malloc(sizeof **pair->kinds);
		if (!pair->kinds[i])
			return error_set(why, ENOMEM, "not enough memory");
		(void)elements_init(pair->kinds[i], pair->types[i]->dtype);
	}
	return 0;
}

static bool same_type(const struct pair *pair)
{
	return pair->types[0]->dtype == pair->types[1]->dtype;
}

/* Where numbers (or bytes) up to there end, in bytes of a side. */
static uint64_t bytes_to(const struct pair *pair, int side, uint64_t n)
{
	return pair->kinds[side] ? elements_bytes(pair->kinds[side], n) : n;
}

/* A pair that is being cut. */
struct cutting_pair {
	struct pair *pair;
	const struct shared *shared;
	uint64_t least;
};

/* Whether both sides repeat; cut->n numbers (or bytes) from cut->off on. */
static bool both_repeat(const struct pair *pair, struct cut *cut)
{
	uint64_t n[2] = {cut->n, cut->n}, period[2];
	uint64_t all = pair->kinds[0] ? 1 : unit_of(pair);
	bool known[2];

	for (int i = 0; i < 2; i++) {
		unsigned bits = pair->kinds[i] ? pair->kinds[i]->bits : 8;
		known[i] = cuts_repeat(pair->blobs[i], bits, cut->off, &n[i], &period[i]);
		if (known[i])
			all = cuts_common(all, period[i]);
	}
	/* It is known of both up to where either ends; unknown of one until all of what
	 * is unknown ends. */
	if (known[0] && known[1])
		cut->n = n[0] < n[1] ? n[0] : n[1];
	else
		cut->n = (known[1] || (!known[0] && n[0] > n[1])) ? n[0] : n[1];
	cut->period = all;
	return known[0] && known[1] &&
	       all <= (pair->kinds[0] ? ELEMENTS_BLOCK : PERIOD_MAX);
}

static void know(void *arg, struct cut *cut)
{
	const struct cutting_pair *cutting = arg;
	const struct pair *pair = cutting->pair;
	uint64_t begin = bytes_to(pair, 0, cut->off);
	uint64_t len = bytes_to(pair, 0, cut->off + cut->n) - begin, same = 0;

	if (both_repeat(pair, cut)) {
		cut->kind = CUT_REPEATS;
		return;
	}
	if (same_type(pair))
		same = known_equal(cutting->shared, pair, begin, len);
	if (same > 0) {
		cut->kind = CUT_SAME;
		cut->n = pair->kinds[0] ? same / pair->kinds[0]->bits * 8 : same;
	} else if (cutting->shared->extents[1]) { /* which may begin anywhere */
		cut->n = cutting->least < cut->n ? cutting->least : cut->n;
	}
}

static int cut_pair(struct pair *pair, const struct shared *shared, struct error *why)
{
	uint64_t bytes = pair->types[0]->bytes, unit = unit_of(pair);
	uint64_t least = cuts_least(bytes);
	struct cutting_pair arg = {pair, shared, least};
	struct cutting how = {bytes, unit, PIECE / unit * unit, least, know, &arg};

	if (pair->kinds[0]) {
		how.n = count_numbers(pair->types[0]);
		how.grain = ELEMENTS_BLOCK;
		how.piece = PIECE / 8 / ELEMENTS_BLOCK * ELEMENTS_BLOCK;
		how.least = arg.least = least * 8 / pair->kinds[0]->bits;
	}
	int code = cuts_make(&pair->cuts, &how, why);
	if (code || pair->cuts.n == 0)
		return code;
	pair->partials = calloc(pair->cuts.n, sizeof *pair->partials);
	return pair->partials ? 0 : error_set(why, ENOMEM, "not enough memory");
}

static struct sweep_span sweep_open(void *arg, size_t i)
{
	struct sweeping *sweeping = arg;
	struct pair *pair = &sweeping->pairs[i];
	struct trouble why = {0};
	struct sweep_span span = {0};

	if (sweeping->again ? !pair->partials : sweeping->shared->identical)
		return span;
	int code = open_blobs(pair, sweeping->looks, &why);
	if (!code)
		code = open_kinds(pair, &why.error);
	if (!code && !sweeping->again)
		code = cut_pair(pair, sweeping->shared, &why.error);
	if (code)
		fail(pair, &why);
	else
		span = (struct sweep_span){pair->cuts.n, 1};
	if (span.length == 0)
		pair_close(pair);
	return span;
}

/* Reading a piece. */

/* One cut under way. */
struct task {
	struct sweeping *sweeping;
	struct pair *pair;
	const struct cut *cut;
	struct partial *partial;
	struct room *room;
};

/* Numbers or bytes that are read at once. */
static uint64_t step_of(const struct pair *pair)
{
	uint64_t unit = unit_of(pair);
	unsigned bits;

	if (!pair->kinds[0])
		return STEP / unit * unit;
	bits = pair->kinds[0]->bits > pair->kinds[1]->bits ? pair->kinds[0]->bits
							   : pair->kinds[1]->bits;
	return (uint64_t)STEP * 8 / bits / ELEMENTS_BLOCK * ELEMENTS_BLOCK;
}

static bool read_side(struct task *task, int side, uint64_t off, uint64_t n)
{
	struct pair *pair = task->pair;
	struct trouble why = {.side = side};
	uint64_t begin = bytes_to(pair, side, off), end = bytes_to(pair, side, off + n);
	unsigned char *out = side ? task->room->b : task->room->a;

	if (blob_read_all(pair->blobs[side], begin, out, end - begin, &why.error)) {
		fail(pair, &why);
		return false;
	}
	if (side == 0 && task->cut->kind != CUT_REPEATS)
		__atomic_fetch_add(&pair->read, end - begin, __ATOMIC_RELAXED);
	return true;
}

/* Of numbers that both sides have, in room->a. */
static void sum_equal(struct task *task, uint64_t n)
{
	const struct elements *kind = task->pair->kinds[0];
	struct room *room = task->room;
	size_t length;

	for (uint64_t off = 0; off < n; off += length) {
		length = n - off < ELEMENTS_BLOCK ? (size_t)(n - off) : ELEMENTS_BLOCK;
		elements_decode(
			kind, room->a + elements_bytes(kind, off), length, room->x);
		agreement_add_equal(&task->partial->figures, room->x, length);
	}
}

/* A block of numbers at these bytes. */
static void add_block(
	struct task *task, const unsigned char *a, const unsigned char *b, size_t n)
{
	const struct pair *pair = task->pair;
	struct partial *partial = task->partial;
	struct room *room = task->room;
	double tolerance = task->sweeping->options->tolerance;
	bool one_type = same_type(pair);

	elements_decode(pair->kinds[0], a, n, room->x);
	if (one_type && !memcmp(a, b, elements_bytes(pair->kinds[0], n))) {
		agreement_add_equal(&partial->figures, room->x, n);
		return;
	}
	elements_decode(pair->kinds[1], b, n, room->y);
	if (one_type)
		elements_subtract(
			pair->kinds[0], a, b, room->x, room->y, n, room->difference);
	else
		for (size_t i = 0; i < n; i++)
			room->difference[i] = room->y[i] - room->x[i];
	uint64_t before = partial->figures.beyond;
	agreement_add(
		&partial->figures, room->x, room->y, room->difference, n, tolerance);
	partial->differ += one_type && tolerance == 0
				   ? elements_differ(pair->kinds[0], a, b, n)
				   : partial->figures.beyond - before;
}

/* What has been read and is not the same bytes. */
static void add_numbers(struct task *task, uint64_t n)
{
	const struct pair *pair = task->pair;
	const struct room *room = task->room;
	size_t length;

	for (uint64_t off = 0; off < n; off += length) {
		length = n - off < ELEMENTS_BLOCK ? (size_t)(n - off) : ELEMENTS_BLOCK;
		add_block(task, room->a + elements_bytes(pair->kinds[0], off),
			room->b + elements_bytes(pair->kinds[1], off), length);
	}
}

static void add_bytes(struct task *task, uint64_t n)
{
	const struct room *room = task->room;
	uint64_t unit = pair_of_bytes(task->pair) ? 1 : unit_of(task->pair);

	for (uint64_t off = 0; off < n; off += unit)
		task->partial->differ += memcmp(room->a + off, room->b + off, unit) != 0;
}

/* What has been read of both sides. */
static void judge(struct task *task, uint64_t n)
{
	struct pair *pair = task->pair;
	struct room *room = task->room;

	if (same_type(pair) && !memcmp(room->a, room->b, bytes_to(pair, 0, n))) {
		if (pair->kinds[0] && !task->sweeping->options->brief)
			sum_equal(task, n);
		return;
	}
	if (pair->kinds[0])
		add_numbers(task, n);
	else
		add_bytes(task, n);
	if (task->partial->differ > 0)
		__atomic_store_n(&pair->differs, true, __ATOMIC_RELAXED);
}

/* True while there is reason to go on. */
static bool do_step(struct task *task, uint64_t off, uint64_t n)
{
	if (task->sweeping->options->brief &&
		__atomic_load_n(&task->pair->differs, __ATOMIC_RELAXED))
		return false;
	if (!read_side(task, 0, off, n))
		return false;
	if (task->cut->kind == CUT_SAME) {
		sum_equal(task, n);
		return true;
	}
	if (!read_side(task, 1, off, n))
		return false;
	judge(task, n);
	return true;
}

static void do_steps(struct task *task)
{
	uint64_t step = step_of(task->pair), end = task->cut->off + task->cut->n, n;

	for (uint64_t off = task->cut->off; off < end; off += n) {
		n = end - off < step ? end - off : step;
		if (!do_step(task, off, n))
			break;
	}
}

/* A period, as often as it is there, and what is there of the last one. */
static void do_repeating(struct task *task)
{
	uint64_t period = task->cut->period, times = task->cut->n / period;
	uint64_t rest = task->cut->n % period;
	struct partial *partial = task->partial, last = {0};

	if (!do_step(task, task->cut->off, period))
		return;
	agreement_repeat(&partial->figures, times);
	partial->differ *= times;
	struct task end = *task;
	end.partial = &last;
	if (rest > 0)
		judge(&end, rest);
	agreement_merge(&partial->figures, &last.figures);
	partial->differ += last.differ;
}

/* The first sweep leaves out what is the same, the second does nothing else. */
static uint64_t sweep_piece(
	void *arg, size_t i, uint64_t off, uint64_t length, void *room)
{
	struct sweeping *sweeping = arg;
	struct pair *pair = &sweeping->pairs[i];
	const struct cut *cut = &pair->cuts.all[off];
	struct task task = {sweeping, pair, cut, &pair->partials[off], room};

	(void)length; /* one cut */
	if ((cut->kind == CUT_SAME) == sweeping->again) {
		if (cut->kind == CUT_REPEATS)
			do_repeating(&task);
		else
			do_steps(&task);
	}
	return bytes_to(pair, 0, cut->off + cut->n) - bytes_to(pair, 0, cut->off);
}

/* Whether figures of what was not read are still to be had. */
static bool is_open(const struct sweeping *sweeping, const struct pair *pair)
{
	bool open = false;

	if (sweeping->again || !pair->differs || pair->why || !pair->kinds[0])
		return false;
	for (size_t c = 0; c < pair->cuts.n && !open; c++)
		open = pair->cuts.all[c].kind == CUT_SAME;
	return open;
}

/* All cuts of a sweep are done: in the order of the tensor, so that the figures do not
 * depend on the threads. */
static void sweep_close(void *arg, size_t i)
{
	const struct sweeping *sweeping = arg;
	struct pair *pair = &sweeping->pairs[i];

	pair->differ = 0;
	pair->figures = (struct agreement){0};
	for (size_t c = 0; c < pair->cuts.n; c++) {
		pair->differ += pair->partials[c].differ;
		agreement_merge(&pair->figures, &pair->partials[c].figures);
	}
	if (!is_open(sweeping, pair))
		cuts_done(pair);
	pair_close(pair);
}

static uint64_t bytes_of(const struct sweeping *sweeping, size_t n)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		if (!sweeping->again || sweeping->pairs[i].partials)
			bytes += sweeping->pairs[i].types[0]->bytes;
	return bytes;
}

int pairs_sweep(struct pair *pairs, size_t n, struct look looks[2],
	const struct shared *shared, const struct compare_options *options,
	struct error *err)
{
	struct sweeping sweeping = {pairs, looks, shared, options, false};
	struct sweep sweep = {.n = n,
		.room = sizeof(struct room),
		.arg = &sweeping,
		.open = sweep_open,
		.piece = sweep_piece,
		.close = sweep_close,
		.progress = options->progress,
		.progress_arg = options->progress_arg};

	sweep.total = bytes_of(&sweeping, n);
	int code = sweep_run(&sweep, err);
	sweeping.again = true;
	sweep.total = bytes_of(&sweeping, n);
	if (!code && !options->brief && sweep.total > 0)
		code = sweep_run(&sweep, err);
	return code;
}
