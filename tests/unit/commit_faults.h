/*
 * commit_faults: commits and recoveries that are killed before any of their system
 * calls, or in which one of these fails. A test program names the kinds of edits.
 *
 * The commit runs in a child that is traced, which stops before each call. Nothing in
 * the code under test knows about it.
 */
#ifndef WEIGHTFS_TESTS_COMMIT_FAULTS_H
#define WEIGHTFS_TESTS_COMMIT_FAULTS_H

#include "decoders/base/error.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "fs/container.h"
#include "tests/unit/folder.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE_MAX_TESTED 200000
#define OLD_SIZE 100000
#define HOLE 1024
/* Kills and failures of one edit; it makes about a tenth of these calls. */
#define CALLS_MAX 1000

/* One kind of edit. */
struct kind {
	const char *name;
	enum commit_mode mode;
	bool two_names;
	bool shifts;
	int (*plan)(struct plan *plan);
};

enum fault { NO_FAULT, KILL, FAIL, SHORT };

/* What befalls the n-th call (from 1), or all of them where n is 0. */
struct mishap {
	enum fault fault;
	unsigned n;
	int code;
};

/* What runs in the child. */
struct job {
	const struct kind *kind;
	bool recover; /* else: commit */
};

/* Shared with the child. */
static struct {
	int code;
	unsigned long call; /* that was made to fail */
} * report;

static char before[OLD_SIZE], after[SIZE_MAX_TESTED];
static size_t after_len;
static unsigned n_faults;
static unsigned n_torn; /* states that recoveries began with */

static bool is_zero(const char *bytes, size_t len)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* Blocks of zeros become holes. */
static void store(const char *path, const char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	bool failed = fd < 0 || ftruncate(fd, (off_t)len) < 0;

	for (size_t at = 0, n; !failed && at < len; at += n) {
		n = len - at < HOLE ? len - at : HOLE;
		failed = !is_zero(bytes + at, n) &&
			 pwrite(fd, bytes + at, n, (off_t)at) != (ssize_t)n;
	}
	if (failed)
		unit_fail("writing %s: %s", path, strerror(errno));
	close(fd);
}

static void fresh(const struct kind *kind)
{
	int fd;

	leftovers_remove();
	unlink(MODEL);
	unlink("link");
	fd = open(MODEL, O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd < 0 || write(fd, before, OLD_SIZE) != OLD_SIZE || close(fd) < 0 ||
		(kind->two_names && link(MODEL, "link") < 0))
		unit_fail("making a model: %s", strerror(errno));
}

static int make_plan(const struct kind *kind, struct source *old, struct plan **plan)
{
	if (plan_new(plan, old, NULL) < 0 || plan_old(*plan, 0, OLD_SIZE, NULL) < 0)
		return -1;
	return kind->plan(*plan);
}

/* What the edit makes of the file. */
static void expect(const struct kind *kind)
{
	AUTO_SOURCE *old = NULL, *outcome = NULL;
	AUTO_PLAN *plan = NULL;

	CHECK_INT(source_memory(&old, before, OLD_SIZE, "old", NULL), 0);
	CHECK_INT(make_plan(kind, old, &plan), 0);
	CHECK_INT(plan_outcome(plan, &outcome, NULL), 0);
	after_len = (size_t)source_size(outcome);
	CHECK_INT(source_read(outcome, 0, after, after_len, NULL), 0);
}

/* The child. */

static int verify(void *arg, struct source *outcome, struct error *err)
{
	(void)arg, (void)outcome, (void)err;
	return 0;
}

static int enter(void *arg, const struct plan *plan, bool patch, struct error *err)
{
	(void)arg, (void)plan, (void)patch, (void)err;
	return 0;
}

static void leave(void *arg, int code, struct source *now)
{
	(void)arg, (void)code, (void)now;
}

