/* JSON texts: what is a text, finding things in it, exact numbers, printing. */
#include "decoders/grammar/json.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Parses a copy of its own size, so that a read behind the end is seen. */
struct doc {
	char *bytes;
	struct json *json;
	struct error err;
	int rc;
};

static void doc_done(struct doc *doc)
{
	json_free(doc->json);
	free(doc->bytes);
}

#define AUTO_DOC __attribute__((cleanup(doc_done))) struct doc

static struct doc doc_read(const char *bytes, size_t len, unsigned flags)
{
	struct doc doc = {.bytes = malloc(len)};

	memcpy(doc.bytes, bytes, len);
	doc.rc = json_parse(&doc.json, doc.bytes, len, flags, &doc.err);
	return doc;
}

static struct doc doc_of(const char *string)
{
	return doc_read(string, strlen(string), JSON_NONFINITE);
}

static void accepted(void)
{
	static const char *const good[] = {"0", "-0", "-0.0e-0", "1.5E+10", "\"\"", "{}",
		"[]", " \t\r\n[ ] ", "[[],{}]", "{\"a\":1,\"a\":2}",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", "\"\\ud800\"",
		"\"\xc3\xa9\xf0\x9f\x98\x80\"", "true", "[true,false,null]", "NaN",
		"[Infinity,-Infinity]", "\"\x7f\"", "9007199254740993",
		"1e999999999999999999999"};

	unit_begin(
		"every text of RFC 8259 is read, and NaN and Infinity where they may be");
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		AUTO_DOC doc = doc_of(good[i]);

		if (doc.rc < 0)
			unit_fail("%s: %s", good[i], doc.err.text);
	}
}

static void refused(void)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"", "1:1: expected a value, found the end of the text"},
		{" \n ", "2:2: expected a value, found the end of the text"},
		{"[1,]", "1:4: expected a value, found ']'"},
		{"{\"a\":1,}", "1:8: expected a key in quotes, found '}'"},
		{"{a:1}", "1:2: expected a key in quotes, found 'a'"},
		{"{\"a\" 1}", "1:6: expected ':' behind a key, found '1'"},
		{"{\"a\"}", "1:5: expected ':' behind a key, found '}'"},
		{"[1 2]", "1:4: expected ',' or ']', found '2'"},
		{"[1}", "1:3: expected ',' or ']', found '}'"},
		{"{\"a\":1]", "1:7: expected ',' or '}', found ']'"},
		{"[", "1:2: expected a value, found the end of the text"},
		{"01", "1:2: expected the end of the text, found '1'"},
		{"+1", "1:1: expected a value, found '+'"},
		{".5", "1:1: expected a value, found '.'"},
		{"1.", "1:3: expected a digit, found the end of the text"},
		{"1.e5", "1:3: expected a digit, found 'e'"},
		{"1e", "1:3: expected a digit, found the end of the text"},
		{"-", "1:2: expected a digit, found the end of the text"},
		{"--1", "1:2: expected a digit, found '-'"},
		{"0x10", "1:2: expected the end of the text, found 'x'"},
		{"True", "1:1: expected a value, found \"True\""},
		{"nul", "1:1: expected a value, found \"nul\""},
		{"nulll", "1:1: expected a value, found \"nulll\""},
		{"-Inf", "1:1: expected a value, found '-'"},
		{"'a'", "1:1: expected a value, found '''"},
		{"\"a", "1:3: expected the quote that ends the string, found the end of "
			"the text"},
		{"\"a\nb\"",
			"1:3: expected the quote that ends the string, found the end "
			"of the line"},
		{"\"\x01\"", "1:2: expected no control byte in a string (a tab is \\t), "
			     "found byte 0x01"},
		{"\"\\x41\"", "1:3: expected an escape (one of \"\\/bfnrtu) behind the "
			      "backslash, found 'x'"},
		{"\"\\u12g4\"",
			"1:6: expected four hexadecimal digits behind \\u, found 'g'"},
		{"\"\\u12", "1:6: expected four hexadecimal digits behind \\u, found the "
			    "end of the "
			    "text"},
		{"\"\\", "1:3: expected an escape (one of \"\\/bfnrtu) behind the "
			 "backslash, found the "
			 "end of the text"},
		{"\"\xc3\xa9\xff\"", "1:3: expected UTF-8, found byte 0xff"},
		{"\"\xc0\xaf\"", "1:2: expected UTF-8, found byte 0xc0"},
		{"\"\xed\xa0\x80\"", "1:2: expected UTF-8, found byte 0xed"},
		{"\"\xf4\x90\x80\x80\"", "1:2: expected UTF-8, found byte 0xf4"},
		{"\"\xe2\x82", "1:2: expected UTF-8, found byte 0xe2"},
		{"\xef\xbb\xbf{}", "1:1: expected a value, found a byte order mark"},
		{"{}\n{}", "2:1: expected the end of the text, found '{'"},
		{"{\n  \"\xc3\xa9\": 1,\n  \"b\": x\n}",
			"3:8: expected a value, found 'x'"},
	};

	unit_begin("what is no text is refused, with line, column, what was expected and "
		   "found");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		AUTO_DOC doc = doc_of(bad[i].text);

		CHECK_INT(doc.rc, -EINVAL);
		CHECK_STR(doc.err.text, bad[i].why);
		CHECK(doc.json == NULL);
	}

	unit_begin("a NUL byte is refused wherever it is");
	for (size_t at = 0; at < 9; at++) {
		char text[] = "{\"a\":[1]}";
		text[at] = '\0';
		AUTO_DOC doc = doc_read(text, 9, 0);
		CHECK_INT(doc.rc, -EINVAL);
	}

	unit_begin("NaN is refused where only finite numbers may stand");
	AUTO_DOC finite = doc_read("[NaN]", 5, 0);
	CHECK_STR(finite.err.text, "1:2: expected a finite number, found \"NaN\"");
	AUTO_DOC infinite = doc_read("[-Infinity]", 11, 0);
	CHECK_INT(infinite.rc, -EINVAL);
}

