"""Changes of models that other processes hold: prepared on all, agreed, committed on all; failures at each stage."""

from __future__ import annotations

import time

import pytest
import torch
import torch.distributed as dist
from torch import nn

import nnwidgets as nnw
from nnwidgets.distributed import changes
from nnwidgets.distributed.sources.source import Missing
from nnwidgets.edit.log import log_of
from tests.support.gloo_ranks import GlooRanks
from tests.support.ranks_here import NAME, RanksHere
from tests.support.stacks import needs_torch

STAGES = ("here", "prepare", "renew", "commit")


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


class Faulty(RanksHere):
    """Ranks of which one fails at a stage.

    Args:
        models: By rank.
        stage: What it is asked then.
        how: ``"silent"`` it isn't reached, ``"unheard"`` it does what it is asked and the answer is lost,
            ``"refuses"``, ``"late"`` it isn't reached any more, and does it when whoever asked has given up.
    """

    def __init__(self, models, stage, how):
        super().__init__(models)
        self.stage, self.how, self.later = stage, how, None

    def call(self, request, ranks, deadline):
        if request["body"]["ask"] != self.stage and not self.later:
            return super().call(request, ranks, deadline)
        whole, models = self.how == "unheard", self.models
        if not whole:
            self.models = [*models[:-1], None]
        answers = super().call(request, ranks, deadline)
        self.models, last = models, len(models) - 1
        self.later = self.later or (request if self.how == "late" else None)
        refused = {"ok": False, "error": {"code": "error", "message": "No memory for it."}}
        answers[last] = refused if self.how == "refuses" else Missing("hasn't answered for 1.0 s")
        return answers


@pytest.fixture
def nets():
    return [mlp() for _ in range(3)]


@pytest.fixture
def ranked(nets):
    adapter = RanksHere(nets)
    yield nnw.ranks(adapter)[NAME]
    adapter.close()


def bits(nets):
    return [[each.clone() for each in net.parameters()] for net in nets]


def are_same(one, other):
    pairs = (zip(mine, theirs, strict=True) for mine, theirs in zip(one, other, strict=True))
    return all(torch.equal(*pair) for each in pairs for pair in each)


def test_all_ranks_are_changed_by_one_seed_and_changed_back(nets, ranked):
    before, whole = bits(nets), mlp()
    made = nnw.init(ranked, "Linear.weight", "normal_", std=0.5)
    assert (made.paths, made.ranks, made.world_size, made.n_elements) == (("0.weight", "2.weight"), (0, 1, 2), 3, 42)
    nnw.init(whole, "Linear.weight", "normal_", std=0.5, seed=made.seed)
    after = bits(nets)
    assert made.before["0.weight"].mean == nnw.stats(mlp()[0].weight).mean
    assert made.after["2.weight"].mean == nnw.stats(whole[2].weight).mean
    assert are_same(after, [list(whole.parameters())] * 3)
    assert nnw.assign(ranked, "0.bias", torch.arange(6.0)).label == "0.bias = tensor of 6"
    assert nnw.freeze(ranked, ["0", "!0.bias"]).paths == ("0.weight",)
    assert [net[0].weight.requires_grad for net in nets] == [False] * 3
    assert [nnw.undo(ranked).kind for _ in range(3)] == ["freeze", "assign", "init"]
    assert are_same(bits(nets), before)
    assert nnw.redo(ranked).label == "normal_(std=0.5)"
    assert are_same(bits(nets), after)
    again = {"net": mlp()}
    exec(made.to_code("net"), again)  # noqa: S102 - what a user pastes
    assert torch.equal(again["net"][0].weight, nets[0][0].weight)


def test_a_preview_changes_nothing(nets, ranked):
    before = bits(nets)
    assert nnw.init(ranked, "**", "ones_", preview=True).is_preview
    assert are_same(bits(nets), before)
    with pytest.raises(nnw.InvalidTargetError, match=r"^There is nothing to undo"):
        nnw.undo(ranked)


