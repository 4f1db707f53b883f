"""Files of a model that four processes hold together: what saving it takes against torch.distributed.checkpoint.

Gloo on this machine, one thread each. Both sides write the same bytes into new folders, and sync them; ours reads them
back too.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.distributed as dist
from torch import nn

import nnwidgets as nnw
from benchmarks.common import Row, beyond_mib, report
from benchmarks.gloo import N_RANKS, on_ranks, seconds_of

N_ROUNDS = 5
N_TENSORS, SIDE = 64, 1_448
"""512 MiB in float32."""


def _saves(root: str) -> dict[str, float]:
    import torch.distributed.checkpoint as dcp
    from torch.distributed.fsdp import fully_shard

    warnings.simplefilter("ignore")
    with torch.device("meta"):
        net: Any = nn.Sequential(*(nn.Linear(SIDE, SIDE, bias=False) for _ in range(N_TENSORS)))
    fully_shard(net).to_empty(device="cpu")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.to_local().normal_()

    def seconds(save: Callable[[str], object], name: str) -> float:
        took = seconds_of(lambda: save(f"{root}/{name}"))
        if dist.get_rank() == 0:
            shutil.rmtree(f"{root}/{name}", ignore_errors=True)
            Path(f"{root}/{name}").unlink(missing_ok=True)
        return took

    ways: dict[str, Callable[[str], object]] = {
        "dcp": lambda path: dcp.save(net.state_dict(), checkpoint_id=path),
        "folder": lambda path: nnw.save(net, f"{path}/"),
        "file": lambda path: nnw.save(net, f"{path}.safetensors", overwrite=True),
    }
    beyond = beyond_mib(lambda: seconds(ways["folder"], "first"))
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(N_ROUNDS):
        for name, save in ways.items():
            taken[name].append(seconds(save, f"{name}-{number}"))
    return {name: statistics.median(each) for name, each in taken.items()} | {"beyond": beyond}


def rows() -> Iterator[Row]:
    """Saves in turns."""
    root = tempfile.mkdtemp()
    wall = on_ranks(_saves, root)
    shutil.rmtree(root)
    mib = N_TENSORS * SIDE * SIDE * 4 / 2**20
    what = f"save of {mib:.0f} MiB over {N_RANKS} ranks"
    note = f"against {wall['dcp']:.2f} s, read back too"
    yield Row(f"{what}, against dcp.save", wall["folder"] / wall["dcp"], "x", 1.1, f"{wall['folder']:.2f} s {note}")
    yield Row(
        f"{what} into one safetensors file, against dcp.save", wall["file"] / wall["dcp"], "x", None,
        f"{wall['file']:.2f} s {note}",
    )  # fmt: skip
    yield Row(f"{what}: memory beyond the shards", wall["beyond"], "MiB", 32.0)


if __name__ == "__main__":
    sys.exit(report("Files over four ranks", rows()))