static int do_commit(const struct kind *kind)
{
	static const struct commit_ops ops = {verify, enter, leave};
	const struct container_options options = {
		.mode = kind->mode, .shift_from = kind->shifts};
	struct container *c = NULL;
	struct plan *plan = NULL;

	if (container_open(&c, MODEL, &options, NULL) < 0 ||
		make_plan(kind, container_source(c), &plan) < 0)
		_exit(2);
	(void)raise(SIGSTOP);
	return container_commit(c, plan, &ops, NULL, NULL);
}

static int do_recover(void)
{
	const struct container_options options = {.mode = COMMIT_AUTO};
	struct container *c = NULL;

	(void)raise(SIGSTOP);
	return container_open(&c, MODEL, &options, NULL);
}

static void child(const struct job *job)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(77);
	report->code = job->recover ? do_recover() : do_commit(job->kind);
	(void)raise(SIGSTOP);
	_exit(0);
}

/* The tracer. */

/* Calls that can fail for reasons of the disk. */
static bool is_file_call(unsigned long call)
{
	static const unsigned long calls[] = {SYS_openat, SYS_pread64, SYS_pwrite64,
		SYS_fsync, SYS_ftruncate, SYS_fallocate, SYS_renameat2, SYS_unlinkat,
		SYS_fchown, SYS_fchmod, SYS_fsetxattr, SYS_fgetxattr, SYS_flistxattr,
		SYS_copy_file_range, SYS_fcntl, SYS_utimensat, SYS_lseek};

#ifdef SYS_renameat
	if (call == SYS_renameat)
		return true;
#endif
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
		if (calls[i] == call)
			return true;
	return false;
}

#ifdef __x86_64__
#define CAN_FAIL true
#define REGISTER(name) offsetof(struct user, regs.name)

/* The call is not made, and returns the error. The tracee stands before it. */
static void fail_call(pid_t pid, int code)
{
	int status;

	(void)ptrace(PTRACE_POKEUSER, pid, REGISTER(orig_rax), -1L);
	(void)ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	(void)waitpid(pid, &status, 0);
	(void)ptrace(PTRACE_POKEUSER, pid, REGISTER(rax), (long)-code);
}

/* Reads and writes move half of what they could. */
static void halve_call(pid_t pid, unsigned long call, unsigned long len)
{
	if ((call == SYS_pread64 || call == SYS_pwrite64) && len > 1)
		(void)ptrace(PTRACE_POKEUSER, pid, REGISTER(rdx), len / 2);
}
#else
#define CAN_FAIL false
static void fail_call(pid_t pid, int code)
{
	(void)pid, (void)code;
}
static void halve_call(pid_t pid, unsigned long call, unsigned long len)
{
	(void)pid, (void)call, (void)len;
}
#endif

/* Runs on to the next call; false when the child stops for itself or ends. */
static bool next_call(pid_t pid, unsigned long *call, unsigned long *third)
{
	struct __ptrace_syscall_info info;
	int status;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0 ||
			waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status) ||
			WSTOPSIG(status) != (SIGTRAP | 0x80))
			return false;
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0 &&
			info.op == PTRACE_SYSCALL_INFO_ENTRY)
			break;
	}
	*call = info.entry.nr;
	*third = info.entry.args[2];
	return true;
}

/* Lets the child run into its mishap. False: it ended before it came to that. */
static bool trace(pid_t pid, const struct mishap *mishap)
{
	unsigned long call, third;
	unsigned n = 0;

	while (next_call(pid, &call, &third)) {
		if (mishap->fault == SHORT)
			halve_call(pid, call, third);
		if (mishap->fault == FAIL && !is_file_call(call))
			continue;
		if (++n != mishap->n)
			continue;
		if (mishap->fault == KILL)
			return true;
		report->call = call;
		fail_call(pid, mishap->code);
		while (next_call(pid, &call, &third))
			;
		return true;
	}
	return false;
}

