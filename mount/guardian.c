/*
 * guardian: keeps a mount point from outliving its daemon.
 *
 * It has no threads, no model and no sandbox: it mounts when the daemon has read the
 * model, then waits for three things and answers them. A wish to unmount (SIGTERM, the
 * daemon's UNMOUNT, `weightfs --unmount`) is tried politely; where the mount is busy a
 * client is told so, a signal unmounts lazily and tells the daemon to END. The daemon's
 * VERDICT goes to all clients that wait, else to the log. When the daemon is gone,
 * however it went, a mount that is still there is unmounted lazily and the folder that
 * was made for it removed.
 *
 * A daemon that dies may not go: while one of its threads tells the kernel of a name that
 * changed, the kernel waits for a lock whose holder waits for the daemon's answer. Nobody
 * is told of such a death, so the guardian looks for it, and aborts the connection.
 */
#include "mount/guardian.h"
#include "decoders/base/error.h"
#include "mount/channel.h"
#include "mount/daemon.h"
#include "mount/mountpoint.h"
#include "mount/options.h"
#include "mount/say.h"
#include "mount/session.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#define CLIENTS_MAX 16
#define RELISTEN_MS 50
#define READ_AHEAD_KB "1024"
#define LOOK_MS 1000

struct guardian {
	const struct options *options;
	struct mountpoint mountpoint;
	pid_t daemon;
	int channel;  /* to the daemon */
	int launcher; /* -1 in the foreground, and once it has its answer */
	int signals, listener;
	int clients[CLIENTS_MAX]; /* who wait for the verdict */
	unsigned n_clients;
	bool mounted, ready, unmounted;
	struct message verdict;
};

/* The mount's device number, by which clients find us, is another's from now on. */
static void stop_listening(struct guardian *guardian)
{
	guardian->unmounted = true;
	if (guardian->listener >= 0)
		close(guardian->listener);
	guardian->listener = -1;
}

static int unmount(struct guardian *guardian, bool lazy)
{
	int code = mountpoint_unmount(guardian->mountpoint.path, lazy);
	if (!code)
		stop_listening(guardian);
	return code;
}

static void unmount_lazily(struct guardian *guardian)
{
	struct mounted mounted;
	if (!guardian->unmounted &&
		mountpoint_mounted(guardian->mountpoint.path, &mounted))
		(void)unmount(guardian, true);
}

/* Somebody who cannot be asked back wants it to end. */
static void insist(struct guardian *guardian)
{
	if (guardian->ready && !guardian->unmounted && unmount(guardian, false))
		unmount_lazily(guardian);
	/* A daemon that is ending by itself no longer listens. */
	(void)channel_send(guardian->channel, MESSAGE_END, 0, NULL);
}

static void drop_client(int client, int code, const char *text)
{
	/* Who asked may have gone meanwhile. */
	(void)channel_send(client, MESSAGE_VERDICT, code, text);
	close(client);
}

static void on_client(struct guardian *guardian)
{
	struct message message;
	struct mounted mounted = {0};
	int client = accept4(guardian->listener, NULL, NULL, SOCK_CLOEXEC);
	if (client < 0)
		return;

	struct timeval patience = {.tv_sec = 2};
	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	bool there = mountpoint_mounted(guardian->mountpoint.path, &mounted);
	if (!channel_trusted(client, mounted.owner) ||
		guardian->n_clients == CLIENTS_MAX ||
		channel_receive(client, &message) <= 0 ||
		message.kind != MESSAGE_UNMOUNT) {
		drop_client(client, EPERM, "not permitted to unmount this");
		return;
	}
	/* What is mounted with this device number now is another's: ask again. */
	if (!there) {
		(void)channel_send(client, MESSAGE_ANOTHER, 0, NULL);
		close(client);
		return;
	}
	int code = unmount(guardian, false);
	if (code) {
		drop_client(client, -code,
			code == -EBUSY
				? "busy: a process has a file or its working folder there"
				: strerror(-code));
		return;
	}
	guardian->clients[guardian->n_clients++] = client;
}

/* The guardian of an earlier mount with this device number may not yet have let it go:
 * then this is tried again. */
static void start_listening(struct guardian *guardian)
{
	struct mounted mounted;
	if (guardian->ready && !guardian->unmounted && guardian->listener < 0 &&
		mountpoint_mounted(guardian->mountpoint.path, &mounted))
		guardian->listener = channel_listen(mounted.device);
}

