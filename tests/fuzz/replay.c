/*
 * replay: a fuzz target over its corpus, without libFuzzer.
 *
 *	build/fuzz/TARGET [FILE...]
 *	build/fuzz/TARGET --cut N FILE...	at each of the first N bytes, and each
 *512th build/fuzz/TARGET --change N FILE...	each of the first N bytes is another
 *
 * The inputs are taken in a child, so that one that crashes or takes too long is named,
 * whatever else the machine does meanwhile: time is the processor's.
 */
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "tests/fuzz/fuzz.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define CORPUS "tests/fuzz/corpus"
#define STEP 512
#ifdef __SANITIZE_ADDRESS__
#define SECONDS_MAX 50
#define MEMORY_MAX (1L << 40) /* shadow memory is no use of memory */
#else
#define SECONDS_MAX 10
#define MEMORY_MAX (256L << 20) /* more than the input */
#endif

/* Shared with the child. */
struct progress {
	unsigned done;
	char path[4096];
};

/* What is made of each file. */
struct plan {
	void (*take)(const struct plan *plan, struct progress *progress,
		const uint8_t *bytes, size_t len);
	size_t first; /* bytes that each have their turn */
};

static long memory_used(void)
{
	struct rusage usage;

	HOLDS(getrusage(RUSAGE_SELF, &usage) == 0);
	return usage.ru_maxrss * 1024;
}

/* SIGPROF ends what computes for too long. A copy, so that nothing lies behind its end.
 */
static void take(struct progress *progress, const uint8_t *bytes, size_t len)
{
	struct itimerval limit = {.it_value.tv_sec = SECONDS_MAX};
	static long before;
	uint8_t *copy = malloc(len > 0 ? len : 1);

	before = before == 0 ? memory_used() : before;
	HOLDS(copy != NULL && setitimer(ITIMER_PROF, &limit, NULL) == 0);
	memcpy(copy, bytes, len);
	(void)LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	if (memory_used() - before > MEMORY_MAX + (long)len)
		fuzz_fail(
			"%ld bytes of memory for %zu bytes", memory_used() - before, len);
	progress->done++;
}

static void take_whole(const struct plan *plan, struct progress *progress,
	const uint8_t *bytes, size_t len)
{
	(void)plan;
	take(progress, bytes, len);
}

static void take_cut(const struct plan *plan, struct progress *progress,
	const uint8_t *bytes, size_t len)
{
	size_t at = strlen(progress->path);

	for (size_t cut = 0; cut < len; cut += cut < plan->first ? 1 : STEP) {
		(void)snprintf(progress->path + at, sizeof progress->path - at,
			": its first %zu bytes", cut);
		take(progress, bytes, cut);
	}
}

/* All bits, the lowest, the highest: lengths that are far off, and just off. */
static void take_changed(const struct plan *plan, struct progress *progress,
	const uint8_t *bytes, size_t len)
{
	static const uint8_t masks[] = {0xff, 0x01, 0x80};
	size_t at = strlen(progress->path);
	uint8_t *copy = malloc(len + 1);

	HOLDS(copy != NULL);
	memcpy(copy, bytes, len);
	for (size_t i = 0; i < 3 * len && i < 3 * plan->first; i++) {
		(void)snprintf(progress->path + at, sizeof progress->path - at,
			": byte %zu ^ %u", i / 3, masks[i % 3]);
		copy[i / 3] ^= masks[i % 3];
		take(progress, copy, len);
		copy[i / 3] ^= masks[i % 3];
	}
	free(copy);
}

static int take_file(const struct plan *plan, struct progress *progress, const char *path)
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
	plan->take(plan, progress, bytes, source_size(source));
	free(bytes);
	return 0;
}

static int take_folder(
	const struct plan *plan, struct progress *progress, const char *target)
{
	char folder[256], path[768];
	struct dirent **names;
	int n, rc = 0;

	(void)snprintf(folder, sizeof folder, CORPUS "/%s", target);
	n = scandir(folder, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
		if (rc == 0 && names[i]->d_name[0] != '.')
			rc = take_file(plan, progress, path);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return rc;
}

static int take_all(struct progress *progress, int n, char **files, const char *target)
{
	struct plan plan = {take_whole, 0};
	int rc = 0;

	if (n == 0)
		return take_folder(&plan, progress, target);
	if (n > 2 && strncmp(files[0], "--", 2) == 0) {
		plan.take = strcmp(files[0], "--cut") == 0 ? take_cut : take_changed;
		plan.first = strtoull(files[1], NULL, 10);
		files += 2;
		n -= 2;
	}
	for (int i = 0; i < n && rc == 0; i++)
		rc = take_file(&plan, progress, files[i]);
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
		exit(take_all(progress, argc - 1, argv + 1, target));
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
