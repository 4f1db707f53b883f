"""A checkpoint of 64 tensors loaded into a model that four processes hold together: against torch's own ``dcp.load``.

Gloo on this machine, one thread each; the folder was written by ``dcp.save`` and is in the page cache. Torch's load
checks no checksum, compares nothing afterwards and is not all or nothing.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from torch import nn

import nnwidgets as nnw
from benchmarks.common import Row, report
from benchmarks.gloo import N_RANKS, on_ranks, seconds_of

N_ROUNDS, N_LAYERS, SIZE = 5, 64, 1_024
"""256 MiB of float32."""


def measured(folder: str) -> dict[str, float]:
    """Medians of each way, in turns, the first round not counted."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.fsdp import fully_shard

    net: Any = nn.Sequential(*(nn.Linear(SIZE, SIZE, bias=False) for _ in range(N_LAYERS)))
    fully_shard(net)
    dcp.save(net.state_dict(), checkpoint_id=folder)
    ways: dict[str, Callable[[], object]] = {
        "torch": lambda: dcp.load(net.state_dict(), checkpoint_id=folder),
        "undo off": lambda: nnw.load(net, folder, undo=False),
        "undo on": lambda: nnw.load(net, folder),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(N_ROUNDS + 1):
        for name, call in ways.items():
            found[name].append(seconds_of(call))
    return {name: statistics.median(each[1:]) for name, each in found.items()}


def rows() -> Iterator[Row]:
    """Against torch, without and with what undoes it."""
    folder = tempfile.mkdtemp()
    try:
        found = on_ranks(measured, folder)
    finally:
        shutil.rmtree(folder)
    torchs, off, on = (found[name] for name in ("torch", "undo off", "undo on"))
    what = f"load of 256 MiB over {N_RANKS} ranks against dcp.load"
    yield Row(f"{what}, without undo", off / torchs, "x", 1.5, f"{off:.2f} s against {torchs:.2f} s")
    yield Row(f"{what}, with undo", on / torchs, "x", None, f"{on:.2f} s against {torchs:.2f} s")


if __name__ == "__main__":
    sys.exit(report("Loads over four ranks", rows()))
