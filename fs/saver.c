/*
 * saver: a queue, and the thread that also commits what was deferred and looks at the
 * container when somebody else writes it.
 */
#include "fs/saver.h"
#include "fs/commits.h"
#include "fs/container.h"
#include "fs/fs_private.h"
#include "fs/pending.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ull
#define QUIET SECOND		 /* after the last removal or renaming */
#define LOOK_EVERY (SECOND / 20) /* at most, where that is in vain */
#define LOOK_WAITS_MS 500	 /* that a read waits for the new content */
#define LOOK_WITHOUT_WATCH_MS 1000

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static void wake(struct saver *saver)
{
	uint64_t one = 1;

	/* It fails only when the counter is full, and then the saver wakes anyway. */
	(void)!write(saver->wake, &one, sizeof one);
}

static void pin(struct fs *fs, struct inode *inode)
{
	if (inode == NULL)
		return;
	pthread_mutex_lock(&fs->table_lock);
	inode->pins++;
	pthread_mutex_unlock(&fs->table_lock);
}

static void unpin(struct fs *fs, struct inode *inode)
{
	if (inode == NULL)
		return;
	pthread_mutex_lock(&fs->table_lock);
	inode->pins--;
	pthread_mutex_unlock(&fs->table_lock);
	inode_drop(fs, inode);
}

static void put_job(struct saver *saver, struct job *job)
{
	pthread_mutex_lock(&saver->lock);
	*saver->last = job;
	saver->last = &job->next;
	pthread_mutex_unlock(&saver->lock);
	wake(saver);
}

static void job_free(struct job *job)
{
	free(job->name);
	free(job->other_name);
	free(job);
}

int saver_ask(struct fs *fs, const struct job *job)
{
	struct job *copy = malloc(sizeof *copy);

	if (copy == NULL) {
		free(job->name);
		free(job->other_name);
		return -ENOMEM;
	}
	*copy = *job;
	copy->next = NULL;
	pin(fs, copy->inode);
	pin(fs, copy->other);
	put_job(&fs->saver, copy);
	return 0;
}

/* Who waits for a job in place of a struct fs_done. */
struct waiting {
	struct fs_done done;
	struct saver *saver;
	bool there;
	int result;
};

static void answer_waiting(struct fs_done *done, int result)
{
	struct waiting *waiting = (struct waiting *)done;
	struct saver *saver = waiting->saver;

	pthread_mutex_lock(&saver->lock);
	waiting->result = result;
	waiting->there = true;
	pthread_cond_broadcast(&saver->done);
	pthread_mutex_unlock(&saver->lock);
}

int saver_wait(struct fs *fs, int (*run)(struct fs *fs, struct job *job), void *arg)
{
	struct saver *saver = &fs->saver;
	struct waiting waiting = {.done.fn = answer_waiting, .saver = saver};
	int rc = saver_ask(fs,
		&(struct job){
			.run = run, .arg = arg, .done = &waiting.done, .direct = true});

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&saver->lock);
	while (!waiting.there)
		pthread_cond_wait(&saver->done, &saver->lock);
	pthread_mutex_unlock(&saver->lock);
	return waiting.result;
}

void saver_defer(struct fs *fs)
{
	__atomic_store_n(&fs->saver.quiet_at, now_ns() + QUIET, __ATOMIC_RELAXED);
	wake(&fs->saver);
}

/* Looking at the container. */

/* Every look has a number: who asked for it, or came while it was under way, waits for
 * that. In the saver. */
static void look(struct fs *fs, bool asked)
{
	struct saver *saver = &fs->saver;
	uint64_t number;

	pthread_mutex_lock(&saver->lock);
	saver->looks += !asked;
	number = saver->looks;
	pthread_mutex_unlock(&saver->lock);
	commits_look(fs);
	pthread_mutex_lock(&saver->lock);
	saver->looks_done = number;
	pthread_cond_broadcast(&saver->done);
	pthread_mutex_unlock(&saver->lock);
}

static int run_look(struct fs *fs, struct job *job)
{
	(void)job;
	look(fs, true);
	return 0;
}

static bool is_looking(struct saver *saver)
{
	bool looking;

	pthread_mutex_lock(&saver->lock);
	looking = saver->looks != saver->looks_done;
	pthread_mutex_unlock(&saver->lock);
	return looking;
}

static void wait_for_look(struct saver *saver, uint64_t number)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LOOK_WAITS_MS * 1000000L;
	if (until.tv_nsec >= (long)SECOND) {
		until.tv_nsec -= (long)SECOND;
		until.tv_sec++;
	}
	pthread_mutex_lock(&saver->lock);
	while (saver->looks_done < number &&
		pthread_cond_timedwait(&saver->done, &saver->lock, &until) == 0)
		;
	pthread_mutex_unlock(&saver->lock);
}

