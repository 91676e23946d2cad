/* keras_vars: groups with variables as folders, and what edits of these ask for. */
#include "decoders/grammar/keras_vars.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/names.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/hdf5.h"
#include "decoders/grammar/keras_moves.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VARS "vars"
#define LAYERS "layers"
#define OPTIMIZER "optimizer"

/* Groups of the root that hold no layers: folders of the root. */
static const char *const apart[] = {OPTIMIZER, "metrics"};
#define N_APART (sizeof apart / sizeof *apart)

/* A group that becomes a folder, before it has one. */
struct arrival {
	uint32_t link;
	size_t title; /* in the texts: what its layer is called, NUL-terminated */
	bool named;
};

/* All that becomes of one group's children. */
struct arrivals {
	struct arrival *list;
	size_t n, cap;
	struct text texts;
};

static void arrivals_done(struct arrivals *arrivals)
{
	free(arrivals->list);
	text_done(&arrivals->texts);
}

void keras_vars_done(struct keras_vars *vars)
{
	free(vars->objects);
	vars->objects = NULL;
	vars->n = vars->cap = 0;
}

bool keras_vars_probe(struct hdf5 *hdf5)
{
	return hdf5_exists(hdf5, VARS) ||
	       (hdf5_exists(hdf5, LAYERS) && hdf5_exists(hdf5, OPTIMIZER "/" VARS));
}

/* The group of that name in a group; 0. */
static uint32_t subgroup(const struct hdf5 *hdf5, uint32_t group, const char *name)
{
	uint32_t link = hdf5_child(hdf5, group, name, strlen(name));
	uint32_t object = link != 0 ? hdf5_link(hdf5, link)->object : 0;

	if (object == 0 || !hdf5_real(hdf5, link) ||
		hdf5_object(hdf5, object)->kind != HDF5_GROUP)
		return 0;
	return object;
}

/* Adds a record for a folder, which knows it by its origin. */
static int object_add(struct keras_vars *vars, struct node *folder, uint32_t object,
	bool named, struct error *err)
{
	if (vars->n == vars->cap) {
		size_t cap = vars->cap != 0 ? vars->cap * 2 : 64;
		void *more = realloc(vars->objects, cap * sizeof *vars->objects);

		if (more == NULL)
			return error_set(err, ENOMEM, "not enough memory");
		vars->objects = more;
		vars->cap = cap;
	}
	vars->objects[vars->n++] = (struct keras_object){
		folder, object, subgroup(vars->hdf5, object, VARS), named};
	folder->origin = vars->n;
	return 0;
}

/* What a group's layer is called, appended; false: by the group's own name. */
static bool title_put(const struct keras_vars *vars, uint32_t object, struct text *out)
{
	uint32_t own = subgroup(vars->hdf5, object, VARS);
	size_t at = out->len, len;

	if (own == 0 || hdf5_string(vars->hdf5, own, "name", out, NULL) < 0)
		return false;
	len = out->len - at;
	if (!out->failed && len != 0 && memchr(out->bytes + at, '\0', len) == NULL &&
		memchr(out->bytes + at, '/', len) == NULL)
		return true;
	text_splice(out, at, len, "", 0);
	return false;
}

static int arrival_add(struct keras_vars *vars, struct arrivals *arrivals, uint32_t link,
	struct error *err)
{
	const struct hdf5_link *it = hdf5_link(vars->hdf5, link);
	struct arrival arrival = {.link = link, .title = arrivals->texts.len};

	if (arrivals->n == arrivals->cap) {
		size_t cap = arrivals->cap != 0 ? arrivals->cap * 2 : 16;
		void *more = realloc(arrivals->list, cap * sizeof *arrivals->list);

		if (more == NULL)
			return error_set(err, ENOMEM, "not enough memory");
		arrivals->list = more;
		arrivals->cap = cap;
	}
	arrival.named = title_put(vars, it->object, &arrivals->texts);
	if (!arrival.named)
		text_put(&arrivals->texts, it->name, it->len);
	text_putc(&arrivals->texts, '\0');
	arrivals->list[arrivals->n++] = arrival;
	return text_check(&arrivals->texts, err);
}

