"""Loads of models over four processes: each rank its part of the unsharded load, by all ranks or by none."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import warnings
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint.formats.file import File
from nnwidgets.edit.over_ranks.agreement import GroupAgreement
from tests.support.gloo import Group, on_ranks
from tests.support.load_stages import LOAD_STAGES, call_at
from tests.support.spread_models import KINDS, made, mlp
from tests.support.stacks import LACKS_FSDP2, each_kind, needs_fsdp2

FILES = ("torch", "safetensors", "shards", "checked", "bf16")


def wholes(net):
    with torch.no_grad():
        return {name: getattr(each, "full_tensor", each.detach)().clone() for name, each in net.state_dict().items()}


def is_same(one, other):
    return one.keys() == other.keys() and all(torch.equal(each, other[name]) for name, each in one.items())


def other_values(net, seed=5):
    """The values that files have: other ones than the model's, the same on every rank."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for each in net.parameters():
            each.copy_(torch.randn(each.shape).bfloat16())
    return net


def write(folder, whole, prefix, rank):
    """The same state in a file of each kind, by one process."""
    state = {f"{prefix}{name}": each.detach().clone() for name, each in whole.state_dict().items()}
    if rank:
        return
    folder.mkdir()
    torch.save(state, folder / "torch")
    save_file(state, folder / "safetensors")
    save_file({name: each.bfloat16() for name, each in state.items()}, folder / "bf16")
    nnw.save(state, folder / "checked.safetensors")
    (folder / "checked.safetensors").rename(folder / "checked")
    (folder / "shards").mkdir()
    names = [f"model-0000{part}-of-00002.safetensors" for part in (1, 2)]
    where = {name: names[at % 2] for at, name in enumerate(state)}
    for part in names:
        save_file({name: state[name] for name in state if where[name] == part}, folder / "shards" / part)
    (folder / "shards" / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def shared_folder(rank):
    place = [tempfile.mkdtemp()] if rank == 0 else [None]
    dist.broadcast_object_list(place)
    return Path(place[0])


def loaded(rank, world_size):
    """Loads of each way of spreading a model: from what its ranks wrote together, and from a file of another kind."""
    import torch.distributed.checkpoint as dcp

    root, found = shared_folder(rank), {}
    for at, (kind, whole, net) in enumerate(made()):
        folder, prefix = root / kind, "module." if kind == "DDP" else ""
        other_values(whole)
        wanted = {f"{prefix}{name}": each.detach() for name, each in whole.state_dict().items()}
        write(folder, whole, prefix, rank)
        dist.barrier()
        before, other = wholes(net), FILES[at % len(FILES)]
        nnw.load(net, folder / "torch")
        dcp.save(net.state_dict(), checkpoint_id=folder / "dcp")
        nnw.undo(net)
        for name in ("dcp", other):
            plan, report = nnw.plan(net, folder / name), nnw.load(net, folder / name)
            what = {"same": is_same(wholes(net), wanted), "by": (report.verified, report.ranks, report.world_size)}
            nnw.undo(net)
            what["undone"] = is_same(wholes(net), before)
            nnw.redo(net)
            what["redone"] = is_same(wholes(net), wanted)
            nnw.undo(net)
            what["plan"] = plan.is_exact, plan.is_complete, *plan.counts
            found[kind, "dcp" if name == "dcp" else "file"] = what
        nnw.load(net, folder / "dcp")
        mark, diffs = nnw.snapshot(net), [nnw.diff(net, folder / "dcp"), nnw.diff(folder / "torch", net)]
        with torch.no_grad():
            first = next(iter(net.parameters()))
            getattr(first, "to_local", lambda first=first: first)().add_(1)
        diffs += [nnw.diff(net, folder / "dcp"), nnw.diff(mark, net), nnw.diff(nnw.snapshot(net, values=False), mark)]
        first = next(iter(dict(net.named_parameters())))
        found[kind, "diff"] = (
            [
                (each.is_equal, each.of, [(c.path, c.n_different, c.shapes[0], c.of) for c in each.changed])
                for each in diffs
            ],
            first,
        )
        if kind in ("TP", "FSDP2"):
            exec(f"net = whole\n{report.to_code('net')}", {"whole": net})  # noqa: S102 - what a user pastes
            found["as code", kind] = is_same(wholes(net), wanted)
            nnw.load(net, folder / "dcp", undo=False)
            found["history"] = [change.label for change in nnw.history(net).changes], is_same(wholes(net), wanted)
    found["root"] = str(root)
    return found


def with_optimizer(seed):
    from torch.distributed.fsdp import fully_shard

    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(8, 7), nn.Linear(7, 3))
    fully_shard(net[0])
    fully_shard(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1 * seed)
    for _ in range(seed):
        net(torch.ones(2, 8)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return net, optimizer


def states(optimizer):
    return [
        {name: getattr(each, "full_tensor", each.clone)() for name, each in state.items()}
        for state in optimizer.state.values()
    ]


def are_same_states(one, other):
    return len(one) == len(other) and all(is_same(a, b) for a, b in zip(one, other, strict=True))


def optimizer_too(rank, root):
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_state_dict

    net, optimizer = with_optimizer(2)
    state = get_state_dict(net, optimizer)
    dcp.save({"model": state[0], "optim": state[1]}, checkpoint_id=root / "both")
    fresh, its = with_optimizer(1)
    before = states(its)
    nnw.load(fresh, root / "both", optimizer=its)
    same = is_same(wholes(fresh), wholes(net)), are_same_states(states(its), states(optimizer))
    spread = {tuple(each["exp_avg"].placements) == tuple(p.placements) for p, each in its.state.items()}
    lr = its.param_groups[0]["lr"]
    nnw.undo(fresh)
    return same, spread, lr, are_same_states(states(its), before)


def cut_on_meta(root):
    from torch.distributed.fsdp import fully_shard

    with torch.device("meta"):
        net = mlp()
    fully_shard(net[0])
    fully_shard(net)
    whole, optimizer = other_values(mlp()), torch.optim.SGD(net.parameters(), lr=0.0)
    is_exact, report = nnw.plan(net, root / "FSDP2" / "torch").is_exact, nnw.load(net, root / "FSDP2" / "torch")
    X = torch.ones(2, 16)
    is_same_forward = torch.allclose(net(X), whole(X))
    net(X).sum().backward()
    optimizer.step()
    return is_exact, report.verified, is_same_forward, is_same(wholes(net), whole.state_dict())


STAGES = ("plan", "sums", "write", "verify", "agree")
SECONDS = 2.0


class Fault:
    """Something that goes wrong on this rank at one stage of the next load."""

    def __init__(self, stage, kind):
        self.stage, self.kind = stage, kind

    def happen(self):
        if self.kind == "refuse":
            raise nnw.CheckpointMismatchError("It can't be, for a reason.")
        if self.kind == "raise":
            raise OSError("the disk is gone")
        if self.kind == "hang":
            time.sleep(3 * SECONDS)
        if self.kind == "killed":
            os._exit(9)

    @contextmanager
    def set(self):
        put_back = call_at(self.stage, self.happen, LOAD_STAGES | {"agree": (GroupAgreement, "settle")})
        try:
            yield
        finally:
            put_back()


def here(net):
    return {name: getattr(each, "to_local", each.detach)().clone() for name, each in net.state_dict().items()}


def fails(net, path, fault):
    """What a load says where it fails, whether the model is as it was, and how long that took."""
    before, n_changes, began = here(net), len(nnw.history(net).changes), time.monotonic()
    with fault.set() if fault is not None else nullcontext():
        try:
            nnw.load(nnw.ranks(timeout=SECONDS)["net"], path)
            said = ""
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
    is_as_before = is_same(here(net), before) and len(nnw.history(net).changes) == n_changes
    return said, is_as_before, time.monotonic() - began


def failures(rank, world_size, cases, root=None):
    """One load after the other that fails on one rank; then one that doesn't."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.fsdp import fully_shard

    root, found = Path(root) if root else shared_folder(rank), []
    net = fully_shard(mlp())
    with torch.no_grad():
        for each in net.parameters():
            each.mul_(2)
    dcp.save(net.state_dict(), checkpoint_id=root / "twice")
    with torch.no_grad():
        for each in net.parameters():
            each.div_(2)
    for stage, kind, on in cases:
        dist.barrier()
        found.append(fails(net, root / "twice", Fault(stage, kind) if rank == on else None))
    dist.barrier()
    if rank == 2:
        with flipped():
            found.append(fails(net, root / "twice", None))
    else:
        found.append(fails(net, root / "twice", None))
    dist.barrier()
    found.append(fails(net, root / "twice", None))
    return found


@contextmanager
def flipped():
    """One bit is read otherwise on this rank."""
    real = File.read_into

    def read_into(self, offset, out):
        real(self, offset, out)
        if self.path.suffix == ".distcp" and len(out) == 8 * 16 * 4:  # what is here of the first weight
            out[0] ^= 1

    File.read_into = read_into
    try:
        yield
    finally:
        File.read_into = real


def killed(rank, world_size, stages):
    """Ranks that end during a load, the last one first; what those say that are left, each from a model of theirs."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import fully_shard

    root, found, nets = shared_folder(rank), [], []
    for n in range(world_size, 1, -1):
        mesh = DeviceMesh("cpu", torch.arange(n))
        nets.append(fully_shard(mlp(), mesh=mesh) if rank < n else None)
    dcp.save(other_values(mlp()).state_dict(), checkpoint_id=root / "one", process_group=dist.group.WORLD)
    dist.barrier()
    for net, stage, last in zip(nets, stages, range(world_size - 1, 0, -1), strict=False):
        with Fault(stage, "killed").set() if rank == last else nullcontext():
            before, began = here(net), time.monotonic()
            try:
                nnw.load(net, root / "one")
                said = ""
            except nnw.NNWidgetsError as error:
                said = f"{type(error).__name__}: {error}"
        found.append((said, is_same(here(net), before), time.monotonic() - began))
        if rank == last:
            break
    return found


CASES = [*((stage, kind, at % 4) for at, stage in enumerate(STAGES) for kind in ("refuse", "raise"))]
CASES += [("sums", "hang", 1), ("agree", "hang", 3)]


def all_of_it(rank, world_size):
    warnings.simplefilter("ignore")
    found = loaded(rank, world_size)
    root = Path(found["root"])
    if not LACKS_FSDP2:
        found["optimizer"] = optimizer_too(rank, root)
        found["cut on meta"] = cut_on_meta(root)
        found["failures"] = failures(rank, world_size, CASES, root)
    dist.barrier()
    if rank == 0:
        shutil.rmtree(root)
    return found


@pytest.fixture(scope="module")
def ranks():
    return on_ranks(all_of_it, seconds=400)


@pytest.mark.parametrize("source", ["dcp", "file"])
@pytest.mark.parametrize("kind", each_kind(KINDS))
def test_each_rank_gets_its_part_of_what_an_unsharded_load_gives(kind, source, ranks):
    for found in ranks:
        what = found[kind, source]
        assert what["same"]
        assert what["undone"]
        assert what["redone"]
        assert what["by"] == (True, (0, 1, 2, 3), 4)
        is_exact, is_complete, *statuses = what["plan"]
        assert is_complete
        assert is_exact or "bf16" in FILES[KINDS.index(kind) % len(FILES)]
        assert ("sharded" in statuses) is (kind != "DDP")


@pytest.mark.parametrize("kind", each_kind(KINDS))
def test_each_rank_compares_its_part_with_a_file_and_with_a_mark_and_says_so(kind, ranks):
    whose, changes = "all", 0
    for rank, found in enumerate(ranks):
        (same, back, *moved), first = found[kind, "diff"]
        assert same[0]
        assert back[0]
        if kind != "DDP":
            whose = f"rank {rank}: "
        assert all(each[1].startswith(whose) for each in (same, back, *moved))
        for _, _, changed in moved:
            assert [(path, of.startswith(whose)) for path, _, _, of in changed] in ([], [(first, True)])
            changes += len(changed)
    assert changes >= 3 * 3  # one of four ranks may have no row


@pytest.mark.parametrize("kind", each_kind(("TP", "FSDP2")))
def test_a_load_is_told_as_code_that_every_rank_runs(kind, ranks):
    assert all(found["as code", kind] for found in ranks)


def test_all_ranks_have_it_in_their_history_without_an_undo_copy_too(ranks):
    assert all(found["history"] == ranks[0]["history"] for found in ranks)
    labels, is_loaded = ranks[0]["history"]
    assert labels[-1] == "load dcp"
    assert is_loaded


@needs_fsdp2
def test_an_optimizer_gets_the_part_of_its_state_that_goes_with_each_parameter(ranks):
    assert [found["optimizer"] for found in ranks] == [((True, True), {True}, 0.2, True)] * 4


@needs_fsdp2
def test_a_model_that_was_cut_without_data_gets_its_parts_and_trains(ranks):
    assert [found["cut on meta"] for found in ranks] == [(True, True, True, True)] * 4


@needs_fsdp2
@pytest.mark.parametrize("at", range(len(CASES) + 1))
def test_a_load_that_fails_on_one_rank_leaves_all_as_they_were_and_each_says_why(at, ranks):
    _, kind, on = (*CASES, ("sums", "damaged", 2))[at]
    why = {"refuse": "for a reason", "raise": "the disk is gone", "hang": "didn't come", "damaged": "is damaged"}[kind]
    for rank, found in enumerate(ranks):
        said, is_as_before, _ = found["failures"][at]
        assert is_as_before, (rank, said)
        if rank == on:
            assert said
        else:
            assert said.startswith("RankMissingError"), (rank, said)
            assert why in said
            assert f"ank {on}" in said
    assert all(found["failures"][-1][:2] == ("", False) for found in ranks)


def killed_one_by_one(rank, world_size):
    warnings.simplefilter("ignore")
    found = killed(rank, world_size, ("sums", "write", "agree"))
    os.environ["NNW_DONE"] = "1"
    return found


@needs_fsdp2
def test_the_ranks_that_are_left_when_one_is_killed_are_as_they_were_and_name_it():
    group = Group(killed_one_by_one, 4)
    _, error, found = group.queue.get(timeout=120)
    group.end()
    assert not error
    assert len(found) == 3
    for last, (said, is_as_before, _) in zip((3, 2, 1), found, strict=True):
        assert is_as_before
        assert said.startswith("RankMissingError")
        assert f"rank {last} didn't come" in said
