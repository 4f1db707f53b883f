"""The Explorer of models that four gloo processes hold: rows, statistics, pictures, against the unsharded model's."""

from __future__ import annotations

import base64

import numpy as np
import pytest
import torch
import torch.distributed as dist

import nnwidgets as nnw
from tests.distributed.test_ranks import SAME
from tests.support.gloo_ranks import GlooRanks
from tests.support.requests import asked
from tests.support.spread_models import KINDS, made, mlp, small
from tests.support.stacks import LACKS_FSDP2, each_kind, needs_fsdp2


def spread():
    nets = {f"net{KINDS.index(kind)}": net for kind, _, net in made()}
    from torch.distributed.device_mesh import init_device_mesh

    from tests.support.dtensors import Shard, distribute_tensor

    torch.manual_seed(2)
    conv = torch.nn.Conv2d(8, 6, 3)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    conv.weight = torch.nn.Parameter(distribute_tensor(conv.weight.data, mesh, [Shard(1)]))
    stage = torch.nn.Module()
    stage.layers = torch.nn.ModuleDict({str(dist.get_rank()): torch.nn.Linear(8, 8)})
    nets |= {"conv": conv, "stage": stage}
    if not LACKS_FSDP2:
        from torch.distributed.fsdp import fully_shard

        nets["unsharded"] = fully_shard(mlp(), mesh=mesh, reshard_after_forward=False)
        nets["unsharded"](torch.ones(2, 16))
    return nets


@pytest.fixture(scope="module")
def ranks():
    source = GlooRanks(spread)
    yield source
    source.close()


@pytest.fixture(scope="module")
def job(ranks):
    return nnw.ranks(ranks, timeout=60.0)


def cells(reply):
    values = reply["values"]
    return np.frombuffer(base64.b64decode(reply["buffers"][values["buffer"]]), "<f4").reshape(values["shape"])


def wholes():
    base = {"DDP": "module."}
    for each in each_kind(KINDS):
        (kind,) = each.values
        yield pytest.param(kind, f"net{KINDS.index(kind)}", base.get(kind, ""), marks=each.marks)


SMALL = {"7 rows": (16, 7), "3 rows": (16, 3), "uneven TP": (16, 30, 5)}


def whole_of(kind):
    net = small(*SMALL[kind]) if kind in SMALL else mlp()
    if kind == "tied":
        net[4] = torch.nn.Linear(32, 32)
        net[4].weight = net[2].weight
    named = {path: parameter.detach() for path, parameter in net.named_parameters()}
    return {path: named[path] for path in ("0.weight", "0.bias", "1.weight", "2.weight") if path in named}


@pytest.mark.parametrize(("kind", "name", "prefix"), list(wholes()))
def test_what_is_seen_is_the_unsharded_model(kind, name, prefix, job):
    view = nnw.explore(job[name])
    try:
        for path, whole in whole_of(kind).items():
            net = torch.nn.ParameterDict({"w": torch.nn.Parameter(whole)})
            alone = nnw.explore(net)
            rows = {"expanded": None, "picked": {}, "unfolded": [], "chips": [], "start": 0, "count": 500}
            (row,) = [
                each for each in asked(view, "rows", filter=prefix + path, **rows)["rows"] if each["kind"] == "tensor"
            ]
            assert row["shape"] == " × ".join(map(str, whole.shape))
            wanted = nnw.stats(whole)
            found = asked(view, "stats", path=prefix + path)
            for field in set(SAME) - {"of", "hist_counts", "hist_edges"}:
                assert found[field] == getattr(wanted, field), (path, field)
            assert found["hist_counts"] == list(wanted.hist_counts)
            for sides in ({}, {"max_rows": 5, "max_columns": 3}, {"row": 1, "column": 2, "rows": 9, "columns": 4}):
                seen = asked(view, "values", path=prefix + path, **sides)
                one = asked(alone, "values", path="w", **sides)
                np.testing.assert_array_equal(cells(seen), cells(one))
                assert seen["texts"] == one["texts"]
                same = ("n_rows", "n_columns", "row", "column", "row_step", "column_step", "scale", "row_axes")
                assert [seen[key] for key in same] == [one[key] for key in same]
                assert seen["absent"] == []
            alone.close()
    finally:
        view.close()


