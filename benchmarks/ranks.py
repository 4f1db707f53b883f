"""Models over ranks: merging, a question to four engines beyond one here, a silence told, training beside a view.

Four engines of ipyparallel on this machine, in one gloo group, one thread each.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn

import nnwidgets as nnw
from benchmarks.common import Row, medians, report
from nnwidgets.distributed import merging
from nnwidgets.distributed.answering import answer

N_RANKS, N_TENSORS, DEADLINE = 4, 1_000, 1.0
MODELS = """
import os, time, torch, torch.distributed as dist
from torch import nn
import nnwidgets as nnw
from benchmarks import models
torch.set_num_threads(1)
os.environ.update(RANK=str(rank), WORLD_SIZE=str(world_size), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
dist.init_process_group("gloo")
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
large, job = models.synthetic(), nnw.ranks(timeout=120)
ddp = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512)))
X, sgd = torch.rand(64, 512), torch.optim.SGD(ddp.parameters(), lr=1e-3)
def step():
    sgd.zero_grad()
    ddp(X).square().mean().backward()
    sgd.step()
def steps(n):
    dist.barrier()
    began = time.perf_counter()
    for _ in range(n):
        step()
    return (time.perf_counter() - began) / n
"""


def merging_rows() -> Iterator[Row]:
    """Statistics of many tensors of four ranks, made one: as the table of all asks for them, and with bins."""
    net = nn.ParameterList([torch.randn(64) for _ in range(N_TENSORS)])
    for bins in (False, True):
        body = {"ask": "stats", "paths": [str(n) for n in range(N_TENSORS)], "bins": bins}
        said: Any = answer(net, body)["said"]
        replies = {rank: said | {"shares": [["held", [rank], N_RANKS, 64 * N_RANKS]]} for rank in range(N_RANKS)}
        (taken,) = medians(lambda replies=replies, bins=bins: _merge(replies, bins))  # type: ignore[misc]
        what = f"merging {N_TENSORS:,} tensors' statistics of {N_RANKS} ranks{', with bins' if bins else ''}"
        yield Row(what, taken * 1e3, "ms", 20.0)


def _merge(replies: Any, bins: bool) -> Any:
    whole = merging.tensors.WholeTensors(replies, ())
    # A record makes the bins of all.
    return whole.brief(), whole[0] if bins else None


def over_engines(client: Any) -> Iterator[Row]:
    """What a notebook asks of engines that are idle, and of one that isn't."""
    job, here = nnw.ranks(client, timeout=120.0), nn.Sequential(nn.Linear(256, 256))
    net = job["net"]
    over, alone = medians(lambda: nnw.stats(net["0.weight"]), lambda: nnw.stats(here[0].weight), rounds=25)
    yield Row(
        f"statistics of a tensor on {N_RANKS} idle engines, beyond the same in one process",
        (over - alone) * 1e3, "ms", 60.0, f"{over * 1e3:.1f} ms against {alone * 1e3:.1f} ms",
    )  # fmt: skip

    patient, job.timeout = job.timeout, DEADLINE
    # Stopped, so that its side door is silent too.
    silent = client[N_RANKS - 1].apply_sync(os.getpid)
    os.kill(silent, signal.SIGSTOP)
    began = time.perf_counter()
    found = nnw.check(net)
    late = time.perf_counter() - began - DEADLINE
    told = any(finding.code == "rank-missing" for finding in found)
    yield Row("a missing rank told, after the deadline", late if told else float("inf"), "s", 0.5)
    os.kill(silent, signal.SIGCONT)
    job.timeout = patient

    large = job["large"]
    whole, alike, group = [], [], []
    for _ in range(3):
        began = time.perf_counter()
        client[:].execute("held = nnw.tree(large)", block=True)
        alike.append(time.perf_counter() - began)
        began = time.perf_counter()
        client[:].execute("held = nnw.tree(job['large'])", block=True)
        group.append(time.perf_counter() - began)
        began = time.perf_counter()
        nnw.tree(large)
        whole.append(time.perf_counter() - began)
    client[:].execute("del held", block=True)
    theirs, ours, notebook = (statistics.median(each) for each in (alike, group, whole))
    what = f"tree of 100,000 modules over {N_RANKS} ranks"
    note = f"{theirs:.1f} s for a tree of its own on each of {N_RANKS} processes of {os.cpu_count()} cores at once"
    yield Row(f"{what}, in the group", ours / theirs, "x", 1.5, f"{ours:.1f} s against {note}")
    yield Row(f"{what}, from the notebook", notebook / theirs, "x", 1.5, f"{notebook:.1f} s against {note}")


def training_row(client: Any) -> Row:
    """A training step while a view of the model is open in this process."""
    ratios, net = [], nnw.ranks(client)["ddp"]
    for _ in range(7):
        without = max(client[:].apply_sync(_steps))
        view = nnw.explore(net)
        with_view = max(client[:].apply_sync(_steps))
        view.close()
        ratios.append(with_view / without)
    return Row(f"training step of {N_RANKS} ranks with an idle Explorer", statistics.median(ratios), "x", 1.01)


def _steps() -> float:
    """Runs on an engine."""
    taken: float = eval("steps(40)")  # noqa: S307 - the engine's own function, by its name there
    return taken


def rows() -> Iterator[Row]:
    """Merging here, then the rest on engines."""
    import ipyparallel

    yield from merging_rows()
    cluster = ipyparallel.Cluster(n=N_RANKS, log_level=logging.ERROR)
    client = cluster.start_and_connect_sync(activate=False)
    try:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        started = [
            client[rank].execute(f"rank, world_size, port = {rank}, {N_RANKS}, {port}\n{MODELS}", block=False)
            for rank in range(N_RANKS)
        ]
        for each in started:
            each.get(120)
        yield from over_engines(client)
        yield training_row(client)
    finally:
        client.close()
        cluster.stop_cluster_sync()


if __name__ == "__main__":
    sys.exit(report("Models over four ranks", rows()))
