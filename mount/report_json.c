/*
 * report_json: a comparison for programs. The members are described in weightfs(1).
 */
#include "decoders/base/dtype.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/grammar/json.h"
#include "mount/report.h"
#include "mount/terminal.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void put_string(struct text *out, const char *s)
{
	AUTO_TEXT safe = {0};

	if (!json_utf8(s, strlen(s))) { /* a path of this system */
		terminal_put_escaped(&safe, s);
		s = safe.bytes ? safe.bytes : "";
	}
	json_put_string(out, s, strlen(s));
}

static void put_member(struct text *out, const char *key, const char *value)
{
	text_printf(out, ", \"%s\": ", key);
	put_string(out, value);
}

static void put_number(struct text *out, const char *key, double d)
{
	text_printf(out, ", \"%s\": ", key);
	if (isfinite(d))
		terminal_put_double(out, d);
	else
		text_puts(out, "null");
}

static void put_count(struct text *out, const char *key, uint64_t n)
{
	text_printf(out, ", \"%s\": %" PRIu64, key, n);
}

static void put_dtype(struct text *out, const struct tensor *type)
{
	if (type->dtype->class == DTYPE_RECORD)
		text_puts(out, type->dtype->name);
	else
		put_string(out, type->dtype->name);
}

static void put_type(struct text *out, const struct tensor *type)
{
	text_puts(out, ", \"dtype\": ");
	put_dtype(out, type);
	text_puts(out, ", \"shape\": ");
	tensor_put_shape(type, out);
}

static void put_types(struct text *out, const struct tensor *const types[2])
{
	text_puts(out, ", \"dtype\": [");
	put_dtype(out, types[0]);
	text_puts(out, ", ");
	put_dtype(out, types[1]);
	text_puts(out, "], \"shape\": [");
	tensor_put_shape(types[0], out);
	text_puts(out, ", ");
	tensor_put_shape(types[1], out);
	text_putc(out, ']');
}

static void put_figures(struct text *out, const struct difference *difference)
{
	const struct agreement *figures = &difference->figures;
	double n = (double)figures->n;

	put_count(out, difference->of_bytes ? "bytes" : "elements", difference->elements);
	put_count(out, "differ", difference->differ);
	if (!difference->numbers)
		return;
	put_count(out, "not_finite", figures->odd);
	put_number(out, "max_abs", figures->max_abs);
	put_number(out, "max_rel", figures->max_rel);
	put_number(out, "mean", figures->sum / n);
	put_number(out, "mean_abs", figures->sum_abs / n);
	put_number(out, "cosine", agreement_cosine(figures));
}

static const char *what_of(const struct difference *difference)
{
	switch (difference->kind) {
	case DIFFERENCE_ONLY: return "only";
	case DIFFERENCE_KIND: return "kind";
	case DIFFERENCE_DOCUMENT:
	case DIFFERENCE_SIDECAR: return "document";
	case DIFFERENCE_LINK: return "link";
	case DIFFERENCE_TYPE: return "type";
	case DIFFERENCE_ELEMENTS: return "elements";
	case DIFFERENCE_TROUBLE: return "trouble";
	}
	return "";
}

static void put_details(struct text *out, const struct difference *difference)
{
	int side = difference->nodes[0] ? 0 : 1;
	const char *text = difference->text.bytes ? difference->text.bytes : "";

	switch (difference->kind) {
	case DIFFERENCE_DOCUMENT:
	case DIFFERENCE_SIDECAR: put_member(out, "diff", text); break;
	case DIFFERENCE_TROUBLE: put_member(out, "why", text); /* fall through */
	case DIFFERENCE_ONLY:
		put_member(out, "in", side ? "b" : "a");
		if (difference->types[side])
			put_type(out, difference->types[side]);
		break;
	case DIFFERENCE_LINK:
		text_puts(out, ", \"target\": [");
		put_string(out, difference->nodes[0]->target);
		text_puts(out, ", ");
		put_string(out, difference->nodes[1]->target);
		text_putc(out, ']');
		break;
	case DIFFERENCE_TYPE:
		put_types(out, difference->types);
		if (difference->numbers)
			put_figures(out, difference);
		break;
	case DIFFERENCE_ELEMENTS:
		put_type(out, difference->types[0]);
		put_figures(out, difference);
		break;
	case DIFFERENCE_KIND: break;
	}
}

static void put_head(const struct report *report, struct text *out)
{
	const struct comparison *comparison = report->comparison;
	const struct compare_counts *counts = &comparison->counts;

	text_puts(out, "{\n  \"a\": ");
	put_string(out, report->paths[0]);
	text_puts(out, ",\n  \"b\": ");
	put_string(out, report->paths[1]);
	text_puts(out, ",\n  \"formats\": [");
	put_string(out, report->looks[0].model->decoder->name);
	text_puts(out, ", ");
	put_string(out, report->looks[1].model->decoder->name);
	text_printf(out, "],\n  \"equal\": %s,\n  \"summary\": {\"documents\": %" PRIu64,
		comparison->n ? "false" : "true", counts->documents);
	put_count(out, "documents_differ", counts->documents_differ);
	put_count(out, "tensors", counts->tensors);
	put_count(out, "tensors_differ", counts->tensors_differ);
	put_count(out, "only_in_a", counts->only[0]);
	put_count(out, "only_in_b", counts->only[1]);
	put_count(out, "trouble", counts->trouble);
	put_count(out, "left_out", counts->left_out);
	put_count(out, "bytes", counts->bytes);
	put_count(out, "bytes_read", counts->read);
	text_puts(out, "},\n  \"differences\": [");
}

void report_json(const struct report *report)
{
	const struct comparison *comparison = report->comparison;
	AUTO_TEXT head = {0};

	put_head(report, &head);
	fputs(head.bytes ? head.bytes : "", stdout);
	for (size_t i = 0; i < comparison->n; i++) {
		const struct difference *difference = &comparison->all[i];
		AUTO_TEXT line = {0}, path = {0};
		text_puts(&line, i ? ",\n    {\"path\": " : "\n    {\"path\": ");
		text_puts(&path, difference->path);
		if (difference->kind == DIFFERENCE_SIDECAR)
			text_puts(&path, ".json");
		put_string(&line, path.bytes ? path.bytes : "");
		put_member(&line, "what", what_of(difference));
		put_details(&line, difference);
		text_putc(&line, '}');
		fputs(line.bytes ? line.bytes : "", stdout);
	}
	fputs(comparison->n ? "\n  ]\n}\n" : "]\n}\n", stdout);
}