@needs_fsdp2
def test_borders_are_those_of_the_parts(job):
    view = nnw.explore(job[f"net{KINDS.index('HSDP')}"])
    shards = asked(view, "values", path="0.weight")["shards"]
    assert [(each["row"], each["rows"], each["ranks"]) for each in shards] == [(0, 16, [0, 2]), (16, 16, [1, 3])]
    facts = asked(view, "inspect", path="0.weight")["tensor"]
    assert (facts["placements"], facts["local_shape"]) == (["Replicate()", "Shard(0)"], [16, 16])
    assert facts["mesh"] == [{"name": "rep", "size": 2}, {"name": "shard", "size": 2}]
    rows = asked(view, "open")["rows"]["rows"]
    assert next(row["placement"] for row in rows if row["path"] == "0.weight") == "R · S0"
    view.close()
    view = nnw.explore(job["conv"])
    shards = asked(view, "values", path="weight")["shards"]
    assert [(each["column"], each["columns"], each["rows"]) for each in shards] == [(18 * at, 18, 6) for at in range(4)]
    view.close()


def matches(view, text):
    rows = {"expanded": None, "picked": {}, "unfolded": [], "chips": [], "start": 0, "count": 500}
    found = asked(view, "rows", filter=text, **rows)
    return found["problem"] or [row["path"] for row in found["rows"] if row["matched"]]


@needs_fsdp2
def test_of_what_fsdp_keeps_whole_after_a_forward_each_rank_shows_its_own_part(job):
    view = nnw.explore(job["unsharded"])
    shards = asked(view, "values", path="0.weight")["shards"]
    assert [(each["row"], each["rows"], each["ranks"]) for each in shards] == [(8 * at, 8, [at]) for at in range(4)]
    view.close()


def test_the_filter_knows_placements_and_ranks(job):
    view = nnw.explore(job[f"net{KINDS.index('TP')}"])
    assert matches(view, "@Shard(1)") == ["2.weight"]
    assert matches(view, "@shard !bias") == ["0.weight", "2.weight"]
    assert matches(view, "@rank:3 4.bias") == ["4.bias"]
    assert "No rank 4: there are 4" in matches(view, "@rank:4")
    assert "can't be read" in matches(view, "@ranks:1")
    view.close()
    view = nnw.explore(job["stage"])
    assert matches(view, "@rank:1") == ["layers.1.weight", "layers.1.bias"]
    view.close()
    view = nnw.explore(mlp())
    assert "one process holds the model" in matches(view, "@rank:0")
    view.close()


def test_the_stages_of_a_pipeline_are_shown_by_the_rank_that_has_each(job):
    view = nnw.explore(job["stage"])
    found = asked(view, "values", path="layers.2.weight")
    assert [each["ranks"] for each in found["shards"]] == [[2]]
    assert [each["rank"] for each in asked(view, "stats", path="layers.2.weight")["by_rank"]] == [2]
    view.close()


@needs_fsdp2
def test_a_rank_that_died_leaves_its_area_empty_and_the_rest_to_be_seen(ranks, job):
    view = nnw.explore(job[f"net{KINDS.index('FSDP2')}"])
    wanted = whole_of("FSDP2")["0.weight"].numpy()
    ranks.kill(3)
    found = asked(view, "values", path="0.weight")
    assert found["absent"] == [{"row": 24, "column": 0, "rows": 8, "columns": 16}]
    np.testing.assert_array_equal(cells(found)[:24], wanted[:24])
    assert not cells(found)[24:].any()
    assert found["texts"][24] == ["–"] * 16
    stats = asked(view, "stats", path="0.weight")
    assert (stats["of"], stats["missing"], len(stats["by_rank"])) == ("3 of 4 parts", [3], 3)
    states = asked(view, "open")["ranks"]["ranks"]
    assert [each["state"] for each in states] == ["idle", "idle", "idle", "dead"]
    view.close()
