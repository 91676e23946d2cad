/*
 * safetensors_rewrite: a new version of a header, spliced out of the old one.
 *
 * One pass over the members copies everything between the places that change. A
 * removed member takes a comma with it; an added one brings one.
 */
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/base/utf8.h"
#include "decoders/grammar/json.h"
#include "decoders/grammar/safetensors_header.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define GROWTH 4096 /* of a header that has become too long */
#define QUOTED_METADATA "\"" SAFETENSORS_METADATA "\""

struct rewriting {
	struct safetensors_rewrite *with;
	const struct json *json; /* the old header */
	const char *text;
	struct text *out;
	size_t at;   /* how much of the old one is in `out` */
	bool spaced; /* a space behind ':' and ',' */
	bool ascii;  /* other characters are escaped */
	bool metadata_added;
	struct text scratch;
};

/* Copies the old header up to `off` and puts `with` in the place of `len` bytes. */
static void splice(
	struct rewriting *r, size_t off, size_t len, const char *with, size_t with_len)
{
	text_put(r->out, r->text + r->at, off - r->at);
	text_put(r->out, with, with_len);
	r->at = off + len;
}

/* Where a value's bytes begin in the header, and where they end. */
static size_t begin_of(const struct rewriting *r, json_value v)
{
	size_t len;

	return (size_t)(json_raw(r->json, v, &len) - r->text);
}

static size_t end_of(const struct rewriting *r, json_value v)
{
	size_t len;
	const char *raw = json_raw(r->json, v, &len);

	return (size_t)(raw - r->text) + len;
}

/* Where the next key begins behind a member, or behind the opening brace. */
static size_t key_after(const struct rewriting *r, size_t off)
{
	return off + strspn(r->text + off, " \t\r\n,");
}

/* Behind the closing quote of a key. */
static size_t key_end(const struct rewriting *r, size_t key)
{
	size_t i = key + 1;

	while (r->text[i] != '"')
		i += r->text[i] == '\\' ? 2 : 1;
	return i + 1;
}

/* How the container spells what is added. */
static void read_style(struct rewriting *r)
{
	json_value first = json_first(r->json, 0);

	if (first != JSON_NONE)
		r->spaced = r->text[begin_of(r, first) - 1] != ':';
	r->ascii = strstr(r->text, "\\u") != NULL;
	for (uint64_t i = 0; i < r->with->old->len && r->ascii; i++)
		r->ascii = (unsigned char)r->text[i] < 0x80;
}

static void put_name(struct rewriting *r, const struct text *name)
{
	AUTO_TEXT quoted = {0};
	uint32_t code = 0;

	json_put_string(&quoted, name->bytes, name->len);
	for (size_t i = 0, n; i < quoted.len; i += n) {
		n = utf8_read(quoted.bytes + i, quoted.len - i, &code);
		n = n > 0 ? n : 1;
		if (!r->ascii || code < 0x80)
			text_put(r->out, quoted.bytes + i, n);
		else if (code < 0x10000)
			text_printf(r->out, "\\u%04x", code);
		else
			text_printf(r->out, "\\u%04x\\u%04x", 0xd7c0 + (code >> 10),
				0xdc00 + (code & 0x3ff));
	}
}

static void put_shape(
	const struct rewriting *r, struct text *out, const struct tensor *type)
{
	text_putc(out, '[');
	for (unsigned i = 0; i < type->rank; i++)
		text_printf(out, "%s%" PRIu64,
			i == 0	    ? ""
			: r->spaced ? ", "
				    : ",",
			type->shape[i]);
	text_putc(out, ']');
}

/* What separates members: as between the first two, or as before the only one. */
static void put_separator(struct rewriting *r)
{
	json_value first = json_first(r->json, 0), second = JSON_NONE;
	size_t from = begin_of(r, 0) + 1, key;

	if (first != JSON_NONE)
		second = json_next(r->json, first);
	if (second != JSON_NONE)
		from = end_of(r, first);
	else
		text_putc(r->out, ',');
	key = first != JSON_NONE ? key_after(r, from) : from;
	text_put(r->out, r->text + from, key - from);
	if (second == JSON_NONE && key == from && r->spaced)
		text_putc(r->out, ' ');
}

/* A token of the header with what takes its place, in r->scratch. */
struct token {
	size_t off, len, with, with_len;
};

struct tokens {
	struct token token[4]; /* by offset */
	unsigned n;
};

