/*
 * weightfs: a machine-learning model as a tree of files.
 */
#include "decoders/base/error.h"
#include "mount/commands.h"
#include "mount/guardian.h"
#include "mount/options.h"
#include "mount/say.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int run(const struct options *options)
{
	switch (options->command) {
	case COMMAND_MOUNT: return guardian_start(options);
	case COMMAND_LIST: return command_contained(command_list, options);
	case COMMAND_GET: return command_contained(command_get, options);
	case COMMAND_COMPARE: return command_contained(command_compare, options);
	case COMMAND_STAT: return command_contained(command_stat, options);
	case COMMAND_PUT: return command_put(options);
	case COMMAND_UNMOUNT: return command_unmount(options);
	case COMMAND_ERRORS: return command_errors(options);
	case COMMAND_RECOVER: return command_recover(options);
	case COMMAND_FORMATS: return command_formats();
	case COMMAND_HELP: fputs(options_usage, stdout); return EXIT_OK;
	case COMMAND_VERSION: puts("weightfs " WEIGHTFS_VERSION); return EXIT_OK;
	}
	return EXIT_USAGE;
}

/* A container must never get descriptor 0, 1 or 2, where messages go. */
static void fill_standard_descriptors(void)
{
	int fd;
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < 3);
	if (fd > 2)
		close(fd);
}

int main(int argc, char **argv)
{
	struct options options;
	struct error err = {0};

	fill_standard_descriptors();
	if (options_parse(&options, argc, argv, &err)) {
		say("%s", err.text);
		say("weightfs -h explains the usage");
		options_done(&options);
		return EXIT_USAGE;
	}
	int code = run(&options);
	/* What could not be printed (a full disk, a closed pipe) was not done. */
	if ((fflush(stdout) || ferror(stdout)) && code != options_failed(&options)) {
		say("standard output: %s", strerror(errno));
		code = options_failed(&options);
	}
	options_done(&options);
	return code;
}
