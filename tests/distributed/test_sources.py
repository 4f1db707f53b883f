"""Where ranks are: ipyparallel's engines asked from a notebook, busy and dead ones too, and engines by an adapter."""

from __future__ import annotations

import os
import platform
import re
import signal
import socket
import threading
import time

import psutil
import pytest
import torch
import torch.distributed as dist
from torch import nn

import nnwidgets as nnw
from nnwidgets.distributed.sources.side_door import DoorSource
from tests.support.engines import engines_of
from tests.support.ranks_here import RanksHere

MODEL = """
import torch
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 10))
"""


GROUP = """
import datetime, os, time, torch.distributed as dist
os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=6))
class Meets(nn.Module):
    def forward(self, x):
        if rank == 1:
            raise ValueError("bad batch")
        dist.all_reduce(x)
        return x
class Slow(nn.Module):
    def forward(self, x):
        time.sleep(60)
meets, slow = nn.Sequential(nn.Linear(4, 4), Meets()), nn.Sequential(Slow())
"""


DOING = ["at line 2 of a cell", "in wait at line 3 of a cell"]


@pytest.fixture(scope="module")
def engines():
    with engines_of(2, MODEL) as client:
        yield client


def lost(findings):
    return [each.message for each in findings if each.code == "rank-missing"]


def a_forward_that_raises_on_one_engine_is_told_with_it(engines, job):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [engines[rank].execute(f"rank, port = {rank}, {port}\n{GROUP}", block=False) for rank in (0, 1)]
    for each in started:
        each.get(60)
    job.timeout, began = 1.5, time.monotonic()
    trace = nnw.trace(job["meets"], torch.ones(2, 4))
    assert time.monotonic() - began < 6  # what the group waits for, the notebook doesn't
    assert trace.error.startswith("ValueError: bad batch (on rank 1). Rank 0 ")
    assert re.search(r"it is in all_reduce at line \d+ of a cell\. .*own timeout", trace.error)
    assert (trace.failed_at, [each.rank for each in trace.by_rank]) == ("1", [1])
    # Rank 0 is let go by the group's timeout, and both answer as before.
    job.timeout = 60.0
    for rank in (0, 1):
        engines[rank].execute("dist.destroy_process_group()", block=True)
    assert nnw.check(job["meets"]) == ()


def an_engine_killed_in_its_own_forward_is_told_so(engines, job, pid):
    job.timeout, began = 20.0, time.monotonic()
    threading.Timer(1.0, lambda: os.kill(pid, signal.SIGKILL)).start()
    with pytest.raises(nnw.RankMissingError, match=r"Rank 0 .*is gone: its engine has ended") as caught:
        nnw.trace(job["slow"], torch.ones(1))
    assert time.monotonic() - began < 20
    assert caught.value.ranks == (0,)


