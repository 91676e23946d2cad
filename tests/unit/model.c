/* Models: chosen by evidence, asked once under a lock, encoded in place where that does.
 */
#include "decoders/base/model.h"
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "decoders/base/spill.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <stdlib.h>

/*
 * A format for this test: "FAKE", a byte for the number of tensors, then four bytes of
 * uint8 for each. "FAKELAZY" instead fills its folder and describes its tensors when
 * asked.
 */
struct fake {
	int expanded, described, loaded;
};

static int freed;

static void fake_free(struct model *model)
{
	freed++;
	free(model->priv);
}

static int fake_expand(struct model *model, struct node *folder, struct error *err)
{
	struct fake *fake = model->priv;
	struct node *node;
	int rc;

	rc = tree_tensor(model->tree, folder, "a", &node, err);
	if (rc == 0 && fake->expanded++ == 0)
		rc = error_set(err, EIO, "a bad sector");
	return rc;
}

static int fake_describe(struct model *model, struct node *node, struct error *err)
{
	const uint64_t shape[] = {4};

	((struct fake *)model->priv)->described++;
	return tree_type(
		model->tree, dtype_find("uint8", 5), 1, shape, &node->tensor, err);
}

static int fake_content(
	struct model *model, struct node *node, struct blob **out, struct error *err)
{
	struct error inner = {0};
	const struct tensor *tensor = NULL;

	/* the lock is recursive */
	CHECK_INT(model_tensor(model, node, &tensor, &inner), 0);
	return blob_memory(out, strdup("done"), 4, err);
}

static int fake_load(
	struct model *model, struct value *value, struct text *out, struct error *err)
{
	(void)err;
	((struct fake *)model->priv)->loaded++;
	text_printf(out, "{\"origin\": %d}", (int)value->origin);
	return 0;
}

static const struct model_ops fake_ops = {
	.free = fake_free,
	.expand = fake_expand,
	.describe = fake_describe,
	.content = fake_content,
	.load = fake_load,
};

static unsigned fake_probe(struct source *source)
{
	char magic[4];

	if (source_size(source) < 5 || source_read(source, 0, magic, 4, NULL) < 0)
		return 0;
	return memcmp(magic, "FAKE", 4) == 0 ? 32 : 0;
}

static int fake_tensors(struct model *model, unsigned n, struct error *err)
{
	const uint64_t shape[] = {4};
	char name[24];

	for (unsigned i = 0; i < n; i++) {
		struct node *node = NULL;
		int rc;

		(void)snprintf(name, sizeof name, "layers.%u", i);
		rc = tree_name(model->tree, model->tree->root, name, strlen(name), &node,
			NULL, err);
		if (rc == 0)
			rc = tree_type(model->tree, dtype_find("uint8", 5), 1, shape,
				&node->tensor, err);
		if (rc < 0)
			return rc;
		node->tensor->flags = TENSOR_SPAN;
		node->tensor->source = model->source;
		node->tensor->off = 5 + 4 * i;
	}
	return 0;
}

static int fake_decode(struct model *model, struct error *err)
{
	unsigned char head[5];
	struct node *folder = NULL;
	int rc = source_read(model->source, 0, head, 5, err);

	if (rc == 0)
		rc = tree_new(&model->tree, '.', err);
	model->priv = calloc(1, sizeof(struct fake));
	model->ops = &fake_ops;
	if (rc < 0)
		return rc;
	if (head[4] != 'L')
		return fake_tensors(model, head[4], err);
	rc = tree_folder(model->tree, model->tree->root, "lazy", &folder, err);
	if (rc == 0)
		folder->flags |= NODE_LAZY;
	return rc;
}

static int fake_encode(struct model *model, struct plan *plan, struct error *err)
{
	(void)model;
	return plan_bytes(plan, "encoded", 7, err);
}

static unsigned weak_probe(struct source *source)
{
	(void)source;
	return 8;
}

static int bad_decode(struct model *model, struct error *err)
{
	model->priv = malloc(1);
	return error_set(err, EINVAL, "offset 4: expected a table");
}

static const struct decoder fake_decoder = {.name = "fake",
	.title = "Fake",
	.flags = DECODER_PATCHES,
	.probe = fake_probe,
	.decode = fake_decode,
	.encode = fake_encode};
