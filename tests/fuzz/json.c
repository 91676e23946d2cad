/*
 * json: texts are parsed, printed, spliced, and an edit is laid over them.
 *
 * An input is up to three texts with a line "%" between them: what the container holds,
 * what the document showed, what was saved. Where the second is missing it is the first.
 */
#include "decoders/grammar/json.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "tests/fuzz/fuzz.h"
#include <errno.h>
#include <math.h>
#include <string.h>

#define MARK "\n%\n"
#define MARK_LEN 3

struct part {
	const char *text;
	size_t len;
	struct json *json; /* NULL where it is none */
};

static void parse(struct part *part)
{
	struct error err = {0};
	int rc = json_parse(&part->json, part->text, part->len, JSON_NONFINITE, &err);

	HOLDS(rc == 0 || part->json == NULL);
	if (rc < 0)
		fuzz_refused(rc, &err);
}

static struct json *parse_again(const struct text *text)
{
	struct part part = {text->bytes, text->len, NULL};

	HOLDS(text_check(text, NULL) == 0);
	parse(&part);
	HOLDS(part.json != NULL);
	return part.json;
}

/* Each value is found at its path and has a place, and numbers agree with themselves. */
static void look(const struct json *json, json_value v)
{
	AUTO_TEXT string = {0}, path = {0};
	unsigned line = 0, column = 0;
	int64_t whole;
	double number;

	json_place(json, v, &line, &column);
	HOLDS(line > 0 && column > 0);
	json_path(json, v, &path);
	if (json_type(json, v) == JSON_STRING) {
		json_string(json, v, &string);
		HOLDS(json_string_is(json, v, string.bytes, string.len));
	}
	if (json_type(json, v) != JSON_NUMBER)
		return;
	if (json_double(json, v, &number, NULL) < 0)
		return;
	if (json_int64(json, v, &whole, NULL) == 0)
		HOLDS(number == (double)whole);
}

static void look_at_all(const struct json *json)
{
	json_value v = 0, next;

	while (v != JSON_NONE) {
		look(json, v);
		next = json_first(json, v);
		while (next == JSON_NONE && v != 0) {
			next = json_next(json, v);
			if (next == JSON_NONE)
				v = json_parent(json, v);
		}
		v = next;
	}
	HOLDS(json_equal(json, 0, json, 0));
}

/* What is printed says the same, and is printed the same again. */
static void print(const struct part *part)
{
	AUTO_TEXT once = {0}, twice = {0}, whole = {0};

	json_print(part->json, 0, NULL, 0, true, &once);
	AUTO_JSON *again = parse_again(&once);
	HOLDS(json_equal(part->json, 0, again, 0));
	json_print(again, 0, NULL, 0, true, &twice);
	HOLDS(once.len == twice.len && memcmp(once.bytes, twice.bytes, once.len) == 0);
	json_splice(part->json, NULL, 0, &whole);
	HOLDS(whole.len == part->len && memcmp(whole.bytes, part->text, part->len) == 0);
}

/* A stand-in is all that changes. */
static void splice(const struct part *part, json_value v)
{
	struct json_stand stand = {v, "[7]", 3};
	AUTO_TEXT text = {0};

	json_splice(part->json, &stand, 1, &text);
	AUTO_JSON *again = parse_again(&text);
	HOLDS(json_type(again, v) == JSON_ARRAY && json_count(again, v) == 1);
}

/* Saving what was shown changes no byte; where the base is what the container says, the
 * outcome is what was saved. */
static void merge(
	const struct part *old, const struct part *base, const struct part *edited)
{
	AUTO_TEXT none = {0}, text = {0};
	struct error err = {0};
	int rc = json_merge(old->json, base->json, base->json, &none, &err);

	if (rc < 0)
		fuzz_fail("no edit is refused: %s", err.text);
	HOLDS(none.len == old->len && memcmp(none.bytes, old->text, old->len) == 0);
	rc = json_merge(old->json, base->json, edited->json, &text, &err);
	if (rc < 0) {
		fuzz_refused(rc, &err);
		HOLDS(!json_equal(old->json, 0, base->json, 0));
		return;
	}
	AUTO_JSON *outcome = parse_again(&text);
	if (json_equal(old->json, 0, base->json, 0))
		HOLDS(json_equal(outcome, 0, edited->json, 0));
}

static void merge_all(const struct part *parts, unsigned n)
{
	const struct part *base = n == 3 ? &parts[1] : &parts[0];

	if (base->json == NULL || parts[n - 1].json == NULL)
		return;
	merge(&parts[0], &parts[0], &parts[n - 1]);
	merge(&parts[0], base, &parts[n - 1]);
}

static unsigned split(const char *text, size_t len, struct part *parts)
{
	unsigned n = 0;

	for (;;) {
		const char *mark = n < 2 ? memmem(text, len, MARK, MARK_LEN) : NULL;
		size_t part = mark != NULL ? (size_t)(mark - text) : len;

		parts[n++] = (struct part){text, part, NULL};
		if (mark == NULL)
			return n;
		text += part + MARK_LEN;
		len -= part + MARK_LEN;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct part parts[3] = {0};
	unsigned n = split((const char *)data, size, parts);

	for (unsigned i = 0; i < n; i++) {
		parse(&parts[i]);
		if (parts[i].json == NULL)
			continue;
		look_at_all(parts[i].json);
		print(&parts[i]);
		splice(&parts[i], 0);
		if (json_first(parts[i].json, 0) != JSON_NONE)
			splice(&parts[i], json_first(parts[i].json, 0));
	}
	if (parts[0].json != NULL)
		merge_all(parts, n);
	for (unsigned i = 0; i < n; i++)
		json_free(parts[i].json);
	return 0;
}
