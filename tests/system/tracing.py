"""A mount whose commits are traced: strace records their system calls, or makes one go wrong.

All of a commit happens in one thread of the daemon, which strace is attached to alone: it
counts the calls of each thread by themselves, so `when=N` says exactly which call is meant.
What strace cannot do are short counts: its `retval=` makes up an answer without reading or
writing. halve() lets the kernel do half of what was asked.
"""

import collections
import ctypes
import os
import re
import select
import signal
import subprocess

from testing import WEIGHTFS, text, wait_until

# LeakSanitizer traces its own process at the end, which one that is traced cannot do.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"

THREAD = "weightfs-commit"
SECONDS = 60  # after which something hangs

Call = collections.namedtuple("Call", "name when")

# Memory, locks and waiting: a kill before one of these is a kill before the next call.
IDLE = frozenset("""
    futex mmap munmap mprotect madvise mremap brk poll ppoll rt_sigaction rt_sigprocmask rt_sigreturn
    restart_syscall sched_yield getpid gettid clock_gettime getrandom prlimit64 set_robust_list rseq
    arch_prctl set_tid_address prctl execve exit exit_group sigaltstack
    """.split())
# Calls whose failure says nothing about a disk: the thread's bell, the kernel's side of FUSE, processes.
NO_FILE = IDLE | frozenset("""
    read write writev close access geteuid getegid getuid getgid getgroups clone clone3 kill tgkill eventfd2
    """.split())
# Calls that a signal can interrupt.
SLOW = frozenset("openat pread64 pwrite64 fsync ftruncate fallocate copy_file_range unlinkat renameat renameat2".split())
MOVING = frozenset(("pread64", "pwrite64", "copy_file_range"))


def can_trace():
    """strace is there, and tracing is permitted: of a daemon, which hides its memory, to root."""
    if os.geteuid() != 0:
        return False
    try:
        return subprocess.run(["strace", "-o", "/dev/null", "-e", "trace=none", "true"],
                              capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def calls_in(trace):
    """The calls that strace recorded, each with its number among those of its name."""
    counts, calls = collections.Counter(), []
    with open(trace, encoding="utf-8", errors="replace") as file:
        for line in file:
            found = re.match(r"(\w+)\(", line)
            if found:
                counts[found[1]] += 1
                calls.append(Call(found[1], counts[found[1]]))
    return calls


def was_met(trace):
    """Whether the fault that was asked for came to pass."""
    with open(trace, encoding="utf-8", errors="replace") as file:
        said = file.read()
    return "(INJECTED)" in said or "killed by SIGKILL" in said or said.rstrip().endswith("= ?")


def inject(call, fault):
    return ["-e", f"trace={call.name}", "-e", f"inject={call.name}:{fault}:when={call.when}"]


class Session:
    """A mount in the foreground."""

    def __init__(self, folder, model, *options):
        self.path = os.path.join(folder, "mnt")
        self.helper = None
        os.makedirs(self.path, exist_ok=True)
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [WEIGHTFS, "-f", *options, model, self.path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        self.said = self.process.stderr.readline()
        if not os.path.ismount(self.path):
            raise RuntimeError(self.said + self.process.communicate()[1])
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            self.daemon = int(file.read().split()[0])

    def thread(self):
        folder, found = f"/proc/{self.daemon}/task", []

        def has_said_its_name():  # as it does when it first runs
            found[:] = [int(task) for task in os.listdir(folder) if text(folder, task, "comm").strip() == THREAD]
            return found
        if not wait_until(has_said_its_name, SECONDS):
            raise RuntimeError("no thread that commits was found")
        return found[0]

    def strace(self, output, *arguments):
        self.helper = subprocess.Popen(  # pylint: disable=consider-using-with
            ["strace", "-o", output, "-e", "signal=none", *arguments, "-p", str(self.thread())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        line = self.helper.stderr.readline()
        if "attached" not in line:
            raise RuntimeError(line + self.helper.communicate()[1])

    def halve(self):
        """All reads, writes and copies of commits move half of what they could."""
        self.helper = Halver(self.thread())

    def kill(self):
        os.kill(self.daemon, signal.SIGKILL)

    def end(self):
        """Unmounts if need be. (exit status of the session, all that it said)."""
        if os.path.ismount(self.path):
            subprocess.run([WEIGHTFS, "--unmount", self.path], capture_output=True, timeout=SECONDS, check=False)
        try:
            self.said += self.process.communicate(timeout=SECONDS)[1]
        except subprocess.TimeoutExpired:
            self.kill()
            self.said += "the session did not end\n" + self.process.communicate()[1]
        if self.helper is not None:
            self.helper.communicate()
        return self.process.returncode, self.said


class Registers(ctypes.Structure):
    """struct user_regs_struct of x86-64."""

    _fields_ = [(name, ctypes.c_ulong) for name in (
        "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
        "fs_base gs_base ds es fs gs").split()]


class Halver:
    """A tracer of one thread that halves the lengths of what it reads, writes and copies."""

    SEIZE, SYSCALL, GETREGS, SETREGS, TRACESYSGOOD = 0x4206, 24, 12, 13, 1
    LENGTHS = {17: "rdx", 18: "rdx", 326: "r8"}  # pread64, pwrite64, copy_file_range
    WALL = 0x40000000

    def __init__(self, thread):
        ready, told = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(ready)
            try:
                self.trace(thread, told)
            finally:
                os._exit(0)
        os.close(told)
        select.select([ready], [], [])
        attached = os.read(ready, 1)
        os.close(ready)
        if not attached:
            raise RuntimeError("cannot trace")

    def trace(self, thread, told):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        registers, length = Registers(), None
        if libc.ptrace(self.SEIZE, thread, None, self.TRACESYSGOOD) or libc.ptrace(0x4207, thread, None, None):
            return
        os.waitpid(thread, self.WALL)
        os.write(told, b"!")
        os.close(told)
        while libc.ptrace(self.SYSCALL, thread, None, None) == 0:
            status = os.waitpid(thread, self.WALL)[1]
            if not os.WIFSTOPPED(status):
                return
            if os.WSTOPSIG(status) != signal.SIGTRAP | 0x80:
                continue
            libc.ptrace(self.GETREGS, thread, None, ctypes.addressof(registers))
            name = self.LENGTHS.get(registers.orig_rax)
            if name is None:
                continue
            if length is None:  # before the call; after it, the register is as it was
                length = getattr(registers, name)
                setattr(registers, name, max(length // 2, min(length, 1)))
            else:
                setattr(registers, name, length)
                length = None
            libc.ptrace(self.SETREGS, thread, None, ctypes.addressof(registers))

    def communicate(self):
        os.waitpid(self.pid, 0)
