/*
 * keras_moves: wishes become lifts, removals, new groups and placements, in the order
 * that hdf5.h says always works. The hard part is what a group's fate means for
 * those around it: see `struct keras_standing`.
 */
#include "decoders/grammar/keras_moves.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/hdf5.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum wish {
	WISH_PUT,
	WISH_REMOVE,
	WISH_NEW,
	WISH_KEEP,
	WISH_LIST,
	WISH_STRING,
};

struct keras_move {
	enum wish wish;
	uint32_t link;	   /* PUT, REMOVE */
	uint32_t object;   /* KEEP; PUT: what the link leads to */
	struct node *node; /* NEW */
	char *path;	   /* PUT, NEW, LIST, STRING */
	char *name;	   /* LIST, STRING: the attribute */
	char *strings;	   /* LIST, STRING */
	size_t n;	   /* LIST */
};

/* How an object comes out of the moves. Only of groups. */
struct keras_standing {
	uint32_t went;	/* datasets below that go elsewhere, or are removed */
	uint32_t stays; /* others below */
	bool used;	/* something is put into it, or it is kept */
};

struct keras_made {
	uint32_t group;	  /* in which it is */
	uint32_t object;  /* it */
	const char *name; /* of `len` bytes, in a wish's path */
	size_t len;
};

void keras_moves_done(struct keras_moves *moves)
{
	for (size_t i = 0; i < moves->n; i++) {
		free(moves->list[i].path);
		free(moves->list[i].name);
		free(moves->list[i].strings);
	}
	free(moves->list);
	free(moves->lifted);
	free(moves->objects);
	free(moves->made);
	*moves = (struct keras_moves){0};
}

/* Notes a wish, with a copy of its path; NULL and `rc` without memory. */
static struct keras_move *wish(
	struct keras_moves *moves, enum wish kind, const char *path)
{
	struct keras_move *move;

	if (moves->n == moves->cap) {
		size_t cap = moves->cap != 0 ? moves->cap * 2 : 64;
		void *more = realloc(moves->list, cap * sizeof *moves->list);

		moves->rc = more == NULL ? -ENOMEM : moves->rc;
		if (more == NULL)
			return NULL;
		moves->list = more;
		moves->cap = cap;
	}
	move = &moves->list[moves->n];
	*move = (struct keras_move){.wish = kind};
	if (path != NULL && (move->path = strdup(path)) == NULL) {
		moves->rc = -ENOMEM;
		return NULL;
	}
	moves->n++;
	return move;
}

void keras_moves_put(struct keras_moves *moves, uint32_t link, const char *path)
{
	struct keras_move *move = wish(moves, WISH_PUT, path);

	if (move != NULL) {
		move->link = link;
		move->object = hdf5_link(moves->hdf5, link)->object;
	}
}

void keras_moves_remove(struct keras_moves *moves, uint32_t link)
{
	struct keras_move *move = wish(moves, WISH_REMOVE, NULL);

	if (move != NULL)
		move->link = link;
}

void keras_moves_new(struct keras_moves *moves, struct node *node, const char *path)
{
	struct keras_move *move = wish(moves, WISH_NEW, path);

	if (move != NULL)
		move->node = node;
}

void keras_moves_keep(struct keras_moves *moves, uint32_t object)
{
	struct keras_move *move = wish(moves, WISH_KEEP, NULL);

	if (move != NULL)
		move->object = object;
}

static void wish_strings(struct keras_moves *moves, struct keras_move *move,
	const char *name, const char *strings, size_t len)
{
	if (move == NULL)
		return;
	move->name = strdup(name);
	move->strings = malloc(len + 1);
	if (move->name == NULL || move->strings == NULL) {
		moves->rc = -ENOMEM;
		return;
	}
	if (len != 0)
		memcpy(move->strings, strings, len);
	move->strings[len] = '\0';
}

void keras_moves_list(struct keras_moves *moves, const char *path, const char *name,
	const struct text *strings, size_t n)
{
	struct keras_move *move = wish(moves, WISH_LIST, path);

	if (move != NULL)
		move->n = n;
	wish_strings(moves, move, name, strings->bytes, strings->len);
}

void keras_moves_string(
	struct keras_moves *moves, const char *path, const char *name, const char *value)
{
	struct keras_move *move = wish(moves, WISH_STRING, path);

	wish_strings(moves, move, name, value, strlen(value));
}

static bool is_group(const struct keras_moves *moves, uint32_t object)
{
	const struct hdf5_object *it = hdf5_object(moves->hdf5, object);

	return it != NULL && it->kind == HDF5_GROUP;
}

