/* keras_documents: views of a configuration, and what edits of them may do. */
#include "decoders/grammar/keras_documents.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/names.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/json.h"
#include "decoders/grammar/keras_config.h"
#include "decoders/grammar/keras_names.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG "config.json"
#define CONTROL ".weightfs"

void keras_documents_done(struct keras_documents *documents)
{
	free(documents->folder);
	documents->folder = NULL;
	keras_config_done(&documents->config);
}

/* The folder in which a layer's folder is. */
static struct node *around(const struct keras_documents *documents, uint32_t layer)
{
	uint32_t parent = documents->config.layers[layer].parent;

	return parent == KERAS_NONE ? documents->layers : documents->folder[parent];
}

static int decode_layer(struct keras_documents *documents, uint32_t i, struct error *err)
{
	const struct keras_layer *layer = &documents->config.layers[i];
	const char *name = keras_config_name(&documents->config, i);
	struct tree *tree = documents->model->tree;
	__attribute__((cleanup(text_done))) struct text path = {0}, stand = {0};
	struct node *node;
	int rc;

	keras_names_folder(name, &path);
	if (layer->twin != 0) {
		text_printf(&path, "%%=%u", layer->twin + 1);
		model_set_readonly(
			documents->model, "two layers of one model are called %s", name);
	}
	json_put_string(&stand, name, strlen(name));
	rc = text_check(&path, err);
	if (rc == 0)
		rc = text_check(&stand, err);
	if (rc == 0)
		rc = tree_folders(tree, around(documents, i), path.bytes, path.len,
			&documents->folder[i], err);
	if (rc < 0)
		return rc;
	return tree_document(tree, documents->folder[i], CONFIG, documents->value,
		keras_config_pointer(&documents->config, i), stand.bytes, &node, err);
}

/* The document in one piece. */
static int decode_whole(struct keras_documents *documents, struct error *err)
{
	struct tree *tree = documents->model->tree;
	struct node *folder, *node;
	int rc = tree_folder(tree, tree->root, CONTROL, &folder, err);

	if (rc < 0)
		return rc;
	folder->flags |= NODE_HIDDEN;
	rc = tree_document(tree, folder, CONFIG, documents->value, "", NULL, &node, err);
	if (rc < 0)
		return rc;
	node->flags |= NODE_HIDDEN;
	node->view->whole = true;
	return 0;
}

int keras_documents_decode(
	struct keras_documents *documents, struct value *value, struct error *err)
{
	struct tree *tree = documents->model->tree;
	struct node *node;
	int rc = keras_config_read(&documents->config, value->text, value->len, err);

	if (rc < 0)
		return rc;
	documents->value = value;
	documents->folder = calloc(documents->config.n + 1, sizeof *documents->folder);
	if (documents->folder == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	rc = tree_document(tree, tree->root, CONFIG, value, "", NULL, &node, err);
	for (uint32_t i = 0; rc == 0 && i < documents->config.n; i++)
		rc = decode_layer(documents, i, err);
	return rc < 0 ? rc : decode_whole(documents, err);
}

bool keras_documents_is_layer(
	const struct keras_documents *documents, const struct node *folder)
{
	for (uint32_t i = 0; i < documents->config.n; i++)
		if (documents->folder[i] == folder)
			return true;
	return false;
}

/* Puts the place in front of a refusal as people see it: "3:5: config.name: ...", from
 * the part on that their document shows. */
static void tell_place(const struct change *change, const char *place, struct error *err)
{
	const char *view = change->node != NULL ? change->node->view->pointer : "";
	size_t len = strlen(view);
	AUTO_TEXT dotted = {0};
	AUTO_JSON *json = NULL;
	json_value v = JSON_NONE;
	unsigned line, column;

	if (strncmp(place, view, len) == 0 && (place[len] == '/' || place[len] == '\0'))
		place += len;
	text_puts(&dotted, *place == '/' ? place + 1 : place);
	for (size_t i = 0; !dotted.failed && i < dotted.len; i++)
		if (dotted.bytes[i] == '/')
			dotted.bytes[i] = '.';
	if (dotted.len != 0 && !dotted.failed)
		error_prefix(err, "%s", dotted.bytes);
	if (change->document != NULL &&
		json_parse(&json, change->document, change->document_len, JSON_NONFINITE,
			NULL) == 0)
		v = json_at(json, place);
	if (v == JSON_NONE)
		return;
	json_place(json, v, &line, &column);
	error_prefix(err, "%u:%u", line, column);
}

int keras_documents_check(const struct keras_documents *documents,
	const struct change *change, struct error *err)
{
	AUTO_KERAS_CONFIG edited = {0};
	AUTO_TEXT place = {0};
	int rc = keras_config_read(&edited, change->edited, change->edited_len, err);

	if (rc < 0)
		return rc;
	text_put(&place, "", 0);
	rc = keras_config_check(&documents->config, &edited, &place, err);
	if (rc < 0 && text_check(&place, NULL) == 0)
		tell_place(change, place.bytes, err);
	return rc;
}

/* A layer's name by the place of its folder. */
static int name_now(const struct keras_documents *documents, uint32_t layer,
	struct text *out, struct error *err)
{
	const struct node *top = around(documents, layer);
	const struct node *node = documents->folder[layer];
	AUTO_TEXT path = {0};

