/*
 * report_table: --compare --stat: a line for each layer in which something differs, with
 * a bar for how far its tensors have moved.
 *
 * How far is the length of the difference by the length of the tensor, |b - a| / |a|,
 * over the tensors of the layer that differ: it tells layers that were trained from
 * layers that were rounded, where counts of elements would be full everywhere.
 */
#include "decoders/base/text.h"
#include "mount/report.h"
#include "mount/terminal.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BAR 20	    /* columns */
#define PATH_MIN 24 /* columns that a path has at least */

/* A layer, or one document. */
struct row {
	struct text path, what;
	uint64_t tensors;
	struct agreement figures; /* of its tensors */
	bool moved;		  /* there are figures */
};

struct rows {
	struct row *all;
	size_t n;
};

static double change(const struct row *row)
{
	return sqrt(row->figures.squares) / sqrt(row->figures.xx);
}

static size_t layer_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

/* Lines that a unified diff takes away or adds. */
static size_t changed_lines(const struct text *hunks)
{
	size_t n = 0;

	for (size_t i = 0; i < hunks->len; i++)
		n += (i == 0 || hunks->bytes[i - 1] == '\n') &&
		     (hunks->bytes[i] == '-' || hunks->bytes[i] == '+');
	return n;
}

static bool has_row(const struct difference *difference)
{
	return difference->kind == DIFFERENCE_ELEMENTS ||
	       (difference->kind == DIFFERENCE_TYPE && difference->numbers);
}

static void describe(
	const struct report *report, const struct difference *difference, struct row *row)
{
	size_t lines = changed_lines(&difference->text);

	report_put_path(difference, &row->path);
	switch (difference->kind) {
	case DIFFERENCE_ONLY:
		text_puts(&row->what, "only in ");
		terminal_put_escaped(
			&row->what, report->labels[difference->nodes[0] ? 0 : 1]);
		break;
	case DIFFERENCE_DOCUMENT:
	case DIFFERENCE_SIDECAR:
		text_printf(&row->what, "%zu line%s", lines, lines == 1 ? "" : "s");
		break;
	case DIFFERENCE_TYPE:
		report_put_type(difference->types[0], &row->what);
		text_puts(&row->what, " -> ");
		report_put_type(difference->types[1], &row->what);
		break;
	case DIFFERENCE_TROUBLE: text_puts(&row->what, "cannot be compared"); break;
	default: text_puts(&row->what, "another kind"); break;
	}
}

/* The row of the layer that the tensor is in: the last one, or a new one. */
static void add_tensor(struct rows *rows, const struct difference *difference)
{
	size_t len = layer_len(difference->path);
	AUTO_TEXT layer = {0}, plain = {0};

	text_put(&plain, difference->path, len);
	text_putc(&plain, '/');
	terminal_put_escaped(&layer, plain.bytes ? plain.bytes : "");
	struct row *row = rows->n ? &rows->all[rows->n - 1] : NULL;
	if (!row || !row->tensors || !layer.bytes ||
		strcmp(row->path.bytes, layer.bytes)) {
		row = &rows->all[rows->n++];
		row->path = layer;
		layer = (struct text){0};
	}
	row->tensors++;
	row->moved |= difference->numbers;
	agreement_merge(&row->figures, &difference->figures);
}

static void finish(struct row *row)
{
	if (!row->tensors)
		return;
	text_printf(&row->what, "%" PRIu64 " tensor%s", row->tensors,
		row->tensors == 1 ? "" : "s");
}

/* Columns that the widest has, of what is wanted. */
static size_t widest(const struct rows *rows, bool path)
{
	size_t most = 0;

	for (size_t i = 0; i < rows->n; i++) {
		const struct text *text = path ? &rows->all[i].path : &rows->all[i].what;
		size_t columns = terminal_columns(text->bytes ? text->bytes : "");
		most = columns > most ? columns : most;
	}
	return most;
}

/* What a full bar is: the layer that has moved most. A learning rate, which is no layer,
 * moves further than any. */
static double furthest(const struct rows *rows, const char *below)
{
	double most = 0;

	for (size_t i = 0; i < rows->n; i++)
		if (rows->all[i].moved && isfinite(change(&rows->all[i])) &&
			!strncmp(rows->all[i].path.bytes, below, strlen(below)))
			most = fmax(most, change(&rows->all[i]));
	return most;
}

static void print(const struct rows *rows)
{
	size_t what = widest(rows, false), path = widest(rows, true);
	size_t others = what + BAR + 24, width = terminal_width();
	bool draws = terminal_draws();
	double most = furthest(rows, "layers/");

	if (isatty(STDOUT_FILENO) && path + others > width)
		path = width > others + PATH_MIN ? width - others : PATH_MIN;
	most = most > 0 ? most : furthest(rows, "");
	for (size_t i = 0; i < rows->n; i++) {
		const struct row *row = &rows->all[i];
		AUTO_TEXT line = {0};
		terminal_put_fitted(
			&line, row->path.bytes ? row->path.bytes : "", path, draws);
		text_puts(&line, "  ");
		if (row->moved)
			terminal_put_fitted(&line, row->what.bytes, what, draws);
		else
			text_puts(&line, row->what.bytes ? row->what.bytes : "");
		if (row->moved) {
			text_printf(&line, "  %8.3g %%  ", 100 * change(row));
			terminal_put_bar(&line, change(row) / most, BAR, draws);
		}
		puts(line.bytes ? line.bytes : "");
	}
}

static void rows_done(struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		text_done(&rows->all[i].path);
		text_done(&rows->all[i].what);
	}
	free(rows->all);
}

void report_table(const struct report *report)
{
	const struct comparison *comparison = report->comparison;
	__attribute__((cleanup(rows_done))) struct rows rows = {
		.all = calloc(comparison->n + 1, sizeof *rows.all)};

	if (!rows.all)
		return;
	for (size_t i = 0; i < comparison->n; i++) {
		const struct difference *difference = &comparison->all[i];
		if (has_row(difference))
			add_tensor(&rows, difference);
		else
			describe(report, difference, &rows.all[rows.n++]);
	}
	for (size_t i = 0; i < rows.n; i++)
		finish(&rows.all[i]);
	print(&rows);
}
