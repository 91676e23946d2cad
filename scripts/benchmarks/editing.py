"""The whole job: mount, change one value with sed, unmount; on every file system."""

import itertools
import os

from . import models
from .jobs import python, run, timed
from .places import Mounted, available, file_system, kind_of, weigh, with_memory

SAVE = """
import sys
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
with safe_open(sys.argv[1], "numpy") as file:
    metadata = file.metadata()
metadata["note"] = sys.argv[2]
save_file(load_file(sys.argv[1]), sys.argv[1] + ".new", metadata)
import os
os.replace(sys.argv[1] + ".new", sys.argv[1])
"""
H5PY = """
import sys
import h5py
with h5py.File(sys.argv[1], "r+") as file:
    file.attrs["note"] = sys.argv[2]
"""
H5PY_SAVE = """
import os, sys
import h5py
with h5py.File(sys.argv[1]) as old, h5py.File(sys.argv[1] + ".new", "w", libver="latest") as new:
    loaded = {}
    old.visititems(lambda name, item: loaded.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    new.attrs["note"] = sys.argv[2]
    for name, data in loaded.items():
        new.create_dataset(name, data=data)
os.replace(sys.argv[1] + ".new", sys.argv[1])
"""
NOTES = itertools.cycle("bcdefghijklmnopqrstuvwxyz")
MAKE = {"safetensors": models.safetensors, "HDF5": models.hdf5}


def edit(mnt):
    """As a person does it."""
    return run("sed", "-i", f's/"note": "[a-z]*"/"note": "{next(NOTES)}"/', mnt / "metadata.json")


def whole(model):
    def job():
        with Mounted(model) as mnt:
            edit(mnt)
    return timed(job)


def copy(model):
    """The limit of every rewrite. Where blocks can be shared they are not: that is another job."""
    figure = run("cp", "--reflink=never", model, model + ".copy")
    os.unlink(model + ".copy")
    os.sync()
    return figure


def sed(table, model, name):
    with Mounted(model) as mnt:
        times = sorted(edit(mnt).seconds for _ in range(9))
    table.fact(f"  sed -i alone, {name}", f"{times[4] * 1000:.1f} ms", "at most 20 ms", times[4] <= 0.02)


def against_python(table, job, kind, model, ours, interpreter):
    """Load, change, save; only where the model fits into memory twice."""
    if available() < 2.2 * os.path.getsize(model):
        table.skip(f"{job}; load, change, save in Python", "the memory is too small")
    elif kind == "HDF5":
        table.compare(f"{job}; h5py loads and saves", ours, lambda: python(H5PY_SAVE, model, next(NOTES)),
                      0.01, rounds=2)
    elif interpreter:
        table.compare(f"{job}; safetensors loads and saves", ours,
                      lambda: python(SAVE, model, next(NOTES), interpreter=interpreter), 0.01, rounds=2)
    else:
        table.skip(f"{job}; safetensors loads and saves", "scripts/bench --install installs it")


def one(table, folder, kind, size, copied, interpreter):
    """A model of one format on one file system; returns what cp took."""
    name = f"{size >> 30} GB {kind} on {kind_of(folder)}"
    model = MAKE[kind](os.path.join(folder, "model"), 64, size)
    job = f"mount, sed -i, unmount: {name}"
    peak = weigh(model, edit)

    def ours():
        return with_memory(whole(model), peak)
    copied = copied or copy(model)
    table.put(f"{job}; cp", [(ours(), copied) for _ in range(5)], 0.01)
    if kind == "HDF5":
        table.compare(f"{job}; h5py in place, unguarded", ours, lambda: python(H5PY, model, next(NOTES)), 1)
    sed(table, model, name)
    if size <= 4 << 30 and kind_of(folder) == kind_of(os.path.dirname(folder)):
        against_python(table, job, kind, model, ours, interpreter)
    os.unlink(model)
    return copied


def place(table, folder, sizes, interpreter):
    for size in sizes:
        copied = None
        for kind in MAKE:
            copied = one(table, folder, kind, size, copied, interpreter)


def fitting(kind, sizes):
    """What a model and its copy have room for, where that is memory."""
    return [size for size in sizes if kind != "tmpfs" or available() > 2.2 * size + (1 << 30)]


def measure(table, folder, interpreter):
    sizes = [1 << 30] if table.quick else [4 << 30, 10 << 30]
    here = kind_of(folder)
    place(table, folder, sizes, interpreter)
    for kind in ("tmpfs",) if table.quick else ("ext4", "xfs", "btrfs", "tmpfs"):
        if kind == here:
            continue
        if os.geteuid() != 0:
            table.skip(f"the same on {kind}", "only root can mount it")
            continue
        some = fitting(kind, sizes)
        if len(some) < len(sizes):
            table.skip(f"{sizes[-1] >> 30} GB on {kind}", "the memory is too small")
        if some:
            with file_system(kind, folder, 2 * (some[-1] >> 30) + 2) as path:
                place(table, path, some, interpreter)

