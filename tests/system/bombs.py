"""Containers that no honest program writes: few bytes that would be much, and lies.

BOMBS has (format, what, make(path)); a new format joins with lines of its own. What is said
of one is said of each: see hostile-doors.
"""

import json
import os
import struct
import zlib

import h5py
import numpy

from formats import named

SAFETENSORS, HDF5 = named("safetensors"), named("HDF5")
BOMBS = []
LATEST = ("latest", "latest")
W = bytes(range(16))


def h5_bomb(what, **how):
    """Puts the function below into the table, which fills an open HDF5 file."""
    def add(fill):
        def make(path):
            with h5py.File(path, "w", **how) as file:
                fill(file)
        BOMBS.append((HDF5, what, make))
        return fill
    return add


def container(header, data=b""):
    if isinstance(header, (dict, str)):
        header = (header if isinstance(header, str) else json.dumps(header)).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(header)) + header + data


def entry(begin=0, end=16, dtype="F32", shape=(4,)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def saves(what, data):
    def make(path):
        with open(path, "wb") as file:
            file.write(data)
    BOMBS.append((SAFETENSORS, what, make))


def safetensors():
    top = (1 << 64) - 1
    # Empty, cut short, and lengths that lie.
    for what, data in (("nothing", b""), ("seven bytes", W[:7]), ("a header of no bytes", bytes(8)),
                       ("a header of 2^64 - 1 bytes", b"\xff" * 8 + b"{}"),
                       ("a header beyond the end", struct.pack("<Q", 1 << 40) + b"{}"),
                       ("lists 100,000 deep", container("[" * 100_000)),
                       ("objects 100,000 deep", container('{"a":' * 100_000)),
                       ("metadata 1,000 deep", container('{"__metadata__":{"a":' + "[" * 1000 + "]" * 1000 + "}}")),
                       ("a name of 10,000 folders", container({"." * 10_000: entry()}, W))):
        saves(what, data)
    # Ranges that overlap, overflow or lie.
    for what, header in (("ranges that overlap", {"a": entry(0, 12, shape=(3,)), "b": entry(4, 16, shape=(3,))}),
                         ("a range beyond the end", {"a": entry(0, 1 << 40, shape=(1 << 38,))}),
                         ("a range backwards", {"a": entry(16, 0)}),
                         ("a range at the end of 64 bits", {"a": entry(top - 16, top)}),
                         ("a shape that overflows", {"a": entry(shape=(1 << 32, 1 << 32, 4))}),
                         ("a shape that overflows to the right size", {"a": entry(shape=(1 << 62, 4, 4))}),
                         ("a rank of 10,000", {"a": entry(0, 4, shape=(1,) * 10_000)})):
        saves(what, container(header, W))
    one = json.dumps(entry(0, 8, shape=(2,)))
    saves("one name three times",
          container('{"a":%s,"a":%s,"a":%s}' % (one, json.dumps(entry(8, 16, shape=(2,))), one), W))
    saves("metadata of one key 1,000 times",
          container('{"__metadata__":{' + ",".join(['"k":"v"'] * 1000) + '},"a":%s}' % json.dumps(entry()), W))
    names = ["..", "../../etc/passwd", "/etc/passwd", "a/../b", ".", "", "a\0b", "a\nb", "\r\x1b[2J", "\u202egnp",
             "\u200f", "\x7f", "\x9b31m", "x" * 10_000, "a." * 1000, "%2F", "%=2", "config", "a.bin", "\ud800"]
    header = {name: entry(16 * i, 16 * i + 16) for i, name in enumerate(names)}
    saves("names that lead out, act on a terminal, or are very long", container(header, W * len(names)))


safetensors()


@h5_bomb("groups 10,000 deep")
def _(file):
    for _ in range(10_000):
        file = file.create_group("g")
    file["w"] = 1.0


@h5_bomb("groups that hold each other")
def _(file):
    a, b = file.create_group("a"), file.create_group("b")
    a["b"], b["a"], a["me"], b["root"] = b, a, a, file["/"]
    a["w"] = b["w"] = numpy.float32(1)


@h5_bomb("40 levels of two links each: 2^40 paths")
def _(file):
    for _ in range(40):
        below = file.create_group(None)
        file["a"] = file["b"] = below
        file = below
    file["w"] = 1.0


@h5_bomb("soft links in a chain of 1,000 and in a ring")
def _(file):
    for i in range(1000):
        file[f"chain{i}"] = h5py.SoftLink(f"/chain{i + 1}")
        file[f"ring{i}"] = h5py.SoftLink(f"/ring{(i + 1) % 1000}")
    file["chain1000"] = 1.0


@h5_bomb("soft links that double with each step")
def _(file):
    file["d0"] = h5py.SoftLink("x" * 60_000)
    for i in range(40):
        file[f"d{i + 1}"] = h5py.SoftLink(f"d{i}/d{i}")


@h5_bomb("links that lead out, and names that act on a terminal")
def _(file):
    file["a"] = h5py.SoftLink("../../../etc/passwd")
    file["b"] = h5py.SoftLink("/..//../\x1b[2J")
    file["c"] = h5py.ExternalLink("/etc/passwd", "/\x1b]0;x\x07")
    for name in (b"..", b"\x1b[2J", b"a\nb", b"\xff\xfe", "\u202egnp".encode(), b"x" * 10_000):
        file[name] = 1.0
        file.attrs[name] = name.decode("utf-8", "replace")


def deflated_zeros(size):
    """What deflate makes of that many zeros, a multiple of 16 MiB, in no time."""
    part = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = part.compress(bytes(1 << 24)) + part.flush(zlib.Z_FULL_FLUSH)
    return b"\x78\xda" + block * (size >> 24) + part.flush() + struct.pack(">HH", size % 65521, 1)


@h5_bomb("a chunk of 1 GiB out of 1 MB")
def _(file):
    for name, size in (("honest", 1 << 30), ("lying", 1024)):
        data = file.create_dataset(name, (size,), "u1", chunks=(size,), compression="gzip")
        data.id.write_direct_chunk((0,), deflated_zeros(1 << 30))


@h5_bomb("2^60 elements of few bytes")
def _(file):
    file.create_dataset("filled", (1 << 60,), "f4", chunks=(1024,), fillvalue=3)
    file.create_dataset("plain", (1 << 60,), "f8")
    file.create_dataset("wide", (1 << 30, 1 << 30), "i1", chunks=(1 << 10, 1 << 10), compression="gzip")


@h5_bomb("text of 2^40 strings that were never written")
def _(file):
    file.create_dataset("text", (1 << 40,), h5py.string_dtype(), chunks=(1024,))


@h5_bomb("an attribute of 8 MiB and 2,000 others", libver=LATEST)
def _(file):
    file.attrs["large"] = numpy.zeros(1 << 20)
    for i in range(2000):
        file.attrs[f"a{i}"] = i


@h5_bomb("32 dimensions")
def _(file):
    file.create_dataset("stored", (1,) * 32, "f4", data=numpy.ones((1,) * 32, "f4"))
    file.create_dataset("chunked", (2,) * 32, "f4", chunks=(1,) * 22 + (2,) * 10, compression="gzip")



@h5_bomb("a type of 3,000 names, one of 800 members, one of 30 levels")
def _(file):
    file["enum"] = numpy.zeros(2, h5py.enum_dtype({f"n{i}": i for i in range(3000)}, "i4"))
    file["record"] = numpy.zeros(2, [(f"m{i}", "u1") for i in range(800)])
    nested = numpy.dtype("u1")
    for _ in range(30):
        nested = numpy.dtype([("a", nested), ("b", nested)] if nested.itemsize < 256 else [("a", nested)])
    file["nested"] = numpy.zeros(2, nested)


@h5_bomb("sequences of sequences, and references in a ring")
def _(file):
    ragged = h5py.vlen_dtype(numpy.dtype("i4"))
    data = file.create_dataset("ragged", (1000,), ragged)
    for i in range(1000):
        data[i] = range(i % 7)
    ring = file.create_dataset("ring", (2,), h5py.ref_dtype)
    ring[0], ring[1] = ring.ref, file.ref
    file.attrs["ring"] = file.ref


@h5_bomb("strings whose padding lies")
def _(file):
    for name, pad in (("terminated", h5py.h5t.STR_NULLTERM), ("padded", h5py.h5t.STR_NULLPAD),
                      ("spaces", h5py.h5t.STR_SPACEPAD)):
        kind = h5py.h5t.C_S1.copy()
        kind.set_size(8)
        kind.set_strpad(pad)
        space = h5py.h5s.create_simple((3,))
        data = h5py.h5d.create(file.id, name.encode(), kind, space)
        data.write(space, space, numpy.array([b"\xff\x1b[2Jxyz", b"        ", b"a\0b\0c\0d\0"], "S8"), mtype=kind)
        file[name].attrs.create("a", numpy.bytes_(b"\x1b[2J\xff\xff\xff\xff"))


@h5_bomb("10,000 groups of one name each")
def _(file):
    for i in range(10_000):
        file.create_group(f"g{i}")


def patched(what, fill, *changes, **how):
    """An HDF5 file in which bytes stand in the place of others: (old, offset from there, new)."""
    def make(path):
        with h5py.File(path, "w", **how) as file:
            fill(file)
        with open(path, "rb") as file:
            data = bytearray(file.read())
        for old, off, new in changes:
            at = data.index(old) + off
            data[at:at + len(new)] = new
        with open(path, "wb") as file:
            file.write(data)
    BOMBS.append((HDF5, what, make))


def small(file):
    file.attrs["text"] = "some text"
    file["words"] = numpy.array(["a", "longer"], h5py.string_dtype())
    file.create_dataset("chunked", (64,), "f4", chunks=(16,), compression="gzip", data=numpy.arange(64, dtype="f4"))
    file["g/w"] = numpy.arange(4, dtype="f4")


for lie in (0, 1 << 31, (1 << 64) - 1):
    patched(f"names of {lie} bytes", small, (b"HEAP", 8, struct.pack("<Q", lie)))
    patched(f"a free piece of names at {lie}", small, (b"HEAP", 16, struct.pack("<Q", lie)))
    patched(f"a heap of {lie} bytes", small, (b"GCOL", 8, struct.pack("<Q", lie)))
    patched(f"an object of a heap of {lie} bytes", small, (b"GCOL", 24, struct.pack("<Q", lie)))
    patched(f"a tree whose child is at {lie}", small, (b"TREE", 32, struct.pack("<Q", lie)))
    patched(f"a root group at {lie}", small, (b"\x89HDF", 64, struct.pack("<Q", lie)))
for what, sign, off in (("a tree of a group", b"TREE\0", 5), ("a tree of chunks", b"TREE\1", 5)):
    patched(f"{what} of level 255", small, (sign, off, b"\xff"))
    patched(f"{what} of 65,535 children", small, (sign, off + 1, b"\xff\xff"))


def make_bomb(form, make, folder):
    """Makes one of the table; its path."""
    path = os.path.join(folder, "bomb" + form.suffix)
    if os.path.exists(path):
        os.remove(path)
    make(path)
    return path