/* Runs the job. Whether the mishap came to pass. */
static bool run(const struct job *job, const struct mishap *mishap)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
	int status = 0;
	pid_t pid = fork();
	bool met;

	if (pid == 0)
		child(job);
	if (waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status)) {
		unit_fail("the child did not begin (status %x)", (unsigned)status);
		return false;
	}
	(void)ptrace(PTRACE_SETOPTIONS, pid, NULL, options);
	report->code = 1;
	met = trace(pid, mishap);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
	n_faults += met;
	return met;
}

/* What is there afterwards. */

/* 0: the old state, 1: the new one, -1: neither. */
static int state_of(struct container *c)
{
	if (source_is(container_source(c), before, OLD_SIZE))
		return 0;
	return source_is(container_source(c), after, after_len) ? 1 : -1;
}

static int state_when_opened(const struct container_options *options)
{
	struct container *c = NULL;
	struct error err = {0};
	int state;

	if (container_open(&c, MODEL, options, &err) < 0) {
		unit_fail("%s", err.text);
		return -1;
	}
	if (!options->readonly && container_readonly(c) != NULL)
		unit_fail("it is read-only: %s", container_readonly(c));
	state = state_of(c);
	container_close(&c);
	return state;
}

/* Whole when read, whole when recovered, nothing beside it. */
static int check_whole(const struct kind *kind, const struct mishap *mishap)
{
	int read = state_when_opened(&(struct container_options){.readonly = true});
	int state = state_when_opened(&(struct container_options){.mode = kind->mode});

	if (read < 0 || read != state)
		unit_fail("%s, call %u: read as %d, recovered as %d", kind->name,
			mishap->n, read, state);
	if (leftover("") != NULL)
		unit_fail("%s, call %u: something is left", kind->name, mishap->n);
	return state;
}

static ino_t inode(void)
{
	struct stat st = {0};

	return stat(MODEL, &st) < 0 ? 0 : st.st_ino;
}

static void killed(const struct kind *kind)
{
	struct mishap mishap = {.fault = KILL};
	bool met = true;
	ino_t old = 0;
	int state = 0;

	for (mishap.n = 1; met && mishap.n < CALLS_MAX; mishap.n++) {
		fresh(kind);
		old = inode();
		met = run(&(struct job){.kind = kind}, &mishap);
		state = check_whole(kind, &mishap);
	}
	CHECK(!met && state == 1);
	if ((inode() == old) != (kind->mode == COMMIT_PATCH || kind->shifts))
		unit_fail("%s: it was not made in the way that it says", kind->name);
	CHECK_INT(report->code, 0);
}

/* A container that a kill left with its journal. */
struct torn {
	char model[SIZE_MAX_TESTED], journal[SIZE_MAX_TESTED], name[256];
	size_t model_len, journal_len;
};

/* Takes what is there; false where there is no journal, or all is as it was taken
 * before. */
static bool take_torn(struct torn *torn)
{
	static char model[SIZE_MAX_TESTED];
	const char *name = leftover(".journal");
	size_t len = file_read(MODEL, model, sizeof model);

	if (name == NULL ||
		(len == torn->model_len && memcmp(model, torn->model, len) == 0))
		return false;
	memcpy(torn->model, model, len);
	torn->model_len = len;
	torn->journal_len = file_read(name, torn->journal, sizeof torn->journal);
	(void)snprintf(torn->name, sizeof torn->name, "%s", name);
	return true;
}

static void place(const struct kind *kind, const struct torn *torn)
{
	fresh(kind);
	store(MODEL, torn->model, torn->model_len);
	store(torn->name, torn->journal, torn->journal_len);
}

/* Recovers what was torn so, killed at every call in turn. */
static void kill_recovery(const struct kind *kind, const struct torn *torn)
{
	struct mishap mishap = {.fault = KILL};
	bool met = true;

	for (mishap.n = 1; met && mishap.n < CALLS_MAX; mishap.n++) {
		place(kind, torn);
		met = run(&(struct job){.kind = kind, .recover = true}, &mishap);
		CHECK_INT(check_whole(kind, &mishap), 1);
	}
	CHECK(!met);
}

