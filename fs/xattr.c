/*
 * xattr: derived facts as extended attributes, with -o xattr.
 */
#include "decoders/base/dtype.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "fs/fs_private.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PREFIX "user.weightfs."
#define PREFIX_LEN (sizeof PREFIX - 1)

/* What is asked for: one value, or all names. */
struct asked {
	const char *name; /* without prefix; NULL: the names */
	struct text out;
	bool found;
};

static int report(void *arg, const char *name, const char *value)
{
	struct asked *asked = arg;

	if (asked->name == NULL) {
		text_puts(&asked->out, PREFIX);
		text_put(&asked->out, name, strlen(name) + 1);
	} else if (!asked->found && strcmp(asked->name, name) == 0) {
		asked->found = true;
		text_puts(&asked->out, value);
	}
	return 0;
}

/* Bytes from one index of each dimension to the next, in C order as NAME.bin is. */
static void report_stride(struct asked *asked, const struct tensor *type)
{
	uint64_t stride[UINT8_MAX], step = dtype_size(type->dtype);
	AUTO_TEXT list = {0};

	if (step == 0 || type->rank > UINT8_MAX || (type->flags & TENSOR_NO_BIN) != 0)
		return;
	for (unsigned i = type->rank; i-- > 0; step *= type->shape[i])
		stride[i] = step;
	text_puts(&list, "[");
	for (unsigned i = 0; i < type->rank; i++)
		text_printf(&list, "%s%" PRIu64, i > 0 ? ", " : "", stride[i]);
	text_puts(&list, "]");
	if (!list.failed)
		report(asked, "stride", list.bytes);
}

static void report_tensor(struct asked *asked, const struct tensor *type)
{
	AUTO_TEXT shape = {0}, offset = {0};

	report(asked, "dtype", type->dtype->name);
	tensor_put_shape(type, &shape);
	if (!shape.failed && (type->flags & TENSOR_NULL) == 0)
		report(asked, "shape", shape.bytes);
	report_stride(asked, type);
	text_printf(&offset, "%" PRIu64, type->off);
	if (!offset.failed && (type->flags & TENSOR_SPAN) != 0)
		report(asked, "offset", offset.bytes);
}

/* All facts of the inode. With the lock. */
static int report_all(struct fs *fs, fs_ino ino, struct asked *asked)
{
	struct inode *inode = inode_find(fs, ino);
	const struct tensor *type;

	if (!fs->options.xattr)
		return -EOPNOTSUPP;
	if (inode == NULL)
		return -ENOENT;
	if (inode->node == NULL)
		return 0;
	if (inode->node->kind == NODE_TENSOR &&
		model_tensor_now(fs->model, inode->node, &type, NULL) == 0)
		report_tensor(asked, type);
	return model_facts(fs->model, inode->node, report, asked);
}

static ssize_t answer(struct asked *asked, int rc, char *buf, size_t size)
{
	size_t len = asked->out.len;

	if (rc == 0 && asked->out.failed)
		rc = -ENOMEM;
	if (rc == 0 && asked->name != NULL && !asked->found)
		rc = -ENODATA;
	if (rc == 0 && size > 0 && len > size)
		rc = -ERANGE;
	if (rc == 0 && size > 0 && len > 0)
		memcpy(buf, asked->out.bytes, len);
	text_done(&asked->out);
	return rc < 0 ? rc : (ssize_t)len;
}

ssize_t fs_getxattr(struct fs *fs, fs_ino ino, const char *name, char *buf, size_t size)
{
	struct asked asked = {0};
	int rc;

	if (strncmp(name, PREFIX, PREFIX_LEN) != 0)
		return strncmp(name, "user.", 5) == 0 ? -ENODATA : -EOPNOTSUPP;
	asked.name = name + PREFIX_LEN;
	fs_share(fs);
	rc = report_all(fs, ino, &asked);
	fs_unlock(fs);
	return answer(&asked, rc, buf, size);
}

ssize_t fs_listxattr(struct fs *fs, fs_ino ino, char *buf, size_t size)
{
	struct asked asked = {0};
	int rc;

	fs_share(fs);
	rc = report_all(fs, ino, &asked);
	fs_unlock(fs);
	return answer(&asked, rc, buf, size);
}
