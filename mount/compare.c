/*
 * compare: what differs between two models, without mounting them.
 */
#include "fs/compare.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "fs/confine.h"
#include "fs/fs.h"
#include "mount/commands.h"
#include "mount/options.h"
#include "mount/report.h"
#include "mount/sandbox.h"
#include "mount/say.h"
#include "mount/terminal.h"
#include <stdio.h>

static void report(const struct options *options, const struct report *what)
{
	switch (options->report.form) {
	case REPORT_TEXT: report_text(what); break;
	case REPORT_TABLE: report_table(what); break;
	case REPORT_NAMES: report_names(what); break;
	case REPORT_JSON: report_json(what); break;
	}
}

/* What could not be compared is said in every form. */
static void complain(const struct report *what)
{
	const struct comparison *comparison = what->comparison;

	for (size_t i = 0; i < comparison->n; i++) {
		const struct difference *difference = &comparison->all[i];
		if (difference->kind == DIFFERENCE_TROUBLE)
			say("%s/%s: %s", what->labels[!difference->nodes[0]],
				difference->path, difference->text.bytes);
	}
}

static int verdict(const struct comparison *comparison)
{
	if (comparison->counts.trouble)
		return EXIT_TROUBLE;
	return comparison->n ? EXIT_DIFFER : EXIT_OK;
}

static int compare(const struct options *options, struct look looks[2])
{
	struct comparison comparison;
	struct progress progress = {0};
	struct error err = {0};
	const struct compare_options how = {.layers = options->report.layers,
		.tolerance = options->report.tolerance,
		.brief = options->report.form == REPORT_NAMES,
		.progress = progress_show,
		.progress_arg = &progress};
	struct report what = {.comparison = &comparison,
		.looks = looks,
		.paths = {options->model, options->operand}};

	int code = compare_run(&comparison, looks, &how, &err);
	progress_end(&progress);
	if (code) {
		say("%s", err.text);
		return EXIT_TROUBLE;
	}
	report_labels(what.paths, what.labels);
	report(options, &what);
	fflush(stdout);
	complain(&what);
	code = verdict(&comparison);
	compare_done(&comparison);
	return code;
}

int command_compare(const struct options *options)
{
	const char *const paths[2] = {options->model, options->operand};
	struct confine confine = {.enter = sandbox_enter};
	struct fs_options how = options->fs;
	struct look looks[2];
	struct error err = {0};

	how.confine = &confine;
	terminal_init();
	int code = look_open(looks, paths, 2, &how, &err);
	if (code) {
		say("%s", err.text);
		return EXIT_TROUBLE;
	}
	code = compare(options, looks);
	look_close(&looks[0]);
	look_close(&looks[1]);
	return code;
}
