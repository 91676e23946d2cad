"""Writing: bytes of a tensor, against a plain file."""

import os
import time

from . import models
from .jobs import Figure
from .places import Mounted, warm, with_memory

STEP = 1 << 20


def overwrite(path, size):
    """Writes other bytes than those that are there, a MiB each, and syncs."""
    block = os.urandom(STEP)
    fd = os.open(path, os.O_WRONLY)
    begin = time.perf_counter()
    for at in range(0, size, STEP):
        os.pwrite(fd, block, at)
    os.fsync(fd)
    os.close(fd)
    return Figure(time.perf_counter() - begin)


def settled(figure):
    """What is on its way to the disk is not the next one's to wait for."""
    os.sync()
    return figure


def measure(table, folder, _):
    size = (256 << 20) if table.quick else 1 << 30
    plain = os.path.join(folder, "plain")
    model = models.safetensors(os.path.join(folder, "write.safetensors"), 2, 2 * size)
    models.safetensors(plain, 1, size)
    for path in (model, plain):
        warm(path)
    with Mounted(model) as mnt:
        path = models.tensor(mnt.path)
        pairs = [(settled(overwrite(path, size)), settled(overwrite(plain, size)))
                 for _ in range(3 if table.quick else 5)]
        peak = mnt.daemon("VmHWM")
        small = [(settled(overwrite(path, STEP)), settled(overwrite(plain, STEP)))
                 for _ in range(5 if table.quick else 9)]
    table.put(f"overwriting {size >> 20:,} MB of a tensor, with fsync; a plain file",
              [(with_memory(a, peak), b) for a, b in pairs], 0.4, speed=True)
    table.put("overwriting 1 MB of it", small, speed=True)
    os.unlink(plain)
    os.unlink(model)
