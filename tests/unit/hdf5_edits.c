/* hdf5_edits: every kind of edit of a plain HDF5 file, read back by h5py. */
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "decoders/base/spill.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "tests/unit/edits.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern const struct decoder hdf5_decoder;
static const struct decoder *const only_hdf5[] = {&hdf5_decoder, NULL};

static char folder[64];
static struct spill_pool pool = {.dir = -1, .limit = 1 << 28, .in_memory = 1 << 28};

/* Runs the python half; what it says goes into `out`. True when it was content. */
static bool python(const char *what, const char *file, const char *more, struct text *out)
{
	const char *interpreter = getenv("PYTHON");
	AUTO_TEXT command = {0};
	char line[512];
	FILE *pipe;

	text_printf(&command, "%s tests/unit/hdf5_edits.py %s %s/%s %s 2>&1",
		interpreter != NULL ? interpreter : "/usr/bin/python3", what, folder,
		file, more);
	pipe = popen(command.bytes, "r");
	while (pipe != NULL && fgets(line, sizeof line, pipe) != NULL)
		text_puts(out, line);
	return pipe != NULL && pclose(pipe) == 0;
}

static struct model *open_file(const char *file)
{
	AUTO_SOURCE *source = NULL;
	struct model *model = NULL;
	struct error err = {0};
	AUTO_TEXT path = {0};

	text_printf(&path, "%s/%s", folder, file);
	if (source_open(&source, path.bytes, &err) < 0 ||
		model_open_with(&model, source, "hdf5", only_hdf5, &err) < 0) {
		unit_fail("%s: %s", file, err.text);
		exit(unit_end());
	}
	return model;
}

static void write_source(struct source *source, const char *file)
{
	static char bytes[1 << 16];
	uint64_t off, n, size = source_size(source);
	struct error err = {0};
	AUTO_TEXT path = {0};
	FILE *out;

	text_printf(&path, "%s/%s", folder, file);
	out = fopen(path.bytes, "w");
	for (off = 0; out != NULL && off < size; off += n) {
		n = size - off < sizeof bytes ? size - off : sizeof bytes;
		if (source_read(source, off, bytes, n, &err) < 0) {
			unit_fail("%s", err.text);
			break;
		}
		(void)fwrite(bytes, 1, n, out);
	}
	if (out == NULL || fclose(out) != 0)
		unit_fail("%s cannot be written", path.bytes);
}

/* Encodes, decodes what comes out, and lets h5py judge it. */
static void outcome(struct model *model, const char *name)
{
	AUTO_PLAN *plan = NULL;
	AUTO_SOURCE *source = NULL;
	AUTO_MODEL *again = NULL;
	AUTO_TEXT said = {0};
	struct error err = {0};

	if (model_encode(model, &plan, &err) < 0 ||
		plan_outcome(plan, &source, &err) < 0 ||
		model_open_with(&again, source, "hdf5", only_hdf5, &err) < 0) {
		unit_fail("%s: %s", name, err.text);
		return;
	}
	CHECK_INT(again->damaged, 0);
	write_source(source, "out.h5");
	if (!python(name, "out.h5", "", &said))
		unit_fail("%s: %s", name, said.bytes);
}

/* --- editing --- */

/* With what its NAME.json is said to have, or NULL. */
static void add(struct model *model, const char *parent, const char *stem,
	struct tensor *type, const void *bytes, const char *sidecar)
{
	struct node *node = tensor_added(model, parent, stem, type, bytes);
	struct error err = {0};

	if (node != NULL && sidecar != NULL &&
		sidecar_save(model, node, sidecar, &err) < 0)
		unit_fail("%s: %s", stem, err.text);
}

/* Lays bytes over a tensor's elements, as a program does that writes a part of them. */
static void overwrite(struct model *model, const char *path, uint64_t off,
	const void *bytes, size_t len, bool whole)
{
	struct node *node = at(model, path);
	AUTO_BLOB *base = NULL;
	AUTO_BLOB *staged = NULL;
	struct error err = {0};

	if (model_content(model, node, &base, &err) < 0 ||
		blob_staged(&staged, whole ? NULL : base, &pool, &err) < 0 ||
		blob_write(staged, off, bytes, len, &err) < 0 ||
		tree_set_content(model->tree, node, staged, &err) < 0)
		unit_fail("%s: %s", path, err.text);
}

