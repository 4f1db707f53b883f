"""Models over four processes, seen as one from each: DDP, FSDP2, HSDP, tensor parallel, uneven, empty, in stages."""

from __future__ import annotations

import datetime as dt
import re
import socket
import time

import pytest
import torch
import torch.distributed as dist
from torch import nn

import nnwidgets as nnw
from tests.support.gloo import on_ranks
from tests.support.spread_models import KINDS, made, mlp, small
from tests.support.stacks import LACKS_FSDP2, each_kind, needs_fsdp2

COUNTS = ("n_params", "n_params_trainable", "size_bytes")
SAME = ("n", "n_zero", "n_nan", "n_inf", "min", "max", "hist_counts", "hist_edges", "is_exact", "of")


def rows_of(tree, prefix):
    """What the rows of a tree say, but for the wrapper above and the classes that a wrapper renames."""
    nodes = [node for node in tree.nodes if f"{node.path}.".startswith(prefix)]
    return [(node.path.removeprefix(prefix.rstrip(".")).lstrip("."), node.n_params) for node in nodes], [
        (each.path.removeprefix(prefix), each.shape, each.dtype, each.n_elements, each.size_bytes, each.tie)
        for each in tree.tensors
    ]


def looked_at(rank, world_size):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FullyShardedDataParallel, ShardingStrategy

    found, job = {}, nnw.ranks(timeout=60.0)
    for name, whole, net in made():
        tree = nnw.tree(job["net"])
        prefix = "module." if name == "DDP" else ""
        stats = {path: nnw.stats(job["net"][prefix + path]) for path, _ in whole.named_parameters()}
        wanted = {path: nnw.stats(parameter) for path, parameter in whole.named_parameters()}
        found[name] = {
            "counts": [getattr(tree, each) for each in COUNTS],
            "wanted counts": [getattr(nnw.tree(whole), each) for each in COUNTS],
            "rows": rows_of(tree, prefix),
            "wanted rows": rows_of(nnw.tree(whole), ""),
            "bytes": (tree.by_rank, nnw.tree(net).local_bytes),
            "ties": [group.members for group in nnw.ties(job["net"])],
            "wanted ties": [group.members for group in nnw.ties(whole)],
            "stats": stats,
            "wanted": wanted,
            "table": nnw.stats(job["net"]),
            "wanted table": nnw.stats(whole),
            "check": [finding.code for finding in nnw.check(job["net"])],
            "trace": nnw.trace(job["net"], torch.ones(2, 16)),
            "wanted trace": nnw.trace(whole, torch.ones(2, 16)),
            "after the trace": [finding.code for finding in nnw.check(job["net"])],
        }
        for each in (net, whole):
            each(torch.ones(2, 16)).sum().backward()
        found[name] |= {
            "gradients": [(row.grad_norm, row.n_grad_bad) for row in nnw.stats(job["net"])],
            "wanted gradients": [(row.grad_norm, row.n_grad_bad) for row in nnw.stats(whole)],
        }
    square = init_device_mesh("cpu", (2, 2), mesh_dim_names=("rep", "shard"))
    hybrid = {"device_mesh": square, "sharding_strategy": ShardingStrategy.HYBRID_SHARD}
    for keeps_originals, more in ((False, {}), (True, {}), (False, hybrid), (True, hybrid)):
        net = FullyShardedDataParallel(
            small(7, 5, 3), use_orig_params=keeps_originals, device_id=torch.device("cpu"), **more
        )
        table = {row.path: row for row in nnw.stats(job["net"]) if row.role == "parameter"}
        found["FSDP1", keeps_originals, bool(more)] = {
            "n_params": nnw.tree(job["net"]).n_params,
            "n_replicas": {each.n_replicas for each in nnw.tree(job["net"]).tensors if each.path in table},
            "ties": nnw.ties(job["net"]),
            "stats": {path: nnw.stats(job["net"][path]) for path in table},
            "check": [each.code for each in nnw.check(job["net"]) if each.severity != "note"],
            "trace": nnw.trace(job["net"], torch.ones(2, 7)).flops,
        }
    return found


@pytest.fixture(scope="module")
def spread():
    return on_ranks(looked_at)