/* The token of a value, whose replacement is what was put behind `from`. */
static void add_token(
	struct rewriting *r, struct tokens *tokens, json_value v, size_t from)
{
	size_t off = begin_of(r, v);
	struct token token = {off, end_of(r, v) - off, from, r->scratch.len - from};
	unsigned i = tokens->n++;

	for (; i > 0 && tokens->token[i - 1].off > token.off; i--)
		tokens->token[i] = tokens->token[i - 1];
	tokens->token[i] = token;
}

static void change_number(struct rewriting *r, struct tokens *tokens, json_value v,
	uint64_t old, uint64_t new)
{
	size_t from = r->scratch.len;

	if (old == new)
		return;
	text_printf(&r->scratch, "%" PRIu64, new);
	add_token(r, tokens, v, from);
}

static bool same_shape(const struct rewriting *r, json_value list, const struct tensor *b)
{
	unsigned i = 0;
	uint64_t n;

	if (json_count(r->json, list) != b->rank)
		return false;
	for (json_value v = json_first(r->json, list); v != JSON_NONE;
		v = json_next(r->json, v))
		if (json_uint64(r->json, v, &n, NULL) < 0 || n != b->shape[i++])
			return false;
	return true;
}

/* Only what differs: a dtype that stays keeps its spelling. */
static int change_type(struct rewriting *r, struct tokens *tokens,
	const struct safetensors_member *member, struct error *err)
{
	const struct safetensors_entry *entry = &member->entry;
	const char *stored = safetensors_dtype_stored(member->type->dtype);
	const struct dtype *dtype = NULL;
	size_t from = r->scratch.len;
	int rc = safetensors_dtype(r->json, entry->dtype, &dtype, err);

	if (rc < 0)
		return rc;
	if (dtype != member->type->dtype && stored == NULL)
		return error_set(err, EOPNOTSUPP,
			"dtype: expected a type that safetensors has, found %s",
			member->type->dtype->name);
	if (dtype != member->type->dtype) {
		text_printf(&r->scratch, "\"%s\"", stored);
		add_token(r, tokens, entry->dtype, from);
		from = r->scratch.len;
	}
	if (same_shape(r, entry->shape, member->type))
		return 0;
	put_shape(r, &r->scratch, member->type);
	add_token(r, tokens, entry->shape, from);
	return 0;
}

/* Writes the changes of one member, whose key begins at `key`. */
static int change_member(struct rewriting *r, const struct safetensors_member *member,
	size_t key, struct error *err)
{
	const struct safetensors_entry *entry = &member->entry;
	struct tokens tokens = {.n = 0};
	int rc = 0;

	text_clear(&r->scratch);
	if (member->name.bytes != NULL && !json_key_is(r->json, entry->member,
						  member->name.bytes, member->name.len)) {
		splice(r, key, key_end(r, key) - key, "", 0);
		put_name(r, &member->name);
	}
	if (member->type != NULL)
		rc = change_type(r, &tokens, member, err);
	change_number(r, &tokens, entry->first, entry->begin, member->begin);
	change_number(r, &tokens, entry->last, entry->end, member->end);
	for (unsigned i = 0; i < tokens.n; i++)
		splice(r, tokens.token[i].off, tokens.token[i].len,
			r->scratch.bytes + tokens.token[i].with,
			tokens.token[i].with_len);
	return rc < 0 ? rc : text_check(&r->scratch, err);
}

/* Takes member `i`, whose key begins at `key`, out, with the comma before it or,
 * while no member stays, behind it. */
static void remove_member(
	struct rewriting *r, size_t i, size_t from, size_t key, bool kept)
{
	size_t end = end_of(r, r->with->members[i].entry.member);

	if (kept)
		splice(r, from, end - from, "", 0);
	else
		splice(r, key, (i + 1 < r->with->n ? key_after(r, end) : end) - key, "",
			0);
}

/* The official order of an entry's members. */
static int add_member(
	struct rewriting *r, const struct safetensors_member *member, struct error *err)
{
	const char *colon = r->spaced ? ": " : ":", *comma = r->spaced ? ", " : ",";
	const char *stored = safetensors_dtype_stored(member->type->dtype);

	if (stored == NULL)
		return error_set(err, EOPNOTSUPP,
			"dtype: expected a type that safetensors has, found %s",
			member->type->dtype->name);
	put_name(r, &member->name);
	text_printf(r->out, "%s{\"dtype\"%s\"%s\"%s\"shape\"%s", colon, colon, stored,
		comma, colon);
	put_shape(r, r->out, member->type);
	text_printf(r->out, "%s\"data_offsets\"%s[%" PRIu64 "%s%" PRIu64 "]}", comma,
		colon, member->begin, comma, member->end);
	return 0;
}

