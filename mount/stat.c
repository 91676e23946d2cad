/*
 * stat: what the numbers of a model are like, a line for each layer and each tensor in
 * it.
 *
 * Piped, fields are separated by tabs below a line with their names; numbers read back
 * exactly; "-" stands where there is nothing to say. On a terminal the same stands in
 * columns, as many as it has room for.
 */
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "fs/confine.h"
#include "fs/fs.h"
#include "fs/statistics.h"
#include "mount/commands.h"
#include "mount/options.h"
#include "mount/report.h"
#include "mount/sandbox.h"
#include "mount/say.h"
#include "mount/terminal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_MIN 20 /* columns that a path has at least, where it needs them */

static bool is_layer(const struct statistic *statistic)
{
	return !statistic->type && !statistic->error;
}

/* Fields. */

static void put_path(const struct statistic *statistic, struct text *out)
{
	terminal_put_escaped(out, *statistic->path ? statistic->path : "./");
}

static void put_type(const struct statistic *statistic, struct text *out)
{
	if (statistic->type)
		report_put_type(statistic->type, out);
	else if (is_layer(statistic))
		text_printf(out, "%" PRIu64 " tensor%s", statistic->tensors,
			statistic->tensors == 1 ? "" : "s");
	else
		text_putc(out, '-');
}

static void put_elements(const struct statistic *statistic, struct text *out)
{
	text_printf(out, "%" PRIu64, statistic->elements);
}

static void put_double(const struct statistic *statistic, double d, struct text *out)
{
	if (!statistic->numbers || !statistic->moments.n)
		text_putc(out, '-');
	else if (isatty(STDOUT_FILENO))
		text_printf(out, "%.3g", d);
	else
		terminal_put_double(out, d);
}

static void put_min(const struct statistic *statistic, struct text *out)
{
	put_double(statistic, statistic->moments.min, out);
}

static void put_max(const struct statistic *statistic, struct text *out)
{
	put_double(statistic, statistic->moments.max, out);
}

static void put_mean(const struct statistic *statistic, struct text *out)
{
	put_double(statistic, statistic->moments.mean, out);
}

static void put_deviation(const struct statistic *statistic, struct text *out)
{
	put_double(statistic, moments_deviation(&statistic->moments), out);
}

static void put_count(const struct statistic *statistic, uint64_t n, struct text *out)
{
	if (statistic->numbers)
		text_printf(out, "%" PRIu64, n);
	else
		text_putc(out, '-');
}

static void put_zeros(const struct statistic *statistic, struct text *out)
{
	put_count(statistic, statistic->moments.zeros, out);
}

static void put_nans(const struct statistic *statistic, struct text *out)
{
	put_count(statistic, statistic->moments.nans, out);
}

static void put_infinities(const struct statistic *statistic, struct text *out)
{
	put_count(statistic, statistic->moments.infinities, out);
}

static void put_histogram(const struct statistic *statistic, struct text *out)
{
	if (statistic->type && statistic->numbers && statistic->moments.n)
		terminal_put_bars(
			out, statistic->bars, STATISTICS_BARS, terminal_draws());
	else if (!isatty(STDOUT_FILENO))
		text_putc(out, '-');
}

static const struct column {
	const char *name;
	void (*put)(const struct statistic *statistic, struct text *out);
	bool left;	/* aligned so */
	unsigned spare; /* where there is no room, the highest is left out first; 0: never
			 */
} columns[] = {
	{"path", put_path, true, 0},
	{"type", put_type, true, 8},
	{"elements", put_elements, false, 9},
	{"min", put_min, false, 1},
	{"max", put_max, false, 2},
	{"mean", put_mean, false, 6},
	{"std", put_deviation, false, 5},
	{"zeros", put_zeros, false, 7},
	{"nan", put_nans, false, 0},
	{"inf", put_infinities, false, 3},
	{"histogram", put_histogram, true, 4},
};

#define COLUMNS (sizeof columns / sizeof *columns)

/* Piped. */

static void print_fields(const struct statistic *statistic)
{
	AUTO_TEXT line = {0};

	for (size_t i = 0; i < COLUMNS; i++) {
		text_puts(&line, i ? "\t" : "");
		columns[i].put(statistic, &line);
	}
	if (statistic->error) {
		text_putc(&line, '\t');
		terminal_put_escaped(&line, statistic->error);
	}
	puts(line.bytes ? line.bytes : "");
}

static void print_tabs(const struct statistics *statistics)
{
	for (size_t i = 0; i < COLUMNS; i++)
		printf("%s%s", i ? "\t" : "", columns[i].name);
	putchar('\n');
	for (size_t i = 0; i < statistics->n; i++)
		print_fields(&statistics->all[i]);
	print_fields(&statistics->total);
}

/* On a terminal. */

struct widths {
	size_t of[COLUMNS]; /* 0: not shown */
	bool draws;
};

