"""Plans, loads and comparisons of a model over four processes, asked by one that is none of them."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from tests.support.gloo_ranks import GlooRanks
from tests.support.stacks import needs_torch

pytestmark = needs_torch("distributed.fsdp.fully_shard")


def whole():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 7), nn.Linear(7, 3), nn.BatchNorm1d(3))
    net[1].bias = nn.Parameter(torch.zeros(3))
    return net


def variables():
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("copies", "shards"))
    return {"flat": fully_shard(whole()), "hybrid": fully_shard(whole(), mesh=mesh)}


@pytest.fixture(scope="module")
def four():
    ranks = GlooRanks(variables)
    yield ranks
    ranks.close()


@pytest.fixture
def files(tmp_path):
    state = {name: each.detach() for name, each in whole().state_dict().items()}
    save_file(state, tmp_path / "same.safetensors")
    other = {name: each + 1 if name == "0.weight" else each.clone() for name, each in state.items()}
    other["1.weight"][2, 5] += 0.5
    save_file(other, tmp_path / "other.safetensors")
    save_file({name.replace("0.", "first."): each for name, each in state.items()}, tmp_path / "renamed.safetensors")
    return tmp_path


@pytest.mark.parametrize("name", ["flat", "hybrid"])
def test_parts_of_all_ranks_are_compared_and_told_as_the_whole_would_be(name, four, files):
    net = nnw.ranks(four, timeout=30.0)[name]
    assert nnw.diff(net, files / "same.safetensors").is_equal
    for found, wanted in (
        (nnw.diff(net, files / "other.safetensors"), nnw.diff(whole(), files / "other.safetensors")),
        (
            nnw.diff(files / "other.safetensors", net, atol=0.7),
            nnw.diff(files / "other.safetensors", whole(), atol=0.7),
        ),
    ):
        assert (found.of, found.equal, found.added) == ("all", wanted.equal, wanted.added)
        assert len(found.close) == len(wanted.close)
        for ours, theirs in zip((*found.changed, *found.close), (*wanted.changed, *wanted.close), strict=True):
            assert (ours.path, ours.n_different, ours.of) == (theirs.path, theirs.n_different, "all")
            assert ours.max_abs_difference == theirs.max_abs_difference
            assert math.isclose(ours.relative_norm, theirs.relative_norm, rel_tol=1e-6)


def test_a_plan_and_a_load_go_to_all_ranks_and_come_back_as_one(four, files):
    net = nnw.ranks(four, timeout=30.0)["flat"]
    assert nnw.plan(net, files / "other.safetensors").is_exact
    renames = nnw.plan(net, files / "renamed.safetensors").renames
    assert dict(renames)["first.weight"] == "0.weight"
    report = nnw.load(net, files / "renamed.safetensors", rename=dict(renames))
    assert report.plan.counts["sharded"] == 6
    report = nnw.load(net, files / "other.safetensors")
    assert (report.n_loaded, report.ranks, report.verified) == (9, (0, 1, 2, 3), True)
    assert nnw.diff(net, files / "other.safetensors").is_equal
    assert nnw.undo(net).label == "load other.safetensors"
    assert nnw.diff(net, files / "same.safetensors").is_equal
    nnw.redo(net)
    assert nnw.load(net, files / "same.safetensors", undo=False).n_loaded == 9
    assert nnw.diff(net, files / "same.safetensors").is_equal
    with pytest.raises(nnw.InvalidTargetError, match="undo=False"):
        nnw.undo(net)


def test_a_load_that_no_rank_can_do_says_why(four, files):
    net = nnw.ranks(four, timeout=30.0)["flat"]
    with pytest.raises(nnw.PathNotFoundError, match="There is no"):
        nnw.load(net, files / "nowhere.pt")
    with pytest.raises(nnw.InvalidTargetError, match="compared with a file"):
        nnw.diff(net, whole())