/* --- behaviours --- */

static const char *const tensors[] = {"plain", "big", "gzip", "lzf", "big_gzip", "grows"};
#define N_TENSORS (sizeof tensors / sizeof *tensors)

static void contents(const char *file)
{
	AUTO_MODEL *model = open_file(file);
	float minus[10];
	int16_t one = -1;
	AUTO_TEXT path = {0};
	size_t i;

	for (i = 0; i < 10; i++)
		minus[i] = -1;
	for (i = 0; i < N_TENSORS + 2; i++) {
		text_clear(&path);
		text_printf(&path, "layers/%s.bin",
			i < N_TENSORS	 ? tensors[i]
			: i == N_TENSORS ? "unwritten"
					 : "holes");
		overwrite(model, path.bytes, 160, minus, sizeof minus, false);
	}
	overwrite(model, "layers/compact.bin", 2, &one, 2, false);
	outcome(model, "contents");
}

static void whole(const char *file)
{
	AUTO_MODEL *model = open_file(file);
	float new[24 * 35];
	AUTO_TEXT path = {0};
	size_t i;

	for (i = 0; i < 24 * 35; i++)
		new[i] = (float)i + 1;
	for (i = 0; i < N_TENSORS; i++) {
		text_clear(&path);
		text_printf(&path, "layers/%s.bin", tensors[i]);
		overwrite(model, path.bytes, 0, new, sizeof new, true);
	}
	outcome(model, "whole");
}

static void attributes(const char *file)
{
	AUTO_MODEL *model = open_file(file);
	const char *doc = "metadata.json";

	saved(model, doc, "\"a model\"", "\"another model, größer\"");
	saved(model, doc, "\"fixed\": \"abc\"", "\"fixed\": \"a longer text\"");
	saved(model, doc, "\"bc\"\n", "\"bc\",\n    \"def\"\n");
	saved(model, doc, "\"small\": 3", "\"small\": -128");
	saved(model, doc, "\"big_endian\": [1, 2]", "\"big_endian\": [1, 3]");
	saved(model, doc, "\"list\": [1, 2, 3]", "\"list\": [1, 2]");
	saved(model, doc, "\"flag\": true", "\"flag\": false");
	saved(model, doc, "\"float\": 0.1", "\"float\": 0.2");
	saved(model, doc, "[[1], [2, 3]]", "[[1], [2, 3, 4]]");
	saved(model, doc, "\"last\": \"end\"",
		"\"last\": \"end\", \"new\": \"text\", \"new_int\": 5, \"new_float\": "
		"0.5, "
		"\"new_flag\": true, \"new_list\": [[1, 2], [3, 4]], \"größe\": \"x\"");
	outcome(model, "attributes");
}

static void removed_attributes(const char *file)
{
	AUTO_MODEL *model = open_file(file);
	struct node *node = at(model, "metadata.json");
	static const char text[] = "{\"title\": \"a model\", \"last\": \"end\"}";

	removed(model, "layers/a/attributes.json");
	tree_set_value(node->view->value, strdup(text), sizeof text - 1);
	outcome(model, "removed_attributes");
}

static void long_text(const char *file)
{
	AUTO_MODEL *model = open_file(file);
	AUTO_TEXT text = {0};
	size_t i;

	text_puts(&text, "\"fixed\": \"");
	for (i = 0; i < 100000; i++)
		text_putc(&text, 'x');
	text_putc(&text, '"');
	saved(model, "metadata.json", "\"fixed\": \"abc\"", text.bytes);
	outcome(model, "long_text");
}