/* Root may let the kernel read further ahead, which doubles the speed of mmap. */
static void raise_read_ahead(const char *mountpoint)
{
	struct statx st;
	char path[64];
	/* Nobody serves requests yet: only what the kernel knows by itself is asked. */
	if (geteuid() || statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC, 0, &st))
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
		st.stx_dev_major, st.stx_dev_minor);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* No more than a wish: the mount is as right without. */
	(void)!write(fd, READ_AHEAD_KB, strlen(READ_AHEAD_KB));
	close(fd);
}

/* Once: what a daemon that has been taken over asks for again is refused. */
static void on_mount(struct guardian *guardian, bool readonly)
{
	struct error err = {0};
	const char *path = guardian->mountpoint.path;
	int connection = guardian->mounted
				 ? error_set(&err, EPERM, "it is mounted")
				 : session_mount(guardian->options, path, readonly, &err);

	if (connection >= 0) {
		guardian->mounted = true;
		raise_read_ahead(path);
	}
	/* A daemon that has died meanwhile is noticed by who waits for it. */
	(void)channel_send_passing(guardian->channel, MESSAGE_MOUNTED,
		connection < 0 ? -connection : 0, err.text, connection);
	if (connection >= 0)
		close(connection);
}

static void let_terminal_go(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

static void on_ready(struct guardian *guardian, const struct message *message)
{
	guardian->ready = true;
	start_listening(guardian);
	mountpoint_record(guardian->mountpoint.path, guardian->options->model);
	if (*message->text && guardian->options->foreground)
		say("%s", message->text);
	if (guardian->launcher < 0)
		return;
	(void)channel_send(guardian->launcher, MESSAGE_READY, 0, message->text);
	close(guardian->launcher);
	guardian->launcher = -1;
	let_terminal_go();
}

/* False when the daemon has closed its end: it is dead or dying. */
static bool on_daemon(struct guardian *guardian)
{
	struct message message;
	if (channel_receive(guardian->channel, &message) <= 0)
		return false;
	if (message.kind == MESSAGE_MOUNT)
		on_mount(guardian, message.code != 0);
	else if (message.kind == MESSAGE_READY)
		on_ready(guardian, &message);
	else if (message.kind == MESSAGE_UNMOUNT)
		insist(guardian);
	else if (message.kind == MESSAGE_VERDICT)
		guardian->verdict = message;
	return true;
}

/* Whether the daemon's main thread is dead, though others of it may not be. */
static bool is_dying(pid_t daemon)
{
	char path[32], stat[256] = "";
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)daemon);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	const char *state = fgets(stat, sizeof(stat), file) ? strrchr(stat, ')') : NULL;
	fclose(file);
	return state && !strncmp(state, ") Z", 3);
}

/* Ends the waiting of who waits for a dead daemon, and thereby of its last thread. */
static void look_at_daemon(struct guardian *guardian)
{
	if (!guardian->ready || guardian->unmounted || !is_dying(guardian->daemon))
		return;
	mountpoint_abort(guardian->mountpoint.path);
	stop_listening(guardian);
}

static void watch(struct guardian *guardian)
{
	struct signalfd_siginfo info;
	for (;;) {
		struct pollfd fds[] = {{.fd = guardian->channel, .events = POLLIN},
			{.fd = guardian->signals, .events = POLLIN},
			{.fd = guardian->listener, .events = POLLIN}};
		bool deaf =
			guardian->ready && !guardian->unmounted && guardian->listener < 0;
		if (poll(fds, 3, deaf ? RELISTEN_MS : LOOK_MS) < 0)
			continue;
		start_listening(guardian);
		look_at_daemon(guardian);
		if (fds[0].revents && !on_daemon(guardian))
			return;
		if (fds[1].revents && read(guardian->signals, &info, sizeof(info)) > 0)
			insist(guardian);
		if (fds[2].revents)
			on_client(guardian);
	}
}

/* Tells the verdict to whom it concerns: clients, the launcher, the terminal or the log.
 */
static void tell(struct guardian *guardian)
{
	const struct message *verdict = &guardian->verdict;
	char safe[MESSAGE_TEXT_MAX];

	for (unsigned i = 0; i < guardian->n_clients; i++)
		drop_client(guardian->clients[i], verdict->code, verdict->text);
	if (guardian->launcher >= 0) {
		(void)channel_send(guardian->launcher, MESSAGE_VERDICT, verdict->code,
			verdict->text);
	} else if (verdict->code) {
		error_escape(safe, sizeof(safe), verdict->text, strlen(verdict->text));
		if (guardian->options->foreground)
			say("%s", verdict->text);
		else if (!guardian->n_clients)
			syslog(LOG_ERR, "weightfs: %s", safe);
	}
}

