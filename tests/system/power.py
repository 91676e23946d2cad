"""Power cuts: file systems in images that stop at some moment, and what is there after.

Two ways. A disk that remembers (tests/torture/writelog.c) under a loop device records
what is written and when it is flushed during a session of edits; then the disk is put
together as it was at any moment, up to the last flush and with any part of what came
after, mounted, and recovered. And a live file system is shut down at a random moment
(EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN), as it would be by a disk that is pulled out.

The container must be one of two: as the last edit that was acknowledged left it, or as
the one after left it.
"""

import collections
import contextlib
import ctypes
import errno
import fcntl
import os
import random
import shutil
import struct
import subprocess
import threading
import time

import edits
import formats
from disks import insist, mounted
from testing import TEST_DIR, WEIGHTFS, ok, read, run, shell, wait_until, write

SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32): of ext4 and XFS
FLAGS = {"as by a freeze": 0, "log flushed": 1, "nothing flushed": 2}
HEAD = struct.Struct("<QII")
LIBC = ctypes.CDLL(None, use_errno=True)
PUNCH = 3  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
ROOT = os.environ["ROOT"]

# size: of the image; block: pieces that a model is broken into; sector: what a disk writes at once (btrfs counts
# on its superblock being whole).
System = collections.namedtuple("System", "name make size block sector")
SYSTEMS = {
    "ext4, 1k": System("ext4", "mkfs.ext4 -q -b 1024 -J size=1 -m 0", 128 << 20, 1024, 512),
    "ext4, 4k": System("ext4", "mkfs.ext4 -q -b 4096 -J size=4 -m 0", 96 << 20, 4096, 512),
    "xfs": System("xfs", "mkfs.xfs -q -l size=64m -m reflink=0", 320 << 20, 4096, 512),
    "xfs, sharing": System("xfs", "mkfs.xfs -q -l size=64m", 320 << 20, 4096, 512),
    "btrfs": System("btrfs", "mkfs.btrfs -q -m single", 128 << 20, 4096, 4096),
}


class Count:
    """What was tried of one kind, and what came of it."""

    def __init__(self):
        self.cuts = self.old = self.new = self.journals = self.torn = 0
        self.lost = []

    def __str__(self):
        return (f"{self.cuts} cuts, {self.old} old, {self.new} new, {self.journals} with a journal, "
                f"{self.torn} in the middle of a shift, {len(self.lost)} lost")


def memory():
    """A folder in memory, for images; unmounted with the test's folder."""
    folder = os.path.join(TEST_DIR, "memory")
    if not os.path.ismount(folder):
        os.makedirs(folder, exist_ok=True)
        assert not run("mount", "-t", "tmpfs", "none", folder).returncode
    return folder


def copy(source, target):
    """A copy with the holes of the original."""
    subprocess.run(["cp", "--sparse=auto", source, target], check=True)


def fill(file, length, block):
    """Allocates so much, or all that there is."""
    while length >= block:
        try:
            os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, length)
            return
        except OSError:
            length //= 2


def break_space(folder, block, size):
    """Leaves free space of that size in pieces of a block; a file `rest` has the rest."""
    with open(os.path.join(folder, "pieces"), "wb") as pieces, open(os.path.join(folder, "rest"), "wb") as rest:
        fill(pieces, 2 * size, block)
        for _ in range(40):
            fill(rest, 1 << 24, block)
        for off in range(0, 2 * size, 2 * block):
            LIBC.fallocate(pieces.fileno(), PUNCH, ctypes.c_long(off), ctypes.c_long(block))
    os.sync()


def template(system, kind, large):
    """An image with a model in it: its path, and the model's name."""
    path = os.path.join(memory(), "template")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with open(path, "wb") as file:
        file.truncate(system.size)
    made = shell(f"{system.make} {path}")
    assert made.returncode == 0, made.stderr
    weights = formats.grid(3, 3)
    first = next(iter(weights))
    weights[first] = weights[first].repeat(max(1, large // weights[first].nbytes))
    source = formats.model(kind, "source", weights)
    with mounted(path) as folder:
        if large:
            break_space(folder, system.block, os.path.getsize(source) + (1 << 20))
        name = "model" + kind.suffix
        shutil.copyfile(source, os.path.join(folder, name))
        os.sync()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, "rest"))
    return path, name


