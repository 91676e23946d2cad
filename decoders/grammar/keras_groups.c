/* keras_groups: layers' groups as folders. The other direction is keras_regroup.c. */
#include "decoders/grammar/keras_groups.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/hdf5.h"
#include "decoders/grammar/keras_config.h"
#include "decoders/grammar/keras_names.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void keras_below_done(struct keras_below *below)
{
	free(below->datasets);
	free(below->groups);
	text_done(&below->names);
	*below = (struct keras_below){0};
}

void keras_groups_done(struct keras_groups *groups)
{
	for (size_t i = 0; i < groups->n; i++)
		free(groups->list[i].name);
	free(groups->list);
	free(groups->claimed);
	groups->list = NULL;
	groups->claimed = NULL;
	groups->n = groups->cap = 0;
}

static int found_add(
	struct keras_found **list, size_t *n, size_t *cap, struct keras_found found)
{
	if (*n == *cap) {
		size_t more_cap = *cap != 0 ? *cap * 2 : 16;
		void *more = realloc(*list, more_cap * sizeof **list);

		if (more == NULL)
			return -ENOMEM;
		*list = more;
		*cap = more_cap;
	}
	(*list)[(*n)++] = found;
	return 0;
}

/* Notes the name of a link below a group of `below`. */
static size_t name_add(struct keras_below *below, size_t around, const char *name)
{
	size_t at = below->names.len, from = below->groups[around].name;

	for (size_t i = from;
		around != 0 && !below->names.failed && below->names.bytes[i] != '\0'; i++)
		text_putc(&below->names, below->names.bytes[i]);
	if (around != 0)
		text_putc(&below->names, '/');
	text_puts(&below->names, name);
	text_putc(&below->names, '\0');
	return at;
}

static size_t depth(const char *name)
{
	size_t n = 0;

	for (; *name != '\0'; name++)
		n += *name == '/';
	return n;
}

static int below_add(const struct keras_groups *groups, struct keras_below *below,
	size_t around, uint32_t link, struct error *err)
{
	const struct hdf5_link *it = hdf5_link(groups->hdf5, link);
	struct keras_found found = {.link = link};
	bool group;

	if (it->object == 0 || !hdf5_real(groups->hdf5, link))
		return 0;
	group = hdf5_object(groups->hdf5, it->object)->kind == HDF5_GROUP;
	if (group && groups->claimed != NULL &&
		groups->claimed[it->object] == KERAS_LAYER)
		return 0;
	found.name = name_add(below, around, it->name);
	if (text_check(&below->names, err) < 0)
		return -ENOMEM;
	if (depth(below->names.bytes + found.name) > KERAS_DEPTH_MAX)
		return error_set(err, EINVAL,
			"%s: expected at most %d groups, found more",
			below->names.bytes + found.name, KERAS_DEPTH_MAX);
	if ((group ? found_add(
			     &below->groups, &below->n_groups, &below->cap_groups, found)
		   : found_add(&below->datasets, &below->n_datasets, &below->cap_datasets,
			     found)) < 0)
		return error_set(err, ENOMEM, "not enough memory");
	return 0;
}

int keras_groups_below(const struct keras_groups *groups, uint32_t object,
	struct keras_below *out, struct error *err)
{
	AUTO_KERAS_BELOW below = {0};
	struct keras_found self = {.link = hdf5_object(groups->hdf5, object)->link};
	int rc = 0;

	text_putc(&below.names, '\0');
	if (text_check(&below.names, NULL) < 0 ||
		found_add(&below.groups, &below.n_groups, &below.cap_groups, self) < 0)
		return error_set(err, ENOMEM, "not enough memory");
	for (size_t i = 0; i < below.n_groups; i++) {
		uint32_t group = hdf5_link(groups->hdf5, below.groups[i].link)->object;
		uint32_t link = hdf5_object(groups->hdf5, group)->first;

		for (; rc == 0 && link != 0; link = hdf5_link(groups->hdf5, link)->next)
			rc = below_add(groups, &below, i, link, err);
	}
	if (rc < 0)
		return rc;
	*out = below;
	below = (struct keras_below){0};
	return 0;
}

static int decode_tensor(struct keras_groups *groups, struct node *folder,
	const struct keras_weight *weight, uint32_t link, struct error *err)
{
	bool duplicate = false;
	struct node *node;
	int rc = tree_name(groups->model->tree, folder, weight->name + weight->tree,
		weight->tree_len, &node, &duplicate, err);

	if (rc < 0)
		return rc;
	node->origin = link;
	if (duplicate)
		model_set_readonly(
			groups->model, "two weights are called %s", weight->name);
	return 0;
}

