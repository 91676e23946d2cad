"""Mounted models, and file systems to put models on; each ends with its `with`."""

import contextlib
import os
import re
import subprocess
import time
from collections import Counter

from .jobs import Figure, WEIGHTFS, output, run

MAKE = {"ext4": ("mkfs.ext4", "-q", "-m", "0"), "xfs": ("mkfs.xfs", "-q"), "btrfs": ("mkfs.btrfs", "-q")}


class Mounted:
    """A mounted model; `path` while it is mounted."""

    def __init__(self, model, *options, name="mnt"):
        self.model, self.options = model, options
        self.path = os.path.join(os.path.dirname(model), name)
        self.process = None

    def __enter__(self):
        os.makedirs(self.path, exist_ok=True)
        run(WEIGHTFS, *self.options, self.model, self.path)
        return self

    def __exit__(self, *_):
        unmount(self.path)

    def __truediv__(self, name):
        return os.path.join(self.path, name)

    def daemon(self, line):
        """A line of /proc/PID/status, in kilobytes: VmHWM, the peak, or VmRSS. The daemon is
        the larger of the two processes that know the mount point."""
        found = 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError, ValueError):
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
                if os.fsencode(WEIGHTFS) != words[0] or os.fsencode(self.path) not in words:
                    continue
                with open(f"/proc/{pid}/status", encoding="ascii") as file:
                    found = max(found, *(int(l.split()[1]) for l in file if l.startswith(line)))
        return found


def unmount(path):
    """Ends a mount, by force where the polite way fails."""
    try:
        run(WEIGHTFS, "--unmount", path)
    except RuntimeError:
        if os.path.ismount(path):
            subprocess.run(["fusermount3", "-u", "-z", path], check=False)
        raise


class Counted(Mounted):
    """A mount that counts the requests which reach it: slow, and so never timed."""

    def __enter__(self):
        os.makedirs(self.path, exist_ok=True)
        self.log = open(self.path + ".log", "w+b")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen([WEIGHTFS, "-d", *self.options, self.model, self.path],
                                        stdout=self.log, stderr=self.log)
        while not os.path.ismount(self.path):
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.model} could not be mounted")
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        unmount(self.path)
        self.process.wait()
        self.log.close()
        os.unlink(self.path + ".log")

    def requests(self, job):
        """How often which request came while a job ran."""
        at = os.path.getsize(self.log.name)
        job()
        time.sleep(0.2)
        with open(self.log.name, "rb") as file:
            file.seek(at)
            return Counter(match[1].decode() for match in re.finditer(rb"opcode: (\w+)", file.read()))


def weigh(model, job, *options):
    """The daemon's peak in kilobytes while a job runs, which gets the mount."""
    with Mounted(model, *options) as mnt:
        job(mnt)
        return mnt.daemon("VmHWM")


@contextlib.contextmanager
def file_system(kind, folder, gigabytes):
    """A folder on another file system: in memory, or in an image beside."""
    image, path = os.path.join(folder, kind + ".img"), os.path.join(folder, kind)
    os.makedirs(path)
    try:
        if kind == "tmpfs":
            run("mount", "-t", "tmpfs", "-o", f"size={gigabytes}G", "none", path)
        else:
            run("truncate", "-s", f"{gigabytes}G", image)
            run(*MAKE[kind], image)
            run("mount", "-o", "loop", image, path)
        yield path
    finally:
        if os.path.ismount(path):
            run("umount", path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(image)
        os.rmdir(path)


def end_all(folder):
    """Ends what is still mounted below a folder: an interrupted job may not know that it is."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        paths = [line.split()[1].encode("latin-1", "replace").decode("unicode_escape") for line in file]
    for path in sorted(paths, reverse=True):
        if path.startswith(folder + "/"):
            command = ("umount", "-l") if os.geteuid() == 0 else ("fusermount3", "-u", "-z")
            subprocess.run([*command, path], stderr=subprocess.DEVNULL, check=False)


def kind_of(folder):
    return output("df", "--output=fstype", folder).split()[-1].replace("ext2/ext3", "ext4")


def available():
    """Bytes of memory that can be had."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))


def cool(path):
    """Takes a file out of the page cache."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def warm(path):
    return run("cat", path)


def with_memory(figure, kilobytes):
    return Figure(figure.seconds, kilobytes)
