/* Edits of documents laid over a container's text: nothing else changes. */
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/grammar/json_private.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <stdlib.h>

static struct json *parse(const char *text, size_t len)
{
	struct json *json = NULL;
	struct error err = {0};

	if (json_parse(&json, text, len, JSON_NONFINITE, &err) < 0)
		unit_fail("%s in <%.*s>", err.text, (int)(len < 300 ? len : 300), text);
	return json;
}

static int merge(struct text *out, const char *old, const char *base, const char *edited,
	struct error *err)
{
	AUTO_JSON *o = parse(old, strlen(old));
	AUTO_JSON *b = parse(base, strlen(base));
	AUTO_JSON *e = parse(edited, strlen(edited));

	if (o == NULL || b == NULL || e == NULL)
		return -EIO;
	return json_merge(o, b, e, out, err);
}

/* The document was opened as the container has it, and edited. */
static void gives(const char *old, const char *edited, const char *want)
{
	AUTO_TEXT out = {0};

	CHECK_INT(merge(&out, old, old, edited, NULL), 0);
	CHECK_STR(out.bytes, want);
}

/* The container changed after the document was opened. */
static void gives3(
	const char *old, const char *base, const char *edited, const char *want)
{
	AUTO_TEXT out = {0};
	struct error err = {0};

	CHECK_INT(merge(&out, old, base, edited, &err), 0);
	CHECK_STR(out.bytes, want);
}

static void conflicts(
	const char *old, const char *base, const char *edited, const char *path)
{
	AUTO_TEXT out = {0};
	struct error err = {0};

	CHECK_INT(merge(&out, old, base, edited, &err), -EINVAL);
	CHECK_INT(out.len, 0);
	if (!CHECK(strncmp(err.text, path, strlen(path)) == 0 &&
		    err.text[strlen(path)] == ':'))
		unit_fail("<%s>, expected <%s>", err.text, path);
}

static bool equal(const char *a, const char *b)
{
	AUTO_JSON *x = parse(a, strlen(a));
	AUTO_JSON *y = parse(b, strlen(b));

	return json_equal(x, 0, y, 0);
}