@pytest.mark.parametrize("kind", each_kind(KINDS))
def test_each_rank_sees_the_whole_model(kind, spread):
    for rank, found in enumerate(spread):
        seen = found[kind]
        assert seen["counts"] == seen["wanted counts"]
        assert seen["rows"] == seen["wanted rows"]
        assert seen["bytes"][0][rank] == seen["bytes"][1]
        assert seen["ties"] == seen["wanted ties"]
        assert set(seen["check"]) <= {"uneven-memory"}
        for path, wanted in seen["wanted"].items():
            for name in SAME:
                assert getattr(seen["stats"][path], name) == getattr(wanted, name), (path, name)
            for name in ("mean", "std", "norm"):
                assert getattr(seen["stats"][path], name) == pytest.approx(getattr(wanted, name), rel=1e-12), (
                    path,
                    name,
                )
        for path, stats in seen["stats"].items():
            assert stats.to_dict() == spread[0][kind]["stats"][path].to_dict()


@pytest.mark.parametrize("kind", each_kind(KINDS))
def test_the_table_of_all_tensors_is_the_whole_models(kind, spread):
    seen = spread[3][kind]
    for row, wanted in zip(seen["table"], seen["wanted table"], strict=True):
        assert row.path.removeprefix("module.") == wanted.path
        assert (row.shape, row.min, row.max, row.n_zero) == (wanted.shape, wanted.min, wanted.max, wanted.n_zero)
        assert row.norm == pytest.approx(wanted.norm, rel=1e-12)
        assert row.tied_to == wanted.tied_to


@needs_fsdp2
def test_each_rank_s_share_is_beside_the_whole(spread):
    by_rank = spread[1]["HSDP"]["stats"]["0.weight"].by_rank
    assert [(each.rank, each.part, each.n) for each in by_rank] == [
        (0, (0,), 256), (1, (1,), 256), (2, (0,), 256), (3, (1,), 256)
    ]  # fmt: skip
    assert [each.n for each in spread[0]["3 rows"]["stats"]["0.weight"].by_rank] == [16, 16, 16, 0]


@pytest.mark.parametrize("kind", each_kind(KINDS))
def test_gradients_in_the_table_are_the_whole_models(kind, spread):
    for found in spread:
        for (norm, n_bad), (wanted, wanted_bad) in zip(
            found[kind]["gradients"], found[kind]["wanted gradients"], strict=True
        ):
            assert (norm, n_bad) == (pytest.approx(wanted, rel=1e-6), wanted_bad)


@pytest.mark.parametrize("kind", each_kind(KINDS))
def test_a_trace_is_of_the_whole_forward_and_leaves_all_as_it_was(kind, spread):
    for found in spread:
        trace, wanted = found[kind]["trace"], found[kind]["wanted trace"]
        assert (trace.error, trace.unused, trace.flops) == (None, (), wanted.flops)
        paths = [call.path for call in wanted.calls]
        assert [call.path for call in trace.calls][-len(paths) + 1 :] == [
            f"module.{path}" if kind == "DDP" else path for path in paths[1:]
        ]
        assert [call.flops for call in trace.calls][-len(paths) :] == [call.flops for call in wanted.calls]
        assert (trace.calls[0].input_shapes, trace.calls[-1].output_shapes) == (
            wanted.calls[0].input_shapes,
            wanted.calls[-1].output_shapes,
        )
        assert found[kind]["after the trace"] == found[kind]["check"]


