"""Every single edit that a person can make in a tree, on files with all that HDF5 has.

The files hold what tree and container say differently: several names of one object, soft
links to and through others, references, dimension scales, named datatypes, layouts, many
links and attributes in a group; in plain HDF5 and in the forms of Keras. An edit is one
command, or one save, for each name that a mount shows.
"""

import json
import os
import shutil
import subprocess

import h5py
import numpy

from edits import sync
from formats import make_keras
from testing import Mount, TEST_DIR, WEIGHTFS, run

WITHOUT_ELEMENTS = ("config.json", "metadata.json", "attributes.json", "training_config.json")


def floats(n=4):
    return numpy.arange(n, dtype="f4")


def hard(file):
    file["top"] = floats()
    file["a/w"] = floats()
    file["b/w"], file["c"], file["a/self"], file["a/twin"], file["z/deep/w2"] = (
        file["a/w"], file["a"], file["a"], file["a/w"], file["top"])
    file["soft"], file["soft2"] = h5py.SoftLink("/b/w"), h5py.SoftLink("/c/w")


def soft(file):
    file["g/w"], file["g/h/t"], file["text"], file["links/down/d"] = floats(), floats(), "hello", floats()
    file["g"].attrs["a"] = 1
    for name, target in (("w", "/g/w"), ("group", "/g"), ("string", "/text"), ("g/near", "w"), ("g/far", "h/t"),
                         ("chain", "/group/w"), ("chain2", "/w"), ("nothing", "/new/there"), ("links/up", "/links/down/d"),
                         ("links/down/e", "d")):
        file[name] = h5py.SoftLink(target)
    file["outside"] = h5py.ExternalLink("other.h5", "/x")


def references(file):
    file["w"], file["g/v"] = floats(), floats(8)
    file["refs"] = numpy.array([file["w"].ref, file["g"].ref], dtype=h5py.ref_dtype)
    file["regions"] = numpy.array([file["g/v"].regionref[2:4]], dtype=h5py.regionref_dtype)
    file["g"].attrs["ref"], file["w"].attrs["region"] = file["w"].ref, file["g/v"].regionref[1:2]
    file["x"], file["grid/data"] = floats(), numpy.zeros((4, 8), "f4")
    file["x"].make_scale("x axis")
    file["grid/data"].dims[0].attach_scale(file["x"])


def types(file):
    file["t"], file["g/record"] = numpy.dtype("f4"), numpy.dtype([("a", "i4"), ("b", "f8")])
    file.create_dataset("w", data=floats(), dtype=file["t"])
    file.create_dataset("r", data=numpy.zeros(3, [("a", "i4"), ("b", "f8")]), dtype=file["g/record"])
    file["w"].attrs.create("x", numpy.float32(1), dtype=file["t"])
    file["soft"], file["hard"] = h5py.SoftLink("/t"), file["t"]


def layouts(file):
    file.create_dataset("chunks", data=numpy.zeros((8, 8), "f4"), chunks=(4, 4), compression="gzip", shuffle=True)
    file.create_dataset("grows", data=numpy.zeros((8, 8), "f4"), maxshape=(None, 8), chunks=(2, 8))
    file.create_dataset("never", (4,), "f4")
    file.create_dataset("filled", (4,), "f4", fillvalue=7)
    file.create_dataset("ragged", data=numpy.array([floats(2), floats(3)], dtype=object), dtype=h5py.vlen_dtype("f4"))
    file["null"], file["empty"], file["big"], file["flags"] = (
        h5py.Empty("f4"), numpy.zeros((0, 3), "f4"), numpy.arange(4, dtype=">f8"), numpy.array([True, False]))
    file["enum"] = numpy.array([1], dtype=h5py.enum_dtype({"A": 1, "B": 2}))
    file["bytes"], file["void"], file["complex"] = numpy.array([b"ab"], "S4"), numpy.array([b"abcd"], "V4"), numpy.array([1j], "c8")


def dense(file):
    group = file.create_group("g")
    for n in range(20):
        group[f"w{n:02}"] = floats()
        group.attrs[f"a{n}"], group["w00"].attrs[f"a{n}"] = n, f"text {n}"
    file["soft"], file["hard"] = h5py.SoftLink("/g/w03"), group["w04"]


def keras(file):
    """Links that Keras does not write, in what Keras 2 writes."""
    path = file.filename
    file.close()
    make_keras(path, {("a", "kernel"): floats(), ("b", "kernel"): floats(), ("c", "bias"): floats()}, "x")
    with h5py.File(path, "r+") as again:
        top = again["model_weights"]
        top["c/c/tied:0"], again["more/w"], again["alias"] = top["a/a/kernel:0"], floats(), top["a"]
        top["b/b/soft:0"], again["lone"] = h5py.SoftLink("/model_weights/a/a/kernel:0"), h5py.SoftLink("/more/w")


def variables(file):
    """The same of Keras 3."""
    for name in ("dense", "dense_1"):
        file[f"layers/{name}/vars/0"], file[f"layers/{name}/vars/1"] = floats(), floats()
        file[f"layers/{name}/vars"].attrs["name"] = name + "_n"
    file["optimizer/vars/0"] = 5
    file.create_group("vars")
    file["layers/dense/vars/2"], file["again"] = file["layers/dense_1/vars/0"], h5py.SoftLink("/layers/dense")