@pytest.mark.parametrize("how", ["silent", "unheard", "refuses", "late"])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("change", ["init", "undo"])
def test_a_rank_that_fails_leaves_every_rank_as_it_was(change, stage, how, nets):
    for net in nets:
        nnw.init(net, "2.weight", "ones_")
    before, histories = bits(nets), [len(nnw.history(net).changes) for net in nets]
    adapter = Faulty(nets, stage, how)
    job = nnw.ranks(adapter, timeout=60.0)
    try:
        with pytest.raises(nnw.RankMissingError, match=r"[rR]ank 2") as caught:
            nnw.init(job[NAME], "0.weight", "normal_") if change == "init" else nnw.undo(job[NAME])
        assert caught.value.ranks == (2,)
        assert ("while all ranks committed" in str(caught.value)) is (stage == "commit")
        if adapter.later:
            if stage == "commit":
                adapter.later["body"]["change"]["within"] = -1.0  # it is over when this comes
            RanksHere.call(adapter, adapter.later, None, float("inf"))
            adapter.later = None
        assert are_same(bits(nets), before)
        assert [len(nnw.history(net).changes) for net in nets] == histories
        adapter.stage = None
        nnw.undo(job[NAME])  # and goes on
        assert all((net[2].weight != 1).any() for net in nets)
    finally:
        adapter.close()


def test_ranks_that_would_do_different_things_do_nothing(nets, ranked):
    nets[1][0].bias = nn.Parameter(torch.zeros(6, dtype=torch.float64))
    nets[2].append(nn.Linear(3, 3))
    before = bits(nets)
    with pytest.raises(
        nnw.RanksDisagreeError, match=r"Rank 0: normal_ of .* Rank 2: normal_ of .* Nothing was changed"
    ):
        nnw.init(ranked, "Linear.weight", "normal_")
    assert are_same(bits(nets), before)


def test_what_other_code_writes_between_is_not_written_over(nets):
    class Meddled(RanksHere):
        def call(self, request, ranks, deadline):
            if request["body"]["ask"] == "commit":
                with torch.no_grad():
                    self.models[1][0].weight[0, 0] = 7.0
            return super().call(request, ranks, deadline)

    adapter = Meddled(nets)
    before = bits(nets)
    with pytest.raises(nnw.RankMissingError, match=r"rank 1: .*changed by other code since zeros_"):
        nnw.init(nnw.ranks(adapter)[NAME], "0.weight", "zeros_")
    assert nets[1][0].weight[0, 0] == 7.0
    nets[1][0].weight.data[0, 0] = before[1][0][0, 0]
    assert are_same(bits(nets), before)
    adapter.close()


def test_what_cannot_be_sent_to_ranks_is_refused_before_they_are_asked(nets):
    adapter = RanksHere(nets)
    net = nnw.ranks(adapter)[NAME]
    with pytest.raises(nnw.InvalidTargetError, match="function, which can't be sent"):
        nnw.init(net, "0.weight", lambda t, generator: t.zero_())
    with pytest.raises(nnw.InvalidTargetError, match="takes no optimizer"):
        nnw.init(net, "0.weight", "zeros_", optimizer=torch.optim.SGD(nets[0].parameters()))
    assert adapter.asked == []
    with pytest.raises(nnw.PathNotFoundError, match=r"^No module or tensor at '0.wieght'"):
        nnw.init(net, "0.wieght", "zeros_")
    adapter.close()


def test_of_two_notebooks_that_change_a_model_at_once_the_second_is_refused(nets, monkeypatch):
    told = []

    class Between(RanksHere):
        def call(self, request, ranks, deadline):
            if request["body"]["ask"] == "renew":
                with monkeypatch.context() as other:
                    other.setattr(changes, "_OWN", "another")
                    with pytest.raises(nnw.InvalidTargetError, match="is about to change this model"):
                        nnw.assign(nnw.ranks(RanksHere(nets), timeout=60.0)[NAME], "0.bias", 3.0)
                    told.append(request["id"])
            return super().call(request, ranks, deadline)

    adapter = Between(nets)
    nnw.assign(nnw.ranks(adapter, timeout=60.0)[NAME], "0.bias", 2.0)
    assert len(told) == 1
    assert all((net[0].bias == 2).all() and log_of(net).held is None for net in nets)

    class Dying(RanksHere):
        def call(self, request, ranks, deadline):
            if request["body"]["ask"] in ("renew", "revoke"):
                raise SystemExit
            return super().call(request, ranks, deadline)

    with pytest.raises(SystemExit):
        nnw.assign(nnw.ranks(Dying(nets), timeout=60.0)[NAME], "0.bias", 4.0)
    for net in nets:
        log_of(net).held.seen -= 1_000
    monkeypatch.setattr(changes, "_OWN", "another")
    nnw.assign(nnw.ranks(RanksHere(nets), timeout=60.0)[NAME], "0.bias", 5.0)
    assert all((net[0].bias == 5).all() and log_of(net).held is None for net in nets)
    adapter.close()


