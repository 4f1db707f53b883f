"""`check` looks at gradients as at values, and at modules that can't be read."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import nnwidgets as nnw


def trained():
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    net(torch.randn(5, 4)).sum().backward()
    return net


@pytest.mark.parametrize(("value", "word"), [(math.nan, "1 NaN"), (math.inf, "1 infinite"), (-math.inf, "1 infinite")])
def test_one_bad_element_of_a_gradient_is_told_with_its_tensor(value, word):
    net = trained()
    assert not nnw.check(net)
    net[2].weight.grad[1, 2] = value
    (found,) = nnw.check(net)
    assert (found.code, found.severity, found.path) == ("nan-or-inf", "warning", "2.weight")
    assert f"Its gradient has {word} of 6 elements" in found.message
    exec(found.fix, {"net": net, "torch": torch})  # noqa: S102 - the fix is carried out as people do
    assert not nnw.check(net)


def test_a_step_takes_it_over_as_the_finding_says():
    net = trained()
    net[2].weight.grad[1, 2] = math.nan
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    assert net[2].weight[1, 2].isnan()
    assert [found.path for found in nnw.check(net)] == ["2.weight", "2.weight"]


def test_a_module_that_registered_nothing_is_an_error():
    class Bare(nn.Module):
        def __init__(self):
            self.size = 3

    (found,) = nnw.check(Bare())
    assert (found.code, found.severity) == ("unreadable-module", "error")
    assert "super().__init__()" in found.message


def test_a_gradient_is_a_place_that_can_be_looked_at():
    net = trained()
    net[0].weight.grad[0, 1] = math.nan
    assert nnw.stats(net, "0.weight.grad") == nnw.stats(net[0].weight.grad)
    assert [row.path for row in nnw.stats(net, "2.bias")] == ["2.bias"]
    net[2].weight.grad = None
    with pytest.raises(nnw.PathNotFoundError, match=r"'2.weight' has no gradient"):
        nnw.stats(net, "2.weight.grad")
    held = nn.Module()
    held.grad = nn.Linear(2, 2)
    assert [row.path for row in nnw.stats(held, "grad")] == ["grad.weight", "grad.bias"]
