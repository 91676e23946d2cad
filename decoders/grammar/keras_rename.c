/*
 * keras_rename: layers of a configuration get other names, and so does what calls them by
 * name. Strings are replaced at their places in the text, nothing else changes.
 */
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/grammar/json.h"
#include "decoders/grammar/keras_config.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is(const struct json *json, json_value v, enum json_type type)
{
	return v != JSON_NONE && json_type(json, v) == type;
}

/* Strings of the text that get others in their place. */
struct replacing {
	const struct keras_config *config;
	const struct keras_rename *renames;
	size_t n_renames;
	struct json_stand *stands;
	size_t n, cap;
	int rc;
};

static void replace(struct replacing *to, json_value string, const char *name)
{
	AUTO_TEXT text = {0};

	if (to->n == to->cap) {
		size_t cap = to->cap != 0 ? to->cap * 2 : 64;
		void *more = realloc(to->stands, cap * sizeof *to->stands);

		to->rc = more == NULL ? -ENOMEM : to->rc;
		if (more == NULL)
			return;
		to->stands = more;
		to->cap = cap;
	}
	json_put_string(&text, name, strlen(name));
	if (text_check(&text, NULL) < 0) {
		to->rc = -ENOMEM;
		return;
	}
	to->stands[to->n].value = string;
	to->stands[to->n].len = text.len;
	to->stands[to->n++].text = text_take(&text, NULL);
}

static void replacing_done(struct replacing *to)
{
	for (size_t i = 0; i < to->n; i++)
		free((char *)to->stands[i].text);
	free(to->stands);
}

/* The value behind `v` in the order of the text, below `top`; JSON_NONE at the end. */
static json_value walk(const struct json *json, json_value top, json_value v)
{
	json_value next = json_first(json, v);

	while (next == JSON_NONE && v != top) {
		next = json_next(json, v);
		v = json_parent(json, v);
	}
	return next;
}

/* Whether an array is ["layer", node, tensor] or one with arguments behind. */
static bool is_wire(const struct json *json, json_value v)
{
	json_value name = json_first(json, v), node, tensor;

	if (json_type(json, v) != JSON_ARRAY || json_count(json, v) < 3 ||
		json_count(json, v) > 4 || !is(json, name, JSON_STRING))
		return false;
	node = json_next(json, name);
	tensor = json_next(json, node);
	return is(json, node, JSON_NUMBER) && is(json, tensor, JSON_NUMBER);
}

static bool is_history(const struct json *json, json_value v)
{
	return is(json, json_parent(json, v), JSON_OBJECT) &&
	       json_key_is(json, v, "keras_history", strlen("keras_history"));
}

/* Renames what wires below `top` call; with `history` only those that are one's. */
static void rewire(struct replacing *to, json_value top, bool history, uint32_t parent)
{
	const struct json *json = to->config->json;

	for (json_value v = top; v != JSON_NONE; v = walk(json, top, v)) {
		if (!is_wire(json, v) || (history && !is_history(json, v)))
			continue;
		for (size_t i = 0; i < to->n_renames; i++) {
			uint32_t layer = to->renames[i].layer;
			const char *old = keras_config_name(to->config, layer);

			if (to->config->layers[layer].parent == parent &&
				json_string_is(
					json, json_first(json, v), old, strlen(old)))
				replace(to, json_first(json, v), to->renames[i].name);
		}
	}
}

/* The wires of one layer's entry, and the ends of the model around, seen from it. */
static void rewire_entry(struct replacing *to, uint32_t layer)
{
	const struct json *json = to->config->json;
	const struct keras_layer *self = &to->config->layers[layer];
	json_value nodes = json_get(json, self->entry, "inbound_nodes");

	if (!is(json, nodes, JSON_ARRAY))
		return;
	for (json_value v = json_first(json, nodes); v != JSON_NONE;
		v = json_next(json, v))
		rewire(to, v, json_type(json, v) == JSON_OBJECT, self->parent);
}

static void rewire_ends(struct replacing *to, json_value model, uint32_t parent)
{
	static const char *const ends[] = {"input_layers", "output_layers"};
	const struct json *json = to->config->json;
	json_value config = json_get(json, model, "config");

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		json_value end = json_get(json, config, ends[i]);

		if (end != JSON_NONE)
			rewire(to, end, false, parent);
	}
}

