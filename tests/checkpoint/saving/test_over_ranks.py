"""Saves of models that four processes hold together: read by plain torch, safetensors and one process, bits equal."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint.saving.over_ranks import save_together
from nnwidgets.checkpoint.saving.over_ranks.turn import Turn
from nnwidgets.checkpoint.writing.atomic_file import TargetDirectory
from tests.support.gloo import on_ranks
from tests.support.spread_models import KINDS, made, mlp, small
from tests.support.stacks import needs_torch

pytestmark = needs_torch("distributed.fsdp.fully_shard")

SPREAD = [kind for kind in KINDS if kind != "DDP"]
ROOT = "NNW_SAVED_OVER_RANKS"
N_KILLS = int(os.environ.get("NNW_KILLS", "9"))
N_FLIPS = int(os.environ.get("NNW_FLIPS", "60"))


def of_many_dtypes():
    """Dtypes, buffers that aren't parts, a scalar, no elements, one row."""
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 9, dtype=torch.bfloat16))
    net.register_parameter("halves", nn.Parameter(torch.randn(3, 4, 5).half()))
    net.register_parameter("none", nn.Parameter(torch.zeros(0, 3)))
    net.register_parameter("one", nn.Parameter(torch.randn(1, 7)))
    net.register_buffer("scale", torch.tensor(3.5, dtype=torch.float64))
    net.register_buffer("flags", torch.tensor([True, False]))
    return net


def all_made():
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    yield from made()
    yield "dtypes", of_many_dtypes(), fully_shard(of_many_dtypes(), mesh=init_device_mesh("cpu", (4,)))


def trained(net):
    torch.manual_seed(3)
    adam = torch.optim.AdamW([each for each in net.parameters() if each.requires_grad], lr=0.25)
    for each in net.parameters():
        each.grad = torch.ones_like(each)
    adam.step()
    return adam


