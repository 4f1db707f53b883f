"""Changes: `init` against the bare fillers, `undo` against one copy, and the memory a change takes beyond its copy."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

from benchmarks import models
from benchmarks.common import Row, against, medians, report
from nnwidgets import edit

STD = 0.02
MIB = 1 << 20


def rows() -> Iterator[Row]:
    """The three measures, the memory one first, while the process is small."""
    yield memory()
    yield whole_model()
    yield one_gibibyte()


def whole_model() -> Row:
    """`init` of every weight of GPT-2 with its undo copy, against ``nn.init.normal_`` on each.

    The history is full: each change drops the oldest copy, as in a long session. Memory the system hands out for the
    first time can cost a virtual machine more than the numbers that are written to it.
    """
    model = models.gpt2()
    paths = [path for path, tensor in model.named_parameters() if tensor.dim() > 1]
    weights = [model.get_parameter(path) for path in paths]
    edit.set_budget(model, sum(weight.nbytes for weight in weights))

    def ours() -> None:
        edit.init(model, paths, "normal_", std=STD, seed=7)

    def bare() -> None:
        generator = torch.Generator().manual_seed(7)
        for weight in weights:
            nn.init.normal_(weight, std=STD, generator=generator)

    ours()
    return against(
        f"init of GPT-2's {len(paths)} weights, undo kept", ours, bare, limit=1.5, rounds=5, theirs_is="nn.init"
    )


def one_gibibyte() -> Row:
    """Undo and redo in turn of a change of 1 GiB, against copying 1 GiB."""
    net = nn.Module()
    net.w = nn.Parameter(torch.zeros(1 << 28))
    source = torch.ones(1 << 28)
    target = torch.zeros(1 << 28)
    edit.init(net, "w", "normal_", seed=7)
    turns = [edit.redo, edit.undo]

    def ours() -> None:
        turns.reverse()
        turns[0](net)

    mine, other = medians(ours, lambda: target.copy_(source), rounds=6)
    note = f"{mine * 1e3:.0f} ms against {other * 1e3:.0f} ms for one copy_"
    return Row("undo of a 1 GiB change", mine / other, "x", 1.2, note)


def memory() -> Row:
    """The most that a change of 256 MiB, its undo and its redo hold beyond the undo copy."""
    n_bytes = 256 * MIB
    small, net = nn.Module(), nn.Module()
    small.w, net.w = nn.Parameter(torch.zeros(MIB)), nn.Parameter(torch.zeros(n_bytes // 4))

    def change(of: nn.Module) -> None:
        edit.init(of, "w", "normal_", seed=7)
        edit.undo(of)
        edit.redo(of)

    change(small)
    before = resident()
    beyond = (most_resident(lambda: change(net)) - before - n_bytes) / MIB
    return Row("memory of a change beyond its undo copy", max(0.0, beyond), "MiB", 32, "init, undo and redo of 256 MiB")


def resident() -> int:
    """Bytes this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def most_resident(call: Callable[[], object]) -> int:
    """The most bytes held while ``call`` runs, looked at every millisecond."""
    most, is_over = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not is_over.is_set():
            most = max(most, resident())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        call()
    finally:
        is_over.set()
        watcher.join()
    return most


if __name__ == "__main__":
    sys.exit(report("Changes, undo kept", rows()))