static void widen(struct widths *widths, const struct statistic *statistic)
{
	for (size_t i = 0; i < COLUMNS; i++) {
		AUTO_TEXT field = {0};
		columns[i].put(statistic, &field);
		size_t wide = terminal_columns(field.bytes ? field.bytes : "");
		if (widths->of[i] > 0 && wide > widths->of[i])
			widths->of[i] = wide;
	}
}

static size_t width_of(const struct widths *widths)
{
	size_t width = 0;

	for (size_t i = 0; i < COLUMNS; i++)
		width += widths->of[i] ? widths->of[i] + (i ? 2 : 0) : 0;
	return width;
}

/* Leaves one column out; false where none can be spared. */
static bool spare_one(struct widths *widths)
{
	size_t least = 0;

	for (size_t i = 0; i < COLUMNS; i++)
		if (widths->of[i] && columns[i].spare > columns[least].spare)
			least = i;
	widths->of[least] = columns[least].spare ? 0 : widths->of[least];
	return columns[least].spare > 0;
}

static void find_widths(const struct statistics *statistics, struct widths *widths)
{
	size_t room = terminal_width(), path;

	for (size_t i = 0; i < COLUMNS; i++)
		widths->of[i] = strlen(columns[i].name);
	for (size_t i = 0; i < statistics->n; i++)
		widen(widths, &statistics->all[i]);
	widen(widths, &statistics->total);
	path = widths->of[0];
	widths->of[0] = path < PATH_MIN ? path : PATH_MIN;
	while (width_of(widths) > room && spare_one(widths))
		;
	if (width_of(widths) < room)
		widths->of[0] += room - width_of(widths);
	widths->of[0] = path < widths->of[0] ? path : widths->of[0];
}

static void put_field(
	const struct widths *widths, size_t i, const char *field, struct text *line)
{
	size_t wide = terminal_columns(field);

	if (!widths->of[i])
		return;
	text_puts(line, i ? "  " : "");
	for (; !columns[i].left && wide < widths->of[i]; wide++)
		text_putc(line, ' ');
	terminal_put_fitted(
		line, field, columns[i].left ? widths->of[i] : 0, widths->draws);
}

static void print_line(const struct widths *widths, const struct statistic *statistic)
{
	AUTO_TEXT line = {0};

	for (size_t i = 0; i < COLUMNS; i++) {
		AUTO_TEXT field = {0};
		if (statistic)
			columns[i].put(statistic, &field);
		else
			text_puts(&field, columns[i].name);
		put_field(widths, i, field.bytes ? field.bytes : "", &line);
	}
	if (statistic && statistic->error) {
		text_puts(&line, "  ");
		terminal_put_escaped(&line, statistic->error);
	}
	while (line.len > 0 && line.bytes[line.len - 1] == ' ')
		line.bytes[--line.len] = '\0';
	puts(line.bytes ? line.bytes : "");
}

static void print_columns(const struct statistics *statistics)
{
	struct widths widths = {.draws = terminal_draws()};

	find_widths(statistics, &widths);
	print_line(&widths, NULL);
	for (size_t i = 0; i < statistics->n; i++)
		print_line(&widths, &statistics->all[i]);
	print_line(&widths, &statistics->total);
}

/* The command. */

static int print(const struct options *options, const struct statistics *statistics)
{
	size_t damaged = 0;

	if (isatty(STDOUT_FILENO))
		print_columns(statistics);
	else
		print_tabs(statistics);
	for (size_t i = 0; i < statistics->n; i++)
		damaged += statistics->all[i].error != NULL;
	if (damaged)
		say("%s: %zu damaged part%s", options->model, damaged,
			damaged == 1 ? "" : "s");
	return damaged ? EXIT_FAILED : EXIT_OK;
}

static int stat_look(const struct options *options, struct look *look, struct error *err)
{
	struct statistics statistics;
	struct progress progress = {0};
	const struct statistics_options how = {.glob = options->operand,
		.order =
			options->report.by_size ? STATISTICS_BY_SIZE : STATISTICS_BY_NAME,
		.progress = progress_show,
		.progress_arg = &progress};

	int code = statistics_run(&statistics, look, &how, err);
	progress_end(&progress);
	if (code)
		return code;
	if (options->operand && !statistics.n)
		code = error_set(err, ENOENT, "%s: no tensor fits %s", options->model,
			options->operand);
	else
		code = print(options, &statistics);
	statistics_done(&statistics);
	return code;
}

int command_stat(const struct options *options)
{
	struct confine confine = {.enter = sandbox_enter};
	struct fs_options how = options->fs;
	AUTO_LOOK look = {0};
	struct error err = {0};

	how.confine = &confine;
	terminal_init();
	int code = look_open(&look, &options->model, 1, &how, &err);
	if (!code)
		code = stat_look(options, &look, &err);
	if (code < 0)
		say("%s", err.text);
	return code ? EXIT_FAILED : EXIT_OK;
}
