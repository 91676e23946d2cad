"""Fixtures that are cut and changed, by the fuzz target of their format in one process."""

import os
import subprocess

from formats import FORMATS
from testing import ok

BUILD = os.environ["BUILD"]


def cut_each(how, first, largest):
    """States of each fixture up to that size that its target finds nothing in what is made of it."""
    for form in FORMATS:
        for path in (path for path in form.fixtures() if os.path.getsize(path) <= largest):
            result = subprocess.run([os.path.join(BUILD, "fuzz", form.folder()), how, str(first), path],
                                    capture_output=True, text=True, check=False)
            said = result.stdout.strip() or result.stderr.strip()
            ok(f"{form.name}: {os.path.basename(path)} {how[2:]}: {said.removeprefix('ok - ')}", result.returncode == 0, said)