static void depth(void)
{
	char text[2 * JSON_DEPTH_MAX + 2];

	unit_begin("512 levels of nesting are read, 513 are refused");
	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	AUTO_DOC deep = doc_read(text, 2 * (size_t)JSON_DEPTH_MAX, 0);
	CHECK_INT(deep.rc, 0);
	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	AUTO_DOC deeper = doc_read(text, sizeof text, 0);
	CHECK_STR(deeper.err.text,
		"1:513: expected at most 512 levels of nesting, found '['");
}

static void prefix(void)
{
	size_t len;

	unit_begin("with JSON_PREFIX the first value is read, whatever follows");
	AUTO_DOC doc = doc_read(" {\"a\":1} \xff", 11, JSON_PREFIX);
	CHECK_INT(doc.rc, 0);
	(void)json_raw(doc.json, 0, &len);
	CHECK_INT(len, 7);
}

static int note_member(
	void *arg, const struct json *json, json_value member, struct error *err)
{
	struct text *seen = arg;
	size_t len;
	const char *raw = json_raw(json, member, &len);

	json_key(json, member, seen);
	text_printf(seen, "=%.*s/%zu ", (int)len, raw, json_count(json, member));
	CHECK_INT(json_first(json, 0), member);
	CHECK_INT(json_next(json, member), JSON_NONE);
	return json_type(json, member) == JSON_NULL ? error_set(err, EIO, "null") : 0;
}

static int members_of(const char *s, struct text *seen, struct error *err)
{
	text_clear(seen);
	text_put(seen, "", 0);
	return json_parse_members(s, strlen(s), note_member, seen, err);
}

