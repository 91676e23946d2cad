/*
 * keras: Keras models in HDF5, in the three ways in which Keras writes them.
 *
 *	a whole model		@model_config = {"class_name": ...}	config.json
 *				@training_config training_config.json
 *				@keras_version ...			metadata.json
 *				model_weights/...			layers/
 *				optimizer_weights/...			optimizer/
 *	weights alone		@layer_names = [...], dense/...		layers/
 *	.weights.h5		layers/dense/vars/0 ...			layers/
 *
 * The first two share keras_groups.h, the third is keras_vars.h. The hard idea is that
 * nothing is stored where the tree shows it: the tree is an arrangement of objects that
 * keep their names, and an edit of the tree becomes wishes for another arrangement
 * (keras_moves.h), with all that speaks of names following.
 */
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/names.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/hdf5.h"
#include "decoders/grammar/json.h"
#include "decoders/grammar/keras_attributes.h"
#include "decoders/grammar/keras_config.h"
#include "decoders/grammar/keras_documents.h"
#include "decoders/grammar/keras_groups.h"
#include "decoders/grammar/keras_links.h"
#include "decoders/grammar/keras_moves.h"
#include "decoders/grammar/keras_vars.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_CONFIG "model_config"
#define TRAINING_CONFIG "training_config"
#define MODEL_WEIGHTS "model_weights"
#define OPTIMIZER_WEIGHTS "optimizer_weights"
#define TOP_LEVEL "top_level_model_weights"

enum shape {
	SHAPE_NONE,
	SHAPE_MODEL,
	SHAPE_WEIGHTS,
	SHAPE_VARS,
};

struct keras {
	enum shape shape;
	struct hdf5 *hdf5;
	struct keras_documents documents; /* MODEL; its value is NULL without one */
	struct keras_groups groups;	  /* MODEL, WEIGHTS */
	struct keras_vars vars;		  /* VARS */
	struct node *layers, *optimizer;  /* the second: NULL without one */
	struct value *training;		  /* NULL without one */
	struct keras_attributes attributes;
};

/* What the file says it is, seen from the root group alone. */
static enum shape shape_of(struct hdf5 *hdf5)
{
	if (hdf5_has_attribute(hdf5, HDF5_ROOT, MODEL_CONFIG))
		return SHAPE_MODEL;
	if (hdf5_has_attribute(hdf5, HDF5_ROOT, "layer_names") ||
		hdf5_has_attribute(hdf5, HDF5_ROOT, "layer_names0"))
		return SHAPE_WEIGHTS;
	return keras_vars_probe(hdf5) ? SHAPE_VARS : SHAPE_NONE;
}

static unsigned keras_probe(struct source *source)
{
	AUTO_HDF5 *hdf5 = NULL;
	uint64_t base;

	if (!hdf5_signature(source, &base) || hdf5_open(&hdf5, source, NULL) < 0 ||
		shape_of(hdf5) == SHAPE_NONE)
		return 0;
	return HDF5_BITS + 8 * strlen(MODEL_CONFIG);
}

/* --- decode --- */

/* A value of an attribute that holds JSON; NULL where it holds something else. */
static int decode_json(
	struct model *model, const char *name, struct value **out, struct error *err)
{
	struct keras *keras = model->priv;
	AUTO_TEXT text = {0};
	AUTO_JSON *json = NULL;
	int rc;

	*out = NULL;
	if (hdf5_string(keras->hdf5, HDF5_ROOT, name, &text, NULL) < 0 || text.len == 0 ||
		json_parse(&json, text.bytes, text.len, JSON_NONFINITE, NULL) < 0)
		return 0;
	rc = tree_value(model->tree, 0, out, err);
	if (rc == 0)
		(*out)->text = text_take(&text, &(*out)->len);
	return rc;
}

/* The documents at the root, and those of the layers. */
static int decode_documents(struct model *model, struct error *err)
{
	struct keras *keras = model->priv;
	struct value *config = NULL;
	struct node *node;
	int rc = 0;

	if (keras->shape == SHAPE_MODEL)
		rc = decode_json(model, MODEL_CONFIG, &config, err);
	if (rc == 0 && keras->shape == SHAPE_MODEL)
		rc = decode_json(model, TRAINING_CONFIG, &keras->training, err);
	if (rc == 0 && config != NULL)
		rc = keras_documents_decode(&keras->documents, config, err);
	if (rc == 0 && keras->training != NULL)
		rc = tree_document(model->tree, model->tree->root, "training_config.json",
			keras->training, "", NULL, &node, err);
	return rc;
}

