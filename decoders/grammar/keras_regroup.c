/*
 * keras_regroup: what edits of layers and their weights ask of their groups.
 *
 * The whole tree is looked at anew: every weight is a member of the layer in whose folder
 * it is now, gets a name like that of its siblings, and the rule of keras_names must give
 * the tree's name back for all members of a layer together. So it does not matter
 * which edits led there.
 */
#include "decoders/base/error.h"
#include "decoders/base/names.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/hdf5.h"
#include "decoders/grammar/keras_config.h"
#include "decoders/grammar/keras_groups.h"
#include "decoders/grammar/keras_moves.h"
#include "decoders/grammar/keras_names.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A weight as the container has it. */
struct past {
	uint32_t link;
	uint32_t group;		    /* in groups->list */
	uint32_t member;	    /* what it becomes; KERAS_NONE: nothing */
	struct keras_weight weight; /* its name is in the group's `below` */
};

/* A weight as it shall be. */
struct member {
	struct node *node;
	uint32_t crew;
	uint32_t past;	   /* in pasts; KERAS_NONE */
	uint32_t turn;	   /* in the order of the tree */
	char *tree, *name; /* its name in the tree and in the container; owned */
};

/* A layer as it shall be; the first ones are those of groups->list. */
struct crew {
	struct node *folder;
	char *name;		     /* owned; NULL: is no longer there */
	uint32_t first, n;	     /* its members */
	uint32_t n_past, first_past; /* its weights as they were */
	bool plain;		     /* names are no longer formed like the old ones */
	struct keras_below below;
};

struct regrouping {
	struct keras_groups *groups;
	const struct keras_config *config; /* as it shall be */
	struct keras_moves *moves;
	struct past *pasts;
	uint32_t n_pasts, cap_pasts;
	uint32_t *past_of;  /* by link: its number in pasts, from 1 */
	unsigned char *put; /* by link: a group that has its wish */
	struct member *members;
	uint32_t n_members;
	struct crew *crews;
	uint32_t n_crews, cap_crews;
};

static void regrouping_done(struct regrouping *re)
{
	for (uint32_t i = 0; i < re->n_members; i++) {
		free(re->members[i].tree);
		free(re->members[i].name);
	}
	for (uint32_t i = 0; i < re->n_crews; i++) {
		free(re->crews[i].name);
		keras_below_done(&re->crews[i].below);
	}
	free(re->members);
	free(re->crews);
	free(re->pasts);
	free(re->past_of);
	free(re->put);
}

static int out_of_memory(struct error *err)
{
	return error_set(err, ENOMEM, "not enough memory");
}

/* Makes room for one more of a list that doubles. */
static int grow(void **list, uint32_t n, uint32_t *cap, size_t size, struct error *err)
{
	void *more;

	if (n < *cap)
		return 0;
	more = reallocarray(*list, *cap != 0 ? *cap * 2 : 64, size);
	if (more == NULL)
		return out_of_memory(err);
	*list = more;
	*cap = *cap != 0 ? *cap * 2 : 64;
	return 0;
}

static int crew_add(struct regrouping *re, struct node *folder, struct error *err)
{
	int rc = grow(
		(void **)&re->crews, re->n_crews, &re->cap_crews, sizeof *re->crews, err);

	if (rc == 0)
		re->crews[re->n_crews++] = (struct crew){.folder = folder};
	return rc;
}

static int add_past(struct regrouping *re, struct past past, struct error *err)
{
	int rc = grow(
		(void **)&re->pasts, re->n_pasts, &re->cap_pasts, sizeof *re->pasts, err);

	if (rc < 0)
		return rc;
	re->pasts[re->n_pasts++] = past;
	re->past_of[past.link] = re->n_pasts;
	re->crews[past.group].n_past++;
	return 0;
}