static void members(void)
{
	AUTO_TEXT seen = {0};
	struct error err = {0};

	unit_begin("members of an object are given one by one");
	CHECK_INT(
		members_of(" {\"a\": [1,[2]], \"b\" : {} ,\"a\":\"\"} ", &seen, &err), 0);
	CHECK_STR(seen.bytes, "a=[1,[2]]/2 b={}/0 a=\"\"/0 ");
	CHECK_INT(members_of("{}", &seen, &err), 0);
	CHECK_STR(seen.bytes, "");

	unit_begin("who gets them ends the reading, and so does a mistake behind them");
	CHECK_INT(members_of("{\"a\": null, \"b\": 1}", &seen, &err), -EIO);
	CHECK_STR(seen.bytes, "a=null/0 ");
	CHECK_INT(members_of("{\"a\": 1, \"b\"}", &seen, &err), -EINVAL);
	CHECK_STR(err.text, "1:13: expected ':' behind a key, found '}'");
	CHECK_INT(members_of("[1, 2]", &seen, &err), -EINVAL);
	CHECK_STR(err.text, "expected an object, found an array");
}

static bool raw_is(const struct json *json, json_value v, const char *want)
{
	size_t len = 0;
	const char *raw = v != JSON_NONE ? json_raw(json, v, &len) : "(none)";

	return CHECK_BYTES(raw, len, want, strlen(want));
}

static void walking(void)
{
	AUTO_DOC doc =
		doc_of("{\"a\": [1, [2, 3], {}], \"b\": {\"c\": \"x\"}, \"a\": null}");
	const struct json *json = doc.json;
	AUTO_TEXT seen = {0};
	json_value v;

	unit_begin("children, siblings, parents and counts are found from any value");
	CHECK_INT(json_count(json, 0), 3);
	for (v = json_first(json, 0); v != JSON_NONE; v = json_next(json, v)) {
		json_key(json, v, &seen);
		text_printf(&seen, "%zu ", json_count(json, v));
		CHECK_INT(json_parent(json, v), 0);
	}
	CHECK_STR(seen.bytes, "a3 b1 a0 ");
	CHECK_INT(json_parent(json, 0), JSON_NONE);
	CHECK_INT(json_next(json, 0), JSON_NONE);
	v = json_at(json, "/b/c");
	CHECK_INT(json_next(json, v), JSON_NONE);
	CHECK_INT(json_first(json, v), JSON_NONE);
	CHECK_INT(json_type(json, json_parent(json, v)), JSON_OBJECT);

	unit_begin("of several members of one key the last is found");
	raw_is(json, json_get(json, 0, "a"), "null");
	CHECK_INT(json_get(json, 0, "z"), JSON_NONE);
	CHECK_INT(json_get(json, v, "z"), JSON_NONE);
}

static void pointers(void)
{
	AUTO_DOC doc = doc_of("{\"a\": [1, [2, 3], {}], \"x/y\": {\"~\": {\"\": 7}}}");
	const struct json *json = doc.json;
	AUTO_TEXT path = {0};

	unit_begin("a path of keys and indices leads to a value, and back");
	raw_is(json, json_at(json, "/a/1/1"), "3");
	raw_is(json, json_at(json, "/x~1y/~0/"), "7");
	raw_is(json, json_at(json, "/a/2"), "{}");
	CHECK_INT(json_at(json, ""), 0);
	json_path(json, json_at(json, "/x~1y/~0/"), &path);
	CHECK_STR(path.bytes, "/x~1y/~0/");
	text_clear(&path);
	json_path(json, json_at(json, "/a/1/1"), &path);
	CHECK_STR(path.bytes, "/a/1/1");

	unit_begin("a path that leads nowhere finds nothing");
	static const char *const none[] = {"a", "/", "/a/3", "/a/01", "/a/-", "/a/-1",
		"/a/+1", "/a/0/0", "/a/99999999999999999999", "/a/", "/a/1x"};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		CHECK_INT(json_at(json, none[i]), JSON_NONE);
}

