"""Files of a model that four processes hold together: what saving it takes against torch.distributed.checkpoint.

Gloo on this machine, one thread each. Both sides write the same bytes into new folders, and sync them; ours reads them
back too.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.distributed as dist
from torch import nn

import nnwidgets as nnw
from benchmarks.common import Row, peak_mib, report

N_RANKS, N_ROUNDS = 4, 5
N_TENSORS, SIDE = 64, 1_448
"""512 MiB in float32."""


def _rank(rank: int, port: int, root: str, queue: Any) -> None:
    import torch.distributed.checkpoint as dcp
    from torch.distributed.fsdp import fully_shard

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(N_RANKS))
    dist.init_process_group("gloo")
    with torch.device("meta"):
        net: Any = nn.Sequential(*(nn.Linear(SIDE, SIDE, bias=False) for _ in range(N_TENSORS)))
    fully_shard(net).to_empty(device="cpu")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.to_local().normal_()

    def seconds(save: Callable[[str], object], name: str) -> float:
        dist.barrier()
        began = time.perf_counter()
        save(f"{root}/{name}")
        dist.barrier()
        took = time.perf_counter() - began
        if rank == 0:
            shutil.rmtree(f"{root}/{name}", ignore_errors=True)
            Path(f"{root}/{name}").unlink(missing_ok=True)
        return took

    ways: dict[str, Callable[[str], object]] = {
        "dcp": lambda path: dcp.save(net.state_dict(), checkpoint_id=path),
        "folder": lambda path: nnw.save(net, f"{path}/"),
        "file": lambda path: nnw.save(net, f"{path}.safetensors", overwrite=True),
    }
    before = peak_mib()
    seconds(ways["folder"], "first")
    beyond = peak_mib() - before
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(N_ROUNDS):
        for name, save in ways.items():
            taken[name].append(seconds(save, f"{name}-{number}"))
    queue.put({name: statistics.median(each) for name, each in taken.items()} | {"beyond": beyond})
    dist.barrier()
    dist.destroy_process_group()


def rows() -> Iterator[Row]:
    """Saves in turns."""
    root = tempfile.mkdtemp()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    kids = [context.Process(target=_rank, args=(rank, port, root, queue), daemon=True) for rank in range(N_RANKS)]
    for kid in kids:
        kid.start()
    found = [queue.get(timeout=900) for _ in kids]
    for kid in kids:
        kid.join()
    shutil.rmtree(root)
    wall = {name: max(each[name] for each in found) for name in found[0]}
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
