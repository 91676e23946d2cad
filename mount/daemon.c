/*
 * daemon: a session from opening the model to the verdict on its last commit.
 *
 * All signals are blocked in all threads. One control thread waits for SIGTERM and
 * SIGINT (asking the guardian to unmount) and for the guardian's END; it ends libfuse's
 * loop, whose main thread sleeps in a semaphore, by interrupting it with SIGUSR1.
 */
#include "mount/daemon.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "fs/confine.h"
#include "fs/fs.h"
#include "mount/channel.h"
#include "mount/options.h"
#include "mount/sandbox.h"
#include "mount/session.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define WORKERS 4 /* the winner of the measurements on two and more cores */

struct daemon {
	const struct options *options;
	const char *mountpoint;
	int guardian;
	struct fs *fs;
	struct handlers handlers;
	struct fuse_session *session;
	pthread_t main_thread, control;
	int signals; /* signalfd */
	int null;    /* /dev/null */
	bool over;   /* atomic: the loop has ended */
};

static void wake_nothing(int signal)
{
	(void)signal;
}

/* Blocks everything; SIGTERM and SIGINT arrive through a descriptor. */
static int block_signals(struct daemon *daemon)
{
	sigset_t all, ours;
	struct sigaction wake = {.sa_handler = wake_nothing};

	sigfillset(&all);
	sigemptyset(&ours);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGINT);
	if (sigprocmask(SIG_SETMASK, &all, NULL) || sigaction(SIGUSR1, &wake, NULL))
		return -errno;
	daemon->signals = signalfd(-1, &ours, SFD_CLOEXEC);
	return daemon->signals < 0 ? -errno : 0;
}

/* Ends the loop. The signal may come before the main thread sleeps: it is repeated. */
static void end_loop(struct daemon *daemon)
{
	fuse_session_exit(daemon->session);
	while (!__atomic_load_n(&daemon->over, __ATOMIC_ACQUIRE)) {
		pthread_kill(daemon->main_thread, SIGUSR1);
		usleep(20000);
	}
}

static void *control_run(void *arg)
{
	struct daemon *daemon = arg;
	struct pollfd fds[] = {{.fd = daemon->signals, .events = POLLIN},
		{.fd = daemon->guardian, .events = POLLIN}};
	struct signalfd_siginfo info;
	struct message message;

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[0].revents && read(fds[0].fd, &info, sizeof(info)) > 0 &&
			channel_send(daemon->guardian, MESSAGE_UNMOUNT, 0, NULL))
			end_loop(daemon); /* no guardian is left to unmount */
		if (!fds[1].revents)
			continue;
		if (channel_receive(daemon->guardian, &message) > 0) {
			if (message.kind == MESSAGE_END)
				end_loop(daemon);
			continue;
		}
		fds[1].fd = -1; /* it has died: the mount goes on */
	}
}

/* The guardian mounts: this process may not any more. */
static int ask_to_mount(struct daemon *daemon, bool readonly, struct error *err)
{
	struct message message = {0};
	int connection = -1;
	int code = channel_send(daemon->guardian, MESSAGE_MOUNT, readonly, NULL);

	if (!code && channel_receive_passed(daemon->guardian, &message, &connection) <= 0)
		code = -EPIPE;
	if (code)
		return error_set(err, -code, "nobody is there to mount");
	if (message.kind == MESSAGE_END)
		return error_set(err, EINTR, "it was asked to end while it started");
	if (connection < 0)
		return error_set(
			err, message.code ? message.code : EPROTO, "%s", message.text);
	return connection;
}

static int open_session(struct daemon *daemon, struct error *err)
{
	bool readonly = fs_readonly(daemon->fs) != NULL;
	int code = handlers_init(&daemon->handlers, daemon->fs, readonly);
	int connection = -1;

	if (code)
		return error_set(err, -code, "%s", strerror(-code));
	connection = ask_to_mount(daemon, readonly, err);
	if (connection < 0)
		return connection;
	code = session_open(
		&daemon->session, daemon->options, &daemon->handlers, connection, err);
	if (code)
		return code;
	fs_set_mountpoint(daemon->fs, daemon->mountpoint);
	handlers_notify(&daemon->handlers, daemon->session);
	return 0;
}

