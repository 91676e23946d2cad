/*
 * unmount: what is said to a mount from outside: --unmount, --errors; and
 * --recover, which needs none.
 */
#include "decoders/base/error.h"
#include "fs/confine.h"
#include "fs/container.h"
#include "mount/channel.h"
#include "mount/commands.h"
#include "mount/mountpoint.h"
#include "mount/options.h"
#include "mount/sandbox.h"
#include "mount/say.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE 25 /* times that a guardian is asked, 20 ms apart */

/* Without a guardian to ask: commits through the mount, then unmounts. */
static int unmount_alone(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool dead = fd < 0 && errno == ENOTCONN;
	int code = 0;
	if (fd >= 0) {
		code = fsync(fd) ? -errno : 0;
		close(fd);
	}
	if (code) {
		say("%s: %s; weightfs --errors %s says more", path, strerror(-code),
			path);
		return EXIT_FAILED;
	}
	code = mountpoint_unmount(path, fd < 0);
	if (code)
		say("%s: %s", path, strerror(-code));
	else if (dead)
		say("%s: %s", path, MOUNTPOINT_DEAD);
	return code || dead ? EXIT_FAILED : EXIT_OK;
}

/* 0 and its verdict; a negative errno when it cannot be asked (-ESTALE: it is that of an
 * earlier mount). */
static int ask_guardian(const struct mounted *mounted, struct message *verdict)
{
	int guardian = channel_connect(mounted->device);
	if (guardian < 0)
		return guardian;
	int code = channel_trusted(guardian, mounted->owner) ? 0 : -EPERM;
	if (!code)
		code = channel_send(guardian, MESSAGE_UNMOUNT, 0, NULL);
	if (!code && channel_receive(guardian, verdict) <= 0)
		code = -EPIPE;
	if (!code && verdict->kind == MESSAGE_ANOTHER)
		code = -ESTALE;
	close(guardian);
	return code;
}

/* Asks until somebody answers: guardians of earlier mounts go away by themselves. */
static int ask(const char *path, struct mounted *mounted, struct message *verdict)
{
	int code = -ESTALE;
	for (int i = 0; code && i < PATIENCE && mountpoint_mounted(path, mounted); i++) {
		if (i)
			usleep(20000);
		code = ask_guardian(mounted, verdict);
	}
	return code;
}

int command_unmount(const struct options *options)
{
	struct mounted mounted;
	char *path = mountpoint_find(options->model, &mounted);
	if (!path) {
		say("%s: no model is mounted there", options->model);
		return EXIT_FAILED;
	}
	struct message verdict;
	int code;
	if (ask(path, &mounted, &verdict)) {
		code = unmount_alone(path);
	} else {
		code = verdict.code ? EXIT_FAILED : EXIT_OK;
		if (verdict.code)
			say("%s: %s", path, verdict.text);
	}
	free(path);
	return code;
}

int command_errors(const struct options *options)
{
	char *line = NULL, *path = NULL;
	size_t size = 0;
	ssize_t n;

	if (asprintf(&path, "%s/.weightfs/errors.log", options->model) < 0)
		return EXIT_FAILED;
	FILE *log = fopen(path, "re");
	free(path); /* which leaves errno alone */
	if (!log) {
		say("%s: %s", options->model,
			errno == ENOTCONN ? MOUNTPOINT_DEAD
					  : "no model is mounted there");
		return EXIT_FAILED;
	}
	/* Any folder may have a file of this name. */
	while ((n = getline(&line, &size, log)) > 0)
		say_text(stdout, line, (size_t)n);
	free(line);
	int code = ferror(log) ? EXIT_FAILED : EXIT_OK;
	fclose(log);
	return code;
}

int command_recover(const struct options *options)
{
	char text[ERROR_TEXT_MAX];
	struct error err = {0};
	struct confine confine = {.enter = sandbox_enter};
	struct container_options how = {
		.journal_dir = options->fs.journal_dir, .confine = &confine};
	int code = container_recover(options->model, &how, text, sizeof(text), &err);
	if (code) {
		say("%s", err.text);
		return EXIT_FAILED;
	}
	char name[ERROR_TEXT_MAX];
	(void)error_escape(name, sizeof(name), options->model, strlen(options->model));
	printf("%s: %s\n", name, text);
	return EXIT_OK;
}
