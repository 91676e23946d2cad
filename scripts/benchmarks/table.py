"""The table: a line a job, with the peer's figure of the same rounds and the target."""

import statistics

from .jobs import floor


def seconds(value):
    if value < 1e-3:
        return f"{value * 1e6:.1f} us"
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def memory(kilobytes):
    if kilobytes == 0:
        return "-"
    if kilobytes < 10240:
        return f"{kilobytes / 1024:.1f} MB"
    return f"{kilobytes / 1024:.0f} MB" if kilobytes < 1 << 20 else f"{kilobytes / (1 << 20):.1f} GB"


def peer_memory(kilobytes):
    """Of a program that was started here; what is below the floor is not known."""
    return memory(kilobytes) if kilobytes == 0 or kilobytes > floor() else f"<{floor() / 1024:.0f} MB"


def significant(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


class Row:
    """Medians over the rounds."""

    def __init__(self, pairs, speed):
        self.ours, self.peer = (statistics.median(f.seconds for f in column) for column in zip(*pairs))
        self.our_memory, self.peer_memory = (max(f.memory for f in column) for column in zip(*pairs))
        ratios = sorted(b.seconds / a.seconds if speed else a.seconds / b.seconds for a, b in pairs)
        self.ratio, self.least, self.most = statistics.median(ratios), ratios[0], ratios[-1]


class Table:
    """Prints as it measures; `rows` keeps what was printed, by the name of the job."""

    def __init__(self, quick):
        self.quick = quick
        self.rows, self.missed = {}, []

    def header(self):
        print("\nratio: ours / peer in time, less is better; with `speed`, in speed, more is better. Medians, and\n"
              "the least and largest of the rounds, in which ours and the peer's run by turns.\n")
        print(f"{'job; peer':78} {'ours':>9} {'peer':>9} {'ratio':>7} {'spread':>13}  {'target':15} "
              f"{'':7} {'memory':>15}", flush=True)

    def topic(self, title):
        print(f"-- {title}", flush=True)

    def verdict(self, name, met):
        if met is False:
            self.missed.append(name)
        return {True: "met", False: "MISSED", None: ""}[met]

    def compare(self, name, ours, peer, target=None, *, rounds=5, speed=False):
        """Runs two jobs by turns; each returns a Figure. `target` is the ratio's bound: the
        most, or the least where speeds are compared."""
        rounds = min(rounds, 3) if self.quick else rounds
        return self.put(name, [(ours(), peer()) for _ in range(rounds)], target, speed=speed)

    def put(self, name, pairs, target=None, *, speed=False):
        row = self.rows[name] = Row(pairs, speed)
        met = None if target is None else row.ratio >= target if speed else row.ratio <= target
        bound = "" if target is None else f"{'at least' if speed else 'at most'} {target:g}"
        spread = f"{significant(row.least)}-{significant(row.most)}"
        print(f"{name + (' (speed)' if speed else ''):78} {seconds(row.ours):>9} {seconds(row.peer):>9} "
              f"{significant(row.ratio):>7} {spread:>13}  {bound:15} {self.verdict(name, met):7} "
              f"{memory_of(row):>15}", flush=True)
        return row

    def fact(self, name, value, target="", met=None):
        """A figure that has no peer."""
        print(f"{name:78} {value:>9} {'':9} {'':7} {'':13}  {target:15} {self.verdict(name, met):7}", flush=True)

    def skip(self, name, why):
        print(f"{name:78} skipped: {why}", flush=True)


def memory_of(row):
    if row.our_memory == 0 and row.peer_memory == 0:
        return ""
    return f"{memory(row.our_memory)} / {peer_memory(row.peer_memory)}"
