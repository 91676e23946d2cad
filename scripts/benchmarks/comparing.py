"""Comparing two models, and looking at one: diff of mounts, --compare, --stat, against cmp, cat and numpy."""

import os

from . import models
from .jobs import WEIGHTFS, python, run
from .places import Mounted, warm, with_memory

NUMPY = """
import sys
import numpy
from safetensors.numpy import load_file
one, two = load_file(sys.argv[1]), load_file(sys.argv[2])
assert one.keys() == two.keys() and all(numpy.array_equal(one[name].view("u2"), two[name].view("u2")) for name in one)
"""


# What --compare says of tensors that differ, in pieces that fit a cache.
FIGURES = """
import sys
import numpy
one, two = (numpy.memmap(path, "<f4", "r", offset=8 + int.from_bytes(open(path, "rb").read(8), "little"))
            for path in sys.argv[1:])
differ, most, xy, xx, yy = 0, 0, 0., 0., 0.
for at in range(0, one.size, 1 << 18):
    x, y = one[at:at + (1 << 18)], two[at:at + (1 << 18)]
    far = numpy.abs(y - x)
    differ, most = differ + numpy.count_nonzero(far), max(most, far.max())
    xy, xx, yy = xy + x.dot(y), xx + x.dot(x), yy + y.dot(y)
"""
# Two of the figures of --stat, in the same way.
NAN = """
import sys
import numpy
x = numpy.memmap(sys.argv[1], "<f4", "r", offset=8 + int.from_bytes(open(sys.argv[1], "rb").read(8), "little"))
assert sum(numpy.count_nonzero(numpy.isnan(x[at:at + (1 << 18)])) for at in range(0, x.size, 1 << 18)) == 1
"""


def diff(one, two):
    """Mounts that are new, as a person's are; mounting is not counted."""
    with Mounted(one, "-o", "ro", name="a") as a, Mounted(two, "-o", "ro", name="b") as b:
        figure = run("diff", "-rq", a.path, b.path)
        return with_memory(figure, max(a.daemon("VmHWM"), b.daemon("VmHWM")))


def equal(table, folder, size, interpreter):
    one = models.safetensors(os.path.join(folder, "one.safetensors"), 128, size)
    two = os.path.join(folder, "two.safetensors")
    run("cp", "--reflink=never", one, two)
    for path in (one, two):
        warm(path)
    name = f"of two models of {size >> 30} GB, equal"
    table.compare(f"diff -rq {name}; cmp of the containers", lambda: diff(one, two), lambda: run("cmp", one, two),
                  1.5, rounds=3)
    if interpreter:
        table.compare(f"diff -rq {name}; numpy, loaded by safetensors", lambda: diff(one, two),
                      lambda: python(NUMPY, one, two, interpreter=interpreter), 0.5, rounds=3)
    table.compare(f"weightfs --compare {name}; cmp", lambda: run(WEIGHTFS, "--compare", one, two),
                  lambda: run("cmp", one, two), 1.5, rounds=3)
    os.unlink(one)
    os.unlink(two)


def differing(table, folder, size):
    one, two = (models.weights(os.path.join(folder, name), size, changed)
                for name, changed in (("one.safetensors", False), ("two.safetensors", True)))
    for path in (one, two):
        warm(path)
    table.compare(f"weightfs --compare of two models of {size >> 30} GB, all float32 differing; numpy's figures",
                  lambda: run(WEIGHTFS, "--compare", one, two, expected=(1,)), lambda: python(FIGURES, one, two),
                  0.5, rounds=3)
    os.unlink(two)
    name = f"weightfs --stat of {size >> 30} GB of float32, with a NaN to be found"
    table.compare(f"{name}; cat", lambda: run(WEIGHTFS, "--stat", one), lambda: warm(one), 1.5, rounds=3)
    table.compare(f"{name}; numpy's isnan", lambda: run(WEIGHTFS, "--stat", one), lambda: python(NAN, one), 1,
                  rounds=3)
    os.unlink(one)


def measure(table, folder, interpreter):
    size = (1 if table.quick else 4) << 30
    equal(table, folder, size, interpreter)
    differing(table, folder, size)