static void places(void)
{
	AUTO_DOC doc = doc_of("{\n  \"\xc3\xa9\": [1,\r\n 2]}");
	unsigned line, column;

	unit_begin("a value's place is its line and its column in characters");
	json_place(doc.json, json_at(doc.json, "/\xc3\xa9"), &line, &column);
	CHECK_INT(line, 2);
	CHECK_INT(column, 8);
	json_place(doc.json, json_at(doc.json, "/\xc3\xa9/1"), &line, &column);
	CHECK_INT(line, 3);
	CHECK_INT(column, 2);
}

static void strings(void)
{
	AUTO_DOC doc = doc_of(
		"[\"\\u00e9\\n\\u0000\\/\\ud83d\\ude00\\ud800x\\udc00\", \"plain\", "
		"{\"k\\u0065y\": 1}]");
	const struct json *json = doc.json;
	json_value v = json_first(json, 0);
	AUTO_TEXT out = {0};

	unit_begin("strings are decoded, with NUL and lone surrogates kept");
	json_string(json, v, &out);
	CHECK_BYTES(out.bytes, out.len,
		"\xc3\xa9\n\0/\xf0\x9f\x98\x80\xed\xa0\x80x\xed\xb0\x80", 16);
	CHECK(json_string_is(json, v, out.bytes, out.len));
	CHECK(!json_string_is(json, v, out.bytes, out.len - 1));
	CHECK(json_string_is(json, json_at(json, "/1"), "plain", 5));
	CHECK(!json_string_is(json, json_at(json, "/1"), "plaine", 6));
	CHECK(!json_string_is(json, json_at(json, "/2"), "plain", 5));
	CHECK(json_key_is(json, json_at(json, "/2/key"), "key", 3));

	unit_begin("a string that was decoded is written so that it reads the same");
	text_clear(&out);
	json_string(json, v, &out);
	AUTO_TEXT again = {0};
	json_put_string(&again, out.bytes, out.len);
	CHECK_STR(again.bytes, "\"\xc3\xa9\\n\\u0000/\xf0\x9f\x98\x80\\ud800x\\udc00\"");
	text_clear(&again);
	json_put_string(&again, "\"\\\x1f\x7f\xed\x95\x9c", 7);
	CHECK_STR(again.bytes, "\"\\\"\\\\\\u001f\x7f\xed\x95\x9c\"");

	unit_begin("UTF-8 is told from other bytes");
	CHECK(json_utf8("", 0) && json_utf8("a\xc3\xa9", 3) && json_utf8("\0", 1));
	CHECK(!json_utf8("\xed\xa0\x80", 3) && !json_utf8("\xc3", 1) &&
		!json_utf8("\x80", 1));
}

static int64_t int_of(const char *text)
{
	AUTO_DOC doc = doc_of(text);
	int64_t out = 77;
	int rc = json_int64(doc.json, 0, &out, NULL);

	return rc < 0 ? rc : out;
}

static uint64_t uint_of(const char *text)
{
	AUTO_DOC doc = doc_of(text);
	uint64_t out = 77;
	int rc = json_uint64(doc.json, 0, &out, NULL);

	return rc < 0 ? (uint64_t)rc : out;
}

