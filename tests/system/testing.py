"""What the system tests share: mounts, commands, verdicts, and a strict safetensors reader.

A test is a program that says `ok - sentence` or `not ok - sentence (why)` for each
behaviour; tests/run gives it TEST_DIR, FIXTURES and WEIGHTFS.
"""

import errno
import json
import math
import os
import shutil
import subprocess
import sys
import time
import traceback

WEIGHTFS = os.environ["WEIGHTFS"]
FIXTURES = os.environ["FIXTURES"]
TEST_DIR = os.environ["TEST_DIR"]
HANGS = 200  # seconds that a program may take on a machine that is busy with others
MOUNTS = []
FAILED = []


def ok(sentence, passed, why=""):
    """States one behaviour."""
    if passed:
        print(f"ok - {sentence}", flush=True)
        return
    FAILED.append(sentence)
    print(f"not ok - {sentence} ({str(why)[:600]!r})", flush=True)


def same(sentence, found, expected):
    ok(sentence, found == expected, f"expected {expected!r}, found {found!r}")


def has(sentence, text, part):
    ok(sentence, part in text, f"expected {part!r} in {text!r}")


def raises(sentence, number, function):
    """The call fails with that errno."""
    try:
        function()
    except OSError as error:
        ok(sentence, error.errno == number,
           f"expected {os.strerror(number)}, found {error.strerror}")
        return
    ok(sentence, False, f"expected {os.strerror(number)}, it succeeded")


def wait_until(condition, seconds=60):
    """Whether it comes true in that time, which only a failure takes.

    What another mount or program changes is seen a moment later, and not at once everywhere: a
    name is gone or stale until it is looked up again (ENOENT, ESTALE), and a READ that is under
    way is answered with the new text, which the kernel pads with zeros, or cuts, to the length
    of the old one (ValueError). So a condition that raises one of these is not true yet.
    """
    end, pause = time.monotonic() + seconds, 0.001
    while True:
        try:
            if condition():
                return True
        except ValueError:
            pass
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                raise
        if time.monotonic() > end:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def becomes(sentence, show, expected, seconds=60):
    """What is shown is as expected at last; it is judged as it was seen then, not looked at again."""
    found = None

    def is_as_expected():
        nonlocal found
        try:
            found = show()
        except (OSError, ValueError) as error:
            found = error
            raise
        return found == expected
    wait_until(is_as_expected, seconds)
    same(sentence, found, expected)


def run(*command, data=None, cwd=None, env=None):
    """A command's result: returncode, stdout, stderr as text."""
    result = subprocess.run(
        [str(part) for part in command], input=data, capture_output=True, timeout=HANGS,
        cwd=cwd or TEST_DIR, env=env, check=False)
    result.stdout_bytes = result.stdout
    result.stdout = result.stdout.decode("utf-8", "replace")
    result.stderr = result.stderr.decode("utf-8", "replace")
    return result


def shell(script, **kwargs):
    return run("bash", "-c", script, **kwargs)


def fixture(name, to=None):
    """A writable copy of a fixture in the test's folder."""
    path = os.path.join(TEST_DIR, to or os.path.basename(name))
    shutil.copyfile(os.path.join(FIXTURES, name), path)
    os.chmod(path, 0o644)
    return path


def opener(path, flags):
    """Opens a path that is longer than a system call takes, folder by folder."""
    *folders, last = path.split("/")
    here = os.open("/" if path.startswith("/") else ".", os.O_PATH)
    for folder in filter(None, folders):
        there = os.open(folder, os.O_PATH, dir_fd=here)
        os.close(here)
        here = there
    try:
        return os.open(last, flags, dir_fd=here)
    finally:
        os.close(here)


def read(*parts):
    path = os.path.join(*parts)
    with open(path, "rb", opener=opener if len(path) > 4000 else None) as file:
        return file.read()


def text(*parts):
    return read(*parts).decode("utf-8")


