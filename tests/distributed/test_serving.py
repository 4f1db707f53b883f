"""A job that serves, asked from a process that is none of its ranks: while it trains, is stuck, stopped and killed."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch
import torch.distributed as dist
from torch import nn

import nnwidgets as nnw
from nnwidgets.distributed.serving.door import Door
from nnwidgets.distributed.sources.side_door import Way, exchange
from tests.support.gloo import Group
from tests.support.requests import asked
from tests.support.stacks import needs_torch

pytestmark = needs_torch("distributed.fsdp.fully_shard")

HERE = r"at test_serving\.py:\d+"


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 10))


class Rank:
    """What a rank does that is told to, each thing by its name."""

    def __init__(self, pipe):
        from torch.distributed.fsdp import fully_shard

        self.pipe = pipe
        self.net = fully_shard(mlp())
        self.job = nnw.ranks(timeout=60.0)

    def train(self):
        stop = torch.zeros(1)
        while not stop.item():
            self.net(torch.ones(4, 16)).sum().backward()
            self.net.zero_grad()
            stop.fill_(float(self.pipe.poll()))
            dist.all_reduce(stop)

    def compute(self):
        while not self.pipe.poll():
            sum(range(1_000))

    def all_reduce(self):
        dist.all_reduce(torch.ones(1))

    def check(self):
        self.job.timeout = 1.0
        return [each.message for each in nnw.check(self.job["net"])]

    def wrap(self):
        self.net = nn.ModuleDict({"inner": self.net})

    def unwrap(self):
        self.net = self.net["inner"]

    def name(self, name, value):
        vars(sys.modules["__main__"])[name] = mlp() if value == "model" else value

    def define(self, code):
        exec(code, vars(sys.modules["__main__"]))  # noqa: S102 - the tests' own text

    def version(self, version):
        nnw.__version__ = version

    def threads(self):
        return [each.name for each in threading.enumerate() if each.name.startswith("nnwidgets")]

    def keys(self):
        return dist.distributed_c10d._get_default_store().num_keys()

    def stop(self):
        pass

    def destroy(self):
        dist.destroy_process_group()

    def close(self):
        self.job.close()


def serving(rank, world_size, pipe):
    """Do what the test tells; the model is a variable of this function's, and other names are the script's."""
    this = Rank(pipe)
    net = this.net
    served = this.job.serve()
    pipe.send((served.address, served.token, os.getpid()))
    told = ""
    while told != "close":
        told, *values = pipe.recv()
        said = getattr(this, told)(*values)
        net = this.net  # noqa: F841 - found by its name
        pipe.send(said)


class Served:
    """Four ranks that serve, and the pipes to tell them what to do."""

    def __init__(self):
        self.pipes, theirs = zip(*(multiprocessing.Pipe() for _ in range(4)), strict=True)
        self.group = Group(serving, 4, theirs)
        assert all(pipe.poll(100) for pipe in self.pipes)
        said = [pipe.recv() for pipe in self.pipes]
        self.addresses = [address for address, _, _ in said]
        self.token = said[0][1]
        assert {token for _, token, _ in said} == {self.token}
        self.pids = [pid for _, _, pid in said]
        self.ranks = nnw.ranks(self.addresses[0], token=self.token, timeout=30.0)
        self.net = self.ranks["net"]

    def begin(self, *told, ranks=(0, 1, 2, 3)):
        for rank in ranks:
            self.pipes[rank].send(told)

    def said(self, ranks=(0, 1, 2, 3)):
        assert all(self.pipes[rank].poll(60) for rank in ranks)
        return [self.pipes[rank].recv() for rank in ranks]

    def do(self, *told, ranks=(0, 1, 2, 3)):
        self.begin(*told, ranks=ranks)
        return self.said(ranks)

    def way(self, rank):
        host, port = self.addresses[rank].split(":")
        return Way((host, int(port)), self.token)


@pytest.fixture(scope="module")
def served():
    job = Served()
    yield job
    job.group.end()


def states(job):
    return [status.state for status in job.statuses]


def test_a_notebook_that_is_no_rank_sees_the_whole_model(served):
    whole = mlp()
    assert nnw.tree(served.net).n_params == nnw.tree(whole).n_params
    found, wanted = nnw.stats(served.net["0.weight"]), nnw.stats(whole[0].weight)
    assert (found.n, found.min, found.max, found.hist_counts, found.of) == (
        wanted.n, wanted.min, wanted.max, wanted.hist_counts, "all"
    )  # fmt: skip
    assert nnw.check(served.net) == ()
    assert [row.path for row in nnw.stats(served.net)] == [path for path, _ in whole.named_parameters()]
    assert served.ranks.world_size == 4
    view = nnw.explore(served.net)
    assert [each["ranks"] for each in asked(view, "values", path="0.weight")["shards"]] == [[0], [1], [2], [3]]
    view.close()


def test_the_token_is_left_in_no_file_and_in_no_store(served):
    assert list(Path(tempfile.gettempdir()).glob("nnwidgets-*/token")) == []
    assert len(served.token) >= 32


def test_ranks_that_train_answer_and_are_busy(served):
    served.begin("train")
    try:
        found = [nnw.stats(served.net["2.weight"]) for _ in range(20)]
        tree = nnw.tree(served.net)
        window = {"area": [0, 0, 1, 1], "steps": [1, 1]}
        tiles, silent = served.net.ask("values", paths=["2.weight"], window=window)
        time.sleep(1.2)
        busy = served.ranks.statuses
    finally:
        served.begin("stop", ranks=[0])
        served.said()
        served.said(ranks=[0])
    # A shard is what is read, also where a forward has the whole for now.
    assert all((each.n, each.is_exact, len(each.by_rank)) == (320, True, 4) for each in found)
    assert {entry.placements for entry in tree.tensors} == {("Shard(0)",)}
    assert ([each["tile"]["state"] for each in tiles.values()], silent) == (["held"] * 4, {})
    assert {status.state for status in busy} == {"busy"}
    assert all(re.fullmatch(f"in [a-z_]+ {HERE}", status.doing) for status in busy), busy


def test_ranks_that_are_stuck_in_a_collective_answer_and_say_where(served):
    served.begin("all_reduce", ranks=[0, 1, 2])
    try:
        assert nnw.stats(served.net["0.weight"]).of == "all"
        deadline = time.monotonic() + 30
        while [status.state for status in served.ranks.statuses[:3]] != ["stuck"] * 3:
            assert time.monotonic() < deadline, served.ranks.statuses
        stuck = served.ranks.statuses
    finally:
        served.do("all_reduce", ranks=[3])
    served.said(ranks=[0, 1, 2])
    assert [status.state for status in stuck[:3]] == ["stuck"] * 3
    assert all(re.fullmatch(f"in all_reduce {HERE}", status.doing) for status in stuck[:3])
    assert all(status.since < time.monotonic() for status in stuck)


def test_a_rank_that_computes_in_one_line_is_not_stuck(served):
    served.begin("compute", ranks=[1])
    try:
        time.sleep(1.2)
        assert states(served.ranks)[1] == "busy"
    finally:
        served.begin("stop", ranks=[1])
        served.said(ranks=[1])
        served.said(ranks=[1])


def test_a_rank_that_does_not_come_is_told_with_its_line_by_those_that_do(served):
    for messages in served.do("check", ranks=[0, 1, 2]):
        assert re.match(
            rf"Rank 3 \(.+\) hasn't answered for [01]\.\d s; it is in recv {HERE}; ranks 0–2 answered\.", messages[0]
        )
    # Who comes late finds what the others have said.
    assert served.do("check", ranks=[3]) == [[]]


def test_turns_that_a_rank_never_comes_to_leave_no_more_and_more_in_the_store(served):
    (before,) = served.do("keys", ranks=[0])
    for _ in range(3):
        served.do("check", ranks=[0])
    (after,) = served.do("keys", ranks=[0])
    assert after <= before + 9 * 5


def test_strangers_get_nothing_and_hold_up_nobody(served):
    with pytest.raises(nnw.InvalidTargetError, match="another token, or is no rank"):
        nnw.ranks(served.addresses[1], token="t" * 32)
    with pytest.raises(nnw.InvalidTargetError, match="who knows its token"):
        nnw.ranks(served.addresses[1])
    with pytest.raises(nnw.InvalidTargetError, match="is no address"):
        nnw.ranks("train.py", token=served.token)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(nnw.RankMissingError, match="nothing listens there"):
            nnw.ranks(f"127.0.0.1:{free.getsockname()[1]}", token=served.token)
    strangers = [socket.create_connection(served.way(rank).address) for rank in (0, 1, 1)]
    strangers[1].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 9)
    try:
        assert nnw.stats(served.net["0.weight"]).of == "all"
        assert b"HTTP" not in strangers[1].recv(4096)
    finally:
        for each in strangers:
            each.close()


def test_nothing_is_changed_and_nothing_run_by_asking(served):
    request = {"v": 1, "id": "1", "kind": "assign", "body": {"model": "net", "path": "0.bias", "value": "0"}}
    said = exchange(served.way(2), {"request": request}, time.monotonic() + 10)
    assert said["reply"]["error"]["code"] == "unknown-kind"
    assert said["reply"]["ok"] is False
    with pytest.raises(nnw.InvalidTargetError, match="what else is asked needs the rank's own thread"):
        nnw.trace(served.net, torch.ones(2, 16))


def test_a_second_notebook_asks_the_same_job(served):
    second = nnw.ranks(served.addresses[3], token=served.token, timeout=30.0)
    assert second.world_size == 4
    asked = threading.Thread(target=lambda: [nnw.check(served.net) for _ in range(5)])
    asked.start()
    assert [nnw.tree(second["net"]).n_params for _ in range(5)] == [874] * 5
    asked.join()


def test_a_model_that_is_wrapped_anew_is_found_anew(served):
    served.do("wrap")
    try:
        assert nnw.tree(served.net).root.class_name == "ModuleDict"
        assert nnw.stats(served.net["inner.0.weight"]).of == "all"
        with pytest.raises(nnw.InvalidTargetError, match=r"0\.weight has no statistics: no rank has it"):
            nnw.stats(served.net["0.weight"])
    finally:
        served.do("unwrap")


def test_a_name_that_a_rank_lacks_or_has_for_something_else_is_told_with_the_rank(served):
    served.do("name", "model", "model", ranks=[0, 1, 2])
    with pytest.raises(nnw.RankMissingError, match=r"rank 3: .*'model'") as caught:
        nnw.tree(served.ranks["model"])
    assert caught.value.ranks == (3,)
    served.do("name", "other", "model", ranks=[0, 2])
    served.do("name", "other", 7, ranks=[1, 3])
    with pytest.raises(
        nnw.RankMissingError, match="ranks 1, 3: The variable 'other' holds no module, but an object of class int"
    ) as caught:
        nnw.check(served.ranks["other"])
    assert caught.value.ranks == (1, 3)


NET = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(16, 32), nn.Linear(32, 10)
    def act(self, x):
        return x.relu()
    def forward(self, x):
        return self.last(self.act(self.first(x)))
coded = Net()
"""


