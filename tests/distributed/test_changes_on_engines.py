"""Changes of models on ipyparallel's engines, asked for by a notebook; engines that are busy, or killed on the way."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from pathlib import Path

import pytest
import torch

import nnwidgets as nnw
from nnwidgets.distributed.sources.ipyparallel import EngineSource
from nnwidgets.errors import Advice
from tests.support.engines import engines_of
from tests.support.stacks import needs_torch

pytestmark = needs_torch("distributed.fsdp.fully_shard")

MODEL = """
import hashlib, torch
from torch import nn
def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5))
def bits(net):
    held = [getattr(each, "to_local", each.detach)().detach() for each in net.parameters()]
    flags = str([each.requires_grad for each in net.parameters()])
    return hashlib.sha256(b"".join(each.numpy().tobytes() for each in held) + flags.encode()).hexdigest()
whole = mlp()
"""
SHARDED = """
import os, torch.distributed as dist
from torch.distributed.fsdp import fully_shard
os.environ.update(RANK=str(rank), WORLD_SIZE="3", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
dist.init_process_group("gloo")
net = mlp()
fully_shard(net[0])
fully_shard(net)
def is_same():
    with torch.no_grad():
        return all(torch.equal(p.full_tensor(), q) for p, q in zip(net.parameters(), whole.parameters(), strict=True))
"""
HELD_UP = """
import os, time
from nnwidgets.checkpoint.loading.copy_tensors import Transfer
differing = Transfer.differing
def held_up(*args):
    while not os.path.exists(gate):
        time.sleep(0.01)
    return differing(*args)
Transfer.differing = held_up
"""
BUSY = "import time\ntime.sleep(60)"


class Killing:
    """Engines of which one is killed when they are asked something.

    Args:
        view: Of them.
        ask: When.
        pid: Of which process.
    """

    def __init__(self, view, ask, pid):
        self.source, self.ask, self.pid = EngineSource(view), ask, pid

    def call(self, request, ranks, deadline):
        if request["body"]["ask"] == self.ask:
            os.kill(self.pid, signal.SIGKILL)
        return self.source.call(request, ranks, deadline)


@pytest.fixture(scope="module")
def engines():
    with engines_of(3, MODEL) as client:
        yield client


def of_each(view, text):
    view.execute(f"said = {text}", block=True)
    return view["said"]


def on_each(view, text):
    view.execute(f"import nnwidgets as nnw\n{text}", block=True)


def a_model_in_pieces_is_changed_as_the_whole_is(engines):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for each in [engines[rank].execute(f"rank, port = {rank}, {port}\n{SHARDED}") for rank in range(3)]:
        each.get(60)
    view, net = engines[:], nnw.ranks(engines, timeout=60.0)["net"]
    before = of_each(view, "bits(net)")
    shown = nnw.init(net, "Linear.weight", "normal_", std=0.5, seed=7, preview=True)
    assert (shown.is_preview, of_each(view, "bits(net)")) == (True, before)
    made = nnw.init(net, "Linear.weight", "normal_", std=0.5)
    on_each(view, f'nnw.init(whole, "Linear.weight", "normal_", std=0.5, seed={made.seed})')
    nnw.init(net, "2", "reset", seed=3)
    on_each(view, 'nnw.init(whole, "2", "reset", seed=3)')
    nnw.assign(net, "0.weight[1:7:2, 3]", 9.0)
    nnw.assign(net, "0.bias", torch.arange(8.0))
    on_each(view, 'nnw.assign(whole, "0.weight[1:7:2, 3]", 9.0)\nnnw.assign(whole, "0.bias", torch.arange(8.0))')
    assert of_each(view, "is_same()") == [True] * 3
    after = of_each(view, "bits(net)")
    assert nnw.freeze(net, "0").paths == ("0.weight", "0.bias")
    assert of_each(view, "net[0].weight.requires_grad") == [False] * 3
    assert [nnw.undo(net).kind for _ in range(5)] == ["freeze", "assign", "assign", "init", "init"]
    assert of_each(view, "bits(net)") == before
    assert [nnw.redo(net).kind for _ in range(4)] == ["init", "init", "assign", "assign"]
    assert of_each(view, "bits(net)") == after
    is_filed_and_previewed(net, view, after)
    few = nnw.ranks(engines[:2], timeout=60.0)["net"]
    for call in (nnw.undo, lambda net: nnw.save(net, "few/")):
        with pytest.raises(nnw.RankMissingError, match=r"needed, and rank 2 of the 3 isn't asked\. Nothing was done"):
            call(few)
    assert of_each(view, "bits(net)") == after
    view.execute("dist.destroy_process_group()", block=True)


def is_filed_and_previewed(net, view, after):
    """What `net` is now is saved by all, loaded again, refused for one reason; a reset is previewed and put back."""
    with tempfile.TemporaryDirectory() as folder:
        place = f"{folder}/ckpt/"
        made = nnw.save(net, place, extra={"epoch": 3})
        assert (made.ranks, made.n_tensors, made.verified) == ((0, 1, 2), 4, True)
        assert "dcp.save(" in made.to_code()
        assert (nnw.peek(place).values["epoch"], nnw.plan(net, place).is_exact) == ("3", True)
        assert nnw.diff(net, place).is_equal
        with pytest.raises(nnw.SaveError, match=r"there already.*Pass overwrite=True") as caught:
            nnw.save(net, path=Path(place))
        assert caught.value.advice is Advice.OVERWRITE
        with pytest.raises(
            nnw.SaveError, match=r"^net couldn't be saved in '/nowhere': no such file or directory\. Make"
        ):
            nnw.save(net, "/nowhere/net/")
        with pytest.raises(nnw.SaveError, match=r"A torch file is written by one process"):
            nnw.save(net, f"{folder}/net.pt")
        with pytest.raises(nnw.InvalidTargetError, match="save from outside of the ranks takes no optimizer"):
            nnw.save(net, place, optimizer=object())
        nnw.init(net, "**", "zeros_")
        is_called_off(net, view, place, Path(folder, "gate"))
        assert nnw.load(net, path=Path(place)).change.label == "load ckpt"
        assert of_each(view, "bits(net)") == after
        for _ in range(2):
            nnw.undo(net)
    shown = nnw.init(net, "0", "reset", seed=3, preview=True)
    assert of_each(view, "bits(net)") == after
    assert len(nnw.history(net).undone) == 2
    made = nnw.init(net, "0", "reset", seed=3)
    assert {path: each.mean for path, each in shown.after.items()} == {p: each.mean for p, each in made.after.items()}
    nnw.undo(net)
    assert of_each(view, "bits(net)") == after


def is_called_off(net, view, place, gate):
    """A load tells how far all engines are while they are at it, and is called off on all of them."""
    before, told = of_each(view, "bits(net)"), []

    def progress(done, total):
        told.append((done, total))
        gate.touch()
        raise KeyError("no more")

    on_each(view, f"gate = {str(gate)!r}\n{HELD_UP}")
    with pytest.raises(KeyError, match="no more"):
        nnw.load(net, place, progress=progress)
    assert len(told) == 1
    assert 0 < told[0][0] <= told[0][1]
    on_each(view, "Transfer.differing = differing")
    assert of_each(view, "bits(net)") == before


def test_changes_are_made_by_all_engines_or_by_none(engines):
    pids = engines[:].apply_sync(os.getpid)
    a_model_in_pieces_is_changed_as_the_whole_is(engines)

    net, before = nnw.ranks(engines, timeout=60.0)["whole"], of_each(engines[:], "bits(whole)")
    nnw.tree(net)
    net.ranks.timeout = 1.0
    busy = engines[0].execute(BUSY, block=False)
    with pytest.raises(nnw.RankMissingError, match=r"nothing was changed\. Rank 0 .*hasn't answered for") as caught:
        nnw.init(net, "**", "zeros_")
    assert caught.value.ranks == (0,)
    os.kill(pids[0], signal.SIGINT)
    busy.wait(30)
    assert of_each(engines[:], "bits(whole)") == before

    # Killed between what asks whether all are there and what has them prepare; then, of the others, before the commit.
    for view, at, said in (
        (engines[:], "prepare", r"nothing was changed\. Rank 2 .*is gone: its engine has ended"),
        (engines[[0, 1]], "commit", r"Rank 1 .*is gone: its engine has ended.*while all ranks committed zeros_"),
    ):
        last = len(view.targets) - 1
        with pytest.raises(nnw.RankMissingError, match=said) as caught:
            nnw.init(nnw.ranks(Killing(view, at, pids[last]), timeout=60.0)["whole"], "**", "zeros_")
        assert caught.value.ranks == (last,)
        assert of_each(engines[[*range(last)]], "bits(whole)") == before[:last]
    alone = nnw.ranks(engines[[0]], timeout=60.0)["whole"]
    nnw.init(alone, "**", "zeros_")  # and goes on with those that are there
    assert of_each(engines[[0]], "bool((whole[0].weight == 0).all())") == [True]