/* A group of the root; 0. */
static uint32_t root_group(const struct keras *keras, const char *name)
{
	uint32_t link = hdf5_child(keras->hdf5, HDF5_ROOT, name, strlen(name));
	uint32_t object = link != 0 ? hdf5_link(keras->hdf5, link)->object : 0;

	if (object == 0 || !hdf5_real(keras->hdf5, link) ||
		hdf5_object(keras->hdf5, object)->kind != HDF5_GROUP)
		return 0;
	return object;
}

/* Says which attributes of the root are documents, and shows the others. */
static int decode_metadata(struct model *model, struct error *err)
{
	struct keras *keras = model->priv;
	struct keras_attributes *attributes = &keras->attributes;
	size_t n = 0;
	int rc;

	attributes->hdf5 = keras->hdf5;
	attributes->model = model;
	if (keras->shape != SHAPE_VARS)
		attributes->base = keras->shape == SHAPE_MODEL
					   ? root_group(keras, MODEL_WEIGHTS)
					   : HDF5_ROOT;
	if (keras->documents.value != NULL)
		attributes->roots[n++] = MODEL_CONFIG;
	if (keras->training != NULL)
		attributes->roots[n++] = TRAINING_CONFIG;
	rc = keras_attributes_init(attributes, err);
	return rc < 0 ? rc : keras_attributes_decode_root(attributes, err);
}

/* A new folder at the root; "NAME%=2" and no writing where that name is taken. */
static int root_folder(
	struct model *model, const char *name, struct node **out, struct error *err)
{
	AUTO_TEXT path = {0};

	names_piece(name, strlen(name), '/', NAMES_FOLDER, &path);
	if (text_check(&path, err) < 0)
		return -ENOMEM;
	if (tree_child(model->tree->root, path.bytes, path.len) != NULL) {
		model_set_readonly(model, "the group %s has the name of a part", name);
		text_puts(&path, "%=2");
		if (text_check(&path, err) < 0)
			return -ENOMEM;
	}
	return tree_folders(
		model->tree, model->tree->root, path.bytes, path.len, out, err);
}

static int decode_lone_dataset(struct model *model, uint32_t link, struct error *err)
{
	struct keras *keras = model->priv;
	const struct hdf5_link *it = hdf5_link(keras->hdf5, link);
	bool duplicate = false;
	struct node *node;
	int rc = tree_name(model->tree, model->tree->root, it->name, it->len, &node,
		&duplicate, err);

	if (rc < 0)
		return rc;
	node->origin = link;
	if (duplicate)
		model_set_readonly(model, "two datasets are called %s", it->name);
	return 0;
}

/* A group that no layer claims. */
static int decode_lone_group(struct model *model, uint32_t link, struct error *err)
{
	struct keras *keras = model->priv;
	uint32_t object = hdf5_link(keras->hdf5, link)->object;
	const char *name = hdf5_link(keras->hdf5, link)->name;
	AUTO_KERAS_BELOW below = {0};
	struct node *folder;
	int rc = keras_groups_below(&keras->groups, object, &below, err);

	if (rc < 0)
		return rc;
	if (below.n_datasets == 0 &&
		(strcmp(name, TOP_LEVEL) == 0 ||
			keras->groups.claimed[object] == KERAS_AROUND))
		return 0;
	rc = root_folder(model, name, &folder, err);
	if (rc < 0)
		return rc;
	keras->attributes.homes[object] = folder;
	return keras_groups_others(&keras->groups, folder, object, err);
}