static void equality(void)
{
	unit_begin("numbers are equal by exact value, however they are spelled");
	CHECK(equal("1.0", "1"));
	CHECK(equal("1E5", "100000"));
	CHECK(equal("1e-07", "1e-7"));
	CHECK(equal("0.10", "0.1"));
	CHECK(equal("-1200e-2", "-12.000"));
	CHECK(equal("0.000", "0e5"));
	CHECK(equal("NaN", "NaN") && equal("-Infinity", "-Infinity"));
	CHECK(equal("100200.30", "1.002003e+5"));
	CHECK(equal("1e999999999999999999999", "1e999999999999999999999"));
	CHECK(!equal("9007199254740993", "9007199254740992"));
	CHECK(!equal("0.1", "0.1000000000000000055511151231257827"));
	CHECK(!equal("0", "-0.0"));
	CHECK(!equal("1", "10") && !equal("1", "-1") && !equal("12", "1.2") &&
		!equal("12", "123"));
	CHECK(!equal("NaN", "Infinity") && !equal("Infinity", "-Infinity") &&
		!equal("NaN", "0"));
	CHECK(!equal("1e999999999999999999998", "1e999999999999999999999"));

	unit_begin("strings are equal by characters, objects whatever their order");
	CHECK(equal("\"\\u00e9\\/\\ud83d\\ude00\"", "\"\xc3\xa9/\xf0\x9f\x98\x80\""));
	CHECK(!equal("\"a\"", "\"ab\"") && !equal("\"\\u0000\"", "\"\""));
	CHECK(equal("{\"a\":1,\"b\":2}", "{\"b\":2.0,\"\\u0061\":1}"));
	CHECK(!equal("{\"a\":1,\"b\":2}", "{\"a\":1,\"c\":2}"));
	CHECK(!equal("[1,2]", "[2,1]") && !equal("[1]", "[1,1]") && !equal("[]", "{}"));
	CHECK(equal("{\"a\":1,\"b\":0,\"a\":2}", "{\"a\":1,\"a\":2,\"b\":0}"));
	CHECK(!equal("{\"a\":1,\"b\":0,\"a\":2}", "{\"a\":2,\"a\":1,\"b\":0}"));
	CHECK(!equal("{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":1}"));
	CHECK(!equal("true", "false") && !equal("null", "false") && !equal("1", "\"1\""));
}

static void spelling(void)
{
	static const char old[] = " {\"a\":1.0 , \"b\": [1E5,1e-07,0.10 "
				  "],\"c\":\"\\u00e9\\/\", \"d\":9007199254740993}\n";

	unit_begin("a document that only was laid out or spelled anew is no edit");
	gives(old,
		"{\"a\":1,\"b\":[100000,1e-7,0.1],\"c\":\"\xc3\xa9/"
		"\",\"d\":9007199254740993.0}",
		old);

	unit_begin("an edit changes its own bytes only");
	gives(old,
		"{\"a\":1,\"b\":[100000,2e-7,0.1],\"c\":\"\xc3\xa9/"
		"\",\"d\":9007199254740993}",
		" {\"a\":1.0 , \"b\": [1E5,2e-7,0.10 ],\"c\":\"\\u00e9\\/\", "
		"\"d\":9007199254740993}\n");
	gives(old,
		"{\"a\":1,\"b\":[100000,1e-7,0.1],\"c\":\"\xc3\xa9/"
		"\",\"d\":9007199254740992}",
		" {\"a\":1.0 , \"b\": [1E5,1e-07,0.10 ],\"c\":\"\\u00e9\\/\", "
		"\"d\":9007199254740992}\n");
	gives("0.5", "0.25", "0.25");

	unit_begin("of members with one key each is matched by its occurrence");
	gives("{\"a\": 1.0, \"a\": 2.0}", "{\"a\": 1, \"a\": 3}",
		"{\"a\": 1.0, \"a\": 3}");
	gives("{\"a\": 1.0, \"a\": 2.0}", "{\"a\": 1}", "{\"a\": 1.0}");
}

static void members(void)
{
	unit_begin("new members follow the user's order and the container's separators");
	gives("{\"a\":1.0,\"b\":2}",
		"{\"x\": 0, \"a\": 1, \"y\": [1, 2], \"b\": 2, \"z\": {\"k\": 3}}",
		"{\"x\":0,\"a\":1.0,\"y\":[1,2],\"b\":2,\"z\":{\"k\":3}}");
	gives("{\"a\": 1.0, \"b\": 2}", "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": [\n 1]\n}",
		"{\"a\": 1.0, \"b\": 2, \"c\": [1]}");
	gives("{\n    \"a\": 1.0\n}", "{\"a\":1,\"b\":{\"c\":[2,\"x\"]},\"d\":{}}",
		"{\n    \"a\": 1.0,\n    \"b\": {\n        \"c\": [\n            2,\n    "
		"        \"x\"\n"
		"        ]\n    },\n    \"d\": {}\n}");
	gives("{\n\t\"a\": {},\n\t\"s\": [1, 2]\n}", "{\"a\":{\"b\":[3,4]},\"s\":[1,2]}",
		"{\n\t\"a\": {\n\t\t\"b\": [3, 4]\n\t},\n\t\"s\": [1, 2]\n}");
	gives("{\r\n \"a\": []\r\n}", "{\"a\": [{}]}",
		"{\r\n \"a\": [\r\n  {}\r\n ]\r\n}");
	gives("{}", "{\n  \"a\": 1,\n  \"b\": 2\n}", "{\"a\": 1, \"b\": 2}");
	gives("{\"a\":{}}", "{\"a\": {\"b\": 1, \"c\": 2}}", "{\"a\":{\"b\":1,\"c\":2}}");
	gives("{ \"a\" : 1 , \"b\" : 2 }", "{\"a\":1,\"b\":2,\"c\":3}",
		"{ \"a\" : 1 , \"b\" : 2 , \"c\" : 3 }");

	unit_begin("what the user removed is gone with its separator");
	gives("{\"a\":1.0, \"b\": 2, \"c\":3}", "{\"a\":1,\"c\":3}",
		"{\"a\":1.0, \"c\":3}");
	gives("{\"a\":1.0, \"b\": 2, \"c\":3}", "{\"b\":2,\"c\":3}",
		"{\"b\": 2, \"c\":3}");
	gives("{\"a\":1.0, \"b\": 2, \"c\":3 }", "{\"a\":1,\"b\":2}",
		"{\"a\":1.0, \"b\": 2 }");
	gives("{\n  \"a\": 1\n}", "{}", "{}");

	unit_begin("a key that is renamed, and members that are moved, follow the user");
	gives("{\"a\":1.0,\"b\":2.0,\"c\":3.0}", "{\"a\":1,\"x\":2,\"c\":3}",
		"{\"a\":1.0,\"x\":2,\"c\":3.0}");
	gives("{\"a\":1.0,\"b\":2.0,\"c\":3.0}", "{\"c\":3,\"b\":2,\"a\":1}",
		"{\"c\":3.0,\"b\":2.0,\"a\":1.0}");

	unit_begin("a value may become one of another kind");
	gives("{\"a\":1.0,\"b\":{\"c\":2}}", "{\"a\":[1, {\"x\": null}],\"b\":false}",
		"{\"a\":[1,{\"x\":null}],\"b\":false}");
}

