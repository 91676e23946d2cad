"""The other half of hdf5_edits.c: makes the file that is edited, and reads with h5py what
became of it.

    hdf5_edits.py make FILE [latest]
    hdf5_edits.py NAME FILE         checks the outcome of the edit NAME, says what is wrong
"""

import sys

import h5py
import numpy as np

A = np.arange(24 * 35, dtype="<f4").reshape(24, 35)
GZIP = dict(chunks=(10, 10), compression="gzip", shuffle=True, fletcher32=True)


def make(path, libver):
    with h5py.File(path, "w", libver=libver, userblock_size=1024, track_order=True) as f:
        f.attrs["title"] = "a model"
        f.attrs["fixed"] = np.bytes_(b"abc")
        f.attrs["fixed_list"] = np.array([b"a", b"bc"])
        f.attrs["small"] = np.int8(3)
        f.attrs["big_endian"] = np.array([1, 2], ">i4")
        f.attrs["list"] = [1, 2, 3]
        f.attrs["flag"] = True
        f.attrs["float"] = np.float32(0.1)
        f.attrs["null"] = h5py.Empty("f4")
        ragged = np.empty(2, object)
        ragged[:] = np.array([1], "i4"), np.array([2, 3], "i4")
        f.attrs.create("ragged", ragged, dtype=h5py.vlen_dtype("i4"))
        f.attrs["ref"] = f.ref
        f.attrs["last"] = "end"
        f["plain"] = A
        f["big"] = A.astype(">f4")
        f.create_dataset("gzip", data=A, **GZIP)
        f.create_dataset("lzf", data=A, chunks=(7, 9), compression="lzf", shuffle=True)
        f.create_dataset("big_gzip", data=A.astype(">f4"), **GZIP)
        f.create_dataset("grows", data=A, maxshape=(None, 35), **GZIP)
        f.create_dataset("unwritten", (100, 100), "f4", fillvalue=7)
        f.create_dataset("holes", (100, 100), "f4", fillvalue=7, **GZIP)
        f["strings"] = ["one", "two"]
        f["scalar"] = np.float64(0.5)
        f["void"] = np.array([b"\1\2", b"\3\4"], "V2")
        f["void"].attrs["dtype"] = "bfloat16"
        f["plain"].attrs["units"] = "m"
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        h5py.h5d.create(f.id, b"compact", h5py.h5t.STD_I16LE, h5py.h5s.create_simple((4,)),
                        plist).write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(4, dtype="i2"))
        for group in ("a", "b", "c"):
            f.create_group(group, track_order=True).attrs["n"] = 1
            f[group]["w"] = np.full(3, ord(group), "i4")
        f["a"].create_group("inner")["x"] = np.arange(5)
        f["soft"] = h5py.SoftLink("/a/inner")
        f["outside"] = h5py.ExternalLink("other.h5", "/x")
        f["shared"] = f["c/w"]


def names(group):
    found = []
    group.id.links.iterate(lambda name, _: found.append(name.decode()),
                           idx_type=h5py.h5.INDEX_CRT_ORDER, info=True)
    return found


def eq(found, expected):
    if isinstance(expected, (tuple, list)) and len(found) == len(expected):
        for pair in zip(found, expected):
            eq(*pair)
    elif not np.array_equal(found, expected):
        raise SystemExit(f"expected {expected!r}, found {found!r}")


ORDER = ["plain", "big", "gzip", "lzf", "big_gzip", "grows", "unwritten", "holes", "strings",
         "scalar", "void", "compact", "a", "b", "c", "soft", "outside", "shared"]
ATTRIBUTES = ["title", "fixed", "fixed_list", "small", "big_endian", "list", "flag", "float",
              "null", "ragged", "ref", "last"]


def untouched(f, *edited):
    """What no edit named is as it was."""
    for name, value in (("plain", A), ("big", A), ("gzip", A), ("lzf", A), ("big_gzip", A),
                        ("grows", A), ("unwritten", np.full((100, 100), 7)),
                        ("holes", np.full((100, 100), 7)), ("strings", [b"one", b"two"]),
                        ("scalar", 0.5), ("compact", np.arange(4)), ("a/w", [97] * 3),
                        ("b/w", [98] * 3), ("c/w", [99] * 3), ("a/inner/x", np.arange(5))):
        if name not in edited:
            eq(f[name][()], value)
    eq(f["gzip"].chunks, (10, 10))
    eq((f["gzip"].compression, f["gzip"].shuffle, f["gzip"].fletcher32),
       ("gzip", True, True))
    eq((f["lzf"].compression, f["lzf"].chunks), ("lzf", (7, 9)))
    eq(f["big"].dtype.str, ">f4")


