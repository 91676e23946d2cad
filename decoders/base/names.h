/*
 * names: the bijection between the names of a container and paths of the tree
 * (DESIGN 1.3).
 *
 * A container's name is split at the separator of its format ('.' or '/') into pieces; a
 * piece becomes one path component, or several nested ones when it is too long. The last
 * component is a stem: ".bin" and ".json" are appended to it. Percent-encoded with
 * upper-case digits:
 * '%' itself, "." and ".." as a whole, '/' where the format splits at '.', control bytes
 * (C0, DEL), the UTF-8 of C1 controls and of bidirectional marks (U+061C, U+200E, U+200F,
 * U+202A-202E, U+2066-2069), every byte of invalid UTF-8; an empty piece is "%_"; of a
 * folder or link the last dot of a name that ends in ".bin" or ".json"; of a stem the
 * first letter of "config", "metadata" and "attributes". A component that would exceed
 * 255 bytes with the longest suffix (".json") becomes nested folders of at most 240 bytes
 * each, all but the last ending in "%+", cut between characters and never inside a %XX.
 * "%=2", "%=3" at the end of a stem tell duplicates apart.
 */
#ifndef WEIGHTFS_BASE_NAMES_H
#define WEIGHTFS_BASE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct text;

#define NAMES_EMPTY "%_" /* the image of an empty piece */

enum names_place {
	NAMES_FOLDER, /* a folder or a link */
	NAMES_STEM,   /* a tensor: a suffix follows */
};

/* Appends the path of a tensor's name: folders and a stem, joined by '/'. */
void names_path(const char *name, size_t len, char separator, struct text *path);
/* Appends the component(s) of one piece (no separator is looked for). */
void names_piece(const char *piece, size_t len, char separator, enum names_place place,
	struct text *path);
/* The inverse of names_path, for a path whose last component is a stem (or, with
 * NAMES_FOLDER, a folder). False when the path is not the canonical image of any
 * name (it is then never a model's name); `name` is then unchanged. A "%=N" is no part of
 * any name that can be created: false. */
bool names_name(const char *path, size_t len, char separator, enum names_place place,
	struct text *name);
/* Whether one component, as a folder or as a stem, can be part of an image. */
bool names_canonical(
	const char *component, size_t len, char separator, enum names_place place);

#endif