static int finish(struct guardian *guardian)
{
	int status = 0;
	if (guardian->listener >= 0)
		close(guardian->listener);
	guardian->listener = -1;
	while (waitpid(guardian->daemon, &status, 0) < 0 && errno == EINTR)
		;
	if (guardian->verdict.kind != MESSAGE_VERDICT) {
		guardian->verdict =
			(struct message){.kind = MESSAGE_VERDICT, .code = EIO};
		snprintf(guardian->verdict.text, sizeof(guardian->verdict.text),
			"%s: the daemon died (%s %d); what was saved before is in the "
			"model",
			guardian->options->model,
			WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	unmount_lazily(guardian);
	if (guardian->ready)
		mountpoint_unrecord(guardian->mountpoint.path);
	mountpoint_remove(&guardian->mountpoint);
	tell(guardian);
	return guardian->verdict.code ? EXIT_FAILED : EXIT_OK;
}

/* SIGTERM, SIGINT and SIGHUP arrive through a descriptor, here and (until it
 * decides otherwise) in the daemon. */
static int take_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* What the caller of this program had open is nothing to it: but for the launcher. */
static void close_inherited(struct guardian *guardian)
{
	const int first = STDERR_FILENO + 1;
	int launcher = guardian->launcher;

	if (launcher > first && dup3(launcher, first, O_CLOEXEC) == first)
		guardian->launcher = first;
	if (launcher < 0 || guardian->launcher == first)
		closefrom(launcher < 0 ? first : first + 1);
}

static int guard(struct guardian *guardian)
{
	int ends[2];
	close_inherited(guardian);
	guardian->signals = take_signals();
	if (guardian->signals < 0 || channel_pair(ends)) {
		say("%s", strerror(errno));
		return EXIT_FAILED;
	}
	guardian->daemon = fork();
	if (!guardian->daemon) {
		close(ends[0]);
		close(guardian->signals);
		if (guardian->launcher >= 0)
			close(guardian->launcher);
		_exit(daemon_run(guardian->options, guardian->mountpoint.path, ends[1]));
	}
	close(ends[1]);
	guardian->channel = ends[0];
	if (guardian->daemon < 0)
		snprintf(guardian->verdict.text, sizeof(guardian->verdict.text), "%s",
			strerror(errno));
	else
		watch(guardian);
	return finish(guardian);
}

/* The launcher's part: waits for what the guardian says. */
static int await(int channel)
{
	struct message message;
	if (channel_receive(channel, &message) <= 0) {
		say("the daemon did not start");
		return EXIT_FAILED;
	}
	if (message.kind == MESSAGE_READY) {
		if (*message.text)
			say("%s", message.text);
		return EXIT_OK;
	}
	say("%s", message.text);
	return EXIT_FAILED;
}

static int start_in_background(struct guardian *guardian)
{
	int ends[2];
	if (channel_pair(ends)) {
		say("%s", strerror(errno));
		return EXIT_FAILED;
	}
	pid_t pid = fork();
	if (pid < 0) {
		say("%s", strerror(errno));
		return EXIT_FAILED;
	}
	if (!pid) {
		close(ends[0]);
		setsid();
		guardian->launcher = ends[1];
		_exit(guard(guardian));
	}
	close(ends[1]);
	return await(ends[0]);
}

/* As it is for programs. */
static void print_path(const char *path)
{
	if (isatty(STDOUT_FILENO))
		say_text(stdout, path, strlen(path));
	else
		fputs(path, stdout);
	putchar('\n');
}

int guardian_start(const struct options *options)
{
	struct error err = {0};
	struct guardian guardian = {.options = options, .launcher = -1, .listener = -1};
	int code = mountpoint_take(&guardian.mountpoint, options->operand, options->model,
		options->fs.readonly, &err);
	if (code) {
		say("%s", err.text);
		return EXIT_FAILED;
	}
	if (options->foreground)
		code = guard(&guardian);
	else
		code = start_in_background(&guardian);
	if (code == EXIT_OK && !options->operand && !options->foreground)
		print_path(guardian.mountpoint.path);
	mountpoint_done(&guardian.mountpoint);
	return code;
}
