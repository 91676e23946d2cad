/*
 * keras_config: layers of a configuration, found and compared. The one hard idea is that
 * nothing is taken apart: the JSON stays text, and a layer is a place in it.
 */
#include "decoders/grammar/keras_config.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/grammar/json.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *keras_config_name(const struct keras_config *config, uint32_t layer)
{
	return config->strings.bytes + config->layers[layer].name;
}

const char *keras_config_pointer(const struct keras_config *config, uint32_t layer)
{
	return config->strings.bytes + config->layers[layer].pointer;
}

void keras_config_done(struct keras_config *config)
{
	json_free(config->json);
	free(config->layers);
	free(config->inner);
	text_done(&config->strings);
	*config = (struct keras_config){0};
}

static bool is(const struct json *json, json_value v, enum json_type type)
{
	return v != JSON_NONE && json_type(json, v) == type;
}

/* The string that names an entry: config.name, else name; JSON_NONE. */
static json_value entry_name(const struct json *json, json_value entry)
{
	json_value name;

	if (!is(json, json_get(json, entry, "class_name"), JSON_STRING) ||
		json_get(json, entry, "config") == JSON_NONE)
		return JSON_NONE;
	name = json_get(json, json_get(json, entry, "config"), "name");
	if (!is(json, name, JSON_STRING))
		name = json_get(json, entry, "name");
	return is(json, name, JSON_STRING) ? name : JSON_NONE;
}

/* The list of a model's layers and where it is below the entry; JSON_NONE. */
static json_value layer_list(
	const struct json *json, json_value model, const char **where)
{
	json_value config = json_get(json, model, "config");
	json_value list = is(json, config, JSON_ARRAY) ? config : JSON_NONE;

	*where = "/config";
	if (is(json, config, JSON_OBJECT)) {
		list = json_get(json, config, "layers");
		*where = "/config/layers";
	}
	if (!is(json, list, JSON_ARRAY))
		return JSON_NONE;
	for (json_value v = json_first(json, list); v != JSON_NONE;
		v = json_next(json, v))
		if (entry_name(json, v) != JSON_NONE)
			return list;
	return JSON_NONE;
}

/* Makes room for one more layer. */
static bool layers_reserve(struct keras_config *config)
{
	uint32_t cap = config->cap != 0 ? config->cap * 2 : 64;
	void *more;

	if (config->n < config->cap)
		return true;
	more = realloc(config->layers, cap * sizeof *config->layers);
	if (more == NULL)
		return false;
	config->layers = more;
	config->cap = cap;
	return true;
}

/* Adds the entry, if it has a name that can be one. */
static bool layer_add(struct keras_config *config, json_value entry, uint32_t parent,
	size_t prefix, size_t index, struct error *err)
{
	json_value name = entry_name(config->json, entry);
	struct keras_layer layer = {.entry = entry, .parent = parent};
	struct text *strings = &config->strings;

	if (name == JSON_NONE)
		return false;
	layer.name = strings->len;
	json_string(config->json, name, strings);
	if (text_check(strings, NULL) == 0 &&
		(strings->len == layer.name ||
			memchr(strings->bytes + layer.name, 0,
				strings->len - layer.name) != NULL)) {
		text_splice(strings, layer.name, strings->len - layer.name, "", 0);
		return false;
	}
	text_putc(strings, '\0');
	layer.pointer = strings->len;
	/* text_put copes with a piece of itself only once it has room. */
	for (size_t i = prefix; !strings->failed && strings->bytes[i] != '\0'; i++)
		text_putc(strings, strings->bytes[i]);
	text_printf(strings, "/%zu", index);
	text_putc(strings, '\0');
	if (!layers_reserve(config)) {
		strings->failed = true;
		(void)error_set(err, ENOMEM, "not enough memory");
		return false;
	}
	layer.top = parent == KERAS_NONE ? config->n : config->layers[parent].top;
	config->layers[config->n++] = layer;
	return true;
}

