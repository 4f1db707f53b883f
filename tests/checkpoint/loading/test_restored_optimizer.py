"""An optimizer's state comes with the parameters, goes with undo, or refuses the load."""

from __future__ import annotations

import pytest
import torch

import nnwidgets as nnw
from tests.support.loaded_models import bits, mlp, run, same


def trained(steps=3):
    torch.manual_seed(steps)
    net = mlp()
    adam = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(steps):
        adam.zero_grad()
        net.output(net.hidden(torch.randn(4, 20))).square().mean().backward()
        adam.step()
    return net, adam


def moments(net, adam):
    return {
        f"{name}.{key}": value.clone()
        for name, parameter in net.named_parameters()
        for key, value in adam.state.get(parameter, {}).items()
    }


def test_an_optimizers_state_comes_with_the_parameters_and_goes_with_undo(tmp_path):
    net, adam = trained(3)
    torch.save({"model": net.state_dict(), "optimizer": adam.state_dict(), "epoch": 3}, tmp_path / "x.pt")
    other, other_adam = trained(1)
    other_adam.param_groups[0]["lr"] = 0.5
    before, held = moments(other, other_adam), other_adam.state[other.hidden.weight]
    report = nnw.load(other, tmp_path / "x.pt", optimizer=other_adam)
    assert same(bits(other), bits(net))
    assert same(moments(other, other_adam), moments(net, adam))
    assert other_adam.param_groups[0]["lr"] == 0.01
    copy, copy_adam = trained(2)
    run(report.to_code(), net=copy, optimizer=copy_adam)
    assert same(bits(copy), bits(net))
    assert same(moments(copy, copy_adam), moments(net, adam))
    nnw.undo(other)
    assert other_adam.state[other.hidden.weight] is held
    assert same(moments(other, other_adam), before)
    assert other_adam.param_groups[0]["lr"] == 0.5
    nnw.redo(other)
    assert same(moments(other, other_adam), moments(net, adam))


def test_the_next_step_is_the_one_that_would_have_come(tmp_path):
    net, adam = trained(3)
    torch.save({"model": net.state_dict(), "optimizer": adam.state_dict()}, tmp_path / "x.pt")
    other, other_adam = trained(1)
    nnw.load(other, tmp_path / "x.pt", optimizer=other_adam)
    for one, optimizer in ((net, adam), (other, other_adam)):
        torch.manual_seed(5)
        optimizer.zero_grad()
        one.output(one.hidden(torch.randn(4, 20))).square().mean().backward()
        optimizer.step()
    assert same(bits(net), bits(other))


@pytest.mark.parametrize("which", ["kind", "count", "groups", "shapes"])
def test_an_optimizer_that_does_not_fit_is_refused_and_nothing_changes(tmp_path, which):
    net, adam = trained()
    torch.save({"model": net.state_dict(), "optimizer": adam.state_dict()}, tmp_path / "x.pt")
    other = mlp()
    parameters = list(other.parameters())
    optimizer = {
        "kind": lambda: torch.optim.SGD(parameters, lr=0.1),
        "count": lambda: torch.optim.Adam(parameters[:2]),
        "groups": lambda: torch.optim.Adam([{"params": parameters[:2]}, {"params": parameters[2:]}]),
        "shapes": lambda: torch.optim.Adam(parameters[::-1]),
    }[which]()
    old = bits(other)
    with pytest.raises(nnw.CheckpointMismatchError, match=r"optimizer|Adam's"):
        nnw.load(other, tmp_path / "x.pt", optimizer=optimizer)
    assert same(bits(other), old)
    assert not optimizer.state