FILES = (hard, soft, references, types, layouts, dense, keras, variables)
FORMS = ({}, {"libver": "latest", "track_order": True})


def make(fill, form, path):
    file = h5py.File(path, "w", **form)
    fill(file)
    file.close()


def shell(script, *arguments):
    subprocess.run(["bash", "-c", script, "-", *arguments], capture_output=True, timeout=60, cwd=TEST_DIR, check=False)


def change(path, function):
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    function(document)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)


def reshape(grow):
    def function(document):
        shape = document["shape"]
        document["shape"] = [n + 1 for n in shape] if grow else [int(numpy.prod(shape)), 1]
    return function


def of_folder(at, path, folders):
    yield "rm -r", lambda: shell("rm -r $1", at + path)
    yield "mkdir", lambda: os.mkdir(f"{at}{path}/new")
    yield "attributes", lambda: shell('echo \'{"new": 1}\' > $1/attributes.json', at + path)
    yield "cp -r", lambda: shell("cp -r $1 $1.copy", at + path)
    for target in (path + "_x", *(f"{folder}/" for folder in folders)):
        yield f"mv to {target}", lambda target=target: shell("mv $1 $2", at + path, at + target)


def of_tensor(at, stem, two, folders):
    """`two`: it has a .bin."""
    files = [at + stem + suffix for suffix in ((".bin", ".json") if two else (".json",))]
    sidecar = files[-1]
    yield "rm", lambda: shell('rm "$@"', *files)
    yield "rm of one", lambda: shell('rm "$1"', *files)
    yield "cp", lambda: [shutil.copy(file, at + stem + "_c" + os.path.splitext(file)[1]) for file in files]
    for target in (stem + "_x", *(f"{folder}/{os.path.basename(stem)}" for folder in folders)):
        yield f"mv to {target}", lambda target=target: [
            os.rename(file, at + target + os.path.splitext(file)[1]) for file in files]
    yield "an attribute", lambda: change(sidecar, lambda document: document.setdefault("attributes", {}).update(new=[1, 2]))
    yield "no attributes", lambda: change(sidecar, lambda document: document.pop("attributes"))
    yield "another shape", lambda: change(sidecar, reshape(False))
    yield "a larger shape", lambda: change(sidecar, reshape(True))
    yield "another dtype", lambda: change(sidecar, lambda document: document.update(dtype="int32"))
    if two:
        yield "zeros", lambda: shell('head -c "$(stat -c %s "$1")" /dev/zero > t~ && cat t~ > "$1"', files[0])


def of_link(at, path, folders):
    yield "rm", lambda: os.remove(at + path)
    for target in (path + "_x", *(f"{folder}/{os.path.basename(path)}" for folder in folders)):
        yield f"mv to {target}", lambda target=target: os.rename(at + path, at + target)


def of_document(at, path):
    yield "rm", lambda: os.remove(at + path)
    yield "a key more", lambda: change(at + path, lambda document: document.update(new="x"))
    yield "a key less", lambda: change(at + path, lambda document: document.pop(next(iter(document))))
    yield "an empty object", lambda: shell("echo {} > $1", at + path)
    yield "mv away", lambda: os.rename(at + path, at + path + "~")


def edits(mount):
    """(sentence, function) of each."""
    at, names = mount + "/", []
    for above, folders, files in os.walk(mount):
        names += [os.path.relpath(os.path.join(above, name), mount) for name in folders + files]
    folders = [name for name in names if os.path.isdir(at + name) and not os.path.islink(at + name)]
    for path in names:
        stem, suffix = os.path.splitext(path)
        if path in folders:
            found = of_folder(at, path, folders)
        elif os.path.islink(at + path):
            found = of_link(at, path, folders)
        elif os.path.basename(path) in WITHOUT_ELEMENTS:
            found = of_document(at, path)
        elif suffix == ".json" and stem + ".bin" in names:
            continue
        else:
            found = of_tensor(at, stem, suffix == ".bin", folders)
        for sentence, function in found:
            yield f"{path}: {sentence}", function
    yield "where a link leads that led nowhere", lambda: shell(
        'mkdir $1/layers/new; echo \'{"dtype": "int8", "shape": [1]}\' > $1/layers/new/there.json;'
        ' printf x > $1/layers/new/there.bin', mount)


def meets(model, number):
    """What is wrong after the edit of that number on the file, which it may change; and how many there are."""
    with Mount(model, name="mnt") as mount:
        found = list(edits(mount.path))
        if number >= len(found):
            return [], len(found)
        sentence, function = found[number]
        try:
            function()
            sync(mount.path)
        except (OSError, KeyError, TypeError, StopIteration):
            pass  # a refusal, or nothing to do: the line counts
        said = mount.errors()
        result = mount.unmount()
    said += result.stdout + result.stderr
    wrong = [(sentence, said)] if "internal" in said else []
    if run(WEIGHTFS, "--list", model).returncode:
        wrong.append((sentence, "cannot be listed"))
    with h5py.File(model, "r") as file:
        file.visititems(lambda _, item: item[()] if isinstance(item, h5py.Dataset) else None)
    return wrong, len(found)
