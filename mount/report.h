/*
 * report: a comparison as people and programs read it, on standard output.
 */
#ifndef WEIGHTFS_MOUNT_REPORT_H
#define WEIGHTFS_MOUNT_REPORT_H

#include "fs/compare.h"

struct report {
	const struct comparison *comparison;
	struct look *looks;
	const char *paths[2];  /* as they were given */
	const char *labels[2]; /* the shortest ends of them that are not the same */
};

/* The ends of two paths, by which one can tell them apart; parts of the arguments. */
void report_labels(const char *const paths[2], const char *labels[2]);

/* "float32 [3, 4]" of a tensor; nothing of what is none. */
void report_put_type(const struct tensor *type, struct text *out);
/* Of a NAME.json the name, else the path. */
void report_put_path(const struct difference *difference, struct text *out);

/* Each prints all that its form has to say. */
void report_text(const struct report *report);
void report_names(const struct report *report);
void report_table(const struct report *report);
void report_json(const struct report *report);

#endif
