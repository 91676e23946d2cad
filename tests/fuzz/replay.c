/*
 * replay: a fuzz target over its corpus, without libFuzzer.
 *
 *	build/fuzz/TARGET [FILE...]
 *
 * The inputs are taken in a child, so that one that crashes or hangs is named.
 */
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "tests/fuzz/fuzz.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CORPUS "tests/fuzz/corpus"
#define SECONDS_MAX 20 /* for one input, with sanitizers on a slow machine */

/* Shared with the child. */
struct progress {
	unsigned done;
	char path[4096];
};

static int take_file(struct progress *progress, const char *path)
{
	AUTO_SOURCE *source = NULL;
	struct error err = {0};
	uint8_t *bytes;
	int rc = source_open(&source, path, &err);

	(void)snprintf(progress->path, sizeof progress->path, "%s", path);
	if (rc < 0) {
		(void)fprintf(stderr, "%s: %s\n", path, err.text);
		return 1;
	}
	bytes = malloc(source_size(source) + 1);
	HOLDS(bytes != NULL);
	HOLDS(source_read(source, 0, bytes, source_size(source), &err) == 0);
	(void)alarm(SECONDS_MAX);
	(void)LLVMFuzzerTestOneInput(bytes, source_size(source));
	free(bytes);
	progress->done++;
	return 0;
}

static int take_folder(struct progress *progress, const char *target)
{
	char folder[256], path[768];
	struct dirent **names;
	int n, rc = 0;

	(void)snprintf(folder, sizeof folder, CORPUS "/%s", target);
	n = scandir(folder, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
		if (rc == 0 && names[i]->d_name[0] != '.')
			rc = take_file(progress, path);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return rc;
}

static int take(struct progress *progress, int n, char **files, const char *target)
{
	int rc = 0;

	if (n == 0)
		return take_folder(progress, target);
	for (int i = 0; i < n && rc == 0; i++)
		rc = take_file(progress, files[i]);
	return rc;
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *target = slash != NULL ? slash + 1 : argv[0];
	struct progress *progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 1;
	pid_t child;

	if (progress == MAP_FAILED)
		return 1;
	child = fork();
	if (child == 0)
		exit(take(progress, argc - 1, argv + 1, target));
	if (child < 0 || waitpid(child, &status, 0) != child)
		return 1;
	if (status == 0 && progress->done > 0) {
		printf("ok - %s: %u hostile inputs are refused, or shown as they are\n",
			target, progress->done);
		return 0;
	}
	printf("not ok - %s: hostile inputs are refused, or shown as they are "
	       "(%s after %u: %s %d)\n",
		target, progress->path, progress->done,
		WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return 1;
}
