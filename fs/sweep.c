/*
 * sweep: threads that take the next piece of the tensors that are open, else open the
 * next tensor.
 *
 * There is a slot for each thread. A thread that finds no piece to do has nothing under
 * way, so at most as many slots as there are other threads are taken, and one is free for
 * the tensor that it opens.
 */
#include "fs/sweep.h"
#include "decoders/base/error.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define THREADS_MAX 64
#define ALONE (4u << 20) /* bytes for which no other thread is started */
#define PROGRESS_NS 100000000

struct slot {
	bool taken;
	size_t i;
	struct sweep_span span;
	uint64_t next;	  /* where the next piece begins */
	unsigned running; /* pieces under way */
};

struct team {
	const struct sweep *sweep;
	pthread_mutex_t lock;
	pthread_cond_t over; /* a thread has ended */
	unsigned n_slots, threads, ended;
	size_t next; /* the first tensor that nobody has opened */
	uint64_t done;
	struct slot slots[THREADS_MAX];
};

/* A slot with a piece to do, or a free one; with the lock held. */
static struct slot *find(struct team *team, bool taken)
{
	for (unsigned i = 0; i < team->n_slots; i++) {
		struct slot *slot = &team->slots[i];
		if (slot->taken == taken && (!taken || slot->next < slot->span.length))
			return slot;
	}
	return NULL;
}

/* The lock is held when these are called and when they return, and not while work is
 * done. */
static void open_next(struct team *team)
{
	struct slot *slot = find(team, false);

	*slot = (struct slot){.taken = true, .i = team->next++};
	pthread_mutex_unlock(&team->lock);
	struct sweep_span span = team->sweep->open(team->sweep->arg, slot->i);
	pthread_mutex_lock(&team->lock);
	slot->span = span;
	slot->taken = span.length > 0;
}

static void do_piece(struct team *team, struct slot *slot, void *room)
{
	const struct sweep *sweep = team->sweep;
	uint64_t off = slot->next, left = slot->span.length - off;
	uint64_t length = left < slot->span.piece ? left : slot->span.piece;

	slot->next += length;
	slot->running++;
	pthread_mutex_unlock(&team->lock);
	uint64_t worth = sweep->piece(sweep->arg, slot->i, off, length, room);
	pthread_mutex_lock(&team->lock);
	team->done += worth;
	if (--slot->running > 0 || slot->next < slot->span.length)
		return;
	pthread_mutex_unlock(&team->lock);
	sweep->close(sweep->arg, slot->i);
	pthread_mutex_lock(&team->lock);
	slot->taken = false;
}

static void work(struct team *team, void *room)
{
	pthread_mutex_lock(&team->lock);
	for (;;) {
		struct slot *slot = find(team, true);
		if (slot)
			do_piece(team, slot, room);
		else if (team->next < team->sweep->n)
			open_next(team);
		else
			break;
	}
	team->ended++;
	pthread_cond_signal(&team->over);
	pthread_mutex_unlock(&team->lock);
}

struct worker {
	struct team *team;
	pthread_t thread;
	void *room;
};

static void *worker_main(void *arg)
{
	struct worker *worker = arg;

	work(worker->team, worker->room);
	return NULL;
}

static unsigned processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set) < 0)
		return 1;
	int n = CPU_COUNT(&set);
	return n < THREADS_MAX ? (unsigned)n : THREADS_MAX;
}

/* Shows how far it is until all threads have ended. */
static void wait_for(struct team *team)
{
	const struct sweep *sweep = team->sweep;
	struct timespec until;

	pthread_mutex_lock(&team->lock);
	while (team->ended < team->threads) {
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += PROGRESS_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&team->over, &team->lock, &until);
		uint64_t done = team->done;
		pthread_mutex_unlock(&team->lock);
		if (sweep->progress)
			sweep->progress(sweep->progress_arg, done, sweep->total);
		pthread_mutex_lock(&team->lock);
	}
	pthread_mutex_unlock(&team->lock);
}

/* The memory of each thread; as many as there is memory for, one at least. */
static unsigned get_rooms(struct worker *workers, unsigned wanted, size_t room)
{
	unsigned n = 0;

	while (n < wanted && !posix_memalign(&workers[n].room, 64, room))
		n++;
	return n;
}

int sweep_run(const struct sweep *sweep, struct error *err)
{
	struct worker workers[THREADS_MAX] = {0};
	struct team team = {.sweep = sweep,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.over = PTHREAD_COND_INITIALIZER};
	unsigned wanted = sweep->total < ALONE ? 1 : processors();

	team.n_slots = get_rooms(workers, wanted, sweep->room);
	if (team.n_slots == 0)
		return error_set(err, ENOMEM, "not enough memory to read tensors");
	while (team.threads < team.n_slots && team.n_slots > 1) {
		struct worker *worker = &workers[team.threads];
		worker->team = &team;
		if (pthread_create(&worker->thread, NULL, worker_main, worker))
			break;
		team.threads++;
	}
	if (team.threads == 0)
		work(&team, workers[0].room);
	wait_for(&team);
	for (unsigned i = 0; i < team.threads; i++)
		pthread_join(workers[i].thread, NULL);
	for (unsigned i = 0; i < team.n_slots; i++)
		free(workers[i].room);
	return 0;
}
