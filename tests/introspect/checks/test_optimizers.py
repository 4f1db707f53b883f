"""`check` finds parameters that no optimizer moves, or the wrong one."""

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from tests.support.checked_models import apply_fix, codes, mlp, only


def test_an_optimizer_of_the_model_is_no_finding():
    net = mlp()
    assert nnw.check(net, optimizer=torch.optim.Adam(net.parameters())) == ()
    net[0].requires_grad_(False)
    assert codes(net, optimizer=torch.optim.SGD(net[2].parameters(), lr=0.1)) == [("frozen", "note", "0")]


def test_an_optimizer_made_before_a_layer_was_replaced():
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.rand(2, 20)).sum().backward()
    optimizer.step()
    net[2] = nn.Linear(256, 3)

    finding = only(net, "stale-optimizer", optimizer=optimizer)

    assert (finding.severity, finding.path) == ("error", "2.weight")
    apply_fix(finding, net, optimizer)
    assert nnw.check(net, optimizer=optimizer) == ()
    assert len(optimizer.state) == 2
    net(torch.rand(2, 20)).sum().backward()
    optimizer.step()


def test_an_optimizer_of_a_part_and_one_of_more():
    net = mlp()
    part = torch.optim.SGD(net[0].parameters(), lr=0.1)
    finding = only(net, "stale-optimizer", optimizer=part)
    assert (finding.severity, finding.path) == ("warning", "2.weight")
    assert nnw.check(net, optimizer=[part, torch.optim.SGD(net[2].parameters(), lr=0.1)]) == ()
    apply_fix(finding, net, part)
    assert nnw.check(net, optimizer=part) == ()

    more = torch.optim.SGD([*net.parameters(), *nn.Linear(2, 2).parameters()], lr=0.1)
    finding = only(net, "stale-optimizer", optimizer=more)
    assert (finding.severity, finding.path) == ("warning", "")
    apply_fix(finding, net, more)
    assert nnw.check(net, optimizer=more) == ()


def test_a_parameter_held_by_two_optimizers():
    net = mlp()
    both = [torch.optim.Adam(net.parameters()), torch.optim.SGD(net[2].parameters(), lr=0.1)]
    finding = only(net, "two-optimizers", optimizer=both)
    assert (finding.severity, finding.path) == ("warning", "2.weight")
    assert "2 parameters (2.weight, 2.bias) are held by 2 optimizers (Adam, SGD)" in finding.message


def test_a_frozen_parameter_that_the_next_step_moves_by_a_gradient_left_over():
    net = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(torch.rand(2, 20)).sum().backward()
    net[0].weight.requires_grad_(False)
    finding = only(net, "frozen-but-moved", optimizer=optimizer)
    assert (finding.severity, finding.path) == ("warning", "0.weight")

    before = net[0].weight.clone()
    optimizer.step()
    assert not torch.equal(before, net[0].weight)
    apply_fix(finding, net, optimizer)
    assert "frozen-but-moved" not in {code for code, _, _ in codes(net, optimizer=optimizer)}
    before = net[0].weight.clone()
    optimizer.step()
    assert torch.equal(before, net[0].weight)


def test_what_is_not_an_optimizer_is_refused():
    with pytest.raises(nnw.InvalidTargetError, match="expected a torch"):
        nnw.check(mlp(), optimizer=0.1)
    with pytest.raises(nnw.InvalidTargetError):
        nnw.check(3)
