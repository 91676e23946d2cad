/* Names: every name has one path, every canonical path one name, none leaves the mount.
 */
#include "decoders/base/names.h"
#include "decoders/base/text.h"
#include "decoders/base/utf8.h"
#include "tests/unit/unit.h"
#include <stdlib.h>

static void path_is(const char *name, size_t len, char separator, const char *want)
{
	AUTO_TEXT path = {0};

	names_path(name, len, separator, &path);
	CHECK_STR(path.bytes, want);
}

static void examples(void)
{
	unit_begin("names are split at the separator, and plain ones stay as they are");
	path_is("model.layers.0.q", 16, '.', "model/layers/0/q");
	path_is("a/b.c", 5, '/', "a/b.c");
	path_is("a/b.c", 5, '.', "a%2Fb/c");
	path_is("k\xc3\xa4se \xe2\x9c\x93", 9, '.', "k\xc3\xa4se \xe2\x9c\x93");

	unit_begin("what cannot stand in a component is percent-encoded, in capitals");
	path_is("", 0, '.', "%_");
	path_is("..", 2, '.', "%_/%_/%_");
	path_is("../.", 4, '/', "%2E%2E/%2E");
	path_is("...", 3, '/', "...");
	path_is("/etc/passwd", 11, '/', "%_/etc/passwd");
	path_is("100%", 4, '.', "100%25");
	path_is("%+", 2, '.', "%25+");
	path_is("a\0\n\x7f", 4, '.', "a%00%0A%7F");
	path_is("\xc2\x9b\xe2\x80\xae\xd8\x9c", 7, '.', "%C2%9B%E2%80%AE%D8%9C");
	path_is("\xff\xc3(\xed\xa0\x80\xe2\x82", 8, '.', "%FF%C3(%ED%A0%80%E2%82");

	unit_begin("names of documents and of files are kept free");
	path_is("config/config", 13, '/', "config/%63onfig");
	path_is("metadata", 8, '.', "%6Detadata");
	path_is("attributes", 10, '.', "%61ttributes");
	path_is("Config", 6, '.', "Config");
	path_is("x.bin/x.bin", 11, '/', "x%2Ebin/x.bin");
	path_is("config.json/.json/a", 19, '/', "config%2Ejson/%2Ejson/a");
	path_is("a.bin.json/b", 12, '/', "a.bin%2Ejson/b");
}

static void long_piece(void)
{
	AUTO_TEXT path = {0};
	char piece[1000];

	unit_begin("a piece that is too long goes on in nested folders");
	memset(piece, 'a', sizeof piece);
	names_path(piece, 250, '.', &path);
	CHECK_INT(path.len, 250);
	text_clear(&path);
	names_path(piece, 251, '.', &path);
	CHECK_INT(path.len, 254);
	CHECK_BYTES(path.bytes + 238, 16, "%+/aaaaaaaaaaaaa", 16);
	text_clear(&path);
	names_path(piece, 1000, '.', &path);
	CHECK_INT(path.len, 4 * 241 + 48);

	unit_begin("a long piece is broken between characters");
	for (int i = 0; i < 300; i += 3)
		memcpy(piece + i, "\xe2\x9c\x93", 3);
	text_clear(&path);
	names_path(piece, 300, '.', &path);
	CHECK_INT(path.len, 303);
	CHECK_BYTES(path.bytes + 237, 3, "%+/", 3);

	unit_begin("the end of a long piece obeys the rules of a last component");
	memset(piece, 'a', 476);
	memcpy(piece + 476, "attributes", 10);
	text_clear(&path);
	names_path(piece, 486, '.', &path);
	CHECK_STR(path.bytes + 480, "+/%61ttributes");
	memcpy(piece + 476, ".json", 5);
	text_clear(&path);
	names_piece(piece, 481, '/', NAMES_FOLDER, &path);
	CHECK_STR(path.bytes + 480, "+/%2Ejson");
}

static uint64_t state = 88172645463325252;

static unsigned random_below(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 33) % n;
}

/* A name of fragments that are each a trap. */
static void nasty(struct text *name)
{
	static const char *const traps[] = {".", "..", "/", "%", "%+", "%_", "%=2", "%25",
		"config", "metadata", "attributes", ".bin", ".json", "\xc2\x85",
		"\xe2\x80\x8f", "\xe2\x81\xa6", "\xd8\x9c", "\xc2", "\x80",
		"\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x9f\x98\x80", "\xe2\x9c\x93",
		"\n", "\x7f", "a", "B", " ", "%+/", "%2E", "\xc0\xaf", "%c3"};
	static const unsigned counts[] = {0, 1, 2, 5, 40, 400};
	unsigned n = random_below(counts[random_below(6)] + 1);
	bool filled = n <= 40 && random_below(8) == 0;

	text_clear(name);
	text_put(name, NULL, 0);
	for (unsigned i = 0; i < n; i++) {
		unsigned what = random_below(40);

		if (filled)
			for (unsigned k = random_below(300); k > 0; k--)
				text_putc(name, (char)('a' + (k & 15)));
		if (what < sizeof traps / sizeof *traps)
			text_puts(name, traps[what]);
		else
			text_putc(name, (char)random_below(256));
	}
}

