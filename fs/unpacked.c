/*
 * unpacked: a folder with the tree of a model, read back as a model.
 *
 * A folder is listed when it is looked at, a file opened when its bytes are wanted. What
 * a file is shows as the tree made it: NAME.json beside a NAME.bin, or with a dtype and a
 * shape in it, is a tensor; another .json a document; any other file is a tensor of bytes
 * under its whole name, so that nothing of a folder is passed over.
 */
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/source.h"
#include "decoders/base/text.h"
#include "decoders/grammar/document.h"
#include "decoders/grammar/json.h"
#include "fs/look.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROL ".weightfs"

/* What a tensor's node is made of (node->origin). */
enum made_of { PAIR, SIDECAR_ALONE, BYTES_ALONE };

/* A name without its suffix, where it has that. */
static bool has_suffix(const char *name, const char *suffix, size_t *stem)
{
	size_t len = strlen(name), tail = strlen(suffix);

	*stem = len - tail;
	return len > tail && !strcmp(name + len - tail, suffix);
}

/* Paths on the disk. */

static void put_file(
	struct model *model, struct node *node, const char *suffix, struct text *out)
{
	text_puts(out, source_name(model->source));
	text_putc(out, '/');
	tree_path(node, out);
	text_puts(out, suffix);
}

static int open_file(struct model *model, struct node *node, const char *suffix,
	struct source **out, struct error *err)
{
	AUTO_TEXT path = {0};

	put_file(model, node, suffix, &path);
	int code = text_check(&path, err);
	return code ? code : source_open(out, path.bytes, err);
}

/* The whole text of a file, malloc'ed. */
static int read_file(struct model *model, struct node *node, const char *suffix,
	char **bytes, size_t *len, struct error *err)
{
	AUTO_SOURCE *source = NULL;
	AUTO_BLOB *blob = NULL;
	int code = open_file(model, node, suffix, &source, err);

	if (!code)
		code = blob_span(&blob, source, 0, source_size(source), err);
	return code ? code : blob_load(blob, DOCUMENT_MAX, bytes, len, err);
}

/* Listing a folder. */

struct names {
	char **all;
	size_t n;
};

static void names_done(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->all[i]);
	free(names->all);
}
#define AUTO_NAMES __attribute__((cleanup(names_done))) struct names

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool names_have(const struct names *names, const char *stem, const char *suffix)
{
	char name[NAME_MAX + 8], *key = name;

	(void)snprintf(name, sizeof name, "%s%s", stem, suffix);
	return bsearch(&key, names->all, names->n, sizeof *names->all, by_name) != NULL;
}

static int names_read(struct names *names, DIR *dir)
{
	struct dirent *found;
	size_t room = 0;

	while (errno = 0, (found = readdir(dir)) != NULL) {
		if (!strcmp(found->d_name, ".") || !strcmp(found->d_name, "..") ||
			!strcmp(found->d_name, CONTROL))
			continue;
		if (names->n == room) {
			room = room ? 2 * room : 64;
			char **all = reallocarray(names->all, room, sizeof *all);
			if (!all)
				return -ENOMEM;
			names->all = all;
		}
		names->all[names->n] = strdup(found->d_name);
		if (!names->all[names->n])
			return -ENOMEM;
		names->n++;
	}
	if (errno)
		return -errno;
	if (names->n > 0)
		qsort(names->all, names->n, sizeof *names->all, by_name);
	return 0;
}

/* Adding what a name is. */

static int add_tensor(struct model *model, struct node *folder, const char *name,
	size_t len, enum made_of made_of, struct error *err)
{
	char stem[NAME_MAX + 1];
	struct node *node;

	(void)snprintf(stem, sizeof stem, "%.*s", (int)len, name);
	int code = tree_tensor(model->tree, folder, stem, &node, err);
	if (!code)
		node->origin = made_of;
	return code;
}

/* Whether a .json that stands alone says what a tensor is. */
static bool is_sidecar(const char *text, size_t len)
{
	AUTO_JSON *json = NULL;

	return json_parse(&json, text, len, JSON_NONFINITE, NULL) == 0 &&
	       json_get(json, 0, "dtype") != JSON_NONE &&
	       json_get(json, 0, "shape") != JSON_NONE;
}

