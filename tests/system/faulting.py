"""Edits that go wrong at each of their system calls, and what must be true afterwards.

A case is a format, a kind of edit and a way of committing. It is done once without a fault,
which gives the new state and the list of calls; then again for each fault. Whatever went
wrong: the model is, byte for byte, the old one or the new one once it is recovered; nothing
is left beside it; an edit that is not in it was reported, one that was not reported is in it.
"""

import atexit
import collections
import errno
import os
import random
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import h5py

from edits import edit, kinds
from formats import FORMATS, by_layer, grid, named
from testing import TEST_DIR, WEIGHTFS, leftovers, read, wait_until, write
from tracing import (IDLE, MOVING, NO_FILE, SECONDS, SLOW, Session, calls_in, inject, was_met)

MODES = ("rewrite", "patch")
ERRORS = ("EIO", "ENOSPC", "EINTR")

Case = collections.namedtuple("Case", "form kind mode")
# Where the models lie: in memory, an fsync takes no time. FAULTS_DIR is another file system.
PLACE = tempfile.mkdtemp(prefix="weightfs-", dir=os.environ.get("FAULTS_DIR") or (
    "/dev/shm" if os.access("/dev/shm", os.W_OK) else TEST_DIR))
atexit.register(shutil.rmtree, PLACE, True)

# What befalls a call: "signal=KILL", "error=EIO", "retval=0"; or all of them: "half".
Fault = collections.namedtuple("Fault", "what call")
Outcome = collections.namedtuple("Outcome", "code status said folder model met")


def make_chunked(path, weights, note):
    with h5py.File(path, "w") as file:
        file.attrs["note"] = note
        for layer, arrays in by_layer(weights).items():
            for weight, array in arrays.items():
                file.create_dataset(f"{layer}/{weight}", data=array, chunks=(5,), compression="gzip", shuffle=True)


ALL = (*FORMATS, named("HDF5")._replace(name="compressed HDF5", make=make_chunked))


def cases():
    return [Case(form, kind, mode) for form in ALL for kind in kinds(form) for mode in MODES]


