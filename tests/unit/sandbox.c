/* sandbox: what a confined process can do no more, and what it still can. */
#include "mount/sandbox.h"
#include "fs/confine.h"
#include "tests/unit/unit.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Below the working folder: what the process is confined to, and what lies beside. */
#define OWN "own"
#define OTHER "other"

/* The child's own, opened before it is confined. */
static FILE *status;

#define OPENS(path, flags) (open(path, (flags) | O_CLOEXEC, 0600) >= 0)

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
}

static int folder(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A behaviour in a child of its own, since nothing of a sandbox can be undone. */
static void in_child(
	void (*fn)(struct confine *confine), struct confine confine, bool writable)
{
	int result = 0, folders[] = {folder(OWN), -1};
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		unit.failed = 0;
		status = fopen("/proc/self/status", "re");
		confine.enter(&confine,
			&(struct places){
				.folders = folders, .n = 2, .writable = writable});
		fn(&confine);
		_exit(unit_end());
	}
	waitpid(child, &result, 0);
	unit.failed += result != 0;
	close(folders[0]);
}

static bool has_landlock(const struct confine *confine)
{
	return strstr(confine->what, "landlock") != NULL;
}

static void files(struct confine *confine)
{
	if (!has_landlock(confine)) {
		printf("# no landlock here: what is opened is not tested\n");
		return;
	}
	unit_begin("nothing outside of its folders is opened, made, moved or removed");
	CHECK(!OPENS("/etc/passwd", O_RDONLY) && errno == EACCES);
	CHECK(!OPENS(OTHER "/file", O_RDONLY) && errno == EACCES);
	CHECK(!OPENS(OWN "/../" OTHER "/file", O_RDWR));
	CHECK(!OPENS(OWN "/link", O_RDONLY));
	CHECK(!OPENS("/proc/self/mem", O_RDWR));
	CHECK(!OPENS(".", O_RDONLY | O_DIRECTORY));
	CHECK(!OPENS(OTHER "/new", O_WRONLY | O_CREAT));
	CHECK(!OPENS(OTHER, O_TMPFILE | O_RDWR));
	CHECK(mkdirat(AT_FDCWD, OTHER "/new", 0700) < 0);
	CHECK(unlinkat(AT_FDCWD, OTHER "/file", 0) < 0);
	CHECK(renameat(AT_FDCWD, OTHER "/file", AT_FDCWD, OTHER "/moved") < 0);
	CHECK(renameat(AT_FDCWD, OTHER "/file", AT_FDCWD, OWN "/moved") < 0);
	CHECK(renameat(AT_FDCWD, OWN "/file", AT_FDCWD, OTHER "/moved") < 0);
	CHECK(access(OTHER "/file", F_OK) == 0 && access(OWN "/file", F_OK) == 0);
}

static void read_only(struct confine *confine)
{
	if (!has_landlock(confine))
		return;
	unit_begin("who only reads opens its folder, and writes nothing there either");
	CHECK(OPENS(OWN "/file", O_RDONLY));
	CHECK(!OPENS(OWN "/file", O_RDWR) && errno == EACCES);
	CHECK(!OPENS(OWN "/file", O_RDONLY | O_TRUNC));
	CHECK(!OPENS(OWN "/new", O_WRONLY | O_CREAT));
	CHECK(unlinkat(AT_FDCWD, OWN "/file", 0) < 0);
}

static void closed(struct confine *confine)
{
	if (!has_landlock(confine))
		return;
	unit_begin("who has all open that it needs opens nothing");
	CHECK(!OPENS(OWN "/file", O_RDONLY) && !OPENS(OWN, O_RDONLY | O_DIRECTORY));
}

static void by_path(struct confine *confine)
{
	(void)confine;
	unit_begin("nothing is changed by its path, in its folders neither");
	CHECK(truncate(OWN "/file", 0) < 0 && chmod(OWN "/file", 0) < 0);
	CHECK(chown(OWN "/file", 0, 0) < 0 && symlink("x", OWN "/symlink") < 0);
	CHECK(link(OWN "/file", OWN "/name") < 0 && rmdir(OWN "/folder") < 0);
	CHECK(mkfifo(OWN "/fifo", 0600) < 0);
	CHECK(setxattr(OWN "/file", "user.a", "b", 1, 0) < 0);
	CHECK(utimensat(AT_FDCWD, OWN "/file", NULL, 0) < 0);
}

static void programs(struct confine *confine)
{
	char *const argv[] = {"true", NULL};

	(void)confine;
	unit_begin("no program and no process is started, nor looked into");
	CHECK(execv("/bin/true", argv) < 0 && fork() < 0 && vfork() < 0);
	CHECK(syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
	CHECK(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) < 0);
	CHECK(kill(getppid(), SIGTERM) < 0 && kill(-1, SIGTERM) < 0);
	CHECK(syscall(SYS_tgkill, getppid(), getppid(), SIGTERM) < 0);
	CHECK(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0) < 0);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0) == MAP_FAILED);

	unit_begin("no connection is made, and the kernel is asked for nothing else");
	CHECK(socket(AF_INET, SOCK_STREAM, 0) < 0 && socket(AF_UNIX, SOCK_STREAM, 0) < 0);
	CHECK(socket(AF_NETLINK, SOCK_RAW, 0) < 0);
	CHECK(syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == ENOSYS);
	CHECK(mount("none", OWN, "tmpfs", 0, NULL) < 0 && errno == ENOSYS);
	CHECK(syscall(SYS_bpf, 0, NULL, 0) < 0 && errno == ENOSYS);
	CHECK(syscall(SYS_unshare, 0) < 0 && errno == ENOSYS);
	CHECK(syscall(SYS_kexec_load, 0, 0, NULL, 0) < 0 && errno == ENOSYS);
	CHECK(syscall(SYS_init_module, NULL, 0, "") < 0 && errno == ENOSYS);
	CHECK(syscall(SYS_keyctl, 0, 0, 0, 0, 0) < 0 && errno == ENOSYS);
	CHECK(syscall(SYS_open_by_handle_at, -1, NULL, 0) < 0 && errno == ENOSYS);
	CHECK(ioctl(0, TIOCSTI, "x") < 0 && errno == ENOSYS);
}