/* What must hold for each component of any path. */
static void components(const struct text *path, char separator, enum names_place place)
{
	const char *s = path->bytes, *end = s + path->len, *slash;

	for (;; s = slash + 1) {
		size_t n, at = 0;
		uint32_t code;

		slash = memchr(s, '/', (size_t)(end - s));
		n = (size_t)((slash != NULL ? slash : end) - s);
		CHECK(n > 0 && n <= 250);
		CHECK(!(n <= 2 && memcmp(s, "..", n) == 0));
		CHECK(names_canonical(
			s, n, separator, slash != NULL ? NAMES_FOLDER : place));
		while (at < n) {
			size_t took = utf8_read(s + at, n - at, &code);

			if (!CHECK(took > 0 && code >= 0x20 && code != 0x7f))
				return;
			at += took;
		}
		if (slash == NULL)
			return;
	}
}

static void there_and_back(void)
{
	AUTO_TEXT name = {0};
	AUTO_TEXT path = {0};
	AUTO_TEXT again = {0};

	unit_begin("every name comes back from its path, whatever its bytes");
	for (int i = 0; i < 30000; i++) {
		char separator = i & 1 ? '.' : '/';

		nasty(&name);
		text_clear(&path);
		text_clear(&again);
		names_path(name.bytes, name.len, separator, &path);
		components(&path, separator, NAMES_STEM);
		CHECK(names_name(path.bytes, path.len, separator, NAMES_STEM, &again));
		CHECK_BYTES(again.bytes, again.len, name.bytes, name.len);
	}
}

static void back_and_there(void)
{
	AUTO_TEXT path = {0};
	AUTO_TEXT name = {0};
	AUTO_TEXT again = {0};
	unsigned accepted = 0;

	unit_begin("a path that is accepted is the image of the name it gives");
	for (int i = 0; i < 30000; i++) {
		char separator = i & 1 ? '.' : '/';

		nasty(&path);
		if (random_below(2) > 0 && path.len > 0) { /* nearly an image */
			AUTO_TEXT image = {0};

			names_path(path.bytes, path.len, separator, &image);
			text_splice(&image, random_below((unsigned)image.len), 1,
				"%+/.F2c" + random_below(7), random_below(2));
			text_clear(&path);
			text_put(&path, image.bytes, image.len);
		}
		text_clear(&name);
		text_clear(&again);
		if (!names_name(path.bytes, path.len, separator, NAMES_STEM, &name)) {
			CHECK_INT(name.len, 0);
			continue;
		}
		accepted++;
		names_path(name.len ? name.bytes : "", name.len, separator, &again);
		CHECK_BYTES(again.bytes, again.len, path.bytes, path.len);
	}
	CHECK(accepted > 1000);
}

static bool accepts(const char *path, char separator, enum names_place place)
{
	AUTO_TEXT name = {0};

	return names_name(path, strlen(path), separator, place, &name);
}

static bool canonical(const char *component, enum names_place place)
{
	return names_canonical(component, strlen(component), '/', place);
}

static void refusals(void)
{
	unit_begin("what no name encodes to is no model's name");
	CHECK(accepts("a/b", '.', NAMES_STEM));
	CHECK(accepts("a/config", '.', NAMES_FOLDER));
	CHECK(!accepts("a/config", '.', NAMES_STEM));
	CHECK(!accepts("", '.', NAMES_STEM));
	CHECK(!accepts("a//b", '.', NAMES_STEM));
	CHECK(!accepts("a/", '.', NAMES_STEM));
	CHECK(!accepts("a%2f", '.', NAMES_STEM));
	CHECK(!accepts("a%2F", '/', NAMES_STEM));
	CHECK(!accepts("a%61", '.', NAMES_STEM));
	CHECK(!accepts("a%=2", '.', NAMES_STEM));
	CHECK(!accepts("a%", '.', NAMES_STEM));
	CHECK(!accepts("a%+/b", '.', NAMES_STEM));
	CHECK(!accepts("a.b", '.', NAMES_STEM));
	CHECK(!accepts("x.bin", '/', NAMES_FOLDER));
	CHECK(accepts("x.bin", '/', NAMES_STEM));
	CHECK(!accepts("a\n", '/', NAMES_STEM));

	unit_begin("a component by itself is known to be canonical or not");
	CHECK(canonical("dense", NAMES_FOLDER) && canonical("dense", NAMES_STEM));
	CHECK(canonical("%_", NAMES_FOLDER) && canonical("%63onfig", NAMES_STEM));
	CHECK(!canonical("%63onfig", NAMES_FOLDER) && !canonical("config", NAMES_STEM));
	CHECK(!canonical("", NAMES_FOLDER) && !canonical(".", NAMES_FOLDER));
	CHECK(!canonical("a%+", NAMES_FOLDER) && !canonical("a%=2", NAMES_STEM));
	CHECK(!canonical("4913.bin", NAMES_FOLDER) && canonical(".a.swp", NAMES_FOLDER));
}

int main(void)
{
	examples();
	long_piece();
	there_and_back();
	back_and_there();
	refusals();
	return unit_end();
}
