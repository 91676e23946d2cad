/*
 * layers: names of tensors below layers/.
 */
#include "decoders/grammar/layers.h"
#include "decoders/base/error.h"
#include "decoders/base/names.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/json.h"
#include <errno.h>
#include <string.h>

int layers_name(const struct tree *tree, const struct node *parent, const char *last,
	enum names_place place, struct text *name, struct error *err)
{
	const size_t skip = sizeof LAYERS; /* with the slash */
	AUTO_TEXT path = {0};
	int rc;

	tree_path(parent, &path);
	if (path.len > 0)
		text_putc(&path, '/');
	text_puts(&path, last);
	rc = text_check(&path, err);
	if (rc < 0)
		return rc;
	if (strncmp(path.bytes, LAYERS "/", skip) != 0)
		return error_set(err, EOPNOTSUPP, "%s: tensors stay below " LAYERS "/",
			path.bytes);
	text_put(name, "", 0); /* the empty name has bytes, too */
	if (!names_name(path.bytes + skip, path.len - skip, tree->separator, place, name))
		return error_set(
			err, EINVAL, "%s: no tensor can have that name", path.bytes);
	if (!json_utf8(name->bytes, name->len))
		return error_set(err, EINVAL, "%s: expected a name in UTF-8", path.bytes);
	return text_check(name, err);
}
