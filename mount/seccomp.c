/*
 * seccomp: the system calls that serving a model takes, and no others.
 *
 * It closes what landlock leaves open: programs, sockets and other processes, and what
 * changes a file by its path without opening it (chmod, truncate, utimes). A call that is
 * not in the table answers ENOSYS, as a kernel does that lacks it: the C library then
 * takes an older one, so that a newer library works as well.
 */
#include "mount/sandbox.h"
#include <asm/ioctls.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/fiemap.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE 0 /* nobody has tried: no filter */
#endif

static const int always[] = {
	/* Serving: the kernel's requests and their answers. */
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_pread64,
	SYS_pwrite64,
	SYS_preadv,
	SYS_pwritev,
	SYS_splice,
	SYS_vmsplice,
	SYS_tee,
	SYS_futex,
	SYS_ppoll,
	SYS_pipe2,
	SYS_eventfd2,
	SYS_sendto,
	SYS_recvfrom,
	SYS_sendmsg,
	SYS_recvmsg,
	/* Files: opened where landlock lets them be, else by descriptor only. */
	SYS_openat,
	SYS_close,
	SYS_dup,
	SYS_dup3,
	SYS_fcntl,
	SYS_fstat,
	SYS_newfstatat,
	SYS_statx,
	SYS_statfs,
	SYS_fstatfs,
	SYS_lseek,
	SYS_ftruncate,
	SYS_fallocate,
	SYS_fsync,
	SYS_fdatasync,
	SYS_sync_file_range,
	SYS_copy_file_range,
	SYS_fadvise64,
	SYS_getdents64,
	SYS_faccessat,
	SYS_faccessat2,
	SYS_readlinkat,
	SYS_mkdirat,
	SYS_unlinkat,
	SYS_renameat,
	SYS_renameat2,
	SYS_fchmod,
	SYS_fchown,
	SYS_fgetxattr,
	SYS_fsetxattr,
	SYS_flistxattr,
	SYS_fremovexattr,
	SYS_inotify_init1,
	SYS_inotify_add_watch,
	SYS_inotify_rm_watch,
	SYS_chdir,
	SYS_getcwd,
	/* Memory and threads, see below. */
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_brk,
	SYS_set_robust_list,
	SYS_rseq,
	SYS_sched_yield,
	SYS_sched_getaffinity,
	SYS_membarrier,
	SYS_exit,
	SYS_exit_group,
	SYS_gettid,
	SYS_getpid,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_rt_sigtimedwait,
	SYS_sigaltstack,
	SYS_restart_syscall,
	/* Time, and who and where one is. */
	SYS_clock_gettime,
	SYS_clock_getres,
	SYS_clock_nanosleep,
	SYS_nanosleep,
	SYS_gettimeofday,
	SYS_times,
	SYS_getrusage,
	SYS_getuid,
	SYS_geteuid,
	SYS_getgid,
	SYS_getegid,
	SYS_getgroups,
	SYS_getppid,
	SYS_getrandom,
	SYS_sysinfo,
	SYS_uname,
#ifdef __x86_64__
	/* What the C library still calls where it can. */
	SYS_poll,
	SYS_pipe,
	SYS_dup2,
	SYS_mkdir,
	SYS_unlink,
	SYS_rename,
	SYS_readlink,
	SYS_access,
	SYS_time,
#endif
};

/* Allowed where (argument & mask) == value. */
struct call {
	int number;
	unsigned argument;
	uint64_t mask, value;
};

#define WHOLE UINT64_C(0xffffffff) /* of an int, whose upper half says nothing */
#define POINTER UINT64_MAX

static const struct call sometimes[] = {
	/* Threads, but no processes. */
	{SYS_clone, 0, CLONE_THREAD, CLONE_THREAD},
	/* Memory, none of which becomes code. */
	{SYS_mmap, 2, PROT_EXEC, 0},
	{SYS_mprotect, 2, PROT_EXEC, 0},
	/* futimens(), and not by a path. */
	{SYS_utimensat, 1, POINTER, 0},
	/* No keys are put into a terminal. */
	{SYS_ioctl, 1, WHOLE, FICLONERANGE},
	{SYS_ioctl, 1, WHOLE, TCGETS},
	/* A thread says what it is. */
	{SYS_prctl, 0, WHOLE, PR_SET_NAME},
	{SYS_ioctl, 1, WHOLE, TIOCGWINSZ},
	{SYS_ioctl, 1, WHOLE, FS_IOC_FIEMAP},
	/* Whether a process is there; limits are read. */
	{SYS_kill, 1, WHOLE, 0},
	{SYS_prlimit64, 2, POINTER, 0},
};

#define COUNT(table) (sizeof(table) / sizeof(*(table)))
#define N_CALLS (COUNT(always) + COUNT(sometimes))
#define PER_CALL 8
/* Before and behind the calls, and tgkill(). */
#define FRAME (5 + PER_CALL)

struct filter {
	struct sock_filter code[N_CALLS * PER_CALL + FRAME];
	unsigned short n;
};

static void put(struct filter *filter, uint16_t code, uint32_t k, uint8_t t, uint8_t f)
{
	filter->code[filter->n++] = (struct sock_filter)BPF_JUMP(code, k, t, f);
}

static void put_load(struct filter *filter, size_t off)
{
	put(filter, BPF_LD | BPF_W | BPF_ABS, (uint32_t)off, 0, 0);
}

/* Goes `skip` instructions on where a half of the argument is not right. */
static void put_half(
	struct filter *filter, const struct call *call, unsigned shift, unsigned skip)
{
	size_t off = offsetof(struct seccomp_data, args) + 8 * call->argument + shift / 8;

	put_load(filter, off); /* both machines have the low half first */
	put(filter, BPF_ALU | BPF_AND | BPF_K, (uint32_t)(call->mask >> shift), 0, 0);
	put(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(call->value >> shift), 0,
		(uint8_t)skip);
}

/* The number is loaded before and behind each call. */
static void put_call(struct filter *filter, const struct call *call)
{
	bool low = (uint32_t)call->mask != 0, high = call->mask >> 32 != 0;
	uint8_t tests = (uint8_t)(3 * low + 3 * high);

	put(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call->number, 0,
		(uint8_t)(tests + 1));
	if (low)
		put_half(filter, call, 0, high ? 4 : 1);
	if (high)
		put_half(filter, call, 32, 1);
	put(filter, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	if (tests > 0)
		put_load(filter, offsetof(struct seccomp_data, nr));
}

static void build(struct filter *filter)
{
	/* Signals to oneself only. */
	struct call oneself = {SYS_tgkill, 0, WHOLE, (uint64_t)getpid()};

	put_load(filter, offsetof(struct seccomp_data, arch));
	put(filter, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
	put(filter, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS, 0, 0);
	put_load(filter, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < COUNT(always); i++)
		put_call(filter, &(struct call){.number = always[i]});
	for (size_t i = 0; i < COUNT(sometimes); i++)
		put_call(filter, &sometimes[i]);
	put_call(filter, &oneself);
	put(filter, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS, 0, 0);
}

int seccomp_restrict(void)
{
	struct filter filter = {.n = 0};

	if (ARCHITECTURE == 0)
		return -EOPNOTSUPP;
	build(&filter);
	struct sock_fprog program = {.len = filter.n, .filter = filter.code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
		return -errno;
	return 0;
}
