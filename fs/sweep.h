/*
 * sweep: many tensors read once, piece by piece, by all processors.
 *
 * Whoever asks says how long each tensor is and what is to be done with a piece; pieces
 * of one tensor are done by several threads at once, in any order. Memory is bounded:
 * each thread has at most one tensor open beyond those whose pieces are under way.
 */
#ifndef WEIGHTFS_FS_SWEEP_H
#define WEIGHTFS_FS_SWEEP_H

#include <stddef.h>
#include <stdint.h>

struct error;

/* In units of the caller's: numbers, or bytes. */
struct sweep_span {
	uint64_t length; /* 0: there is nothing to do, and no close() */
	uint64_t piece;	 /* length of a piece, the last may be shorter */
};

/* How far it is, for who waits: ten times a second. */
typedef void sweep_progress_fn(void *arg, uint64_t done, uint64_t total);

struct sweep {
	size_t n;	/* tensors */
	uint64_t total; /* bytes, for progress */
	size_t room;	/* bytes of memory of its own that each thread gets */
	void *arg;
	/* Called once for each tensor; then piece() for each of its pieces, then close().
	 * piece() returns the bytes that it is worth, for progress. */
	struct sweep_span (*open)(void *arg, size_t i);
	uint64_t (*piece)(void *arg, size_t i, uint64_t off, uint64_t length, void *room);
	void (*close)(void *arg, size_t i);
	sweep_progress_fn *progress; /* or NULL */
	void *progress_arg;
};

/* 0, or -ENOMEM. */
int sweep_run(const struct sweep *sweep, struct error *err);

#endif
