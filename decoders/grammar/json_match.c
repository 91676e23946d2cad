/*
 * json_match: which children of three containers are one another.
 *
 * The outcome is a list of entries in the order in which they are to stand:
 * members where the user put them, elements where the common ones hold them.
 */
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/grammar/json_private.h"
#include <errno.h>
#include <stdlib.h>

void entries_done(struct entries *entries)
{
	free(entries->list);
}

#define AUTO_MEMBERS __attribute__((cleanup(members_done))) struct members
#define AUTO_CHILDREN __attribute__((cleanup(json_children_done))) struct children

static void free_values(json_value **values)
{
	free(*values);
}

#define AUTO_VALUES __attribute__((cleanup(free_values))) json_value

static void add(struct entries *entries, struct entry entry)
{
	entries->list[entries->n++] = entry;
}

int merge_no_memory(struct merge *m)
{
	return error_set(m->err, ENOMEM, "not enough memory to merge two texts");
}

int merge_conflict(struct merge *m, const struct entry *e)
{
	AUTO_TEXT path = {0};

	if (e->edited != JSON_NONE)
		json_path(m->edited.json, e->edited, &path);
	else
		json_path(m->base.json, e->base, &path);
	return error_set(m->err, EINVAL,
		"%s: expected what was there when the document was opened, found that "
		"somebody else has changed it: open it again",
		path.len > 0 ? path.bytes : "the document");
}

/* The members of old in its order, and those of edited in theirs, matched by key and
 * occurrence with each other and with base. */
static int match_members(struct merge *m, const struct entry *at, struct entries *old,
	struct entries *edited)
{
	AUTO_MEMBERS olds = {0}, base = {0}, base_again = {0};
	const struct json *o = m->old.json, *e = m->edited.json;
	const char *key;

	if (members_init(&olds, o, at->old) < 0 ||
		members_init(&base, m->base.json, at->base) < 0 ||
		members_init(&base_again, m->base.json, at->base) < 0)
		return merge_no_memory(m);
	for (json_value v = json_first(o, at->old); v != JSON_NONE; v = json_next(o, v))
		add(old, (struct entry){v, members_take(&base_again, json_key_text(o, v)),
				 JSON_NONE, JSON_NONE});
	for (json_value v = json_first(e, at->edited); v != JSON_NONE;
		v = json_next(e, v)) {
		key = json_key_text(e, v);
		add(edited, (struct entry){members_take(&olds, key),
				    members_take(&base, key), v, JSON_NONE});
	}
	return 0;
}

static int compare_old(const void *key, const void *entry)
{
	json_value a = *(const json_value *)key, b = ((const struct entry *)entry)->old;

	return (a > b) - (a < b);
}

/* Makes entries of one member know each other in both lists. */
static void link_peers(struct entries *old, struct entries *edited)
{
	struct entry *peer;

	for (uint32_t i = 0; i < edited->n; i++) {
		if (edited->list[i].old == JSON_NONE)
			continue;
		peer = bsearch(&edited->list[i].old, old->list, old->n, sizeof *peer,
			compare_old);
		peer->edited = edited->list[i].edited;
		peer->peer = i;
		edited->list[i].peer = (uint32_t)(peer - old->list);
	}
}

/* Whether the user moved members. */
static bool reordered(const struct entries *edited)
{
	json_value last = 0;

	for (uint32_t i = 0; i < edited->n; i++) {
		if (edited->list[i].base == JSON_NONE)
			continue;
		if (edited->list[i].base < last)
			return true;
		last = edited->list[i].base;
	}
	return false;
}

/* Adds the members from place i of a list up to the next that has a peer. */
static void add_run(struct entries *entries, const struct entries *from, uint32_t i)
{
	for (; i < from->n && from->list[i].peer == JSON_NONE; i++)
		add(entries, from->list[i]);
}

/* One list gives the order, the members that only the other has follow the member that
 * they follow there. */
