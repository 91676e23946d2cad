/*
 * options: the command line.
 *
 * What comes after -o is ours, or of fstab and of no meaning here, or the kernel's
 * and libfuse's: the last sort is handed on as it is, and libfuse judges it.
 */
#include "mount/options.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "fs/container.h"
#include <errno.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

const char options_usage[] =
	"usage: weightfs [-f] [-d] [-o OPTION[,OPTION...]] MODEL [MOUNTPOINT]\n"
	"       weightfs --list MODEL\n"
	"       weightfs --get MODEL PATH >FILE\n"
	"       weightfs --put MODEL PATH <FILE\n"
	"       weightfs --compare [--stat | --name-only | --json] [--layers GLOB]\n"
	"                [--tolerance T] A B\n"
	"       weightfs --stat [--sort=name|size] MODEL [GLOB]\n"
	"       weightfs --unmount MOUNTPOINT\n"
	"       weightfs --errors MOUNTPOINT\n"
	"       weightfs --recover MODEL\n"
	"       weightfs --formats | -h | -V\n"
	"\n"
	"Shows a machine-learning model as a tree of files: layers as folders, weights\n"
	"as raw .bin files, configuration as JSON. What is saved there is in the model.\n"
	"\n"
	"  -f                   stay in the foreground\n"
	"  -d                   print libfuse's debug output (implies -f)\n"
	"  -o ro                read-only\n"
	"  -o allow_other       let other users in, as the model's permissions say\n"
	"  -o commit=close      write each save to the model when it is closed "
	"(default)\n"
	"  -o commit=unmount    collect all edits into one commit\n"
	"  -o commit-mode=MODE  auto (default), rewrite or patch\n"
	"  -o format=NAME       do not guess the format (see --formats)\n"
	"  -o journal=DIR       folder of the journal, where the model's is not "
	"writable\n"
	"  -o scratch-limit=N   bytes that files beside the model may take (K, M, G)\n"
	"  -o xattr             show facts as extended attributes user.weightfs.*\n"
	"\n"
	"Exit status: 0, 1 for a failure that has been explained, 2 for wrong usage;\n"
	"of --compare 0 for equal, 1 for different, 2 for trouble.\n";

/* A long option, its command and how many operands it takes. */
struct verb {
	const char *name;
	enum command command;
	int least, most;
	const char *operands;
};

static const struct verb verbs[] = {
	{"--list", COMMAND_LIST, 1, 1, "MODEL"},
	{"--get", COMMAND_GET, 2, 2, "MODEL PATH"},
	{"--put", COMMAND_PUT, 2, 2, "MODEL PATH"},
	{"--compare", COMMAND_COMPARE, 2, 2, "A B"},
	{"--stat", COMMAND_STAT, 1, 2, "MODEL [GLOB]"},
	{"--unmount", COMMAND_UNMOUNT, 1, 1, "MOUNTPOINT"},
	{"--errors", COMMAND_ERRORS, 1, 1, "MOUNTPOINT"},
	{"--recover", COMMAND_RECOVER, 1, 1, "MODEL"},
	{"--formats", COMMAND_FORMATS, 0, 0, "nothing"},
	{"--help", COMMAND_HELP, 0, 0, "nothing"},
	{"-h", COMMAND_HELP, 0, 0, "nothing"},
	{"--version", COMMAND_VERSION, 0, 0, "nothing"},
	{"-V", COMMAND_VERSION, 0, 0, "nothing"},
};

static const struct verb mount_verb = {NULL, COMMAND_MOUNT, 1, 2, "MODEL [MOUNTPOINT]"};

/* Options of mount(8) and fstab(5) that say nothing to a file system. */
static const char *const fstab_words[] = {"defaults", "auto", "noauto", "nofail", "user",
	"nouser", "users", "owner", "group", "_netdev", "relatime", "norelatime",
	"lazytime", "nolazytime"};

char *options_word(char **list)
{
	char *word = *list;
	if (!word || !*word)
		return NULL;

	char *in = word, *out = word;
	for (; *in && *in != ','; in++) {
		if (in[0] == '\\' && (in[1] == ',' || in[1] == '\\'))
			in++;
		*out++ = *in;
	}
	*list = *in ? in + 1 : in;
	*out = '\0';
	return word;
}

static bool is_fstab_word(const char *word)
{
	for (size_t i = 0; i < sizeof(fstab_words) / sizeof(*fstab_words); i++)
		if (!strcmp(word, fstab_words[i]))
			return true;
	return !strncmp(word, "x-", 2) || !strncmp(word, "comment=", 8);
}

