/*
 * terminal: block characters where the locale has them, else ASCII.
 */
#include "mount/terminal.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/base/utf8.h"
#include "decoders/grammar/minifloat.h"
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#define LEVELS 8
#define PATIENCE_MS 1000

static const char *const upright[2][LEVELS] = {
	{".", ":", "-", "=", "+", "*", "#", "@"},
	{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
};
static const char *const lying[LEVELS] = {"▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};

void terminal_init(void)
{
	(void)setlocale(LC_CTYPE, ""); /* else it is C */
}

unsigned terminal_width(void)
{
	struct winsize size;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

bool terminal_draws(void)
{
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

/* The columns of one character, and its bytes in *len. */
static size_t columns_of(const char *s, size_t left, size_t *len)
{
	uint32_t code;

	*len = utf8_read(s, left, &code);
	if (*len == 0) {
		*len = 1;
		return 1;
	}
	int columns = wcwidth((wchar_t)code);
	return columns < 0 ? 1 : (size_t)columns;
}

size_t terminal_columns(const char *s)
{
	size_t left = strlen(s), len, columns = 0;

	for (; left > 0; s += len, left -= len)
		columns += columns_of(s, left, &len);
	return columns;
}

void terminal_put_bars(struct text *out, const double *shares, size_t n, bool draws)
{
	double most = 0;

	for (size_t i = 0; i < n; i++)
		most = shares[i] > most ? shares[i] : most;
	for (size_t i = 0; i < n; i++) {
		if (shares[i] <= 0) {
			text_putc(out, ' ');
			continue;
		}
		size_t level = (size_t)(shares[i] / most * LEVELS);
		text_puts(out, upright[draws][level < LEVELS ? level : LEVELS - 1]);
	}
}

void terminal_put_bar(struct text *out, double share, unsigned columns, bool draws)
{
	unsigned eighths;

	share = share > 1 ? 1 : share;
	if (!(share > 0))
		return;
	eighths = (unsigned)(share * columns * LEVELS);
	eighths = eighths ? eighths : 1;
	for (; eighths >= LEVELS; eighths -= LEVELS)
		text_puts(out, draws ? lying[LEVELS - 1] : "#");
	if (eighths > 0)
		text_puts(out, draws ? lying[eighths - 1] : "#");
}

void terminal_put_escaped(struct text *out, const char *s)
{
	char safe[4096];

	error_escape(safe, sizeof safe, s, strlen(s));
	text_puts(out, safe);
}

/* Bytes of the first characters that fill at most that many columns. */
static size_t head_of(const char *s, size_t columns)
{
	size_t left = strlen(s), len, used = 0, at = 0;

	while (at < left) {
		used += columns_of(s + at, left - at, &len);
		if (used > columns)
			break;
		at += len;
	}
	return at;
}

void terminal_put_fitted(struct text *out, const char *s, size_t columns, bool draws)
{
	const char *dots = draws ? "…" : "~";
	size_t have = terminal_columns(s);

	if (have > columns && columns > 1) {
		size_t before = (columns - 1) / 2, after = columns - 1 - before;
		text_put(out, s, head_of(s, before));
		text_puts(out, dots);
		text_puts(out, s + head_of(s, have - after));
		return;
	}
	text_puts(out, s);
	for (; have < columns; have++)
		text_putc(out, ' ');
}

void terminal_put_size(struct text *out, uint64_t bytes)
{
	static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB", "EB"};
	double n = (double)bytes;
	size_t unit = 0;

	for (; n >= 999.5 && unit < 6; unit++)
		n /= 1000;
	text_printf(out, unit && n < 9.95 ? "%.1f %s" : "%.0f %s", n,
		bytes == 1 ? "byte" : units[unit]);
}

void terminal_put_double(struct text *out, double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof bits);
	minifloat_put(dtype_find("float64", 7), bits, out);
}

/* Progress. */

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void progress_show(void *arg, uint64_t done, uint64_t total)
{
	struct progress *progress = arg;
	AUTO_TEXT line = {0};
	uint64_t now = now_ms();

	if (!isatty(STDERR_FILENO))
		return;
	if (!progress->begin_ms)
		progress->begin_ms = now;
	if (now - progress->begin_ms < PATIENCE_MS)
		return;
	text_printf(
		&line, "\r%3.0f %%  ", total ? 100.0 * (double)done / (double)total : 0);
	terminal_put_size(&line, done);
	text_puts(&line, " of ");
	terminal_put_size(&line, total);
	text_puts(&line, "\033[K");
	if (!line.failed)
		(void)!write(STDERR_FILENO, line.bytes, line.len);
	progress->shown = true;
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