static void integers(void)
{
	unit_begin("integers are exact, however they are spelled");
	CHECK_INT(int_of("9007199254740993"), 9007199254740993);
	CHECK_INT(int_of("-9223372036854775808"), INT64_MIN);
	CHECK_INT(int_of("9223372036854775807.0"), INT64_MAX);
	CHECK_INT(int_of("5e0"), 5);
	CHECK_INT(int_of("5000e-3"), 5);
	CHECK_INT(int_of("0.00005E+5"), 5);
	CHECK_INT(int_of("-0.0"), 0);
	CHECK_INT(int_of("0e99999999999999999999999"), 0);
	CHECK(uint_of("18446744073709551615") == UINT64_MAX);
	CHECK(uint_of("1.8446744073709551615e19") == UINT64_MAX);

	unit_begin("what is no integer, or does not fit, is told apart");
	CHECK_INT(int_of("1.5"), -EINVAL);
	CHECK_INT(int_of("1e-99999999999999999999"), -ERANGE);
	CHECK_INT(int_of("\"1\""), -EINVAL);
	CHECK_INT(int_of("NaN"), -EINVAL);
	CHECK_INT(int_of("9223372036854775808"), -ERANGE);
	CHECK_INT(int_of("-9223372036854775809"), -ERANGE);
	CHECK_INT(int_of("1e99999999999999999999"), -ERANGE);
	CHECK_INT((int64_t)uint_of("-1"), -ERANGE);
	CHECK_INT((int64_t)uint_of("18446744073709551616"), -ERANGE);
	CHECK_INT((int64_t)uint_of("99999999999999999999"), -ERANGE);

	AUTO_DOC doc = doc_of("\"five\"");
	struct error err = {0};
	int64_t out;
	json_int64(doc.json, 0, &out, &err);
	CHECK_STR(err.text, "expected an integer, found \"five\"");
}

static void doubles(void)
{
	AUTO_DOC doc = doc_of("[0.1, 1e400, -Infinity, NaN, 5e-324, 1e-400, \"1\", "
			      "1.7976931348623157e308]");
	json_value v = json_first(doc.json, 0);
	double d;

	unit_begin("a double is the nearest one, and never silently infinite");
	CHECK(json_double(doc.json, v, &d, NULL) == 0 && d == 0.1);
	CHECK_INT(json_double(doc.json, ++v, &d, NULL), -ERANGE);
	CHECK(json_double(doc.json, ++v, &d, NULL) == 0 && isinf(d) && d < 0);
	CHECK(json_double(doc.json, ++v, &d, NULL) == 0 && isnan(d));
	CHECK(json_double(doc.json, ++v, &d, NULL) == 0 && d == 5e-324);
	CHECK(json_double(doc.json, ++v, &d, NULL) == 0 && d == 0);
	CHECK_INT(json_double(doc.json, ++v, &d, NULL), -EINVAL);
	CHECK(json_double(doc.json, ++v, &d, NULL) == 0 && d == 0x1.fffffffffffffp1023);
}

/* Random texts: every prefix and mutation is read or refused, nothing else. */
static void hostile(void)
{
	static const char seed[] =
		"{\"a\": [1.5e3, -0, {\"\\u00e9\xc3\xa9\": null}], \"b\": [NaN, true]}";
	uint32_t random = 1;
	char text[sizeof seed];

	unit_begin("cut and altered texts are read or refused, and read back");
	for (size_t n = 0; n < sizeof seed; n++) {
		AUTO_DOC doc = doc_read(seed, n, JSON_NONFINITE);
		CHECK(n == sizeof seed - 1 ? doc.rc == 0 : doc.rc == -EINVAL);
	}
	for (int round = 0; round < 20000; round++) {
		memcpy(text, seed, sizeof seed);
		for (int i = 0; i < 1 + round % 3; i++) {
			random = random * 1664525 + 1013904223;
			text[random % (sizeof seed - 1)] = (char)(random >> 16);
		}
		AUTO_DOC doc = doc_read(text, sizeof seed - 1, JSON_NONFINITE);
		if (doc.rc < 0)
			continue;
		AUTO_TEXT out = {0};
		json_print(doc.json, 0, NULL, 0, true, &out);
		AUTO_DOC again = doc_read(out.bytes, out.len, JSON_NONFINITE);
		if (CHECK_INT(again.rc, 0))
			CHECK(json_equal(doc.json, 0, again.json, 0));
	}
}