/* What the user should know at once, a line each. */
static void say_ready(struct daemon *daemon)
{
	char text[MESSAGE_TEXT_MAX] = "";
	const char *why = fs_readonly(daemon->fs);

	if (why && !daemon->options->fs.readonly)
		snprintf(text, sizeof(text), "%s is mounted read-only: %s",
			daemon->options->model, why);
	else if (!why)
		snprintf(text, sizeof(text),
			"an edit that is refused is explained by "
			"weightfs --errors %s",
			daemon->mountpoint);
	/* Without a guardian nobody waits for it. */
	(void)channel_send(daemon->guardian, MESSAGE_READY, 0, text);
}

static int serve(struct daemon *daemon, struct error *err)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	if (!config || pthread_create(&daemon->control, NULL, control_run, daemon)) {
		if (config)
			fuse_loop_cfg_destroy(config);
		return error_set(err, ENOMEM, "cannot start a thread");
	}
	fuse_loop_cfg_set_max_threads(config, WORKERS);
	fuse_loop_cfg_set_idle_threads(config, WORKERS);
	fuse_loop_cfg_set_clone_fd(config, 0);

	sigset_t wake;
	sigemptyset(&wake);
	sigaddset(&wake, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
	int code = fuse_session_loop_mt(daemon->session, config);
	pthread_sigmask(SIG_BLOCK, &wake, NULL);
	__atomic_store_n(&daemon->over, true, __ATOMIC_RELEASE);
	pthread_cancel(daemon->control);
	pthread_join(daemon->control, NULL);
	fuse_loop_cfg_destroy(config);
	return code < 0 ? error_set(err, -code, "the kernel ended the session: %s",
				  strerror(-code))
			: 0;
}

static void go_to_background(const struct daemon *daemon)
{
	/* The guardian did the rest; only the terminal has to be let go. */
	if (chdir("/") || daemon->options->foreground)
		return;
	for (int fd = 0; daemon->null >= 0 && fd < 3; fd++)
		dup2(daemon->null, fd);
}

static int run_session(struct daemon *daemon, struct error *err)
{
	int code = open_session(daemon, err);
	if (code)
		return code;
	say_ready(daemon);
	go_to_background(daemon);

	struct error loop = {0};
	int loop_code = serve(daemon, &loop);
	handlers_notify(&daemon->handlers, NULL);
	code = fs_finish(daemon->fs, err);
	if (!code && loop_code) {
		code = loop_code;
		*err = loop;
	}
	return code;
}

int daemon_run(const struct options *options, const char *mountpoint, int guardian)
{
	struct error err = {0};
	struct confine confine = {.enter = sandbox_enter};
	struct fs_options how = options->fs;
	struct daemon daemon = {.options = options,
		.mountpoint = mountpoint,
		.guardian = guardian,
		.null = open("/dev/null", O_RDWR | O_CLOEXEC),
		.main_thread = pthread_self()};

	/* Replies of a megabyte come from the heap, not from fresh pages each. */
	mallopt(M_MMAP_THRESHOLD, 8 << 20);
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
	how.confine = &confine;
	int code = block_signals(&daemon);
	if (code)
		error_set(&err, -code, "%s", strerror(-code));
	else
		code = fs_open(&daemon.fs, options->model, &how, &err);
	if (!code)
		code = run_session(&daemon, &err);
	if (daemon.session)
		fuse_session_destroy(daemon.session);
	if (daemon.fs)
		handlers_done(&daemon.handlers);
	fs_free(&daemon.fs);
	/* A guardian that has died cannot be told; the log has it. */
	(void)channel_send(guardian, MESSAGE_VERDICT, -code, err.text);
	return code ? EXIT_FAILED : EXIT_OK;
}
