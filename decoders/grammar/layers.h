/*
 * layers: the part of the tree below layers/, where most formats have their tensors, and
 * what the containers call them.
 */
#ifndef WEIGHTFS_GRAMMAR_LAYERS_H
#define WEIGHTFS_GRAMMAR_LAYERS_H

#include "decoders/base/names.h"

struct error;
struct node;
struct text;
struct tree;

#define LAYERS "layers"

/*
 * The container's name of a tensor (NAMES_STEM) or folder that is called `last` in
 * `parent`, written to `name`, which is empty and has bytes afterwards. -EOPNOTSUPP for a
 * place outside of layers/, -EINVAL for a path that is the image of no name, or of one
 * that is no UTF-8; both begin with the path.
 */
int layers_name(const struct tree *tree, const struct node *parent, const char *last,
	enum names_place place, struct text *name, struct error *err);

#endif