def test_ranks_of_other_code_are_named_with_the_class(served):
    served.do("define", NET)
    assert nnw.check(served.ranks["coded"]) == ()
    served.do("define", "# elsewhere in its file" + NET, ranks=[0])
    assert nnw.check(served.ranks["coded"]) == ()
    served.do("define", NET.replace("relu", "tanh"), ranks=[2])
    (found,) = nnw.check(served.ranks["coded"])
    assert (found.code, found.severity, found.path, found.ranks) == ("ranks-disagree", "error", "", (2,))
    assert found.message.startswith("The forward of Net isn't the same code on ranks 0–3: rank 2 runs another.")
    served.do("define", NET.replace("16, 32", "16, 24").replace("32, 10", "24, 10"), ranks=[2])
    found = nnw.check(served.ranks["coded"])
    assert {each.ranks for each in found} == {(2,)}
    assert "parameter 24 × 16 float32, trained on rank 2" in found[0].message
    whole = nnw.stats(served.ranks["coded"]["first.weight"])
    assert (whole.is_exact, whole.of) == (False, "rank 0: its replicas differ")
    served.do("define", "coded = nn.ModuleDict({'last': coded.last})", ranks=[1, 2, 3])
    assert ("ranks-disagree", "first", (0,)) in {
        (each.code, each.path, each.ranks) for each in nnw.check(served.ranks["coded"])
    }


