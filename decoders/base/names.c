/*
 * names: percent-encoding of pieces, and pieces that are too long for one component.
 *
 * '%' in a component is always ours: it begins "%XX", or it is in "%_" (an empty piece),
 * at the end in "%+" (the piece goes on) or in "%=N" (a duplicate). So decoding
 * needs no rules: it undoes these forms wherever they stand, and a path is canonical
 * when what was decoded encodes to the same path again.
 */
#include "decoders/base/names.h"
#include "decoders/base/text.h"
#include "decoders/base/utf8.h"
#include <errno.h>
#include <string.h>

/* NAME_MAX without the longest suffix, ".json". */
#define WHOLE_MAX 250
/* A component of a piece that does not fit, with its "%+". */
#define PART_MAX 240
#define GOES_ON "%+"
/* A unit is never broken; the longest is a bidirectional mark, three bytes encoded. */
#define UNIT_MAX 9

/* Characters that stand in no component. Line separators are no controls: they stay. */
static bool hidden(uint32_t code)
{
	return utf8_acts(code) && code != 0x2028 && code != 0x2029;
}

static bool plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '%' && c != '/';
}

static size_t put_hex(char *form, const unsigned char *s, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < n; i++) {
		form[3 * i] = '%';
		form[3 * i + 1] = digits[s[i] >> 4];
		form[3 * i + 2] = digits[s[i] & 15];
	}
	return 3 * n;
}

/* Encodes the character, or the stray byte, at `s`; *took is what it was of `s`. */
static size_t encode_unit(
	const unsigned char *s, size_t len, char form[UNIT_MAX], size_t *took)
{
	uint32_t code = 0;
	size_t n = utf8_read(s, len, &code);

	*took = n > 0 ? n : 1;
	if (n == 0 || hidden(code) || code == '%' || code == '/')
		return put_hex(form, s, *took);
	memcpy(form, s, n);
	return n;
}

/* How many plain bytes `s` begins with. */
static size_t plain_run(const unsigned char *s, size_t len)
{
	size_t n = 0;

	while (n < len && plain(s[n]))
		n++;
	return n;
}

static void put_units(const unsigned char *s, size_t len, struct text *path)
{
	char form[UNIT_MAX];
	size_t took, n;

	while (len > 0) {
		took = plain_run(s, len);
		if (took > 0) {
			text_put(path, s, took);
		} else {
			n = encode_unit(s, len, form, &took);
			text_put(path, form, n);
		}
		s += took;
		len -= took;
	}
}

static size_t encoded_len(const unsigned char *s, size_t len)
{
	char form[UNIT_MAX];
	size_t total = 0, took;

	while (len > 0) {
		took = plain_run(s, len);
		total += took > 0 ? took : encode_unit(s, len, form, &took);
		s += took;
		len -= took;
	}
	return total;
}

/* Where the dot of ".bin" or ".json" stands at the end; `len` where it does not. */
static size_t suffix_dot(const unsigned char *s, size_t len)
{
	if (len >= 4 && memcmp(s + len - 4, ".bin", 4) == 0)
		return len - 4;
	if (len >= 5 && memcmp(s + len - 5, ".json", 5) == 0)
		return len - 5;
	return len;
}

static bool is(const unsigned char *s, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(s, word, len) == 0;
}

/* The range of a last component that is encoded although it could stand: *n bytes from
 * the offset that is returned. */
static size_t forced(
	const unsigned char *s, size_t len, enum names_place place, size_t *n)
{
	size_t dot = place == NAMES_FOLDER ? suffix_dot(s, len) : len;

	*n = 0;
	if (is(s, len, ".") || is(s, len, "..")) {
		*n = len;
		return 0;
	}
	if (place == NAMES_STEM && (is(s, len, "config") || is(s, len, "metadata") ||
					   is(s, len, "attributes")))
		*n = 1;
	if (dot < len)
		*n = 1;
	return dot < len ? dot : 0;
}

static void put_last(
	const unsigned char *s, size_t len, enum names_place place, struct text *path)
{
	char form[3 * 2];
	size_t n, at = forced(s, len, place, &n);

	put_units(s, at, path);
	text_put(path, form, put_hex(form, s + at, n));
	put_units(s + at + n, len - at - n, path);
}

/* Appends as many units as fit beside "%+"; *encoded is what they are encoded. */
static size_t put_part(
	const unsigned char *s, size_t len, struct text *path, size_t *encoded)
{
	size_t took, n, done = 0;
	char form[UNIT_MAX];

	*encoded = 0;
	while (done < len) {
		n = encode_unit(s + done, len - done, form, &took);
		if (*encoded + n > PART_MAX - strlen(GOES_ON))
			break;
		text_put(path, form, n);
		*encoded += n;
		done += took;
	}
	return done;
}

