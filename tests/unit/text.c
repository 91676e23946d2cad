/* Growable texts, and error texts that are safe to print. */
#include "decoders/base/text.h"
#include "decoders/base/error.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <stdlib.h>

static void growing(void)
{
	AUTO_TEXT text = {0};
	size_t len = 0;
	char *bytes;

	unit_begin(
		"a text grows by bytes, strings and formats, and is always terminated");
	text_puts(&text, "ab");
	text_putc(&text, '\0');
	text_put(&text, "cd", 2);
	text_printf(&text, "%d%s", 12, "x");
	CHECK_BYTES(text.bytes, text.len + 1, "ab\0cd12x", 9);
	CHECK_INT(text_check(&text, NULL), 0);
	text_clear(&text);
	CHECK_INT(text.len, 0);
	for (int i = 0; i < 100000; i++)
		text_putc(&text, 'a');
	CHECK_INT(strlen(text.bytes), 100000);

	unit_begin(
		"what is taken belongs to the caller, an empty text is an empty string");
	bytes = text_take(&text, &len);
	CHECK(bytes != NULL && len == 100000 && text.bytes == NULL);
	free(bytes);
	bytes = text_take(&text, &len);
	CHECK_BYTES(bytes, len + 1, "", 1);
	free(bytes);
	text_done(NULL);
}

static void splicing(void)
{
	AUTO_TEXT text = {0};

	unit_begin("a splice replaces bytes by more, fewer or none");
	text_splice(&text, 0, 0, "hello", 5);
	text_splice(&text, 1, 3, "ipp", 3);
	CHECK_STR(text.bytes, "hippo");
	text_splice(&text, 0, 1, "shi", 3);
	CHECK_STR(text.bytes, "shiippo");
	text_splice(&text, 2, 4, NULL, 0);
	CHECK_STR(text.bytes, "sho");
	text_splice(&text, 3, 0, "w", 1);
	CHECK_STR(text.bytes, "show");
}

static void failing(void)
{
	AUTO_TEXT text = {0};
	struct error err = {0};

	unit_begin("a text without memory keeps what it has and says so at the end");
	text_puts(&text, "kept");
	text_put(&text, "", SIZE_MAX - 2);
	CHECK(text.failed);
	text_puts(&text, "ignored");
	CHECK_STR(text.bytes, "kept");
	CHECK_INT(text_check(&text, &err), -ENOMEM);
	CHECK(err.text[0] != '\0');
	CHECK(text_take(&text, NULL) == NULL);
}

static void errors(void)
{
	struct error err = {0};
	char out[12], longer[3000];

	unit_begin("what a file says is escaped on its way to a terminal");
	CHECK_INT(error_set(&err, EINVAL, "found \"%s\"",
			  "a\x1b[31m\n\xff\xc3\xa9\xc2\x85\xe2\x80\xae"),
		-EINVAL);
	CHECK_STR(err.text,
		"found \"a\\x1b[31m\\x0a\\xff\xc3\xa9\\xc2\\x85\\xe2\\x80\\xae\"");
	error_prefix(&err, "file %d", 1);
	CHECK_STR(err.text, "file 1: found "
			    "\"a\\x1b[31m\\x0a\\xff\xc3\xa9\\xc2\\x85\\xe2\\x80\\xae\"");
	CHECK_INT(error_set(NULL, EIO, "x"), -EIO);
	error_prefix(NULL, "x");

	unit_begin(
		"truncated, overlong and surrogate sequences are escaped byte by byte");
	error_set(&err, EINVAL, "%s", "\xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82");
	CHECK_STR(err.text, "\\xc0\\xaf \\xed\\xa0\\x80 \\xf4\\x90\\x80\\x80 \\xe2\\x82");

	unit_begin("a text that is too long is cut between characters and ends in dots");
	CHECK_INT(error_escape(out, sizeof out, "12345678901", 11), 11);
	CHECK_STR(out, "12345678901");
	CHECK_INT(error_escape(out, sizeof out, "123456789012", 12), 11);
	CHECK_STR(out, "12345678...");
	CHECK_INT(error_escape(out, sizeof out, "1234567\xc3\xa9\xc3\xa9xyz", 14), 10);
	CHECK_STR(out, "1234567...");
	CHECK_INT(error_escape(out, 3, "abcd", 4), 0);
	CHECK_INT(error_escape(out, 4, "abcd", 4), 3);
	CHECK_STR(out, "...");
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	error_set(&err, EINVAL, "%s", longer);
	CHECK_INT(strlen(err.text), ERROR_TEXT_MAX - 1);
	error_prefix(&err, "in front");
	CHECK_INT(strlen(err.text), ERROR_TEXT_MAX - 1);
	CHECK(strncmp(err.text, "in front: xxx", 13) == 0);
	CHECK_STR(err.text + ERROR_TEXT_MAX - 4, "...");
	error_set(&err, EINVAL, "again: %s", err.text);
	CHECK(strncmp(err.text, "again: in front", 15) == 0);
}

int main(void)
{
	growing();
	splicing();
	failing();
	errors();
	return unit_end();
}