/* "512", "64K", "2G" in bytes. */
static int parse_bytes(const char *name, const char *s, uint64_t *out, struct error *err)
{
	char *end;
	errno = 0;
	unsigned long long n = strtoull(s, &end, 10);
	static const char units[] = "KMGT";
	const char *unit = *end ? strchr(units, *end) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

	if (errno || end == s || *s == '-' || (*end && (!unit || end[1])) ||
		n > UINT64_MAX >> shift || !n)
		return error_set(err, EINVAL,
			"-o %s: expected a number of bytes such as 512M, found \"%s\"",
			name, s);
	*out = (uint64_t)n << shift;
	return 0;
}

static int parse_commit(struct options *options, const char *value, struct error *err)
{
	options->fs.commit_at_unmount = !strcmp(value, "unmount");
	if (options->fs.commit_at_unmount || !strcmp(value, "close"))
		return 0;
	return error_set(
		err, EINVAL, "-o commit: expected close or unmount, found \"%s\"", value);
}

static int parse_commit_mode(
	struct options *options, const char *value, struct error *err)
{
	static const char *const modes[] = {
		[COMMIT_AUTO] = "auto",
		[COMMIT_REWRITE] = "rewrite",
		[COMMIT_PATCH] = "patch",
	};
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		if (strcmp(value, modes[i]))
			continue;
		options->fs.commit_mode = (enum commit_mode)i;
		return 0;
	}
	return error_set(err, EINVAL,
		"-o commit-mode: expected auto, rewrite or patch, found \"%s\"", value);
}

/* The value of "NAME=value", or NULL when the word is another option. */
static const char *value_of(const char *word, const char *name)
{
	size_t len = strlen(name);
	return !strncmp(word, name, len) && word[len] == '=' ? word + len + 1 : NULL;
}

static void hand_on(struct text *fuse, const char *word)
{
	if (fuse->len)
		text_putc(fuse, ',');
	for (; *word; word++) {
		if (*word == ',' || *word == '\\')
			text_putc(fuse, '\\');
		text_putc(fuse, *word);
	}
}

static int parse_word(
	struct options *options, const char *word, struct text *fuse, struct error *err)
{
	const char *value;
	if (!strcmp(word, "ro"))
		options->fs.readonly = true;
	else if (!strcmp(word, "rw"))
		options->fs.readonly = false;
	else if (!strcmp(word, "xattr"))
		options->fs.xattr = true;
	else if (!strcmp(word, "allow_other"))
		options->allow_other = true;
	else if ((value = value_of(word, "commit")))
		return parse_commit(options, value, err);
	else if ((value = value_of(word, "commit-mode")))
		return parse_commit_mode(options, value, err);
	else if ((value = value_of(word, "format")))
		options->fs.format = value;
	else if ((value = value_of(word, "journal")))
		options->fs.journal_dir = value;
	else if ((value = value_of(word, "scratch-limit")))
		return parse_bytes(
			"scratch-limit", value, &options->fs.scratch_limit, err);
	else if ((value = value_of(word, "shift-from"))) /* for tests */
		return parse_bytes("shift-from", value, &options->fs.shift_from, err);
	else if (!is_fstab_word(word))
		hand_on(fuse, word);
	return 0;
}

static int parse_list(
	struct options *options, char *list, struct text *fuse, struct error *err)
{
	char *word;
	int code = 0;
	while (!code && (word = options_word(&list)))
		code = parse_word(options, word, fuse, err);
	return code;
}

static const struct verb *find_verb(const char *arg)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(arg, verbs[i].name))
			return &verbs[i];
	return NULL;
}

/* Options of --compare and --stat. */

static int parse_tolerance(struct options *options, const char *value, struct error *err)
{
	char *end;

	options->report.tolerance = strtod(value, &end);
	if (end != value && !*end && options->report.tolerance >= 0 &&
		options->report.tolerance <= DBL_MAX)
		return 0;
	return error_set(err, EINVAL,
		"--tolerance: expected a number that is not negative, found \"%s\"",
		value);
}

static int parse_layers(struct options *options, const char *value, struct error *err)
{
	(void)err;
	options->report.layers = value;
	return 0;
}

static int parse_sort(struct options *options, const char *value, struct error *err)
{
	options->report.by_size = !strcmp(value, "size");
	if (options->report.by_size || !strcmp(value, "name"))
		return 0;
	return error_set(
		err, EINVAL, "--sort: expected name or size, found \"%s\"", value);
}

static int parse_form(struct options *options, const char *name, struct error *err)
{
	(void)err;
	options->report.form = !strcmp(name, "--json")	      ? REPORT_JSON
			       : !strcmp(name, "--name-only") ? REPORT_NAMES
							      : REPORT_TABLE;
	return 0;
}