# Edits: each is made at a mount, and on the disk when it returns.

def patch(mount, i):
    edits.note(mount, lambda _: f"edit {i:06}")


def longer(mount, i):
    edits.note(mount, lambda _: f"{i:06}" + "x" * (5000 * (i + 1)))


def weights(mount, i):
    path = os.path.join(mount, "layers/layer1/w1.bin")
    write(path, bytes([i % 251 + 1]) * os.path.getsize(path))


def added(mount, i):
    """Together with a longer note, where both are pending."""
    path = os.path.join(mount, f"layers/layer0/new{i}")
    write(path + ".json", b'{"dtype": "uint8", "shape": [3000]}')
    write(path + ".bin", bytes([i % 251 + 1]) * 3000)
    edits.sync(mount)


def removed(mount, _):
    for suffix in (".bin", ".json"):
        os.unlink(os.path.join(mount, "layers/layer2/w2" + suffix))
    edits.sync(mount)


def renamed(mount, i):
    for suffix in (".bin", ".json"):
        os.rename(os.path.join(mount, "layers/layer2/w1" + suffix),
                  os.path.join(mount, f"layers/layer2/renamed{i}" + suffix))
    edits.sync(mount)


SHIFTS = (longer, weights, longer, added, longer, patch, longer)
KINDS = (patch, longer, weights, added, renamed, removed, longer, patch)


def edits_of(kind):
    return tuple(edit for edit in KINDS if kind.grows or edit in (patch, longer, weights))


def repeatable(kind):
    """Those that make the same bytes each time: HDF5 notes when a dataset was made."""
    return tuple(edit for edit in edits_of(kind) if edit is not added or kind.suffix == ".safetensors")


class Syncing(threading.Thread):
    """Syncs a file system again and again, as others do who write to it."""

    def __init__(self, folder, seed):
        super().__init__(daemon=True)
        self.fd = os.open(folder, os.O_RDONLY)
        self.random = random.Random(seed)
        self.ended = threading.Event()

    def run(self):
        while not self.ended.is_set():
            LIBC.syncfs(self.fd)
            time.sleep(self.random.random() * 0.004)

    def end(self):
        self.ended.set()
        self.join()
        os.close(self.fd)


def serve(model, options):
    """A mount of a model, in a process of its own that can be killed."""
    point = os.path.join(TEST_DIR, "mnt")
    os.makedirs(point, exist_ok=True)
    daemon = subprocess.Popen([WEIGHTFS, "-f", "-o", options, model, point],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: os.path.ismount(point) or daemon.poll() is not None)
    assert daemon.poll() is None, "weightfs ended"
    return daemon, point


def play(folder, name, options, edits, told):
    """A session; told(i) before an edit, told(~i) after. The states that it went through."""
    model = os.path.join(folder, name)
    states = [read(model)]
    daemon, point = serve(model, options)
    try:
        for i, edit in enumerate(edits):
            told(i)
            try:
                edit(point, i)
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
            told(~i)
            states.append(read(model))
    finally:
        wait_until(lambda: daemon.poll() is not None or not run("umount", point).returncode)
        daemon.wait()
    return states


# A disk that remembers.

def build_writelog():
    program = os.path.join(TEST_DIR, "writelog")
    built = shell("cc -O1 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -o writelog "
                  f"{ROOT}/tests/torture/writelog.c $(pkg-config --cflags --libs fuse3)")
    assert built.returncode == 0, built.stderr
    return program


@contextlib.contextmanager
def remembering(image, log):
    """A loop device on a disk that remembers, and where to leave marks."""
    folder = os.path.join(TEST_DIR, "remembering")
    os.makedirs(folder, exist_ok=True)
    process = subprocess.Popen([os.path.join(TEST_DIR, "writelog"), image, log, folder])
    wait_until(lambda: os.path.ismount(folder) or process.poll() is not None)
    assert process.poll() is None, "writelog ended"
    try:
        device = insist("losetup", "-f", "--show", os.path.join(folder, "disk"))
        try:
            yield device, os.path.join(folder, "mark")
        finally:
            run("losetup", "-d", device)
    finally:
        insist("umount", folder)
        process.wait()


