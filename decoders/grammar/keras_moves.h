/*
 * keras_moves: another arrangement of the objects of an HDF5 file, said as a list of
 * wishes (this dataset shall be there, that group under another name, this one gone)
 * and made in one go.
 *
 * A moved group takes along what is in it and is not wished elsewhere. Groups that are
 * missing on the way to a place are made; groups that lose their last dataset are
 * removed. A place is a path of names from the root, "model_weights/a/kernel:0"; ""
 * is the root.
 *
 * The order of wishes does not matter, two may not want the same place.
 */
#ifndef WEIGHTFS_GRAMMAR_KERAS_MOVES_H
#define WEIGHTFS_GRAMMAR_KERAS_MOVES_H

#include <stddef.h>
#include <stdint.h>

struct error;
struct hdf5_edit;
struct keras_move;
struct node;
struct text;

/* Embedded by its owner: set hdf5 (borrowed), the rest zeroed. */
struct keras_moves {
	struct hdf5 *hdf5;
	struct keras_move *list;
	size_t n, cap;
	unsigned char *lifted;		/* by link: leaves its place */
	struct keras_standing *objects; /* by object, while running */
	struct keras_made *made;	/* groups placed or made, while running */
	size_t n_made, cap_made;
	int rc; /* 0, or -ENOMEM of a wish that could not be noted */
};

void keras_moves_done(struct keras_moves *moves);
#define AUTO_KERAS_MOVES __attribute__((cleanup(keras_moves_done))) struct keras_moves

/* The object of a link shall be at `path`, where it may be already. */
void keras_moves_put(struct keras_moves *moves, uint32_t link, const char *path);
/* It shall be gone. */
void keras_moves_remove(struct keras_moves *moves, uint32_t link);
/* A dataset shall be made of an added node, with its type, content and attributes. */
void keras_moves_new(struct keras_moves *moves, struct node *node, const char *path);
/* The group stays though it loses its last dataset. */
void keras_moves_keep(struct keras_moves *moves, uint32_t object);
/* The group at `path` (made where it is missing) shall have a list of `n` strings (each
 * NUL-terminated, one behind the other; copied) as an attribute. */
void keras_moves_list(struct keras_moves *moves, const char *path, const char *name,
	const struct text *strings, size_t n);
/* The same for one string. */
void keras_moves_string(
	struct keras_moves *moves, const char *path, const char *name, const char *value);

/* Makes it so. Once, before other edits. -EINVAL for a place that no object can have. */
int keras_moves_run(struct keras_moves *moves, struct hdf5_edit *edit, struct error *err);

#endif
