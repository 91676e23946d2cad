"""An ordinary user, for tests that root runs: a home of its own, and the right to mount."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile

from testing import HANGS, WEIGHTFS

USER = 65534


class User:
    """Nobody, with a home, where the program and an empty folder `mnt` are."""

    def __init__(self):
        # Where everybody may go, other than into the test's folder; and no other run of the test is.
        self.home = tempfile.mkdtemp(prefix="weightfs-user-", dir="/var/tmp")
        self.program, self.mnt = f"{self.home}/weightfs", f"{self.home}/mnt"
        self.move_in()

    def move_in(self):
        """With nothing else there."""
        self.move_out()
        os.makedirs(self.mnt)
        shutil.copy(WEIGHTFS, self.program)
        for path in (self.home, self.mnt, self.program):
            os.chown(path, USER, USER)

    def move_out(self):
        shutil.rmtree(self.home, ignore_errors=True)

    def run(self, *command):
        return subprocess.run(["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "env", f"HOME={self.home}",
                               *map(str, command)], capture_output=True, text=True, cwd=self.home, timeout=HANGS, check=False)


@contextlib.contextmanager
def ordinary_user():
    """One who may mount meanwhile. One test at a time: each leaves the device, and what it installs, as it was."""
    device = os.open("/dev/fuse", os.O_RDONLY)
    fcntl.flock(device, fcntl.LOCK_EX)
    mode, user = os.fstat(device).st_mode & 0o777, User()
    os.chmod("/dev/fuse", 0o666)
    try:
        yield user
    finally:
        os.chmod("/dev/fuse", mode)
        os.close(device)
        user.move_out()