static void structure(const char *file)
{
	AUTO_MODEL *model = open_file(file);
	static const float two[] = {1, 2};
	static const uint16_t halves[] = {0x3c00, 0x4000};
	static const uint64_t shape[] = {2};
	const int64_t one = 1;

	removed(model, "layers/gzip.bin");
	removed(model, "layers/soft"); /* leads into one that moves */
	moved(model, "layers/a", "layers", "tmp");
	moved(model, "layers/b", "layers", "a");
	moved(model, "layers/tmp", "layers", "b");
	moved(model, "layers/b/inner", "layers", "inner");
	(void)folder_added(model, "layers", "new");
	(void)folder_added(model, "layers/new", "group");
	(void)folder_added(model, "layers/new", "empty");
	add(model, "layers/new/group", "tensor", type_of(model, "float32", 1, shape), two,
		"{\"dtype\": \"float32\", \"shape\": [2], \"attributes\": {\"units\": "
		"\"kg\"}}");
	add(model, "layers/new/group", "half", type_of(model, "float16", 1, shape),
		halves, NULL);
	add(model, "layers/new/group", "marked", type_of(model, "bfloat16", 1, shape),
		halves, NULL);
	add(model, "layers/new/group", "größe", type_of(model, "int64", 0, NULL), &one,
		NULL);
	outcome(model, "structure");
}

static void folders(const char *file)
{
	AUTO_MODEL *model = open_file(file);

	moved(model, "layers/b", "layers", "tmp");
	(void)folder_added(model, "layers", "b");
	moved(model, "layers/tmp", "layers/b", "b");
	moved(model, "layers/plain.bin", "layers", "other");
	moved(model, "layers/soft", "layers", "gone");
	outcome(model, "folders");
}

static void set_type(struct model *model, const char *path, struct tensor *type)
{
	struct node *node = at(model, path);
	struct change change = {.what = EDIT_TYPE, .node = node, .type = type};
	struct error err = {0};
	const struct tensor *old;

	CHECK_INT(model_tensor(model, node, &old, &err), 0);
	if (model_check(model, &change, &err) < 0 ||
		tree_set_type(model->tree, node, type, &err) < 0)
		unit_fail("%s: %s", path, err.text);
}

static void types(const char *file)
{
	AUTO_MODEL *model = open_file(file);
	static const uint64_t turned[] = {35, 24}, half[] = {12, 35}, same[] = {24, 35},
			      more[] = {30, 35}, less[] = {20, 35}, two[] = {2},
			      three[] = {3};

	set_type(model, "layers/plain.bin", type_of(model, "float32", 2, turned));
	set_type(model, "layers/big.bin", type_of(model, "float32", 2, half));
	set_type(model, "layers/gzip.bin", type_of(model, "int32", 2, same));
	set_type(model, "layers/grows.bin", type_of(model, "float32", 2, more));
	set_type(model, "layers/lzf.bin", type_of(model, "float32", 2, less));
	set_type(model, "layers/void.bin", type_of(model, "uint16", 1, two));
	set_type(model, "layers/shared.bin", type_of(model, "float32", 1, three));
	outcome(model, "types");
}

static void sidecars(const char *file)
{
	AUTO_MODEL *model = open_file(file);

	saved(model, "layers/plain.json", "\"units\": \"m\"",
		"\"units\": \"km\", \"more\": 1");
	saved(model, "layers/strings.json", "\"one\"", "\"uno\"");
	outcome(model, "sidecars");
}

static void every_edit(const char *file)
{
	unit_begin("a part of a tensor is written where and as it is stored");
	contents(file);
	unit_begin("a whole tensor is written, and chunks and filters are kept");
	whole(file);
	unit_begin("attributes are written in their types, in their order");
	attributes(file);
	unit_begin("attributes are removed");
	removed_attributes(file);
	unit_begin("a string that outgrows its attribute becomes variable");
	long_text(file);
	unit_begin("tensors and groups are added, removed and renamed");
	structure(file);
	unit_begin("a group moves into a new one that has its name");
	folders(file);
	unit_begin("dtypes and shapes change, and all else stays");
	types(file);
	unit_begin("attributes and values in sidecars are written");
	sidecars(file);
}

/* --- refusals --- */

