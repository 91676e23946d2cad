/*
 * control: what .weightfs/ holds besides documents of the tree.
 */
#include "fs/control.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/json.h"
#include "fs/confine.h"
#include "fs/container.h"
#include "fs/fs_private.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int add(struct fs *fs, struct inode *folder, const char *name,
	enum inode_kind kind, struct inode **out)
{
	int rc = inode_new(fs, kind, 0755, out);

	if (rc < 0)
		return rc;
	(*out)->desk->timed = false;
	return entry_set(fs, folder, name, *out);
}

int control_new(struct fs *fs)
{
	int rc = add(fs, fs->root, CONTROL_NAME, INODE_FOLDER, &fs->control);

	if (rc == 0)
		rc = add(fs, fs->control, "info.json", INODE_TEXT, &fs->info);
	if (rc == 0)
		rc = add(fs, fs->control, "errors.log", INODE_TEXT, &fs->log_file);
	if (rc == 0)
		rc = add(fs, fs->control, "rejected", INODE_FOLDER, &fs->rejected);
	if (rc == 0)
		fs->rejected->flags |= INODE_KEPT;
	if (rc == 0)
		control_bind(fs);
	return rc;
}

void control_bind(struct fs *fs)
{
	struct node *node =
		tree_child(fs->model->tree->root, CONTROL_NAME, strlen(CONTROL_NAME));

	/* Not by inode_become: it keeps its name, which hides the tree's. */
	fs->control->node = node != NULL && node->kind == NODE_FOLDER ? node : NULL;
}

/* info.json. */

struct counts {
	uint64_t tensors, parameters, bytes;
};

static void count_tensor(struct fs *fs, struct node *node, struct counts *counts)
{
	const struct tensor *type;
	uint64_t n = 1;

	counts->tensors++;
	if (model_tensor_now(fs->model, node, &type, NULL) < 0)
		return;
	counts->bytes += (type->flags & TENSOR_NO_BIN) != 0 ? 0 : type->bytes;
	for (unsigned i = 0; i < type->rank; i++)
		if (__builtin_mul_overflow(n, type->shape[i], &n))
			return;
	counts->parameters += (type->flags & TENSOR_NULL) != 0 ? 0 : n;
}

static void count_all(struct fs *fs, struct counts *counts)
{
	struct node *root = fs->model->tree->root;

	for (struct node *node = root; node != NULL; node = tree_walk(root, node)) {
		if (node->kind == NODE_FOLDER) /* what cannot be read is not counted */
			(void)model_expand(fs->model, node, NULL);
		if (node->kind == NODE_TENSOR)
			count_tensor(fs, node, counts);
	}
}

static void put_member(struct text *out, const char *key, const char *string)
{
	text_printf(out, "  \"%s\": ", key);
	if (string == NULL)
		text_puts(out, "null");
	else if (json_utf8(string, strlen(string)))
		json_put_string(out, string, strlen(string));
	else
		text_puts(out, "\"(not UTF-8)\"");
	text_puts(out, ",\n");
}

/* What the process is confined by, or NULL. */
static const char *sandbox_of(const struct fs *fs)
{
	const struct confine *confine = fs->options.confine;

	return confine != NULL && confine->what[0] != '\0' ? confine->what : NULL;
}

static int put_info(struct fs *fs, struct text *out)
{
	struct counts counts = {0};

	count_all(fs, &counts);
	text_puts(out, "{\n");
	put_member(out, "container", container_name(fs->container));
	put_member(out, "format", fs->model->decoder->name);
	put_member(out, "version", fs->options.command);
	put_member(out, "commits",
		fs_frozen(fs) != NULL ? "read-only" : container_how(fs->container));
	put_member(out, "read_only", fs_frozen(fs));
	put_member(out, "sandbox", sandbox_of(fs));
	text_printf(out,
		"  \"tensors\": %" PRIu64 ",\n  \"parameters\": %" PRIu64
		",\n  \"bytes\": %" PRIu64 "\n}\n",
		counts.tensors, counts.parameters, counts.bytes);
	return text_check(out, NULL);
}

int control_text(struct fs *fs, struct inode *inode, struct text *out)
{
	if (inode == fs->info)
		return put_info(fs, out);
	text_put(out, fs->log.bytes, fs->log.len);
	return text_check(out, NULL);
}

off_t control_size(struct fs *fs, struct inode *inode)
{
	AUTO_TEXT text = {0};

	return control_text(fs, inode, &text) < 0 ? 0 : (off_t)text.len;
}
