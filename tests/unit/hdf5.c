/* hdf5: plain HDF5 files are shown as h5py reads them. */
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "tests/unit/edits.h"
#include "tests/unit/listing.h"
#include "tests/unit/unit.h"
#include <pthread.h>
#include <stdlib.h>

#define AGAIN 200

extern const struct decoder hdf5_decoder;
static const struct decoder *const only_hdf5[] = {&hdf5_decoder, NULL};

static int open_at(const char *path, struct model **out, struct error *err)
{
	AUTO_SOURCE *source = NULL;
	int rc = source_open(&source, path, err);

	return rc < 0 ? rc : model_open_with(out, source, "hdf5", only_hdf5, err);
}

static struct model *fixture(const char *name)
{
	struct model *model = NULL;
	struct error err = {0};
	AUTO_TEXT path = {0};

	fixture_path(name, &path);
	if (open_at(path.bytes, &model, &err) < 0) {
		unit_fail("%s: %s", name, err.text);
		exit(unit_end());
	}
	return model;
}

static void one_listing(const char *path)
{
	AUTO_MODEL *model = NULL;
	AUTO_PLAN *plan = NULL;
	struct error err = {0};
	char why[sizeof unit.why];

	if (open_at(path, &model, &err) < 0) {
		unit_fail("%s: %s", path, err.text);
		return;
	}
	listing_check(model, path);
	if (model_encode(model, &plan, &err) < 0 || !plan_unchanged(plan))
		unit_fail("encodes to other bytes: %s", err.text);
	if (unit.why[0] != '\0' && strstr(unit.why, ".h5: ") == NULL) {
		memcpy(why, unit.why, sizeof why);
		(void)snprintf(unit.why, sizeof unit.why, "%s: %.900s", path, why);
	}
}

static void listings(void)
{
	unit_begin("every fixture reads as h5py reads it, and encodes to itself");
	each_fixture("hdf5/*.h5", one_listing);
}

static void one_hostile(const char *path)
{
	AUTO_MODEL *model = NULL;
	struct error err = {0};

	if (open_at(path, &model, &err) < 0)
		CHECK(err.text[0] != '\0');
	else
		CHECK(model->readonly != NULL);
}

static void hostile(void)
{
	unit_begin("damaged files are refused with a reason, or say what is wrong");
	each_fixture("hostile/*.h5", one_hostile);
}

static const char *target(struct model *model, const char *path)
{
	struct node *node = tree_at(model->tree, path);

	return node == NULL || node->kind != NODE_LINK ? NULL : node->target;
}

static void links(void)
{
	AUTO_MODEL *model = fixture("hdf5/links.h5");

	unit_begin("other ways to an object are relative links, two to a tensor");
	CHECK_STR(target(model, "layers/a/real.bin"), "../real_shallow.bin");
	CHECK_STR(target(model, "layers/a/real.json"), "../real_shallow.json");
	CHECK_STR(target(model, "layers/soft_chain.bin"), "real_shallow.bin");
	CHECK_STR(target(model, "layers/soft_group"), "a/sub");
	CHECK_STR(target(model, "layers/z"), "a");
	unit_begin("cycles end in links");
	CHECK_STR(target(model, "layers/a/sub/itself"), ".");
	CHECK_STR(target(model, "layers/a/sub/up"), "..");
	unit_begin("links that lead nowhere stay in the tree and do not leave it");
	CHECK_STR(target(model, "layers/dangling"), "nowhere/at/all");
	CHECK_STR(target(model, "layers/a/soft_up"), "%2E%2E/b");
	unit_begin("external links say that they are not followed");
	CHECK_STR(tree_at(model->tree, "layers/outside.json")->tensor->error,
		"external link to /etc/passwd:/x is never followed");
}

