/*
 * report: a comparison in words: unified diffs of documents, a line or two a tensor, and
 * a sum at the end.
 */
#include "mount/report.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/grammar/document.h"
#include "decoders/grammar/json.h"
#include "fs/compare.h"
#include "mount/terminal.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Labels. */

/* Where the last component of the first `len` bytes begins. */
static size_t component(const char *path, size_t len)
{
	while (len > 0 && path[len - 1] == '/')
		len--;
	while (len > 0 && path[len - 1] != '/')
		len--;
	return len;
}

void report_labels(const char *const paths[2], const char *labels[2])
{
	size_t at[2] = {strlen(paths[0]), strlen(paths[1])};

	do {
		for (int i = 0; i < 2; i++) {
			at[i] = component(paths[i], at[i]);
			labels[i] = paths[i] + at[i];
		}
	} while (!strcmp(labels[0], labels[1]) && (at[0] > 0 || at[1] > 0));
}

/* Parts of lines. */

void report_put_type(const struct tensor *type, struct text *out)
{
	if (!type)
		return;
	terminal_put_escaped(out, type->dtype->name);
	text_putc(out, ' ');
	tensor_put_shape(type, out);
}

void report_put_path(const struct difference *difference, struct text *out)
{
	terminal_put_escaped(out, difference->path);
	if (difference->kind == DIFFERENCE_SIDECAR)
		text_puts(out, ".json");
}

static const char *kind_name(const struct node *node)
{
	switch (node->kind) {
	case NODE_TENSOR: return "a tensor";
	case NODE_DOCUMENT: return "a document";
	case NODE_LINK: return "a link";
	default: return "a folder";
	}
}

static void put_in(const struct report *report, int side, struct text *out)
{
	text_puts(out, " in ");
	terminal_put_escaped(out, report->labels[side]);
}

/* The hunks, on a terminal without what acts on it. */
static void put_hunks(const struct text *hunks, struct text *out)
{
	const char *at = hunks->bytes, *newline;

	if (!isatty(STDOUT_FILENO) || !at) {
		text_put(out, at ? at : "", hunks->len);
		return;
	}
	for (; (newline = strchr(at, '\n')) != NULL; at = newline + 1) {
		char safe[4096];
		error_escape(safe, sizeof safe, at, (size_t)(newline - at));
		text_puts(out, safe);
		text_putc(out, '\n');
	}
}

static void put_document(const struct report *report, const struct difference *difference,
	struct text *out)
{
	for (int i = 0; i < 2; i++) {
		text_puts(out, i ? "+++ " : "--- ");
		terminal_put_escaped(out, report->labels[i]);
		text_putc(out, '/');
		report_put_path(difference, out);
		text_putc(out, '\n');
	}
	put_hunks(&difference->text, out);
}

static void put_only(const struct report *report, const struct difference *difference,
	struct text *out)
{
	int side = difference->nodes[0] ? 0 : 1;

	text_puts(out, "Only");
	put_in(report, side, out);
	text_puts(out, ": ");
	report_put_path(difference, out);
	if (difference->nodes[side]->kind == NODE_FOLDER)
		text_putc(out, '/');
	text_puts(out, difference->types[side] ? "  " : "");
	report_put_type(difference->types[side], out);
	text_putc(out, '\n');
}

/* What a scalar is on one side, as its NAME.json says it. */
static void put_value(const struct report *report, const struct difference *difference,
	int side, struct text *out)
{
	AUTO_TEXT text = {0};
	AUTO_JSON *json = NULL;
	size_t len;

	if (sidecar_render(
		    report->looks[side].model, difference->nodes[side], &text, NULL) ||
		json_parse(&json, text.bytes, text.len, JSON_NONFINITE, NULL))
		return;
	json_value v = json_get(json, 0, "value");
	const char *raw = v != JSON_NONE ? json_raw(json, v, &len) : NULL;
	if (raw)
		text_put(out, raw, len);
}

/* "  0.001 in a, 0.002 in b" of scalars, "  float32 [3] in a, ..." of types. */
static void put_sides(const struct report *report, const struct difference *difference,
	struct text *out)
{
	for (int i = 0; i < 2; i++) {
		text_puts(out, i ? ", " : "");
		if (difference->kind == DIFFERENCE_TYPE)
			report_put_type(difference->types[i], out);
		else if (difference->kind == DIFFERENCE_LINK)
			terminal_put_escaped(out, difference->nodes[i]->target);
		else if (difference->kind == DIFFERENCE_KIND)
			text_puts(out, kind_name(difference->nodes[i]));
		else
			put_value(report, difference, i, out);
		put_in(report, i, out);
	}
}

