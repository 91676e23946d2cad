"""Reading: a large tensor through the mount against the file that it lies in."""

import os
import subprocess

from . import models
from .jobs import Figure, output, python, run
from .places import Mounted, cool, warm, with_memory

H5PY = """
import sys
import h5py, numpy
with h5py.File(sys.argv[1]) as file:
    data = file["weight"]
    room = numpy.empty(1 << 20, "f4")
    for at in range(0, data.shape[0], len(room)):
        data.read_direct(room, numpy.s_[at:at + len(room)])
"""


class Reader:
    """The compiled reader.c."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "reader")
        run("cc", "-O2", "-o", self.path, os.path.join(os.path.dirname(__file__), "reader.c"))

    def __call__(self, *arguments):
        said = subprocess.run([self.path, *map(str, arguments)], capture_output=True, text=True, check=True)
        return Figure(float(said.stdout.split()[0]))


def in_turn(table, name, model, prepare, targets, job):
    """Rounds of a mount that is new each time: first and second pass, the file by turns."""
    first, second = [], []
    for _ in range(3 if table.quick else 5):
        prepare(model)
        with Mounted(model, "-o", "ro") as mnt:
            path = models.tensor(mnt.path)
            ours = job(path)
            prepare(model)
            peer = job(model)
            peak = mnt.daemon("VmHWM")
            first.append((with_memory(ours, peak), peer._replace(memory=0)))
            if len(targets) > 1:
                second.append((job(path), job(model)._replace(memory=0)))
    table.put(name[0], first, targets[0], speed=True)
    if second:
        table.put(name[1], [(a._replace(memory=0), b) for a, b in second], targets[1], speed=True)


def sequential(table, reader, model, size):
    what = f"a tensor of {size >> 30} GB"
    in_turn(table, (f"cold read of {what}, cat; the file",), model, cool, (0.85,), lambda path: run("cat", path))
    in_turn(table, (f"first read of {what}, cat; the file in memory", "second read"), model, warm, (0.25, 0.6),
            lambda path: run("cat", path))
    in_turn(table, ("the same by dd bs=1M, first read", "second read"), model, warm, (None, None),
            lambda path: run("dd", f"if={path}", "of=/dev/null", "bs=1M"))
    in_turn(table, ("the same through mmap, a byte of each page: first", "second"), model, warm, (None, None),
            lambda path: reader("touch", path))


def random(table, reader, model):
    """Misses go to us, a request each; hits to the kernel's cache of the mount."""
    hits, misses, seed = [], [], 0
    n = 50_000
    warm(model)
    for _ in range(3 if table.quick else 5):
        with Mounted(model, "-o", "ro") as mnt:
            path = models.tensor(mnt.path)
            misses.append((reader("random", path, n, seed), reader("random", model, n, seed)))
            warm(path)
            hits.append((reader("random", path, 10 * n, seed), reader("random", model, 10 * n, seed)))
        seed += n
    table.put("random reads of 4 KiB, all hits in the mount's cache; the file", hits, 0.7, speed=True)
    table.put("random reads of 4 KiB, all misses; the file in memory", misses, 0.05, speed=True)


def gzip(table, folder):
    size = (128 if table.quick else 512) << 20
    for shuffle in (False, True):
        model = models.gzipped(os.path.join(folder, "gzip.h5"), size, shuffle)
        name = f"{size >> 20} MB in gzip{' and shuffle' if shuffle else ''} chunks of HDF5, cat; h5py"

        def ours(path=model):
            with Mounted(path, "-o", "ro") as mnt:
                figure = run("cat", mnt / "layers/weight.bin")
                return with_memory(figure, mnt.daemon("VmHWM"))
        table.compare(name, ours, lambda path=model: python(H5PY, path), 3, rounds=3, speed=True)
        os.unlink(model)


def measure(table, folder, _):
    if not output("cc", "--version"):
        table.skip("reading", "there is no compiler for scripts/benchmarks/reader.c")
        return
    reader = Reader(folder)
    size = (1 if table.quick else 2) << 30
    model = models.safetensors(os.path.join(folder, "one.safetensors"), 1, size)
    sequential(table, reader, model, size)
    random(table, reader, model)
    os.unlink(model)
    gzip(table, folder)