/* The weights of a layer as the container has them. */
static int read_past(struct regrouping *re, uint32_t i, struct error *err)
{
	const struct keras_group *group = &re->groups->list[i];
	struct keras_scope scope = {.layer = group->name};
	struct crew *crew = &re->crews[i];
	struct keras_weight *weights;
	int rc = keras_groups_below(re->groups, group->object, &crew->below, err);

	if (rc < 0)
		return rc;
	if (group->layer != KERAS_NONE) {
		scope.config = re->groups->config;
		scope.top = group->layer;
	}
	weights = calloc(crew->below.n_datasets + 1, sizeof *weights);
	if (weights == NULL)
		return out_of_memory(err);
	for (size_t k = 0; k < crew->below.n_datasets; k++)
		weights[k].name = crew->below.names.bytes + crew->below.datasets[k].name;
	rc = keras_names_read(&scope, weights, crew->below.n_datasets, err);
	crew->first_past = re->n_pasts;
	for (size_t k = 0; rc == 0 && k < crew->below.n_datasets; k++) {
		const struct past past = {
			crew->below.datasets[k].link, i, KERAS_NONE, weights[k]};

		rc = add_past(re, past, err);
	}
	free(weights);
	return rc;
}

static int read_pasts(struct regrouping *re, struct error *err)
{
	int rc = 0;

	re->past_of = calloc(hdf5_n_links(re->groups->hdf5) + 1, sizeof *re->past_of);
	re->put = calloc(hdf5_n_links(re->groups->hdf5) + 1, sizeof *re->put);
	if (re->past_of == NULL || re->put == NULL)
		return out_of_memory(err);
	for (uint32_t i = 0; rc == 0 && i < re->groups->n; i++)
		rc = crew_add(re, re->groups->list[i].folder, err);
	for (uint32_t i = 0; rc == 0 && i < re->groups->n; i++)
		rc = read_past(re, i, err);
	return rc;
}

/* The crew of a tensor: that of the nearest layer around, else of the first folder. */
static int crew_of(struct regrouping *re, const struct node *tensor, uint32_t *out,
	struct error *err)
{
	struct node *folder = tensor->parent, *layers = re->groups->layers;

	if (folder == layers)
		return error_set(err, EOPNOTSUPP,
			"%s: expected a weight in the folder of a layer", tensor->name);
	while (folder->origin == 0 && folder->parent != layers)
		folder = folder->parent;
	if (folder->origin != 0) {
		*out = (uint32_t)(folder->origin - 1);
		return 0;
	}
	for (uint32_t i = re->n_crews; i > re->groups->n; i--)
		if (re->crews[i - 1].folder == folder) {
			*out = i - 1;
			return 0;
		}
	*out = re->n_crews;
	return crew_add(re, folder, err);
}

/* The container's name of a node below `top`. */
static int name_below(const struct node *node, const struct node *top,
	enum names_place place, char **out, struct error *err)
{
	AUTO_TEXT path = {0}, name = {0};

	for (; node != top && node != NULL; node = node->parent) {
		if (path.len != 0)
			text_splice(&path, 0, 0, "/", 1);
		text_splice(&path, 0, 0, node->name, strlen(node->name));
	}
	if (text_check(&path, err) < 0)
		return -ENOMEM;
	if (!names_name(path.bytes, path.len, '/', place, &name))
		return error_set(err, EOPNOTSUPP,
			"%s: no layer or weight can have this name", path.bytes);
	*out = text_take(&name, NULL);
	return *out != NULL ? 0 : out_of_memory(err);
}

static int member_add(
	struct regrouping *re, uint32_t *cap, struct node *node, struct error *err)
{
	struct member member = {.node = node, .past = KERAS_NONE, .turn = re->n_members};
	bool added = node->edit != NULL && (node->edit->what & EDIT_ADDED) != 0;
	int rc =
		grow((void **)&re->members, re->n_members, cap, sizeof *re->members, err);

