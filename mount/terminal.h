/*
 * terminal: how wide it is, what it can draw, and how far a command is.
 */
#ifndef WEIGHTFS_MOUNT_TERMINAL_H
#define WEIGHTFS_MOUNT_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct text;

/* Reads the user's locale: before files cannot be opened any more. */
void terminal_init(void);
/* Columns of standard output; 80 where it is no terminal that says so. */
unsigned terminal_width(void);
/* Whether the user's locale has block characters. */
bool terminal_draws(void);
/* Columns that UTF-8 takes. */
size_t terminal_columns(const char *s);

/* Appends a column of a histogram for each share, the largest share being full. */
void terminal_put_bars(struct text *out, const double *shares, size_t n, bool draws);
/* Appends a bar of up to `columns` columns; `share` is 0 to 1. */
void terminal_put_bar(struct text *out, double share, unsigned columns, bool draws);
/* Appends what a model file says, escaped. */
void terminal_put_escaped(struct text *out, const char *s);
/* Appends `s`, cut in its middle to that many columns, and filled up where it is shorter.
 */
void terminal_put_fitted(struct text *out, const char *s, size_t columns, bool draws);
/* Appends a number of bytes: "1.2 GB". */
void terminal_put_size(struct text *out, uint64_t bytes);
/* Appends the shortest decimal that reads back. */
void terminal_put_double(struct text *out, double d);

/* Shows on standard error, where that is a terminal, how much has been read, once a
 * second has passed since the first call. */
struct progress {
	uint64_t begin_ms; /* 0: not yet called */
	bool shown;
};

/* A sweep_progress_fn; `arg` is a struct progress. */
void progress_show(void *arg, uint64_t done, uint64_t total);
/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