static void weave(
	struct entries *entries, const struct entries *order, const struct entries *other)
{
	add_run(entries, other, 0);
	for (uint32_t i = 0; i < order->n; i++) {
		add(entries, order->list[i]);
		if (order->list[i].peer != JSON_NONE)
			add_run(entries, other, order->list[i].peer + 1);
	}
}

int merge_members(struct merge *m, const struct entry *at, struct entries *entries)
{
	size_t n_old = json_count(m->old.json, at->old),
	       n_edited = json_count(m->edited.json, at->edited);
	AUTO_ENTRIES old = {.list = calloc(n_old + 1, sizeof *old.list)};
	AUTO_ENTRIES edited = {.list = calloc(n_edited + 1, sizeof *edited.list)};
	int rc;

	if (old.list == NULL || edited.list == NULL)
		return merge_no_memory(m);
	rc = match_members(m, at, &old, &edited);
	if (rc < 0)
		return rc;
	link_peers(&old, &edited);
	if (reordered(&edited))
		weave(entries, &edited, &old);
	else
		weave(entries, &old, &edited);
	return 0;
}

/* The elements of old and of edited with their partners in base. */
struct lineup {
	struct children old, base, edited;
	json_value *old_match, *edited_match;
	uint32_t i, j; /* the next of old and of edited */
};

/* Adds what was inserted in front of the next element of base. */
static int add_inserted(struct merge *m, struct lineup *l, struct entries *entries)
{
	uint32_t i = l->i, j = l->j;

	while (l->i < l->old.n && l->old_match[l->i] == JSON_NONE)
		l->i++;
	while (l->j < l->edited.n && l->edited_match[l->j] == JSON_NONE)
		l->j++;
	if (i < l->i && j < l->j && l->i - i != l->j - j)
		return merge_conflict(m, &(struct entry){.edited = l->edited.values[j]});
	while (i < l->i || j < l->j) {
		json_value old = i < l->i ? l->old.values[i++] : JSON_NONE;
		json_value edited = j < l->j ? l->edited.values[j++] : JSON_NONE;

		add(entries, (struct entry){old, JSON_NONE, edited, JSON_NONE});
	}
	return 0;
}

static int add_elements(struct merge *m, struct lineup *l, struct entries *entries)
{
	int rc = add_inserted(m, l, entries);

	for (uint32_t k = 0; rc == 0 && k < l->base.n; k++) {
		struct entry entry = {JSON_NONE, l->base.values[k], JSON_NONE, JSON_NONE};

		if (l->i < l->old.n && l->old_match[l->i] == k)
			entry.old = l->old.values[l->i++];
		if (l->j < l->edited.n && l->edited_match[l->j] == k)
			entry.edited = l->edited.values[l->j++];
		if (entry.old != JSON_NONE || entry.edited != JSON_NONE)
			add(entries, entry);
		rc = add_inserted(m, l, entries);
	}
	return rc;
}

int merge_elements(struct merge *m, const struct entry *at, struct entries *entries)
{
	AUTO_CHILDREN old = {0}, base = {0}, edited = {0};
	AUTO_VALUES *old_match = NULL, *edited_match = NULL;

	if (json_children_init(&old, &m->old, at->old) < 0 ||
		json_children_init(&base, &m->base, at->base) < 0 ||
		json_children_init(&edited, &m->edited, at->edited) < 0)
		return merge_no_memory(m);
	old_match = calloc(old.n + 1, sizeof *old_match);
	edited_match = calloc(edited.n + 1, sizeof *edited_match);
	if (old_match == NULL || edited_match == NULL)
		return merge_no_memory(m);
	if (json_children_align(&base, &old, &m->steps, old_match) < 0 ||
		json_children_align(&base, &edited, &m->steps, edited_match) < 0)
		return merge_no_memory(m);
	return add_elements(m,
		&(struct lineup){old, base, edited, old_match, edited_match, 0, 0},
		entries);
}
