/*
 * typed: whatever a person makes of a document or a sidecar is refused with a sentence,
 * or it is what the model says from then on.
 *
 *	container, u8 | node, u8 | pieces of text that stand in place of others
 *	piece: where, u16 | bytes that go, u8 | bytes that come, u8 | these
 */
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/grammar/document.h"
#include "tests/fuzz/edits.h"
#include <string.h>

#define PIECE_HEAD 4
#define ALL 255 /* bytes that go: the whole text */

/* From each format some small ones, in which every kind of document is. */
static const char *const containers[] = {"safetensors/metadata.safetensors",
	"safetensors/dtypes.safetensors", "hdf5/attributes.h5",
	"hdf5/attributes_latest.h5", "hdf5/records.h5", "hdf5/strings.h5",
	"hdf5/ragged.h5", "hdf5/enums.h5", "hdf5/references.h5", "hdf5/compact.h5",
	"keras/keras2_sequential.h5", "keras/keras3_sequential.h5",
	"keras/keras3_shared.h5", "keras/keras3_sequential.weights.h5"};

static struct model *open_fixture(unsigned which)
{
	const char *name = containers[which % (sizeof containers / sizeof *containers)];
	AUTO_SOURCE *source = NULL;
	AUTO_TEXT path = {0};
	struct error err = {0};

	text_printf(&path, "tests/fixtures/%s", name);
	if (source_open(&source, path.bytes, &err) < 0)
		fuzz_fail("%s: %s", path.bytes, err.text);
	return fuzz_open_source(source, NULL);
}

/* A document or a tensor. */
static struct node *find_node(struct model *model, unsigned which)
{
	struct node *root = model->tree->root, *node = root, *found = NULL;

	for (unsigned n = 0; n <= which; node = tree_walk(root, node)) {
		if (node == NULL && found == NULL)
			return NULL;
		if (node == NULL)
			node = root;
		if (node->kind != NODE_DOCUMENT && node->kind != NODE_TENSOR)
			continue;
		found = node;
		n++;
	}
	return found;
}

/* Puts one piece in; false where there is none. */
static bool put_piece(const uint8_t **data, size_t *size, struct text *text)
{
	const uint8_t *p = *data;
	size_t at, gone, len;

	if (*size < PIECE_HEAD)
		return false;
	at = (p[0] + 256u * p[1]) % (text->len + 1);
	gone = p[2] < text->len - at ? p[2] : text->len - at;
	if (p[2] == ALL) {
		at = 0;
		gone = text->len;
	}
	len = p[3] < *size - PIECE_HEAD ? p[3] : *size - PIECE_HEAD;
	text_splice(text, at, gone, (const char *)p + PIECE_HEAD, len);
	*data += PIECE_HEAD + len;
	*size -= PIECE_HEAD + len;
	return true;
}

/* The same as a tensor that is to be added. */
static void read_alone(struct model *model, const struct text *text)
{
	struct sidecar sidecar = {0};
	struct error err = {0};
	int rc = sidecar_parse_new(model, text->bytes, text->len, &sidecar, &err);

	if (rc < 0)
		fuzz_refused(rc, &err);
	sidecar_done(&sidecar);
}

static void save(struct editing *e, struct node *node, const uint8_t *data, size_t size)
{
	bool document = node->kind == NODE_DOCUMENT;
	AUTO_TEXT base = {0}, edited = {0};

	if ((document ? document_render(e->model, node, &base, NULL)
		      : sidecar_render(e->model, node, &base, NULL)) < 0)
		return;
	text_put(&edited, base.bytes, base.len);
	while (put_piece(&data, &size, &edited))
		;
	HOLDS(text_check(&edited, NULL) == 0);
	TRACE("%s: %.*s\n", node->name, (int)edited.len, edited.bytes);
	if (document) {
		edits_document(e, node, &base, &edited);
	} else {
		edits_sidecar(e, node, &base, &edited);
		read_alone(e->model, &edited);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct editing e = EDITING;
	struct node *node;

	if (size < 2)
		return 0;
	AUTO_MODEL *model = open_fixture(data[0]);
	if (model == NULL || !fuzz_expand(model))
		return 0;
	e.model = model;
	node = find_node(model, data[1]);
	HOLDS(node != NULL);
	save(&e, node, data + 2, size - 2);
	edits_outcome(model);
	edits_undo(model);
	return 0;
}