static void rename_entry(struct replacing *to, const struct keras_rename *rename)
{
	const struct json *json = to->config->json;
	json_value entry = to->config->layers[rename->layer].entry;
	json_value name = json_get(json, json_get(json, entry, "config"), "name");

	if (is(json, name, JSON_STRING))
		replace(to, name, rename->name);
	name = json_get(json, entry, "name");
	if (is(json, name, JSON_STRING))
		replace(to, name, rename->name);
}

static bool list_renamed(const struct replacing *to, uint32_t parent)
{
	for (size_t i = 0; i < to->n_renames; i++)
		if (to->config->layers[to->renames[i].layer].parent == parent)
			return true;
	return false;
}

static int order_stands(const void *a, const void *b)
{
	const struct json_stand *x = a, *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

int keras_config_rename(const struct keras_config *config,
	const struct keras_rename *renames, size_t n, struct text *out, struct error *err)
{
	__attribute__((cleanup(replacing_done))) struct replacing to = {
		.config = config, .renames = renames, .n_renames = n};

	for (size_t i = 0; i < n; i++)
		rename_entry(&to, &renames[i]);
	if (list_renamed(&to, KERAS_NONE))
		rewire_ends(&to, 0, KERAS_NONE);
	for (uint32_t i = 0; i < config->n; i++) {
		if (list_renamed(&to, config->layers[i].parent))
			rewire_entry(&to, i);
		if (config->layers[i].nested && list_renamed(&to, i))
			rewire_ends(&to, config->layers[i].entry, i);
	}
	if (to.rc < 0)
		return error_set(err, -to.rc, "not enough memory");
	if (to.n != 0)
		qsort(to.stands, to.n, sizeof *to.stands, order_stands);
	json_splice(config->json, to.stands, to.n, out);
	return text_check(out, err);
}

/* The key of an object's member as it stands in the text, with its quotes. */
static const char *key_raw(
	const struct json *json, json_value member, json_value before, size_t *len)
{
	size_t own;
	const char *end = json_raw(json, member, &own);
	const char *key = before != JSON_NONE
				  ? json_raw(json, before, &own) + own
				  : json_raw(json, json_parent(json, member), &own) + 1;

	key += strcspn(key, "\"");
	while (end[-1] != '"')
		end--;
	*len = (size_t)(end - key);
	return key;
}

/* Copies the text from *from up to a member, whose key is exchanged if it is a layer's.
 */
static void copy_key(const struct keras_config *config,
	const struct keras_rename *renames, size_t n, const struct json *json,
	json_value member, json_value before, const char **from, struct text *out)
{
	size_t len;
	const char *key = key_raw(json, member, before, &len);

	for (size_t i = 0; i < n; i++) {
		const char *old = keras_config_name(config, renames[i].layer);

		if (config->layers[renames[i].layer].parent != KERAS_NONE ||
			!json_key_is(json, member, old, strlen(old)))
			continue;
		text_put(out, *from, (size_t)(key - *from));
		json_put_string(out, renames[i].name, strlen(renames[i].name));
		*from = key + len;
		return;
	}
}

static bool by_output(const struct json *json, json_value v)
{
	static const char *const keys[] = {
		"loss", "loss_weights", "metrics", "weighted_metrics"};

	if (json_type(json, v) != JSON_OBJECT ||
		json_get(json, v, "class_name") != JSON_NONE)
		return false;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (json_key_is(json, v, keys[i], strlen(keys[i])))
			return true;
	return false;
}

int keras_config_rename_training(const struct keras_config *config,
	const struct keras_rename *renames, size_t n, const char *text, size_t len,
	struct text *out, struct error *err)
{
	AUTO_JSON *json = NULL;
	const char *from = text;
	int rc = json_parse(&json, text, len, JSON_NONFINITE, err);

	if (rc < 0)
		return rc;
	for (json_value v = is(json, 0, JSON_OBJECT) ? json_first(json, 0) : JSON_NONE;
		v != JSON_NONE; v = json_next(json, v)) {
		json_value before = JSON_NONE;

		if (!by_output(json, v))
			continue;
		for (json_value key = json_first(json, v); key != JSON_NONE;
			before = key, key = json_next(json, key))
			copy_key(config, renames, n, json, key, before, &from, out);
	}
	text_put(out, from, (size_t)(text + len - from));
	return text_check(out, err);
}
