"""File systems of a test's own, in images below its folder; root makes and mounts them."""

import contextlib
import os

from testing import TEST_DIR, run, wait_until


def insist(*command):
    """Loop devices are taken by others in between, and mounts are busy for a moment."""
    done = None

    def decided():
        nonlocal done
        done = run(*command)
        return not done.returncode or "wrong fs type" in done.stderr
    wait_until(decided)
    assert not done.returncode, (command, done.stderr)
    return done.stdout.strip()


@contextlib.contextmanager
def mounted(disk, name="point", options="defaults"):
    """A file system that is there, mounted; its folder."""
    folder = os.path.join(TEST_DIR, name)
    os.makedirs(folder, exist_ok=True)
    insist("mount", "-o", options + (",loop" if os.path.isfile(disk) else ""), disk, folder)
    try:
        yield folder
    finally:
        insist("umount", folder)


@contextlib.contextmanager
def image(kind, megabytes=400, make="", options="defaults"):
    """One that is made, and gone afterwards."""
    path = os.path.join(TEST_DIR, f"{kind}.img")
    run("truncate", "-s", f"{megabytes}M", path)
    insist(f"mkfs.{kind}", "-q", *make.split(), path)
    try:
        with mounted(path, kind, options) as folder:
            yield folder
    finally:
        os.unlink(path)