/* What stands at the root because it is no layer's. */
static int decode_lone(struct model *model, uint32_t group, struct error *err)
{
	struct keras *keras = model->priv;
	uint32_t link = hdf5_object(keras->hdf5, group)->first;
	int rc = 0;

	for (; rc == 0 && link != 0; link = hdf5_link(keras->hdf5, link)->next) {
		uint32_t object = hdf5_link(keras->hdf5, link)->object;

		if (object == 0 || !hdf5_real(keras->hdf5, link) ||
			keras->attributes.homes[object] != NULL)
			continue;
		if (hdf5_object(keras->hdf5, object)->kind != HDF5_GROUP)
			rc = decode_lone_dataset(model, link, err);
		else
			rc = decode_lone_group(model, link, err);
	}
	return rc;
}

static int decode_optimizer(struct model *model, struct error *err)
{
	struct keras *keras = model->priv;
	uint32_t object = root_group(keras, OPTIMIZER_WEIGHTS);
	int rc;

	if (object == 0)
		return 0;
	rc = root_folder(model, "optimizer", &keras->optimizer, err);
	if (rc < 0)
		return rc;
	keras->attributes.homes[object] = keras->optimizer;
	return keras_groups_others(&keras->groups, keras->optimizer, object, err);
}

static int decode_groups(struct model *model, struct error *err)
{
	struct keras *keras = model->priv;
	bool whole = keras->shape == SHAPE_MODEL;
	int rc;

	keras->groups = (struct keras_groups){.hdf5 = keras->hdf5,
		.model = model,
		.layers = keras->layers,
		.base = keras->attributes.base,
		.config = &keras->documents.config};
	rc = keras_groups_decode(&keras->groups, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < keras->groups.n; i++)
		keras->attributes.homes[keras->groups.list[i].object] =
			keras->groups.list[i].folder;
	if (keras->groups.base != 0)
		keras->attributes.homes[keras->groups.base] = keras->layers;
	if (whole)
		rc = decode_optimizer(model, err);
	if (rc == 0 && keras->groups.base != 0)
		rc = decode_lone(model, keras->groups.base, err);
	return rc < 0 || !whole ? rc : decode_lone(model, HDF5_ROOT, err);
}

static int decode_vars(struct model *model, struct error *err)
{
	struct keras *keras = model->priv;
	int rc;

	keras->vars = (struct keras_vars){
		.hdf5 = keras->hdf5, .model = model, .layers = keras->layers};
	rc = keras_vars_decode(&keras->vars, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < keras->vars.n; i++) {
		const struct keras_object *object = &keras->vars.objects[i];

		keras->attributes.homes[object->object] = object->folder;
		if (object->vars != 0) {
			keras->attributes.homes[object->vars] = object->folder;
			keras->attributes.named[object->vars] = object->named;
		}
	}
	keras->attributes.homes[HDF5_ROOT] = NULL;
	if (keras->vars.inside != 0)
		keras->attributes.homes[keras->vars.inside] = keras->layers;
	return 0;
}

static void keras_free(struct model *model)
{
	struct keras *keras = model->priv;

	if (keras == NULL)
		return;
	keras_documents_done(&keras->documents);
	keras_groups_done(&keras->groups);
	keras_vars_done(&keras->vars);
	keras_attributes_done(&keras->attributes);
	hdf5_unref(&keras->hdf5);
	free(keras);
	model->priv = NULL;
}

static uint32_t object_of(const struct keras *keras, const struct node *node)
{
	return hdf5_link(keras->hdf5, (uint32_t)node->origin)->object;
}

static int keras_describe(struct model *model, struct node *node, struct error *err)
{
	struct keras *keras = model->priv;

	return hdf5_describe(
		keras->hdf5, model, object_of(keras, node), &node->tensor, err);
}

static int keras_content(
	struct model *model, struct node *node, struct blob **out, struct error *err)
{
	struct keras *keras = model->priv;

	return hdf5_content(keras->hdf5, object_of(keras, node), out, err);
}

static int keras_sidecar(
	struct model *model, struct node *node, struct text *out, struct error *err)
{
	struct keras *keras = model->priv;

	return hdf5_sidecar(keras->hdf5, object_of(keras, node), out, err);
}

static int keras_load(
	struct model *model, struct value *value, struct text *out, struct error *err)
{
	struct keras *keras = model->priv;
	int rc = keras_attributes_load(
		&keras->attributes, (uint32_t)value->origin, out, err);

	model->damaged += rc > 0;
	return rc < 0 ? rc : 0;
}