@needs_fsdp2
def test_what_each_rank_did_in_a_trace_is_beside_the_whole(spread):
    def done(kind):
        return [each.flops for each in spread[0][kind]["trace"].by_rank]

    first, second, last = 2 * 2 * 16 * 32, 2 * 2 * 32 * 32, 2 * 2 * 32 * 10
    assert done("FSDP2") == [first + second + last] * 4
    assert done("TP") == [first // 4 + second // 4 + last] * 4
    assert done("TP × FSDP2") == [first // 2 + second // 2 + last] * 4
    assert done("uneven TP") == [2 * 2 * (16 + 5) * columns for columns in (8, 8, 8, 6)]
    assert spread[0]["TP"]["trace"].local_flops == sum(done("TP"))
    assert "kept for backward" in str(spread[0]["TP"]["trace"])


def test_flat_parameters_of_fsdp_are_read_without_their_padding(spread):
    whole = small(7, 5, 3)
    flat = torch.cat([each.detach().flatten() for each in whole.parameters()])
    for found in spread:
        flattened, original = found["FSDP1", False, False], found["FSDP1", True, False]
        (stats,) = flattened["stats"].values()
        assert [each.n for each in stats.by_rank] == [15, 15, 15, 13]
        hybrid, original_hybrid = found["FSDP1", False, True], found["FSDP1", True, True]
        (halves,) = hybrid["stats"].values()
        assert [(each.part, each.n) for each in halves.by_rank] == [((0,), 29), ((1,), 29)] * 2
        assert halves.hist_counts == stats.hist_counts
        assert [each["n_replicas"] for each in (flattened, original, hybrid, original_hybrid)] == [{1}, {1}, {2}, {2}]
        for name in SAME:
            assert getattr(stats, name) == getattr(nnw.stats(flat), name), name
        for path, parameter in whole.named_parameters():
            for each in (original, original_hybrid):
                stats = each["stats"][f"_fsdp_wrapped_module.{path}"]
                for name in SAME:
                    assert getattr(stats, name) == getattr(nnw.stats(parameter), name), (path, name)
        for each in (flattened, original, hybrid, original_hybrid):
            assert (each["n_params"], each["check"], each["ties"]) == (58, [], ())
            assert each["trace"] == 2 * 2 * (7 * 5 + 5 * 3)


def faulty(rank, world_size):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor, Partial
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    job, found = nnw.ranks(timeout=60.0), {}

    def seen(net):
        return [(each.code, each.severity, each.path, each.ranks, each.fix) for each in nnw.check(job["net"])]

    net = fully_shard(mlp())
    if rank == 2:
        with torch.no_grad():
            net[0].weight._local_tensor[0, 0] = float("nan")
    found["NaN on rank 2"] = seen(net)

    net = fully_shard(mlp())
    net[0].weight.requires_grad_(rank != 0)
    found["frozen on rank 0"] = seen(net)

    net = nn.parallel.DistributedDataParallel(mlp())
    if rank == 1:
        net.module[0].weight.data[0, 0] += 1
    found["other on rank 1"] = seen(net)
    found["stats of it"] = nnw.stats(job["net"]["module.0.weight"])
    exec(found["other on rank 1"][0][-1], {"net": net, "torch": torch})  # noqa: S102 - the fix is run, as the page says
    found["broadcast"] = seen(net)

    net = fully_shard(mlp())
    torch.manual_seed(7)
    with torch.no_grad():
        net[2].weight._local_tensor.normal_()
    found["one seed"] = seen(net)

    net = fully_shard(mlp())
    net(torch.ones(2, 16))
    found["after a forward"] = seen(net)
    exec(found["after a forward"][0][-1], {"net": net})  # noqa: S102 - the fix is run
    found["sharded again"] = seen(net)

    kinds = [type(parameter) for parameter in net.parameters()]
    traced = nnw.trace(net, torch.ones(2, 16))
    found["traced"] = (
        seen(net),
        kinds == [type(parameter) for parameter in net.parameters()],
        traced.flops,
        traced.error,
    )

    net = nn.Module()
    net.layers = nn.ModuleDict({str(rank): nn.Linear(8, 8)})
    tree = nnw.tree(job["net"])
    found["table of stages"] = [(row.path, row.norm is not None) for row in nnw.stats(job["net"])]
    found["stages"] = seen(net), tree.n_params, [node.path for node in tree.nodes], len(tree.tensors)

    net = nn.Linear(3, 1, bias=False)
    mesh = init_device_mesh("cpu", (world_size,))
    net.weight = nn.Parameter(DTensor.from_local(torch.ones(1, 3), mesh, [Partial()]))
    found["unreduced"] = seen(net)
    try:
        nnw.stats(job["net"]["weight"])
    except nnw.InvalidTargetError as error:
        found["unreduced"].append(str(error))

    if rank != 3:
        model = mlp()  # noqa: F841 - found by its name
    try:
        nnw.tree(job["model"])
    except nnw.RankMissingError as error:
        found["no such name"] = str(error), error.ranks

    net = mlp()
    try:
        nnw.check(job["net"]) if rank == 2 else nnw.tree(job["net"])
    except nnw.RanksDisagreeError as error:
        found["asked otherwise"] = str(error)

    job.timeout, began = 1.0, time.monotonic()
    dist.barrier()
    if rank == 3:
        time.sleep(2.5)
    found["late"] = seen(net), [status.state for status in job.statuses]
    found["waited"] = time.monotonic() - began
    found["late stats"] = nnw.stats(job["net"]["0.weight"]) if rank != 3 else None
    job.close()
    job = nnw.ranks(timeout=1.0)
    if rank != 3:
        found["late trace"] = refusal(lambda: nnw.trace(job["net"], torch.ones(2, 16)))
    dist.barrier()
    job.timeout = 60.0
    found["trace in time"] = nnw.trace(job["net"], torch.ones(2, 16)).error
    job.close()

    pair = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))["tp"]
    net = parallelize_module(mlp(), pair, {"0": ColwiseParallel(), "2": RowwiseParallel()})
    found["of two ranks"] = nnw.trace(net, torch.ones(2, 16)).error if rank < 2 else None
    net = fully_shard(mlp())
    if rank == 0:
        found["alone"] = refusal(lambda: nnw.trace(net, torch.ones(2, 16)))
    dist.barrier()
    return found