def handle(request):
    """One rank sleeps in place of reading a file, longer than it is waited for."""
    body = request["body"]
    if body["ask"] == "plan" and dist.get_rank() == 2:
        time.sleep(DOZING.pop() if DOZING else 0)
    return nnw.handle(request)


SLEEP = 3.0
DOZING = [SLEEP, SLEEP]
"""What a rank sleeps, once in each way."""


def sharded():
    from torch.distributed.fsdp import fully_shard

    @nnw.initializer
    def dozing(tensor, generator):
        tensor.zero_()
        if dist.get_rank() == 2 and len(DOZING) == 2:
            time.sleep(DOZING.pop())

    @nnw.initializer
    def toiling(tensor, generator):
        end = time.monotonic() + SLEEP / 6  # it is called three times
        while dist.get_rank() == 1 and time.monotonic() < end:
            tensor.fill_(7.0)
        tensor.fill_(7.0)

    net = mlp()
    fully_shard(net[0])
    return {"net": fully_shard(net), "handle": handle}


@needs_torch("distributed.fsdp.fully_shard")
def test_processes_hold_one_model_one_sleeps_and_one_is_killed(tmp_path):
    adapter = GlooRanks(sharded)
    try:
        net, whole = nnw.ranks(adapter, timeout=60.0)["net"], mlp()
        for filler in ("normal_", "orthogonal_"):
            seed = nnw.init(net, "Linear.weight", filler).seed
            nnw.init(whole, "Linear.weight", filler, seed=seed)
        nnw.assign(net, "0.weight[1:5:2, 3]", 9.0)
        nnw.assign(whole, "0.weight[1:5:2, 3]", 9.0)

        def numbers(stats):
            return stats.n, stats.n_zero, stats.min, stats.max, stats.hist_counts

        def is_whole():
            named = whole.named_parameters()
            return all(numbers(nnw.stats(net[path])) == numbers(nnw.stats(each)) for path, each in named)

        assert is_whole()
        nnw.undo(net)
        nnw.undo(whole)
        assert is_whole()
        soon = nnw.ranks(adapter, timeout=1.0)["net"]
        nnw.init(soon, "0.weight", "toiling")  # is waited for, however long
        nnw.undo(net)
        torch.save(whole.state_dict(), tmp_path / "whole.pt")
        with pytest.raises(nnw.RankMissingError, match=r"A change needs every rank, and nothing was changed. Rank 2"):
            nnw.init(soon, "0.weight", "dozing")
        assert is_whole()
        with pytest.raises(nnw.RankMissingError, match=r"A plan needs every rank. Rank 2 \(.*\) no answer in time\.$"):
            nnw.plan(soon, tmp_path / "whole.pt")
        assert nnw.plan(net, tmp_path / "whole.pt").is_exact
        assert nnw.diff(net, tmp_path / "whole.pt").of == "all"

        class Killing(GlooRanks):
            def __init__(self):
                self.pipes, self.kids, self._lock = adapter.pipes, adapter.kids, adapter._lock

            def call(self, request, ranks, deadline):
                if request["body"]["ask"] == "commit":
                    self.kill(3)
                return super().call(request, ranks, deadline)

        before = [nnw.stats(net[path]).by_rank[:3] for path, _ in whole.named_parameters()]
        with pytest.raises(nnw.RankMissingError, match=r"Rank 3 .*no answer.*while all ranks committed zeros_"):
            nnw.init(nnw.ranks(Killing(), timeout=5.0)["net"], "**", "zeros_")
        assert [nnw.stats(net[path]).by_rank for path, _ in whole.named_parameters()] == before
        with pytest.raises(nnw.RankMissingError, match=r"A change needs every rank, and nothing was changed. Rank 3"):
            nnw.init(net, "**", "zeros_")
    finally:
        adapter.close()
