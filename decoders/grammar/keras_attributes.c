/* keras_attributes: which attributes are shown, where, and how they are written. */
#include "decoders/grammar/keras_attributes.h"
#include "decoders/base/error.h"
#include "decoders/base/names.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/hdf5.h"
#include "decoders/grammar/json.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Written twice. */
static const char *const copies[] = {"backend", "keras_version"};
#define N_COPIES (sizeof copies / sizeof *copies)

/* Names of attributes that are not shown; the list ends in NULL. The strings are owned.
 */
struct hidden {
	char **names;
	size_t n, cap;
	bool failed;
};

static void hidden_done(struct hidden *hidden)
{
	while (hidden->n > 0)
		free(hidden->names[--hidden->n]);
	free(hidden->names);
}

#define AUTO_HIDDEN __attribute__((cleanup(hidden_done))) struct hidden

int keras_attributes_init(struct keras_attributes *attributes, struct error *err)
{
	size_t n = hdf5_n_objects(attributes->hdf5) + 1;

	attributes->homes = calloc(n, sizeof *attributes->homes);
	attributes->named = calloc(n, sizeof *attributes->named);
	if (attributes->homes == NULL || attributes->named == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	return 0;
}

void keras_attributes_done(struct keras_attributes *attributes)
{
	free(attributes->homes);
	free(attributes->named);
	attributes->homes = NULL;
	attributes->named = NULL;
}

static void hide(struct hidden *hidden, const char *name)
{
	if (hidden->n + 1 >= hidden->cap) {
		size_t cap = hidden->cap != 0 ? hidden->cap * 2 : 8;
		void *more = reallocarray(hidden->names, cap, sizeof *hidden->names);

		hidden->failed = hidden->failed || more == NULL;
		if (more == NULL)
			return;
		hidden->names = more;
		hidden->cap = cap;
	}
	hidden->names[hidden->n] = strdup(name);
	if (hidden->names[hidden->n] == NULL)
		hidden->failed = true;
	else
		hidden->names[++hidden->n] = NULL;
}

static void hide_if_there(const struct keras_attributes *attributes, uint32_t object,
	const char *name, struct hidden *hidden)
{
	if (hdf5_has_attribute(attributes->hdf5, object, name))
		hide(hidden, name);
}

/* A list, also one that Keras had to break. */
static void hide_list(const struct keras_attributes *attributes, uint32_t object,
	const char *name, struct hidden *hidden)
{
	hide_if_there(attributes, object, name, hidden);
	for (unsigned i = 0; !hidden->failed; i++) {
		AUTO_TEXT part = {0};

		text_printf(&part, "%s%u", name, i);
		if (text_check(&part, NULL) < 0 ||
			!hdf5_has_attribute(attributes->hdf5, object, part.bytes))
			return;
		hide(hidden, part.bytes);
	}
}

/* Whether the base says the same as the root. */
static bool is_copy(const struct keras_attributes *attributes, const char *name)
{
	__attribute__((cleanup(text_done))) struct text ours = {0}, root = {0};

	return attributes->base != 0 && attributes->base != HDF5_ROOT &&
	       hdf5_string(attributes->hdf5, attributes->base, name, &ours, NULL) == 0 &&
	       hdf5_string(attributes->hdf5, HDF5_ROOT, name, &root, NULL) == 0 &&
	       ours.len == root.len &&
	       (ours.len == 0 || memcmp(ours.bytes, root.bytes, ours.len) == 0);
}

/* Finds what of an object is not shown; only what is there. */
static int find_hidden(const struct keras_attributes *attributes, uint32_t object,
	struct hidden *hidden, struct error *err)
{
	for (size_t i = 0; object == HDF5_ROOT && attributes->roots[i] != NULL; i++)
		hide_if_there(attributes, object, attributes->roots[i], hidden);
	if (attributes->named[object])
		hide(hidden, "name");
	if (object == attributes->base)
		hide_list(attributes, object, "layer_names", hidden);
	else if (attributes->base != 0 && object != HDF5_ROOT)
		hide_list(attributes, object, "weight_names", hidden);
	for (size_t i = 0; i < N_COPIES; i++)
		if (object == attributes->base && is_copy(attributes, copies[i]))
			hide(hidden, copies[i]);
	return hidden->failed ? error_set(err, ENOMEM, "not enough memory") : 0;
}

/* Whether an object has attributes beyond: 1, 0 or -ENOMEM. */
static int has_more(
	const struct keras_attributes *attributes, uint32_t object, struct error *err)
{
	AUTO_HIDDEN hidden = {0};
	const struct hdf5_object *it = hdf5_object(attributes->hdf5, object);
	int rc;

	if (it->kind != HDF5_GROUP || it->n_attributes == 0)
		return 0;
	rc = find_hidden(attributes, object, &hidden, err);
	return rc < 0 ? rc : it->n_attributes > hidden.n;
}

static int decode_document(struct keras_attributes *attributes, uint32_t object,
	struct node *folder, const char *name, struct error *err)
{
	struct tree *tree = attributes->model->tree;
	struct value *value;
	struct node *node;
	int rc = tree_value(tree, object, &value, err);

	return rc < 0 ? rc
		      : tree_document(tree, folder, name, value, "", NULL, &node, err);
}

int keras_attributes_decode_root(struct keras_attributes *attributes, struct error *err)
{
	int rc = has_more(attributes, HDF5_ROOT, err);

	return rc <= 0 ? rc
		       : decode_document(attributes, HDF5_ROOT,
				 attributes->model->tree->root, "metadata.json", err);
}

int keras_attributes_home(struct keras_attributes *attributes, uint32_t object,
	struct node **out, struct error *err)
{
	struct tree *tree = attributes->model->tree;
	AUTO_TEXT path = {0};

	while (attributes->homes[object] == NULL && object != HDF5_ROOT) {
		const struct hdf5_link *link = hdf5_link(
			attributes->hdf5, hdf5_object(attributes->hdf5, object)->link);
		AUTO_TEXT piece = {0};

		names_piece(link->name, link->len, '/', NAMES_FOLDER, &piece);
		if (path.len != 0)
			text_putc(&piece, '/');
		text_splice(&path, 0, 0, piece.bytes, piece.len);
		object = link->group;
	}
	*out = attributes->homes[object] != NULL ? attributes->homes[object] : tree->root;
	if (path.len == 0)
		return text_check(&path, err);
	return tree_folders(tree, *out, path.bytes, path.len, out, err);
}

static int decode_object(
	struct keras_attributes *attributes, uint32_t object, struct error *err)
{
	static const char name[] = "attributes.json";
	struct tree *tree = attributes->model->tree;
	struct node *folder;
	int rc = keras_attributes_home(attributes, object, &folder, err);

	/* A group and its variables have one home. */
	if (rc == 0 && tree_child(folder, name, strlen(name)) != NULL)
		rc = tree_folders(tree, folder, "vars", 4, &folder, err);
	return rc < 0 ? rc : decode_document(attributes, object, folder, name, err);
}

int keras_attributes_decode(struct keras_attributes *attributes, struct error *err)
{
	uint32_t n = hdf5_n_objects(attributes->hdf5);
	int rc = 0;

	for (uint32_t object = HDF5_ROOT + 1; rc >= 0 && object <= n; object++) {
		rc = has_more(attributes, object, err);
		if (rc > 0)
			rc = decode_object(attributes, object, err);
	}
	return rc < 0 ? rc : 0;
}

int keras_attributes_load(struct keras_attributes *attributes, uint32_t object,
	struct text *out, struct error *err)
{
	AUTO_HIDDEN hidden = {0};
	int rc = find_hidden(attributes, object, &hidden, err);

	return rc < 0 ? rc
		      : hdf5_attributes(attributes->hdf5, object,
				(const char *const *)hidden.names, out, err);
}

/* What Keras wrote twice stays twice. */
static int edit_copies(struct keras_attributes *attributes, struct hdf5_edit *edit,
	const struct value *value, struct error *err)
{
	AUTO_JSON *json = NULL;
	int rc = json_parse(&json, value->edited, value->edited_len, JSON_NONFINITE, err);

	for (size_t i = 0; rc == 0 && i < N_COPIES; i++) {
		json_value v = json_get(json, 0, copies[i]);
		AUTO_TEXT text = {0};

		if (!is_copy(attributes, copies[i]))
			continue;
		text_put(&text, "", 0);
		if (v == JSON_NONE) {
			rc = hdf5_edit_remove_attribute(
				edit, attributes->base, copies[i], err);
		} else if (json_type(json, v) == JSON_STRING) {
			json_string(json, v, &text);
			rc = text_check(&text, err);
			if (rc == 0)
				rc = hdf5_edit_string(edit, attributes->base, copies[i],
					text.bytes, text.len, err);
		}
	}
	return rc;
}

int keras_attributes_edit(struct keras_attributes *attributes, struct hdf5_edit *edit,
	const struct value *value, struct error *err)
{
	uint32_t object = (uint32_t)value->origin;
	AUTO_HIDDEN hidden = {0};
	int rc = find_hidden(attributes, object, &hidden, err);

	if (rc == 0 && object == HDF5_ROOT)
		rc = edit_copies(attributes, edit, value, err);
	if (rc < 0)
		return rc;
	return hdf5_edit_attributes(edit, object, (const char *const *)hidden.names,
		value->edited, value->edited_len, err);
}