	for (; node != NULL && node != top; node = node->parent) {
		if (path.len != 0)
			text_splice(&path, 0, 0, "/", 1);
		text_splice(&path, 0, 0, node->name, strlen(node->name));
	}
	if (node == NULL)
		return error_set(err, EOPNOTSUPP, "%s: " KERAS_LAYERS_STAY,
			keras_config_name(&documents->config, layer));
	if (text_check(&path, err) < 0)
		return -ENOMEM;
	if (!names_name(path.bytes, path.len, '/', NAMES_FOLDER, out) ||
		!json_utf8(out->bytes, out->len))
		return error_set(
			err, EOPNOTSUPP, "%s: no layer can have this name", path.bytes);
	return text_check(out, err);
}

/* Layers whose folders have other names now. The names are owned. */
struct renames {
	struct keras_rename *list;
	size_t n;
};

static void renames_done(struct renames *renames)
{
	while (renames->n > 0)
		free((char *)renames->list[--renames->n].name);
	free(renames->list);
}

#define AUTO_RENAMES __attribute__((cleanup(renames_done))) struct renames

static int find_renames(const struct keras_documents *documents, struct renames *renames,
	struct error *err)
{
	int rc = 0;

	renames->list = calloc(documents->config.n + 1, sizeof *renames->list);
	if (renames->list == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	for (uint32_t i = 0; rc == 0 && i < documents->config.n; i++) {
		const char *old = keras_config_name(&documents->config, i);
		AUTO_TEXT name = {0};

		if (documents->config.layers[i].twin != 0)
			continue;
		rc = name_now(documents, i, &name, err);
		if (rc < 0 || strcmp(name.bytes, old) == 0)
			continue;
		renames->list[renames->n].layer = i;
		renames->list[renames->n++].name = text_take(&name, NULL);
	}
	return rc;
}

int keras_documents_text(
	const struct keras_documents *documents, struct text *out, struct error *err)
{
	const struct value *value = documents->value;
	bool edited = value->edited != NULL;
	AUTO_KERAS_CONFIG config = {0};
	AUTO_RENAMES renames = {0};
	int rc = find_renames(documents, &renames, err);

	if (rc == 0)
		rc = keras_config_read(&config, edited ? value->edited : value->text,
			edited ? value->edited_len : value->len, err);
	if (rc == 0 && config.n != documents->config.n)
		rc = error_set(err, EOPNOTSUPP, "config: " KERAS_LAYERS_STAY);
	return rc < 0 ? rc
		      : keras_config_rename(&config, renames.list, renames.n, out, err);
}

int keras_documents_training(const struct keras_documents *documents,
	const struct value *training, struct text *out, struct error *err)
{
	bool edited = training->edited != NULL;
	AUTO_RENAMES renames = {0};
	int rc = find_renames(documents, &renames, err);

	return rc < 0 ? rc
		      : keras_config_rename_training(&documents->config, renames.list,
				renames.n, edited ? training->edited : training->text,
				edited ? training->edited_len : training->len, out, err);
}