def record(path, play_on, seed):
    """Plays a session on a copy of an image: the states, and the log."""
    live, log = path + ".live", path + ".log"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(log)
    copy(path, live)
    with remembering(live, log) as (device, marks):
        def told(i):
            with open(marks, "wb", buffering=0) as file:
                file.write(struct.pack("<q", i))

        with mounted(device) as folder:
            syncing = Syncing(folder, seed)
            syncing.start()
            try:
                states = play_on(folder, told)
            finally:
                syncing.end()
    return states, list(entries(log))


def entries(log):
    """(kind, offset, bytes) of each thing that was done to a disk."""
    data = memoryview(read(log))
    at = 0
    while at < len(data):
        off, length, kind = HEAD.unpack_from(data, at)
        at += HEAD.size
        yield chr(kind), off, data[at:at + length]
        at += length


def moments(log, wanted, chance):
    """Positions in a log: a third of them behind flushes, the others spread evenly, each at random in its part."""
    begin = next(i for i, entry in enumerate(log) if entry[0] == "m")
    flushes = [i for i in range(begin, len(log)) if log[i][0] == "f"]
    chosen = chance.sample(flushes, min(len(flushes), wanted // 3))
    part = (len(log) - begin) / (wanted - len(chosen))
    chosen += [begin + int((i + chance.random()) * part) for i in range(wanted - len(chosen))]
    return sorted(chosen)


class Replay:
    """The disk of a log, moment by moment."""

    def __init__(self, path, log, sector, chance):
        self.path, self.log, self.sector, self.chance = path + ".now", log, sector, chance
        copy(path, self.path)
        self.at = 0
        self.late = []  # written since the last flush
        self.begun, self.done = 0, 0

    def advance(self, to):
        """What was flushed by then is on the disk."""
        with open(self.path, "r+b", buffering=0) as disk:
            for entry in self.log[self.at:to]:
                if entry[0] == "w":
                    self.late.append(entry)
                elif entry[0] == "f":
                    put(disk, self.late)
                    self.late = []
                else:
                    mark = struct.unpack("<q", entry[2])[0]
                    self.begun, self.done = (mark + 1, mark) if mark >= 0 else (~mark + 1, ~mark + 1)
        self.at = to

    def cut(self, target):
        """A disk that was switched off now: of what was not flushed, it has a part."""
        copy(self.path, target)
        how = self.chance.randrange(3)
        late = self.late
        if how == 1:
            late = [entry for entry in late if self.chance.random() < 0.5]
        elif how == 2 and late:
            late = late[:self.chance.randrange(len(late)) + 1]
            kind, off, data = late[-1]
            late[-1] = (kind, off, data[:self.chance.randrange(len(data) // self.sector + 1) * self.sector])
        with open(target, "r+b", buffering=0) as disk:
            put(disk, late)


def put(disk, writes):
    for _, off, data in writes:
        disk.seek(off)
        disk.write(data)


# Afterwards.

def is_torn(path):
    """Whether some of a file has moved and some has not: there is a hole, and data behind it."""
    with open(path, "rb") as file:
        hole = os.lseek(file.fileno(), 0, os.SEEK_HOLE)
        try:
            return hole > 1 << 16 and os.lseek(file.fileno(), hole, os.SEEK_DATA) > hole
        except OSError:
            return False


def examine(folder, name, expected, count, where):
    """Recovers what a cut has left and compares it with the states that it may have."""
    model = os.path.join(folder, name)
    left = [entry for entry in os.listdir(folder) if entry.startswith(".weightfs-")]
    count.cuts += 1
    journal = any(entry.endswith(".journal") for entry in left)
    count.journals += journal
    count.torn += journal and is_torn(model)
    shown = run(WEIGHTFS, "--list", model) if count.cuts % 3 == 0 else None
    done = run(WEIGHTFS, "--recover", model)
    found = read(model)
    rest = [entry for entry in os.listdir(folder) if entry.startswith(".weightfs-")]
    again = run(WEIGHTFS, "--list", model) if shown and left else shown
    if done.returncode or rest or found not in expected:
        count.lost.append(f"{where}: {done.stderr or done.stdout}, left {left} and {rest}, {len(found)} bytes")
    elif shown and (shown.returncode or again.stdout != shown.stdout):
        count.lost.append(f"{where}: --list before recovery: {shown.stderr or 'another tree'}")
    elif found == expected[0]:
        count.old += 1
    else:
        count.new += 1


def check(system, disk):
    """The file system itself is whole, says its own tool."""
    tools = {"ext4": ("e2fsck", "-fn"), "xfs": ("xfs_repair", "-n"), "btrfs": ("btrfs", "check", "--readonly")}
    return run(*tools[system.name], disk).returncode == 0


def replay(system, path, name, session, wanted, chance, count):
    """Cuts a session that was recorded at so many moments. The last disk that it left in the middle of a shift."""
    states, log = session
    work, torn = path + ".cut", None
    disk = Replay(path, log, system.sector, chance)
    for i, moment in enumerate(moments(log, wanted, chance)):
        disk.advance(moment)
        disk.cut(work)
        expected, before = states[disk.done:disk.begun + 1], count.torn
        if disk.begun > disk.done:
            copy(work, path + ".maybe")
        with mounted(work, "cut") as folder:
            examine(folder, name, expected, count, f"moment {moment} of {len(log)}")
        if count.torn > before:
            os.rename(path + ".maybe", path + ".torn")
            torn = expected
        if i % 20 == 0 and not check(system, work):
            count.lost.append(f"moment {moment}: the file system is not whole")
    return torn


def remembered(label, kind, mode, edits, wanted, seed, large=0):
    """A behaviour: cuts of one session on one file system, all survived."""
    system, chance, count = SYSTEMS[label], random.Random(seed), Count()
    options = f"commit-mode={mode},shift-from=1"
    build_writelog()
    path, name = template(system, kind, large)
    session = record(path, lambda folder, told: play(folder, name, options, edits, told), seed)
    torn = replay(system, path, name, session, wanted, chance, count)
    say(f"{label}, {kind.name}, {mode}: a disk that was switched off", count)
    return [count] + ([recovered(label, path, name, torn, wanted // 4, seed)] if torn else [])


def recovered(label, path, name, expected, wanted, seed):
    """The same of a disk that was in the middle of a shift, while its recovery was under way."""
    def recovery(folder, told):
        told(0)
        run(WEIGHTFS, "--recover", os.path.join(folder, name))
        told(~0)
        return [None, read(os.path.join(folder, name))]

    system, chance, count = SYSTEMS[label], random.Random(seed), Count()
    (_, new), log = record(path + ".torn", recovery, seed)
    # Whatever is left of the interrupted edit on the way, its journal was whole: it is finished.
    states = [expected[-1], new]
    replay(system, path + ".torn", name, (states, log), wanted, chance, count)
    say(f"{label}: a disk that was switched off again, while it was recovered", count)
    return count


def say(what, count):
    print(f"# {what}: {count}", flush=True)
    ok(f"{what} has the old container or the new one", not count.lost and count.cuts, count.lost[:5])


# Shutting down.

def shut_down(folder, flag):
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", flag))
    finally:
        os.close(fd)


class Editor(threading.Thread):
    """Plays edits until the disk is gone; `done` and `begun` count them."""

    def __init__(self, point, edits):
        super().__init__(daemon=True)
        self.point, self.edits = point, edits
        self.begun = self.done = 0

    def run(self):
        for i, edit in enumerate(self.edits):
            self.begun = i + 1
            try:
                edit(self.point, i)
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    return
            self.done = i + 1


def shut_once(path, name, options, edits, states, chance, count):
    work = path + ".cut"
    copy(path, work)
    flag = chance.choice(sorted(FLAGS))
    with mounted(work, "cut") as folder:
        daemon, point = serve(os.path.join(folder, name), options)
        syncing, editor = Syncing(folder, chance.random()), Editor(point, edits)
        syncing.start()
        editor.start()
        last = chance.randrange(len(edits))
        while editor.begun <= last and editor.is_alive():
            time.sleep(0.0005)
        time.sleep(chance.random() * 0.02)
        done = editor.done
        shut_down(folder, FLAGS[flag])
        editor.join()
        begun = editor.begun
        daemon.kill()
        daemon.wait()
        run("umount", "-l", point)
        syncing.end()
    with mounted(work, "cut") as folder:
        examine(folder, name, states[done:begun + 1], count, f"in edit {done} to {begun}, {flag}")


def shut(label, kind, mode, edits, wanted, seed, large=0):
    """A behaviour: so many times a file system goes down under a session of repeatable edits, all survived."""
    system, chance, count = SYSTEMS[label], random.Random(seed), Count()
    path, name = template(system, kind, large)
    how = f"commit-mode={mode},shift-from=1"
    copy(path, path + ".cut")
    with mounted(path + ".cut", "cut") as folder:
        states = play(folder, name, how, edits, lambda i: None)
    for _ in range(wanted):
        shut_once(path, name, how, edits, states, chance, count)
    say(f"{label}, {kind.name}, {mode}: a file system that went down", count)
    return count


# Full disks.

@contextlib.contextmanager
def nearly_full(label, kind, free):
    """A disk of 20 MB with a model of 6 and so many bytes left; the model's path, and what fills the disk."""
    weights = formats.grid(3, 3)
    weights["layer0", "w0"] = weights["layer0", "w0"].repeat((6 << 20) // 64)
    source = formats.model(kind, "source", weights)
    folder = os.path.join(TEST_DIR, "full")
    os.makedirs(folder, exist_ok=True)
    if label == "tmpfs":
        assert not run("mount", "-t", "tmpfs", "-o", "size=20M", "none", folder).returncode
    else:
        disk = os.path.join(memory(), "full.img")
        made = shell(f"rm -f {disk}; truncate -s 20M {disk} && mkfs.ext4 -q -m 0 {disk} && mount -o loop {disk} {folder}")
        assert not made.returncode, made.stderr
    try:
        model, filler = os.path.join(folder, "model" + kind.suffix), os.path.join(folder, "filler")
        shutil.copyfile(source, model)
        with open(filler, "wb") as file:
            fill_up(file, folder, free)
        yield model, filler
    finally:
        insist("umount", folder)


def fill_up(file, folder, free):
    for size in (1 << 20, 1 << 16, 4096):
        with contextlib.suppress(OSError):
            while os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize >= free + size:
                file.write(bytes(size))
                file.flush()


def full(label, kind, mode, free):
    """Each edit on a disk with so little room: it is made, or refused and the container is as before."""
    wrong, made, refused = [], 0, 0
    with nearly_full(label, kind, free) as (model, filler):
        daemon, point = serve(model, f"commit-mode={mode},shift-from=1")
        for i, edit in enumerate(edits_of(kind)):
            before = read(model)
            try:
                edit(point, i)
                made += 1
                kind.load(model)
            except OSError as error:
                refused += 1
                if read(model) != before or error.errno not in (errno.ENOSPC, errno.EOPNOTSUPP, errno.ENOENT):
                    wrong.append(f"{edit.__name__}: {error}, the container is another one")
        os.unlink(filler)
        patch(point, 77)
        done = run(WEIGHTFS, "--unmount", point)
        daemon.wait()
        left = [entry for entry in os.listdir(os.path.dirname(model)) if entry.startswith(".weightfs-")]
        if kind.load(model)[0] != "edit 000077" or left:
            wrong.append(f"at the end: {kind.load(model)[0]}, left {left}, {done.stderr}")
    ok(f"{label}, {kind.name}, {mode}, {free} bytes left: {made} edits made, {refused} refused", not wrong, wrong)