	if (rc == 0)
		rc = crew_of(re, node, &member.crew, err);
	if (rc == 0)
		rc = name_below(node, re->crews[member.crew].folder, NAMES_STEM,
			&member.tree, err);
	if (rc < 0)
		return rc;
	if (!added && re->past_of[node->origin] != 0)
		member.past = re->past_of[node->origin] - 1;
	re->members[re->n_members++] = member;
	re->crews[member.crew].n++;
	return 0;
}

static int order_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->crew != y->crew)
		return x->crew < y->crew ? -1 : 1;
	return x->turn < y->turn ? -1 : 1;
}

/* Links that are not followed are tensors in the tree, and no layer's weights. */
static bool is_weight(const struct regrouping *re, const struct node *tensor)
{
	bool added = tensor->edit != NULL && (tensor->edit->what & EDIT_ADDED) != 0;

	return added || re->past_of[tensor->origin] != 0;
}

/* Assigns the tensors of the tree to layers: each crew's are side by side. */
static int read_members(struct regrouping *re, struct error *err)
{
	struct node *layers = re->groups->layers;
	uint32_t cap = 0, first = 0;
	int rc = 0;

	for (struct node *node = tree_walk(layers, layers); rc == 0 && node != NULL;
		node = tree_walk(layers, node))
		if (node->kind == NODE_TENSOR && is_weight(re, node))
			rc = member_add(re, &cap, node, err);
	if (rc < 0)
		return rc;
	if (re->n_members != 0)
		qsort(re->members, re->n_members, sizeof *re->members, order_members);
	for (uint32_t i = 0; i < re->n_crews; i++) {
		re->crews[i].first = first;
		first += re->crews[i].n;
	}
	for (uint32_t k = 0; k < re->n_members; k++)
		if (re->members[k].past != KERAS_NONE)
			re->pasts[re->members[k].past].member = k;
	return 0;
}

static bool in_tree(const struct regrouping *re, const struct node *node)
{
	while (node != NULL && node != re->groups->layers)
		node = node->parent;
	return node != NULL;
}

static bool has_document(const struct node *folder)
{
	for (struct node *node = tree_first(folder); node != NULL; node = node->next)
		if (node->kind == NODE_DOCUMENT)
			return true;
	return false;
}

/* Names the layers that are left. A folder out of which all weights were taken is the
 * rest of a layer that was removed, if nothing else was said about it. */
static int name_crews(struct regrouping *re, struct error *err)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < re->n_crews; i++) {
		struct crew *crew = &re->crews[i];

		if (in_tree(re, crew->folder) &&
			(crew->n != 0 || crew->n_past == 0 || has_document(crew->folder)))
			rc = name_below(crew->folder, re->groups->layers, NAMES_FOLDER,
				&crew->name, err);
	}
	return rc;
}

/* A weight whose name shows how those of this crew are formed; NULL. */
static const struct past *example(
	const struct regrouping *re, const struct member *member)
{
	const struct crew *crew = &re->crews[member->crew];

	if (member->past != KERAS_NONE && re->pasts[member->past].group == member->crew)
		return &re->pasts[member->past];
	if (crew->n_past != 0)
		return &re->pasts[crew->first_past];
	for (uint32_t i = 0; i < re->n_pasts; i++)
		if (re->pasts[i].weight.match != 0)
			return &re->pasts[i];
	return NULL;
}

static int form(const struct regrouping *re, struct member *member, bool plainly,
	struct error *err)
{
	const struct past *like = example(re, member);
	const char *layer = re->crews[member->crew].name;
	AUTO_TEXT name = {0};

	if (like == NULL || plainly) {
		const char *tail = ":0";

		if (like != NULL)
			tail = like->weight.name + like->weight.tree +
			       like->weight.tree_len;
		text_printf(&name, "%s/%s%s", layer, member->tree, tail);
	} else {
		keras_names_write(&like->weight, re->groups->list[like->group].name,
			layer, member->tree, &name);
	}
	free(member->name);
	member->name = text_take(&name, NULL);
	return member->name != NULL ? 0 : out_of_memory(err);
}