def test_a_model_that_is_moved_between_two_requests_is_seen_where_it_is(served):
    served.do("define", NET)
    net = served.ranks["coded"]
    view = nnw.explore(net)
    assert nnw.stats(net["first.weight"]).is_exact
    served.do("define", "coded.half()")
    assert {each.dtype for each in nnw.tree(net).tensors} == {"float16"}
    assert asked(view, "stats", path="first.weight")["n"] == 512
    served.do("define", "coded.to('meta')", ranks=[1])
    assert nnw.stats(net["first.weight"]).is_exact  # a replica's numbers stand for those of the one without data
    assert [(each.code, each.ranks) for each in nnw.check(net)] == [("uninitialized", (1,))]
    served.do("define", "coded.to('meta')")
    assert {each.device for each in nnw.tree(net).tensors} == {"meta"}
    assert "no rank has data of it" in asked(view, "stats", path="first.weight")["message"]
    view.close()
    with pytest.raises(nnw.InvalidTargetError, match=r"first\.weight has no statistics: no rank has data of it"):
        nnw.stats(net["first.weight"])
    assert [(each.code, each.ranks) for each in nnw.check(net)] == [("uninitialized", (0, 1, 2, 3))]


def test_ranks_of_another_version_are_told_apart(served):
    served.do("version", "0.0.1", ranks=[2])
    try:
        with pytest.raises(nnw.RanksDisagreeError, match=r"rank 2 has 0\.0\.1"):
            nnw.tree(served.net)
    finally:
        served.do("version", nnw.__version__, ranks=[2])


