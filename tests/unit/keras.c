/* keras: fixtures against their listings, and every kind of edit, whose outcome is
 * decoded again. What Keras itself makes of the outcome is tests/interop/keras. */
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/hdf5.h"
#include "tests/unit/edits.h"
#include "tests/unit/listing.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <stdlib.h>

static struct model *decode(struct source *source)
{
	struct error err = {0};
	struct model *model = NULL;

	if (model_open(&model, source, NULL, &err) < 0)
		unit_fail("%s: %s", source_name(source), err.text);
	return model;
}

/* A fixture by its name; exits if it cannot be read, for nothing here works then. */
static struct model *fixture(const char *name)
{
	AUTO_SOURCE *source = NULL;
	AUTO_TEXT path = {0}, below = {0};
	struct error err = {0};
	struct model *model = NULL;

	text_printf(&below, "keras/%s", name);
	fixture_path(below.bytes, &path);
	if (source_open(&source, path.bytes, &err) < 0 ||
		model_open(&model, source, NULL, &err) < 0) {
		unit_fail("%s", err.text);
		exit(unit_end());
	}
	return model;
}

static void one_fixture(const char *path)
{
	AUTO_SOURCE *source = NULL;
	AUTO_PLAN *plan = NULL;
	struct error err = {0};
	AUTO_MODEL *model = NULL;

	CHECK_INT(source_open(&source, path, &err), 0);
	model = decode(source);
	if (model == NULL)
		return;
	CHECK_STR(model->decoder->name, "keras");
	CHECK_STR(model->readonly, NULL);
	CHECK_INT(model->damaged, 0);
	listing_check(model, path);
	CHECK_INT(model_encode(model, &plan, &err), 0);
	CHECK(plan != NULL && plan_unchanged(plan));
}

static void fixtures(void)
{
	unit_begin("fixtures read as Keras does, and encode to themselves");
	each_fixture("keras/*.h5", one_fixture);
}

/* --- looking --- */

static bool has(struct model *model, const char *path)
{
	return tree_at(model->tree, path) != NULL;
}

static void digest_at(struct model *model, const char *path, char hex[65])
{
	hex[0] = '\0';
	(void)listing_digest(model, at(model, path), hex);
}

/* A tensor of `new` has the elements of one of `old`. */
static void same_elements(
	struct model *old, const char *old_path, struct model *new, const char *path)
{
	char was[65], is[65];

	digest_at(old, old_path, was);
	digest_at(new, path, is);
	CHECK_STR(is, was);
}

/* A list attribute of a group, joined by blanks. */
static const char *list_of(struct model *model, const char *group, const char *name)
{
	static char joined[65536];
	AUTO_HDF5 *hdf5 = NULL;
	AUTO_TEXT strings = {0};
	struct error err = {0};
	uint32_t link, object = HDF5_ROOT;
	unsigned damaged;
	size_t n = 0;

	joined[0] = '\0';
	if (hdf5_open(&hdf5, model->source, &err) < 0 ||
		hdf5_walk(hdf5, &damaged, &err) < 0) {
		unit_fail("%s", err.text);
		return joined;
	}
	if (*group != '\0') {
		link = hdf5_resolve(hdf5, HDF5_ROOT, group, strlen(group));
		object = link != 0 ? hdf5_link(hdf5, link)->object : 0;
	}
	if (object == 0 || hdf5_strings(hdf5, object, name, &strings, &n, &err) < 0)
		unit_fail("%s: %s: %s", group, name, err.text);
	for (size_t i = 0, off = 0; i < n; i++, off += strlen(strings.bytes + off) + 1)
		(void)snprintf(joined + strlen(joined), sizeof joined - strlen(joined),
			"%s%s", i > 0 ? " " : "", strings.bytes + off);
	return joined;
}

/* --- editing --- */

/* Adds a float32 vector of two, in a folder that is made where it is missing. */
static void add_tensor(struct model *model, const char *folder, const char *stem)
{
	static const float two[] = {1, 2};
	const char *slash = strrchr(folder, '/');
	AUTO_TEXT around = {0};

	if (tree_at(model->tree, folder) == NULL) {
		text_put(&around, folder, (size_t)(slash - folder));
		(void)folder_added(model, around.bytes, slash + 1);
	}
	(void)tensor_added(
		model, folder, stem, type_of(model, "float32", 1, (uint64_t[]){2}), two);
}

/* The model that the edits make. The plan must outlive it. */
static struct model *outcome(struct model *model, struct plan **plan)
{
	AUTO_SOURCE *source = NULL;
	struct error err = {0};