/* Adds the layers that `model` lists, each followed by those nested in it. */
static int list_read(struct keras_config *config, json_value model, const char *pointer,
	uint32_t parent, struct error *err)
{
	const char *where;
	json_value list = layer_list(config->json, model, &where);
	size_t prefix = config->strings.len, index = 0;

	if (list == JSON_NONE)
		return 0;
	if (parent != KERAS_NONE)
		config->layers[parent].nested = true;
	text_printf(&config->strings, "%s%s", pointer, where);
	text_putc(&config->strings, '\0');
	for (json_value v = json_first(config->json, list); v != JSON_NONE;
		v = json_next(config->json, v), index++) {
		uint32_t self = config->n;

		if (!layer_add(config, v, parent, prefix, index, err))
			continue;
		AUTO_TEXT at = {0};
		text_puts(&at, keras_config_pointer(config, self));
		if (text_check(&at, err) < 0 ||
			list_read(config, v, at.bytes, self, err) < 0)
			return -ENOMEM;
	}
	return text_check(&config->strings, err);
}

static int order_inner(const void *a, const void *b, void *arg)
{
	const struct keras_config *config = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	uint32_t tx = config->layers[x].top, ty = config->layers[y].top;

	if (tx != ty)
		return tx < ty ? -1 : 1;
	return strcmp(keras_config_name(config, x), keras_config_name(config, y));
}

static int order_twins(const void *a, const void *b, void *arg)
{
	const struct keras_config *config = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	uint32_t px = config->layers[x].parent, py = config->layers[y].parent;
	int order = px != py ? (px < py ? -1 : 1)
			     : strcmp(keras_config_name(config, x),
				       keras_config_name(config, y));

	return order != 0 ? order : x < y ? -1 : x > y;
}

/* Counts the layers of one list that share a name. `order` has room for all. */
static void twins_count(struct keras_config *config, uint32_t *order)
{
	struct keras_layer *layers = config->layers;

	for (uint32_t i = 0; i < config->n; i++)
		order[i] = i;
	qsort_r(order, config->n, sizeof *order, order_twins, config);
	for (uint32_t i = 1; i < config->n; i++)
		if (layers[order[i]].parent == layers[order[i - 1]].parent &&
			strcmp(keras_config_name(config, order[i]),
				keras_config_name(config, order[i - 1])) == 0)
			layers[order[i]].twin = layers[order[i - 1]].twin + 1;
}