def write(path, data):
    """Replaces a file's content as a program does: open, write, close; the errors count."""
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode("utf-8"))


class Mount:
    """A mounted model; `with` unmounts at the end."""

    def __init__(self, model, *options, name=None):
        self.model = model
        self.path = os.path.join(TEST_DIR, name or f"mnt{len(MOUNTS)}")
        os.makedirs(self.path, exist_ok=True)
        self.result = run(WEIGHTFS, *options, model, self.path)
        if self.result.returncode:
            raise RuntimeError(f"{model} was not mounted: {self.result.stderr}")
        MOUNTS.append(self.path)

    @classmethod
    def of(cls, model, path):
        """One that was mounted otherwise."""
        mount = cls.__new__(cls)
        mount.model, mount.path = model, path
        MOUNTS.append(path)
        return mount

    def processes(self):
        """(guardian, daemon)"""
        parents = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                arguments = read(f"/proc/{pid}/cmdline").split(b"\0")[:-1]
                if arguments and arguments[0].endswith(b"/weightfs") and arguments[-1] == self.path.encode():
                    parents[int(pid)] = int(text(f"/proc/{pid}/stat").rsplit(") ", 1)[1].split()[1])
            except OSError:  # it ended
                pass
        daemon = next(pid for pid, parent in parents.items() if parent in parents)
        return parents[daemon], daemon

    def processor(self):
        """Seconds of the processor that the daemon took: others may keep the machine busy."""
        user, system = text(f"/proc/{self.processes()[1]}/stat").rsplit(") ", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if os.path.ismount(self.path):
            self.unmount()

    def __truediv__(self, path):
        return os.path.join(self.path, path)

    def unmount(self):
        return run(WEIGHTFS, "--unmount", self.path)

    def errors(self):
        return run(WEIGHTFS, "--errors", self.path).stdout


def tree(path):
    """All paths below a folder, sorted; however deep."""
    found = []
    for folder, folders, files, _ in os.fwalk(path):
        found += [os.path.relpath(os.path.join(folder, name), path) for name in folders + files]
    return sorted(found)


SAFETENSORS_BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}


def expect(condition, what):
    if not condition:
        raise ValueError(what)


def no_duplicates(pairs):
    expect(len(pairs) == len({name for name, _ in pairs}), "duplicate keys")
    return dict(pairs)


def safetensors(path):
    """(metadata, {name: (dtype, shape, bytes)}); what the official loader refuses is a ValueError."""
    data = read(path)
    size = int.from_bytes(data[:8], "little")
    expect(8 + size <= len(data) and size <= 100_000_000, "header size")
    expect(data[8:9] == b"{", "the header begins with {")
    header = json.loads(data[8:8 + size], object_pairs_hook=no_duplicates)
    metadata = header.pop("__metadata__", None)
    expect(metadata is None or all(isinstance(v, str) for v in metadata.values()), "metadata")
    body, tensors, end = data[8 + size:], {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        first, last = entry["data_offsets"]
        count = math.prod(entry["shape"])
        expect(first == end, f"{name}: a gap or an overlap")
        expect((last - first) * 8 == count * SAFETENSORS_BITS[entry["dtype"]], f"{name}: size")
        tensors[name] = (entry["dtype"], entry["shape"], body[first:last])
        end = last
    expect(end == len(body), "bytes behind the last tensor")
    return metadata, tensors


def leftovers(path):
    """What a commit may have forgotten beside a model."""
    return sorted(name for name in os.listdir(os.path.dirname(path)) if name.startswith(".weightfs-"))


def main(*tests):
    """Runs the functions in turn; what one raises is its failure, not the end."""
    for test in tests:
        try:
            test()
        except Exception:  # pylint: disable=broad-except
            ok(f"{test.__name__}: {test.__doc__}", False, traceback.format_exc(limit=-2))
    for path in MOUNTS:
        if os.path.ismount(path):
            run(WEIGHTFS, "--unmount", path)
    sys.exit(1 if FAILED else 0)