	if (model_encode(model, plan, &err) < 0 ||
		plan_outcome(*plan, &source, &err) < 0) {
		unit_fail("%s", err.text);
		exit(unit_end());
	}
	return decode(source);
}

static int refused(struct model *model, struct error *err)
{
	AUTO_PLAN *plan = NULL;

	return model_encode(model, &plan, err);
}

/* --- what is shown --- */

static void documents(void)
{
	AUTO_MODEL *model = fixture("keras3_functional.h5");

	unit_begin("a configuration names its layers, which are documents of their own");
	CHECK(shows(model, "config.json", "\"inner\",\n      \"concatenate\""));
	CHECK(!shows(model, "config.json", "rate"));
	CHECK(shows(model, "layers/drop/config.json", "\"rate\": 0.5"));
	CHECK(shows(model, "layers/inner/config.json", "\"mix\",\n      \"inner_norm\""));
	CHECK(shows(model, "layers/inner/mix/config.json", "\"units\": 4"));
	CHECK(shows(model, ".weightfs/config.json", "\"rate\": 0.5"));
	CHECK(at(model, ".weightfs")->flags & NODE_HIDDEN);
	unit_begin("bookkeeping attributes are not shown");
	CHECK(shows(model, "metadata.json", "keras_version"));
	CHECK(!shows(model, "metadata.json", "model_config"));
	CHECK(!has(model, "layers/attributes.json"));
	CHECK(!has(model, "layers/conv/attributes.json"));
	CHECK(!has(model, "top_level_model_weights"));
}

static void edits_of_documents(const char *name)
{
	AUTO_MODEL *model = fixture(name), *again = NULL;
	AUTO_PLAN *plan = NULL;
	AUTO_TEXT was = {0}, is = {0};

	show(model, ".weightfs/config.json", &was);
	saved(model, "layers/drop/config.json", "\"rate\": 0.25", "\"rate\": 0.1");
	saved(model, "training_config.json", "\"loss\"", "\"mine\": null, \"loss\"");
	saved(model, "metadata.json", "tensorflow", "jax");
	again = outcome(model, &plan);
	show(again, ".weightfs/config.json", &is);
	CHECK_INT((intmax_t)is.len, (intmax_t)was.len - 1);
	CHECK(shows(again, "layers/drop/config.json", "\"rate\": 0.1"));
	CHECK(shows(again, "training_config.json", "\"mine\": null"));
	CHECK(shows(again, "metadata.json", "jax"));
	CHECK(!has(again, "layers/attributes.json"));
	CHECK(plan_patches(plan));
	same_elements(model, "layers/hidden/kernel", again, "layers/hidden/kernel");
}

static void documents_edited(void)
{
	unit_begin("edits of documents reach their attributes, and nothing else changes");
	edits_of_documents("keras3_sequential.h5");
	edits_of_documents("keras2_sequential.h5");
}

static void config_outgrows(void)
{
	AUTO_MODEL *model = fixture("keras1_shaped.h5"), *again = NULL;
	AUTO_PLAN *plan = NULL;
	AUTO_TEXT value = {0};

	unit_begin("a configuration outgrows its attribute of fixed length");
	text_puts(&value, "\"mine\": \"");
	while (value.len < 100000)
		text_puts(&value, "0123456789");
	text_puts(&value, "\", \"class_name\"");
	saved(model, "layers/dense_1/config.json", "\"class_name\"", value.bytes);
	again = outcome(model, &plan);
	CHECK(shows(again, "layers/dense_1/config.json", "\"mine\": \"0123"));
	CHECK(shows(again, "config.json", "\"dense_1\""));
}

static void refuses(
	const char *path, const char *from, const char *to, int rc, const char *why)
{
	AUTO_MODEL *model = fixture("keras3_functional.h5");
	struct error err = {0};

	CHECK_INT(save(model, path, from, to, &err), -rc);
	CHECK_STR(err.text, why);
}

static void refusals(void)
{
	unit_begin("a configuration keeps its layers, their names and their parts");
	refuses("layers/drop/config.json", "\"name\": \"drop\"", "\"name\": \"fall\"",
		EOPNOTSUPP,
		"4:13: config.name: expected the name as it was, found another (mv of "
		"its folder renames a layer)");
	refuses("layers/drop/config.json", "\"class_name\": \"Dropout\",", "", EINVAL,
		"1:1: class_name: expected a string, found none");
	refuses("layers/drop/config.json", "\"class_name\": \"Dropout\"",
		"\"class_name\": 1", EINVAL,
		"2:17: class_name: expected a string, found a number");
	refuses(".weightfs/config.json", "\"name\": \"mix\"", "\"name\": \"x\"",
		EOPNOTSUPP,
		"256:25: config.layers.5.config.layers.1.config.name: expected the name "
		"as it was, found another (mv of its folder renames a layer)");
	refuses(".weightfs/config.json", "\"layers\": [", "\"layers\": [{},", EOPNOTSUPP,
		"6:15: config.layers: layers cannot be added, removed or moved here");
}