static int config_index(struct keras_config *config, struct error *err)
{
	if (config->n == 0)
		return 0;
	config->inner = calloc(config->n, sizeof *config->inner);
	if (config->inner == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	twins_count(config, config->inner);
	for (uint32_t i = 0; i < config->n; i++)
		if (config->layers[i].parent != KERAS_NONE)
			config->inner[config->n_inner++] = i;
	qsort_r(config->inner, config->n_inner, sizeof *config->inner, order_inner,
		config);
	return 0;
}

int keras_config_read(
	struct keras_config *out, const char *text, size_t len, struct error *err)
{
	AUTO_KERAS_CONFIG config = {0};
	int rc = json_parse(&config.json, text, len, JSON_NONFINITE, err);

	if (rc == 0)
		rc = list_read(&config, 0, "", KERAS_NONE, err);
	if (rc == 0)
		rc = config_index(&config, err);
	if (rc < 0)
		return rc;
	*out = config;
	config = (struct keras_config){0};
	return 0;
}

uint32_t keras_config_find(
	const struct keras_config *config, const char *name, uint32_t from)
{
	from = from < config->n ? from : 0;
	for (uint32_t k = 0; k < config->n; k++) {
		uint32_t i = k < config->n - from ? from + k : k - (config->n - from);

		if (config->layers[i].parent == KERAS_NONE &&
			strcmp(keras_config_name(config, i), name) == 0)
			return i;
	}
	return KERAS_NONE;
}

bool keras_config_inner(
	const struct keras_config *config, uint32_t top, const char *name, size_t len)
{
	uint32_t low = 0, high = config->n_inner;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2, i = config->inner[middle];
		const char *own = keras_config_name(config, i);
		int order = config->layers[i].top != top
				    ? (config->layers[i].top < top ? -1 : 1)
				    : strncmp(own, name, len);

		if (order == 0 && own[len] == '\0')
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* One more step of a place that is said. */
static int refuse(
	struct text *place, const char *step, struct error *err, int rc, const char *what)
{
	text_puts(place, step);
	return error_set(err, rc, "%s", what);
}

static bool same_string(
	const struct json *a, json_value x, const struct json *b, json_value y)
{
	if (x == JSON_NONE || y == JSON_NONE)
		return x == y;
	return json_equal(a, x, b, y);
}

/* A configuration has its two parts. */
static int check_parts(
	const struct json *json, json_value v, struct text *place, struct error *err)
{
	json_value class;

	if (json_type(json, v) != JSON_OBJECT)
		return error_set(err, EINVAL, "expected an object, found %s",
			json_type_name(json_type(json, v)));
	class = json_get(json, v, "class_name");
	if (class == JSON_NONE)
		return error_set(
			err, EINVAL, "class_name: expected a string, found none");
	if (json_type(json, class) != JSON_STRING) {
		text_puts(place, "/class_name");
		return error_set(err, EINVAL, "expected a string, found %s",
			json_type_name(json_type(json, class)));
	}
	if (json_get(json, v, "config") == JSON_NONE)
		return error_set(err, EINVAL, "config: expected an object, found none");
	return 0;
}

/* What became of a layer that is no longer where it was. */
static int explain(const struct keras_config *config, uint32_t layer,
	const struct keras_config *edited, struct text *place, struct error *err)
{
	const char *pointer = keras_config_pointer(config, layer);
	json_value v = json_at(edited->json, pointer);
	int rc;

	if (v == JSON_NONE) {
		text_put(place, pointer, (size_t)(strrchr(pointer, '/') - pointer));
		return error_set(err, EOPNOTSUPP, KERAS_LAYERS_STAY);
	}
	text_puts(place, pointer);
	rc = check_parts(edited->json, v, place, err);
	if (rc < 0)
		return rc;
	return refuse(place, "", err, EOPNOTSUPP, KERAS_NAMES_STAY);
}

static size_t list_count(const struct json *json, json_value model)
{
	const char *where;
	json_value list = layer_list(json, model, &where);

	return list != JSON_NONE ? json_count(json, list) : 0;
}

static int check_layer(const struct keras_config *config, uint32_t layer,
	const struct keras_config *edited, struct text *place, struct error *err)
{
	json_value old = config->layers[layer].entry, new;

	if (layer >= edited->n || strcmp(keras_config_pointer(config, layer),
					  keras_config_pointer(edited, layer)) != 0)
		return explain(config, layer, edited, place, err);
	new = edited->layers[layer].entry;
	text_puts(place, keras_config_pointer(config, layer));
	if (list_count(config->json, old) != list_count(edited->json, new))
		return refuse(
			place, "/config/layers", err, EOPNOTSUPP, KERAS_LAYERS_STAY);
	if (!same_string(config->json,
		    json_get(config->json, json_get(config->json, old, "config"), "name"),
		    edited->json,
		    json_get(
			    edited->json, json_get(edited->json, new, "config"), "name")))
		return refuse(place, "/config/name", err, EOPNOTSUPP, KERAS_NAMES_STAY);
	if (!same_string(config->json, json_get(config->json, old, "name"), edited->json,
		    json_get(edited->json, new, "name")))
		return refuse(place, "/name", err, EOPNOTSUPP, KERAS_NAMES_STAY);
	text_clear(place);
	return 0;
}

int keras_config_check(const struct keras_config *config,
	const struct keras_config *edited, struct text *place, struct error *err)
{
	int rc = check_parts(edited->json, 0, place, err);

	if (rc == 0 && list_count(config->json, 0) != list_count(edited->json, 0))
		return refuse(
			place, "/config/layers", err, EOPNOTSUPP, KERAS_LAYERS_STAY);
	for (uint32_t i = 0; rc == 0 && i < config->n; i++)
		rc = check_layer(config, i, edited, place, err);
	if (rc == 0 && edited->n != config->n)
		return refuse(place, "/config", err, EOPNOTSUPP, KERAS_LAYERS_STAY);
	return rc;
}