static int keras_facts(
	struct model *model, struct node *node, model_fact_fn fn, void *arg)
{
	struct keras *keras = model->priv;

	if (node->kind != NODE_TENSOR || node->origin == 0 || object_of(keras, node) == 0)
		return 0;
	return hdf5_facts(keras->hdf5, object_of(keras, node), fn, arg);
}

static const struct model_ops keras_ops = {
	.free = keras_free,
	.describe = keras_describe,
	.content = keras_content,
	.sidecar = keras_sidecar,
	.load = keras_load,
	.facts = keras_facts,
};

static int decode_tree(struct model *model, struct error *err)
{
	struct keras *keras = model->priv;
	int rc = tree_folder(
		model->tree, model->tree->root, "layers", &keras->layers, err);

	if (rc < 0)
		return rc;
	keras->layers->flags |= NODE_GROWS;
	keras->documents.model = model;
	keras->documents.layers = keras->layers;
	rc = decode_documents(model, err);
	if (rc == 0)
		rc = decode_metadata(model, err);
	if (rc == 0)
		rc = keras->shape == SHAPE_VARS ? decode_vars(model, err)
						: decode_groups(model, err);
	if (rc == 0)
		rc = keras_attributes_decode(&keras->attributes, err);
	return rc < 0 ? rc : keras_links_decode(&keras->attributes, err);
}

