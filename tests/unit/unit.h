/*
 * unit: what a unit test needs and no more.
 *
 * A test program is a list of behaviours. Each prints one line, "ok - sentence"
 * or "not ok - sentence (why)"; the program ends in `return unit_end();`, which is
 * 1 if any line said "not ok". A sentence states what a user of the code sees.
 *
 * A behaviour that takes many checks opens with unit_begin("sentence"); the
 * checks in it are silent while they hold, the first that fails gives the reason, and the
 * line is printed when the next behaviour begins or the program ends.
 */
#ifndef WEIGHTFS_TESTS_UNIT_H
#define WEIGHTFS_TESTS_UNIT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static struct {
	const char *sentence; /* of the behaviour that is open, else NULL */
	char why[1024];	      /* its first failure; empty while it holds */
	unsigned failed;
} unit;

/* Prints the line of the behaviour that is open, if one is. */
static inline void unit_close(void)
{
	if (unit.sentence == NULL)
		return;
	if (unit.why[0] == '\0')
		printf("ok - %s\n", unit.sentence);
	else
		printf("not ok - %s (%s)\n", unit.sentence, unit.why);
	(void)fflush(stdout);
	unit.failed += unit.why[0] != '\0';
	unit.sentence = NULL;
}

/* Opens a behaviour. `sentence` must outlive it. */
static inline void unit_begin(const char *sentence)
{
	unit_close();
	unit.sentence = sentence;
	unit.why[0] = '\0';
}

/* The open behaviour fails; only the first reason is kept. */
__attribute__((format(printf, 1, 2))) static inline void unit_fail(const char *fmt, ...)
{
	va_list args;

	if (unit.sentence == NULL)
		unit_begin("a check outside of any behaviour holds");
	if (unit.why[0] != '\0')
		return;
	va_start(args, fmt);
	(void)vsnprintf(unit.why, sizeof unit.why, fmt, args);
	va_end(args);
	if (unit.why[0] == '\0')
		(void)snprintf(unit.why, sizeof unit.why, "failed");
}

/* Closes the last behaviour; what main returns. */
static inline int unit_end(void)
{
	unit_close();
	return unit.failed != 0;
}

static inline bool unit_check(bool holds, const char *what, const char *file, int line)
{
	if (!holds)
		unit_fail("%s:%d: %s", file, line, what);
	return holds;
}

static inline bool unit_check_int(
	intmax_t got, intmax_t want, const char *what, const char *file, int line)
{
	if (got != want)
		unit_fail("%s:%d: %s is %jd, expected %jd", file, line, what, got, want);
	return got == want;
}

static inline bool unit_check_bytes(const void *got, size_t got_len, const void *want,
	size_t want_len, const char *file, int line)
{
	bool same = got_len == want_len &&
		    (want_len == 0 || memcmp(got, want, want_len) == 0);

	if (!same)
		unit_fail("%s:%d: found <%.*s>, expected <%.*s>", file, line,
			(int)(got_len < 400 ? got_len : 400),
			got != NULL ? (const char *)got : "",
			(int)(want_len < 400 ? want_len : 400), (const char *)want);
	return same;
}

/* NULL is shown, and only equal to NULL. */
static inline bool unit_check_str(
	const char *got, const char *want, const char *file, int line)
{
	bool same =
		got == want || (got != NULL && want != NULL && strcmp(got, want) == 0);

	if (!same)
		unit_fail("%s:%d: found <%s>, expected <%s>", file, line,
			got != NULL ? got : "NULL", want != NULL ? want : "NULL");
	return same;
}

/* Each evaluates its arguments once and is true when the check holds. */
#define CHECK(cond) unit_check((cond), #cond, __FILE__, __LINE__)
#define CHECK_INT(got, want) unit_check_int((got), (want), #got, __FILE__, __LINE__)
#define CHECK_STR(got, want) unit_check_str((got), (want), __FILE__, __LINE__)
#define CHECK_BYTES(got, got_len, want, want_len) \
	unit_check_bytes((got), (got_len), (want), (want_len), __FILE__, __LINE__)
/* A whole behaviour of one check. */
#define OK(cond, sentence) (unit_begin(sentence), CHECK(cond))

#endif