/* An option of a command: `parse` gets its value, or its name where it has none. */
struct detail {
	const char *name;
	enum command command;
	bool value;
	int (*parse)(struct options *options, const char *value, struct error *err);
};

static const struct detail details[] = {
	{"--stat", COMMAND_COMPARE, false, parse_form},
	{"--name-only", COMMAND_COMPARE, false, parse_form},
	{"--json", COMMAND_COMPARE, false, parse_form},
	{"--layers", COMMAND_COMPARE, true, parse_layers},
	{"--tolerance", COMMAND_COMPARE, true, parse_tolerance},
	{"--sort", COMMAND_STAT, true, parse_sort},
};

/* Whether `arg` is that option, alone or as NAME=VALUE. */
static bool is_detail(const struct detail *detail, const char *arg)
{
	return !strcmp(arg, detail->name) ||
	       (detail->value && value_of(arg, detail->name));
}

static const struct detail *find_detail(const char *arg, enum command command)
{
	for (size_t i = 0; i < sizeof(details) / sizeof(*details); i++)
		if (details[i].command == command && is_detail(&details[i], arg))
			return &details[i];
	return NULL;
}

/* Moves *i on where the value is the next argument. */
static int parse_detail(struct options *options, const struct detail *detail, int argc,
	char **argv, int *i, struct error *err)
{
	const char *value = value_of(argv[*i], detail->name);

	if (!detail->value)
		return detail->parse(options, detail->name, err);
	if (!value && ++*i == argc)
		return error_set(
			err, EINVAL, "%s: expected a value behind it", detail->name);
	return detail->parse(options, value ? value : argv[*i], err);
}

/* One argument that begins with '-'. *i is that of the last one that was used up. */
static int parse_flag(struct options *options, int argc, char **argv, int *i,
	const struct verb **verb, struct text *fuse, struct error *err)
{
	char *arg = argv[*i];
	const struct verb *found = find_verb(arg);
	const struct detail *detail = find_detail(arg, (*verb)->command);

	if (detail)
		return parse_detail(options, detail, argc, argv, i, err);
	if (found && *verb != &mount_verb)
		return error_set(
			err, EINVAL, "%s and %s do not go together", (*verb)->name, arg);
	if (found) {
		*verb = found;
	} else if (!strcmp(arg, "-f")) {
		options->foreground = true;
	} else if (!strcmp(arg, "-d")) {
		options->debug = options->foreground = true;
	} else if (!strncmp(arg, "-o", 2)) {
		if (!arg[2] && ++*i == argc)
			return error_set(err, EINVAL, "-o: expected an option behind it");
		return parse_list(options, arg[2] ? arg + 2 : argv[*i], fuse, err);
	} else {
		return error_set(err, EINVAL, "unknown option %s", arg);
	}
	return 0;
}

static int parse_all(struct options *options, int argc, char **argv, struct text *fuse,
	struct error *err)
{
	const struct verb *verb = &mount_verb;
	const char *operands[3] = {NULL};
	int n = 0;
	bool only_operands = false;

	for (int i = 1; i < argc; i++) {
		if (!only_operands && !strcmp(argv[i], "--")) {
			only_operands = true;
		} else if (!only_operands && argv[i][0] == '-' && argv[i][1]) {
			int code = parse_flag(options, argc, argv, &i, &verb, fuse, err);
			if (code)
				return code;
		} else {
			operands[n < 2 ? n : 2] = argv[i];
			n++;
		}
	}
	if (n < verb->least || n > verb->most)
		return error_set(err, EINVAL, "%s%sexpected %s, found %d operand%s",
			verb->name ? verb->name : "", verb->name ? ": " : "",
			verb->operands, n, n == 1 ? "" : "s");
	options->command = verb->command;
	options->model = operands[0];
	options->operand = operands[1];
	return 0;
}

int options_parse(struct options *options, int argc, char **argv, struct error *err)
{
	AUTO_TEXT fuse = {0};
	*options = (struct options){.fs.command = "weightfs " WEIGHTFS_VERSION};

	int code = parse_all(options, argc, argv, &fuse, err);
	if (code)
		return code;
	text_puts(&fuse, "");
	code = text_check(&fuse, err);
	if (!code)
		options->fuse = text_take(&fuse, NULL);
	return code;
}

int options_failed(const struct options *options)
{
	return options->command == COMMAND_COMPARE ? EXIT_TROUBLE : EXIT_FAILED;
}

void options_done(struct options *options)
{
	free(options->fuse);
	options->fuse = NULL;
}