static int order_titles(const void *a, const void *b, void *arg)
{
	const char *texts = arg;

	return strcmp(texts + ((const struct arrival *)a)->title,
		texts + ((const struct arrival *)b)->title);
}

/* Whether two of them have one title: 1, 0 or -ENOMEM. */
static int meet(const struct arrivals *arrivals, struct error *err)
{
	struct arrival *order = malloc((arrivals->n + 1) * sizeof *order);
	int found = 0;

	if (order == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	if (arrivals->n != 0)
		memcpy(order, arrivals->list, arrivals->n * sizeof *order);
	qsort_r(order, arrivals->n, sizeof *order, order_titles, arrivals->texts.bytes);
	for (size_t i = 1; i < arrivals->n && found == 0; i++)
		found = order_titles(&order[i - 1], &order[i], arrivals->texts.bytes) ==
			0;
	free(order);
	return found;
}

static int decode_tensor(
	struct keras_vars *vars, struct node *folder, uint32_t link, struct error *err)
{
	const struct hdf5_link *it = hdf5_link(vars->hdf5, link);
	bool duplicate = false;
	struct node *node;
	int rc = tree_name(
		vars->model->tree, folder, it->name, it->len, &node, &duplicate, err);

	if (rc < 0)
		return rc;
	node->origin = link;
	if (duplicate)
		model_set_readonly(vars->model,
			"two variables of one layer are called %s", it->name);
	return 0;
}

/* Whether a link leads to a group that becomes a folder. */
static bool is_folder(const struct keras_vars *vars, uint32_t link, uint32_t group)
{
	const struct hdf5_link *it = hdf5_link(vars->hdf5, link);

	if (hdf5_object(vars->hdf5, it->object)->kind != HDF5_GROUP ||
		it->object == vars->inside || strcmp(it->name, VARS) == 0)
		return false;
	for (size_t i = 0; group == HDF5_ROOT && i < N_APART; i++)
		if (strcmp(it->name, apart[i]) == 0)
			return false;
	return true;
}

/* Shares a group's children out: datasets at once, groups into `arrivals`. */
static int decode_children(struct keras_vars *vars, struct node *folder, uint32_t group,
	struct arrivals *arrivals, struct error *err)
{
	uint32_t link = hdf5_object(vars->hdf5, group)->first;
	int rc = 0;

	for (; rc == 0 && link != 0; link = hdf5_link(vars->hdf5, link)->next) {
		uint32_t object = hdf5_link(vars->hdf5, link)->object;

		if (object == 0 || !hdf5_real(vars->hdf5, link))
			continue;
		if (hdf5_object(vars->hdf5, object)->kind != HDF5_GROUP)
			rc = decode_tensor(vars, folder, link, err);
		else if (arrivals != NULL && is_folder(vars, link, group))
			rc = arrival_add(vars, arrivals, link, err);
	}
	return rc;
}

static int decode_arrival(struct keras_vars *vars, struct node *parent, const char *title,
	const struct arrival *arrival, bool met, struct error *err)
{
	const struct hdf5_link *it = hdf5_link(vars->hdf5, arrival->link);
	AUTO_TEXT path = {0};
	struct node *folder;
	int rc;

	if (met)
		title = it->name;
	names_piece(title, strlen(title), '/', NAMES_FOLDER, &path);
	if (text_check(&path, err) < 0)
		return -ENOMEM;
	rc = tree_folders(vars->model->tree, parent, path.bytes, path.len, &folder, err);
	return rc < 0 ? rc
		      : object_add(vars, folder, it->object, arrival->named && !met, err);
}

/* One folder's tensors, and its subfolders, which get records behind all others. */
static int decode_object(struct keras_vars *vars, size_t i, struct error *err)
{
	__attribute__((cleanup(arrivals_done))) struct arrivals arrivals = {0};
	struct keras_object object = vars->objects[i];
	int met, rc = decode_children(vars, object.folder, object.object, &arrivals, err);

	if (rc == 0 && object.object == HDF5_ROOT && vars->inside != 0)
		rc = decode_children(vars, object.folder, vars->inside, &arrivals, err);
	if (rc == 0 && object.vars != 0)
		rc = decode_children(vars, object.folder, object.vars, NULL, err);
	if (rc < 0)
		return rc;
	met = meet(&arrivals, err);
	for (size_t k = 0; met >= 0 && k < arrivals.n && rc == 0; k++)
		rc = decode_arrival(vars, object.folder,
			arrivals.texts.bytes + arrivals.list[k].title, &arrivals.list[k],
			met > 0, err);
	return met < 0 ? met : rc;
}

bool keras_vars_has(const struct keras_vars *vars, const struct node *node)
{
	while (node != NULL && node->parent != vars->model->tree->root)
		node = node->parent;
	for (size_t i = 0; node != NULL && i < vars->n_roots; i++)
		if (vars->objects[i].folder == node)
			return true;
	return false;
}

int keras_vars_decode(struct keras_vars *vars, struct error *err)
{
	struct tree *tree = vars->model->tree;
	int rc;

	vars->inside = subgroup(vars->hdf5, HDF5_ROOT, LAYERS);
	if (vars->inside != 0 && subgroup(vars->hdf5, vars->inside, VARS) != 0)
		vars->inside = 0;
	rc = object_add(vars, vars->layers, HDF5_ROOT, false, err);
	for (size_t i = 0; rc == 0 && i < N_APART; i++) {
		uint32_t object = subgroup(vars->hdf5, HDF5_ROOT, apart[i]);
		struct node *folder;

		if (object == 0)
			continue;
		rc = tree_folder(tree, tree->root, apart[i], &folder, err);
		if (rc == 0)
			rc = object_add(vars, folder, object, false, err);
	}
	vars->n_roots = vars->n;
	for (size_t i = 0; rc == 0 && i < vars->n; i++)
		rc = decode_object(vars, i, err);
	return rc;
}

static const struct keras_object *object_of(
	const struct keras_vars *vars, const struct node *folder)
{
	return folder->origin != 0 ? &vars->objects[folder->origin - 1] : NULL;
}

static int piece_name(const struct node *node, enum names_place place, struct text *out,
	struct error *err)
{
	if (!names_name(node->name, strlen(node->name), '/', place, out))
		return error_set(err, EOPNOTSUPP,
			"%s: no layer or variable can have this name", node->name);
	return text_check(out, err);
}

static bool moved(const struct node *node)
{
	return node->edit != NULL && (node->edit->what & EDIT_MOVED) != 0;
}

/* The name that a folder's group has, or shall have, in its parent's. */
static int group_name(struct keras_vars *vars, const struct node *folder,
	struct text *out, struct error *err)
{
	const struct keras_object *object = object_of(vars, folder);

	if (object != NULL && (object->named || !moved(folder))) {
		uint32_t link = hdf5_object(vars->hdf5, object->object)->link;

		text_puts(out, hdf5_link(vars->hdf5, link)->name);
		return text_check(out, err);
	}
	return piece_name(folder, NAMES_FOLDER, out, err);
}

/* Whether a child of the root's folder is, or shall be, in the root's `layers`. */
static bool is_inside(const struct keras_vars *vars, const struct node *folder)
{
	const struct keras_object *object = object_of(vars, folder);
	uint32_t link;

	if (vars->inside == 0 || object == NULL || moved(folder))
		return vars->inside != 0;
	link = hdf5_object(vars->hdf5, object->object)->link;
	return hdf5_link(vars->hdf5, link)->group == vars->inside;
}

/* Puts the path of a folder's group, as it shall be, and a slash in front of `path`. */
static int group_path(struct keras_vars *vars, const struct node *folder,
	struct text *path, struct error *err)
{
	int rc = 0;

	for (; rc == 0 && folder != vars->layers && folder->parent != NULL;
		folder = folder->parent) {
		AUTO_TEXT name = {0};

		rc = group_name(vars, folder, &name, err);
		text_putc(&name, '/');
		text_splice(path, 0, 0, name.bytes, name.len);
		if (folder->parent == vars->layers && is_inside(vars, folder))
			text_splice(path, 0, 0, LAYERS "/", strlen(LAYERS "/"));
	}
	return rc < 0 ? rc : text_check(path, err);
}

/* A variable that is new here, or was elsewhere. */
static int moves_tensor(struct keras_vars *vars, struct keras_moves *moves,
	struct node *node, struct error *err)
{
	AUTO_TEXT path = {0}, name = {0};
	int rc = piece_name(node, NAMES_STEM, &name, err);

	if (rc == 0)
		rc = group_path(vars, node->parent, &path, err);
	if (rc < 0)
		return rc;
	text_printf(&path, "%s/%s", VARS, name.bytes);
	if (text_check(&path, err) < 0)
		return -ENOMEM;
	if ((node->edit->what & EDIT_ADDED) != 0)
		keras_moves_new(moves, node, path.bytes);
	else
		keras_moves_put(moves, (uint32_t)node->origin, path.bytes);
	return 0;
}

/* A folder that is new, or was called or stood otherwise. */
static int moves_folder(struct keras_vars *vars, struct keras_moves *moves,
	struct node *folder, struct error *err)
{
	const struct keras_object *object = object_of(vars, folder);
	AUTO_TEXT path = {0}, name = {0};
	int rc = piece_name(folder, NAMES_FOLDER, &name, err);

	if (rc == 0)
		rc = group_path(vars, folder, &path, err);
	if (rc < 0)
		return rc;
	if (object != NULL) {
		AUTO_TEXT place = {0};

		text_put(&place, path.bytes, path.len - 1);
		if (text_check(&place, err) < 0)
			return -ENOMEM;
		keras_moves_put(moves, hdf5_object(vars->hdf5, object->object)->link,
			place.bytes);
	}
	text_puts(&path, VARS);
	if (text_check(&path, err) < 0)
		return -ENOMEM;
	if (object == NULL || object->named)
		keras_moves_string(moves, path.bytes, "name", name.bytes);
	return 0;
}

/* What became of one folder's tree. */
static int moves_below(struct keras_vars *vars, struct keras_moves *moves,
	struct node *top, struct error *err)
{
	int rc = 0;

	for (struct node *node = top; rc == 0 && node != NULL;
		node = tree_walk(top, node)) {
		unsigned what = node->edit != NULL ? node->edit->what : 0;

		if ((what & (EDIT_ADDED | EDIT_MOVED)) == 0 || node == top)
			continue;
		if (node->kind == NODE_TENSOR)
			rc = moves_tensor(vars, moves, node, err);
		else if (node->kind == NODE_FOLDER)
			rc = moves_folder(vars, moves, node, err);
	}
	return rc;
}

/* Groups that lost all variables stay where a folder still says something. */
static void keep_documented(struct keras_vars *vars, struct keras_moves *moves)
{
	if (vars->inside != 0)
		keras_moves_keep(moves, vars->inside);
	for (size_t i = 0; i < vars->n; i++) {
		const struct keras_object *object = &vars->objects[i];
		struct node *node = object->folder->parent != NULL
					    ? tree_first(object->folder)
					    : NULL;

		while (node != NULL && node->kind != NODE_DOCUMENT)
			node = node->next;
		if (node == NULL)
			continue;
		keras_moves_keep(moves, object->object);
		if (object->vars != 0)
			keras_moves_keep(moves, object->vars);
	}
}

int keras_vars_moves(
	struct keras_vars *vars, struct keras_moves *moves, struct error *err)
{
	struct tree *tree = vars->model->tree;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < vars->n_roots; i++)
		if (vars->objects[i].folder->parent != NULL)
			rc = moves_below(vars, moves, vars->objects[i].folder, err);
	for (struct edit *edit = tree->edits; edit != NULL; edit = edit->next) {
		const struct keras_object *object;

		if ((edit->what & EDIT_REMOVED) == 0)
			continue;
		if (edit->node->kind == NODE_TENSOR)
			keras_moves_remove(moves, (uint32_t)edit->node->origin);
		object = edit->node->kind == NODE_FOLDER ? object_of(vars, edit->node)
							 : NULL;
		if (object != NULL)
			keras_moves_remove(
				moves, hdf5_object(vars->hdf5, object->object)->link);
	}
	keep_documented(vars, moves);
	return rc;
}
