/* Many threads at once: saves, renames, removals, reads; the container stays a model. */
#include "decoders/base/text.h"
#include "fs/fs.h"
#include "tests/unit/fs_session.h"
#include "tests/unit/unit.h"
#include <time.h>

#define THREADS 4
#define SECONDS 2

static const char *const names[] = {"layers/a/weight.bin", "layers/a/weight.json",
	"layers/a/bias.bin", "layers/a/bias.json", "layers/b/weight.bin",
	"layers/scale.json", "metadata.json", "metadata.json~", "layers/c/x.bin",
	"layers/c/x.json", "scratch", ".weightfs/errors.log", ".weightfs/info.json",
	"layers/a/bias.bin~"};
#define N_NAMES (sizeof names / sizeof *names)

static const char *const texts[] = {"{\"format\": \"pt\"}",
	"{\"a\": \"b\", \"c\": \"d\"}", "{\"dtype\": \"float32\", \"shape\": [3]}",
	"{\"dtype\": \"float32\", \"shape\": [2]}", "12345678", "123456789012", "{",
	"{\"dtype\": \"int32\", \"shape\": [3, 2]}"};
#define N_TEXTS (sizeof texts / sizeof *texts)

struct worker {
	pthread_t thread;
	struct session *session;
	unsigned seed;
	unsigned done;
};

static const char *pick(struct worker *worker)
{
	return names[(unsigned)rand_r(&worker->seed) % N_NAMES];
}

static int ignore(void *arg, const char *name, const struct stat *st, off_t next)
{
	(void)arg, (void)name, (void)st, (void)next;
	return 0;
}

static void list(struct session *session, const char *path)
{
	uint64_t handle;

	if (fs_opendir(session->fs, session_ino(session, path), &handle) < 0)
		return;
	(void)fs_readdir(session->fs, handle, 0, true, ignore, NULL);
	fs_releasedir(session->fs, handle);
}

/* One thing that a program might do; what it answers does not matter here. */
static void act(struct worker *worker)
{
	struct session *session = worker->session;
	const char *text = texts[(unsigned)rand_r(&worker->seed) % N_TEXTS];
	const char *name = pick(worker);
	size_t len;

	switch (rand_r(&worker->seed) % 12) {
	case 0: (void)session_unlink(session, name); break;
	case 1: (void)session_rename(session, name, pick(worker)); break;
	case 2: (void)session_patch(session, name, 4, "abcd", 4); break;
	case 3: (void)session_truncate(session, name, 12); break;
	case 4: (void)session_mkdir(session, "layers/c"); break;
	case 5: (void)session_rmdir(session, "layers/c"); break;
	case 6: list(session, "layers/a"); break;
	case 7: list(session, ""); break;
	case 8: (void)session_sync(session); break;
	case 9: free(session_read(session, name, &len)); break;
	default: (void)session_puts(session, name, text);
	}
	worker->done++;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	time_t end = time(NULL) + SECONDS;

	while (time(NULL) < end)
		act(worker);
	return NULL;
}

static void storm(bool at_unmount, unsigned seed)
{
	struct session s = {.options.commit_at_unmount = at_unmount};
	struct worker workers[THREADS] = {0};
	AUTO_TEXT log = {0};

	if (!session_begin(&s, at_unmount ? "storm_unmount" : "storm"))
		return;
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].session = &s;
		workers[i].seed = seed + i;
		CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		CHECK(pthread_join(workers[i].thread, NULL) == 0 && workers[i].done > 0);
	(void)fs_refusals(s.fs, &log);
	if (log.len > 0 && strstr(log.bytes, "internal") != NULL)
		unit_fail("%s", strstr(log.bytes, "internal") - 100 > log.bytes
					? strstr(log.bytes, "internal") - 100
					: log.bytes);
	(void)session_end(&s);
	if (session_mount(&s))
		CHECK_INT(session_end(&s), 0);
}

int main(int argc, char **argv)
{
	unsigned seed = argc > 1 ? (unsigned)atoi(argv[1]) : 1;

	unit_begin("any mixture of requests at once leaves a container that is a model");
	storm(false, seed);
	unit_begin("the same with commit=unmount");
	storm(true, seed + 100);
	return unit_end();
}