/* --- renaming --- */

static void renamed_layer(const char *name, const char *kernel)
{
	AUTO_MODEL *model = fixture(name), *again = NULL;
	AUTO_PLAN *plan = NULL;
	AUTO_TEXT path = {0};

	moved(model, "layers/conv", "layers", "conv_b");
	moved(model, "layers/inner", "layers", "inside");
	moved(model, "layers/inside/mix", "layers/inside", "blend");
	moved(model, "layers/drop", "layers", "fall");
	again = outcome(model, &plan);
	if (again == NULL)
		return;
	CHECK(!has(again, "layers/conv") && !has(again, "layers/inner"));
	same_elements(model, "layers/conv_b/kernel", again, "layers/conv_b/kernel");
	text_printf(&path, "layers/inside/%s", kernel);
	same_elements(model, path.bytes, again, path.bytes);
	CHECK(!shows(again, ".weightfs/config.json", "\"conv\""));
	CHECK(!shows(again, ".weightfs/config.json", "\"inner\""));
	CHECK(!shows(again, ".weightfs/config.json", "\"mix\""));
	CHECK(shows(again, "layers/bn/config.json", "\"conv_b\""));
	CHECK(shows(again, "layers/inside/inner_norm/config.json", "\"blend\""));
	CHECK_INT((intmax_t)again->tree->n_nodes, (intmax_t)model->tree->n_nodes);
}

static void renames(void)
{
	AUTO_MODEL *model = NULL, *again = NULL;
	AUTO_PLAN *plan = NULL;

	unit_begin("a renamed layer is renamed in its wires, its group and its weights");
	renamed_layer("keras3_functional.h5", "blend/kernel");
	renamed_layer("keras2_functional.h5", "blend/kernel");
	model = fixture("keras2_functional.h5");
	moved(model, "layers/conv", "layers", "conv_b");
	again = outcome(model, &plan);
	CHECK_STR(list_of(again, "model_weights/conv_b", "weight_names"),
		"conv_b/kernel:0 conv_b/bias:0");
	CHECK(strstr(list_of(again, "model_weights", "layer_names"), " conv_b bn ") !=
		NULL);
}

static void nameless_in(const char *name, const char *path)
{
	AUTO_MODEL *model = fixture(name);
	struct node *node = at(model, path);
	struct change change = {
		.what = EDIT_MOVED, .node = node, .parent = node->parent, .name = "%_"};
	struct error err = {0};

	CHECK_INT(model_check(model, &change, &err), -EINVAL);
	CHECK_STR(err.text, "no layer or weight has an empty name");
}

static void nameless(void)
{
	unit_begin("a layer cannot lose its name");
	nameless_in("keras3_shared.h5", "layers/dense/inner");
	nameless_in("keras3_sequential_weights_only.h5", "layers/head");
}

static void whole_models(void)
{
	AUTO_MODEL *model = fixture("keras3_sequential.h5"), *again = NULL;
	AUTO_PLAN *plan = NULL;
	struct error err = {0};
	struct change change = {.what = EDIT_REMOVED};

	unit_begin("a whole model keeps its layers and their weights");
	change.node = at(model, "layers/head/kernel");
	CHECK_INT(model_check(model, &change, &err), -EOPNOTSUPP);
	change.node = at(model, "layers/head");
	CHECK_INT(model_check(model, &change, &err), -EOPNOTSUPP);
	change = (struct change){.what = EDIT_ADDED,
		.parent = at(model, "layers/head"),
		.name = "x",
		.kind = NODE_TENSOR};
	CHECK_INT(model_check(model, &change, &err), -EOPNOTSUPP);
	CHECK_STR(err.text,
		"layers and weights of a whole model cannot be added, removed or "
		"moved: its configuration lists them");
	unit_begin("an optimizer's state can be removed, all together");
	removed(model, "optimizer/adam/iteration");
	CHECK_INT(refused(model, &err), -EOPNOTSUPP);
	removed(model, "optimizer");
	again = outcome(model, &plan);
	CHECK(!has(again, "optimizer") && !has(again, "optimizer_weights"));
	CHECK(has(again, "training_config.json"));
	same_elements(model, "layers/head/kernel", again, "layers/head/kernel");
}

