"""Comparing two models: diff of their mounts, weightfs --compare, against cmp and Python."""

import os

from . import models
from .jobs import WEIGHTFS, output, python, run
from .places import Mounted, warm, with_memory

NUMPY = """
import sys
import numpy
from safetensors.numpy import load_file
one, two = load_file(sys.argv[1]), load_file(sys.argv[2])
assert one.keys() == two.keys() and all(numpy.array_equal(one[name].view("u2"), two[name].view("u2")) for name in one)
"""


def diff(one, two):
    """Mounts that are new, as a person's are; mounting is not counted."""
    with Mounted(one, "-o", "ro", name="a") as a, Mounted(two, "-o", "ro", name="b") as b:
        figure = run("diff", "-rq", a.path, b.path)
        return with_memory(figure, max(a.daemon("VmHWM"), b.daemon("VmHWM")))


def measure(table, folder, interpreter):
    size = (1 if table.quick else 4) << 30
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
    if "--compare" in output(WEIGHTFS, "--help"):
        table.compare(f"weightfs --compare {name}; cmp", lambda: run(WEIGHTFS, "--compare", one, two),
                      lambda: run("cmp", one, two), 1.5, rounds=3)
    else:
        table.skip("weightfs --compare", "this weightfs does not have it")
    os.unlink(one)
    os.unlink(two)
