/*
 * list: the tree of a model on standard output.
 *
 * Piped, a line is PATH, DTYPE, SHAPE, BYTES and, where something is wrong, ERROR,
 * separated by tabs: a tensor by its path without suffix; a document with dtype "json"; a
 * link with dtype "link" and its target for a shape. On a terminal the same stands in
 * columns.
 */
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/document.h"
#include "fs/confine.h"
#include "fs/fs.h"
#include "fs/look.h"
#include "mount/commands.h"
#include "mount/options.h"
#include "mount/sandbox.h"
#include "mount/say.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct row {
	struct text path, shape;
	const char *dtype;
	uint64_t bytes;
	const char *error;
	struct error why; /* of what cannot be read: its text is `error` */
};

static void row_done(struct row *row)
{
	text_done(&row->path);
	text_done(&row->shape);
}
#define AUTO_ROW __attribute__((cleanup(row_done))) struct row

static int fill_tensor(
	struct model *model, struct node *node, struct row *row, struct error *err)
{
	const struct tensor *tensor;
	int code = model_tensor(model, node, &tensor, err);
	if (code)
		return code;
	tensor_put_shape(tensor, &row->shape);
	row->dtype = tensor->dtype->name;
	row->bytes = tensor->flags & TENSOR_NO_BIN ? 0 : tensor->bytes;
	row->error = tensor->error;
	return 0;
}

static int fill_document(
	struct model *model, struct node *node, struct row *row, struct error *err)
{
	AUTO_TEXT text = {0};
	int code = document_render(model, node, &text, err);
	row->dtype = "json";
	row->bytes = text.len;
	text_putc(&row->shape, '-');
	return code;
}

/* Fills a row; a folder has none: 1. */
static int fill(struct model *model, struct node *node, struct row *row)
{
	switch (node->kind) {
	case NODE_TENSOR: return fill_tensor(model, node, row, &row->why);
	case NODE_DOCUMENT: return fill_document(model, node, row, &row->why);
	case NODE_LINK:
		row->dtype = "link";
		text_puts(&row->shape, node->target);
		return 0;
	default: return 1;
	}
}

/* What a model file says never reaches a terminal as it is. */
static void print_field(const char *s, int width)
{
	size_t n = say_field(stdout, s, strlen(s));

	printf("%*s", (int)n < width ? width - (int)n : 0, "");
}

static void print_row(const struct row *row, bool columns)
{
	print_field(row->path.bytes, columns ? 48 : 0);
	fputs(columns ? " " : "\t", stdout);
	print_field(row->dtype, columns ? 14 : 0);
	fputs(columns ? " " : "\t", stdout);
	print_field(row->shape.bytes ? row->shape.bytes : "", columns ? 20 : 0);
	printf(columns ? " %12" PRIu64 : "\t%" PRIu64, row->bytes);
	if (row->error) {
		fputs(columns ? "  " : "\t", stdout);
		print_field(row->error, 0);
	}
	putchar('\n');
}

/* A row for what is there, or why it cannot be read: then it counts as damaged. */
static void list_node(struct model *model, struct node *node, bool columns)
{
	AUTO_ROW row = {.dtype = "unknown"};
	int code = 0;
	tree_path(node, &row.path);
	if (node->kind == NODE_FOLDER)
		code = model_expand(model, node, &row.why);
	if (!code)
		code = fill(model, node, &row);
	if (code > 0)
		return;
	if (code < 0) {
		row.error = row.why.text;
		row.bytes = 0;
		model->damaged++;
	}
	print_row(&row, columns);
}

/* 1 where a part is damaged, else 0. */
static int list(struct model *model)
{
	bool columns = isatty(STDOUT_FILENO);
	struct node *root = model->tree->root;

	for (struct node *node = root; node; node = tree_walk(root, node))
		if (!(node->flags & NODE_HIDDEN))
			list_node(model, node, columns);
	return model->damaged ? 1 : 0;
}

int command_list(const struct options *options)
{
	struct confine confine = {.enter = sandbox_enter};
	struct fs_options how = options->fs;
	struct error err = {0};
	AUTO_LOOK look = {0};

	how.confine = &confine;
	int code = look_open(&look, &options->model, 1, &how, &err);
	if (!code)
		code = list(look.model);
	if (code < 0)
		say("%s", err.text);
	else if (code)
		say("%s: %u damaged part%s", options->model, look.model->damaged,
			look.model->damaged == 1 ? "" : "s");
	return code ? EXIT_FAILED : EXIT_OK;
}

int command_formats(void)
{
	for (size_t i = 0; decoder_list[i]; i++) {
		const struct decoder *decoder = decoder_list[i];
		printf("%-12s %s\n%-12s reading: all; editing: %s\n", decoder->name,
			decoder->title, "", decoder->encode ? decoder->edits : "none");
	}
	return EXIT_OK;
}