static void escapes(void)
{
	unit_begin("new text is escaped where the container has nothing but ASCII");
	gives("{\"a\": \"x\"}",
		"{\"a\": \"x\xc3\xa9\\n\xf0\x9f\x98\x80\", \"\xc3\xa9\": 1}",
		"{\"a\": \"x\\u00e9\\n\\ud83d\\ude00\", \"\\u00e9\": 1}");

	unit_begin("and is not escaped where the container has other characters");
	gives("{\"\xc3\xa9\": \"x\"}", "{\"\xc3\xa9\": \"x\xc3\xa9\"}",
		"{\"\xc3\xa9\": \"x\xc3\xa9\"}");
}

static void arrays(void)
{
	unit_begin("elements that were not touched keep their spelling where others come "
		   "and go");
	gives("[1.0,2.0,3.0,4.0]", "[1, 3, 4]", "[1.0,3.0,4.0]");
	gives("[1.0,2.0,3.0,4.0]", "[0, 1, 2, 9, 3, 4, 5]", "[0,1.0,2.0,9,3.0,4.0,5]");
	gives("[1.0,2.0,3.0,4.0]", "[]", "[]");
	gives("[]", "[1, 2]", "[1, 2]");
	gives("[{\"n\":\"a\",\"r\":1.0},{\"n\":\"b\",\"r\":2.0},{\"n\":\"c\",\"r\":3.0}]",
		"[{\"n\":\"a\",\"r\":1},{\"n\":\"c\",\"r\":4}]",
		"[{\"n\":\"a\",\"r\":1.0},{\"n\":\"c\",\"r\":4}]");
	gives("[[1.0,2.0],[3.0,4.0]]", "[[1,2],[3,5]]", "[[1.0,2.0],[3.0,5]]");
	gives("[\n  1.0\n]", "[1, 2]", "[\n  1.0,\n  2\n]");
}

static void two_editors(void)
{
	unit_begin("what another editor changed meanwhile stays, beside one's own edit");
	gives3("{\"a\":1.5,\"b\":2.0}", "{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":3}",
		"{\"a\":1.5,\"b\":3}");
	gives3("{\"a\":1,\"n\":7}", "{\"a\":1}", "{\"a\":2}", "{\"a\":2,\"n\":7}");
	gives3("{\"a\":1}", "{\"a\":1,\"g\":7}", "{\"a\":2,\"g\":7.0}", "{\"a\":2}");
	gives3("{\"b\":2,\"a\":1}", "{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":3}",
		"{\"b\":3,\"a\":1}");
	gives3("[0,1,2]", "[1,2]", "[1,2,3]", "[0,1,2,3]");
	gives3("[1,2,3]", "[1,2]", "[1,2,3]", "[1,2,3]");
	gives3("[2,3]", "[1,2,3]", "[1,2,3,4]", "[2,3,4]");
	gives3("{\"a\":2}", "{\"a\":1}", "{\"a\":2}", "{\"a\":2}");
	gives3("{\"a\":5,\"b\":[1.0]}", "{\"a\":1,\"b\":[1]}", "{\"a\":1,\"b\":[1]}",
		"{\"a\":5,\"b\":[1.0]}");

	unit_begin("two edits of one thing are refused, with its path");
	conflicts("{\"a\":{\"b\":[1,5]}}", "{\"a\":{\"b\":[1,2]}}",
		"{\"a\":{\"b\":[1,3]}}", "/a/b/1");
	conflicts("{\"b\":2}", "{\"a\":1,\"b\":2}", "{\"a\":3,\"b\":2}", "/a");
	conflicts("{\"a\":3}", "{\"a\":1}", "{}", "/a");
	conflicts("{\"n\":1}", "{}", "{\"n\":2}", "/n");
	conflicts("[1,2,8]", "[1,2]", "[1,2,9]", "/2");
	conflicts("[1,2,8]", "[1,2]", "[1,2,9,9]", "/2");
	conflicts("1", "2", "3", "the document");
}

