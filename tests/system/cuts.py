"""The formats whose fixtures are cut and changed, by a fuzz target in one process."""

import glob
import os
import subprocess

from testing import FIXTURES, ok

BUILD = os.environ["BUILD"]
# (fuzz target, folder of fixtures); a new format joins by a line.
FORMATS = (("safetensors", "safetensors"), ("hdf5", "hdf5"), ("keras", "keras"))


def fixtures(folder, largest):
    return sorted(path for path in glob.glob(os.path.join(FIXTURES, folder, "*"))
                  if path.endswith((".safetensors", ".h5")) and os.path.getsize(path) <= largest)


def take(target, how, first, files):
    """States that a target finds nothing in what is made of each file."""
    for path in files:
        result = subprocess.run([os.path.join(BUILD, "fuzz", target), how, str(first), path],
                                capture_output=True, text=True, check=False)
        said = result.stdout.strip() or result.stderr.strip()
        ok(f"{target}: {os.path.basename(path)} {how[2:]}: {said.removeprefix('ok - ')}", result.returncode == 0, said)
