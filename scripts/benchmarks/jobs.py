"""Running a job and weighing it: seconds, and the most memory that it had."""

import os
import resource
import subprocess
import time
from typing import NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIGHTFS = os.environ.get("WEIGHTFS", os.path.join(ROOT, os.environ.get("BUILD", "build"), "weightfs"))
PYTHON = "/usr/bin/python3"


class Figure(NamedTuple):
    """What one run of a job took."""
    seconds: float
    memory: int = 0  # kilobytes at the peak; 0: not measured


def floor():
    """Kilobytes below which the memory of a program that was started here cannot be told: it
    inherits the peak of this one."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def run(*command, cwd=None, expected=(0,)):
    """Runs a program to its end, from its start."""
    begin = time.perf_counter()
    with subprocess.Popen([str(part) for part in command], cwd=cwd, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in expected:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit status {process.returncode}: {said.decode()}")
    return Figure(seconds, usage.ru_maxrss)


def python(code, *arguments, interpreter=PYTHON):
    """Runs a Python program, its start included."""
    return run(interpreter, "-c", code, *arguments)


def timed(job):
    begin = time.perf_counter()
    job()
    return Figure(time.perf_counter() - begin)


def output(*command):
    """What a program says, stripped; empty where it fails or is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
