/*
 * keras_links: links of a Keras file that are not an object's real place. Keras writes
 * none, and its newest versions refuse them, so each is shown where it stands as a
 * tensor without elements whose `error` says where it leads, and is never changed.
 */
#ifndef WEIGHTFS_GRAMMAR_KERAS_LINKS_H
#define WEIGHTFS_GRAMMAR_KERAS_LINKS_H

struct error;
struct keras_attributes;
struct node;

/* Shows them, once all groups have their homes. */
int keras_links_decode(struct keras_attributes *attributes, struct error *err);
/* -EOPNOTSUPP where the node, which shall be removed or moved, has a link in it or is
 * what one leads to: then it would lead elsewhere or stand elsewhere. */
int keras_links_check(const struct keras_attributes *attributes, const struct node *node,
	struct error *err);

#endif
