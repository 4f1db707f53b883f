"""A checkpoint of 64 tensors loaded into a model that four processes hold together: against torch's own ``dcp.load``.

Gloo on this machine, one thread each; the folder was written by ``dcp.save`` and is in the page cache. Torch's load
checks no checksum, compares nothing afterwards and is not all or nothing.
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
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.distributed as dist
from torch import nn

import nnwidgets as nnw
from benchmarks.common import Row, peak_mib, report

N_RANKS, N_ROUNDS, N_LAYERS, SIZE = 4, 5, 64, 1_024
"""256 MiB of float32."""


def taken(call: Callable[[], object]) -> float:
    """Seconds until all ranks are done."""
    dist.barrier()
    began = time.perf_counter()
    call()
    dist.barrier()
    return time.perf_counter() - began


def measured(folder: str) -> dict[str, float]:
    """Medians of each way, in turns, the first round not counted; MiB that a load takes beyond its undo copy."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.fsdp import fully_shard

    net: Any = nn.Sequential(*(nn.Linear(SIZE, SIZE, bias=False) for _ in range(N_LAYERS)))
    fully_shard(net)
    dcp.save(net.state_dict(), checkpoint_id=folder)
    before = peak_mib()
    nnw.load(net, folder, undo=False)
    beyond = peak_mib() - before
    ways: dict[str, Callable[[], object]] = {
        "torch": lambda: dcp.load(net.state_dict(), checkpoint_id=folder),
        "undo off": lambda: nnw.load(net, folder, undo=False),
        "undo on": lambda: nnw.load(net, folder),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(N_ROUNDS + 1):
        for name, call in ways.items():
            found[name].append(taken(call))
    return {name: statistics.median(each[1:]) for name, each in found.items()} | {"beyond": beyond}


def _rank(rank: int, port: int, folder: str, queue: Any) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(N_RANKS))
    dist.init_process_group("gloo")
    queue.put(measured(folder))
    dist.barrier()
    dist.destroy_process_group()


def rows() -> Iterator[Row]:
    """Against torch, without and with what undoes it; and memory."""
    folder = tempfile.mkdtemp()
    try:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        kids = [context.Process(target=_rank, args=(rank, port, folder, queue), daemon=True) for rank in range(N_RANKS)]
        for kid in kids:
            kid.start()
        found = [queue.get(timeout=600) for _ in kids]
        for kid in kids:
            kid.join()
    finally:
        shutil.rmtree(folder)
    torchs, off, on, beyond = (max(each[name] for each in found) for name in ("torch", "undo off", "undo on", "beyond"))
    what = f"load of 256 MiB over {N_RANKS} ranks against dcp.load"
    yield Row(f"{what}, without undo", off / torchs, "x", 1.5, f"{off:.2f} s against {torchs:.2f} s")
    yield Row(f"{what}, with undo", on / torchs, "x", None, f"{on:.2f} s against {torchs:.2f} s")
    yield Row(f"load over {N_RANKS} ranks: memory beyond the part, without undo", beyond, "MiB", None, "of each rank")


if __name__ == "__main__":
    sys.exit(report("Loads over four ranks", rows()))
