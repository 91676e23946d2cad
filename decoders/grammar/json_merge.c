/*
 * json_merge: an edit of a document laid over the container's text.
 *
 * Three texts take part: what the container holds (old), what the document
 * showed (base), what was saved (edited). Children of the three are matched into
 * entries; each entry keeps old's bytes unless base and edited differ there. All
 * bytes between values that were not moved are old's as well, so an edit shows in the
 * container where it was made and nowhere else.
 */
#include "decoders/grammar/json_private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Steps that a merge spends on aligning arrays, in all: some tenths of a second. */
#define STEPS_MAX ((size_t)32 << 20)

struct merge {
	struct side old, base, edited;
	size_t steps;	    /* what is left of STEPS_MAX */
	struct style style; /* of old */
	struct text *out;
	struct error *err;
};

/* A child in the three texts, JSON_NONE where it is not. */
struct entry {
	json_value old, base, edited;
	uint32_t peer; /* of an object's: its place in the other list, or JSON_NONE */
};

struct entries {
	struct entry *list;
	uint32_t n;
};

static void entries_done(struct entries *entries)
{
	free(entries->list);
}

#define AUTO_ENTRIES __attribute__((cleanup(entries_done))) struct entries
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

static int no_memory(struct merge *m)
{
	return error_set(m->err, ENOMEM, "not enough memory to merge two texts");
}

