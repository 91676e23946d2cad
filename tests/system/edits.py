"""One edit of each kind, on a mounted model of any format of formats.py."""

import json
import os

from testing import read, write

KINDS = ("attribute", "growing document", "overwritten", "added", "removed", "renamed")
DOCUMENT, TENSOR, LAYER = "metadata.json", "layers/layer0/w0", "layers/layer0"


def kinds(form):
    return [kind for kind in KINDS if form.grows or kind not in ("added", "removed")]


def sync(mount):
    """Commits what waits to be committed."""
    folder = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def note(mount, change):
    path = os.path.join(mount, DOCUMENT)
    value = json.loads(read(path))
    value["note"] = change(value["note"])
    write(path, json.dumps(value, indent=2) + "\n")


def add(mount):
    """A tensor of two halves."""
    new = os.path.join(mount, LAYER, "new")
    write(new + ".json", read(mount, TENSOR + ".json"))
    write(new + ".bin", bytes(range(64)))


def remove(mount):
    os.remove(os.path.join(mount, TENSOR + ".bin"))
    sync(mount)


def rename(mount, form):
    """A tensor, or where those keep their names a layer."""
    for old in (TENSOR + ".bin", TENSOR + ".json") if form.grows else (LAYER,):
        folder, name = os.path.split(os.path.join(mount, old))
        os.rename(os.path.join(folder, name), os.path.join(folder, "renamed" + os.path.splitext(name)[1]))
    sync(mount)


def edit(kind, mount, form):
    """When it returns, the edit is acknowledged; else it raises an OSError."""
    {"attribute": lambda: note(mount, lambda text: text[::-1]),  # stays as long as it is
     "growing document": lambda: note(mount, lambda text: text + "more " * 1200),
     "overwritten": lambda: write(os.path.join(mount, TENSOR + ".bin"), bytes(range(64))),
     "added": lambda: add(mount),
     "removed": lambda: remove(mount),
     "renamed": lambda: rename(mount, form)}[kind]()