def test_engines_are_asked_while_idle_busy_and_dead(engines, monkeypatch):
    job = nnw.ranks(engines, timeout=60.0)
    net = job["net"]
    whole: dict = {}
    exec(MODEL, whole)  # noqa: S102 - the text above
    assert nnw.tree(net).n_params == 874
    assert nnw.stats(net["0.weight"]).to_dict() == {
        **nnw.stats(whole["net"][0].weight).to_dict(),
        "by_rank": [each.to_dict() for each in nnw.stats(net["0.weight"]).by_rank],
    }
    assert nnw.check(net) == ()
    pids = engines[:].apply_sync(os.getpid)
    processes = [psutil.Process(pid) for pid in pids]
    assert [status.state for status in job.statuses] == ["idle", "idle"]
    assert {status.host for status in job.statuses} == {platform.node()}
    with pytest.raises(nnw.RankMissingError, match=r"ranks 0, 1: .*'nothing'"):
        nnw.tree(job["nothing"])
    inputs = torch.ones(2, 16, dtype=torch.float64).float()
    trace, wanted = nnw.trace(net, inputs), nnw.trace(whole["net"], inputs)
    assert [(call.path, call.output_shapes, call.flops) for call in trace.calls] == [
        (call.path, call.output_shapes, call.flops) for call in wanted.calls
    ]
    assert [each.flops for each in trace.by_rank] == [wanted.flops] * 2
    assert nnw.trace(net, input_size=(2, 17)).error.endswith("(on ranks 0, 1)")

    a_forward_that_raises_on_one_engine_is_told_with_it(engines, job)

    engines[1].execute("net[0].weight.data[0, 0] = float('nan')", block=True)
    assert {(each.code, each.ranks) for each in nnw.check(net)} == {("nan-or-inf", (1,)), ("replicas-differ", (1,))}

    # One is a job like others; one on another host has no door, and answers between its cells.
    only = nnw.ranks(engines[0], timeout=60.0)
    assert nnw.tree(only["net"]).n_params == 874
    assert nnw.check(only["net"]) == ()
    assert only.world_size == 1
    monkeypatch.setattr(platform, "node", lambda: "elsewhere")
    away = nnw.ranks(engines, timeout=60.0)
    assert nnw.tree(away["net"]).n_params == 874
    busy = engines[0].execute("import time\ntime.sleep(2)", block=False)
    away.timeout = 0.5
    (found,) = lost(nnw.check(away["net"]))
    assert re.search(r"hasn't answered for 0\.\d s: on another host than this notebook, .*serve\(host=", found)
    assert found.endswith("asks it beside them); rank 1 answered. The rest is of the others.")
    busy.wait(60)
    monkeypatch.undo()

    # They answer beside a cell, and say where they are in it.
    busy = engines[0].execute("import time\ntime.sleep(60)", block=False)
    stuck = engines[1].execute("import threading\n\nthreading.Event().wait(60)", block=False)
    deadline = time.monotonic() + 30
    while [status.doing for status in job.statuses] != DOING and time.monotonic() < deadline:
        assert {each.ranks for each in nnw.check(net)} == {(1,)}
        time.sleep(1.1)
    assert [(status.state, status.doing) for status in job.statuses] == [("busy", DOING[0]), ("stuck", DOING[1])]
    assert not busy.ready()
    assert not stuck.ready()
    job.timeout = 1.0  # a forward is run by the engine's own thread, or by none
    with pytest.raises(nnw.RankMissingError, match=r"Rank 0 .*hasn't answered"):
        nnw.trace(net, inputs)
    job.timeout = 60.0

    # Killed while it is asked: stopped, so that it is.
    os.kill(pids[1], signal.SIGSTOP)
    killed = threading.Timer(0.5, lambda: os.kill(pids[1], signal.SIGKILL))
    killed.start()
    began = time.monotonic()
    (during,) = lost(nnw.check(net))
    assert time.monotonic() - began < 30
    assert during.startswith(
        f"Rank 1 ({platform.node()}) ended, or closed the connection, while it was asked; rank 0 answered."
    )
    killed.join()
    deadline = time.monotonic() + 30
    while 1 in engines.ids and time.monotonic() < deadline:
        time.sleep(0.05)
    nnw.tree(net)
    assert [status.state for status in job.statuses] == ["busy", "dead"]
    (found, *_) = nnw.check(net)
    assert found.message.startswith(f"Rank 1 ({platform.node()}) is gone: its engine has ended; rank 0 answered.")

    os.kill(pids[0], signal.SIGINT)
    busy.wait(30)
    an_engine_killed_in_its_own_forward_is_told_so(engines, only, pids[0])
    door = DoorSource({0: job._source._doors[0]}).call({}, None, time.monotonic() + 5)
    assert door[0].is_dead
    _, alive = psutil.wait_procs(processes, timeout=30)  # told as gone a moment before the system has reaped it
    assert not alive


@pytest.fixture
def two():
    made = RanksHere([nn.Linear(2, 3), nn.Linear(2, 3)])
    yield made
    made.close()


def test_any_object_that_can_be_called_is_a_source(two):
    two.models[1].load_state_dict(two.models[0].state_dict())
    job = nnw.ranks(two)
    assert nnw.tree(job["net_of_rank"]).n_params == 9
    assert nnw.check(job["net_of_rank"]) == ()
    assert two.asked[0]["kind"] == "rank"
    assert repr(job) == "Ranks(2 ranks, 2 answered last)"
    assert "36 B on each of 2 ranks" in str(nnw.tree(job["net_of_rank"]))


