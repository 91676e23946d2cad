/*
 * contained: a command that only reads runs in a child.
 *
 * libhdf5 trusts what a file says, and there is always one more damaged file that it
 * stumbles over. What happens then happens to the child, and the user reads a line.
 */
#include "mount/commands.h"
#include "mount/options.h"
#include "mount/say.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_crash(int number)
{
	return number == SIGSEGV || number == SIGBUS || number == SIGABRT ||
	       number == SIGFPE || number == SIGILL || number == SIGSYS;
}

/* Ends as the child did: who waits for this process learns the same. */
static int end_as(int number)
{
	signal(number, SIG_DFL);
	raise(number);
	return EXIT_FAILED;
}

int command_contained(
	int (*command)(const struct options *options), const struct options *options)
{
	int status;

	fflush(stdout);
	pid_t parent = getpid(), child = fork();
	if (child < 0)
		return command(options);
	if (child == 0) {
		/* Nobody reads what it prints once the parent is gone. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
			_exit(options_failed(options));
		closefrom(STDERR_FILENO + 1);
		return command(options);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return options_failed(options);
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	if (!is_crash(WTERMSIG(status)))
		return end_as(WTERMSIG(status));
	say("%s: reading it ended with signal %d: the file is damaged", options->model,
		WTERMSIG(status));
	return options_failed(options);
}