/* The datasets below a group, named by the rule. */
static int decode_below(struct keras_groups *groups, struct node *folder, uint32_t object,
	const struct keras_scope *scope, struct error *err)
{
	AUTO_KERAS_BELOW below = {0};
	struct keras_weight *weights;
	int rc = keras_groups_below(groups, object, &below, err);

	if (rc < 0)
		return rc;
	weights = calloc(below.n_datasets + 1, sizeof *weights);
	if (weights == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	for (size_t i = 0; i < below.n_datasets; i++)
		weights[i].name = below.names.bytes + below.datasets[i].name;
	rc = keras_names_read(scope, weights, below.n_datasets, err);
	for (size_t i = 0; rc == 0 && i < below.n_datasets; i++)
		rc = decode_tensor(
			groups, folder, &weights[i], below.datasets[i].link, err);
	free(weights);
	return rc;
}

int keras_groups_others(struct keras_groups *groups, struct node *folder, uint32_t object,
	struct error *err)
{
	return decode_below(groups, folder, object, NULL, err);
}

/* The group that a layer's name leads to; 0. */
static uint32_t group_named(struct keras_groups *groups, const char *name)
{
	uint32_t object = groups->base;
	size_t len;

	for (;; name += len + 1) {
		uint32_t link;

		len = strcspn(name, "/");
		link = hdf5_child(groups->hdf5, object, name, len);
		object = link != 0 ? hdf5_link(groups->hdf5, link)->object : 0;
		if (object == 0 || !hdf5_real(groups->hdf5, link) ||
			hdf5_object(groups->hdf5, object)->kind != HDF5_GROUP)
			return 0;
		if (name[len] == '\0')
			return object;
	}
}

/* Marks the groups between the base and a layer's. */
static void claim_around(struct keras_groups *groups, uint32_t object)
{
	while (object != groups->base && object != 0 &&
		groups->claimed[object] == KERAS_FREE) {
		uint32_t link = hdf5_object(groups->hdf5, object)->link;

		groups->claimed[object] = KERAS_AROUND;
		object = hdf5_link(groups->hdf5, link)->group;
	}
}

static int group_add(
	struct keras_groups *groups, const char *name, uint32_t object, struct error *err)
{
	struct keras_group group = {.object = object, .layer = KERAS_NONE};

	if (groups->n == groups->cap) {
		size_t cap = groups->cap != 0 ? groups->cap * 2 : 64;
		void *more = realloc(groups->list, cap * sizeof *groups->list);

		if (more == NULL)
			return error_set(err, ENOMEM, "not enough memory");
		groups->list = more;
		groups->cap = cap;
	}
	if (groups->config != NULL) {
		uint32_t from = groups->n != 0 ? groups->list[groups->n - 1].layer : 0;

		group.layer = keras_config_find(
			groups->config, name, from != KERAS_NONE ? from : 0);
	}
	group.name = strdup(name);
	if (group.name == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	claim_around(groups, object);
	groups->claimed[object] = KERAS_LAYER;
	groups->list[groups->n++] = group;
	return 0;
}

/* The groups of layer_names, each once. */
static int read_names(struct keras_groups *groups, struct error *err)
{
	AUTO_TEXT names = {0};
	size_t n = 0;
	const char *name;
	int rc = hdf5_strings(groups->hdf5, groups->base, "layer_names", &names, &n, err);

	if (rc == -ENOENT)
		return 0;
	if (rc == -EINVAL) {
		model_set_readonly(groups->model, "%s", err->text);
		return 0;
	}
	name = names.bytes;
	for (size_t i = 0; rc == 0 && i < n; i++, name += strlen(name) + 1) {
		uint32_t object = *name != '\0' ? group_named(groups, name) : 0;

		if (object != 0 && groups->claimed[object] != KERAS_LAYER)
			rc = group_add(groups, name, object, err);
	}
	return rc;
}

static int decode_group(struct keras_groups *groups, size_t i, struct error *err)
{
	struct keras_group *group = &groups->list[i];
	struct keras_scope scope = {.layer = group->name};
	AUTO_TEXT path = {0};
	int rc;

	if (group->layer != KERAS_NONE) {
		scope.config = groups->config;
		scope.top = group->layer;
	}
	keras_names_folder(group->name, &path);
	rc = text_check(&path, err);
	if (rc == 0)
		rc = tree_folders(groups->model->tree, groups->layers, path.bytes,
			path.len, &group->folder, err);
	if (rc < 0)
		return rc;
	group->folder->origin = i + 1;
	return decode_below(groups, group->folder, group->object, &scope, err);
}

int keras_groups_decode(struct keras_groups *groups, struct error *err)
{
	int rc;

	groups->claimed =
		calloc(hdf5_n_objects(groups->hdf5) + 1, sizeof *groups->claimed);
	if (groups->claimed == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	rc = read_names(groups, err);
	for (size_t i = 0; rc == 0 && i < groups->n; i++)
		rc = decode_group(groups, i, err);
	return rc;
}
