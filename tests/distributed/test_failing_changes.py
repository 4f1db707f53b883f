"""Changes and loads in which a rank fails, at each stage: it refuses, raises, hangs, is killed; others are as before.

``NNW_FAILURES=100 NNW_FAILURES_OF_A_GROUP=4`` makes as many of each, and says how long each took until it was told.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import signal
import time

import torch
import torch.distributed as dist
from torch import nn

import nnwidgets as nnw
from nnwidgets.distributed.sources.source import Missing
from nnwidgets.introspect import meeting
from nnwidgets.introspect.safe_access.exclusion import alone_with
from tests.support.gloo_ranks import GlooRanks
from tests.support.load_stages import LOAD_STAGES, call_at
from tests.support.stacks import needs_torch

pytestmark = needs_torch("distributed.fsdp.fully_shard")

N_FAILURES = int(os.environ.get("NNW_FAILURES", "5"))
N_OF_A_GROUP = int(os.environ.get("NNW_FAILURES_OF_A_GROUP", "10"))
SECONDS = 0.5
"""What a rank is waited for, at most; each that hangs does so for longer."""

WITHIN = {"init": ("in fill",), "load": tuple(f"in {stage}" for stage in LOAD_STAGES)}
"""Stages of what each does before it asks whether all are there."""


def stages_of(function):
    """Each way in which a rank can fail: the way it is asked, when, and how."""
    ways = {
        # Asked for by a notebook; then on the line that all run: before it, in it, and as it agrees.
        "asked": ("before here", "before prepare", *WITHIN[function], "after prepare", "before renew", "after renew",
                  "before commit", "after commit"),
        "line": ("before line", *WITHIN[function], "before agree"),
    }  # fmt: skip
    return [
        (way, at, how)
        for way, at_each in ways.items()
        for at in at_each
        for how in ("refuses", "raises", "hangs", "killed")
        if (how != "refuses" or at[:2] == "in" or (at.startswith("before") and way == "asked"))
        and (how != "raises" or at[:2] == "in")
    ]


KINDS = {"RankMissingError", "RanksDisagreeError", "InitializerError", "CheckpointMismatchError", "MemoryError"}


class Failing:
    """A rank that does what it is asked, but for once."""

    def __init__(self, net):
        self.net, self.at, self.how, self.calls = net, None, None, 0

        @nnw.initializer
        def hazard(tensor, generator):
            tensor.normal_(generator=generator)
            self.calls -= 1
            if not self.calls:
                self.fail("in fill")

        for stage in LOAD_STAGES:
            call_at(stage, lambda stage=stage: self.fail(f"in {stage}"))

        agree = meeting.Meeting.agree

        def agree_or_not(this, said=""):
            self.fail("before agree")
            return agree(this, said)

        meeting.Meeting.agree = agree_or_not

    def fail(self, at):
        if at != self.at:
            return None
        self.at, how = None, self.how
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "hangs":
            time.sleep(3 * SECONDS)
        if how == "raises":
            raise MemoryError("no room")
        if how == "refuses" and at.startswith("in "):
            raise nnw.CheckpointMismatchError("It can't be.")
        return {"ok": False, "error": {"code": "error", "message": "No."}} if how == "refuses" else None

    def handle(self, request):
        kind, body = request["kind"], request["body"]
        if kind == "fail":
            self.at, self.how, self.calls = body["at"], body["how"], body["calls"]
            return {"id": request["id"], "ok": True}
        if kind == "state":
            with alone_with(self.net):  # when a thread that hung there is done
                return {"id": request["id"], "ok": True, "state": state_of(self.net)}
        if kind == "line":
            return {"id": request["id"], "ok": True, "said": self.line(*body["given"])}
        reply = self.fail(f"before {body['ask']}") or nnw.handle(request)
        self.fail(f"after {body['ask']}")
        return {**reply, "id": request["id"]}

    def line(self, function, *given):
        self.fail("before line")
        try:
            CALLS[function](nnw.ranks(timeout=SECONDS)["net"], *given)
        except (nnw.NNWidgetsError, MemoryError) as error:
            return type(error).__name__, str(error)
        return "nothing", ""


CALLS = {"init": lambda net: nnw.init(net, "Linear.weight", "hazard", seed=1), "load": nnw.load}


def state_of(net):
    held = b"".join(each.to_local().detach().numpy().tobytes() for each in net.parameters())
    flags = [each.requires_grad for each in net.parameters()]
    labels = [[each.label for each in entries] for entries in (nnw.history(net).changes, nnw.history(net).undone)]
    return [hashlib.sha256(held).hexdigest(), flags, labels]


def whole():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 5))


def sharded():
    from torch.distributed.fsdp import fully_shard

    net = whole()
    fully_shard(net[0])
    fully_shard(net)
    assert dist.get_world_size() == 4
    return {"net": net, "handle": Failing(net).handle}


def failures():
    """As many of each as are wanted, every kind in turn; of a group the last one kills."""
    drawn, left = random.Random(5), 2 * N_FAILURES  # noqa: S311 - which failures is no secret

    def shuffled(kills, function):
        while True:
            each_way = [each for each in stages_of(function) if (each[2] == "killed") is kills]
            yield from ((function, *each) for each in drawn.sample(each_way, len(each_way)))

    kinds = {(kills, function): shuffled(kills, function) for kills in (True, False) for function in WITHIN}
    functions = itertools.cycle(WITHIN)
    while left > 0:
        n = min(left, N_OF_A_GROUP)
        yield [next(kinds[at == n - 1, next(functions)]) for at in range(n)], drawn
        next(functions)  # what kills is of each in turn, too
        left -= n


class Job:
    """Four processes, and what a test asks them."""

    def __init__(self):
        self.ranks, self.n = GlooRanks(sharded), 0

    def ask(self, kind, rank=None, seconds=60.0, **body):
        self.n += 1
        request = {"kind": kind, "id": f"test {self.n}", "body": body}
        if rank is None:
            return self.ranks.call(request, None, time.monotonic() + seconds)
        self.ranks.pipes[rank].send(request)
        return self.ranks._reply(rank, request["id"], time.monotonic() + seconds)

    def states(self):
        return {rank: each["state"] for rank, each in self.ask("state").items() if not isinstance(each, Missing)}

    def told(self, way, net, function, *given):
        """What is said of a change that one of them fails in: by the notebook, or by each rank."""
        if way == "line":
            said = self.ask("line", given=[function, *given])
            return [each["said"] for each in said.values() if not isinstance(each, Missing)]
        try:
            CALLS[function](net, *given)
        except nnw.NNWidgetsError as error:
            return [(type(error).__name__, str(error))]
        return [("nothing", "")]


def test_every_rank_that_is_left_is_as_it_was_whatever_one_does(tmp_path):
    nnw.save(whole(), tmp_path / "whole.pt")
    took, given = [], {"init": (), "load": (str(tmp_path / "whole.pt"),)}
    for group, drawn in failures():
        job = Job()
        try:
            net, patient = (nnw.ranks(job.ranks, timeout=seconds)["net"] for seconds in (SECONDS, 60.0))
            nnw.init(patient, "Linear.weight", "hazard")
            nnw.assign(patient, "0.bias", 2.0)
            nnw.undo(patient)
            before = job.states()
            for function, way, at, how in group:
                victim = drawn.randrange(4)
                job.ask("fail", at=None, how=None, calls=0)
                job.ask("fail", rank=victim, at=at, how=how, calls=drawn.randrange(1, 7))
                began = time.monotonic()
                told = job.told(way, net, function, *given[function])
                took.append((time.monotonic() - began, function, way, at, how, victim))
                if 2 * N_FAILURES > N_OF_A_GROUP:
                    print(len(took), took[-1], told[0], flush=True)
                assert {kind for kind, _ in told} <= KINDS, (took[-1], told)
                states = job.states()
                assert len(states) == 4 - (how == "killed"), took[-1]
                assert all(state == before[rank] for rank, state in states.items()), took[-1]
        finally:
            job.ranks.close()
    assert len(took) == 2 * N_FAILURES
