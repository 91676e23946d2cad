/* keras_names: the rule that takes a layer's name out of its weights' names. */
#include "decoders/grammar/keras_names.h"
#include "decoders/base/error.h"
#include "decoders/base/names.h"
#include "decoders/base/text.h"
#include "decoders/grammar/keras_config.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes at `s` that are L or L_<n> and end where a component does; 0. */
static size_t match(const char *s, const char *layer, size_t len)
{
	size_t n = len;

	if (len == 0 || strncmp(s, layer, len) != 0)
		return 0;
	if (s[n] == '_' && s[n + 1] >= '0' && s[n + 1] <= '9')
		for (n++; s[n] >= '0' && s[n] <= '9';)
			n++;
	return s[n] == '/' ? n : 0;
}

static size_t component(const char *s)
{
	return strcspn(s, "/");
}

/* Where the rule cuts: sets lead, match and tree. */
static void cut(const struct keras_scope *scope, struct keras_weight *weight)
{
	size_t len = strlen(scope->layer), n = 0;
	const char *s = weight->name, *next;

	while ((n = match(s, scope->layer, len)) == 0) {
		s += component(s);
		if (*s++ == '\0')
			return;
	}
	next = s + n + 1;
	if (scope->config != NULL &&
		keras_config_inner(scope->config, scope->top, s, n) &&
		!keras_config_inner(scope->config, scope->top, next, component(next)))
		return;
	weight->lead = (size_t)(s - weight->name);
	weight->match = n;
	weight->tree = weight->lead + n + 1;
}

static size_t without_zero(const char *name, size_t len)
{
	return len > 2 && strcmp(name + len - 2, ":0") == 0 && name[len - 3] != '/'
		       ? len - 2
		       : len;
}

static int order_names(const void *a, const void *b)
{
	const struct keras_weight *const *x = a, *const *y = b;
	size_t len = (*x)->tree_len < (*y)->tree_len ? (*x)->tree_len : (*y)->tree_len;
	int order = memcmp((*x)->name + (*x)->tree, (*y)->name + (*y)->tree, len);

	if (order != 0 || (*x)->tree_len == (*y)->tree_len)
		return order;
	return (*x)->tree_len < (*y)->tree_len ? -1 : 1;
}

/* Whether two weights have the same name in the tree: 1, 0 or -ENOMEM. */
static int meet(struct keras_weight *weights, size_t n, struct error *err)
{
	struct keras_weight **order = calloc(n != 0 ? n : 1, sizeof *order);
	int found = 0;

	if (order == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	for (size_t i = 0; i < n; i++)
		order[i] = &weights[i];
	qsort(order, n, sizeof *order, order_names);
	for (size_t i = 1; i < n && found == 0; i++)
		found = order_names(&order[i - 1], &order[i]) == 0;
	free(order);
	return found;
}

int keras_names_read(const struct keras_scope *scope, struct keras_weight *weights,
	size_t n, struct error *err)
{
	int rc;

	for (size_t i = 0; i < n; i++) {
		struct keras_weight *weight = &weights[i];

		weight->lead = weight->match = weight->tree = 0;
		if (scope != NULL)
			cut(scope, weight);
		weight->tree_len =
			without_zero(weight->name, strlen(weight->name)) - weight->tree;
	}
	rc = meet(weights, n, err);
	for (size_t i = 0; rc > 0 && i < n; i++) {
		weights[i].lead = weights[i].match = weights[i].tree = 0;
		weights[i].tree_len = strlen(weights[i].name);
	}
	return rc < 0 ? rc : 0;
}

void keras_names_write(const struct keras_weight *like, const char *old,
	const char *layer, const char *tree, struct text *out)
{
	size_t own = strlen(old);

	if (like->match != 0) {
		text_put(out, like->name, like->lead);
		text_puts(out, layer);
		text_put(out, like->name + like->lead + own, like->match - own);
		text_putc(out, '/');
	}
	text_puts(out, tree);
	text_puts(out, like->name + like->tree + like->tree_len);
}

/* The place of a component among those that a layer makes; 0: not known. */
static int turn(const char *s, size_t len)
{
	static const char *const turns[] = {"query", "key", "value", "attention_output",
		"depthwise_kernel", "pointwise_kernel", "kernel", "recurrent_kernel",
		"bias", "gamma", "beta", "moving_mean", "moving_variance", "mean",
		"variance", "count"};

	if (len > 8 && strncmp(s, "forward_", 8) == 0)
		return 1;
	if (len > 9 && strncmp(s, "backward_", 9) == 0)
		return 2;
	for (size_t i = 0; i < sizeof turns / sizeof *turns; i++)
		if (strlen(turns[i]) == len && memcmp(turns[i], s, len) == 0)
			return (int)i + 3;
	return 0;
}

int keras_names_order(const char *one, const char *other)
{
	size_t i = 0, start = 0;
	int a, b;

	for (; one[i] == other[i] && one[i] != '\0'; i++)
		if (one[i] == '/')
			start = i + 1;
	one += start;
	other += start;
	a = turn(one, strcspn(one, "/:"));
	b = turn(other, strcspn(other, "/:"));
	return a != 0 && b != 0 ? a - b : 0;
}

void keras_names_folder(const char *name, struct text *path)
{
	for (const char *end = name + strcspn(name, "/"); *end != '\0';
		name = end + 1, end = name + strcspn(name, "/")) {
		names_piece(name, (size_t)(end - name), '/', NAMES_FOLDER, path);
		text_putc(path, '/');
	}
	names_piece(name, strlen(name), '/', NAMES_FOLDER, path);
}