static int conflict(struct merge *m, const struct entry *e)
{
	AUTO_TEXT path = {0};

	if (e->edited != JSON_NONE)
		json_path(m->edited.json, e->edited, &path);
	else
		json_path(m->base.json, e->base, &path);
	return error_set(m->err, EINVAL,
		"%s: expected what was there when the document was opened, found another "
		"edit of it",
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
		return no_memory(m);
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

static int pair_members(struct merge *m, const struct entry *at, struct entries *entries)
{
	size_t n_old = json_count(m->old.json, at->old),
	       n_edited = json_count(m->edited.json, at->edited);
	AUTO_ENTRIES old = {.list = calloc(n_old + 1, sizeof *old.list)};
	AUTO_ENTRIES edited = {.list = calloc(n_edited + 1, sizeof *edited.list)};
	int rc;

	if (old.list == NULL || edited.list == NULL)
		return no_memory(m);
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
		return conflict(m, &(struct entry){.edited = l->edited.values[j]});
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

static int pair_elements(struct merge *m, const struct entry *at, struct entries *entries)
{
	AUTO_CHILDREN old = {0}, base = {0}, edited = {0};
	AUTO_VALUES *old_match = NULL, *edited_match = NULL;

	if (json_children_init(&old, &m->old, at->old) < 0 ||
		json_children_init(&base, &m->base, at->base) < 0 ||
		json_children_init(&edited, &m->edited, at->edited) < 0)
		return no_memory(m);
	old_match = calloc(old.n + 1, sizeof *old_match);
	edited_match = calloc(edited.n + 1, sizeof *edited_match);
	if (old_match == NULL || edited_match == NULL)
		return no_memory(m);
	if (json_children_align(&base, &old, &m->steps, old_match) < 0 ||
		json_children_align(&base, &edited, &m->steps, edited_match) < 0)
		return no_memory(m);
	return add_elements(m,
		&(struct lineup){old, base, edited, old_match, edited_match, 0, 0},
		entries);
}

enum action {
	KEEP,  /* old's bytes */
	MERGE, /* all three have it */
	NEW,   /* edited's value in old's style */
	DROP,
};

/* What becomes of an entry that not all three have. */
static int decide(struct merge *m, const struct entry *e, enum action *action)
{
	bool fine = true;

	if (e->old != JSON_NONE && e->edited != JSON_NONE) {
		*action = e->base != JSON_NONE ? MERGE : KEEP;
		if (*action == KEEP) /* two have added it */
			fine = side_equal(&m->old, e->old, &m->edited, e->edited);
	} else if (e->old != JSON_NONE) {
		*action = e->base != JSON_NONE ? DROP : KEEP;
		if (*action == DROP)
			fine = side_equal(&m->old, e->old, &m->base, e->base);
	} else {
		*action = e->base != JSON_NONE ? DROP : NEW;
		if (*action == DROP) /* somebody else did */
			fine = side_same(&m->base, e->base, &m->edited, e->edited);
	}
	return fine ? 0 : conflict(m, e);
}

/* A container of old that is written anew: where its separators are. */
struct frame {
	struct merge *merge;
	const struct value *container, *first, *last; /* children; NULL: it has none */
	json_value v, written; /* the last child of old that was, or JSON_NONE */
	unsigned depth;	       /* of the children */
	uint32_t n;	       /* children written */
	bool lines;
};

static uint32_t start(const struct value *child)
{
	return child->key != 0 ? child->key : child->off;
}

static void put_old(const struct merge *m, uint32_t from, uint32_t to)
{
	text_put(m->out, m->old.json->text + from, to - from);
}

static bool breaks(const struct json *json, uint32_t from, uint32_t to)
{
	return memchr(json->text + from, '\n', to - from) != NULL;
}

static struct frame frame_of(struct merge *m, const struct entry *at, unsigned depth)
{
	const struct value *values = m->old.json->values;
	json_value v = at->old;
	struct frame f = {
		.merge = m,
		.container = &values[v],
		.v = v,
		.written = JSON_NONE,
		.depth = depth + 1,
		.lines = style_breaks(&m->style, m->edited.json, at->edited),
	};

	if (json_count(m->old.json, v) == 0)
		return f;
	f.first = f.last = &values[v + 1];
	for (json_value c = v + 1; c != JSON_NONE; c = json_next(m->old.json, c))
		f.last = &values[c];
	f.lines = breaks(m->old.json, f.container->off, start(f.first));
	return f;
}

/* What stands in front of the first child. */
static void put_opening(const struct frame *f)
{
	put_old(f->merge, f->container->off, f->container->off + 1);
	if (f->first != NULL)
		put_old(f->merge, f->container->off + 1, start(f->first));
	else if (f->lines)
		style_put_line(&f->merge->style, f->depth, f->merge->out);
}

/* What stands between two children that were not neighbours. */
static void put_separator(const struct frame *f)
{
	struct merge *m = f->merge;
	json_value second =
		f->first != NULL ? json_next(m->old.json, f->v + 1) : JSON_NONE;

	if (second != JSON_NONE) {
		put_old(m, f->first->end, start(&m->old.json->values[second]));
		return;
	}
	if (!f->lines) {
		style_put_span(m->style.comma, m->out);
		return;
	}
	text_putc(m->out, ',');
	if (f->first != NULL)
		put_old(m, f->container->off + 1, start(f->first));
	else
		style_put_line(&m->style, f->depth, m->out);
}

/* What stands in front of an entry. */
static void put_gap(struct frame *f, const struct entry *e)
{
	const struct json *old = f->merge->old.json;

	if (f->n++ == 0)
		put_opening(f);
	else if (e->old != JSON_NONE && f->written != JSON_NONE &&
		 json_next(old, f->written) == e->old)
		put_old(f->merge, old->values[f->written].end,
			start(&old->values[e->old]));
	else
		put_separator(f);
	f->written = e->old;
}

static void put_closing(const struct frame *f)
{
	struct merge *m = f->merge;

	if (f->n == 0)
		put_old(m, f->container->off, f->container->off + 1);
	else if (f->last != NULL)
		put_old(m, f->last->end, f->container->end - 1);
	else if (f->lines)
		style_put_line(&m->style, f->depth - 1, m->out);
	put_old(m, f->container->end - 1, f->container->end);
}

/* A key that is new, with its colon. */
static void put_key(const struct frame *f, json_value member)
{
	struct merge *m = f->merge;
	const char *text = m->old.json->text, *end;

	style_put_string(&m->style, json_key_text(m->edited.json, member) - 1, m->out);
	if (f->first == NULL) {
		style_put_span(m->style.colon, m->out);
		return;
	}
	end = json_string_end(text + f->first->key);
	put_old(m, (uint32_t)(end - text), f->first->off);
}

static void put_new(const struct frame *f, const struct entry *e)
{
	struct merge *m = f->merge;
	struct style style = m->style;

	if (m->edited.json->values[e->edited].key != 0)
		put_key(f, e->edited);
	style.lines = style.lines && f->lines;
	style_put_value(&style, m->edited.json, e->edited, f->depth, m->out);
}

static int merge_value(struct merge *m, const struct entry *at, unsigned depth);

static int put_entry(struct frame *f, const struct entry *e)
{
	struct merge *m = f->merge;
	const struct value *old;
	enum action action;
	int rc = decide(m, e, &action);

	if (rc < 0 || action == DROP)
		return rc;
	put_gap(f, e);
	if (action == NEW) {
		put_new(f, e);
		return 0;
	}
	old = &m->old.json->values[e->old];
	put_old(m, start(old), old->off);
	if (action == MERGE)
		return merge_value(m, e, f->depth);
	put_old(m, old->off, old->end);
	return 0;
}

static int merge_container(struct merge *m, const struct entry *at, unsigned depth)
{
	size_t most =
		json_count(m->old.json, at->old) + json_count(m->edited.json, at->edited);
	AUTO_ENTRIES entries = {.list = calloc(most + 1, sizeof *entries.list)};
	struct frame f = frame_of(m, at, depth);
	int rc;

	if (entries.list == NULL)
		return no_memory(m);
	if (json_type(m->old.json, at->old) == JSON_OBJECT)
		rc = pair_members(m, at, &entries);
	else
		rc = pair_elements(m, at, &entries);
	for (uint32_t i = 0; rc == 0 && i < entries.n; i++)
		rc = put_entry(&f, &entries.list[i]);
	if (rc == 0)
		put_closing(&f);
	return rc;
}

/* Writes a value that all three have. Recursion is as deep as texts are:
 * JSON_DEPTH_MAX. */
static int merge_value(struct merge *m, const struct entry *at, unsigned depth)
{
	enum json_type type = json_type(m->old.json, at->old);
	const struct value *old = &m->old.json->values[at->old];

	if (side_same(&m->base, at->base, &m->edited, at->edited) ||
		side_same(&m->old, at->old, &m->edited, at->edited)) {
		put_old(m, old->off, old->end);
		return 0;
	}
	if ((type == JSON_OBJECT || type == JSON_ARRAY) &&
		type == json_type(m->base.json, at->base) &&
		type == json_type(m->edited.json, at->edited))
		return merge_container(m, at, depth);
	if (!side_equal(&m->old, at->old, &m->base, at->base))
		return conflict(m, at);
	style_put_value(&m->style, m->edited.json, at->edited, depth, m->out);
	return 0;
}

static int merge_texts(struct merge *m)
{
	const struct value *root = m->old.json->values;
	int rc;

	put_old(m, 0, root->off);
	rc = merge_value(m, &(struct entry){0, 0, 0, JSON_NONE}, 0);
	put_old(m, root->end, m->old.json->len);
	return rc;
}

int json_merge(const struct json *old, const struct json *base, const struct json *edited,
	struct text *out, struct error *err)
{
	AUTO_TEXT merged = {0};
	struct merge m = {.steps = STEPS_MAX, .out = &merged, .err = err};
	int rc = 0;

	if (base->len == edited->len &&
		memcmp(base->text, edited->text, base->len) == 0) {
		text_put(out, old->text, old->len);
		return text_check(out, err);
	}
	m.style = style_of(old);
	if (side_init(&m.old, old) < 0 || side_init(&m.base, base) < 0 ||
		side_init(&m.edited, edited) < 0)
		rc = no_memory(&m);
	if (rc == 0)
		rc = merge_texts(&m);
	if (rc == 0)
		rc = text_check(&merged, err);
	if (rc == 0)
		text_put(out, merged.bytes, merged.len);
	side_done(&m.old);
	side_done(&m.base);
	side_done(&m.edited);
	return rc < 0 ? rc : text_check(out, err);
}