/* The place that a link is wished to. */
static const char *wished(const struct keras_moves *moves, uint32_t link)
{
	for (size_t i = 0; i < moves->n; i++)
		if (moves->list[i].wish == WISH_PUT && moves->list[i].link == link)
			return moves->list[i].path;
	return NULL;
}

/* Where a link is once the groups have moved that are wished elsewhere. */
static void path_after(const struct keras_moves *moves, uint32_t link, struct text *out)
{
	const struct hdf5_link *it = hdf5_link(moves->hdf5, link);
	const char *moved = NULL;

	while (moved == NULL && it->group != 0) {
		moved = moves->lifted[link] ? wished(moves, link) : NULL;
		if (out->len != 0)
			text_splice(out, 0, 0, "/", 1);
		if (moved != NULL)
			text_splice(out, 0, 0, moved, strlen(moved));
		else
			text_splice(out, 0, 0, it->name, it->len);
		link = hdf5_object(moves->hdf5, it->group)->link;
		it = hdf5_link(moves->hdf5, link);
	}
}

/* Lifts what is not where it shall be: groups or all others. */
static int mark_lifted(struct keras_moves *moves, bool groups, struct error *err)
{
	for (size_t i = 0; i < moves->n; i++) {
		struct keras_move *move = &moves->list[i];
		AUTO_TEXT path = {0};

		if (move->wish == WISH_REMOVE)
			moves->lifted[move->link] = 1;
		if (move->wish != WISH_PUT || is_group(moves, move->object) != groups)
			continue;
		path_after(moves, move->link, &path);
		text_putc(&path, '\0');
		if (text_check(&path, err) < 0)
			return -ENOMEM;
		moves->lifted[move->link] = strcmp(path.bytes, move->path) != 0;
	}
	return 0;
}

/* Counts a dataset's link, or whatever is no group, for all groups around it. */
static void count_around(struct keras_moves *moves, uint32_t link)
{
	bool went = moves->lifted[link];
	uint32_t group = hdf5_link(moves->hdf5, link)->group;

	while (group != 0) {
		uint32_t place = hdf5_object(moves->hdf5, group)->link;

		if (went)
			moves->objects[group].went++;
		else
			moves->objects[group].stays++;
		went = went || moves->lifted[place];
		group = hdf5_link(moves->hdf5, place)->group;
	}
}

static const struct keras_made *made_find(
	const struct keras_moves *moves, uint32_t group, const char *name, size_t len)
{
	for (size_t i = 0; i < moves->n_made; i++)
		if (moves->made[i].group == group && moves->made[i].len == len &&
			memcmp(moves->made[i].name, name, len) == 0)
			return &moves->made[i];
	return NULL;
}

/* The group called `name` in `group` as it will be; 0: there is none yet. */
static uint32_t step(
	const struct keras_moves *moves, uint32_t group, const char *name, size_t len)
{
	const struct keras_made *made = made_find(moves, group, name, len);
	uint32_t link, object;

	if (made != NULL)
		return made->object;
	link = group <= hdf5_n_objects(moves->hdf5)
		       ? hdf5_child(moves->hdf5, group, name, len)
		       : 0;
	object = link != 0 ? hdf5_link(moves->hdf5, link)->object : 0;
	return object != 0 && !moves->lifted[link] && is_group(moves, object) ? object
									      : 0;
}

static int made_add(struct keras_moves *moves, uint32_t group, const char *name,
	size_t len, uint32_t object, struct error *err)
{
	if (moves->n_made == moves->cap_made) {
		size_t cap = moves->cap_made != 0 ? moves->cap_made * 2 : 64;
		void *more = realloc(moves->made, cap * sizeof *moves->made);

		if (more == NULL)
			return error_set(err, ENOMEM, "not enough memory");
		moves->made = more;
		moves->cap_made = cap;
	}
	moves->made[moves->n_made++] = (struct keras_made){group, object, name, len};
	return 0;
}

/* Splits off the next name of a path. */
static bool path_next(const char **path, const char **name, size_t *len)
{
	if (**path == '\0')
		return false;
	*name = *path;
	*len = strcspn(*path, "/");
	*path += *len + ((*path)[*len] == '/');
	return true;
}

static int path_check(const char *path, struct error *err)
{
	const char *rest = path, *name;
	size_t len;

	while (path_next(&rest, &name, &len))
		if (len == 0 || (len == 1 && *name == '.'))
			return error_set(err, EINVAL,
				"%s: no object of HDF5 can have this name", path);
	if (*path != '\0' && path[strlen(path) - 1] == '/')
		return error_set(err, EINVAL,
			"%s: no object of HDF5 can have an empty name", path);
	return 0;
}

