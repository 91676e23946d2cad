/* keras_links: what a link says of itself. */
#include "decoders/grammar/keras_links.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/hdf5.h"
#include "decoders/grammar/keras_attributes.h"
#include <errno.h>
#include <stdlib.h>
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

	for (uint32_t link = HDF5_ROOT + 1; rc == 0 && link <= n; link++) {
		if (hdf5_real(attributes->hdf5, link))
			continue;
		attributes->n_links++;
		rc = decode_link(attributes, link, err);
	}
	return rc;
}

/* --- what a change would disturb --- */

/* Marks the object of a link and the groups around it, but for those of all layers. */
static void mark_around(
	const struct keras_attributes *attributes, uint32_t link, unsigned char *touched)
{
	const struct hdf5 *hdf5 = attributes->hdf5;
	uint32_t object = hdf5_link(hdf5, link)->object;

	while (object > HDF5_ROOT && object != attributes->base) {
		touched[object] = 1;
		object = hdf5_link(hdf5, hdf5_object(hdf5, object)->link)->group;
	}
}

static bool is_below(const struct node *node, const struct node *top)
{
	while (node != NULL && node != top)
		node = node->parent;
	return node != NULL;
}

/* Marks all objects that a node stands for, with what is in it. */
static void mark_touched(const struct keras_attributes *attributes,
	const struct node *top, unsigned char *touched)
{
	const struct hdf5 *hdf5 = attributes->hdf5;
	uint32_t n = hdf5_n_objects(hdf5);

	for (struct node *node = (struct node *)top; node != NULL;
		node = tree_walk(top, node))
		if (node->kind == NODE_TENSOR && node->origin != 0) {
			const struct hdf5_link *link =
				hdf5_link(hdf5, (uint32_t)node->origin);

			if (link->group != 0 && link->group != attributes->base)
				touched[link->group] = 1;
			if (link->object != 0)
				mark_around(attributes, (uint32_t)node->origin, touched);
		}
	for (uint32_t object = HDF5_ROOT + 1; object <= n; object++)
		if (is_below(attributes->homes[object], top))
			touched[object] = 1;
	touched[HDF5_ROOT] = 0;
}

/* The first link that is in what was marked, or leads there; 0: none. */
static uint32_t find_disturbed(
	const struct keras_attributes *attributes, const unsigned char *touched)
{
	const struct hdf5 *hdf5 = attributes->hdf5;
	uint32_t n = hdf5_n_links(hdf5);

	for (uint32_t number = HDF5_ROOT + 1; number <= n; number++) {
		const struct hdf5_link *link = hdf5_link(hdf5, number);
		uint32_t end = number;

		if (hdf5_real(hdf5, number))
			continue;
		if (link->kind == HDF5_SOFT)
			end = hdf5_resolve(
				hdf5, link->group, link->target, strlen(link->target));
		if (touched[link->group] != 0 ||
			(end != 0 && touched[hdf5_link(hdf5, end)->object] != 0))
			return number;
	}
	return 0;
}

int keras_links_check(const struct keras_attributes *attributes, const struct node *node,
	struct error *err)
{
	AUTO_TEXT path = {0};
	unsigned char *touched;
	uint32_t link;

	if (attributes->n_links == 0)
		return 0;
	touched = calloc((size_t)hdf5_n_objects(attributes->hdf5) + 1, 1);
	if (touched == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	mark_touched(attributes, node, touched);
	link = find_disturbed(attributes, touched);
	free(touched);
	if (link == 0)
		return 0;
	hdf5_link_path(attributes->hdf5, link, &path);
	if (text_check(&path, err) < 0)
		return -ENOMEM;
	return error_set(err, EOPNOTSUPP,
		"expected no link in it or to it, found %s in the file, which cannot "
		"follow",
		path.bytes);
}