static void put_figures(const struct difference *difference, struct text *out)
{
	const struct agreement *figures = &difference->figures;

	text_printf(out, "    %" PRIu64 " of %" PRIu64 " %s differ", difference->differ,
		difference->elements, difference->of_bytes ? "bytes" : "elements");
	if (figures->odd)
		text_printf(out, ", %" PRIu64 " of them not finite", figures->odd);
	if (difference->numbers && figures->n)
		text_printf(out, ": max abs %.6g, max rel %.6g, mean %.6g, cosine %.9g",
			figures->max_abs, figures->max_rel,
			figures->sum / (double)figures->n, agreement_cosine(figures));
	text_putc(out, '\n');
}

static void put_tensor(const struct report *report, const struct difference *difference,
	struct text *out)
{
	const struct tensor *type = difference->types[0];
	bool scalar = type->rank == 0 && difference->numbers;

	report_put_path(difference, out);
	text_puts(out, "  ");
	if (difference->kind == DIFFERENCE_ELEMENTS)
		report_put_type(type, out);
	text_puts(out, difference->kind == DIFFERENCE_ELEMENTS && scalar ? ": " : "");
	if (difference->kind == DIFFERENCE_TYPE || scalar)
		put_sides(report, difference, out);
	text_putc(out, '\n');
	if (!scalar && (difference->kind == DIFFERENCE_ELEMENTS || difference->numbers))
		put_figures(difference, out);
}

static void put_difference(const struct report *report,
	const struct difference *difference, struct text *out)
{
	switch (difference->kind) {
	case DIFFERENCE_DOCUMENT:
	case DIFFERENCE_SIDECAR: put_document(report, difference, out); break;
	case DIFFERENCE_ONLY: put_only(report, difference, out); break;
	case DIFFERENCE_TYPE:
	case DIFFERENCE_ELEMENTS: put_tensor(report, difference, out); break;
	case DIFFERENCE_LINK:
	case DIFFERENCE_KIND:
		report_put_path(difference, out);
		text_puts(out, "  ");
		put_sides(report, difference, out);
		text_putc(out, '\n');
		break;
	case DIFFERENCE_TROUBLE: break; /* said on standard error */
	}
}

/* The sum. */

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void put_differences(const struct report *report, struct text *out)
{
	const struct compare_counts *counts = &report->comparison->counts;

	text_printf(out,
		"%" PRIu64 " of %" PRIu64 " document%s and %" PRIu64 " of %" PRIu64
		" tensor%s differ",
		counts->documents_differ, counts->documents, plural(counts->documents),
		counts->tensors_differ, counts->tensors, plural(counts->tensors));
	for (int i = 0; i < 2; i++) {
		if (!counts->only[i])
			continue;
		text_printf(out, ", %" PRIu64 " only", counts->only[i]);
		put_in(report, i, out);
	}
	if (counts->trouble)
		text_printf(out, ", %" PRIu64 " cannot be compared", counts->trouble);
}

static void put_equal(const struct report *report, struct text *out)
{
	const struct compare_counts *counts = &report->comparison->counts;

	text_printf(out, "equal: %" PRIu64 " document%s and %" PRIu64 " tensor%s (",
		counts->documents, plural(counts->documents), counts->tensors,
		plural(counts->tensors));
	terminal_put_size(out, counts->bytes);
	text_putc(out, ')');
}

static void put_sum(const struct report *report, struct text *out)
{
	const struct comparison *comparison = report->comparison;

	if (comparison->n)
		put_differences(report, out);
	else
		put_equal(report, out);
	text_putc(out, '\n');
	if (comparison->across)
		text_printf(out,
			"formats differ (%s, %s): only layers/ was compared, %" PRIu64
			" file%s left out\n",
			report->looks[0].model->decoder->name,
			report->looks[1].model->decoder->name,
			comparison->counts.left_out, plural(comparison->counts.left_out));
}

void report_text(const struct report *report)
{
	const struct comparison *comparison = report->comparison;

	for (size_t i = 0; i < comparison->n; i++) {
		AUTO_TEXT out = {0};
		put_difference(report, &comparison->all[i], &out);
		fwrite(out.bytes ? out.bytes : "", 1, out.len, stdout);
	}
	AUTO_TEXT sum = {0};
	put_sum(report, &sum);
	fputs(sum.bytes ? sum.bytes : "", stdout);
}

void report_names(const struct report *report)
{
	const struct comparison *comparison = report->comparison;

	for (size_t i = 0; i < comparison->n; i++) {
		AUTO_TEXT out = {0};
		report_put_path(&comparison->all[i], &out);
		puts(out.bytes ? out.bytes : "");
	}
}
