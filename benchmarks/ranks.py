"""Models over ranks: merging, a question to four engines beyond one here, a silence told, training beside a view.

Four engines of ipyparallel on this machine, in one gloo group, one thread each.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn

import nnwidgets as nnw
from benchmarks.common import Row, medians, report
from nnwidgets.distributed import merging
from nnwidgets.distributed.answering import answer
from nnwidgets.distributed.sources.ipyparallel import EngineSource
from nnwidgets.server.handlers.registry import handlers
from nnwidgets.wire.dispatch import Dispatcher

N_RANKS, N_TENSORS, DEADLINE = 4, 1_000, 1.0
OPEN: dict[str, Any] = {"v": 1, "id": "1", "kind": "open", "body": {}}
MODELS = """
import os, threading, time, torch, torch.distributed as dist
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
def cpu_of_doors():
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("nnwidgets")]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(thread.ident)) for thread in ours)
def steps(n):
    step()
    dist.barrier()
    worked, began = cpu_of_doors(), time.perf_counter()
    for _ in range(n):
        step()
    return time.perf_counter() - began, cpu_of_doors() - worked
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

    views = [nnw.explore(net), nnw.explore(here)]
    over, alone = medians(*(lambda view=view: _click(view) for view in views), rounds=25)  # type: ignore[misc]
    for view in views:
        view.close()
    yield Row(
        f"a click on a tensor of a model on {N_RANKS} idle engines, beyond the same in one process",
        (over - alone) * 1e3, "ms", 60.0,
        f"{over * 1e3:.1f} ms against {alone * 1e3:.1f} ms for its facts, statistics, picture and numbers",
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
    read: dict[str, Callable[[], Any]] = {
        "alike": lambda: client[:].execute("held = nnw.tree(large)", block=True),
        "group": lambda: client[:].execute("held = nnw.tree(job['large'])", block=True),
        "notebook": lambda: nnw.tree(large),
    }
    taken: dict[str, list[float]] = {name: [] for name in read}
    for _ in range(5):
        for name, tree_of in read.items():
            # Every few trees the collector goes through all of a process once: it is to be none of the three's.
            client[:].execute("held = None; import gc; gc.collect()", block=True)
            gc.collect()
            began = time.perf_counter()
            tree_of()
            taken[name].append(time.perf_counter() - began)
    theirs, ours, notebook = map(statistics.median, taken.values())
    what = f"tree of 100,000 modules over {N_RANKS} ranks"
    note = f"{theirs:.1f} s for a tree of its own on each of {N_RANKS} processes of {os.cpu_count()} cores at once"
    yield Row(f"{what}, in the group", ours / theirs, "x", 1.5, f"{ours:.1f} s against {note}")
    yield Row(f"{what}, from the notebook", notebook / theirs, "x", 1.5, f"{notebook:.1f} s against {note}")


def _click(view: Any) -> None:
    """What the page asks for when the row of a tensor is clicked, one after the other."""
    replies: list[dict[str, Any]] = []
    dispatcher = Dispatcher(handlers(view._session_for), lambda message, _buffers: replies.append(message))  # noqa: SLF001
    picture, numbers = {"max_rows": 256, "max_columns": 256}, {"row": 0, "column": 0, "rows": 12, "columns": 8}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("inspect", {"bins": 64}), ("stats", {}), ("values", picture), ("values", numbers),
    ]  # fmt: skip
    for kind, body in asked:
        dispatcher.receive({"v": 1, "id": kind, "kind": kind, "body": {"path": "0.weight", **body}})
    if not all(reply.get("ok", True) for reply in replies):
        raise RuntimeError(f"A click was refused: {replies}")


class Counted:
    """A source of ranks that counts its questions."""

    def __init__(self, source: EngineSource) -> None:
        self._source, self.n_questions = source, 0

    def call(self, *question: Any) -> Any:
        """As the source's."""
        self.n_questions += 1
        return self._source.call(*question)


def training_rows(client: Any) -> Iterator[Row]:
    """A training step while a view of the model is open in this process, and was shown all it asked for.

    The clock alone can't tell one part of a hundred: four ranks of two cores take turns as it happens, so the same
    steps without a view, twice, differ by more. So what the view has threads do, here and there, is measured too.
    """
    source = Counted(EngineSource(client))
    net = nnw.ranks(source)["ddp"]
    kinds = ["closed", "again", "open"]
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    here: dict[str, list[float]] = {kind: [] for kind in kinds}
    of_doors, n_questions = 0.0, 0
    for at in range(24):
        for kind in kinds[at % 3 :] + kinds[: at % 3]:
            # What comes before the steps is the same for all, so that caches are.
            view = nnw.explore(net)
            Dispatcher(handlers(view._session_for), lambda *_: None).receive(OPEN)  # noqa: SLF001
            while view._session._is_checking:  # noqa: SLF001
                time.sleep(0.01)
            if kind != "open":
                view.close()
            began, asked = time.process_time(), source.n_questions
            seconds, seconds_of_doors = zip(*client[:].apply_sync(_steps), strict=True)
            here[kind].append(time.process_time() - began)
            taken[kind].append(max(seconds))
            if kind == "open":
                of_doors, n_questions = of_doors + sum(seconds_of_doors), n_questions + source.n_questions - asked
                view.close()
    closed, again, opened = (statistics.fmean(taken[kind]) for kind in kinds)
    more_here = statistics.fmean(here["open"]) - statistics.fmean(here["closed"] + here["again"])
    share = (of_doors / len(taken["open"]) + max(0.0, more_here)) / opened
    what = f"training steps of {N_RANKS} ranks with an idle Explorer"
    yield Row(
        f"{what}: CPU that it takes", share * 100, "%", 1.0,
        f"of one core: {of_doors * 1e3:.1f} ms in all on {N_RANKS} engines, {more_here * 1e3:.2f} ms here a round of "
        f"{opened:.2f} s; {n_questions} questions asked",
    )  # fmt: skip
    yield Row(f"{what}: the clock", opened / closed, "x", None, f"{again / closed:.3f}x for the same again without it")


def _steps() -> tuple[float, float]:
    """Runs on an engine: seconds of some steps, and of the CPU by threads of nnwidgets meanwhile."""
    taken: tuple[float, float] = eval("steps(12)")  # noqa: S307 - the engine's own function, by its name there
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
        yield from training_rows(client)
    finally:
        client.close()
        cluster.stop_cluster_sync()


if __name__ == "__main__":
    sys.exit(report("Models over four ranks", rows()))
