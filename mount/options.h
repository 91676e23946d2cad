/*
 * options: the command line, read once.
 */
#ifndef WEIGHTFS_MOUNT_OPTIONS_H
#define WEIGHTFS_MOUNT_OPTIONS_H

#include "fs/fs.h"
#include <stdbool.h>

struct error;

/* Exit codes (weightfs(1)). */
enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* explained on standard error */
	EXIT_USAGE = 2,
	/* Of --compare, as of diff(1). */
	EXIT_DIFFER = 1,
	EXIT_TROUBLE = 2,
};

enum command {
	COMMAND_MOUNT,
	COMMAND_LIST,
	COMMAND_GET,
	COMMAND_PUT,
	COMMAND_UNMOUNT,
	COMMAND_ERRORS,
	COMMAND_RECOVER,
	COMMAND_COMPARE,
	COMMAND_STAT,
	COMMAND_FORMATS,
	COMMAND_HELP,
	COMMAND_VERSION,
};

enum report_form {
	REPORT_TEXT,
	REPORT_TABLE, /* --stat */
	REPORT_NAMES, /* --name-only */
	REPORT_JSON,  /* --json */
};

/* How --compare and --stat report. */
struct report_options {
	enum report_form form;
	const char *layers; /* a glob, or NULL */
	double tolerance;
	bool by_size; /* --sort=size */
};

/* Strings are borrowed from argv or owned by `fuse`. */
struct options {
	enum command command;
	const char *model; /* MODEL, A of --compare, or MNT for --unmount and --errors */
	const char *operand; /* MOUNTPOINT, PATH, B or GLOB; NULL: none was given */
	bool foreground, debug, allow_other;
	struct report_options report;
	struct fs_options fs;
	char *fuse; /* what is libfuse's own, comma-separated; owned, "" for none */
};

/* 0, or -EINVAL with a text that says what is wrong with the command line. */
int options_parse(struct options *options, int argc, char **argv, struct error *err);
void options_done(struct options *options);

/* The exit code of a failure: --compare keeps 1 for what differs. */
int options_failed(const struct options *options);

/* Cuts one leading word off a comma-separated list; "\," and "\\" stand for themselves.
 * NULL at the end. The word is unescaped in place. */
char *options_word(char **list);

extern const char options_usage[];

#endif
