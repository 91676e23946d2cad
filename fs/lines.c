/*
 * lines: the greedy algorithm of Myers (An O(ND) difference algorithm and its variations,
 * 1986) over what the two texts do not have in common at their ends.
 *
 * For each number of edits d, the furthest point on each diagonal is kept, so that the
 * way back can be walked: memory grows with d squared, which is why d has a limit. Beyond
 * it, the rest counts as removed and added.
 */
#include "fs/lines.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define EDITS_MAX 2048 /* 17 MB of points */

struct line {
	const char *text;
	size_t len; /* with the newline */
	size_t hash;
};

struct side {
	struct line *lines;
	size_t n;
	bool *changed; /* removed or added */
};

struct lines {
	struct side a, b;
};

static void lines_done(struct lines *lines)
{
	free(lines->a.lines);
	free(lines->a.changed);
	free(lines->b.lines);
	free(lines->b.changed);
}

static size_t hash(const char *text, size_t len)
{
	size_t h = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)text[i]) * 1099511628211u;
	return h;
}

static int cut(struct side *side, const struct text *text)
{
	const char *at = text->bytes, *end = at + text->len;
	size_t n = 1;

	for (const char *c = at; c < end; c++)
		n += *c == '\n';
	side->lines = calloc(n, sizeof *side->lines);
	side->changed = calloc(n, sizeof *side->changed);
	if (!side->lines || !side->changed)
		return -ENOMEM;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((newline ? newline + 1 : end) - at);
		side->lines[side->n++] = (struct line){at, len, hash(at, len)};
		at += len;
	}
	return 0;
}

static bool same(const struct lines *lines, size_t i, size_t j)
{
	const struct line *a = &lines->a.lines[i], *b = &lines->b.lines[j];

	return a->hash == b->hash && a->len == b->len &&
	       !memcmp(a->text, b->text, a->len);
}

/* The part of both sides that is looked at. */
struct window {
	size_t a, b;	    /* where it begins */
	ptrdiff_t n_a, n_b; /* lines */
};

static struct window trim(const struct lines *lines)
{
	struct window w = {.n_a = (ptrdiff_t)lines->a.n, .n_b = (ptrdiff_t)lines->b.n};

	while (w.n_a > 0 && w.n_b > 0 && same(lines, w.a, w.b)) {
		w.a++;
		w.b++;
		w.n_a--;
		w.n_b--;
	}
	while (w.n_a > 0 && w.n_b > 0 &&
		same(lines, w.a + (size_t)w.n_a - 1, w.b + (size_t)w.n_b - 1)) {
		w.n_a--;
		w.n_b--;
	}
	return w;
}

/* Row d of the points: the furthest x on diagonals -d, -d + 2 ... d. */
static int32_t *row(int32_t *points, ptrdiff_t d)
{
	return points + d * (d + 1) / 2;
}

/* Whether the way to diagonal k with d edits comes from k + 1 (a line added). */
static bool comes_down(const int32_t *before, ptrdiff_t d, ptrdiff_t k)
{
	ptrdiff_t i = (k + d) / 2;

	return k == -d || (k != d && before[i - 1] < before[i]);
}

/* How far diagonal k goes with d edits. */
static ptrdiff_t reach(const struct lines *lines, const struct window *w,
	const int32_t *before, ptrdiff_t d, ptrdiff_t k)
{
	ptrdiff_t i = (k + d) / 2, x = 0;

	if (d > 0)
		x = comes_down(before, d, k) ? before[i] : before[i - 1] + 1;
	while (x < w->n_a && x - k < w->n_b && x - k >= 0 &&
		same(lines, w->a + (size_t)x, w->b + (size_t)(x - k)))
		x++;
	return x;
}

/* Fills the points; the number of edits that lead to the end, or -1 for too many. */
static ptrdiff_t search(const struct lines *lines, const struct window *w,
	int32_t *points, ptrdiff_t most)
{
	for (ptrdiff_t d = 0; d <= most; d++) {
		int32_t *now = row(points, d),
			*before = d > 0 ? row(points, d - 1) : NULL;
		for (ptrdiff_t k = -d; k <= d; k += 2) {
			ptrdiff_t x = reach(lines, w, before, d, k);
			now[(k + d) / 2] = (int32_t)x;
			if (x >= w->n_a && x - k >= w->n_b)
				return d;
		}
	}
	return -1;
}

/* From the end back to the start. */
static void walk_back(
	struct lines *lines, const struct window *w, int32_t *points, ptrdiff_t d)
{
	ptrdiff_t k = w->n_a - w->n_b;

