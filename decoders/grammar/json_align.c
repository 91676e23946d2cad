/*
 * json_align: which values of two texts are one another.
 *
 * Each value gets a digest of its data, all in one pass from the back, where
 * children come before their parents. With them, arrays are aligned by their longest
 * common subsequence, as far as that costs a bounded time.
 */
#include "decoders/grammar/json_private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Elements that a longest common subsequence may leave out. Beyond, elements are
 * paired by their place. Memory goes with its square: 8 MiB. */
#define DISTANCE_MAX 1000

static uint64_t mix(uint64_t a, uint64_t b)
{
	a ^= b * 0x9e3779b97f4a7c15;
	a = (a ^ a >> 32) * 0xd6e8feb86659fd93;
	return a ^ a >> 29;
}

static uint64_t chars_digest(const char *s)
{
	uint64_t digest = 7;
	uint32_t code;

	while ((code = json_char(&s)) != JSON_QUOTE)
		digest = mix(digest, code);
	return digest;
}

static uint64_t scalar_digest(const struct json *json, json_value v)
{
	enum json_type type = json_type(json, v);
	const char *raw;
	size_t len;

	raw = json_raw(json, v, &len);
	if (type == JSON_NUMBER)
		return mix(type, decimal_hash(raw, len));
	return mix(type, type == JSON_STRING ? chars_digest(raw + 1) : 0);
}

/* Adds a value that is done to the one that it is in. */
static void add_to_parent(struct side *side, json_value v)
{
	const struct value *value = &side->json->values[v];
	struct digest *d = &side->digests[v], *up = &side->digests[value->parent];
	uint64_t key;

	if (value->key == 0) {
		up->loose = mix(up->loose, d->loose);
		up->ordered = mix(up->ordered, d->ordered);
		return;
	}
	key = chars_digest(json_key_text(side->json, v));
	up->loose += mix(key, d->loose); /* in any order */
	up->ordered = mix(up->ordered, mix(key, d->ordered));
}

int side_init(struct side *side, const struct json *json)
{
	enum json_type type;

	*side = (struct side){json, calloc(json->n, sizeof *side->digests)};
	if (side->digests == NULL)
		return -ENOMEM;
	for (json_value v = json->n; v-- > 0;) {
		struct digest *d = &side->digests[v];

		type = json_type(json, v);
		if (type == JSON_OBJECT || type == JSON_ARRAY)
			*d = (struct digest){mix(d->loose, type), mix(d->ordered, type)};
		else
			d->loose = d->ordered = scalar_digest(json, v);
		if (v > 0)
			add_to_parent(side, v);
	}
	return 0;
}

void side_done(struct side *side)
{
	free(side->digests);
	*side = (struct side){0};
}

bool side_equal(const struct side *a, json_value va, const struct side *b, json_value vb)
{
	return a->digests[va].loose == b->digests[vb].loose &&
	       json_equal(a->json, va, b->json, vb);
}

bool side_same(const struct side *a, json_value va, const struct side *b, json_value vb)
{
	return a->digests[va].ordered == b->digests[vb].ordered &&
	       json_same(a->json, va, b->json, vb);
}

int json_children_init(struct children *children, const struct side *side, json_value v)
{
	size_t n = json_count(side->json, v);
	json_value *next;

	*children = (struct children){side, calloc(n + 1, sizeof *next), (uint32_t)n};
	if (children->values == NULL)
		return -ENOMEM;
	next = children->values;
	for (v = json_first(side->json, v); v != JSON_NONE; v = json_next(side->json, v))
		*next++ = v;
	return 0;
}

void json_children_done(struct children *children)
{
	free(children->values);
	*children = (struct children){0};
}

/* What is left of two lists between what they have in common at their ends. */
struct window {
	const struct children *a, *b;
	uint32_t a_from, a_to, b_from, b_to;
};

static bool alike(const struct window *w, uint32_t a, uint32_t b)
{
	return w->a->side->digests[w->a->values[a]].loose ==
	       w->b->side->digests[w->b->values[b]].loose;
}

/* Pairs what the two have in common at their ends. */
static void trim(struct window *w, json_value *match)
{
	while (w->a_from < w->a_to && w->b_from < w->b_to &&
		alike(w, w->a_from, w->b_from))
		match[w->b_from++] = w->a_from++;
	while (w->a_from < w->a_to && w->b_from < w->b_to &&
		alike(w, w->a_to - 1, w->b_to - 1))
		match[--w->b_to] = --w->a_to;
}