def test_what_a_question_has_started_ends_with_it(served):
    deadline = time.monotonic() + 10
    while any(names != ["nnwidgets-door"] for names in served.do("threads")) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert served.do("threads") == [["nnwidgets-door"]] * 4
    assert [each.name for each in threading.enumerate() if each.name.startswith("nnwidgets")] == []


def test_a_rank_that_is_stopped_is_missing_at_the_deadline(served):
    served.ranks.timeout = 1.0
    os.kill(served.pids[3], signal.SIGSTOP)
    try:
        began = time.monotonic()
        found = nnw.stats(served.net["0.weight"])
        assert time.monotonic() - began < 10
    finally:
        os.kill(served.pids[3], signal.SIGCONT)
    assert (found.is_exact, found.of, found.missing, found.n) == (False, "3 of 4 parts", (3,), 384)
    served.ranks.timeout = 20.0
    assert nnw.stats(served.net["0.weight"]).of == "all"


def test_a_rank_that_is_killed_while_it_is_asked_and_before_is_dead(served):
    served.ranks.timeout = 20.0
    os.kill(served.pids[3], signal.SIGSTOP)
    threading.Timer(0.5, lambda: os.kill(served.pids[3], signal.SIGKILL)).start()
    began = time.monotonic()
    (during, *_) = nnw.check(served.net)
    assert time.monotonic() - began < 10
    assert re.match(r"Rank 3 \(.+\) ended, or closed the connection, while it was asked", during.message)
    (after, *_) = nnw.check(served.net)
    assert re.match(r"Rank 3 \(.+\) is gone: its process has ended", after.message)
    assert states(served.ranks)[3] == "dead"


def test_a_group_that_is_gone_is_told_so(served):
    served.do("destroy", ranks=[0, 1, 2])
    with pytest.raises(nnw.RankMissingError, match="ranks 0–2: its process group is gone"):
        nnw.tree(served.net)


def test_a_job_that_ends_leaves_nothing(served):
    served.do("close", ranks=[rank for rank, kid in enumerate(served.group.kids) if kid.is_alive()])
    for kid in served.group.kids:
        kid.join(30)
    assert not any(psutil.pid_exists(pid) for pid in served.pids)
    with pytest.raises(nnw.RankMissingError, match="is gone"):
        nnw.tree(served.net)
    assert set(states(served.ranks)) == {"dead"}


def test_a_door_that_is_closed_leaves_no_thread_and_no_socket():
    process = psutil.Process()
    before = process.num_fds()
    door = Door(lambda request: {"ok": True}, "t" * 32)
    assert door.address[0] == "127.0.0.1"
    assert exchange(Way(door.address, "t" * 32), {}, time.monotonic() + 10)["where"]["state"] == "busy"
    door.close()
    door.close()
    with pytest.raises(ConnectionRefusedError):
        exchange(Way(door.address, "t" * 32), {}, time.monotonic() + 10)
    deadline = time.monotonic() + 10
    while process.num_fds() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.num_fds() == before


def test_a_token_that_can_be_guessed_is_refused():
    with pytest.raises(nnw.InvalidTargetError, match="16 characters"):
        nnw.Ranks(None, 1.0, token="s" * 15)
