/*
 * notify: two queues and their threads (why two: notify.h).
 */
#include "fs/notify.h"
#include "fs/fs.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct notice *notice_new(
	fs_ino ino, const char *name, struct fs_done *done, int result)
{
	size_t len = name != NULL ? strlen(name) : 0;
	struct notice *notice = malloc(sizeof *notice + len + 1);

	if (notice == NULL)
		return NULL;
	*notice = (struct notice){.ino = ino, .done = done, .result = result};
	memcpy(notice->name, name != NULL ? name : "", len + 1);
	return notice;
}

/* Takes the notice; false where the queue does not run (any more). */
static bool queue_put(struct notice_queue *queue, struct notice *notice)
{
	bool running;

	pthread_mutex_lock(&queue->lock);
	running = queue->running && !queue->stop;
	if (running) {
		*queue->last = notice;
		queue->last = &notice->next;
		pthread_cond_broadcast(&queue->changed);
	}
	pthread_mutex_unlock(&queue->lock);
	if (!running)
		free(notice);
	return running;
}

static void notice_do(struct notifier *notifier, struct notice *notice)
{
	const struct fs_notify *notify = &notifier->notify;

	if (notice->done != NULL) {
		notice->done->fn(notice->done, notice->result);
		return;
	}
	/* Shared: one thread may be stuck in the kernel while the other goes on. */
	pthread_rwlock_rdlock(&notifier->lock);
	if (notice->name[0] != '\0' && notify->entry != NULL)
		notify->entry(notify->arg, notice->ino, notice->name);
	if (notice->name[0] == '\0' && notify->inode != NULL)
		notify->inode(notify->arg, notice->ino);
	pthread_rwlock_unlock(&notifier->lock);
}

static void *queue_run(void *arg)
{
	struct notice_queue *queue = arg;
	struct notice *notice;

	pthread_mutex_lock(&queue->lock);
	while (queue->first != NULL || !queue->stop) {
		notice = queue->first;
		if (notice == NULL) {
			pthread_cond_wait(&queue->changed, &queue->lock);
			continue;
		}
		queue->first = notice->next;
		if (queue->first == NULL)
			queue->last = &queue->first;
		queue->busy = true;
		pthread_mutex_unlock(&queue->lock);
		notice_do(queue->notifier, notice);
		free(notice);
		pthread_mutex_lock(&queue->lock);
		queue->busy = false;
		pthread_cond_broadcast(&queue->changed);
	}
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

static int queue_start(struct notice_queue *queue, struct notifier *notifier)
{
	*queue = (struct notice_queue){.notifier = notifier};
	queue->last = &queue->first;
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->changed, NULL);
	queue->running = pthread_create(&queue->thread, NULL, queue_run, queue) == 0;
	return queue->running ? 0 : -ENOMEM;
}

static void queue_stop(struct notice_queue *queue)
{
	if (!queue->running)
		return;
	pthread_mutex_lock(&queue->lock);
	queue->stop = true;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
	pthread_join(queue->thread, NULL);
	queue->running = false;
}

static void queue_wait(struct notice_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	while (queue->running && (queue->first != NULL || queue->busy))
		pthread_cond_wait(&queue->changed, &queue->lock);
	pthread_mutex_unlock(&queue->lock);
}

int notifier_start(struct notifier *notifier)
{
	int rc;

	pthread_rwlock_init(&notifier->lock, NULL);
	rc = queue_start(&notifier->inodes, notifier);
	if (rc == 0)
		rc = queue_start(&notifier->entries, notifier);
	return rc;
}

void notifier_stop(struct notifier *notifier)
{
	queue_stop(&notifier->inodes);
	queue_stop(&notifier->entries);
}

void notifier_set(struct notifier *notifier, const struct fs_notify *notify)
{
	pthread_rwlock_wrlock(&notifier->lock);
	notifier->notify = notify != NULL ? *notify : (struct fs_notify){0};
	pthread_rwlock_unlock(&notifier->lock);
}

void notify_inode(struct notifier *notifier, fs_ino ino)
{
	struct notice *notice = notice_new(ino, NULL, NULL, 0);

	if (notice != NULL)
		(void)queue_put(&notifier->inodes, notice);
}

void notify_entry(struct notifier *notifier, fs_ino parent, const char *name)
{
	struct notice *notice = notice_new(parent, name, NULL, 0);

	if (notice != NULL)
		(void)queue_put(&notifier->entries, notice);
}

void notify_done(struct notifier *notifier, struct fs_done *done, int result)
{
	struct notice *notice = done != NULL ? notice_new(0, NULL, done, result) : NULL;

	if (done != NULL && (notice == NULL || !queue_put(&notifier->inodes, notice)))
		done->fn(done, result);
}

void notify_wait(struct notifier *notifier)
{
	queue_wait(&notifier->inodes);
	queue_wait(&notifier->entries);
}