class Fails(nn.Module):
    def forward(self, x):
        if dist.get_rank() == 1:
            raise ValueError("bad batch")
        return x


def failing(rank, world_size):
    """A forward that raises on rank 1 while the others wait for it, as long as their group has patience."""
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import fully_shard

    group = dist.new_group(range(world_size), timeout=dt.timedelta(seconds=4))
    net = nn.Sequential(nn.Linear(4, 4), Fails(), nn.Linear(4, 4))
    mesh = DeviceMesh.from_group(group, "cpu")
    for each in (net[0], net[2]):
        fully_shard(each, mesh=mesh)
    job = nnw.ranks(timeout=1.0)
    dist.barrier()
    began = time.monotonic()
    found = nnw.trace(job["net"], torch.ones(2, 4))
    seconds = time.monotonic() - began
    is_cut = all(parameter._local_tensor.numel() < parameter.numel() for parameter in net.parameters())
    job.timeout = 60.0
    return found.error, found.failed_at, [each.rank for each in found.by_rank], seconds, is_cut, nnw.check(job["net"])


@needs_fsdp2
def test_a_forward_that_raises_on_one_rank_names_it_and_leaves_the_model_as_it_was():
    found = on_ranks(failing)
    for rank, (error, failed_at, by_rank, seconds, is_cut, check) in enumerate(found):
        assert error.startswith("ValueError: bad batch (on rank 1)"), error
        assert failed_at == "1"
        assert is_cut
        assert check == ()
        if rank == 1:  # doesn't wait for those that wait for it
            assert (by_rank, seconds < 4) == ([1], True)
            assert re.search(
                r"Rank 0 hasn't answered for 1\.\d s\..* ends there with the process group's own timeout", error
            )
        else:
            assert by_rank == [0, 1, 2, 3]
            assert "; ranks 0, 2, 3 failed after that, by_rank tells how" in error


def alone(rank, world_size):
    from torch.distributed.fsdp import fully_shard

    whole = mlp()
    net = fully_shard(mlp())  # noqa: F841 - found by its name
    job = nnw.ranks(timeout=30.0)
    served = job.serve()
    address = served.address.split(":")
    for asked in (job["net"], nnw.ranks(served.address, token=served.token, timeout=30.0)["net"]):
        assert nnw.tree(asked).n_params == nnw.tree(whole).n_params
        assert "on 1 rank" in str(nnw.tree(asked))
        stats, wanted = nnw.stats(asked["0.weight"]), nnw.stats(whole[0].weight)
        assert [getattr(stats, name) for name in SAME] == [getattr(wanted, name) for name in SAME]
        assert (nnw.check(asked), nnw.ties(asked)) == ((), ())
        assert len(nnw.stats(asked)) == 6
    assert nnw.trace(job["net"], torch.ones(2, 16)).flops == nnw.trace(whole, torch.ones(2, 16)).flops
    assert [status.state for status in job.statuses] == ["idle"]
    dist.destroy_process_group()
    with pytest.raises(nnw.InvalidTargetError, match="destroy_process_group was called"):
        nnw.tree(job["net"])
    job.close()
    return address[0], int(address[1])


@needs_fsdp2
def test_one_rank_is_a_job_like_others_served_too():
    (address,) = on_ranks(alone, 1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)


