"""Changes of models over four processes: one seed, the whole's values, by all ranks or by none, told as code."""

from __future__ import annotations

import os
import random
import time
import warnings

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.distributed_c10d import _get_default_store

import nnwidgets as nnw
from tests.edit.test_over_ranks import KINDS, NEEDS, spread, whole_model
from tests.support.gloo import on_ranks
from tests.support.stacks import LACKS_FSDP2, needs_fsdp2

FILLERS = ("kaiming_uniform_", "trunc_normal_", "sparse_")


def wholes(net):
    with torch.no_grad():
        return {path: getattr(each, "full_tensor", each.detach)() for path, each in net.named_parameters()}


def is_same(net, whole):
    theirs = {path: each.detach() for path, each in whole.items()}
    return all(torch.equal(each, theirs[path]) for path, each in wholes(net).items())


def refusal(call):
    try:
        call()
    except nnw.NNWidgetsError as error:
        return type(error).__name__, str(error)
    return None


def run_as_code(code, rank, world_size):
    again = spread("FSDP2", rank, world_size)
    exec(code, {"net": again})  # noqa: S102 - what a user pastes
    return wholes(again)


def linears():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 16), nn.Linear(16, 7))


def fsdp_of_linears():
    from torch.distributed.fsdp import fully_shard

    net = linears()
    fully_shard(net[0])
    return fully_shard(net)


def doubled(tensor, generator):
    tensor.mul_(2)


def same_numbers(module):
    if isinstance(module, nn.Linear):
        module.bias.normal_()


STEPS = [
    *(("init", target, name) for target in ("*.weight", "**") for name in ("normal_", "zeros_", "kaiming_uniform_")),
    ("init", "Linear", "reset"), ("assign", "1.weight[1:6:2, ..., 3]", 2.5), ("assign", "2.bias", 7.0),
    ("freeze", "0"), ("unfreeze", "Linear.weight"), *[("undo",), ("redo",)] * 3,
]  # fmt: skip
N_IN_A_ROW = int(os.environ.get("NNW_CHANGES_IN_A_ROW", "2"))


def changed_in_a_row(at, rank, world_size, n=6):
    """Whether changes drawn from `STEPS` leave a model in pieces as they leave the whole; else what went before."""
    net, whole, done = spread(KINDS[at % len(KINDS)], rank, world_size), whole_model(), []
    drawn = random.Random(at)  # noqa: S311 - the same on each rank
    for seed in range(n):
        change, *arguments = drawn.choice(STEPS)
        done.append((change, *arguments))
        more = {"seed": seed} if change == "init" else {}
        outcome = [refusal(lambda each=each: getattr(nnw, change)(each, *arguments, **more)) for each in (net, whole)]  # noqa: B023
        flags = [[each.requires_grad for each in of.parameters()] for of in (net, whole)]
        if (
            bool(outcome[0]) != bool(outcome[1])
            or flags[0] != flags[1]
            or not is_same(net, dict(whole.named_parameters()))
        ):
            return done
    return None


def changed(rank, world_size):
    warnings.simplefilter("ignore")
    found = {}
    for kind in KINDS:
        net, whole, at = spread(kind, rank, world_size), whole_model(), ["0.weight", "1.weight"]
        before, outcome = wholes(net), []
        for name in FILLERS:
            made = nnw.init(net, at, name, **NEEDS.get(name, {}))  # no seed is given
            nnw.init(whole, at, name, seed=made.seed, **NEEDS.get(name, {}))
            outcome.append(is_same(net, dict(whole.named_parameters())))
        after = wholes(net)
        for _ in FILLERS:
            nnw.undo(net)
        outcome.append(is_same(net, before))
        for _ in FILLERS:
            nnw.redo(net)
        found[kind] = made.seed, [*outcome, is_same(net, after)]

    found["in a row"] = [changed_in_a_row(at, rank, world_size) for at in range(N_IN_A_ROW)]
    net = spread("FSDP2", rank, world_size)
    nnw.init(net, "*.weight", "normal_", std=0.3)
    nnw.init(net, "1.weight", doubled)
    nnw.assign(net, "0.weight[2:13:3, ..., 1:]", 5.0)
    nnw.init(net, "Linear", "reset")
    nnw.apply(net, "Linear", same_numbers)
    nnw.freeze(net, "0")
    found["history"] = [change.label for change in nnw.history(net).changes], made.ranks, made.world_size
    again = run_as_code(nnw.history(net).to_code(), rank, world_size)
    found["as code"] = is_same(net, again)
    if LACKS_FSDP2:
        return found

    net, whole, X = fsdp_of_linears(), linears(), torch.ones(2, 12)
    net(X)  # the root stays whole now
    nnw.init(net, "1.weight", "normal_", seed=3)
    nnw.init(whole, "1.weight", "normal_", seed=3)
    found["after a forward"] = torch.equal(net(X), whole(X))
    nnw.undo(net)
    nnw.undo(whole)
    found["after a forward, undone"] = torch.equal(net(X), whole(X))
    return found


