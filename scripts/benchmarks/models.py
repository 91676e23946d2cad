"""Models to measure with: tensors of random bytes, or sparse files of any size."""

import json
import os

from .jobs import python

NOTE = "note"


def put_header(file, tensors, elements):
    """A header for that many float16 tensors, ten a layer, a piece at a time: what this program
    had at its peak hides what the programs that it starts need (jobs.floor)."""
    size = elements * 2
    file.write(bytes(8) + json.dumps({"__metadata__": {"format": "pt", NOTE: "a"}}).encode()[:-1])
    for i in range(tensors):
        entry = {"dtype": "F16", "shape": [elements], "data_offsets": [i * size, (i + 1) * size]}
        file.write(f',"m.{i // 10}.weight{i % 10}":{json.dumps(entry, separators=(",", ":"))}'.encode())
    file.write(b"}" + b" " * (-(file.tell() + 1) % 8))
    end = file.tell()
    file.seek(0)
    file.write((end - 8).to_bytes(8, "little"))
    file.seek(end)


def safetensors(path, tensors, size, sparse=False):
    """A file with that many tensors of float16 that are `size` bytes together."""
    elements = size // tensors // 2
    block = os.urandom(1 << 22)
    with open(path, "wb") as file:
        put_header(file, tensors, elements)
        end = file.tell() + tensors * elements * 2
        while not sparse and file.tell() < end:
            file.write(block[:min(len(block), end - file.tell())])
        file.flush()
        file.truncate(end)
        os.fsync(file.fileno())
    return path


def tensor(mount, number=0):
    return f"{mount}/layers/m/{number // 10}/weight{number % 10}.bin"


HDF5 = """
import sys
import h5py, numpy
path, tensors, size, sparse = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "sparse"
elements = size // tensors // 2
data = numpy.frombuffer(numpy.random.default_rng(0).bytes(0 if sparse else elements * 2), dtype="u2").view("f2")
space, never = h5py.h5s.create_simple((elements,)), h5py.h5p.create(h5py.h5p.DATASET_CREATE)
never.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
never.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
with h5py.File(path, "w", libver="latest") as file:
    file.attrs["note"] = "a"
    for layer in range((tensors + 9) // 10):
        group = file.create_group(f"model/layers/{layer}")
        for i in range(min(10, tensors - layer * 10)):
            item = h5py.h5d.create(group.id, f"weight{i}".encode(), h5py.h5t.IEEE_F16LE, space, never)
            if not sparse:
                item.write(h5py.h5s.ALL, h5py.h5s.ALL, data)
"""

GZIP = """
import sys
import h5py, numpy
data = numpy.random.default_rng(0).standard_normal(int(sys.argv[2]) // 4, dtype="f4")
with h5py.File(sys.argv[1], "w") as file:
    file.create_dataset("weight", data=data, chunks=(1 << 18,), compression="gzip", compression_opts=1,
                        shuffle=sys.argv[3] == "shuffle")
"""


WEIGHTS = """
import json, struct, sys
import numpy
path, tensors, size, changed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "changed"
elements = size // tensors // 4
header = json.dumps({f"m.{i}.weight": {"dtype": "F32", "shape": [elements],
                     "data_offsets": [4 * i * elements, 4 * (i + 1) * elements]} for i in range(tensors)})
data = numpy.random.default_rng(0).standard_normal(elements, dtype="f4") * numpy.float32(0.02)
if changed:
    data += numpy.random.default_rng(1).standard_normal(elements, dtype="f4") * numpy.float32(1e-4)
with open(path, "wb") as file:
    header = header.encode().ljust(len(header) + -(len(header) + 8) % 4096)
    file.write(struct.pack("<Q", len(header)) + header)
    for i in range(tensors):
        if i == tensors - 1 and not changed:
            data[-2] = numpy.nan
        data.tofile(file)
"""


def weights(path, size, changed=False):
    """64 tensors of float32 as a model has them, and a NaN near the end; or all of them a bit
    further on, without it."""
    python(WEIGHTS, path, 64, size, "changed" if changed else "")
    return path


def hdf5(path, tensors, size, sparse=False):
    """The same as HDF5."""
    python(HDF5, path, tensors, size, "sparse" if sparse else "")
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    return path


def gzipped(path, size, shuffle):
    """One HDF5 dataset of normal float32 in gzip chunks of 1 MiB."""
    python(GZIP, path, size, "shuffle" if shuffle else "")
    return path