static int add_members(struct rewriting *r, size_t off, bool first, struct error *err)
{
	int rc = 0;

	splice(r, off, 0, "", 0);
	for (size_t i = 0; i < r->with->n_added && rc == 0; i++) {
		if (i > 0 || !first)
			put_separator(r);
		rc = add_member(r, &r->with->added[i], err);
	}
	return rc;
}

/* The metadata stands first, as the official writer has it. */
static void add_metadata(struct rewriting *r, size_t key)
{
	bool last = r->with->n_added == 0;

	for (size_t i = 0; i < r->with->n && last; i++)
		last = r->with->members[i].removed;
	splice(r, key, 0, QUOTED_METADATA, sizeof QUOTED_METADATA - 1);
	text_puts(r->out, r->spaced ? ": " : ":");
	text_put(r->out, r->with->metadata, r->with->metadata_len);
	if (!last)
		put_separator(r);
}

/* Whether the metadata appears or goes. */
static int read_metadata(struct rewriting *r, struct error *err)
{
	struct safetensors_rewrite *with = r->with;
	AUTO_JSON *json = NULL;
	json_value wrong;
	bool empty, had = false;
	int rc;

	if (with->metadata == NULL)
		return 0;
	rc = json_parse(&json, with->metadata, with->metadata_len, 0, err);
	if (rc == 0)
		rc = safetensors_metadata_check(json, 0, &wrong, err);
	if (rc < 0)
		return rc;
	empty = json_count(json, 0) == 0;
	for (size_t i = 0; i < with->n; i++) {
		if (!with->members[i].metadata)
			continue;
		with->members[i].removed = empty;
		had = true;
	}
	r->metadata_added = !had && !empty;
	return 0;
}

static int change_members(struct rewriting *r, struct error *err)
{
	const struct safetensors_rewrite *with = r->with;
	size_t from = begin_of(r, 0) + 1, key = key_after(r, from);
	bool kept = false;
	int rc = 0;

	if (r->metadata_added)
		add_metadata(r, key);
	for (size_t i = 0; i < with->n && rc == 0; i++) {
		const struct safetensors_member *member = &with->members[i];
		json_value v = member->entry.member;

		key = key_after(r, from);
		if (member->removed)
			remove_member(r, i, from, key, kept);
		else if (!member->metadata)
			rc = change_member(r, member, key, err);
		else if (with->metadata != NULL)
			splice(r, begin_of(r, v), end_of(r, v) - begin_of(r, v),
				with->metadata, with->metadata_len);
		kept |= !member->removed;
		from = end_of(r, v);
	}
	if (rc == 0 && with->n_added > 0)
		rc = add_members(r, with->n > 0 ? from : key, !kept, err);
	return rc;
}

/* Pads to the old length or, where that is outgrown, to blocks more. */
static int pad(struct rewriting *r, size_t end, struct error *err)
{
	size_t len = r->with->old->len, left = len - end;
	int rc = text_check(r->out, err);

	if (rc < 0)
		return rc;
	if (r->out->len > len)
		len += (r->out->len - len + GROWTH - 1) / GROWTH * GROWTH;
	if (len > SAFETENSORS_HEADER_MAX)
		len = SAFETENSORS_HEADER_MAX;
	if (r->out->len > len)
		return error_set(err, EFBIG,
			"header: expected at most %d bytes, found %zu",
			SAFETENSORS_HEADER_MAX, r->out->len);
	if (left > len - r->out->len)
		left = len - r->out->len;
	text_put(r->out, r->text + end, left);
	while (r->out->len < len && !r->out->failed)
		text_putc(r->out, ' ');
	return text_check(r->out, err);
}

int safetensors_header_write(
	struct safetensors_rewrite *rewrite, struct text *out, struct error *err)
{
	struct rewriting r = {.with = rewrite,
		.json = rewrite->old->json,
		.text = rewrite->old->text,
		.out = out};
	size_t end = end_of(&r, 0);
	int rc = read_metadata(&r, err);

	if (rc < 0) {
		error_prefix(err, "metadata.json");
		return rc;
	}
	read_style(&r);
	rc = change_members(&r, err);
	splice(&r, end, 0, "", 0);
	text_done(&r.scratch);
	return rc < 0 ? rc : pad(&r, end, err);
}