/* Asks for a look, unless one is asked for or under way, and waits a moment for it. */
static void ask_for_look(struct fs *fs)
{
	struct saver *saver = &fs->saver;
	uint64_t number;
	bool ask;
	int rc = 0;

	pthread_mutex_lock(&saver->lock);
	ask = saver->looks == saver->looks_done;
	number = saver->looks += ask;
	pthread_mutex_unlock(&saver->lock);
	if (ask) {
		fs_share(fs);
		rc = saver_ask(fs, &(struct job){.run = run_look});
		fs_unlock(fs);
	}
	if (rc == 0) {
		wait_for_look(saver, number);
		return;
	}
	pthread_mutex_lock(&saver->lock); /* nobody will look */
	saver->looks_done = saver->looks;
	pthread_mutex_unlock(&saver->lock);
}

void saver_look(struct fs *fs)
{
	struct saver *saver = &fs->saver;
	uint64_t now;

	if (is_looking(saver)) {
		ask_for_look(fs);
		return;
	}
	if (__atomic_load_n(&fs->lost, __ATOMIC_RELAXED) ||
		container_changed(fs->container, NULL) != 1)
		return;
	/* With edits pending it stays so: not every reader has to wait. */
	now = now_ns();
	if (now - __atomic_load_n(&saver->looked_at, __ATOMIC_RELAXED) < LOOK_EVERY)
		return;
	ask_for_look(fs);
	if (container_changed(fs->container, NULL) == 1)
		__atomic_store_n(&saver->looked_at, now_ns(), __ATOMIC_RELAXED);
}

/* The thread. */

static struct job *take_job(struct saver *saver)
{
	struct job *job;

	pthread_mutex_lock(&saver->lock);
	job = saver->first;
	if (job != NULL)
		saver->first = job->next;
	if (saver->first == NULL)
		saver->last = &saver->first;
	pthread_mutex_unlock(&saver->lock);
	return job;
}

static void do_job(struct fs *fs, struct job *job)
{
	int result = job->run(fs, job);

	fs_own(fs);
	unpin(fs, job->inode);
	unpin(fs, job->other);
	fs_unlock(fs);
	/* Nothing may be pending any more that kept somebody else's change from view: who
	 * is answered sees it. */
	if (result == -ESTALE)
		look(fs, false);
	if (job->done != NULL && job->direct)
		job->done->fn(job->done, result);
	else
		notify_done(&fs->notifier, job->done, result);
	job_free(job);
}

/* Milliseconds until something is to be done without being asked; -1: never. */
static int time_left(const struct fs *fs)
{
	uint64_t at = __atomic_load_n(&fs->saver.quiet_at, __ATOMIC_RELAXED);
	uint64_t now = now_ns();
	int watch = container_watch(fs->container) < 0 ? LOOK_WITHOUT_WATCH_MS : -1;
	int left;

	if (at == 0)
		return watch;
	left = at > now ? (int)((at - now) / 1000000) + 1 : 0;
	return watch >= 0 && watch < left ? watch : left;
}

static void sleep_until_asked(struct fs *fs)
{
	int watch = container_watch(fs->container);
	struct pollfd fds[] = {{.fd = fs->saver.wake, .events = POLLIN},
		{.fd = watch, .events = POLLIN}};
	uint64_t count;
	int n = poll(fds, 2, time_left(fs));

	if (n < 0)
		return;
	if (fds[0].revents != 0)
		(void)!read(fs->saver.wake, &count, sizeof count); /* only a bell */
	if (fds[1].revents != 0)
		container_watched(fs->container);
	if (fds[1].revents != 0 || (n == 0 && watch < 0))
		look(fs, false);
}

static void when_quiet(struct fs *fs)
{
	uint64_t at = __atomic_load_n(&fs->saver.quiet_at, __ATOMIC_RELAXED);

	if (at == 0 || now_ns() < at)
		return;
	__atomic_store_n(&fs->saver.quiet_at, 0, __ATOMIC_RELAXED);
	pending_quiet(fs);
}

static void *saver_run(void *arg)
{
	struct fs *fs = arg;
	struct job *job;

	/* For who looks at the process; no harm where it cannot be said. */
	(void)prctl(PR_SET_NAME, "weightfs-commit");
	for (;;) {
		job = take_job(&fs->saver);
		if (job != NULL) {
			do_job(fs, job);
			continue;
		}
		if (__atomic_load_n(&fs->saver.stop, __ATOMIC_ACQUIRE))
			return NULL;
		when_quiet(fs);
		sleep_until_asked(fs);
	}
}

int saver_start(struct fs *fs)
{
	struct saver *saver = &fs->saver;
	pthread_condattr_t clock;

	saver->last = &saver->first;
	saver->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (saver->wake < 0)
		return -errno;
	pthread_mutex_init(&saver->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&saver->done, &clock);
	pthread_condattr_destroy(&clock);
	saver->running = pthread_create(&saver->thread, NULL, saver_run, fs) == 0;
	return saver->running ? 0 : -EAGAIN;
}

void saver_stop(struct fs *fs)
{
	struct saver *saver = &fs->saver;

	if (saver->running) {
		__atomic_store_n(&saver->stop, true, __ATOMIC_RELEASE);
		wake(saver);
		pthread_join(saver->thread, NULL);
		saver->running = false;
	}
	if (saver->wake >= 0)
		close(saver->wake);
	saver->wake = -1;
}