def contents(f):
    """Ten elements from element 40 on are -1."""
    changed = A.copy()
    changed.flat[40:50] = -1
    for name in ("plain", "big", "gzip", "lzf", "big_gzip", "grows"):
        eq(f[name][()], changed)
    filled = np.full((100, 100), 7, "f4")
    filled.flat[40:50] = -1
    eq(f["unwritten"][()], filled)
    eq(f["holes"][()], filled)
    eq(f["holes"].id.get_num_chunks(), 1)
    eq(f["compact"][()], [0, -1, 2, 3])
    eq(names(f), ORDER)
    untouched(f, "plain", "big", "gzip", "lzf", "big_gzip", "grows", "unwritten", "holes",
              "compact")


def whole(f):
    """All elements are new."""
    for name in ("plain", "big", "gzip", "lzf", "big_gzip", "grows"):
        eq(f[name][()], A + 1)
    untouched(f, "plain", "big", "gzip", "lzf", "big_gzip", "grows")


def attributes(f):
    a = f.attrs
    eq(list(a), [*ATTRIBUTES, "new", "new_int", "new_float", "new_flag", "new_list", "größe"])
    eq(a["title"], "another model, größer")
    eq(a["fixed"], b"a longer text")
    eq(a["fixed_list"], [b"a", b"bc", b"def"])
    eq((a["small"], a["small"].dtype), (-128, np.int8))
    eq((list(a["big_endian"]), a["big_endian"].dtype.str), ([1, 3], ">i4"))
    eq(a["list"], [1, 2])
    eq((a["flag"], a["flag"].dtype), (False, bool))
    eq((a["float"], a["float"].dtype), (np.float32(0.2), np.float32))
    eq(isinstance(a["null"], h5py.Empty), True)
    eq([list(x) for x in a["ragged"]], [[1], [2, 3, 4]])
    eq(f[a["ref"]].name, "/")
    eq(a["last"], "end")
    eq((a["new"], a["new_int"], a["new_float"], a["new_flag"], list(a["new_list"])),
       ("text", 5, 0.5, True, [[1, 2], [3, 4]]))
    eq(a["größe"], "x")
    eq(names(f), ORDER)
    untouched(f)


def removed_attributes(f):
    eq(list(f.attrs), ["title", "last"])
    eq(list(f["a"].attrs), [])
    untouched(f)


def long_text(f):
    eq(f.attrs["fixed"], "x" * 100000)
    eq(list(f.attrs), ATTRIBUTES)
    untouched(f)


def structure(f):
    """gzip is gone; a and b changed names; c is in a new group c; inner moved to the root;
    a tensor and a group are new."""
    eq("gzip" in f, False)
    eq((f["b/w"][()].tolist(), f["a/w"][()].tolist()), ([97] * 3, [98] * 3))
    eq((f["a"].attrs["n"], f["b"].attrs["n"]), (1, 1))
    eq(f["inner/x"][()], np.arange(5))
    eq("inner" in f["b"], False)
    eq(f["new/group/tensor"][()], np.array([1, 2], "f4"))
    eq(f["new/group/tensor"].attrs["units"], "kg")
    eq(f["new/group/half"].dtype.str, "<f2")
    eq(f["new/group/marked"].attrs["dtype"], "bfloat16")
    eq(f["new/group/größe"][()], 1)
    eq(len(f["new/empty"]), 0)
    eq(f["plain"][()], A)


def folders(f):
    """b went into a new group with its own old name."""
    eq(f["b/b/w"][()], [98] * 3)
    eq(list(f["b"]), ["b"])
    eq(f["other"][()], A)
    eq(f.get("gone", getlink=True).path, "/a/inner")
    untouched(f, "b/w", "plain")


def types(f):
    eq(f["plain"][()], A.reshape(35, 24))
    eq(f["plain"].attrs["units"], "m")
    eq(f["big"].shape, (12, 35))
    eq((f["gzip"][()], f["gzip"].dtype), (A.view("<i4"), np.dtype("<i4")))
    eq(f["gzip"].chunks, (10, 10))
    eq(f["grows"][()], np.vstack([A, np.zeros((6, 35))]))
    eq(f["grows"].maxshape, (None, 35))
    eq(f["lzf"][()], A.reshape(-1)[:35 * 20].reshape(20, 35))
    eq(f["lzf"].compression, "lzf")
    eq(f["void"].dtype, np.dtype("<u2"))
    eq("dtype" in f["void"].attrs, False)
    eq(f["c/w"][()], np.array([99] * 3, "i4").view("f4"))
    eq(f["c/w"].id, f["shared"].id)
    eq(names(f), ORDER)


def sidecars(f):
    eq(f["plain"].attrs["units"], "km")
    eq(f["plain"].attrs["more"], 1)
    eq(f["strings"][()], [b"uno", b"two"])
    untouched(f, "strings")


def main(args):
    if args[0] == "make":
        make(args[1], "latest" if len(args) > 2 else None)
        return
    with h5py.File(args[1], "r") as f:
        globals()[args[0]](f)


main(sys.argv[1:])
