/*
 * cuts: one walk over what is known of a tensor.
 */
#include "fs/cuts.h"
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define LEAST (64u << 10)
#define CUTS_MAX (1u << 20)

static int add(struct cuts *cuts, const struct cut *cut, struct error *err)
{
	/* The room doubles at each power of two. */
	if ((cuts->n & (cuts->n - 1)) == 0) {
		size_t room = cuts->n ? 2 * cuts->n : 1;
		struct cut *all = reallocarray(cuts->all, room, sizeof *all);
		if (!all)
			return error_set(err, ENOMEM, "not enough memory for a tensor");
		cuts->all = all;
	}
	cuts->all[cuts->n++] = *cut;
	return 0;
}

/* Adds [begin, end) in pieces. */
static int add_pieces(
	struct cuts *cuts, const struct cutting *how, struct cut whole, struct error *err)
{
	uint64_t end = whole.off + whole.n;
	int code = 0;

	if (whole.kind == CUT_REPEATS)
		return add(cuts, &whole, err);
	for (; !code && whole.off < end; whole.off += whole.n) {
		uint64_t to_next = how->piece - whole.off % how->piece;
		whole.n = end - whole.off < to_next ? end - whole.off : to_next;
		code = add(cuts, &whole, err);
	}
	return code;
}

/* What is known from `off` on, up to a multiple of the grain or the end. */
static struct cut look(const struct cutting *how, uint64_t off)
{
	uint64_t left = how->n - off;
	struct cut cut = {.off = off, .n = left};

	if (left >= how->least)
		how->know(how->arg, &cut);
	if (cut.n < left)
		cut.n -= cut.n % how->grain;
	if (cut.kind != CUT_READ && cut.n >= how->least)
		return cut;
	cut.kind = CUT_READ;
	if (cut.n < how->least)
		cut.n = how->least + how->grain - 1 -
			(how->least + how->grain - 1) % how->grain;
	cut.n = cut.n < left ? cut.n : left;
	return cut;
}

int cuts_make(struct cuts *out, const struct cutting *how, struct error *err)
{
	struct cut read = {0}, cut;
	int code = 0;

	*out = (struct cuts){0};
	for (uint64_t off = 0; off < how->n && !code; off += cut.n) {
		cut = look(how, off);
		if (cut.kind == CUT_READ) {
			read.n = off + cut.n - read.off;
			continue;
		}
		code = add_pieces(out, how, read, err);
		if (!code)
			code = add_pieces(out, how, cut, err);
		read = (struct cut){.off = off + cut.n};
	}
	if (!code)
		code = add_pieces(out, how, read, err);
	if (code) {
		free(out->all);
		*out = (struct cuts){0};
	}
	return code;
}

uint64_t cuts_least(uint64_t bytes)
{
	return bytes / CUTS_MAX > LEAST ? bytes / CUTS_MAX : LEAST;
}

uint64_t cuts_common(uint64_t a, uint64_t b)
{
	uint64_t x = a, y = b, rest, common;

	while (y > 0) {
		rest = x % y;
		x = y;
		y = rest;
	}
	return __builtin_mul_overflow(a / x, b, &common) ? UINT64_MAX : common;
}

bool cuts_repeat(
	struct blob *blob, unsigned bits, uint64_t off, uint64_t *n, uint64_t *period)
{
	uint64_t at = off / 8 * bits + off % 8 * bits / 8, bytes = 0;
	uint64_t len = blob_size(blob) - at;
	bool known = blob_repeats(blob, at, &len, &bytes);
	uint64_t whole = len / bits * 8 + len % bits * 8 / bits;

	*n = whole < *n ? whole : *n;
	if (known)
		*period = cuts_common(8 * bytes, bits) / bits;
	return known;
}