/* Whether the rule reads a crew's names as the tree has them: 1, 0 or -ENOMEM. */
static int names_hold(const struct regrouping *re, uint32_t i, struct error *err)
{
	const struct crew *crew = &re->crews[i];
	struct member *members = re->members + crew->first;
	struct keras_scope scope = {.layer = crew->name};
	struct keras_weight *weights = calloc(crew->n + 1, sizeof *weights);
	int rc;

	if (weights == NULL)
		return out_of_memory(err);
	if (i < re->groups->n && re->groups->list[i].layer != KERAS_NONE) {
		scope.config = re->config;
		scope.top = re->groups->list[i].layer;
	}
	for (uint32_t k = 0; k < crew->n; k++)
		weights[k].name = members[k].name;
	rc = keras_names_read(&scope, weights, crew->n, err);
	for (uint32_t k = 0; rc == 0 && k < crew->n; k++)
		if (strlen(members[k].tree) != weights[k].tree_len ||
			memcmp(members[k].tree, weights[k].name + weights[k].tree,
				weights[k].tree_len) != 0)
			rc = 1;
	free(weights);
	return rc < 0 ? rc : rc == 0;
}

/* Finds names for all weights of a crew. */
static int form_crew(struct regrouping *re, uint32_t i, struct error *err)
{
	const struct crew *crew = &re->crews[i];
	int rc = 0, holds = 0;

	for (int plainly = 0; holds == 0 && plainly < 2; plainly++) {
		for (uint32_t k = 0; rc == 0 && k < crew->n; k++)
			rc = form(re, &re->members[crew->first + k], plainly, err);
		if (rc < 0)
			return rc;
		holds = names_hold(re, i, err);
		re->crews[i].plain = plainly != 0;
	}
	if (holds == 0)
		return error_set(err, EOPNOTSUPP,
			"%s: the names of its weights cannot follow", crew->name);
	return holds < 0 ? holds : 0;
}

/* The path of a crew's group, or of something in it. */
static int place(const struct regrouping *re, const char *layer, const char *name,
	struct text *out, struct error *err)
{
	text_clear(out);
	if (re->groups->base != HDF5_ROOT) {
		uint32_t link = hdf5_object(re->groups->hdf5, re->groups->base)->link;

		text_puts(out, hdf5_link(re->groups->hdf5, link)->name);
	}
	if (layer != NULL)
		text_printf(out, "%s%s", out->len != 0 ? "/" : "", layer);
	if (name != NULL)
		text_printf(out, "/%s", name);
	text_put(out, "", 0);
	return text_check(out, err);
}

/* The group in a layer's group that is called by the layer as well, around a weight, gets
 * its new name where that is free, so that it stays the group that it is. */
static int move_scope(
	struct regrouping *re, uint32_t i, const struct past *past, struct error *err)
{
	const struct keras_group *group = &re->groups->list[i];
	const struct hdf5 *hdf5 = re->groups->hdf5;
	const struct keras_weight *weight = &past->weight;
	size_t own = strlen(group->name), len = weight->lead + weight->match;
	uint32_t link = hdf5_resolve(hdf5, group->object, weight->name, len);
	__attribute__((cleanup(text_done))) struct text name = {0}, path = {0};
	int rc;

	if (weight->match == 0 || link == 0 || !hdf5_real(hdf5, link) || re->put[link])
		return 0;
	text_put(&name, weight->name, weight->lead);
	text_puts(&name, re->crews[i].name);
	text_put(&name, weight->name + weight->lead + own, weight->match - own);
	rc = text_check(&name, err);
	if (rc == 0)
		rc = place(re, re->crews[i].name, name.bytes, &path, err);
	if (rc < 0 || hdf5_resolve(hdf5, group->object, name.bytes, name.len) != 0)
		return rc;
	re->put[link] = 1;
	keras_moves_put(re->moves, link, path.bytes);
	return 0;
}