static void print_is(const char *text, const char *want)
{
	AUTO_DOC doc = doc_of(text);
	AUTO_TEXT out = {0};

	json_print(doc.json, 0, NULL, 0, false, &out);
	CHECK_STR(out.bytes, want);
}

static void printing(void)
{
	unit_begin("a document has two spaces of indentation and a member a line");
	print_is("{\"a\":1,\"b\":{\"c\":[\"x\",\"y\"],\"d\":{}},\"e\":[]}",
		"{\n  \"a\": 1,\n  \"b\": {\n    \"c\": [\n      \"x\",\n      \"y\"\n   "
		" ],\n"
		"    \"d\": {}\n  },\n  \"e\": []\n}");
	print_is(" 1.50 ", "1.50");

	unit_begin("short arrays of numbers stand on one line, longer ones do not");
	print_is("{\"shape\":[768,768],\"v\":[[1,2],[3.0,NaN]],\"m\":[1,true]}",
		"{\n  \"shape\": [768, 768],\n  \"v\": [[1, 2], [3.0, NaN]],\n"
		"  \"m\": [\n    1,\n    true\n  ]\n}");
	print_is("[[12345678901234567890,12345678901234567890,12345678901234567890,"
		 "123456789],1]",
		"[\n  [12345678901234567890, 12345678901234567890, 12345678901234567890, "
		"123456789],\n  1\n]");
	print_is("[12345678901234567890,12345678901234567890,12345678901234567890,"
		 "123456789012345]",
		"[\n  12345678901234567890,\n  12345678901234567890,\n  "
		"12345678901234567890,\n"
		"  123456789012345\n]");

	unit_begin("strings and numbers are printed as they stand, but escaped letters "
		   "are shown");
	print_is("[\"\\u00e9\\/\\ud83d\\ude00\\u0041\\n\", 1E5]",
		"[\n  \"\xc3\xa9\\/\xf0\x9f\x98\x80\\u0041\\n\",\n  1E5\n]");
	print_is("{\"\\u00e9\":\"\\ud800\\u202e\\u0085\\u00a0\\\\u00e9\"}",
		"{\n  \"\xc3\xa9\": \"\\ud800\\u202e\\u0085\\u00a0\\\\u00e9\"\n}");
}

static void standing_in(void)
{
	AUTO_DOC doc = doc_of("{\"layers\": [{\"n\": 1}, {\"n\": [2]}], \"x\": 1.0}");
	struct json_stand stands[] = {{json_at(doc.json, "/layers/0"), "\"a\"", 3},
		{json_at(doc.json, "/layers/1"), "\"b\"", 3}};
	AUTO_TEXT out = {0};

	unit_begin("a part that stands elsewhere is printed as its name");
	json_print(doc.json, 0, stands, 2, true, &out);
	CHECK_STR(out.bytes,
		"{\n  \"layers\": [\n    \"a\",\n    \"b\"\n  ],\n  \"x\": 1.0\n}\n");

	unit_begin("a part is printed alone");
	text_clear(&out);
	json_print(doc.json, stands[1].value, NULL, 0, true, &out);
	CHECK_STR(out.bytes, "{\n  \"n\": [2]\n}\n");

	unit_begin("values are replaced where they stand, all else is copied");
	text_clear(&out);
	json_splice(doc.json, stands, 2, &out);
	CHECK_STR(out.bytes, "{\"layers\": [\"a\", \"b\"], \"x\": 1.0}");
	text_clear(&out);
	json_splice(doc.json, NULL, 0, &out);
	CHECK_STR(out.bytes,
		doc.bytes != NULL ? "{\"layers\": [{\"n\": 1}, {\"n\": [2]}], \"x\": 1.0}"
				  : "");
}

int main(void)
{
	accepted();
	refused();
	depth();
	prefix();
	members();
	walking();
	pointers();
	places();
	strings();
	integers();
	doubles();
	printing();
	standing_in();
	hostile();
	return unit_end();
}