static void refuses(
	const char *path, const char *from, const char *to, int code, const char *why)
{
	AUTO_MODEL *model = open_file("old.h5");
	struct error err = {0};

	CHECK_INT(save(model, path, from, to, &err), -code);
	CHECK_STR(err.text, why);
}

static void refusals(void)
{
	AUTO_MODEL *model = open_file("old.h5");
	struct node *shared = at(model, "layers/shared.bin");
	struct error err = {0};

	unit_begin("what an attribute's type cannot hold is refused, with its place");
	refuses("metadata.json", "\"small\": 3", "\"small\": 300", EINVAL,
		"8:12: small: expected an integer from -128 to 127, found 300");
	refuses("metadata.json", "\"title\": \"a model\"", "\"title\": 5", EINVAL,
		"2:12: title: expected a string or {\"%bytes\": base64}, found 5");
	refuses("layers/plain.json", "\"m\"", "5", EINVAL,
		"5:14: units: expected a string or {\"%bytes\": base64}, found 5");
	refuses("layers/a/attributes.json", "\"n\": 1", "", EINVAL,
		"expected some attributes, found none: remove the file to remove them "
		"all");
	refuses("layers/a/attributes.json", "\"n\"", "\"%n\"", EINVAL,
		"1:1: expected attributes, found one value; an attribute whose name "
		"begins with % is called %% here while it is the only one");
	unit_begin("an object keeps its real name while it has others");
	CHECK_INT(model_check(model,
			  &(struct change){.what = EDIT_REMOVED, .node = shared}, &err),
		-EOPNOTSUPP);
	CHECK_STR(err.text, "expected one name in the file, found several of /shared: "
			    "remove those that are links first");
}

static void unchanged(const char *file)
{
	AUTO_MODEL *model = open_file(file);
	AUTO_PLAN *plan = NULL;
	struct error err = {0};
	float same[10];
	size_t i;

	unit_begin("writing what is there is no edit");
	for (i = 0; i < 10; i++)
		same[i] = (float)(40 + i);
	overwrite(model, "layers/gzip.bin", 160, same, sizeof same, false);
	overwrite(model, "layers/big.bin", 160, same, sizeof same, false);
	CHECK_INT(model_encode(model, &plan, &err), 0);
	CHECK(plan_unchanged(plan));
}

static void small(void)
{
	AUTO_MODEL *model = open_file("latest.h5");
	AUTO_PLAN *plan = NULL;
	struct error err = {0};

	unit_begin("an edit of an attribute writes little, where everything keeps its "
		   "place");
	saved(model, "metadata.json", "\"a model\"", "\"another model\"");
	CHECK_INT(model_encode(model, &plan, &err), 0);
	CHECK(plan_patches(plan));
	CHECK(plan_changed_bytes(plan) > 0 && plan_changed_bytes(plan) < 16384);
}

/* An edit's temporary files lie where the model's owner says, and nowhere else. */
static void pooled(void)
{
	struct spill_pool none = {.dir = -1};
	AUTO_MODEL *model = open_file("latest.h5");
	AUTO_PLAN *plan = NULL;
	struct error err = {0};

	unit_begin("what libhdf5 writes in an edit is counted in the model's pool");
	saved(model, "metadata.json", "\"a model\"", "\"another model\"");
	model->pool = &none;
	CHECK(model_encode(model, &plan, &err) < 0);
	CHECK(strstr(err.text, "no more than 0 bytes may be staged") != NULL);
}

int main(void)
{
	AUTO_TEXT said = {0};

	(void)snprintf(folder, sizeof folder, "/tmp/weightfs-hdf5-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return 1;
	unit_begin("h5py makes files to edit");
	if (!python("make", "old.h5", "", &said) ||
		!python("make", "latest.h5", "latest", &said)) {
		unit_fail("%s", said.bytes);
		return unit_end();
	}
	every_edit("old.h5");
	every_edit("latest.h5");
	refusals();
	unchanged("old.h5");
	unchanged("latest.h5");
	small();
	pooled();
	text_clear(&said);
	text_printf(&said, "rm -rf %s", folder);
	if (getenv("KEEP") == NULL && system(said.bytes) != 0)
		return 1;
	return unit_end();
}
