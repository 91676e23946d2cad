"""The formats that can be written, for tests that are about all of them: one table.

A model here is layers of small weights and a note, whatever the container: the tree
has layers/LAYER/WEIGHT.bin, and metadata.json has the note. What a test says of one
format it says of each; a new format joins by a line in FORMATS.
"""

import collections
import functools
import json
import os
import struct

import h5py
import numpy

from testing import TEST_DIR, safetensors

NOTE = "as trained"
ELEMENTS = 16  # float32 each

# make(path, weights, note): weights are {(layer, weight): array}, in order.
# load(path): (note, {(layer, weight): bytes}) as another program than ours reads it.
# grows: whether weights can be added and removed.
Format = collections.namedtuple("Format", "name suffix make load grows")


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
    metadata, tensors = safetensors(path)
    return metadata["note"], {tuple(name.rsplit(".", 1)): tensor[2] for name, tensor in tensors.items()}


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
    Format("safetensors", ".safetensors", make_safetensors, load_safetensors, True),
    Format("Keras HDF5", ".h5", make_keras, load_keras, False),
    Format("HDF5", ".hdf5", make_hdf5, load_hdf5, True),
)


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