void names_piece(const char *piece, size_t len, char separator, enum names_place place,
	struct text *path)
{
	const unsigned char *s = (const unsigned char *)piece;
	size_t left = encoded_len(s, len), max = WHOLE_MAX, took, n;

	(void)separator; /* '/' is encoded either way */
	if (len == 0) {
		text_puts(path, NAMES_EMPTY);
		return;
	}
	for (;;) {
		(void)forced(s, len, place, &n);
		if (left + 2 * n <= max)
			break;
		took = put_part(s, len, path, &n);
		text_puts(path, GOES_ON "/");
		s += took;
		len -= took;
		left -= n;
		max = PART_MAX;
	}
	put_last(s, len, place, path);
}

/* Appends the path of a name whose last piece is of this place. */
static void put_path(const char *name, size_t len, char separator, enum names_place place,
	struct text *path)
{
	const char *end = name + len, *cut;

	while ((cut = memchr(name, separator, (size_t)(end - name))) != NULL) {
		names_piece(name, (size_t)(cut - name), separator, NAMES_FOLDER, path);
		text_putc(path, '/');
		name = cut + 1;
	}
	names_piece(name, (size_t)(end - name), separator, place, path);
}

void names_path(const char *name, size_t len, char separator, struct text *path)
{
	put_path(name, len, separator, NAMES_STEM, path);
}

/* The value of an upper-case hexadecimal digit, or -1. */
static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Appends what a component encodes, without "%+". False at a '%' that begins nothing. */
static bool decode(const char *s, size_t len, struct text *out)
{
	if (len == strlen(NAMES_EMPTY) && memcmp(s, NAMES_EMPTY, len) == 0)
		return true;
	for (size_t i = 0; i < len; i++) {
		int high, low;

		if (s[i] != '%') {
			text_putc(out, s[i]);
			continue;
		}
		if (len - i < 3 || (high = digit(s[i + 1])) < 0 ||
			(low = digit(s[i + 2])) < 0)
			return false;
		text_putc(out, (char)(high << 4 | low));
		i += 2;
	}
	return true;
}

/* Whether the component's piece goes on in the next one; takes the "%+" off. */
static bool goes_on(const char *s, size_t *len)
{
	const size_t n = strlen(GOES_ON);

	if (*len < n || memcmp(s + *len - n, GOES_ON, n) != 0)
		return false;
	*len -= n;
	return true;
}

/* Appends the name that a path would be of. */
static bool decode_path(const char *path, size_t len, char separator, struct text *name)
{
	const char *end = path + len, *slash;
	bool on;

	for (;; path = slash + 1) {
		size_t n;

		slash = memchr(path, '/', (size_t)(end - path));
		n = (size_t)((slash != NULL ? slash : end) - path);
		on = goes_on(path, &n);
		if (!decode(path, n, name))
			return false;
		if (slash == NULL)
			return !on;
		if (!on)
			text_putc(name, separator);
	}
}

bool names_name(const char *path, size_t len, char separator, enum names_place place,
	struct text *name)
{
	AUTO_TEXT decoded = {0};
	AUTO_TEXT again = {0};

	if (!decode_path(path, len, separator, &decoded))
		return false;
	/* A text that has nothing has no bytes. */
	put_path(decoded.len > 0 ? decoded.bytes : "", decoded.len, separator, place,
		&again);
	if (decoded.failed || again.failed || again.len != len ||
		memcmp(again.bytes, path, len) != 0)
		return false;
	text_put(name, decoded.bytes, decoded.len);
	return true;
}

bool names_canonical(
	const char *component, size_t len, char separator, enum names_place place)
{
	AUTO_TEXT decoded = {0};
	AUTO_TEXT again = {0};
	size_t n = len;
	bool on = goes_on(component, &n);

	if (!decode(component, n, &decoded))
		return false;
	if (decoded.len > 0 && memchr(decoded.bytes, separator, decoded.len) != NULL)
		return false;
	if (on && (place != NAMES_FOLDER || n > PART_MAX - 2 ||
			  n + UNIT_MAX < PART_MAX - 1))
		return false;
	if (on)
		put_units((const unsigned char *)decoded.bytes, decoded.len, &again);
	else
		names_piece(decoded.bytes, decoded.len, separator, place, &again);
	return !decoded.failed && !again.failed && again.len == n &&
	       memcmp(again.bytes, component, n) == 0;
}
