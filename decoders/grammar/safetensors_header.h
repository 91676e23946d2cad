/*
 * safetensors_header: the JSON header of a safetensors file, read by position and
 * written anew by splicing.
 *
 *	u64 N, then N bytes of JSON padded with spaces:
 *	{"__metadata__":{"format":"pt"},
 *	 "a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}
 *
 * The facts are those of the reference implementation (crate safetensors, struct Metadata
 * and enum Dtype).
 */
#ifndef WEIGHTFS_GRAMMAR_SAFETENSORS_HEADER_H
#define WEIGHTFS_GRAMMAR_SAFETENSORS_HEADER_H

#include "decoders/base/text.h"
#include "decoders/grammar/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dtype;
struct error;
struct source;

#define SAFETENSORS_HEADER_AT 8
#define SAFETENSORS_HEADER_MAX 100000000 /* the reference implementation's limit */
#define SAFETENSORS_METADATA "__metadata__"
#define SAFETENSORS_RANK_MAX 1024

/* Owns text and index. Release with safetensors_header_done(), also after a failure. */
struct safetensors_header {
	char *text;   /* N bytes and a NUL */
	uint64_t len; /* N */
	struct json *json;
};

/* Reads and indexes the header. -EINVAL when it is none, with the offset. */
int safetensors_header_read(
	struct safetensors_header *header, struct source *source, struct error *err);
/* Reads the header without an index (`json` stays NULL): safetensors_header_members()
 * gives its members one by one, as json_parse_members does. The same errors. */
int safetensors_header_text(
	struct safetensors_header *header, struct source *source, struct error *err);
int safetensors_header_members(const struct safetensors_header *header, json_member_fn fn,
	void *arg, struct error *err);
void safetensors_header_done(struct safetensors_header *header);
#define AUTO_SAFETENSORS_HEADER \
	__attribute__((cleanup(safetensors_header_done))) struct safetensors_header
bool safetensors_is_metadata(const struct json *json, json_value member);
/* The first part of a metadata value that the reference implementation refuses (it
 * wants an object of strings, without half characters), with -EINVAL and "KEY: expected a
 * string, found a number" in `err`; JSON_NONE and 0 where all is well. */
int safetensors_metadata_check(const struct json *json, json_value metadata,
	json_value *wrong, struct error *err);

/* Where a tensor's member stands in the header, and its data_offsets. */
struct safetensors_entry {
	json_value member, dtype, shape, first, last; /* the last two: data_offsets */
	uint64_t begin, end;
	bool twice; /* one of the three stands twice, which is refused officially */
};

/* -EINVAL when a member is missing, of another type or no range. The last of several
 * counts, unknown ones are allowed. */
int safetensors_entry_read(struct safetensors_entry *entry, const struct json *json,
	json_value member, struct error *err);

/* The elements of a tensor, counted from the first tensor's. */
struct safetensors_range {
	uint64_t begin, end;
};

/* Whether every byte of the `len` behind the header belongs to one tensor: 0, or -EINVAL
 * with the first that does not. Sorts the ranges if need be. */
int safetensors_ranges_check(
	struct safetensors_range *ranges, size_t n, uint64_t len, struct error *err);

/* The dtype of an entry. A name that the specification does not have yet is a type of its
 * own, without a size. -EINVAL for what can be none. */
int safetensors_dtype(const struct json *json, json_value v, const struct dtype **out,
	struct error *err);
/* The rank, and the shape in `shape`; -EINVAL for what is none. */
int safetensors_shape(const struct json *json, json_value v,
	uint64_t shape[SAFETENSORS_RANK_MAX], struct error *err);
/* What the header calls a dtype, or NULL. */
const char *safetensors_dtype_stored(const struct dtype *dtype);

/* What becomes of a member of the header. */
struct safetensors_member {
	struct safetensors_entry entry; /* unused where added; `member` alone where
					   metadata */
	bool metadata;
	bool removed;
	struct text name;	   /* another name; without bytes: as it is */
	const struct tensor *type; /* another type; NULL: as it is. Borrowed */
	uint64_t begin, end;	   /* new data_offsets */
};

/* A new version of a header. Everything is borrowed. */
struct safetensors_rewrite {
	const struct safetensors_header *old;
	struct safetensors_member *members; /* the header's, all, in their order */
	size_t n;
	struct safetensors_member *added; /* `removed` is not looked at */
	size_t n_added;
	const char *metadata; /* JSON of its new value; NULL: as it is */
	size_t metadata_len;
};

/*
 * Writes the new header, padded, to `out`, which is empty: what does not change keeps its
 * bytes, what is new follows the header's separators. The length stays where it suffices
 * and else grows by a multiple of 4096, so that elements behind it keep their alignment.
 * Metadata that is edited to an empty object is no member. -EFBIG beyond
 * SAFETENSORS_HEADER_MAX, -EOPNOTSUPP for a dtype that has no name here. Changes
 * `removed` of the metadata's member.
 */
int safetensors_header_write(
	struct safetensors_rewrite *rewrite, struct text *out, struct error *err);

#endif
