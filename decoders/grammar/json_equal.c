/*
 * json_equal: whether two values say the same.
 *
 * Objects are sets of members by key and occurrence. Nearly always both have
 * their keys in one order, so members are compared side by side as long as the
 * keys agree, and looked up only from the first that does not.
 */
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/grammar/json_private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SHOWN 80 /* bytes of a key in a message */

struct slot {
	const char *key; /* behind its quote */
	json_value member;
	uint32_t taken; /* in the first slot of a key: how many of its members */
};

static int compare_slots(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;
	int order = json_chars_compare(x->key, y->key);

	return order != 0 ? order : (x->member > y->member) - (x->member < y->member);
}

int members_init(struct members *members, const struct json *json, json_value object)
{
	struct slot *slot;

	*members =
		(struct members){.json = json, .n = (uint32_t)json_count(json, object)};
	slot = members->slots = calloc(members->n + 1, sizeof *slot);
	if (slot == NULL)
		return -ENOMEM;
	for (json_value m = json_first(json, object); m != JSON_NONE;
		m = json_next(json, m))
		*slot++ = (struct slot){.key = json_key_text(json, m), .member = m};
	qsort(members->slots, members->n, sizeof *slot, compare_slots);
	return 0;
}

void members_done(struct members *members)
{
	free(members->slots);
	*members = (struct members){0};
}

/* The second of two members that have one key; JSON_NONE: there are none. */
static int find_twin(const struct json *json, json_value object, json_value *twin)
{
	__attribute__((cleanup(members_done))) struct members members = {0};
	int rc = members_init(&members, json, object);

	*twin = JSON_NONE;
	for (uint32_t i = 1; rc == 0 && i < members.n && *twin == JSON_NONE; i++)
		if (json_chars_compare(members.slots[i - 1].key, members.slots[i].key) ==
			0)
			*twin = members.slots[i].member;
	return rc;
}

int json_check_keys(const struct json *json, struct error *err)
{
	AUTO_TEXT key = {0};
	unsigned line, column;
	json_value twin = JSON_NONE;
	int rc = 0;

	for (json_value v = 0; rc == 0 && v < json->n && twin == JSON_NONE; v++)
		if (json_type(json, v) == JSON_OBJECT && json_count(json, v) > 1)
			rc = find_twin(json, v, &twin);
	if (rc < 0)
		return error_set(err, ENOMEM, "not enough memory to compare keys");
	if (twin == JSON_NONE)
		return 0;
	json_key(json, twin, &key);
	json_place(json, twin, &line, &column);
	return error_set(err, EINVAL,
		"%u:%u: %.*s: expected this key once in its object, found it twice", line,
		column, (int)(key.len < KEY_SHOWN ? key.len : KEY_SHOWN),
		key.bytes != NULL ? key.bytes : "");
}

json_value members_take(struct members *members, const char *key)
{
	uint32_t low = 0, high = members->n, next;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (json_chars_compare(members->slots[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == members->n)
		return JSON_NONE;
	next = low + members->slots[low].taken;
	if (next == members->n || json_chars_compare(members->slots[next].key, key) != 0)
		return JSON_NONE;
	members->slots[low].taken++;
	return members->slots[next].member;
}

struct pair {
	const struct json *a, *b;
	bool ordered; /* keys have to be in one order */
};

static bool equal(const struct pair *p, json_value va, json_value vb);

/* The rest of two objects, from the members where their keys part. A want of
 * memory reads as a difference: then an edit is made that need not be. */
static bool equal_unordered(
	const struct pair *p, json_value from_a, json_value object_b, json_value from_b)
{
	struct members rest;
	json_value match = JSON_NONE;
	bool same = members_init(&rest, p->b, object_b) == 0;

	for (json_value m = json_first(p->b, object_b); same && m != from_b;
		m = json_next(p->b, m))
		(void)members_take(&rest, json_key_text(p->b, m));
	for (json_value m = from_a; same && m != JSON_NONE; m = json_next(p->a, m)) {
		match = members_take(&rest, json_key_text(p->a, m));
		same = match != JSON_NONE && equal(p, m, match);
	}
	members_done(&rest);
	return same;
}

static bool equal_containers(const struct pair *p, json_value va, json_value vb)
{
	json_value a = json_first(p->a, va), b = json_first(p->b, vb);
	bool object = json_type(p->a, va) == JSON_OBJECT;

	if (json_count(p->a, va) != json_count(p->b, vb))
		return false;
	for (; a != JSON_NONE; a = json_next(p->a, a), b = json_next(p->b, b)) {
		if (object && json_chars_compare(json_key_text(p->a, a),
				      json_key_text(p->b, b)) != 0)
			return !p->ordered && equal_unordered(p, a, vb, b);
		if (!equal(p, a, b))
			return false;
	}
	return true;
}

/* Recursion is as deep as texts are: JSON_DEPTH_MAX. */
static bool equal(const struct pair *p, json_value va, json_value vb)
{
	enum json_type type = json_type(p->a, va);
	const char *a, *b;
	size_t a_len, b_len;

	if (type != json_type(p->b, vb))
		return false;
	if (type == JSON_OBJECT || type == JSON_ARRAY)
		return equal_containers(p, va, vb);
	a = json_raw(p->a, va, &a_len);
	b = json_raw(p->b, vb, &b_len);
	if (type == JSON_NUMBER)
		return decimal_equal(a, a_len, b, b_len);
	return type != JSON_STRING || json_chars_compare(a + 1, b + 1) == 0;
}

bool json_equal(const struct json *a, json_value va, const struct json *b, json_value vb)
{
	return equal(&(struct pair){a, b, false}, va, vb);
}

bool json_same(const struct json *a, json_value va, const struct json *b, json_value vb)
{
	return equal(&(struct pair){a, b, true}, va, vb);
}
