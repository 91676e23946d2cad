"""A daemon that is killed while eight processes write a model and eight read it."""

import errno
import multiprocessing
import os
import struct
import subprocess
import time

from formats import NOTE, grid
from testing import TEST_DIR, WEIGHTFS, leftovers, read
from tracing import SECONDS, Session

LAYERS, WEIGHTS = 2, 4  # one for each writer, and one reader each
# What a process sees of a mount that dies, and of the folder below it once it is gone.
HARMLESS = {errno.EIO, errno.ENOTCONN, errno.ECONNABORTED, errno.ENOENT, errno.ESTALE}


def bytes_of(number):
    return struct.pack("<I", number) * 16


def number_of(data):
    """What bytes_of() was told; None: these bytes are of several saves."""
    number = struct.unpack("<I", data[:4])[0] if len(data) == 64 else None
    return number if number is not None and data == bytes_of(number) else None


def save_again_and_again(path, saved, number):
    """Writes 1, 2, 3 ...; what was acknowledged is in `saved`."""
    while True:
        number += 1
        file = os.open(path, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(file, bytes_of(number))
        finally:
            os.close(file)
        saved.value = number


def read_again_and_again(path, saved, _):
    """Each read sees one save."""
    while True:
        file = os.open(path, os.O_RDONLY)
        try:
            data = os.read(file, 1000)
        finally:
            os.close(file)
        if data and number_of(data) is None:
            saved.value = -1
            return


def until_it_dies(work, path, saved, number):
    """Ends with the error in `saved[1]`."""
    try:
        work(path, saved[0], number)
    except OSError as error:
        saved[1].value = error.errno


class Hand:
    """One process that writes, or reads, one weight."""

    def __init__(self, mount, weight, writes, number):
        self.path = "layers/%s/%s.bin" % weight
        self.writes = writes
        self.number = multiprocessing.Value("q", number)
        self.error = multiprocessing.Value("i", 0)
        work = save_again_and_again if writes else read_again_and_again
        self.process = multiprocessing.Process(target=until_it_dies, args=(
            work, os.path.join(mount, self.path), (self.number, self.error), number))
        self.process.start()

    def join(self):
        """What was not as it should be, or ""."""
        self.process.join(SECONDS)
        if self.process.is_alive():
            self.process.kill()
            return f"{self.path}: a process waits for ever"
        if self.process.exitcode != 0:
            return f"{self.path}: a process ended with {self.process.exitcode}"
        if self.number.value < 0:
            return f"{self.path}: a read saw two saves"
        harmless = self.error.value in HARMLESS
        return "" if harmless else f"{self.path}: {os.strerror(self.error.value)}"


def kill_under_load(model, mode, seconds):
    """(problems, saves acknowledged, {weight: the last of them}). The model has a grid of bytes_of() something."""
    folder = os.path.join(TEST_DIR, "load")
    session = Session(folder, model, "-o", "commit-mode=" + mode)
    weights = sorted(grid(LAYERS, WEIGHTS))
    before = [number_of(read(session.path, "layers", *weight[:1], weight[1] + ".bin")) for weight in weights]
    hands = [Hand(session.path, weight, writes, number) for weight, number in zip(weights, before)
             for writes in (True, False)]
    time.sleep(seconds)
    session.kill()
    problems = [problem for problem in (hand.join() for hand in hands) if problem]
    session.end()
    saved = sum(hand.number.value - number for hand, number in zip(hands[::2], before))
    return problems, saved, {weight: hand.number.value for weight, hand in zip(weights, hands[::2])}


def start(form):
    """A model whose weights are each of one number."""
    folder = os.path.join(TEST_DIR, "load")
    os.makedirs(folder, exist_ok=True)
    model = os.path.join(folder, "model" + form.suffix)
    form.make(model, grid(LAYERS, WEIGHTS), NOTE)
    return model


def judge(form, model, acknowledged):
    """What recovery should have brought back and did not."""
    result = subprocess.run([WEIGHTFS, "--recover", model], capture_output=True, text=True, timeout=SECONDS, check=False)
    problems = [result.stderr] if result.returncode else []
    note, found = form.load(model)
    problems += ["the note changed"] if note != NOTE else []
    for weight, number in acknowledged.items():
        now = number_of(found[weight])
        if now not in (number, number + 1):
            problems.append(f"{weight}: {number} was acknowledged, found {now}")
    return problems + [f"left: {name}" for name in leftovers(model)]