def saved(rank, world_size):
    """Save each kind in each form, and read it back by plain torch on all ranks."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.fsdp import fully_shard

    warnings.simplefilter("ignore")
    root, found = os.environ[ROOT], {}
    for kind, whole, net in all_made():
        if rank == 0 and kind != "DDP":
            nnw.save(whole, f"{root}/{kind}, whole.safetensors")
            nnw.save(whole, f"{root}/{kind}, whole, in shards", shard_size=1_000)
        if kind == "DDP":
            reports = [nnw.save(net, f"{root}/DDP.pt"), nnw.save(net, f"{root}/DDP.safetensors")]
            found[kind] = [(each.paths, each.digest, each.ranks, each.world_size) for each in reports]
            continue
        folder = nnw.save(net, f"{root}/{kind}/")
        nnw.save(net, f"{root}/{kind}.safetensors")
        shards = nnw.save(net, f"{root}/{kind} in shards", shard_size=1_000)
        before = {name: local(each).clone() for name, each in net.state_dict().items()}
        for each in net.state_dict().values():
            local(each).zero_()
        dcp.load(net.state_dict(), checkpoint_id=f"{root}/{kind}")
        after = {name: local(each) for name, each in net.state_dict().items()}
        found[kind] = {
            "same": all(torch.equal(each, after[name]) for name, each in before.items()),
            "reports": [(at.paths, at.n_tensors, at.digest, at.verified, at.ties) for at in (folder, shards)],
            "ranks": (folder.ranks, folder.world_size),
            "warnings": (*folder.warnings, *shards.warnings),
        }
    net = fully_shard(mlp())
    nnw.save({"weights": dict(net.state_dict()), "step": 3}, f"{root}/a dict/")
    adam = trained(net)
    report = nnw.save(net, f"{root}/trained/", optimizer=adam, extra={"epoch": 4, "losses": [0.5, 0.25]})
    found["optimizer"] = (str(report.optimizer),)
    found["as code"] = by_code(root)
    found["refused"] = refused(rank, root)
    return found


def by_code(root):
    """Save and load as reports say it, on all ranks; whether what comes back is the same."""
    from torch.distributed.fsdp import fully_shard

    came_back = []
    for form in ("", ".safetensors"):
        net = fully_shard(mlp())
        report = nnw.save(net, f"{root}/to be code{form}" + ("" if form else "/"))
        run(report.to_code().replace("to be code", "by code"), net)
        dist.barrier()
        fresh = fully_shard(mlp())
        for each in fresh.parameters():
            local(each).zero_()
        run(report.to_load_code().replace("to be code", "by code"), fresh)
        pairs = zip(fresh.state_dict().values(), net.state_dict().values(), strict=True)
        came_back.append(all(torch.equal(local(a), local(b)) for a, b in pairs))
    return came_back


def run(code, net):
    exec(code, {"net": net})  # noqa: S102 - what a user pastes


def refused(rank, root):
    """What saves over a folder say that fail on some rank, and whether the folder is as it was."""
    from torch.distributed.fsdp import fully_shard

    save_together.PATIENCE = 1.5
    net, path = fully_shard(mlp()), f"{root}/stays/"
    nnw.save(net, path)
    odd = fully_shard(mlp())
    odd.register_buffer("more" if rank == 2 else "same", torch.zeros(1))

    def raising(done, total):
        if rank == 1:
            raise KeyError("out of patience")

    def hanging(done, total):
        if rank == 3:
            time.sleep(4)

    def elsewhere(self, name):
        return opened(self, f"{name} in a folder of its own" if rank == 2 else name)

    opened = Turn.open
    free = TargetDirectory.free_bytes
    over = {"overwrite": True}
    calls = {
        "is there": lambda: nnw.save(net, path),
        "a torch file": lambda: nnw.save(net, f"{root}/stays.pt"),
        "elsewhere": lambda: nnw.save(net, f"{root}/stays {rank // 2}/", **over),
        "other shards": lambda: nnw.save(net, path, shard_size=500 + rank // 3, **over),
        "other model": lambda: nnw.save(odd, path, **over),
        "raises": lambda: nnw.save(net, path, progress=raising, **over),
        "hangs": lambda: nnw.save(net, path, progress=hanging, **over),
        "other folder": lambda: nnw.save(net, path, **over),
        "no room": lambda: nnw.save(net, path, **over),
        "missing": lambda: nnw.save(net, path, **over) if rank != 3 else came_too_late(),
    }

    def came_too_late():
        time.sleep(2.5)
        raise nnw.RankMissingError("It didn't come.", ranks=(3,))

    found = {}
    for case, call in calls.items():
        before = content(root)
        dist.barrier()
        Turn.open = elsewhere if case == "other folder" else opened
        TargetDirectory.free_bytes = (lambda _: 10) if case == "no room" else free
        start = time.monotonic()
        try:
            call()
            said = None, None, ""
        except Exception as error:
            said = type(error).__name__, getattr(error, "ranks", None), str(error)
        seconds = time.monotonic() - start
        dist.barrier()
        found[case] = (*said, content(root) == before, seconds)
    Turn.open, TargetDirectory.free_bytes = opened, free
    nnw.save(net, path, **over)
    return found


def content(root):
    return {str(each): each.read_bytes() for each in Path(root).rglob("*") if each.is_file()}


def local(tensor):
    return getattr(tensor, "_local_tensor", tensor.detach())


@pytest.fixture(scope="module")
def saves(tmp_path_factory):
    """The folder of the saves, and what each rank had to say."""
    root = tmp_path_factory.mktemp("saves")
    os.environ[ROOT] = str(root)
    return root, on_ranks(saved, seconds=400)


def state_of(kind):
    if kind == "dtypes":
        return of_many_dtypes().state_dict()
    sizes = {"7 rows": (16, 7), "3 rows": (16, 3), "uneven TP": (16, 30, 5)}
    net = small(*sizes[kind]) if kind in sizes else mlp()
    if kind == "tied":
        net[4] = nn.Linear(32, 32)
        net[4].weight = net[2].weight
    return net.state_dict()


def same(found, wanted):
    return found.keys() == wanted.keys() and all(
        torch.equal(found[name], each) and found[name].dtype == each.dtype for name, each in wanted.items()
    )


@pytest.mark.parametrize("kind", [*SPREAD, "dtypes"])
def test_a_folder_is_read_by_plain_torch_and_by_one_process(kind, saves):
    import torch.distributed.checkpoint as dcp

    root, found = saves
    wanted = state_of(kind)
    if kind == "tied":  # its biases are drawn, after the others
        wanted["4.bias"] = nnw.read(root / kind)["4.bias"]
    assert all(each[kind]["same"] for each in found)
    held = {name: torch.zeros_like(each) for name, each in wanted.items()}
    dcp.load(held, checkpoint_id=root / kind, no_dist=True)
    assert same(held, wanted)
    assert same(dict(nnw.read(root / kind)), wanted)


@pytest.mark.parametrize("kind", [*SPREAD, "dtypes"])
def test_a_safetensors_file_and_shards_are_what_one_process_saves_of_the_whole(kind, saves):
    root, _ = saves
    assert (root / f"{kind}.safetensors").read_bytes() == (root / f"{kind}, whole.safetensors").read_bytes()
    assert same(load_shards(root / f"{kind} in shards"), load_shards(root / f"{kind}, whole, in shards"))
    assert len(names(root / f"{kind} in shards")) == len(names(root / f"{kind}, whole, in shards"))


def load_shards(folder):
    return {name: each for path in folder.glob("*.safetensors") for name, each in load_file(path).items()}


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def test_a_tied_tensor_is_written_once_and_told(saves):
    root, found = saves
    for each in found:
        assert [report[-1] for report in each["tied"]["reports"]] == [(("4.weight", "2.weight"),)] * 2
    n_bytes = {kind: sum(each.stat().st_size for each in (root / kind).glob("*.distcp")) for kind in ("tied", "FSDP2")}
    assert n_bytes["tied"] < n_bytes["FSDP2"]  # with a layer more than that has
    fresh = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32))
    fresh[4].weight = fresh[2].weight
    assert nnw.load(fresh, root / "tied").verified


def test_all_ranks_have_the_same_report_and_only_parts_are_written_by_several(saves):
    root, found = saves
    for kind in [*SPREAD, "dtypes"]:
        first = found[0][kind]
        assert all(each[kind] == first for each in found)
        assert first["ranks"] == ((0, 1, 2, 3), 4)
        assert first["warnings"] == ()
        paths, n_tensors, _, is_verified, _ = first["reports"][0]
        assert is_verified
        assert n_tensors == len(nnw.peek(root / kind).names)
        assert [root / kind / name for name in names(root / kind)] == sorted(map(type(root), paths))
    n_files = {kind: len(names(root / kind)) for kind in SPREAD}
    assert (n_files["FSDP2"], n_files["HSDP"], n_files["3 rows"]) == (5, 3, 4)


def test_of_a_model_that_each_rank_has_all_of_one_writes_and_all_have_the_report(saves):
    root, found = saves
    assert all(each["DDP"] == found[0]["DDP"] for each in found)
    assert found[0]["DDP"][0][2:] == ((0, 1, 2, 3), 4)
    wanted = {f"module.{name}": each for name, each in mlp().state_dict().items()}
    assert same(torch.load(root / "DDP.pt"), wanted)
    assert same(load_file(root / "DDP.safetensors"), wanted)


def test_an_optimizer_and_other_values_go_into_the_folder(saves):
    import torch.distributed.checkpoint as dcp

    root, found = saves
    net = mlp()
    adam = trained(net)
    fresh = mlp()
    other = torch.optim.AdamW(fresh.parameters(), lr=0.1)
    report = nnw.load(fresh, root / "trained", optimizer=other)
    assert report.verified
    assert same(fresh.state_dict(), net.state_dict())
    assert other.state_dict()["param_groups"][0]["lr"] == 0.25
    for name, each in adam.state_dict()["state"][0].items():
        assert torch.equal(other.state_dict()["state"][0][name], each)
    held = {"model": mlp().state_dict(), "optimizer": trained(mlp()).state_dict(), "epoch": 0, "losses": []}
    held["optimizer"]["param_groups"][0]["lr"] = 9.0
    dcp.load(held, checkpoint_id=root / "trained", no_dist=True)
    assert (held["epoch"], held["losses"], held["optimizer"]["param_groups"][0]["lr"]) == (4, [0.5, 0.25], 0.25)
    assert found[0]["optimizer"][0] == found[3]["optimizer"][0]


def test_a_dict_of_parts_is_saved_as_a_model_is(saves):
    root, _ = saves
    held = nnw.read(root / "a dict")
    assert held["step"] == 3
    assert same(held["weights"], mlp().state_dict())


def test_the_code_of_the_report_saves_and_loads_the_same_on_all_ranks(saves):
    root, found = saves
    assert all(each["as code"] == [True, True] for each in found)
    assert same(dict(nnw.read(root / "by code")), mlp().state_dict())
    assert same(load_file(root / "by code.safetensors"), mlp().state_dict())


def test_a_flipped_bit_anywhere_in_a_folder_is_refused(saves, tmp_path):
    root, _ = saves
    chance = random.Random(0)  # noqa: S311 - which bits
    files = [each.read_bytes() for each in sorted((root / "dtypes").iterdir())]
    for number in range(N_FLIPS):
        folder = tmp_path / str(number)
        shutil.copytree(root / "dtypes", folder)
        which = chance.choices(range(len(files)), map(len, files))[0]
        data = bytearray(files[which])
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        sorted(folder.iterdir())[which].write_bytes(data)
        with pytest.raises((nnw.CorruptCheckpointError, nnw.UnsafeCheckpointError)):
            nnw.load(of_many_dtypes(), folder)


def test_what_fails_on_one_rank_is_told_on_all_and_leaves_what_was_there(saves):
    _, found = saves
    for case, is_own in REFUSALS.items():
        for rank, each in enumerate(found):
            kind, ranks, text, is_untouched, seconds = each["refused"][case]
            assert is_untouched, case
            assert seconds < 10, case
            assert (kind, ranks) == is_own(rank), (case, rank, text)
    assert "Rank 1 can't do it: KeyError: 'out of patience'" in found[0]["refused"]["raises"][2]
    assert "Nothing was saved, and what was there is as it was." in found[0]["refused"]["raises"][2]
    assert "rank 3 said nothing for" in found[0]["refused"]["hangs"][2]
    assert "they have different folders of that name" in found[2]["refused"]["other folder"][2]
    assert "stays in shards of 500 bytes. Rank 3: save to" in found[1]["refused"]["other shards"][2]
    assert "Rank 0: save 7 tensors" in found[2]["refused"]["other model"][2]


def own(at, kind, ranks=None):
    """What the rank that fails is told, and what the others are."""
    return lambda rank: (kind, ranks) if rank == at else ("RankMissingError", (at,))


REFUSALS = {
    "is there": lambda _: ("SaveError", None),
    "a torch file": lambda _: ("SaveError", None),
    "elsewhere": lambda _: ("RanksDisagreeError", None),
    "other shards": lambda _: ("RanksDisagreeError", None),
    "other model": lambda _: ("RanksDisagreeError", None),
    "raises": own(1, "KeyError"),
    "hangs": lambda _: ("RankMissingError", (3,)),
    "other folder": own(2, "SaveError"),
    "no room": own(0, "SaveError"),
    "missing": lambda _: ("RankMissingError", (3,)),
}


def test_a_save_of_which_ranks_are_killed_leaves_the_old_checkpoint_or_the_new_one(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.support.killed_saves", str(N_KILLS)],
        capture_output=True, text=True, check=False, env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["saves"], found["stuck"], found["wrong"], found["left"]) == (N_KILLS, 0, [], [])
    assert found["old"], "none came before the end"
    assert found["files"] == {"ckpt": 5, "shards": 5}