def typo_and_preview(net, rank):
    refused = [refusal(lambda: nnw.init(net, "0.wieght", "normal_"))]
    dist.barrier()
    nnw.init(net, "0.weight", "normal_", preview=True)
    dist.barrier()
    nnw.init(net, "0.weight", "normal_", seed=3)
    nnw.undo(net)
    refused.append(refusal(lambda: nnw.init(net, "0.weight", "normal_", seed=rank)))
    dist.barrier()
    return refused


def n_keys():
    dist.barrier()
    n = _get_default_store().num_keys()
    dist.barrier()
    return n


def alone(rank, world_size):
    found = {}
    net = spread("FSDP2", rank, world_size)
    before = wholes(net)
    typo_and_preview(net, rank)  # what gloo keeps of its own is there then
    n, refused = n_keys(), typo_and_preview(net, rank)
    found["store"] = n_keys() - n, [kind for kind, _ in refused]

    began = time.monotonic()
    found["alone"] = refusal(lambda: nnw.init(net, "0.weight", "normal_")) if rank == 0 else None
    found["waited"] = time.monotonic() - began
    dist.barrier()
    found["untouched"] = [is_same(net, before)]

    found["other seeds"] = refusal(lambda: nnw.init(net, "0.weight", "normal_", seed=rank // 2))
    found["untouched"].append(is_same(net, before))
    found["one can't"] = refusal(lambda: nnw.init(net, "0.weight", "normal_", std="a" if rank == 1 else 0.02, seed=1))
    found["untouched"].append(is_same(net, before))

    def interrupted(tensor, generator):
        if rank == 2:
            raise KeyboardInterrupt

    try:
        found["interrupted"] = refusal(lambda: nnw.init(net, "0.weight", interrupted, seed=1))
    except KeyboardInterrupt:
        found["interrupted"] = "KeyboardInterrupt"
    found["untouched"].append(is_same(net, before))

    made = nnw.init(net, "0.weight", "normal_")  # after all that they meet again
    found["again"] = made.seed, is_same(net, before)
    found["nothing to undo"] = nnw.undo(net).label, refusal(lambda: nnw.undo(net))
    found["untouched"].append(is_same(net, before))
    found["no history"] = len(nnw.history(net).changes)

    ddp = nn.parallel.DistributedDataParallel(nn.Linear(4, 4))
    seed = nnw.init(ddp, "module.weight", "normal_").seed
    time.sleep(0.3 if rank == 0 else 0.0)  # the others go on, and are refused, before it asks
    found["DDP"] = seed, nnw.init(ddp, "module.weight", "normal_", preview=True).seed, ddp.module.weight.tolist()
    refusal(lambda: nnw.init(ddp, "module.none", "normal_"))

    def of_another(tensor):
        layer = nn.Linear(4, 4)
        nnw.init(layer, "weight", "ones_", seed=5)
        tensor.copy_(layer.weight)
        if rank == 1:
            raise ValueError

    was = ddp.module.weight.detach().clone()
    found["one can't, within"] = refusal(lambda: nnw.init(ddp, "module.weight", of_another, seed=1))
    found["untouched"].append(torch.equal(ddp.module.weight, was))

    different = torch.full((1100, 1024), float(rank // 2))
    wide = nn.parallel.DistributedDataParallel(nn.Linear(1024, 1100))
    net_of_others = nn.Sequential(nn.Linear(4, 4))
    others = nn.parallel.DistributedDataParallel(net_of_others)
    parameters = [*wide.parameters(), *ddp.parameters(), *net_of_others.parameters()]
    before_others = [each.detach().clone() for each in parameters]
    found["other values"] = [
        refusal(lambda: nnw.assign(wide, "module.weight", different)),
        refusal(lambda: nnw.init(ddp, "module.weight", lambda tensor: tensor.fill_(rank // 2), seed=1)),
        refusal(lambda: nnw.init(net, "0.weight", lambda tensor: tensor.fill_(rank // 2), seed=1)),
        refusal(lambda: nnw.apply(others, "Linear", lambda module: module.bias.fill_(rank // 2), seed=1)),
    ]
    found["untouched"].append(all(map(torch.equal, parameters, before_others)) and is_same(net, before))
    nnw.init(ddp, "module.weight", lambda tensor: tensor.uniform_(), seed=1)
    found["same values"] = ddp.module.weight.tolist(), nnw.undo(ddp).label
    dist.barrier()
    job = nnw.ranks(timeout=0.5)
    if rank != 3:
        found["late"] = refusal(lambda: nnw.init(job["net"], "0.weight", "zeros_"))
    dist.barrier()
    found["untouched"].append(is_same(net, before))
    job.timeout = 60.0
    made = nnw.assign(job["net"], "0.weight[0, 0]", 42.0)
    found["together"] = made.ranks, wholes(net)["0.weight"][0, 0].item(), nnw.undo(job["net"]).label
    found["untouched"].append(is_same(net, before))

    net = nn.Module()
    net.layers = nn.ModuleDict({str(rank): nn.Linear(2, 2)})
    found["stages"] = refusal(lambda: nnw.init(job["net"], "Linear.weight", "normal_"))
    return found


@pytest.fixture(scope="module")
def seen():
    return on_ranks(both, seconds=300.0)


def both(rank, world_size):
    return changed(rank, world_size), alone(rank, world_size)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_seed_all_ranks_draw_one_and_have_the_values_of_the_whole(kind, seen):
    outcomes = [found[kind] for found, _ in seen]
    assert len({seed for seed, _ in outcomes}) == 1
    assert all(all(each) for _, each in outcomes)


def test_changes_in_a_row_leave_what_they_leave_of_the_whole(seen):
    for found, _ in seen:
        assert found["in a row"] == [None] * len(found["in a row"])


def test_a_change_is_told_as_torch_code_that_every_rank_runs(seen):
    for found, _ in seen:
        labels, ranks, world_size = found["history"]
        assert labels[0] == "normal_(std=0.3)"
        assert (len(labels), ranks, world_size) == (6, (0, 1, 2, 3), 4)
        assert found["as code"]


@needs_fsdp2
def test_the_next_forward_reads_what_was_written_while_fsdp_had_it_whole(seen):
    assert all(found["after a forward"] and found["after a forward, undone"] for found, _ in seen)


def test_a_rank_alone_changes_nothing_and_is_told_how_all_do_it(seen):
    kind, message = seen[0][1]["alone"]
    assert (kind, seen[0][1]["waited"] < 6) == ("RankMissingError", True)
    assert "needs ranks 0–3, and ranks 1–3 didn't come within 4" in message
    assert "Run the same line on all of them" in message


def test_nothing_changes_unless_all_ranks_make_the_same_change(seen):
    for rank, (_, found) in enumerate(seen):
        assert all(found["untouched"]), found["untouched"]
        kind, message = found["other seeds"]
        assert (kind, "seed 0" in message, "seed 1" in message) == ("RanksDisagreeError", True, True)
        kind, message = found["one can't"]
        assert kind == ("InitializerError" if rank == 1 else "RankMissingError")
        assert rank == 1 or "Rank 1 can't do it: normal_ takes a number for 'std'" in message
        assert found["one can't, within"][0] == kind
        if rank == 2:
            assert found["interrupted"] == "KeyboardInterrupt"
        else:
            assert "Rank 2 can't do it: KeyboardInterrupt" in found["interrupted"][1]
        assert found["again"] == (seen[0][1]["again"][0], False)
        assert found["nothing to undo"][0] == "normal_"
        assert "nothing to undo" in found["nothing to undo"][1][1]
        assert found["no history"] == 0
        assert found["stages"][0] == "RanksDisagreeError"


def test_a_meeting_leaves_nothing_in_the_store_of_the_group(seen):
    for _, found in seen:
        n, kinds = found["store"]
        assert (n, kinds) == (0, ["PathNotFoundError", "RanksDisagreeError"])


def test_ranks_whose_values_or_functions_give_other_values_disagree(seen):
    for _, found in seen:
        for kind, message in found["other values"]:
            assert (kind, message.count(", values ")) == ("RanksDisagreeError", 2)
    assert len({str(found["same values"]) for _, found in seen}) == 1


def test_replicas_get_one_seed(seen):
    assert len({str(found["DDP"]) for _, found in seen}) == 1


def test_a_model_of_ranks_is_changed_as_the_module_is(seen):
    for rank, (_, found) in enumerate(seen):
        assert found["together"] == ((0, 1, 2, 3), 42.0, "0.weight[0, 0] = 42.0")
        assert rank == 3 or "rank 3 didn't come within 0." in found["late"][1]