/* Says where the group of a layer shall be that has another name. */
static int move_group(
	struct regrouping *re, uint32_t i, const char *path, struct error *err)
{
	const struct crew *crew = &re->crews[i];
	uint32_t object = re->groups->list[i].object;
	int rc = 0;

	keras_moves_put(re->moves, hdf5_object(re->groups->hdf5, object)->link, path);
	for (uint32_t k = 0; rc == 0 && !crew->plain && k < crew->n_past; k++)
		rc = move_scope(re, i, &re->pasts[crew->first_past + k], err);
	return rc;
}

/* Says where a crew's group and members shall be. */
static int move_crew(struct regrouping *re, uint32_t i, struct error *err)
{
	const struct crew *crew = &re->crews[i];
	AUTO_TEXT path = {0};
	int rc = place(re, crew->name, NULL, &path, err);

	if (rc == 0 && i < re->groups->n &&
		strcmp(re->groups->list[i].name, crew->name) != 0)
		rc = move_group(re, i, path.bytes, err);
	for (uint32_t k = crew->first; rc == 0 && k < crew->first + crew->n; k++) {
		const struct member *member = &re->members[k];
		const struct past *past =
			member->past != KERAS_NONE ? &re->pasts[member->past] : NULL;

		if (past != NULL && past->group == i &&
			strcmp(past->weight.name, member->name) == 0)
			continue;
		rc = place(re, crew->name, member->name, &path, err);
		if (rc < 0)
			return rc;
		if (member->node->edit != NULL &&
			(member->node->edit->what & EDIT_ADDED) != 0)
			keras_moves_new(re->moves, member->node, path.bytes);
		else
			keras_moves_put(
				re->moves, (uint32_t)member->node->origin, path.bytes);
	}
	return rc;
}

/* A list of names that is kept in order while names change, go and come. */
struct listing {
	struct text names;
	size_t n;
	bool changed;
};

static void listing_put(struct listing *listing, const char *name)
{
	text_put(&listing->names, name, strlen(name) + 1);
	listing->n++;
}

/* A new weight stands before the first that its layer makes later. */
static void listing_insert(struct listing *listing, const char *name)
{
	size_t at = 0;

	while (at < listing->names.len &&
		keras_names_order(name, listing->names.bytes + at) >= 0)
		at += strlen(listing->names.bytes + at) + 1;
	text_splice(&listing->names, at, 0, name, strlen(name) + 1);
	listing->n++;
}

/* What a name of a crew's weight_names becomes; NULL: nothing. A name that leads nowhere
 * stays: it is not ours to mend. */
static const char *renamed_weight(struct regrouping *re, uint32_t i, const char *old)
{
	uint32_t link = hdf5_resolve(
		re->groups->hdf5, re->groups->list[i].object, old, strlen(old));
	uint32_t past = link != 0 ? re->past_of[link] : 0;
	uint32_t member;

	if (past == 0)
		return old;
	member = re->pasts[past - 1].member;
	return member != KERAS_NONE && re->members[member].crew == i
		       ? re->members[member].name
		       : NULL;
}

