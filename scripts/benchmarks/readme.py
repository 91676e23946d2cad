"""The rows of the README's table "Instead of loading and saving in Python"."""

from .table import memory, seconds


def find(table, *parts):
    """The first row whose name has all of these, or None."""
    return next((row for name, row in table.rows.items() if all(part in name for part in parts)), None)


def ours(row):
    text = seconds(row.ours)
    return f"{text}, {row.our_memory / 1024:.0f} MB of memory" if row.our_memory else text


def peer(row):
    text = seconds(row.peer)
    return f"{text}, {memory(row.peer_memory)} of memory" if row.peer_memory > 1 << 16 else text


def line(what, row, *others):
    """`others`: words around a peer's figure, and the row that has it."""
    if row is not None and all(other is not None for _, other in others):
        print(f"| {what} | {ours(row)} | {'; '.join(words.format(peer(other)) for words, other in others)} |")


def rate(size, value):
    return f"{size / value / 1e9:.1f} GB/s"


def show(table):
    size = 1 if table.quick else 4
    print(f"\n| job, on a model of {size} GB | weightfs | without |\n|---|---|---|")
    job = f"mount, sed -i, unmount: {size} GB"
    line("change one value of a safetensors file: mount, `sed -i`, unmount", find(table, job, "safetensors", "; cp"),
         ("{} to load and save it in Python", find(table, job, "safetensors loads and saves")),
         ("`cp` of the file alone {}", find(table, job, "; cp")))
    line("the same in HDF5", find(table, job, "HDF5", "; cp"),
         ("{} with h5py in place, guarded by nothing", find(table, job, "in place")),
         ("{} to load and save", find(table, job, "h5py loads and saves")))
    line("the same on 10 GB of safetensors", find(table, "unmount: 10 GB safetensors"),
         ("`cp` alone {}", find(table, "unmount: 10 GB safetensors")))
    line("compare two models: `diff -rq` of their mounts", find(table, "diff -rq of two models", "cmp"),
         ("{} with `cmp`, which does not say which tensor", find(table, "diff -rq of two models", "cmp")),
         ("{} with numpy", find(table, "diff -rq of two models", "numpy")))
    line("figures of all that differs: `weightfs --compare`", find(table, "--compare", "differing"),
         ("{} with numpy", find(table, "--compare", "differing")))
    line("find a NaN: `weightfs --stat`", find(table, "--stat", "isnan"),
         ("{} with numpy's isnan", find(table, "--stat", "isnan")), ("{} for `cat`", find(table, "--stat", "cat")))
    line("mount 100 GB (sparse) in 100,000 tensors, and unmount", find(table, "safetensors, 100,000 tensors"),
         ("{} for Python to parse the header", find(table, "safetensors, 100,000 tensors")))
    line("`ls -lR` over 100,000 files of a mount, second time", find(table, "ls -lR, 100,000", "ro, second"),
         ("{} over the same plain files", find(table, "ls -lR, 100,000", "ro, second")))
    first, second = find(table, "first read of a tensor"), find(table, "second read (speed)") or find(table, "second read")
    if first and second:
        bytes_read = (1 if table.quick else 2) << 30
        print(f"| read a tensor, first and second time | {rate(bytes_read, first.ours)}, "
              f"{rate(bytes_read, second.ours)} | {rate(bytes_read, first.peer)} from the page cache |")