static int add_json(struct model *model, struct node *folder, const char *name,
	size_t stem, struct error *err)
{
	AUTO_TEXT below = {0};
	char *bytes = NULL;
	size_t len = 0;
	struct value *value;
	struct node *node;

	text_printf(&below, "/%s", name);
	int code = text_check(&below, err);
	if (!code)
		code = read_file(model, folder, below.bytes, &bytes, &len, err);
	if (!code && is_sidecar(bytes, len)) {
		free(bytes);
		return add_tensor(model, folder, name, stem, SIDECAR_ALONE, err);
	}
	if (!code)
		code = tree_value(model->tree, 0, &value, err);
	if (code) {
		free(bytes);
		return code;
	}
	value->text = bytes;
	value->len = len;
	return tree_document(model->tree, folder, name, value, "", NULL, &node, err);
}

static int add_link(struct model *model, struct node *folder, int dir, const char *name,
	struct error *err)
{
	char target[PATH_MAX];
	struct node *node;
	ssize_t len = readlinkat(dir, name, target, sizeof target - 1);

	if (len < 0)
		return error_set(err, errno, "%s: %s", name, strerror(errno));
	target[len] = '\0';
	return tree_link(model->tree, folder, name, target, &node, err);
}

static int add_folder(
	struct model *model, struct node *folder, const char *name, struct error *err)
{
	struct node *node;
	int code = tree_folder(model->tree, folder, name, &node, err);

	if (!code)
		node->flags |= NODE_LAZY;
	return code;
}

