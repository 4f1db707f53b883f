"""Which optimizer's state of a file, or of the files beside it, is meant."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw


def trained(*sizes, kind=torch.optim.Adam):
    """A model of linear layers and its optimizer after a step."""
    net = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))
    optimizer = kind(net.parameters(), lr=1e-3)
    net(torch.randn(4, sizes[0])).sum().backward()
    optimizer.step()
    return net, optimizer


def fresh(*sizes, kind=torch.optim.Adam):
    net = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))
    return net, kind(net.parameters(), lr=1.0)


def is_loaded(optimizer, saved):
    ours, theirs = optimizer.state_dict(), saved.state_dict()
    return ours["param_groups"] == theirs["param_groups"] and all(
        torch.equal(value, theirs["state"][number][name])
        for number, state in ours["state"].items()
        for name, value in state.items()
    )


# Where optimizers' states are in a file, of a generator (2, 3) and a discriminator (3, 5, 1).
PLACES = {
    "a list": lambda g, d: {"optimizer_states": [g, d]},
    "two keys": lambda g, d: {"opt_g": g, "opt_d": d},
    "a dict of them": lambda g, d: {"optimizers": {"d": d, "g": g}},
    "one level down": lambda g, d: {"training": {"g": {"optimizer": g}, "d": {"optimizer": d}}},
    "a list of one": lambda _, d: {"optimizer_states": [d]},
}


@pytest.mark.parametrize("case", PLACES)
def test_the_state_that_fits_the_optimizer_is_taken(case, tmp_path):
    (_, of_g), (source, of_d) = trained(2, 3), trained(3, 5, 1)
    everything = {"state_dict": source.state_dict(), **PLACES[case](of_g.state_dict(), of_d.state_dict())}
    torch.save(everything, tmp_path / "x.ckpt")
    net, optimizer = fresh(3, 5, 1)
    report = nnw.load(net, tmp_path / "x.ckpt", optimizer=optimizer)
    assert is_loaded(optimizer, of_d)
    again, its = fresh(3, 5, 1)
    exec(report.to_code(), {"net": again, "optimizer": its})  # noqa: S102 - what the user would paste
    assert is_loaded(its, of_d)
    nnw.undo(net)
    assert not optimizer.state


def test_several_that_fit_are_named_and_nothing_is_loaded(tmp_path):
    (source, one), (_, other) = trained(2, 3), trained(2, 3)
    torch.save({"net": source.state_dict(), "a": one.state_dict(), "b": other.state_dict()}, tmp_path / "x.pt")
    net, optimizer = fresh(2, 3)
    before = net[0].weight.detach().clone()
    with pytest.raises(
        nnw.CheckpointMismatchError, match=r"2 optimizers' states in x\.pt fit the Adam passed: 'a', 'b'"
    ):
        nnw.load(net, tmp_path / "x.pt", optimizer=optimizer)
    assert torch.equal(net[0].weight, before)
    assert not optimizer.state


def test_of_several_that_fit_the_one_named_as_the_state_dict_is_taken(tmp_path):
    (one, of_one), (other, of_other) = trained(2, 3), trained(2, 3)
    everything = {
        "actor": one.state_dict(), "critic": other.state_dict(),
        "actor_optimizer": of_one.state_dict(), "optimizer_critic": of_other.state_dict(),
    }  # fmt: skip
    torch.save(everything, tmp_path / "x.pt")
    for entry, saved in (("actor", of_one), ("critic", of_other)):
        net, optimizer = fresh(2, 3)
        nnw.load(net, tmp_path / "x.pt", entry=entry, optimizer=optimizer)
        assert is_loaded(optimizer, saved)


def test_where_none_fits_it_is_told_of_how_many_and_why(tmp_path):
    (source, sgd), (_, other) = trained(3, 5, 1, kind=torch.optim.RMSprop), trained(2, 3)
    torch.save({"net": source.state_dict(), "a": sgd.state_dict(), "b": other.state_dict()}, tmp_path / "x.pt")
    net, optimizer = fresh(3, 5, 1)
    with pytest.raises(
        nnw.CheckpointMismatchError, match=r"None of the 2 optimizers' states in x\.pt fits.*of another kind"
    ):
        nnw.load(net, tmp_path / "x.pt", optimizer=optimizer)
    assert not optimizer.state


@pytest.mark.parametrize("name", ["optimizer.pt", "optimizer.bin"])
def test_a_trainers_folder_gives_both(name, tmp_path):
    source, saved = trained(3, 5, 1, kind=torch.optim.AdamW)
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    torch.save(saved.state_dict(), tmp_path / name)
    net, optimizer = fresh(3, 5, 1, kind=torch.optim.AdamW)
    report = nnw.load(net, tmp_path, optimizer=optimizer)
    assert is_loaded(optimizer, saved)
    again, its = fresh(3, 5, 1, kind=torch.optim.AdamW)
    exec(report.to_code(), {"net": again, "optimizer": its})  # noqa: S102 - what the user would paste
    assert is_loaded(its, saved)


def test_numbered_parts_with_an_optimizer_beside_give_both(tmp_path):
    source, saved = trained(3, 5, 1)
    for number in range(2):
        part = {name: each for name, each in source.state_dict().items() if name[0] == str(number)}
        torch.save(part, tmp_path / f"pytorch_model-{number + 1:05}-of-00002.bin")
    torch.save(saved.state_dict(), tmp_path / "optimizer.pt")
    net, optimizer = fresh(3, 5, 1)
    nnw.load(net, tmp_path, optimizer=optimizer)
    assert is_loaded(optimizer, saved)


def test_a_damaged_optimizer_beside_a_model_loads_neither(tmp_path):
    source, saved = trained(2, 3)
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    torch.save(saved.state_dict(), tmp_path / "optimizer.pt")
    data = bytearray((tmp_path / "optimizer.pt").read_bytes())
    data[data.find(saved.state[source[0].weight]["exp_avg"].numpy().tobytes())] ^= 1
    (tmp_path / "optimizer.pt").write_bytes(data)
    net, optimizer = fresh(2, 3)
    before = net[0].weight.detach().clone()
    with pytest.raises(nnw.CorruptCheckpointError):
        nnw.load(net, tmp_path, optimizer=optimizer)
    assert torch.equal(net[0].weight, before)
    assert not optimizer.state


def test_an_optimizers_file_alone_is_told_as_such(tmp_path):
    _, saved = trained(2, 3)
    torch.save(saved.state_dict(), tmp_path / "optimizer.pt")
    net, optimizer = fresh(2, 3)
    with pytest.raises(nnw.CheckpointMismatchError, match="holds an optimizer's state and no state dict") as caught:
        nnw.load(net, tmp_path / "optimizer.pt", optimizer=optimizer)
    assert "folder" in caught.value.hint
    assert nnw.peek(tmp_path / "optimizer.pt").entries == ()
