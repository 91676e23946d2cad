/*
 * plan: a new container, described as a list of regions instead of written: ranges of
 * the old one, new bytes, contents of blobs, fill. Every format encodes by making a
 * plan; only the commit writes one. So an edit costs what it changes, not what the
 * model weighs.
 *
 * A plan is either appended to from front to back, or begun with the whole old container
 * and written over in places, or both. Regions lie in the new container's order, without
 * gaps.
 */
#ifndef WEIGHTFS_BASE_PLAN_H
#define WEIGHTFS_BASE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blob;
struct error;
struct plan;
struct source;

enum region_kind {
	REGION_OLD,   /* [old_off, old_off + len) of the old container */
	REGION_BYTES, /* `bytes` */
	REGION_BLOB,  /* [blob_off, blob_off + len) of `blob` */
	REGION_FILL,  /* `fill`, len times */
};

struct region {
	enum region_kind kind;
	uint64_t off; /* in the new container */
	uint64_t len;
	union {
		uint64_t old_off;
		const char *bytes; /* the plan's */
		struct {
			struct blob *blob; /* the plan holds a reference */
			uint64_t blob_off;
		};
		unsigned char fill;
	};
};

/* A plan for a new version of `old` (referenced). */
int plan_new(struct plan **out, struct source *old, struct error *err);
void plan_free(struct plan **plan);
#define AUTO_PLAN __attribute__((cleanup(plan_free))) struct plan

/* Append. Adjacent ranges that continue each other become one region; lengths of 0 are
 * allowed and add nothing. */
int plan_old(struct plan *plan, uint64_t off, uint64_t len, struct error *err);
int plan_bytes(struct plan *plan, const void *bytes, size_t len, struct error *err);
/* References the blob; ranges of it that are ranges of the old container (blob_origin)
 * become REGION_OLD. */
int plan_blob(struct plan *plan, struct blob *blob, uint64_t off, uint64_t len,
	struct error *err);
int plan_fill(struct plan *plan, unsigned char fill, uint64_t len, struct error *err);
/* Fills up to a multiple of `alignment`. */
int plan_align(
	struct plan *plan, uint64_t alignment, unsigned char fill, struct error *err);
/* Moves all regions of `inner` (a part that had to be measured first: a length-prefixed
 * group, a container in a container) to the end of `plan`. */
int plan_append(struct plan *plan, struct plan *inner, struct error *err);

/* Write over a range, which may reach beyond the end (a gap before it is filled with
 * zeros). */
int plan_write(struct plan *plan, uint64_t off, const void *bytes, size_t len,
	struct error *err);
int plan_write_blob(struct plan *plan, uint64_t off, struct blob *blob, uint64_t blob_off,
	uint64_t len, struct error *err);
/* Cuts the end off. */
int plan_cut(struct plan *plan, uint64_t size, struct error *err);

uint64_t plan_size(const struct plan *plan);
struct source *plan_source_old(const struct plan *plan);
size_t plan_count(const struct plan *plan);
const struct region *plan_region(const struct plan *plan, size_t i);
/* Whether every old range keeps its offset and nothing of the old container beyond the
 * new size is needed: it can be patched in place. */
bool plan_patches(const struct plan *plan);
/* Whether the plan is the old container as it is. */
bool plan_unchanged(const struct plan *plan);
/* Bytes of the new container that do not come from the old one at the same offset. */
uint64_t plan_changed_bytes(const struct plan *plan);

/* The outcome as a source that reads through to the old container and the blobs (both
 * stay referenced): what the container will be, before a byte of it is written. Takes the
 * plan's regions by reference: the plan must outlive it unchanged. */
int plan_outcome(struct plan *plan, struct source **out, struct error *err);

#endif