def attempt(function):
    """0, an errno, or None where it never came back; in a process of its own."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            function()
            code = 0
        except OSError as error:
            code = error.errno or errno.EIO
        except Exception:  # pylint: disable=broad-except
            code = 254  # the bytes that it read were not what they should be
        finally:
            os._exit(code)
    ended = [0, 0]

    def has_ended():
        ended[:] = os.waitpid(pid, os.WNOHANG)
        return ended[0] == pid

    if wait_until(has_ended, SECONDS):
        return os.waitstatus_to_exitcode(ended[1])
    os.kill(pid, signal.SIGKILL)
    return None


def recover(model):
    return subprocess.run([WEIGHTFS, "--recover", model], capture_output=True, text=True, timeout=SECONDS, check=False)


class Lab:
    """The folder in which one case is tried again and again, and what was found wrong."""

    def __init__(self, case):
        self.case = case
        self.name = f"{case.form.name}, {case.kind}, {case.mode}"
        self.folder = os.path.join(PLACE, self.name.replace(", ", "-").replace(" ", "_"))
        self.mount = os.path.join(TEST_DIR, os.path.basename(self.folder))
        self.old = self.make()
        self.new = self.says = self.calls = None
        self.times = set()  # offsets that differ from run to run
        self.torn = {}  # models with a journal, as kills left them: bytes -> (name, journal)
        self.tried = collections.Counter()
        self.survived = collections.Counter()
        self.wrong = []

    def make(self):
        path = os.path.join(TEST_DIR, os.path.basename(self.folder) + self.case.form.suffix)
        self.case.form.make(path, grid(2, 4), "as trained")
        data = read(path)
        os.unlink(path)
        return data

    def fresh(self):
        """The folder with the model in its old state."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        model = os.path.join(self.folder, "model" + self.case.form.suffix)
        write(model, self.old)
        return model

    def trace(self):
        return os.path.join(TEST_DIR, os.path.basename(self.folder) + ".trace")

    def run(self, fault):
        model = self.fresh()
        session = Session(self.mount, model, "-o", "commit-mode=" + self.case.mode)
        if fault.what == "half":
            session.halve()
        else:
            session.strace(self.trace(), *(inject(fault.call, fault.what) if fault.call else []))
        code = attempt(lambda: edit(self.case.kind, session.path, self.case.form))
        log = subprocess.run([WEIGHTFS, "--errors", session.path], capture_output=True, text=True, check=False,
                             timeout=SECONDS).stdout
        status, said = session.end()
        met = fault.what == "half" or was_met(self.trace())
        return Outcome(code, status, said + log, self.folder, model, met)

    def find_times(self, begin):
        """Where the new state has the time of the edit (HDF5 objects), or a checksum over it."""
        last = int(time.time()) + 1
        if not any(struct.pack("<I", now) in self.new for now in range(int(begin) - 1, last)):
            return
        time.sleep(max(0, last - time.time()))
        again = read(self.run(Fault("none", None)).model)
        for at in (at for at, pair in enumerate(zip(self.new, again)) if pair[0] != pair[1]):
            self.times.update(range(max(at - 3, 0), min(at + 4, len(again))))
        self.new = self.timeless(self.new)

    def timeless(self, data):
        data = bytearray(data)
        if len(data) == len(self.new):
            for at in self.times:
                data[at] = 0
        return bytes(data)

    def reference(self):
        """The new state, and the calls. False where this kind is refused in this mode."""
        begin = time.time()
        outcome = self.run(Fault("none", None))
        if outcome.code == errno.EOPNOTSUPP and self.case.mode == "patch":
            self.check("commit-mode=patch: this edit moves" in outcome.said, "refused", outcome.said)
            return False
        self.new = read(outcome.model)
        self.calls = calls_in(self.trace())
        self.check(not outcome.code and not outcome.status and self.new != self.old and not leftovers(outcome.model),
                   "without a fault", outcome)
        self.opens()
        self.find_times(begin)
        return True

    def check(self, passed, what, found):
        if not passed:
            self.wrong.append(f"{self.name}: {what}: {found}")
        return passed

    def state(self, path, spellings=False):
        """"old", "new", or what it is instead. libhdf5 puts things elsewhere where it could not
        read: with `spellings` what says the same is the same."""
        data = read(path)
        if data == self.old:
            return "old"
        if self.timeless(data) == self.new or (spellings and self.case.form.load(path) == self.says):
            return "new"
        return f"neither: {len(data)} bytes"

    def settle(self, outcome, by_mounting):
        """Recovers; what happened then that should not."""
        if not by_mounting:
            result = recover(outcome.model)
            return result.stderr if result.returncode else ""
        session = Session(self.mount, outcome.model)
        status, said = session.end()
        return said if status or "read-only" in said else ""

    def take_torn(self, outcome):
        journals = [name for name in leftovers(outcome.model) if name.endswith(".journal")]
        if journals and read(outcome.model) not in self.torn:
            self.torn[read(outcome.model)] = (journals[0], read(self.folder, journals[0]))

    def judge(self, fault, outcome, by_mounting):
        """All that must be true afterwards."""
        problem = self.settle(outcome, by_mounting)
        state, left = self.state(outcome.model, fault.what != "signal=KILL"), leftovers(outcome.model)
        reported = outcome.code or outcome.status
        what = f"{fault.what} at {fault.call.name} {fault.call.when}" if fault.call else fault.what
        good = [self.check(not problem, what, "recovery: " + problem),
                self.check(outcome.code is not None, what, "the edit never came back"),
                self.check("did not end" not in outcome.said, what, outcome.said),
                self.check(state in ("old", "new"), what, state),
                self.check(not left, what, f"left: {left}"),
                self.check(state == "new" or reported, what, f"the edit is lost without a word: {outcome.said}")]
        if outcome.code == 0 and fault.what == "signal=KILL":
            good.append(self.check(state == "new", what, "the edit was acknowledged and is lost"))
        if fault.what == "half" or (fault.what == "error=EINTR" and fault.call.name in SLOW):
            good.append(self.check(state == "new" and not reported, what,
                                   f"it was not gone on with: {outcome.code} {outcome.said}"))
        return all(good)

    def meet(self, fault, by_mounting=False):
        outcome = self.run(fault)
        if not outcome.met:
            return
        if fault.what == "signal=KILL":
            self.take_torn(outcome)
        self.tried[fault.what] += 1
        self.survived[fault.what] += self.judge(fault, outcome, by_mounting)

    def faults(self):
        """Every fault that may befall this edit."""
        found = [Fault("signal=KILL", call) for call in self.calls if call.name not in IDLE]
        for call in self.calls:
            if call.name not in NO_FILE:
                found += [Fault("error=" + error, call) for error in ERRORS]
            if call.name in MOVING:
                found.append(Fault("retval=0", call))
        return found + [Fault("half", None)]

    # Recovery.

    def put_torn(self, data):
        model = self.fresh()
        name, journal = self.torn[data]
        write(os.path.join(self.folder, name), journal)
        return model, os.path.join(self.folder, name)

    def recovery_calls(self, data):
        model, _ = self.put_torn(data)
        write(model, data)
        subprocess.run(["strace", "-o", self.trace(), WEIGHTFS, "--recover", model], capture_output=True, check=False)
        calls = calls_in(self.trace())
        with open(self.trace(), encoding="utf-8", errors="replace") as file:
            first = next(i for i, line in enumerate(file) if self.folder in line and "execve" not in line)
        return [call for call in calls[first:] if call.name not in IDLE]

    def fault_in_recovery(self, data, fault):
        """Recovery is killed, or one of its calls fails: another one finishes what it began."""
        model, _ = self.put_torn(data)
        write(model, data)
        result = subprocess.run(["strace", "-o", self.trace(), *inject(fault.call, fault.what), WEIGHTFS, "--recover",
                                 model], capture_output=True, text=True, timeout=SECONDS, check=False)
        if not was_met(self.trace()):
            return
        kind = "recovery " + fault.what
        what = f"{kind} at {fault.call.name} {fault.call.when}"
        state = self.state(model)
        good = [self.check(result.returncode != 0 or (state == "new" and not leftovers(model)), what,
                           f"it said {result.stdout} {result.stderr}, and the model is {state}")]
        again = recover(model)
        good.append(self.check(again.returncode == 0 and self.state(model) == "new" and not leftovers(model),
                               what, f"then {again.stdout}{again.stderr}{leftovers(model)} {self.state(model)}"))
        self.tried[kind] += 1
        self.survived[kind] += all(good)

    def faults_in_recovery(self, pick=lambda faults: faults, states=None):
        for data in list(self.torn)[:states]:
            calls = self.recovery_calls(data)
            found = [Fault("signal=KILL", call) for call in calls]
            found += [Fault("error=" + error, call) for call in calls if call.name not in NO_FILE for error in ERRORS]
            for fault in pick(found):
                self.fault_in_recovery(data, fault)

    def damage(self, model, journal, what):
        """A journal that is not what was written is not followed, and stays."""
        before = read(journal)
        result = recover(model)
        good = [self.check(result.returncode == 1 and "cannot be finished" in result.stderr, what,
                           f"it said {result.stdout}{result.stderr}"),
                self.check(self.state(model) == "old", what, self.state(model)),
                self.check(os.path.exists(journal) and read(journal) == before, what, "the journal is gone")]
        self.tried["torn journal"] += 1
        self.survived["torn journal"] += all(good)

    def damaged_journals(self, step, flips, seed):
        """Cut at each `step`-th length, and with bytes changed."""
        if self.old not in self.torn:
            return
        model, path = self.put_torn(self.old)
        whole, chance = read(path), random.Random(seed)
        for length in range(0, len(whole), step):
            write(path, whole[:length])
            self.damage(model, path, f"a journal of {length} of {len(whole)} bytes")
        for _ in range(flips):
            at, bit = chance.randrange(len(whole)), 1 << chance.randrange(8)
            write(path, whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1:])
            self.damage(model, path, f"a journal whose byte {at} of {len(whole)} is wrong by {bit}")

    def opens(self):
        """The official loader opens both states, which say different things."""
        path, found = os.path.join(TEST_DIR, os.path.basename(self.folder) + self.case.form.suffix), []
        for state in (self.old, self.new):
            write(path, state)
            found.append(self.case.form.load(path))
        os.unlink(path)
        self.says = found[1]
        self.check(found[0] != found[1], "the official loader", "sees no edit")

    def verdict(self):
        """(a sentence, whether it is true)"""
        if self.new is None:
            return f"{self.name}: it is refused, since it moves what lies behind it", not self.wrong
        return (f"{self.name}: {sum(self.tried.values())} faults leave the old state or the new one, and are told",
                not self.wrong)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        if os.path.exists(self.trace()):
            os.unlink(self.trace())

