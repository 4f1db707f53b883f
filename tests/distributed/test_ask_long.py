"""What may take long on ranks with neither a group nor a side door: silent ones are named, all are told to stop."""

from __future__ import annotations

import os
import threading

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint.saving import here
from nnwidgets.server.handlers.registry import handlers, is_long_over_ranks
from nnwidgets.wire.dispatch import Dispatcher
from tests.distributed.test_changes_from_outside import are_same, bits, mlp
from tests.support.load_stages import LOAD_STAGES
from tests.support.ranks_here import NAME, RanksHere


class Stop(Exception):
    """What the user's progress raises."""


class Gate:
    """Holds up who comes through, until it is opened."""

    def __init__(self):
        self.is_open, self.n = threading.Event(), 0

    def pass_through(self):
        self.n += 1
        assert self.is_open.wait(60)


@pytest.fixture
def gate():
    made = Gate()
    yield made
    made.is_open.set()


@pytest.fixture
def nets():
    return [mlp() for _ in range(3)]


@pytest.fixture
def ranks(nets):
    made = RanksHere(nets)
    yield made
    made.close()


def test_a_rank_that_is_silent_is_told_after_the_deadline_and_one_that_works_is_waited_for(nets, ranks, gate):
    held = nets[1][0].weight.data_ptr()

    def n_asked():
        return [each["body"]["ask"] for each in ranks.asked].count("prepare")

    @nnw.initializer
    def held_up(tensor, generator):
        tensor.zero_()
        if tensor.data_ptr() == held:
            gate.pass_through()

    @nnw.initializer
    def toiling(tensor, generator):
        while tensor.data_ptr() == held and n_asked() < n + 12:
            tensor.fill_(7.0)
        tensor.fill_(7.0)

    before = bits(nets)
    with pytest.raises(nnw.RankMissingError, match=r"nothing was changed\. Rank 1 .*hasn't answered for") as caught:
        nnw.init(nnw.ranks(ranks, timeout=0.3)[NAME], "0.weight", "held_up")
    assert caught.value.ranks == (1,)
    gate.is_open.set()
    nnw.init(nnw.ranks(ranks, timeout=60.0)[NAME], "0.bias", "zeros_")  # after that one, which is let go
    nnw.undo(nnw.ranks(ranks, timeout=60.0)[NAME])
    assert are_same(bits(nets), before)
    n = n_asked()
    nnw.init(nnw.ranks(ranks, timeout=0.3)[NAME], "0.weight", "toiling")
    assert n_asked() >= n + 12  # in longer than that time
    assert all((net[0].weight == 7).all() for net in nets)


def test_a_load_tells_how_far_all_are_and_is_called_off_on_all(nets, ranks, gate, monkeypatch, tmp_path):
    file, told = tmp_path / "net.pt", []
    whole = mlp()
    nnw.init(whole, "**", "ones_")
    nnw.save(whole, file)
    place, name = LOAD_STAGES["verify"]
    real = getattr(place, name)
    monkeypatch.setattr(place, name, lambda *args: (gate.pass_through(), real(*args))[1])

    def progress(done, total):
        told.append((done, total))
        if gate.n == len(nets):
            gate.is_open.set()
            raise Stop

    before, net = bits(nets), nnw.ranks(ranks, timeout=60.0)[NAME]
    with pytest.raises(Stop):
        nnw.load(net, file, progress=progress)
    assert 0 < told[-1][0] < told[-1][1]
    assert are_same(bits(nets), before)
    assert [nnw.history(each).changes for each in nets] == [()] * 3
    nnw.load(net, file, progress=lambda *_: None)
    assert are_same(bits(nets), [list(whole.parameters())] * 3)


def test_the_page_hears_how_far_a_load_of_all_ranks_is_and_cancels_it_on_all(nets, ranks, gate, monkeypatch, tmp_path):
    monkeypatch.setattr("nnwidgets.server.notebook.folder.root", lambda: tmp_path)
    torch.save(mlp().state_dict(), tmp_path / "net.pt")
    place, name = LOAD_STAGES["verify"]
    real = getattr(place, name)
    monkeypatch.setattr(place, name, lambda *args: (gate.pass_through(), real(*args))[1])
    view, before, sent, is_done = nnw.explore(nnw.ranks(ranks, timeout=60.0)[NAME]), bits(nets), [], threading.Event()

    def send(message, _buffers):
        sent.append(message)
        if "progress" in message and gate.n == len(nets):
            far.receive({"v": 1, "id": "c", "kind": "cancel", "body": {"id": "1"}})
            gate.is_open.set()
        if message["id"] == "1" and "ok" in message:
            is_done.set()

    far = Dispatcher(handlers(view._session_for), send, background=is_long_over_ranks)
    body = {"path": "net.pt", "accept_all": False, "rename": {}, "strict": True, "optimizer": False}
    far.receive({"v": 1, "id": "1", "kind": "load", "body": body})
    assert is_done.wait(60)
    assert sent[-1]["error"]["code"] == "cancelled"
    assert 0 < sent[0]["progress"]["done"] < sent[0]["progress"]["total"]
    assert are_same(bits(nets), before)
    assert [nnw.history(each).changes for each in nets] == [()] * 3
    view.close()


def test_a_save_that_is_called_off_leaves_what_was_there_unless_it_is_done(gate, monkeypatch, tmp_path):
    file, ranks = tmp_path / "net.pt", RanksHere([nn.Linear(3, 4)])
    file.write_bytes(b"before")
    verify, sync = here.verify_file, os.fsync

    def progress(done, total):
        gate.is_open.set()
        raise Stop

    net = nnw.ranks(ranks, timeout=60.0)[NAME]
    with monkeypatch.context() as held_up, pytest.raises(Stop):
        held_up.setattr(here, "verify_file", lambda *args, **told: (gate.pass_through(), verify(*args, **told))[1])
        nnw.save(net, file, overwrite=True, progress=progress)
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (b"before", [file])
    gate.is_open.clear()
    monkeypatch.setattr(os, "fsync", lambda fd: (gate.pass_through(), sync(fd))[1])  # when all is written
    assert nnw.save(net, file, overwrite=True, progress=progress).n_tensors == 2
    assert torch.equal(nnw.read(file)["weight"], ranks.models[0].weight)
    ranks.close()