/* Each state in which a kill leaves a container with its journal is recovered. */
static void killed_twice(const struct kind *kind)
{
	static struct torn torn;
	struct mishap mishap = {.fault = KILL};
	bool met = true;

	torn.model_len = 0;
	for (mishap.n = 1; met && mishap.n < CALLS_MAX; mishap.n++) {
		fresh(kind);
		met = run(&(struct job){.kind = kind}, &mishap);
		if (!take_torn(&torn))
			continue;
		kill_recovery(kind, &torn);
		n_torn++;
	}
}

static void failed(const struct kind *kind, int code)
{
	struct mishap mishap = {.fault = FAIL, .code = code};
	bool met = true;

	for (mishap.n = 1; met && mishap.n < CALLS_MAX; mishap.n++) {
		int state;

		fresh(kind);
		met = run(&(struct job){.kind = kind}, &mishap);
		state = check_whole(kind, &mishap);
		if (state != (report->code == 0))
			unit_fail("%s, call %u (%lu), %s: it answered %d, the container "
				  "is %s",
				kind->name, mishap.n, report->call, strerror(code),
				report->code, state == 1 ? "new" : "old");
		if (code == EINTR && report->code == -EINTR)
			unit_fail("%s, call %u (%lu): it gave up when it was interrupted",
				kind->name, mishap.n, report->call);
	}
	CHECK(!met);
}

static void shortened(const struct kind *kind)
{
	fresh(kind);
	(void)run(&(struct job){.kind = kind}, &(struct mishap){.fault = SHORT});
	CHECK_INT(report->code, 0);
	CHECK_INT(check_whole(kind, &(struct mishap){0}), 1);
}

/* The kinds that a program is about. */
struct kinds {
	const struct kind *kind;
	size_t n;
};

static void all_kinds(const struct kinds *kinds, const char *sentence,
	void (*test)(const struct kind *kind))
{
	unit_begin(sentence);
	for (size_t i = 0; i < kinds->n; i++) {
		expect(&kinds->kind[i]);
		test(&kinds->kind[i]);
	}
}

static void fail_io(const struct kind *kind)
{
	failed(kind, EIO);
}

static void fail_space(const struct kind *kind)
{
	failed(kind, ENOSPC);
}

static void fail_interrupted(const struct kind *kind)
{
	failed(kind, EINTR);
}

static void fail_unsupported(const struct kind *kind)
{
	failed(kind, EOPNOTSUPP);
}

static bool may_trace(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

/* 0, or what main returns at once. */
static int faults_begin(void)
{
	if (!may_trace()) {
		printf("tracing a process is not permitted here\n");
		return 77;
	}
	report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (report == MAP_FAILED || !folder_enter())
		return 1;
	for (size_t i = 0; i < OLD_SIZE; i++)
		before[i] = (char)(i * 7 + i / 256);
	return 0;
}

static void faults_of(const struct kinds *kinds)
{
	all_kinds(kinds,
		"killed before any call, a commit leaves the old state or the new one",
		killed);
	all_kinds(kinds, "killed before any call, a recovery can be repeated",
		killed_twice);
	if (!CAN_FAIL)
		return;
	all_kinds(kinds,
		"where a call fails with EIO, the answer tells which state it is",
		fail_io);
	all_kinds(kinds, "the same where a call fails with ENOSPC", fail_space);
	all_kinds(kinds, "the same where a call is interrupted, and it is made again",
		fail_interrupted);
	all_kinds(kinds, "the same where the file system does not know a call",
		fail_unsupported);
	all_kinds(kinds, "short reads and writes are gone on with", shortened);
}

static int faults_end(void)
{
	unit_close();
	printf("# %u faults\n", n_faults);
	folder_leave();
	return unit_end();
}

#endif