/* --- properties, over texts that a generator with a seed makes --- */

static uint64_t seed;

static uint32_t roll(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

/* A text's separators. */
struct layout {
	const char *comma, *colon, *open, *close;
};

static const struct layout layouts[] = {{", ", ": ", "", ""}, {",", ":", "", ""},
	{" ,\t", " : ", " ", " "}, {",\n  ", ": ", "\n  ", "\n"}};

static void make_scalar(struct text *out)
{
	static const char *const scalars[] = {"0", "1.0", "1E5", "-0.0", "1e-07", "0.10",
		"9007199254740993", "NaN", "-Infinity", "true", "false", "null", "\"\"",
		"\"a\"", "\"\\u00e9\"", "\"\\/\\\\\"", "2", "3", "4", "5"};

	text_puts(out, scalars[roll(sizeof scalars / sizeof *scalars)]);
}

static void make(struct text *out, const struct layout *layout, unsigned depth)
{
	static const char *const keys[] = {"a", "b", "c", "d", "e", "\\u00e9", "a"};
	uint32_t n = roll(6);
	bool object = roll(2) == 0;

	if (depth == 0 || roll(4) == 0) {
		make_scalar(out);
		return;
	}
	text_puts(out, object ? "{" : "[");
	text_puts(out, n > 0 ? layout->open : "");
	for (uint32_t i = 0; i < n; i++) {
		text_puts(out, i > 0 ? layout->comma : "");
		if (object)
			text_printf(out, "\"%s\"%s", keys[roll(7)], layout->colon);
		make(out, layout, depth - 1);
	}
	text_puts(out, n > 0 ? layout->close : "");
	text_puts(out, object ? "}" : "]");
}

/* Replaces one value by something else. */
static void edit(const struct json *json, size_t n, struct text *out)
{
	AUTO_TEXT anew = {0};
	struct json_stand stand = {.value = roll((uint32_t)n)};

	make(&anew, &layouts[roll(4)], roll(3));
	stand.text = anew.bytes;
	stand.len = anew.len;
	json_splice(json, &stand, 1, out);
}

static size_t values_of(const struct json *json, json_value v)
{
	size_t n = 1;

	for (json_value c = json_first(json, v); c != JSON_NONE; c = json_next(json, c))
		n += values_of(json, c);
	return n;
}

/* Edits a printed document several times and lays the result over the text. */
static void property(const char *old_bytes, size_t old_len)
{
	AUTO_JSON *old = parse(old_bytes, old_len);
	AUTO_TEXT base_text = {0}, merged = {0};
	AUTO_JSON *base = NULL, *edited = NULL, *result = NULL;
	struct text texts[2] = {{0}, {0}};
	struct error err = {0};
	unsigned now = 0;

	json_print(old, 0, NULL, 0, true, &base_text);
	base = parse(base_text.bytes, base_text.len);
	CHECK_INT(json_merge(old, base, base, &merged, &err), 0);
	CHECK_BYTES(merged.bytes, merged.len, old_bytes, old_len);

	text_puts(&texts[0], base_text.bytes);
	for (uint32_t i = roll(4); i > 0; i--, now = !now) {
		AUTO_JSON *one = parse(texts[now].bytes, texts[now].len);
		text_clear(&texts[!now]);
		edit(one, values_of(one, 0), &texts[!now]);
	}
	edited = parse(texts[now].bytes, texts[now].len);
	text_clear(&merged);
	if (!CHECK_INT(json_merge(old, base, edited, &merged, &err), 0))
		unit_fail("%s", err.text);
	result = parse(merged.bytes, merged.len);
	if (result != NULL && !CHECK(json_same(result, 0, edited, 0)))
		unit_fail("old <%.*s> edited <%s> merged <%s>", (int)old_len, old_bytes,
			texts[now].bytes, merged.bytes);
	text_done(&texts[0]);
	text_done(&texts[1]);
}

static void properties(void)
{
	unit_begin("any edit of any text gives the edited data, and no edit the text "
		   "itself");
	for (seed = 1; seed < 6000;) {
		uint64_t next = seed + 1;
		AUTO_TEXT text = {0};

		make(&text, &layouts[roll(4)], 4);
		property(text.bytes, text.len);
		seed = next;
	}
}

/* Turns one number of a text into another; the rest must stay, byte for byte. */
static void minimal_once(const char *old_bytes, size_t old_len)
{
	AUTO_JSON *old = parse(old_bytes, old_len);
	size_t n = values_of(old, 0);
	struct json_stand stand = {(json_value)roll((uint32_t)n), "12345.678", 9};
	AUTO_TEXT want = {0}, merged = {0}, base_text = {0}, edited_text = {0};
	AUTO_JSON *base = NULL, *edited = NULL;

	if (json_type(old, stand.value) != JSON_NUMBER)
		return;
	json_splice(old, &stand, 1, &want);
	json_print(old, 0, NULL, 0, true, &base_text);
	json_print(old, 0, &stand, 1, true, &edited_text);
	base = parse(base_text.bytes, base_text.len);
	edited = parse(edited_text.bytes, edited_text.len);
	CHECK_INT(json_merge(old, base, edited, &merged, NULL), 0);
	CHECK_BYTES(merged.bytes, merged.len, want.bytes, want.len);
}

static void minimal(void)
{
	unit_begin("one number that changes in any text changes those bytes alone");
	for (seed = 1; seed < 6000;) {
		uint64_t next = seed + 1;
		AUTO_TEXT text = {0};

		make(&text, &layouts[roll(4)], 4);
		minimal_once(text.bytes, text.len);
		seed = next;
	}
}

/* An array of n numbers, without some, with others changed. */
static void make_long(struct text *out, int n, const char *form, int without, int change)
{
	text_putc(out, '[');
	for (int i = 0; i < n; i++) {
		if (without > 0 && i % without == 7)
			continue;
		text_puts(out, i > 0 ? "," : "");
		text_printf(out, form, change > 0 && i % change == 1 ? -i : i);
	}
	text_putc(out, ']');
}

static void long_arrays(void)
{
	AUTO_TEXT old = {0}, edited = {0}, out = {0}, want = {0};

	unit_begin("in a long array that lost elements the others keep their spelling");
	make_long(&old, 100000, "%d.0", 0, 0);
	make_long(&edited, 100000, "%d", 1000, 0);
	make_long(&want, 100000, "%d.0", 1000, 0);
	CHECK_INT(merge(&out, old.bytes, old.bytes, edited.bytes, NULL), 0);
	CHECK(strcmp(out.bytes, want.bytes) == 0);

	unit_begin("a long array that is edited all over is merged all the same");
	text_clear(&edited);
	text_clear(&out);
	make_long(&edited, 100000, "%d", 13, 3);
	CHECK_INT(merge(&out, old.bytes, old.bytes, edited.bytes, NULL), 0);
	CHECK(equal(out.bytes, edited.bytes));
}

static void deep(void)
{
	AUTO_TEXT old = {0}, edited = {0}, want = {0}, out = {0};

	unit_begin("the deepest texts are merged");
	for (int i = 0; i < JSON_DEPTH_MAX; i++)
		text_puts(&old, "[");
	text_put(&edited, old.bytes, old.len);
	text_put(&want, old.bytes, old.len);
	text_puts(&old, "1.0, 2.0");
	text_puts(&edited, "1, 3");
	text_puts(&want, "1.0, 3");
	for (int i = 0; i < JSON_DEPTH_MAX; i++) {
		text_puts(&old, "]");
		text_puts(&edited, "]");
		text_puts(&want, "]");
	}
	CHECK_INT(merge(&out, old.bytes, old.bytes, edited.bytes, NULL), 0);
	CHECK_STR(out.bytes, want.bytes);
}

int main(void)
{
	equality();
	spelling();
	members();
	escapes();
	arrays();
	two_editors();
	properties();
	minimal();
	long_arrays();
	deep();
	return unit_end();
}
