/* keras_links: what a link says of itself. */
#include "decoders/grammar/keras_links.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/hdf5.h"
#include "decoders/grammar/keras_attributes.h"
#include <errno.h>
#include <string.h>

static void put_reason(
	const struct hdf5 *hdf5, const struct hdf5_link *link, struct text *out)
{
	char safe[ERROR_TEXT_MAX];
	AUTO_TEXT path = {0};

	if (link->kind == HDF5_HARD)
		hdf5_path(hdf5, link->object, &path);
	else if (link->target != NULL)
		text_puts(&path, link->target);
	out->failed = out->failed || path.failed;
	(void)error_escape(safe, sizeof safe, path.len != 0 ? path.bytes : "", path.len);
	switch (link->kind) {
	case HDF5_HARD: text_printf(out, "another name of %s", safe); break;
	case HDF5_SOFT: text_printf(out, "a soft link to %s, not followed", safe); break;
	case HDF5_EXTERNAL:
		text_printf(out, "an external link to %s, never followed", safe);
		break;
	default: text_puts(out, "a link of a kind that is not supported");
	}
}

static int decode_link(
	struct keras_attributes *attributes, uint32_t number, struct error *err)
{
	const struct hdf5_link *link = hdf5_link(attributes->hdf5, number);
	struct tree *tree = attributes->model->tree;
	AUTO_TEXT reason = {0};
	struct node *folder, *node;
	int rc = keras_attributes_home(attributes, link->group, &folder, err);

	put_reason(attributes->hdf5, link, &reason);
	if (rc == 0)
		rc = text_check(&reason, err);
	if (rc == 0)
		rc = tree_name(tree, folder, link->name, link->len, &node, NULL, err);
	if (rc == 0)
		rc = tree_type(
			tree, dtype_find("object", 6), 0, NULL, &node->tensor, err);
	if (rc < 0)
		return rc;
	node->origin = number;
	node->tensor->flags |= TENSOR_NO_BIN | TENSOR_NULL;
	node->tensor->error = tree_string(tree, reason.bytes, reason.len);
	return node->tensor->error != NULL ? 0
					   : error_set(err, ENOMEM, "not enough memory");
}

int keras_links_decode(struct keras_attributes *attributes, struct error *err)
{
	uint32_t n = hdf5_n_links(attributes->hdf5);
	int rc = 0;

	for (uint32_t link = HDF5_ROOT + 1; rc == 0 && link <= n; link++)
		if (!hdf5_real(attributes->hdf5, link))
			rc = decode_link(attributes, link, err);
	return rc;
}
