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
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE 25 /* times that a guardian is asked, 20 ms apart */

/* The absolute path of a mount point, without asking the file system that is mounted
 * there, which may be dead: only its folder is resolved. NULL with errno. */
static char *resolve(const char *path)
{
	char *copy = strdup(path);
	size_t len = copy ? strlen(copy) : 0;
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';

	char *slash = copy ? strrchr(copy, '/') : NULL;
	const char *last = slash ? slash + 1 : copy;
	if (!copy || !*last || !strcmp(last, ".") || !strcmp(last, "..")) {
		free(copy);
		return realpath(path, NULL);
	}
	if (slash)
		*slash = '\0';
	char *folder = realpath(!slash ? "." : *copy ? copy : "/", NULL);
	char *out = NULL;
	if (folder &&
		asprintf(&out, "%s/%s", strcmp(folder, "/") ? folder : "", last) < 0)
		out = NULL;
	free(folder);
	free(copy);
	return out;
}

/* Follows a symbolic link to the mount point, if it is one. */
static char *find_mount(const char *path, struct mounted *mounted)
{
	char *at = resolve(path);
	if (at && mountpoint_mounted(at, mounted))
		return at;
	free(at);
	at = realpath(path, NULL);
	if (at && mountpoint_mounted(at, mounted))
		return at;
	free(at);
	return NULL;
}

/* Without a guardian to ask: commits through the mount, then unmounts. */
static int unmount_alone(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
	return code ? EXIT_FAILED : EXIT_OK;
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
	char *path = find_mount(options->model, &mounted);
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
	free(path);
	if (!log) {
		say("%s: no model is mounted there", options->model);
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
	say_text(stdout, options->model, strlen(options->model));
	printf(": %s\n", text);
	return EXIT_OK;
}