	for (; d > 0; d--) {
		const int32_t *before = row(points, d - 1);
		ptrdiff_t i = (k + d) / 2;
		if (comes_down(before, d, k)) {
			k++;
			lines->b.changed[w->b + (size_t)(before[i] - k)] = true;
		} else {
			k--;
			lines->a.changed[w->a + (size_t)before[i - 1]] = true;
		}
	}
}

static int match(struct lines *lines)
{
	struct window w = trim(lines);
	ptrdiff_t most = w.n_a + w.n_b < EDITS_MAX ? w.n_a + w.n_b : EDITS_MAX, d;
	int32_t *points = malloc((size_t)((most + 1) * (most + 2) / 2) * sizeof *points);

	if (!points)
		return -ENOMEM;
	d = search(lines, &w, points, most);
	if (d >= 0) {
		walk_back(lines, &w, points, d);
	} else {
		memset(lines->a.changed + w.a, true, (size_t)w.n_a);
		memset(lines->b.changed + w.b, true, (size_t)w.n_b);
	}
	free(points);
	return 0;
}

/* Printing. */

static void put_line(const struct line *line, char sign, struct text *out)
{
	text_putc(out, sign);
	text_put(out, line->text, line->len);
	if (line->len == 0 || line->text[line->len - 1] != '\n')
		text_puts(out, "\n\\ No newline at end of file\n");
}

/* "-12,3": an empty range is behind the line that it names. */
static void put_range(size_t begin, size_t end, struct text *out)
{
	if (end - begin == 1)
		text_printf(out, "%zu", begin + 1);
	else
		text_printf(out, "%zu,%zu", end > begin ? begin + 1 : begin, end - begin);
}

/* One hunk from a line of each side up to another. */
struct hunk {
	size_t a, a_end, b, b_end;
};

static void put_hunk(const struct lines *lines, const struct hunk *hunk, struct text *out)
{
	size_t i = hunk->a, j = hunk->b;

	text_puts(out, "@@ -");
	put_range(hunk->a, hunk->a_end, out);
	text_puts(out, " +");
	put_range(hunk->b, hunk->b_end, out);
	text_puts(out, " @@\n");
	while (i < hunk->a_end || j < hunk->b_end) {
		if (i < hunk->a_end && lines->a.changed[i])
			put_line(&lines->a.lines[i++], '-', out);
		else if (j < hunk->b_end && lines->b.changed[j])
			put_line(&lines->b.lines[j++], '+', out);
		else {
			put_line(&lines->a.lines[i++], ' ', out);
			j++;
		}
	}
}

/* Past the changes that begin at (*i, *j). */
static void skip_changes(const struct lines *lines, size_t *i, size_t *j)
{
	while (*i < lines->a.n && lines->a.changed[*i])
		++*i;
	while (*j < lines->b.n && lines->b.changed[*j])
		++*j;
}

/* Lines that are equal from there on, at most `most`. */
static size_t equal_from(const struct lines *lines, size_t i, size_t j, size_t most)
{
	size_t n = 0;

	while (n < most && i + n < lines->a.n && j + n < lines->b.n &&
		!lines->a.changed[i + n] && !lines->b.changed[j + n])
		n++;
	return n;
}

static bool at_change(const struct lines *lines, size_t i, size_t j)
{
	return (i < lines->a.n && lines->a.changed[i]) ||
	       (j < lines->b.n && lines->b.changed[j]);
}

static void put_hunks(const struct lines *lines, size_t context, struct text *out)
{
	size_t i = 0, j = 0, equal;

	while (i < lines->a.n || j < lines->b.n) {
		if (!at_change(lines, i, j)) {
			i++;
			j++;
			continue;
		}
		size_t before = i < context ? i : context;
		struct hunk hunk = {.a = i - before, .b = j - before};
		do {
			skip_changes(lines, &i, &j);
			equal = equal_from(lines, i, j, 2 * context + 1);
			hunk.a_end = i + (equal < context ? equal : context);
			hunk.b_end = j + (equal < context ? equal : context);
			i += equal;
			j += equal;
		} while (equal <= 2 * context && at_change(lines, i, j));
		put_hunk(lines, &hunk, out);
	}
}

int lines_diff(const struct text *a, const struct text *b, size_t context,
	struct text *out, struct error *err)
{
	__attribute__((cleanup(lines_done))) struct lines lines = {0};
	int code = cut(&lines.a, a);

	if (!code)
		code = cut(&lines.b, b);
	if (!code)
		code = match(&lines);
	if (code)
		return error_set(err, ENOMEM, "not enough memory to compare documents");
	put_hunks(&lines, context, out);
	return text_check(out, err);
}
