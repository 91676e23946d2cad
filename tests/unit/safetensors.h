/*
 * safetensors: small containers in memory, and their edits, for tests of the format.
 */
#ifndef WEIGHTFS_TESTS_UNIT_SAFETENSORS_H
#define WEIGHTFS_TESTS_UNIT_SAFETENSORS_H

#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "tests/unit/edits.h"
#include "tests/unit/unit.h"
#include <stdlib.h>

#define OFFSETS "\"data_offsets\":"
/* Two tensors of four bytes each, as the official writer has them. */
#define TWO                                                                             \
	"{\"__metadata__\":{\"format\":\"pt\"},\"a.x\":{\"dtype\":\"F32\",\"shape\":[]" \
	"," OFFSETS "[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[2,2]," OFFSETS "[4,8]}}"

/* A container in memory: `n` bytes of header (0: its length), then data. */
static inline struct source *container(
	const char *json, size_t n, const char *data, size_t len)
{
	AUTO_TEXT bytes = {0};
	struct source *source = NULL;
	uint64_t size = n > 0 ? n : strlen(json);

	for (unsigned i = 0; i < 8; i++)
		text_putc(&bytes, (char)(size >> 8 * i));
	text_puts(&bytes, json);
	while (bytes.len < 8 + size)
		text_putc(&bytes, ' ');
	text_put(&bytes, data, len);
	CHECK_INT(source_memory(&source, bytes.bytes, bytes.len, "m", NULL), 0);
	return source;
}

static inline struct model *decode(struct source *source)
{
	struct error err = {0};
	struct model *model = NULL;

	if (model_open(&model, source, NULL, &err) < 0)
		unit_fail("%s", err.text);
	return model;
}

static inline struct model *model_of(
	const char *json, size_t n, const char *data, size_t len)
{
	AUTO_SOURCE *source = container(json, n, data, len);

	return decode(source);
}

/* The container with the model's edits, whole. */
static inline char *encoded(struct model *model, size_t *len, struct plan **plan)
{
	AUTO_SOURCE *outcome = NULL;
	struct error err = {0};
	char *bytes = NULL;

	if (model_encode(model, plan, &err) < 0 ||
		plan_outcome(*plan, &outcome, &err) < 0) {
		unit_fail("%s", err.text);
		return NULL;
	}
	*len = source_size(outcome);
	bytes = malloc(*len + 1);
	CHECK_INT(source_read(outcome, 0, bytes, *len, &err), 0);
	bytes[*len] = '\0';
	return bytes;
}

static inline void set_metadata(struct model *model, const char *json)
{
	tree_set_value(model->tree->values, strdup(json), strlen(json));
}

/* The edits encode to this header and data; decoded again they are no edits. */
static inline void encodes(struct model *model, const char *json, size_t n,
	const char *data, size_t data_len)
{
	AUTO_SOURCE *want = container(json, n, data, data_len);
	AUTO_PLAN *plan = NULL;
	size_t len = 0, want_len = source_size(want);
	char *bytes = encoded(model, &len, &plan), *want_bytes = malloc(want_len);

	CHECK_INT(source_read(want, 0, want_bytes, want_len, NULL), 0);
	if (bytes != NULL) {
		CHECK_BYTES(bytes + 8, len - 8, want_bytes + 8, want_len - 8);
		CHECK(memcmp(bytes, want_bytes, 8) == 0);
	}
	if (bytes != NULL && len == want_len) {
		AUTO_MODEL *again = decode(want);

		CHECK(again != NULL && again->readonly == NULL && again->damaged == 0);
	}
	free(bytes);
	free(want_bytes);
}

#endif