/* weight_names of a crew. */
static int list_weights(struct regrouping *re, uint32_t i, struct error *err)
{
	__attribute__((cleanup(text_done))) struct text old = {0}, path = {0};
	const struct crew *crew = &re->crews[i];
	struct listing now = {.changed = i >= re->groups->n};
	size_t n = 0;
	int rc = i >= re->groups->n
			 ? 0
			 : hdf5_strings(re->groups->hdf5, re->groups->list[i].object,
				   "weight_names", &old, &n, err);
	const char *name = old.bytes;

	if (rc < 0 && rc != -ENOENT)
		return rc;
	for (size_t k = 0; k < n; k++, name += strlen(name) + 1) {
		const char *new = renamed_weight(re, i, name);

		now.changed = now.changed || new == NULL || strcmp(new, name) != 0;
		if (new != NULL)
			listing_put(&now, new);
	}
	for (uint32_t k = crew->first; k < crew->first + crew->n; k++) {
		uint32_t past = re->members[k].past;

		if (past != KERAS_NONE && re->pasts[past].group == i)
			continue;
		listing_insert(&now, re->members[k].name);
		now.changed = true;
	}
	rc = text_check(&now.names, err);
	if (rc == 0)
		rc = place(re, crew->name, NULL, &path, err);
	if (rc == 0 && now.changed)
		keras_moves_list(
			re->moves, path.bytes, "weight_names", &now.names, now.n);
	text_done(&now.names);
	return rc;
}

/* layer_names. The groups are in its order; names without one stay. */
static int list_layers(struct regrouping *re, struct error *err)
{
	__attribute__((cleanup(text_done))) struct text old = {0}, path = {0};
	struct listing now = {0};
	size_t n = 0, group = 0;
	int rc = hdf5_strings(
		re->groups->hdf5, re->groups->base, "layer_names", &old, &n, err);
	const char *name = old.bytes;

	if (rc < 0 && rc != -ENOENT)
		return rc;
	for (size_t k = 0; k < n; k++, name += strlen(name) + 1) {
		const char *new = name;

		if (group < re->groups->n &&
			strcmp(re->groups->list[group].name, name) == 0)
			new = re->crews[group++].name;
		now.changed = now.changed || new == NULL || strcmp(new, name) != 0;
		if (new != NULL)
			listing_put(&now, new);
	}
	for (uint32_t i = (uint32_t)re->groups->n; i < re->n_crews; i++) {
		listing_put(&now, re->crews[i].name);
		now.changed = true;
	}
	rc = text_check(&now.names, err);
	if (rc == 0)
		rc = place(re, NULL, NULL, &path, err);
	if (rc == 0 && now.changed)
		keras_moves_list(re->moves, path.bytes, "layer_names", &now.names, now.n);
	text_done(&now.names);
	return rc;
}

/* What is gone from the tree goes. */
static void remove_nodes(struct regrouping *re)
{
	for (struct edit *edit = re->groups->model->tree->edits; edit != NULL;
		edit = edit->next)
		if ((edit->what & EDIT_REMOVED) != 0 && edit->node->kind == NODE_TENSOR &&
			re->past_of[edit->node->origin] != 0)
			keras_moves_remove(re->moves, (uint32_t)edit->node->origin);
	for (uint32_t i = 0; i < re->groups->n; i++)
		if (re->crews[i].name == NULL && re->crews[i].n_past == 0)
			keras_moves_remove(re->moves,
				hdf5_object(re->groups->hdf5, re->groups->list[i].object)
					->link);
}

int keras_groups_moves(struct keras_groups *groups, const struct keras_config *renamed,
	struct keras_moves *moves, struct error *err)
{
	__attribute__((cleanup(regrouping_done))) struct regrouping re = {
		.groups = groups, .config = renamed, .moves = moves};
	int rc = read_pasts(&re, err);

	if (rc == 0)
		rc = read_members(&re, err);
	if (rc == 0)
		rc = name_crews(&re, err);
	for (uint32_t i = 0; rc == 0 && i < re.n_crews; i++) {
		if (re.crews[i].name == NULL)
			continue;
		rc = form_crew(&re, i, err);
		if (rc == 0)
			rc = move_crew(&re, i, err);
		if (rc == 0)
			rc = list_weights(&re, i, err);
	}
	if (rc == 0)
		rc = list_layers(&re, err);
	if (rc == 0)
		remove_nodes(&re);
	keras_moves_keep(moves, groups->base);
	return rc;
}