def refusal(run):
    try:
        run()
    except nnw.RankMissingError as error:
        return str(error), error.ranks


@pytest.fixture(scope="module")
def faults():
    if LACKS_FSDP2:
        pytest.skip(LACKS_FSDP2)
    return on_ranks(faulty)


def test_what_only_some_ranks_have_is_named_with_them(faults):
    found = faults[0]
    assert ("nan-or-inf", (2,)) in [(code, ranks) for code, _, _, ranks, _ in found["NaN on rank 2"]]
    assert ("ranks-disagree", "error", "0.weight", (0,), None) in found["frozen on rank 0"]
    assert all(each["NaN on rank 2"] == found["NaN on rank 2"] for each in faults)


def test_replicas_that_differ_are_found_and_made_the_same_by_the_fix(faults):
    ((code, severity, path, ranks, fix),) = faults[0]["other on rank 1"]
    assert (code, severity, path, ranks) == ("replicas-differ", "warning", "module.0.weight", (1,))
    assert "src=0" in fix
    assert faults[3]["broadcast"] == []
    stats = faults[2]["stats of it"]
    assert (stats.is_exact, stats.of) == (False, "rank 0: its replicas differ")


def test_shards_drawn_from_one_seed_are_found(faults):
    assert [each[:3] for each in faults[0]["one seed"]] == [("equal-shards", "warning", "2.weight")]


def test_what_fsdp_keeps_whole_is_told_until_it_is_sharded_again(faults):
    assert faults[1]["after a forward"] == [("unsharded", "note", "", (0, 1, 2, 3), "net.reshard()")]
    assert faults[1]["sharded again"] == []


def test_a_trace_leaves_what_is_sharded_as_it_was(faults):
    for found in faults:
        check, is_same_kind, _, error = found["traced"]
        assert (check, is_same_kind, error) == ([], True, None)


def test_stages_of_a_pipeline_are_one_model(faults):
    check, n_params, paths, n_tensors = faults[2]["stages"]
    assert (n_params, n_tensors) == (4 * 72, 8)
    assert faults[2]["table of stages"] == [
        (f"layers.{stage}.{name}", True) for stage in range(4) for name in ("weight", "bias")
    ]
    assert paths == ["", "layers", *(f"layers.{stage}" for stage in range(4))]
    assert [(code, severity, ranks) for code, severity, _, ranks, _ in check] == [
        ("ranks-disagree", "note", (stage,)) for stage in range(4)
    ]


def test_summands_are_told_and_not_summarized(faults):
    *check, error = faults[0]["unreduced"]
    assert ("partial-parameter", "weight") in [(code, path) for code, _, path, _, _ in check]
    assert "Partial" in error


def test_a_name_that_a_rank_lacks_is_told_with_the_rank(faults):
    text, ranks = faults[0]["no such name"]
    assert ranks == (3,)
    assert "rank 3: No variable 'model'" in text


def test_ranks_that_run_other_lines_are_told_so(faults):
    assert "rank 2 asks something else" in faults[0]["asked otherwise"]
    assert "asked otherwise" in faults[2]


def test_a_rank_that_comes_late_is_named_and_holds_up_nobody(faults):
    for rank in range(3):
        check, states = faults[rank]["late"]
        assert check[0][:4] == ("rank-missing", "warning", "", (3,))
        assert states == ["idle", "idle", "idle", "missing"]
        assert 1.0 <= faults[rank]["waited"] < 2.5
    assert faults[3]["late"] == ([], ["idle"] * 4)
    whole = faults[0]["late stats"]  # a replica's numbers stand for those of the one that is missing
    assert (whole.is_exact, whole.missing, len(whole.by_rank)) == (True, (), 3)


def test_a_forward_begins_on_all_ranks_or_on_none(faults):
    for rank in range(3):
        text, ranks = faults[rank]["late trace"]
        assert ranks == (3,)
        assert "rank 3 didn't come within 1.0 s. Nothing was run" in text
    assert [found["trace in time"] for found in faults] == [None] * 4


def test_a_plain_trace_waits_for_the_ranks_of_its_forward_and_no_others(faults):
    assert faults[0]["of two ranks"] is faults[1]["of two ranks"] is None
    text, ranks = faults[0]["alone"]
    assert ranks == (1, 2, 3)
    assert "needs ranks 0–3, and ranks 1–3 didn't come" in text