static int add_name(struct model *model, struct node *folder, const struct names *names,
	int dir, const char *name, struct error *err)
{
	struct stat st;
	size_t stem, half;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set(err, errno, "%s: %s", name, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return add_folder(model, folder, name, err);
	if (S_ISLNK(st.st_mode))
		return add_link(model, folder, dir, name, err);
	if (!S_ISREG(st.st_mode))
		return 0; /* nothing with bytes */
	if (has_suffix(name, ".json", &stem)) {
		char other[NAME_MAX + 1];
		(void)snprintf(other, sizeof other, "%.*s", (int)stem, name);
		if (names_have(names, other, ".bin"))
			return 0; /* comes with that */
		return add_json(model, folder, name, stem, err);
	}
	if (has_suffix(name, ".bin", &half)) {
		char other[NAME_MAX + 1];
		(void)snprintf(other, sizeof other, "%.*s", (int)half, name);
		if (names_have(names, other, ".json"))
			return add_tensor(model, folder, name, half, PAIR, err);
	}
	return add_tensor(model, folder, name, strlen(name), BYTES_ALONE, err);
}

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int unpacked_expand(struct model *model, struct node *folder, struct error *err)
{
	AUTO_TEXT path = {0};
	AUTO_NAMES names = {0};

	put_file(model, folder, "", &path);
	int code = text_check(&path, err);
	if (code)
		return code;
	__attribute__((cleanup(close_dir))) DIR *dir = opendir(path.bytes);
	code = dir ? names_read(&names, dir) : -errno;
	if (code)
		return error_set(err, -code, "%s: %s", path.bytes, strerror(-code));
	for (size_t i = 0; !code && i < names.n; i++)
		code = add_name(model, folder, &names, dirfd(dir), names.all[i], err);
	return code;
}

/* What a tensor is. */

static int spoil(struct model *model, struct tensor *tensor, const char *why)
{
	tensor->flags |= TENSOR_NO_BIN;
	tensor->error = tree_string(model->tree, why, strlen(why));
	return tensor->error ? 0 : -ENOMEM;
}

/* Bytes under a name that no tensor has. */
static int describe_bytes(struct model *model, struct node *node, struct error *err)
{
	AUTO_SOURCE *source = NULL;
	int code = open_file(model, node, "", &source, err);

	if (code)
		return code;
	uint64_t size = source_size(source);
	return tree_type(
		model->tree, dtype_find("uint8", 5), 1, &size, &node->tensor, err);
}

/* Whether the elements are as many bytes as they should be. */
static int check_bin(struct model *model, struct node *node, struct tensor *tensor)
{
	struct error why = {0};
	AUTO_SOURCE *source = NULL;
	int code = open_file(model, node, ".bin", &source, &why);

	if (!code && source_size(source) != tensor->bytes)
		(void)error_set(&why, EINVAL,
			"expected %" PRIu64 " bytes in its .bin, found %" PRIu64,
			tensor->bytes, source_size(source));
	return why.text[0] ? spoil(model, tensor, why.text) : 0;
}

/* The error that a sidecar speaks of: that of the model that it was copied from. */
static int keep_error(struct model *model, struct tensor *tensor, const struct json *json)
{
	AUTO_TEXT why = {0};
	json_value error = json_get(json, 0, "error");

	if (error == JSON_NONE || json_type(json, error) != JSON_STRING)
		return 0;
	json_string(json, error, &why);
	return text_check(&why, NULL) || !why.bytes ? -ENOMEM
						    : spoil(model, tensor, why.bytes);
}

/* The members that are not said by dtype, shape and elements. */
static void put_members(const struct json *json, struct text *out)
{
	static const char *const common[] = {"dtype", "shape", "value", "error"};

	for (json_value m = json_first(json, 0); m != JSON_NONE; m = json_next(json, m)) {
		AUTO_TEXT key = {0};
		size_t len;
		const char *raw = json_raw(json, m, &len);
		bool said = false;

		for (size_t i = 0; i < sizeof common / sizeof *common; i++)
			said |= json_key_is(json, m, common[i], strlen(common[i]));
		if (said)
			continue;
		json_key(json, m, &key);
		text_puts(out, out->len ? ", " : "");
		json_put_string(out, key.bytes ? key.bytes : "", key.len);
		text_puts(out, ": ");
		text_put(out, raw, len);
	}
}

/* dtype and shape alone, since an error is nothing that a new tensor may have. */
static void put_type(const struct json *json, struct text *out)
{
	static const char *const members[] = {"dtype", "shape"};

	for (size_t i = 0; i < 2; i++) {
		json_value v = json_get(json, 0, members[i]);
		size_t len = 0;
		const char *raw = v != JSON_NONE ? json_raw(json, v, &len) : "";

		if (v != JSON_NONE)
			text_printf(out, "%s\"%s\": ", i ? ", " : "{", members[i]);
		text_put(out, raw, len);
	}
	text_putc(out, '}');
}

static int describe_sidecar(struct model *model, struct node *node,
	const struct json *json, struct error *err)
{
	AUTO_TEXT type = {0}, rest = {0};
	struct sidecar sidecar;

	put_type(json, &type);
	put_members(json, &rest);
	int code = sidecar_parse_new(model, type.bytes, type.len, &sidecar, err);
	if (code)
		return code;
	node->tensor = sidecar.type;
	sidecar_done(&sidecar);
	if (rest.len)
		node->tensor->flags |= TENSOR_SIDECAR;
	if (node->origin == SIDECAR_ALONE)
		node->tensor->flags |= TENSOR_NO_BIN;
	else
		code = check_bin(model, node, node->tensor);
	return code ? code : keep_error(model, node->tensor, json);
}

static int unpacked_describe(struct model *model, struct node *node, struct error *err)
{
	AUTO_JSON *json = NULL;
	char *text = NULL;
	size_t len;

	if (node->origin == BYTES_ALONE)
		return describe_bytes(model, node, err);
	int code = read_file(model, node, ".json", &text, &len, err);
	if (!code)
		code = json_parse(&json, text, len, JSON_NONFINITE, err);
	if (!code)
		code = describe_sidecar(model, node, json, err);
	free(text);
	return code;
}

static int unpacked_content(
	struct model *model, struct node *node, struct blob **out, struct error *err)
{
	AUTO_SOURCE *source = NULL;
	int code = open_file(
		model, node, node->origin == BYTES_ALONE ? "" : ".bin", &source, err);

	if (code)
		return code;
	return blob_span(out, source, 0, source_size(source), err);
}

static int unpacked_sidecar(
	struct model *model, struct node *node, struct text *out, struct error *err)
{
	AUTO_JSON *json = NULL;
	char *text = NULL;
	size_t len;
	int code = read_file(model, node, ".json", &text, &len, err);

	if (!code)
		code = json_parse(&json, text, len, JSON_NONFINITE, err);
	if (!code)
		put_members(json, out);
	free(text);
	return code;
}

static const struct model_ops unpacked_ops = {
	.expand = unpacked_expand,
	.describe = unpacked_describe,
	.content = unpacked_content,
	.sidecar = unpacked_sidecar,
};

static unsigned unpacked_probe(struct source *source)
{
	(void)source;
	return 0;
}

static int unpacked_decode(struct model *model, struct error *err)
{
	int code = tree_new(&model->tree, '/', err);

	if (code)
		return code;
	model->ops = &unpacked_ops;
	model->tree->root->flags |= NODE_LAZY;
	return model_expand(model, model->tree->root, err);
}

static const struct decoder unpacked_decoder = {
	.name = "folder",
	.title = "the files of a folder",
	.probe = unpacked_probe,
	.decode = unpacked_decode,
};

int unpacked_open(struct model **out, const char *path, struct error *err)
{
	static const struct decoder *const list[] = {&unpacked_decoder, NULL};
	AUTO_SOURCE *source = NULL;
	int code = source_memory(&source, "", 0, path, err);

	return code ? code : model_open_with(out, source, "folder", list, err);
}