static const struct decoder weak_decoder = {
	.name = "weak", .title = "Weak", .probe = weak_probe, .decode = bad_decode};
static const struct decoder *const list[] = {&weak_decoder, &fake_decoder, NULL};
static const struct decoder *const fake_only[] = {&fake_decoder, NULL};

static struct model *model_of(
	const void *bytes, size_t len, struct source **source, struct source **handle)
{
	struct model *model = NULL;

	CHECK_INT(source_memory(source, bytes, len, "m", NULL), 0);
	CHECK_INT(source_handle(handle, *source, NULL), 0);
	CHECK_INT(model_open_with(&model, *handle, NULL, list, NULL), 0);
	return model;
}

static void opening(void)
{
	AUTO_SOURCE *source = NULL, *handle = NULL, *none = NULL;
	AUTO_MODEL *model = NULL, *other = NULL;
	struct error err = {0};

	unit_begin(
		"the format with the most evidence is taken, or the one that is named");
	model = model_of("FAKE\0", 5, &source, &handle);
	CHECK(model->decoder == &fake_decoder);
	model_free(&model);
	CHECK_INT(freed, 1);
	CHECK_INT(model_open_with(&model, source, "weak", list, &err), -EINVAL);
	CHECK_STR(err.text, "offset 4: expected a table");
	CHECK(model == NULL);

	unit_begin("what no format knows is refused with its name");
	CHECK_INT(source_memory(&none, "none", 4, "x.bin", NULL), 0);
	CHECK_INT(model_open_with(&other, none, NULL, fake_only, &err), -EINVAL);
	CHECK_STR(err.text, "x.bin: not a model file that weightfs knows");
	CHECK_INT(model_open_with(&other, none, "gguf", fake_only, &err), -EINVAL);
	CHECK_STR(err.text, "gguf: no such format");
}

static void asking(void)
{
	AUTO_SOURCE *source = NULL, *handle = NULL;
	AUTO_MODEL *model = NULL;
	const struct tensor *tensor = NULL;
	struct value *value = NULL;
	struct node *folder, *node;
	struct error err = {0};
	AUTO_BLOB *blob = NULL;
	const char *text = NULL;
	struct fake *fake;
	size_t len = 0;

	unit_begin("a lazy folder is filled once, and empty again where that fails");
	model = model_of("FAKEL", 5, &source, &handle);
	fake = model->priv;
	folder = tree_at(model->tree, "lazy");
	CHECK_INT(model_expand(model, folder, &err), -EIO);
	CHECK_INT(tree_count(folder), 0);
	CHECK_INT(model_expand(model, folder, &err), 0);
	CHECK_INT(model_expand(model, folder, &err), 0);
	CHECK_INT(fake->expanded, 2);
	node = tree_at(model->tree, "lazy/a.bin");
	CHECK(node != NULL);

	unit_begin("a tensor is described once, its contents are made when asked for");
	CHECK_INT(model_content(model, node, &blob, &err), 0);
	CHECK_INT(blob_size(blob), 4);
	CHECK_INT(model_tensor(model, node, &tensor, &err), 0);
	CHECK_INT(fake->described, 1);
	node->tensor->flags |= TENSOR_NO_BIN;
	node->tensor->error = "chunk 3 is torn";
	blob_unref(&blob);
	CHECK_INT(model_content(model, node, &blob, &err), -EOPNOTSUPP);
	CHECK_STR(err.text, "chunk 3 is torn");

	unit_begin("a value is loaded once");
	CHECK_INT(tree_value(model->tree, 3, &value, &err), 0);
	CHECK_INT(model_load(model, value, &text, &len, &err), 0);
	CHECK_INT(model_load(model, value, &text, &len, &err), 0);
	CHECK_BYTES(text, len, "{\"origin\": 3}", 13);
	CHECK_INT(fake->loaded, 1);
	model_set_readonly(model, "%s", "first");
	model_set_readonly(model, "second");
	CHECK_STR(model->readonly, "first");
	free(model->readonly);
	model->readonly = NULL;
	unit_begin("what a container says in the reason cannot act on a terminal");
	model_set_readonly(model, "tensor %s", "\x1b[2J");
	CHECK_STR(model->readonly, "tensor \\x1b[2J");
}

