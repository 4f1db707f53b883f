"""Memory of undo copies: what the budget drops is the next copy's, and a load may keep none."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets import edit
from nnwidgets.checkpoint.formats.file import File
from nnwidgets.edit.log import log_of
from tests.support.stateful_modules import Words

N = 2**21
"""Elements: 8 MiB of float32, from where on memory is kept from copy to copy."""


def wide(seed=0, n=N):
    torch.manual_seed(seed)
    net = nn.Module()
    net.a, net.b = nn.Parameter(torch.randn(n)), nn.Parameter(torch.randn(n))
    return net


def bits(net):
    return {name: each.detach().clone() for name, each in net.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def address(net):
    return log_of(net).state.done[-1].undo.kept.room.data_ptr()


def test_a_copy_that_the_budget_drops_gives_its_memory_to_the_next(tmp_path):
    net = wide()
    nnw.save(wide(1), tmp_path / "one.pt")
    nnw.save(wide(2), tmp_path / "two.pt")
    edit.set_budget(net, 2 * 4 * N)
    nnw.load(net, tmp_path / "one.pt")
    first, at = bits(net), address(net)
    for file in ("two.pt", "one.pt", "two.pt"):
        nnw.load(net, tmp_path / file)
        assert address(net) == at
    assert nnw.history(net).kept_bytes == 2 * 4 * N
    nnw.undo(net)
    assert same(bits(net), first)
    with pytest.raises(nnw.InvalidTargetError, match="its copy was dropped"):
        nnw.undo(net)


def test_memory_much_larger_than_the_next_copy_is_not_kept_for_it(tmp_path):
    net = wide()
    nnw.save(wide(1), tmp_path / "net.pt")
    edit.set_budget(net, 2 * 4 * N)
    nnw.load(net, tmp_path / "net.pt")
    nnw.init(net, "a", "zeros")
    assert log_of(net).state.done[-1].undo.kept.room.numel() < 2 * 4 * N
    assert nnw.history(net).n_dropped == 1


def test_a_change_that_fails_after_old_copies_were_dropped_leaves_the_model_and_says_they_are(tmp_path, monkeypatch):
    net = wide()
    save_file(wide(1).state_dict(), tmp_path / "net.safetensors")
    edit.set_budget(net, 2 * 4 * N)
    nnw.load(net, tmp_path / "net.safetensors")
    before = bits(net)
    monkeypatch.setattr(File, "read_into", failing(File.read_into, 4 * N))
    with pytest.raises(nnw.CorruptCheckpointError, match="The disk failed"):
        nnw.load(net, tmp_path / "net.safetensors")
    assert same(bits(net), before)
    assert len(nnw.history(net).changes) == 1
    with pytest.raises(nnw.InvalidTargetError, match="its copy was dropped"):
        nnw.undo(net)


def failing(read, left):
    """A disk that fails after some bytes."""

    def read_into(self, offset, into):
        nonlocal left
        left -= len(into)
        if left < 0:
            raise nnw.CorruptCheckpointError("The disk failed.", path=str(self.path))
        return read(self, offset, into)

    return read_into


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
def test_a_load_without_undo_is_verified_and_says_that_it_is_final(name, tmp_path):
    net, other = wide(), wide(1)
    nnw.init(net, "a", "zeros")
    nnw.save(other, tmp_path / name)
    report = nnw.load(net, tmp_path / name, undo=False)
    assert report.verified
    assert same(bits(net), bits(other))
    assert nnw.history(net).kept_bytes == 0
    with pytest.raises(nnw.InvalidTargetError, match="undo=False, which keeps no old values"):
        nnw.undo(net)


def test_a_disk_that_fails_while_copying_without_undo_is_told_tensor_by_tensor(tmp_path, monkeypatch):
    net, other = wide(), wide(1)
    save_file(other.state_dict(), tmp_path / "net.safetensors")  # it has no checksums, which are compared before
    before, wanted = bits(net), bits(other)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(File, "read_into", failing(File.read_into, 6 * N))
    with pytest.raises(nnw.CorruptCheckpointError, match="undo=False") as raised:
        nnw.load(net, tmp_path / "net.safetensors", undo=False)
    assert dict(raised.value.tensors) == {"a": "new", "b": "mixed"}
    assert "As in the file: a" in str(raised.value)
    now = bits(net)
    assert torch.equal(now["a"], wanted["a"])
    assert not torch.equal(now["b"], wanted["b"])
    assert not torch.equal(now["b"], before["b"])
    assert nnw.history(net).changes == ()


def test_a_damaged_file_is_refused_without_undo_before_anything_changes(tmp_path):
    net, other = wide(n=1000), wide(1, n=1000)
    nnw.save(other, tmp_path / "net.pt")
    data = bytearray((tmp_path / "net.pt").read_bytes())
    at = data.index(other.b.detach().numpy().tobytes())
    data[at + 5] ^= 1
    (tmp_path / "net.pt").write_bytes(data)
    before = bits(net)
    with pytest.raises(nnw.CorruptCheckpointError) as raised:
        nnw.load(net, tmp_path / "net.pt", undo=False)
    assert dict(raised.value.tensors) == {}
    assert same(bits(net), before)


def test_tied_names_of_different_values_are_refused_without_undo_before_anything_changes(tmp_path):
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    state = {name: torch.randn_like(each) for name, each in net.state_dict().items()}
    torch.save(state, tmp_path / "net.pt")
    before = bits(net)
    with pytest.raises(nnw.CheckpointMismatchError, match="share memory in the model and have different values"):
        nnw.load(net, tmp_path / "net.pt", undo=False)
    assert same(bits(net), before)
    state["1.weight"] = state["0.weight"].clone()
    torch.save(state, tmp_path / "alike.pt")
    assert nnw.load(net, tmp_path / "alike.pt", undo=False).verified


def test_code_of_its_own_that_raises_is_taken_back_without_undo_too(tmp_path):
    net = nn.Sequential(nn.Linear(2, 2), Words("a"))
    nnw.save(nn.Sequential(nn.Linear(2, 2), Words("b")), tmp_path / "net.pt")
    before = bits(net[0])

    def fail(*_):
        net[1].words.append("more")
        raise ValueError("no")

    handle = net[1].register_load_state_dict_post_hook(fail)
    with pytest.raises(nnw.CheckpointMismatchError, match="raised ValueError: no"):
        nnw.load(net, tmp_path / "net.pt", undo=False)
    assert net[1].words == ["a"]
    assert same(bits(net[0]), before)
    handle.remove()
    nnw.load(net, tmp_path / "net.pt", undo=False)
    assert net[1].words == ["b"]
    assert nnw.history(net).kept_bytes == 0
