/*
 * say: escaping as error_set() does it, of any length.
 */
#include "mount/say.h"
#include "decoders/base/error.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 4096
#define FORM_MAX 4 /* bytes that one byte becomes at most */

/* Cuts between characters. */
static size_t piece_of(const char *text, size_t len)
{
	size_t n = len < PIECE ? len : PIECE;

	while (n < len && n > PIECE / 2 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

size_t say_field(FILE *out, const char *text, size_t len)
{
	char safe[PIECE * FORM_MAX + 4]; /* what fits is not cut */
	size_t all = 0;

	for (size_t n; len > 0; text += n, len -= n) {
		n = piece_of(text, len);
		size_t safe_len = error_escape(safe, sizeof(safe), text, n);

		all += fwrite(safe, 1, safe_len, out);
	}
	return all;
}

void say(const char *fmt, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, fmt);
	int n = vasprintf(&text, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	fputs("weightfs: ", stderr);
	(void)say_field(stderr, text, (size_t)n);
	fputc('\n', stderr);
	free(text);
}

size_t say_text(FILE *out, const char *text, size_t len)
{
	size_t done = 0;

	while (done < len && !ferror(out)) {
		size_t n = 0;
		while (done + n < len && text[done + n] != '\n' && text[done + n] != '\t')
			n++;
		(void)say_field(out, text + done, n);
		done += n;
		if (done < len)
			fputc(text[done++], out);
	}
	return ferror(out) ? 0 : done;
}