/* A staged blob over tensor `path` with one byte written. */
static void stage(struct model *model, const char *path, uint64_t off, const char *byte)
{
	static struct spill_pool pool = {
		.dir = -1, .limit = 1 << 20, .in_memory = 1 << 20};
	struct node *node = tree_at(model->tree, path);
	AUTO_BLOB *old = NULL, *staged = NULL;

	CHECK_INT(model_content(model, node, &old, NULL), 0);
	CHECK_INT(blob_staged(&staged, old, &pool, NULL), 0);
	CHECK_INT(blob_write(staged, off, byte, 1, NULL), 0);
	CHECK_INT(tree_set_content(model->tree, node, staged, NULL), 0);
}

static bool outcome_is(struct plan *plan, const char *want, size_t len)
{
	AUTO_SOURCE *outcome = NULL;
	char bytes[32];

	CHECK_INT(plan_outcome(plan, &outcome, NULL), 0);
	CHECK_INT(source_read(outcome, 0, bytes, source_size(outcome), NULL), 0);
	return CHECK_BYTES(bytes, source_size(outcome), want, len);
}

static void encoding(void)
{
	AUTO_SOURCE *source = NULL, *handle = NULL;
	AUTO_MODEL *model = NULL;
	AUTO_PLAN *plan = NULL;
	AUTO_BLOB *blob = NULL;
	struct value *value = NULL;
	struct node *node;

	unit_begin("a model without edits is the old container");
	model = model_of("FAKE\2abcdefgh", 13, &source, &handle);
	CHECK_INT(model_encode(model, &plan, NULL), 0);
	CHECK(plan_unchanged(plan));
	plan_free(&plan);

	unit_begin("contents of the same size are written over in place, and only they");
	stage(model, "layers/1.bin", 1, "X");
	CHECK_INT(model_encode(model, &plan, NULL), 0);
	CHECK(plan_patches(plan));
	CHECK_INT(plan_changed_bytes(plan), 1);
	outcome_is(plan, "FAKE\2abcdeXgh", 13);
	plan_free(&plan);
	CHECK_INT(blob_memory(&blob, strdup("1234"), 4, NULL), 0);
	node = tree_at(model->tree, "layers/0.bin");
	CHECK_INT(tree_set_content(model->tree, node, blob, NULL), 0);
	CHECK_INT(model_encode(model, &plan, NULL), 0);
	outcome_is(plan, "FAKE\0021234eXgh", 13);
	plan_free(&plan);

	unit_begin("contents are read back as they shall become");
	blob_unref(&blob);
	CHECK_INT(model_content(model, node, &blob, NULL), 0);
	CHECK(blob == node->edit->content);

	unit_begin("any other edit is for the format to encode");
	CHECK_INT(tree_value(model->tree, 1, &value, NULL), 0);
	tree_set_value(value, strdup("1"), 1);
	CHECK_INT(model_encode(model, &plan, NULL), 0);
	outcome_is(plan, "encoded", 7);
	plan_free(&plan);
	tree_set_value(value, NULL, 0);
	CHECK_INT(tree_set_sidecar(model->tree, node, "{}", 2, NULL), 0);
	CHECK_INT(model_encode(model, &plan, NULL), 0);
	outcome_is(plan, "encoded", 7);
}

static void refusing(void)
{
	AUTO_SOURCE *source = NULL, *handle = NULL;
	AUTO_MODEL *model = NULL;
	struct error err = {0};
	struct plan *plan = NULL;
	struct decoder mute = fake_decoder;

	unit_begin("a format that cannot encode says so for all but contents");
	model = model_of("FAKE\1abcd", 9, &source, &handle);
	mute.encode = NULL;
	model->decoder = &mute;
	CHECK_INT(model_check(model, NULL, &err), 0);
	CHECK_INT(tree_remove(model->tree, tree_at(model->tree, "layers"), NULL), 0);
	CHECK_INT(model_encode(model, &plan, &err), -EOPNOTSUPP);
	CHECK_STR(err.text, "Fake containers cannot be edited so");
	CHECK(plan == NULL);
}

int main(void)
{
	opening();
	asking();
	encoding();
	refusing();
	return unit_end();
}