/* Whether something is wished to be at `path`, or below. */
static bool is_wanted(const struct keras_moves *moves, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < moves->n; i++) {
		const struct keras_move *move = &moves->list[i];

		if (move->path == NULL || strncmp(move->path, path, len) != 0 ||
			(move->path[len] != '/' && move->path[len] != '\0') ||
			(move->wish == WISH_PUT && !moves->lifted[move->link]))
			continue;
		return true;
	}
	return false;
}

/* Finds the groups that lose their last dataset and get another. */
static int mark_used(struct keras_moves *moves, struct error *err)
{
	for (uint32_t object = 1; object <= hdf5_n_objects(moves->hdf5); object++) {
		struct keras_standing *standing = &moves->objects[object];
		AUTO_TEXT path = {0};

		if (standing->went == 0 || standing->stays != 0)
			continue;
		path_after(moves, hdf5_object(moves->hdf5, object)->link, &path);
		text_put(&path, "", 0);
		if (text_check(&path, err) < 0)
			return -ENOMEM;
		standing->used = is_wanted(moves, path.bytes);
	}
	return 0;
}

/* A group of which nothing is left. */
static bool emptied(const struct keras_moves *moves, uint32_t object)
{
	const struct keras_standing *standing = &moves->objects[object];

	return is_group(moves, object) && standing->went != 0 && standing->stays == 0 &&
	       !standing->used && object != HDF5_ROOT &&
	       !moves->lifted[hdf5_object(moves->hdf5, object)->link];
}

/* Whether something around a link goes, and the link with it. */
static bool goes_along(const struct keras_moves *moves, uint32_t link)
{
	for (uint32_t group = hdf5_link(moves->hdf5, link)->group; group != 0;
		group = hdf5_link(moves->hdf5, hdf5_object(moves->hdf5, group)->link)
				->group)
		if (emptied(moves, group))
			return true;
	return false;
}

static int judge(struct keras_moves *moves, struct error *err)
{
	uint32_t n = hdf5_n_links(moves->hdf5);
	int rc;

	moves->lifted = calloc(n + 1, sizeof *moves->lifted);
	moves->objects = calloc(hdf5_n_objects(moves->hdf5) + 1, sizeof *moves->objects);
	if (moves->lifted == NULL || moves->objects == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	rc = mark_lifted(moves, true, err);
	if (rc == 0)
		rc = mark_lifted(moves, false, err);
	for (uint32_t link = HDF5_ROOT + 1; rc == 0 && link <= n; link++)
		if (!is_group(moves, hdf5_link(moves->hdf5, link)->object))
			count_around(moves, link);
	if (rc == 0)
		rc = mark_used(moves, err);
	for (size_t i = 0; rc == 0 && i < moves->n; i++) {
		struct keras_move *move = &moves->list[i];

		if (move->wish == WISH_KEEP)
			moves->objects[move->object].used = true;
		else if (move->path != NULL)
			rc = path_check(move->path, err);
	}
	return rc;
}

/* Deep links first: numbers grow with depth. */
static int lift(struct keras_moves *moves, struct hdf5_edit *edit, struct error *err)
{
	unsigned char *put = calloc(hdf5_n_links(moves->hdf5) + 1, 1);
	int rc = put == NULL ? error_set(err, ENOMEM, "not enough memory") : 0;

	for (size_t i = 0; rc == 0 && i < moves->n; i++)
		if (moves->list[i].wish == WISH_PUT)
			put[moves->list[i].link] = 1;
	for (uint32_t link = hdf5_n_links(moves->hdf5); rc == 0 && link > 0; link--)
		if (moves->lifted[link] && put[link])
			rc = hdf5_edit_lift(edit, link, err);
	for (uint32_t link = hdf5_n_links(moves->hdf5); rc == 0 && link > 0; link--) {
		uint32_t object = hdf5_link(moves->hdf5, link)->object;
		bool goes = (moves->lifted[link] && !put[link]) ||
			    (object != 0 && emptied(moves, object) &&
				    hdf5_real(moves->hdf5, link));

		if (goes && !goes_along(moves, link))
			rc = hdf5_edit_unlink(edit, link, err);
	}
	free(put);
	return rc;
}

static int make_group(struct keras_moves *moves, struct hdf5_edit *edit, uint32_t group,
	const char *name, size_t len, uint32_t *out, struct error *err)
{
	AUTO_TEXT copy = {0};
	int rc;

	text_put(&copy, name, len);
	rc = text_check(&copy, err);
	if (rc == 0)
		rc = hdf5_edit_group(edit, group, copy.bytes, copy.len, out, err);
	return rc < 0 ? rc : made_add(moves, group, name, len, *out, err);
}

/* The group at a path as it is now; missing ones are made. */
static int group_at(struct keras_moves *moves, struct hdf5_edit *edit, const char *path,
	size_t path_len, uint32_t *out, struct error *err)
{
	const char *rest = path, *name;
	uint32_t group = HDF5_ROOT;
	size_t len;
	int rc = 0;

	while (rc == 0 && (size_t)(rest - path) < path_len &&
		path_next(&rest, &name, &len)) {
		uint32_t next = step(moves, group, name, len);

		if (next == 0)
			rc = make_group(moves, edit, group, name, len, &next, err);
		group = next;
	}
	if (rc == 0)
		*out = group;
	return rc;
}

/* Where the last name of a path begins. */
static size_t last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? (size_t)(slash - path) + 1 : 0;
}

