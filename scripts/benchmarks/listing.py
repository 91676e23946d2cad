"""Listing: 100,000 small files of a mount against the same tree on a plain file system."""

import os
import shutil

from . import models
from .jobs import run
from .places import Counted, Mounted, kind_of, with_memory

# Bounds of the first and of the second pass, read-only and read-write.
COMMANDS = {("find", "."): 8, ("ls", "-lR"): 3, ("du", "-a"): 5, ("diff", "-rq", "."): 5}
SECOND = {"ro": 1.2, "rw": 3}
NEVER = ("READ", "GETATTR", "OPENDIR")


class Trees:
    """A model, and two plain copies of what its mount shows."""

    def __init__(self, folder, tensors):
        self.model = models.safetensors(os.path.join(folder, "many.safetensors"), tensors, tensors * 512)
        self.one, self.two = os.path.join(folder, "one"), os.path.join(folder, "two")
        with Mounted(self.model, "-o", "ro") as mnt:
            run("cp", "-r", mnt.path, self.one)
        run("cp", "-r", self.one, self.two)
        os.sync()

    def remove(self):
        for path in (self.one, self.two):
            shutil.rmtree(path)
        os.unlink(self.model)

    def run(self, command, path):
        """Compared is with the first tree; it itself with the second."""
        other = [self.two if path == self.one else self.one] if command[0] == "diff" else []
        return run(*command, *other, cwd=path)._replace(memory=0)


def passes(table, trees, command, mode, name):
    first, second = [], []
    for _ in range(2 if table.quick else 3):
        with Mounted(trees.model, "-o", mode) as mnt:
            for column in (first, second):
                ours = trees.run(command, mnt.path)
                column.append((ours, trees.run(command, trees.one)))
            peak = mnt.daemon("VmHWM")
    second[-1] = (with_memory(second[-1][0], peak), second[-1][1])
    table.put(f"{name}, {mode}, first pass", first, COMMANDS[command])
    table.put(f"{name}, {mode}, second pass", second, SECOND[mode])


def requests(table, trees, mode):
    """Counts on a mount of its own, which is slow; the second passes follow all first ones."""
    with Counted(trees.model, "-o", mode) as mnt:
        for command in COMMANDS:
            trees.run(command, mnt.path)
        for command in COMMANDS:
            found = mnt.requests(lambda c=command, path=mnt.path: trees.run(c, path))
            text = ", ".join(f"{n} {name}" for name, n in found.most_common()) or "none"
            bad = sum(found[name] for name in NEVER)
            table.fact(f"requests in a second pass, {mode}: {' '.join(command)}: {text}", str(sum(found.values())),
                       f"no {'/'.join(NEVER)}" if mode == "ro" else "", bad == 0 if mode == "ro" else None)


def measure(table, folder, _):
    tensors = 10_000 if table.quick else 50_000
    trees = Trees(folder, tensors)
    for command in COMMANDS:
        for mode in ("ro", "rw"):
            passes(table, trees, command, mode,
                   f"{' '.join(command[:2])}, {2 * tensors:,} files; {kind_of(folder)}")
    for mode in ("ro", "rw"):
        requests(table, trees, mode)
    trees.remove()