static bool says(const char *line)
{
	char found[256];
	bool there = false;

	rewind(status);
	while (fgets(found, sizeof found, status) != NULL)
		there |= strncmp(found, line, strlen(line)) == 0;
	return there;
}

static void privileges(struct confine *confine)
{
	struct rlimit core = {1, 1};

	(void)confine;
	unit_begin(
		"no privilege is gained, and root keeps only what a foreign model takes");
	CHECK(status != NULL && says("NoNewPrivs:\t1"));
	CHECK(says("Seccomp:\t2"));
	CHECK(says("CapInh:\t0000000000000000"));
	CHECK(says("CapPrm:\t0000000000000000") || says("CapPrm:\t000000001000001b"));
	CHECK(says("CapEff:\t0000000000000000") || says("CapEff:\t000000001000001b"));

	unit_begin("no core is left, to nobody");
	CHECK_INT(getrlimit(RLIMIT_CORE, &core), 0);
	CHECK(core.rlim_cur == 0 && core.rlim_max == 0);
}

static void *nothing(void *arg)
{
	pause();
	return arg;
}

static void business(struct confine *confine)
{
	char path[64], name[256];
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
	int own = folder(OWN), file, temporary, watch, ends[2];
	pthread_t thread;

	(void)confine;
	unit_begin("all that a commit takes is done in its folders");
	file = openat(own, "file", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	CHECK(file >= 0 && pwrite(file, "new", 3, 0) == 3 && fsync(file) == 0);
	CHECK(ftruncate(file, 4096) == 0 && futimens(file, times) == 0);
	CHECK(fchmod(file, 0600) == 0 && fchown(file, getuid(), getgid()) == 0);
	CHECK(openat(own, "new", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) >= 0);
	CHECK(renameat2(own, "new", own, "file", 2 /* RENAME_EXCHANGE */) == 0);
	CHECK(renameat(own, "new", own, "third") == 0 && unlinkat(own, "third", 0) == 0);
	temporary = openat(own, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	CHECK((temporary >= 0 && write(temporary, "x", 1) == 1) || errno == EOPNOTSUPP);
	CHECK(mkdirat(own, "kept", 0700) == 0 &&
		OPENS(OWN "/kept/a", O_WRONLY | O_CREAT));
	watch = inotify_init1(IN_CLOEXEC);
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", own);
	CHECK(watch >= 0 && inotify_add_watch(watch, path, IN_CREATE) >= 0);
	CHECK(readlink(path, name, sizeof name) > 0);

	unit_begin("threads begin and are ended, and wait for each other");
	CHECK(pthread_create(&thread, NULL, nothing, NULL) == 0);
	CHECK(pthread_cancel(thread) == 0 && pthread_join(thread, NULL) == 0);
	CHECK(pipe2(ends, O_CLOEXEC) == 0 && kill(getpid(), 0) == 0);
	CHECK(malloc(64 << 20) != NULL);
}

/* The number of core files that a crash leaves, which are removed. */
static int cores_of(struct confine *confine)
{
	const int folders[] = {folder(".")};
	pid_t child = fork();
	int n = 0;

	if (child == 0) {
		(void)setrlimit(
			RLIMIT_CORE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
		if (confine != NULL)
			confine->enter(confine,
				&(struct places){
					.folders = folders, .n = 1, .writable = true});
		abort();
	}
	waitpid(child, NULL, 0);
	close(folders[0]);
	DIR *dir = opendir(".");
	for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
		if (strncmp(entry->d_name, "core", 4) == 0)
			n += unlink(entry->d_name) == 0;
	if (dir != NULL)
		closedir(dir);
	return n;
}

static void cores(struct confine confine)
{
	unit_begin("a crash leaves no core, where that of others does");
	if (cores_of(NULL) == 0)
		printf("# cores go elsewhere here: not tested\n");
	CHECK_INT(cores_of(&confine), 0);
}

/* As for a command that opens nothing any more. */
static void enter_without_places(struct confine *confine, const struct places *places)
{
	(void)places;
	sandbox_enter(confine, &(struct places){.n = 0});
}

int main(void)
{
	const struct confine enter = {.enter = sandbox_enter};
	const char *where = getenv("TEST_DIR");

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	printf("a sanitizer opens files of its own: no sandbox\n");
	return 77;
#endif
	if (where == NULL || chdir(where) < 0)
		return 1;
	CHECK(mkdir(OWN, 0700) == 0 && mkdir(OTHER, 0700) == 0);
	CHECK(mkdir(OWN "/folder", 0700) == 0);
	CHECK(symlink("../" OTHER "/file", OWN "/link") == 0);
	make_file(OWN "/file");
	make_file(OTHER "/file");
	in_child(files, enter, true);
	in_child(read_only, enter, false);
	in_child(closed, (struct confine){.enter = enter_without_places}, true);
	in_child(by_path, enter, true);
	in_child(programs, enter, true);
	in_child(privileges, enter, true);
	in_child(business, enter, true);
	cores(enter);
	return unit_end();
}