def test_what_a_rank_that_is_missing_holds_is_told_to_be_missing(two):
    two.models[1] = None
    job = nnw.ranks(two)
    assert [each.message for each in nnw.check(job["net_of_rank"])] == [
        "Rank 1 isn't started; rank 0 answered. The rest is of the others."
    ]
    two.models[0] = None
    with pytest.raises(nnw.RankMissingError, match=r"Rank 0 .*isn't started\. Rank 1"):
        nnw.stats(job["net_of_rank"]["weight"])


class Once(nn.Linear):
    """Of each rank that leaves out what it has."""

    def __init__(self, leaves_out):
        super().__init__(2, 3)
        self.inner, self.leaves_out = nn.Linear(3, 3), leaves_out

    def forward(self, x):
        made = super().forward(x)
        return made if self.leaves_out else self.inner(made)


def test_operations_of_ranks_that_run_different_modules_are_not_added_up(two):
    two.models[:] = [Once(False), Once(False)]
    net = nnw.ranks(two)["net_of_rank"]
    assert nnw.trace(net, torch.ones(2, 2)).flops == 2 * 2 * (2 * 3 + 3 * 3)
    two.models[1] = Once(True)
    trace = nnw.trace(net, torch.ones(2, 2))
    assert (trace.flops, [each.flops for each in trace.by_rank]) == (None, [2 * 2 * (2 * 3 + 3 * 3), 2 * 2 * 2 * 3])


def test_statistics_print_what_each_rank_holds(two):
    text = str(nnw.stats(nnw.ranks(two)["net_of_rank"]["weight"]))
    assert "rank 0: its replicas differ" in text
    assert [line.split()[:3] for line in text.splitlines() if line.strip()[:1] in "01"][-2:] == [
        ["0", "all", "6"], ["1", "all", "6"]
    ]  # fmt: skip


def test_the_table_of_all_tensors_is_one_question_and_asks_for_no_bins(two):
    table = nnw.stats(nnw.ranks(two)["net_of_rank"])
    (asked,) = [each["body"] for each in two.asked if each["body"]["ask"] == "stats"]
    assert (asked["bins"], asked["paths"]) == (False, [row.path for row in table])


def test_what_can_not_be_asked_of_ranks_is_refused(two):
    net = nnw.ranks(two)["net_of_rank"]
    with pytest.raises(nnw.InvalidTargetError, match="check of a model over ranks isn't possible with these"):
        nnw.check(net, optimizer=torch.optim.SGD([torch.zeros(1, requires_grad=True)]))
    with pytest.raises(nnw.InvalidTargetError, match="named by its variable"):
        nnw.ranks(two)[net]
    with pytest.raises(nnw.InvalidTargetError, match="no source of ranks"):
        nnw.ranks(3)
    with pytest.raises(nnw.InvalidTargetError, match="no process group"):
        nnw.ranks()


def test_what_can_not_be_sent_to_ranks_is_refused_before_anything_runs(two):
    net = nnw.ranks(two)["net_of_rank"]
    with pytest.raises(nnw.InvalidTargetError, match="holds a slice, which can't be sent to ranks"):
        nnw.trace(net, slice(3))
    assert two.asked == []
    given = {"x": [torch.ones(2), (True, None, "a")]}
    assert "takes 2 positional" in nnw.trace(net, torch.ones(1), given).error
    assert nnw.trace(net, torch.ones(4, 2)).by_rank[1].flops == 2 * 4 * 2 * 3


def test_ranks_that_are_kept_dont_keep_the_store_of_a_group_that_is_gone(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in (("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", port), ("RANK", 0), ("WORLD_SIZE", 1)):
        monkeypatch.setenv(name, str(value))
    net, job = nn.Linear(2, 2), None
    for _ in range(2):
        dist.init_process_group("gloo")
        job = job or nnw.ranks()
        assert nnw.tree(job["net"]).n_params == 6
        dist.destroy_process_group()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
    assert net is not None