static void documents(void)
{
	AUTO_MODEL *model = fixture("hdf5/attributes.h5");
	AUTO_MODEL *ordered = fixture("hdf5/ordered.h5");
	AUTO_MODEL *references = fixture("hdf5/references.h5");
	AUTO_MODEL *strings = fixture("hdf5/strings.h5");

	unit_begin("attributes of every type are JSON");
	CHECK(shows(model, "metadata.json", "\"big\": 18446744073709551615,"));
	CHECK(shows(
		model, "metadata.json", "\"complex\": {\n    \"%complex\": [1.0, 2.0]"));
	CHECK(shows(model, "metadata.json", "\"float32\": 0.1,"));
	CHECK(shows(model, "metadata.json", "\"not_utf8\": {\n    \"%bytes\": \"//4=\""));
	CHECK(shows(model, "metadata.json", "\"null\": null,"));
	CHECK(shows(model, "metadata.json", "\"space_padded\": \"abc\","));
	CHECK(shows(model, "metadata.json", "\"matrix\": [[1.0, 0.0], [0.0, 1.0]],"));
	CHECK(shows(model, "layers/group/attributes.json", "\"%reference\": \"/group\""));
	CHECK(shows(model, "layers/tensor.json", "\"attributes\": {"));
	unit_begin("attributes stand in the order of creation where that is tracked");
	CHECK(shows(ordered, "metadata.json", "{"));
	unit_begin("elements without a fixed size are values in the sidecar");
	CHECK(shows(references, "layers/objects.json",
		"\"values\": [\n    {\n      \"%reference\": \"/target\""));
	CHECK(shows(strings, "layers/variable.json", "größe\\n大きさ"));
}

static int count_fact(void *arg, const char *name, const char *value)
{
	struct text *facts = arg;

	text_printf(facts, "%s=%s\n", name, value);
	return 0;
}

static void facts(void)
{
	AUTO_MODEL *model = fixture("hdf5/chunked.h5");
	struct node *node = tree_at(model->tree, "layers/gzip_shuffle.bin");
	AUTO_TEXT text = {0};

	unit_begin("how a dataset is stored is a fact");
	CHECK_INT(model_facts(model, node, count_fact, &text), 0);
	CHECK(strstr(text.bytes, "layout=chunked\n") != NULL);
	CHECK(strstr(text.bytes, "filters=shuffle (2), deflate (1)\n") != NULL);
}

/* Reads a blob from the end to the front in odd pieces, and compares. */
static void *read_pieces(void *arg)
{
	struct blob *blob = arg;
	struct error err = {0};
	char *whole = NULL, piece[777];
	size_t len = 0, off, n;
	void *failed = NULL;

	if (blob_load(blob, 1 << 24, &whole, &len, &err) < 0)
		return arg;
	for (off = len; off > 0 && failed == NULL; off -= n) {
		n = off < sizeof piece ? off : sizeof piece;
		if (blob_read_all(blob, off - n, piece, n, &err) < 0 ||
			memcmp(piece, whole + off - n, n) != 0)
			failed = arg;
	}
	free(whole);
	return failed;
}

static void threads(void)
{
	AUTO_MODEL *model = fixture("hdf5/chunked.h5");
	struct node *node;
	pthread_t thread[4];
	struct error err = {0};
	void *failed;

	unit_begin("any piece can be read, by several threads at once");
	for (node = model->tree->root; node != NULL;
		node = tree_walk(model->tree->root, node)) {
		AUTO_BLOB *blob = NULL;

		if (node->kind != NODE_TENSOR ||
			model_content(model, node, &blob, &err) < 0)
			continue;
		for (size_t i = 0; i < 4; i++)
			(void)pthread_create(&thread[i], NULL, read_pieces, blob);
		for (size_t i = 0; i < 4; i++) {
			(void)pthread_join(thread[i], &failed);
			CHECK(failed == NULL);
		}
	}
}

static void outlives(void)
{
	struct model *model = fixture("hdf5/chunked.h5");
	struct node *node = tree_at(model->tree, "layers/gzip.bin");
	AUTO_BLOB *blob = NULL;
	struct error err = {0};
	char bytes[100];

	unit_begin("elements can be read after the model is gone");
	CHECK_INT(model_content(model, node, &blob, &err), 0);
	model_free(&model);
	CHECK_INT(blob_read_all(blob, 0, bytes, sizeof bytes, &err), 0);
}

/* Each time a heap of 4096 bytes is looked into two thousand times: all these together
 * are more than what one file may cost. */
static void again(void)
{
	AUTO_MODEL *model = fixture("hdf5/repeated.h5");
	struct node *node = tree_at(model->tree, "layers/regions.bin");
	AUTO_TEXT first = {0};
	struct error err = {0};
	unsigned same = 0;

	unit_begin("what is looked at for days costs each time what it cost at first");
	CHECK_INT(sidecar_render(model, node, &first, &err), 0);
	for (unsigned i = 0; i < AGAIN; i++) {
		AUTO_TEXT text = {0};

		same += sidecar_render(model, node, &text, &err) == 0 &&
			text.len == first.len &&
			memcmp(text.bytes, first.bytes, text.len) == 0;
	}
	CHECK_INT(same, AGAIN);
}

int main(void)
{
	listings();
	hostile();
	links();
	documents();
	facts();
	threads();
	outlives();
	again();
	return unit_end();
}
