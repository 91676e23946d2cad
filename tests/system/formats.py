"""The formats that can be written, for tests that are about all of them: one table.

What a test says of one format it says of each; a new format joins by an entry in FORMATS. It
says how to make a model of layers of small weights and a note (the tree has
layers/LAYER/WEIGHT.bin, and metadata.json has the note), how another program than ours reads
one, and which of the fixtures to edit.
"""

import functools
import json
import os
import struct
import typing

import h5py
import numpy
try:
    import safetensors as official
except ImportError:
    official = None

from testing import FIXTURES, TEST_DIR, expect, fixture, safetensors

NOTE = "as trained"
ELEMENTS = 16  # float32 each


class Format(typing.NamedTuple):
    """A format that can be written."""

    name: str
    suffix: str
    make: typing.Callable  # make(path, weights, note): weights are {(layer, weight): array}, in order
    load: typing.Callable  # load(path): (note, {(layer, weight): bytes}), of what was made
    state: typing.Callable  # state(path): all of any model, in one dictionary; else a ValueError
    grows: bool  # whether weights can be added and removed
    # A fixture; the fuzz target is called as its folder.
    fixture: str
    document: str  # the path of one of its documents, a value in it as text, and another one
    old: str
    new: str
    jq: str  # what jq does to change it
    value: str  # the name of it in state()
    tensor: str  # the name of a tensor in state(), and its path
    path: str

    def copy(self, name):
        """A writable copy of the fixture in the test's folder."""
        return fixture(self.fixture, name + os.path.splitext(self.fixture)[1])

    def edited(self, before):
        """The state with the value changed."""
        text_of, old, new = before[self.value], self.old, self.new
        if old not in text_of:
            old, new = (part.split(": ")[1].strip('"') for part in (old, new))
        assert text_of.count(old) == 1, text_of
        return {**before, self.value: text_of.replace(old, new)}

    def folder(self):
        """Where its fixtures are, below FIXTURES."""
        return os.path.dirname(self.fixture)

    def fixtures(self):
        """The paths of all that are not hostile."""
        folder, suffix = os.path.join(FIXTURES, self.folder()), os.path.splitext(self.fixture)[1]
        return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(suffix))


def make_safetensors(path, weights, note):
    header, at = {"__metadata__": {"format": "pt", "note": note}}, 0
    for name, array in weights.items():
        header[".".join(name)] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.writelines(array.tobytes() for array in weights.values())


def load_safetensors(path):
    """By a strict reader of ours; where it is installed the official library must read the same."""
    metadata, tensors = safetensors(path)
    found = {name: tensor[2] for name, tensor in tensors.items()}
    if official is not None:
        with open(path, "rb") as file:
            theirs = {name: bytes(tensor["data"]) for name, tensor in official.deserialize(file.read())}
        expect(found == theirs, f"{path}: the official library reads something else")
    return metadata["note"], {tuple(name.rsplit(".", 1)): data for name, data in found.items()}


def state_of_safetensors(path):
    metadata, tensors = safetensors(path)
    return {**{f"@{key}": value for key, value in (metadata or {}).items()}, **tensors}


def by_layer(weights):
    layers = {}
    for (layer, weight), array in weights.items():
        layers.setdefault(layer, {})[weight] = array
    return layers


def make_hdf5(path, weights, note):
    with h5py.File(path, "w") as file:
        file.attrs["note"] = note
        for layer, arrays in by_layer(weights).items():
            group = file.create_group(layer)
            for weight, array in arrays.items():
                group[weight] = array


def load_hdf5(path):
    with h5py.File(path, "r") as file:
        return file.attrs["note"], {(layer, weight): item[()].tobytes()
                                    for layer, group in file.items() for weight, item in group.items()}


def state_of_hdf5(path):
    """What h5py reads of a file: {"object": (dtype, shape, bytes), "object@attribute": text}."""
    found = {}

    def visit(name, item):
        found.update({f"{name}@{key}": str(value) for key, value in item.attrs.items()})
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            value = item[()]
            raw = hasattr(value, "tobytes") and not item.dtype.hasobject
            found[name] = (str(item.dtype), item.shape, value.tobytes() if raw else str(value))
    try:
        with h5py.File(path, "r") as file:
            visit("", file)
            file.visititems(visit)
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path}: {error}") from error
    return found


def make_keras(path, weights, note):
    """A sequential model as Keras 2 saves it."""
    layers = by_layer(weights)
    config = {"class_name": "Sequential", "config": {"name": "model", "layers": [
        {"class_name": "Dense", "config": {"name": name, "units": ELEMENTS, "use_bias": False}} for name in layers]}}
    with h5py.File(path, "w") as file:
        file.attrs.update(backend="tensorflow", keras_version="2.15.0", note=note, model_config=json.dumps(config))
        groups = file.create_group("model_weights")
        groups.attrs["layer_names"] = numpy.array([name.encode() for name in layers])
        for layer, arrays in layers.items():
            group = groups.create_group(layer)
            group.attrs["weight_names"] = numpy.array([f"{layer}/{weight}:0".encode() for weight in arrays])
            for weight, array in arrays.items():
                group[f"{layer}/{weight}:0"] = array


def load_keras(path):
    with h5py.File(path, "r") as file:
        found = {}
        for layer in file["model_weights"].attrs["layer_names"]:
            group = file["model_weights"][layer]
            for name in group.attrs["weight_names"]:
                weight = name.decode().rsplit("/", 1)[1].removesuffix(":0")
                found[layer.decode(), weight] = group[name][()].tobytes()
        return file.attrs["note"], found


FORMATS = (
    Format(name="safetensors", suffix=".safetensors", make=make_safetensors, load=load_safetensors,
           state=state_of_safetensors, grows=True, fixture="safetensors/metadata.safetensors", document="metadata.json",
           old='"epoch": "3"', new='"epoch": "42"', jq='.epoch = "42"', value="@epoch", tensor="w", path="layers/w"),
    Format(name="Keras HDF5", suffix=".h5", make=make_keras, load=load_keras, state=state_of_hdf5, grows=False,
           fixture="keras/keras3_functional.h5", document="layers/drop/config.json", old='"rate": 0.5', new='"rate": 0.25',
           jq=".config.rate = 0.25", value="@model_config", tensor="model_weights/conv/conv/kernel", path="layers/conv/kernel"),
    Format(name="HDF5", suffix=".hdf5", make=make_hdf5, load=load_hdf5, state=state_of_hdf5, grows=True,
           fixture="hdf5/tensors.h5", document="metadata.json", old='"framework": "none"', new='"framework": "another"',
           jq='.framework = "another"', value="@framework", tensor="head", path="layers/head"),
)


def named(name):
    """One of the table, for a test that is about no other."""
    return next(kind for kind in FORMATS if kind.name == name)


def grid(layers, weights):
    """So many layers with so many weights, each of its own bytes."""
    return {(f"layer{i}", f"w{j}"): numpy.full(ELEMENTS, i * weights + j, "float32")
            for i in range(layers) for j in range(weights)}


def model(kind, name="model", weights=None):
    """A small model of a format in the test's folder."""
    path = os.path.join(TEST_DIR, name + kind.suffix)
    kind.make(path, weights or grid(2, 2), NOTE)
    return path


def each(test):
    """A test of one format becomes one of all."""
    @functools.wraps(test)
    def of_all():
        for kind in FORMATS:
            test(kind)
    return of_all