static int keras_decode(struct model *model, struct error *err)
{
	struct keras *keras = calloc(1, sizeof *keras);
	int rc;

	if (keras == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	model->priv = keras;
	model->ops = &keras_ops;
	rc = tree_new(&model->tree, '/', err);
	if (rc == 0)
		rc = hdf5_open(&keras->hdf5, model->source, err);
	if (rc < 0)
		return rc;
	keras->shape = shape_of(keras->hdf5);
	if (keras->shape == SHAPE_NONE)
		return error_set(err, EINVAL,
			"expected model_config, layer_names or a group vars, found none");
	rc = hdf5_walk(keras->hdf5, &model->damaged, err);
	if (rc < 0)
		return rc;
	if (hdf5_readonly(keras->hdf5) != NULL)
		model_set_readonly(model, "%s", hdf5_readonly(keras->hdf5));
	return decode_tree(model, err);
}

/* --- encode --- */

static bool has_structure(const struct tree *tree)
{
	for (const struct edit *edit = tree->edits; edit != NULL; edit = edit->next)
		if ((edit->what & (EDIT_ADDED | EDIT_REMOVED | EDIT_MOVED)) != 0)
			return true;
	return false;
}

static bool is_below(const struct node *node, const struct node *top)
{
	while (node != NULL && node != top)
		node = node->parent;
	return node != NULL && top != NULL;
}

/* The optimizer's weights go together or not at all: Keras takes them by number. */
static int remove_optimizer(struct keras *keras, const struct tree *tree,
	struct keras_moves *moves, struct error *err)
{
	bool left = false, gone = false;

	for (const struct edit *edit = tree->edits; edit != NULL; edit = edit->next) {
		uint32_t place = (uint32_t)edit->node->origin;

		if ((edit->what & EDIT_REMOVED) == 0 || edit->node->kind != NODE_TENSOR)
			continue;
		while (hdf5_link(keras->hdf5, place)->group != HDF5_ROOT)
			place = hdf5_object(
				keras->hdf5, hdf5_link(keras->hdf5, place)->group)
					->link;
		if (strcmp(hdf5_link(keras->hdf5, place)->name, OPTIMIZER_WEIGHTS) != 0)
			continue;
		gone = true;
		keras_moves_remove(moves, (uint32_t)edit->node->origin);
	}
	if (is_below(keras->optimizer, tree->root))
		for (struct node *node = keras->optimizer; node != NULL;
			node = tree_walk(keras->optimizer, node))
			left = left || node->kind == NODE_TENSOR;
	if (gone && left)
		return error_set(err, EOPNOTSUPP,
			"optimizer: its weights can only be removed all together");
	return 0;
}

/* The new arrangement. `config`: the model_config's text as it shall be, or NULL. */
static int encode_structure(struct model *model, struct hdf5_edit *edit,
	const struct text *config, struct error *err)
{
	struct keras *keras = model->priv;
	AUTO_KERAS_MOVES moves = {.hdf5 = keras->hdf5};
	AUTO_KERAS_CONFIG renamed = {0};
	int rc = 0;

	if (config != NULL)
		rc = keras_config_read(&renamed, config->bytes, config->len, err);
	if (rc == 0 && keras->shape == SHAPE_VARS)
		rc = keras_vars_moves(&keras->vars, &moves, err);
	else if (rc == 0 && keras->groups.base != 0)
		rc = keras_groups_moves(&keras->groups, &renamed, &moves, err);
	if (rc == 0 && keras->shape == SHAPE_MODEL)
		rc = remove_optimizer(keras, model->tree, &moves, err);
	return rc < 0 ? rc : keras_moves_run(&moves, edit, err);
}

/* Type, elements and attributes of one tensor that was there before. */
static int encode_tensor(struct keras *keras, struct hdf5_edit *edit,
	const struct edit *change, struct error *err)
{
	uint32_t object = object_of(keras, change->node);
	int rc = 0;

	if ((change->what & EDIT_TYPE) != 0)
		rc = hdf5_edit_type(edit, object, change->tensor,
			(change->what & EDIT_CONTENT) != 0 ? change->content : NULL, err);
	else if ((change->what & EDIT_CONTENT) != 0)
		rc = hdf5_edit_content(edit, object, change->content, err);
	if (rc == 0 && (change->what & EDIT_SIDECAR) != 0)
		rc = hdf5_edit_sidecar(
			edit, object, change->sidecar.bytes, change->sidecar.len, err);
	return rc;
}

static int encode_tensors(struct model *model, struct hdf5_edit *edit, struct error *err)
{
	const struct edit *change = model->tree->edits;
	int rc = 0;

	for (; rc == 0 && change != NULL; change = change->next) {
		if ((change->what & (EDIT_ADDED | EDIT_REMOVED)) != 0 ||
			change->node->kind != NODE_TENSOR)
			continue;
		rc = encode_tensor(model->priv, edit, change, err);
		if (rc < 0) {
			AUTO_TEXT path = {0};

			tree_path(change->node, &path);
			if (text_check(&path, NULL) == 0)
				error_prefix(err, "%s", path.bytes);
		}
	}
	return rc;
}

/* Writes an attribute of the root where its text becomes another. */
static int encode_text(struct hdf5_edit *edit, const char *name, const struct text *text,
	const struct value *value, struct error *err)
{
	if (text->len == 0 || (text->len == value->len &&
				      memcmp(text->bytes, value->text, value->len) == 0))
		return 0;
	return hdf5_edit_string(edit, HDF5_ROOT, name, text->bytes, text->len, err);
}

static int encode_edits(struct model *model, struct hdf5_edit *edit, struct error *err)
{
	struct keras *keras = model->priv;
	bool structure = has_structure(model->tree);
	struct value *config = keras->documents.value, *training = keras->training;
	__attribute__((cleanup(text_done))) struct text text = {0}, training_text = {0};
	int rc = 0;

	if (config != NULL && (structure || config->edited != NULL))
		rc = keras_documents_text(&keras->documents, &text, err);
	if (rc == 0 && training != NULL && (structure || training->edited != NULL))
		rc = keras_documents_training(
			&keras->documents, training, &training_text, err);
	if (rc == 0 && structure)
		rc = encode_structure(model, edit, config != NULL ? &text : NULL, err);
	if (rc == 0)
		rc = encode_tensors(model, edit, err);
	if (rc == 0)
		rc = encode_text(edit, MODEL_CONFIG, &text, config, err);
	if (rc == 0)
		rc = encode_text(edit, TRAINING_CONFIG, &training_text, training, err);
	for (const struct value *value = model->tree->values; rc == 0 && value != NULL;
		value = value->next)
		if (value->edited != NULL && value != config && value != training)
			rc = keras_attributes_edit(&keras->attributes, edit, value, err);
	return rc;
}

static int keras_encode(struct model *model, struct plan *plan, struct error *err)
{
	struct keras *keras = model->priv;
	AUTO_HDF5_EDIT *edit = NULL;
	int rc;

	if (tree_clean(model->tree))
		return plan_old(plan, 0, source_size(model->source), err);
	rc = hdf5_edit_open(&edit, keras->hdf5, model->pool, err);
	if (rc == 0)
		rc = encode_edits(model, edit, err);
	return rc < 0 ? rc : hdf5_edit_commit(&edit, plan, err);
}

/* --- check --- */

static int check_document(
	struct keras *keras, const struct change *change, struct error *err)
{
	if (change->value == keras->documents.value && change->value != NULL)
		return keras_documents_check(&keras->documents, change, err);
	return 0;
}

/* A whole model keeps its layers and weights: its configuration speaks of each. */
static int check_whole(
	struct keras *keras, const struct change *change, struct error *err)
{
	static const char stays[] =
		"layers and weights of a whole model cannot be added, "
		"removed or moved: its configuration lists them";

	if (change->what == EDIT_REMOVED && is_below(change->node, keras->optimizer))
		return 0;
	if (change->what != EDIT_MOVED || change->node->kind != NODE_FOLDER)
		return error_set(err, EOPNOTSUPP, "%s", stays);
	if (change->parent != change->node->parent)
		return error_set(err, EOPNOTSUPP, "%s", stays);
	if (!keras_documents_is_layer(&keras->documents, change->node))
		return error_set(err, EOPNOTSUPP,
			"expected the folder of a layer: others cannot be renamed");
	return 0;
}

/* Whether a node is where weights alone may change: a layer's part, or a place for one.
 */
static bool is_open(const struct keras *keras, const struct node *node)
{
	return keras->shape == SHAPE_VARS ? keras_vars_has(&keras->vars, node)
					  : is_below(node, keras->layers);
}

static int check_alone(
	struct keras *keras, const struct change *change, struct error *err)
{
	const struct node *node = change->node;
	bool tensor = (node != NULL ? node->kind : change->kind) == NODE_TENSOR;

	if (node != NULL && node->kind == NODE_DOCUMENT)
		return error_set(err, EOPNOTSUPP,
			"a document can be edited, not removed or moved");
	if (node != NULL && (!is_open(keras, node) || node == keras->layers))
		return error_set(err, EOPNOTSUPP, "expected a part of a layer");
	if (change->what == EDIT_REMOVED)
		return 0;
	if (!is_open(keras, change->parent) || (keras->shape == SHAPE_WEIGHTS && tensor &&
						       change->parent == keras->layers))
		return error_set(
			err, EOPNOTSUPP, "expected a place in the folder of a layer");
	if (change->what == EDIT_ADDED && tensor && change->type != NULL)
		return hdf5_storable(change->type, err);
	return 0;
}

static int keras_check(
	struct model *model, const struct change *change, struct error *err)
{
	struct keras *keras = model->priv;
	int rc;

	if (change->what == 0)
		return check_document(keras, change, err);
	if (change->node != NULL && change->node->kind == NODE_TENSOR &&
		change->node->origin != 0 &&
		!hdf5_real(keras->hdf5, (uint32_t)change->node->origin))
		return error_set(err, EOPNOTSUPP, "links cannot be changed here");
	if (change->name != NULL && strcmp(change->name, NAMES_EMPTY) == 0)
		return error_set(err, EINVAL, "no layer or weight has an empty name");
	if (change->what == EDIT_TYPE)
		return change->type != NULL ? hdf5_storable(change->type, err) : 0;
	if (change->what == EDIT_SIDECAR)
		return 0;
	rc = keras->shape == SHAPE_MODEL ? check_whole(keras, change, err)
					 : check_alone(keras, change, err);
	if (rc == 0 && change->node != NULL)
		rc = keras_links_check(&keras->attributes, change->node, err);
	return rc;
}

const struct decoder keras_decoder = {
	.name = "keras",
	.title = "Keras HDF5 (.h5, .weights.h5)",
	.edits = "configuration, metadata, weights, names of layers; in files of weights "
		 "alone also adding and removing",
	.flags = DECODER_PATCHES | DECODER_RESIZES,
	.probe = keras_probe,
	.decode = keras_decode,
	.encode = keras_encode,
	.check = keras_check,
};