/*
 * Shortest ways from the beginning of a window to its end, by Myers: a way is
 * steps that take one element of `a` or of `b` alone, with runs of alike pairs for
 * free. x(d, k) is how far in `a` d steps can get where k = x - y.
 */
struct ways {
	const struct window *window;
	int64_t n, m; /* elements of a, b */
	int64_t *x;   /* row d from d * d, its k from -d to d */
	int64_t rows; /* that there is room for */
};

static int64_t *way(const struct ways *w, int64_t d, int64_t k)
{
	return &w->x[d * d + d + k];
}

/* Whether the last of d steps took an element of b (or else of a). */
static bool took_b(const struct ways *w, int64_t d, int64_t k)
{
	return k == -d || (k != d && *way(w, d - 1, k - 1) < *way(w, d - 1, k + 1));
}

/* x behind that step, before the run that follows it. */
static int64_t arrival(const struct ways *w, int64_t d, int64_t k)
{
	if (d == 0)
		return 0;
	return took_b(w, d, k) ? *way(w, d - 1, k + 1) : *way(w, d - 1, k - 1) + 1;
}

static bool alike_at(const struct ways *w, int64_t x, int64_t y)
{
	return alike(w->window, w->window->a_from + (uint32_t)x,
		w->window->b_from + (uint32_t)y);
}

/* Makes row d. 1: one of its ways reached the end. 0: not yet. */
static int walk(struct ways *w, int64_t d, size_t *steps)
{
	bool end = false;

	for (int64_t k = -d; k <= d && !end && *steps > 0; k += 2) {
		int64_t x = arrival(w, d, k);

		for (--*steps; *steps > 0 && x < w->n && x - k < w->m; --*steps, x++)
			if (!alike_at(w, x, x - k))
				break;
		*way(w, d, k) = x;
		end = k == w->n - w->m && x >= w->n;
	}
	return end;
}

/* Pairs the runs of the way that reached the end in d steps. */
static void go_back(const struct ways *w, int64_t d, json_value *match)
{
	int64_t x = w->n, y = w->m, k, from;

	for (; d >= 0; d--) {
		k = x - y;
		from = arrival(w, d, k);
		while (x > from) {
			x--;
			y--;
			match[w->window->b_from + y] = w->window->a_from + (uint32_t)x;
		}
		if (d > 0 && took_b(w, d, k))
			y--;
		else
			x--;
	}
}

/* Room for row d. */
static bool make_room(struct ways *w, int64_t d)
{
	int64_t rows = d < w->rows ? w->rows : 2 * d + 16;
	int64_t *x = w->x;

	if (rows > w->rows)
		x = reallocarray(w->x, (size_t)(rows * rows), sizeof *x);
	if (x == NULL)
		return false;
	w->x = x;
	w->rows = rows;
	return true;
}

/* Pairs a longest common subsequence of the window, if it is near enough. */
static int pair_common(const struct window *window, size_t *steps, json_value *match)
{
	struct ways w = {.window = window,
		.n = window->a_to - window->a_from,
		.m = window->b_to - window->b_from};
	int rc = 0;

	if (w.n == 0 || w.m == 0 || llabs(w.n - w.m) > DISTANCE_MAX)
		return 0;
	for (int64_t d = 0; d <= DISTANCE_MAX && rc == 0 && *steps > 0; d++) {
		rc = make_room(&w, d) ? walk(&w, d, steps) : -ENOMEM;
		if (rc > 0)
			go_back(&w, d, match);
	}
	free(w.x);
	return rc < 0 ? rc : 0;
}

/* Pairs by place what stands between two pairs. */
static void fill_gaps(const struct window *w, json_value *match)
{
	uint32_t a = w->a_from, end;

	for (uint32_t b = w->b_from, gap = b; b <= w->b_to; b++) {
		if (b < w->b_to && match[b] == JSON_NONE)
			continue;
		end = b < w->b_to ? match[b] : w->a_to;
		while (gap < b && a < end)
			match[gap++] = a++;
		gap = b + 1;
		a = end + 1;
	}
}

int json_children_align(const struct children *base, const struct children *now,
	size_t *steps, json_value *match)
{
	struct window w = {base, now, 0, base->n, 0, now->n};
	int rc;

	for (uint32_t i = 0; i < now->n; i++)
		match[i] = JSON_NONE;
	trim(&w, match);
	rc = pair_common(&w, steps, match);
	if (rc == 0)
		fill_gaps(&w, match);
	return rc;
}
