/* Two texts compared line by line. */
#include "fs/lines.h"
#include "decoders/base/text.h"
#include "tests/unit/unit.h"
#include <stdlib.h>

static void check(const char *a, const char *b, size_t context, const char *hunks)
{
	AUTO_TEXT left = {0}, right = {0}, out = {0};

	text_puts(&left, a);
	text_puts(&right, b);
	CHECK_INT(lines_diff(&left, &right, context, &out, NULL), 0);
	CHECK_STR(out.bytes ? out.bytes : "", hunks);
}

static void small(void)
{
	unit_begin("texts are compared as diff -u compares them");
	check("a\nb\n", "a\nb\n", 3, "");
	check("", "", 3, "");
	check("", "a\n", 3, "@@ -0,0 +1 @@\n+a\n");
	check("a\nb\n", "", 3, "@@ -1,2 +0,0 @@\n-a\n-b\n");
	check("a\nb\nc\n", "a\nx\nc\n", 3, "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
	check("a\nb\nc\n", "a\nc\n", 0, "@@ -2 +1,0 @@\n-b\n");
	check("a\nc\n", "a\nb\nc\n", 0, "@@ -1,0 +2 @@\n+b\n");

	unit_begin("a last line without a newline is told from one with");
	check("a", "a\n", 3, "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");

	unit_begin("changes that are near share a hunk, others do not");
	check("1\n2\n3\n4\n", "x\n2\n3\ny\n", 1,
		"@@ -1,4 +1,4 @@\n-1\n+x\n 2\n 3\n-4\n+y\n");
	check("1\n2\n3\n4\n5\n", "x\n2\n3\n4\ny\n", 1,
		"@@ -1,2 +1,2 @@\n-1\n+x\n 2\n@@ -4,2 +4,2 @@\n 4\n-5\n+y\n");

	unit_begin("what has moved is found by the shortest way");
	check("a\nb\nc\na\nb\nb\na\n", "c\nb\na\nb\na\nc\n", 0,
		"@@ -1,2 +0,0 @@\n-a\n-b\n@@ -3,0 +2 @@\n+b\n@@ -6 +4,0 @@\n-b\n"
		"@@ -7,0 +6 @@\n+c\n");
}

/* A text of lines of a few kinds. */
static void fill(struct text *out, unsigned *seed, size_t n, unsigned kinds)
{
	for (size_t i = 0; i < n; i++) {
		*seed = *seed * 1103515245 + 12345;
		text_printf(out, "line %u\n", (*seed >> 16) % kinds);
	}
}

static const char *next_line(const char *s)
{
	const char *newline = strchr(s, '\n');

	return newline ? newline + 1 : s + strlen(s);
}

/* What a diff with all the context says of one side. */
static void side_of(const char *hunks, char other, struct text *out)
{
	for (; *hunks; hunks = next_line(hunks))
		if (*hunks != other && *hunks != '@')
			text_put(out, hunks + 1, (size_t)(next_line(hunks) - hunks) - 1);
}

static void check_sides(unsigned seed, size_t n, unsigned kinds)
{
	AUTO_TEXT a = {0}, b = {0}, out = {0}, again_a = {0}, again_b = {0};

	fill(&a, &seed, n, kinds);
	fill(&b, &seed, n, kinds);
	CHECK_INT(lines_diff(&a, &b, 2 * n, &out, NULL), 0);
	if (out.len == 0) { /* they are equal */
		CHECK_BYTES(a.bytes, a.len, b.bytes, b.len);
		return;
	}
	side_of(out.bytes, '+', &again_a);
	side_of(out.bytes, '-', &again_b);
	CHECK_BYTES(again_a.bytes, again_a.len, a.bytes, a.len);
	CHECK_BYTES(again_b.bytes, again_b.len, b.bytes, b.len);
}

static void large(void)
{
	unit_begin(
		"what a diff keeps and removes is the one text, what it keeps and adds "
		"the other");
	for (unsigned seed = 0; seed < 200; seed++)
		check_sides(seed, 1 + seed % 40, 2 + seed % 5);

	unit_begin("also of texts that differ in more lines than are searched for");
	check_sides(1, 4000, 1000000);
	check_sides(2, 4000, 3);
}

int main(void)
{
	small();
	large();
	return unit_end();
}
