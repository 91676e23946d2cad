/*
 * keras_config: the configuration of a Keras model, as Keras 1 to 3 write it: which
 * layers it lists, and the places that name them.
 *
 *   {"class_name": "Functional", "config": {"name": "m", "layers": [
 *       {"class_name": "Dense", "config": {"name": "a", ...}, "name": "a",
 *        "inbound_nodes": [...]}, ...], "input_layers": [...], "output_layers": [...]}}
 *
 * A Sequential of Keras 1 has its list itself as "config". What has a list of layers
 * is a model; a layer that is one is nested. Wrappers (Bidirectional, TimeDistributed)
 * have no list: what they wrap is their own business.
 *
 * A layer is called by its name from elsewhere: in the wires of its siblings
 * (`inbound_nodes`) and among `input_layers` and `output_layers` of its model. Keras 1
 * and 2 write a wire as ["a", 0, 0, {}], Keras 3 as {"keras_history": ["a", 0, 0]}
 * inside of whatever arguments the layer was called with.
 *
 * Nesting is bounded by that of JSON (JSON_DEPTH_MAX), memory by the length of the text.
 */
#ifndef WEIGHTFS_GRAMMAR_KERAS_CONFIG_H
#define WEIGHTFS_GRAMMAR_KERAS_CONFIG_H

#include "decoders/base/text.h"
#include "decoders/grammar/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

#define KERAS_NONE UINT32_MAX

/* Why an edit of a configuration is refused. */
#define KERAS_LAYERS_STAY "layers cannot be added, removed or moved here"
#define KERAS_NAMES_STAY \
	"expected the name as it was, found another (mv of its folder renames a layer)"

/* An entry of a model's list that says what it is called. Others have no number. */
struct keras_layer {
	json_value entry;
	uint32_t parent; /* the nested model that lists it; KERAS_NONE: the model */
	uint32_t top;	 /* the layer of the model in which it is: itself, or around it */
	uint32_t twin;	 /* how many before it in the same list have its name */
	bool nested;	 /* has a list of its own */
	size_t name;	 /* in `strings`, NUL-terminated */
	size_t pointer;	 /* in `strings`: RFC 6901 path of the entry */
};

/* Owned by the caller; {0} is an empty one, without layers. */
struct keras_config {
	struct json *json;
	struct keras_layer *layers; /* each before those nested in it */
	uint32_t n, cap;
	uint32_t *inner; /* the layers of nested models, by (top, name) */
	uint32_t n_inner;
	struct text strings;
};

/* Reads a configuration; `text` must outlive it. -EINVAL when it is no JSON
 * (json_parse). JSON of another shape is a model without layers. */
int keras_config_read(
	struct keras_config *out, const char *text, size_t len, struct error *err);
void keras_config_done(struct keras_config *config);
#define AUTO_KERAS_CONFIG __attribute__((cleanup(keras_config_done))) struct keras_config

const char *keras_config_name(const struct keras_config *config, uint32_t layer);
const char *keras_config_pointer(const struct keras_config *config, uint32_t layer);
/* The layer of the model (not of a nested one) by its name; KERAS_NONE. Looks from layer
 * `from` on first, so that who asks in the order of the list waits for nothing. */
uint32_t keras_config_find(
	const struct keras_config *config, const char *name, uint32_t from);
/* Whether a layer of that name is somewhere inside of layer `top`. */
bool keras_config_inner(
	const struct keras_config *config, uint32_t top, const char *name, size_t len);

/* Another name for a layer. */
struct keras_rename {
	uint32_t layer;
	const char *name; /* borrowed, NUL-terminated UTF-8 */
};

/* Appends the text with layers renamed: their own names, and all that calls them by
 * name. Nothing else of the text changes. */
int keras_config_rename(const struct keras_config *config,
	const struct keras_rename *renames, size_t n, struct text *out,
	struct error *err);

/* The same for the configuration of a training, which names outputs by their layers: as
 * keys of loss, loss_weights, metrics and weighted_metrics. */
int keras_config_rename_training(const struct keras_config *config,
	const struct keras_rename *renames, size_t n, const char *text, size_t len,
	struct text *out, struct error *err);

/*
 * Whether `edited` may take the place of `config`: an object with class_name and
 * config, the same layers under the same names in the same order, each still with its
 * class_name and config. -EINVAL for what is no configuration, -EOPNOTSUPP for another
 * list, with the place in *place (appended, RFC 6901) and the reason without the place
 * in `err`.
 */
int keras_config_check(const struct keras_config *config,
	const struct keras_config *edited, struct text *place, struct error *err);

#endif