/* --- contents --- */

static void contents_of(const char *name, const char *path)
{
	AUTO_MODEL *model = fixture(name), *again = NULL;
	AUTO_PLAN *plan = NULL;
	AUTO_BLOB *content = NULL;
	const struct tensor *type = NULL;
	struct node *node = at(model, path);
	struct tensor *flat = NULL;
	struct error err = {0};
	char *bytes;

	CHECK_INT(model_tensor(model, node, &type, &err), 0);
	bytes = calloc(1, type->bytes);
	content = blob_of(bytes, type->bytes);
	free(bytes);
	CHECK_INT(
		tree_type(model->tree, type->dtype, 1,
			(uint64_t[]){type->bytes / dtype_size(type->dtype)}, &flat, &err),
		0);
	CHECK_INT(tree_set_content(model->tree, node, content, &err), 0);
	CHECK_INT(tree_set_type(model->tree, node, flat, &err), 0);
	again = outcome(model, &plan);
	same_elements(model, path, again, path);
	CHECK_INT(model_tensor(again, at(again, path), &type, &err), 0);
	CHECK_INT(type->rank, 1);
}

static void contents(void)
{
	unit_begin("elements and shapes of weights are written");
	contents_of("keras3_sequential.h5", "layers/hidden/kernel");
	contents_of("keras2_sequential_weights_only.h5", "layers/hidden/kernel");
	contents_of("keras3_sequential.weights.h5", "layers/hidden/0");
	contents_of("keras3_bfloat16.weights.h5", "layers/hidden/0");
}

/* --- weights alone --- */

static void weights_alone(const char *name, const char *weight)
{
	AUTO_MODEL *model = fixture(name), *again = NULL;
	AUTO_PLAN *plan = NULL;

	moved(model, "layers/norm", "layers", "bn");
	add_tensor(model, "layers/extra", "w");
	add_tensor(model, "layers/hidden", "more");
	removed(model, "layers/hidden/bias");
	removed(model, "layers/head/kernel");
	removed(model, "layers/head/bias");
	moved(model, "layers/bn/beta", "layers/drop", "moved");
	again = outcome(model, &plan);
	if (again == NULL)
		return;
	CHECK_STR(again->readonly, NULL);
	CHECK_STR(list_of(again, "", "layer_names"), "hidden bn drop extra");
	CHECK(has(again, "layers/hidden/kernel") && has(again, "layers/hidden/more"));
	CHECK(!has(again, "layers/hidden/bias.bin") && !has(again, "layers/head"));
	CHECK(has(again, "layers/extra/w") && has(again, "layers/drop/moved"));
	same_elements(model, "layers/extra/w", again, "layers/extra/w");
	same_elements(model, "layers/bn/gamma", again, "layers/bn/gamma");
	CHECK_STR(list_of(again, "extra", "weight_names"), weight);
}

static void weights_of_old(void)
{
	unit_begin("in files of weights alone layers and weights come, go and move");
	weights_alone("keras2_sequential_weights_only.h5", "extra/w:0");
	weights_alone("keras3_sequential_weights_only.h5", "classifier/extra/w");
}

static void weights_of_new(void)
{
	AUTO_MODEL *model = fixture("keras3_functional.weights.h5"), *again = NULL;
	AUTO_PLAN *plan = NULL;

	unit_begin("in .weights.h5 files too");
	moved(model, "layers/conv", "layers", "conv_b");
	moved(model, "layers/inner/layers/mix", "layers/inner/layers", "blend");
	add_tensor(model, "layers/extra", "0");
	add_tensor(model, "layers/bn", "4");
	removed(model, "layers/proj.in/0");
	moved(model, "layers/bn/0", "layers/bn", "5");
	again = outcome(model, &plan);
	if (again == NULL)
		return;
	same_elements(model, "layers/conv_b/0", again, "layers/conv_b/0");
	same_elements(model, "layers/bn/5", again, "layers/bn/5");
	same_elements(model, "layers/extra/0", again, "layers/extra/0");
	same_elements(model, "layers/inner/layers/blend/0", again,
		"layers/inner/layers/blend/0");
	CHECK(has(again, "layers/bn/4") && !has(again, "layers/bn/0.bin"));
}

int main(void)
{
	fixtures();
	documents();
	documents_edited();
	config_outgrows();
	refusals();
	renames();
	nameless();
	whole_models();
	contents();
	weights_of_old();
	weights_of_new();
	return unit_end();
}
