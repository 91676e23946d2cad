"""Mounting: time and memory against the size of the file and the number of its tensors."""

import os

from . import models
from .jobs import python, timed
from .places import Mounted, with_memory

PARSE = """
import json, sys
with open(sys.argv[1], "rb") as file:
    json.loads(file.read(int.from_bytes(file.read(8), "little")))
"""
WALK = """
import sys
import h5py
names = []
with h5py.File(sys.argv[1]) as file:
    file.visititems(lambda name, item: names.append((name, getattr(item, "shape", None))))
"""
LIST = """
import sys
from safetensors import safe_open
with safe_open(sys.argv[1], "numpy") as file:
    [file.get_slice(name).get_shape() for name in file.keys()]
"""


def mount(model):
    """A mount and its end."""
    def job():
        with Mounted(model, "-o", "ro"):
            pass
    return timed(job)


def memory(model):
    with Mounted(model, "-o", "ro") as mnt:
        return mnt.daemon("VmHWM"), mnt.daemon("VmRSS")


def compare(table, name, model, peer, target, rounds=5):
    peak, rest = memory(model)
    row = table.compare(name, lambda: with_memory(mount(model), peak), peer, target, rounds=rounds)
    return row.ours, peak, rest


def per_tensor(table, what, one, many, tensors, limits):
    """What each tensor costs beyond the first one's mount."""
    micro, most = limits
    took = (many[0] - one[0]) / tensors * 1e6
    table.fact(f"  a tensor of these: time, {what}", f"{took:.2f} us", f"at most {micro:g} us" if micro else "",
               took <= micro if micro else None)
    for column, name in ((1, "peak"), (2, "resident")):
        cost = (many[column] - one[column]) * 1024 / tensors
        table.fact(f"  a tensor of these: {name} memory, {what}", f"{cost:.0f} bytes",
                   f"at most {most}" if most else "", cost <= most if most else None)


def safetensors(table, folder, interpreter):
    limits = {1000: (None, None), 100_000: (3, 400), 1_000_000: (3, 400)}
    one = None
    for tensors in (1, 1000, 100_000) if table.quick else (1, 1000, 10_000, 100_000, 1_000_000):
        model = models.safetensors(os.path.join(folder, "many.safetensors"), tensors, 100 * 10 ** 9, sparse=True)
        name = f"mount, unmount: 100 GB of safetensors, {tensors:,} tensors"
        figures = compare(table, f"{name}; Python's json", model, lambda path=model: python(PARSE, path),
                          1.5, rounds=3 if tensors > 10_000 else 7)
        one = one or figures
        if tensors == 1000:
            table.fact("  memory at the peak", f"{figures[1] / 1024:.1f} MB", "at most 32 MB", figures[1] <= 32768)
        if limits.get(tensors, (None,))[0]:
            per_tensor(table, f"{tensors:,}", one, figures, tensors, limits[tensors])
        if interpreter and tensors == 100_000:
            table.compare("  the same; safetensors lists names and shapes", lambda path=model: mount(path),
                          lambda path=model: python(LIST, path, interpreter=interpreter), rounds=3)
        os.unlink(model)


def sizes(table, folder):
    """The same number of tensors in files of other sizes."""
    for gigabytes in (1, 1000):
        model = models.safetensors(os.path.join(folder, "size.safetensors"), 1000, gigabytes * 10 ** 9, sparse=True)
        compare(table, f"mount, unmount: {gigabytes:,} GB of safetensors, 1,000 tensors; Python's json", model,
                lambda path=model: python(PARSE, path), 1.5, rounds=7)
        os.unlink(model)


def hdf5(table, folder):
    one = None
    for tensors in (1, 1000) if table.quick else (1, 1000, 100_000):
        model = models.hdf5(os.path.join(folder, "many.h5"), tensors, 100 * 10 ** 9, sparse=True)
        figures = compare(table, f"mount, unmount: 100 GB of HDF5, {tensors:,} tensors; h5py lists them", model,
                          lambda path=model: python(WALK, path), 1.5, rounds=3)
        one = one or figures
        if tensors == 1000:
            table.fact("  memory at the peak", f"{figures[1] / 1024:.1f} MB", "at most 32 MB", figures[1] <= 32768)
        if tensors == 100_000:
            per_tensor(table, f"{tensors:,}, HDF5", one, figures, tensors, (3, 400))
        os.unlink(model)


def measure(table, folder, interpreter):
    safetensors(table, folder, interpreter)
    sizes(table, folder)
    hdf5(table, folder)
