/*
 * json_merge: an edit of a document laid over the container's text.
 *
 * Three texts take part: what the container holds (old), what the document
 * showed (base), what was saved (edited). Children of the three are matched into
 * entries; each entry keeps old's bytes unless base and edited differ there. All
 * bytes between values that were not moved are old's as well, so an edit shows in the
 * container where it was made and nowhere else.
 */
#include "decoders/base/text.h"
#include "decoders/grammar/json_private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Steps that a merge spends on aligning arrays, in all: some tenths of a second. */
#define STEPS_MAX ((size_t)32 << 20)

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
	return fine ? 0 : merge_conflict(m, e);
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
		return merge_no_memory(m);
	if (json_type(m->old.json, at->old) == JSON_OBJECT)
		rc = merge_members(m, at, &entries);
	else
		rc = merge_elements(m, at, &entries);
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
		return merge_conflict(m, at);
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
		rc = merge_no_memory(&m);
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