static int place(struct keras_moves *moves, struct hdf5_edit *edit,
	const struct keras_move *move, struct error *err)
{
	size_t last = last_name(move->path);
	const char *name = move->path + last;
	uint32_t group, object;
	int rc = group_at(moves, edit, move->path, last, &group, err);

	if (rc < 0)
		return rc;
	if (move->wish == WISH_PUT) {
		rc = hdf5_edit_place(edit, move->link, group, name, strlen(name), err);
		if (rc == 0 && is_group(moves, move->object))
			rc = made_add(
				moves, group, name, strlen(name), move->object, err);
		return rc;
	}
	rc = hdf5_edit_dataset(edit, group, name, strlen(name),
		tree_tensor_now(move->node), move->node->edit->content, &object, err);
	if (rc == 0 && (move->node->edit->what & EDIT_SIDECAR) != 0)
		rc = hdf5_edit_sidecar(edit, object, move->node->edit->sidecar.bytes,
			move->node->edit->sidecar.len, err);
	return rc;
}

/* Puts lifted groups, the shortest path first, so that one can be put into another. */
static int place_groups(
	struct keras_moves *moves, struct hdf5_edit *edit, struct error *err)
{
	int rc = 0;

	for (size_t len = 0, next; rc == 0 && len != SIZE_MAX; len = next) {
		next = SIZE_MAX;
		for (size_t i = 0; rc == 0 && i < moves->n; i++) {
			struct keras_move *move = &moves->list[i];
			size_t own = move->wish == WISH_PUT ? strlen(move->path) : 0;

			if (move->wish != WISH_PUT || !moves->lifted[move->link] ||
				!is_group(moves, move->object) || own < len)
				continue;
			if (own == len)
				rc = place(moves, edit, move, err);
			else if (own < next)
				next = own;
		}
	}
	return rc;
}

/* numpy's empty list is one of numbers, and no name fits into its type. */
static bool is_list_of_none(
	const struct keras_moves *moves, uint32_t group, const char *name)
{
	AUTO_TEXT strings = {0};
	size_t n = 0;

	return group <= hdf5_n_objects(moves->hdf5) &&
	       hdf5_strings(moves->hdf5, group, name, &strings, &n, NULL) == 0 && n == 0;
}

static int set_strings(struct keras_moves *moves, struct hdf5_edit *edit,
	const struct keras_move *move, struct error *err)
{
	uint32_t group;
	int rc = group_at(moves, edit, move->path, strlen(move->path), &group, err);

	if (rc < 0)
		return rc;
	if (move->wish == WISH_LIST && is_list_of_none(moves, group, move->name))
		rc = hdf5_edit_remove_attribute(edit, group, move->name, err);
	if (rc < 0)
		return rc;
	if (move->wish == WISH_LIST)
		return hdf5_edit_strings(
			edit, group, move->name, move->strings, move->n, err);
	return hdf5_edit_string(
		edit, group, move->name, move->strings, strlen(move->strings), err);
}

int keras_moves_run(struct keras_moves *moves, struct hdf5_edit *edit, struct error *err)
{
	int rc = moves->rc < 0 ? error_set(err, ENOMEM, "not enough memory") : 0;

	if (rc == 0)
		rc = judge(moves, err);
	if (rc == 0)
		rc = lift(moves, edit, err);
	if (rc == 0)
		rc = place_groups(moves, edit, err);
	for (size_t i = 0; rc == 0 && i < moves->n; i++) {
		struct keras_move *move = &moves->list[i];

		if (move->wish == WISH_NEW ||
			(move->wish == WISH_PUT && moves->lifted[move->link] &&
				!is_group(moves, move->object)))
			rc = place(moves, edit, move, err);
	}
	for (size_t i = 0; rc == 0 && i < moves->n; i++)
		if (moves->list[i].wish >= WISH_LIST)
			rc = set_strings(moves, edit, &moves->list[i], err);
	return rc;
}
