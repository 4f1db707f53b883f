"""`check` finds what torch doesn't know of: keys that are no text, tensors and modules in plain attributes."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

import nnwidgets as nnw
from tests.support.checked_models import MLP, MySequential, apply_fix, codes, mlp, only


class FixedHiddenMLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.rand_weight = torch.rand((20, 20), requires_grad=False)
        self.linear = nn.Linear(20, 20)

    def forward(self, x):
        x = self.linear(x)
        x = F.relu(torch.mm(x, self.rand_weight) + 1)
        x = self.linear(x)
        while x.abs().sum() > 1:
            x /= 2
        return x.sum()


def test_a_home_made_sequential_keyed_by_its_blocks():
    net = MySequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))
    finding = only(net, "non-string-key")
    assert (finding.severity, finding.path) == ("error", "")
    assert "state_dict()" in finding.message
    x = torch.rand(2, 20)
    before = net(x)

    apply_fix(finding, net)

    assert nnw.check(net) == ()
    assert torch.equal(net(x), before)
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_non_string_keys_are_mended_however_deep():
    net = nn.Sequential(MySequential(MySequential(nn.Linear(2, 2)), nn.ReLU()), nn.Linear(2, 2))
    assert codes(net) == [("non-string-key", "error", "0"), ("non-string-key", "error", "0[0]")]
    for finding in nnw.check(net):
        apply_fix(finding, net)
    assert nnw.check(net) == ()


def test_a_plain_random_tensor():
    net = FixedHiddenMLP()
    finding = only(net, "unregistered-tensor")
    assert (finding.severity, finding.path) == ("warning", "rand_weight")
    kept = net.rand_weight

    apply_fix(finding, net)

    assert nnw.check(net) == ()
    assert net.state_dict()["rand_weight"].data_ptr() == kept.data_ptr()


class Hidden(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(2, 2), nn.Linear(2, 2)]
        self.named = {"a": nn.Linear(2, 2)}
        self.weights = [nn.Parameter(torch.ones(2))]
        self.free = torch.zeros(3, requires_grad=True)


def test_modules_and_parameters_in_plain_containers():
    net = Hidden()
    assert codes(net) == [
        ("unregistered-tensor", "error", "free"),
        ("unregistered-tensor", "error", "weights[0]"),
        ("unregistered-module", "error", ""),
        ("unregistered-module", "error", ""),
    ]
    for finding in nnw.check(net):
        apply_fix(finding, net)
    assert nnw.check(net) == ()
    assert len(list(net.parameters())) == 8


def test_plain_lists_of_what_is_registered_or_needs_no_registration_are_no_problem():
    net = MLP()
    net.order = [net.hidden, net.output]
    net.cached = (net.hidden.weight,)
    net.shapes = [(20, 256)]
    assert nnw.check(net) == ()
    net.losses = {"mse": nn.MSELoss()}
    assert codes(net) == [("unregistered-module", "note", "")]
    net.losses = [nn.Dropout()]
    assert codes(net) == [("unregistered-module", "warning", "")]


def test_a_frozen_teacher_in_a_list_is_a_warning_and_no_error():
    net = MLP()
    net.teacher = [mlp().requires_grad_(False)]
    assert codes(net) == [("unregistered-module", "warning", "")]


def test_tensors_that_torch_recomputes_at_each_forward_are_no_problem():
    with pytest.warns(FutureWarning):
        normed = nn.utils.weight_norm(nn.Linear(3, 3))
    pruned = nn.Linear(3, 3)
    prune.random_unstructured(pruned, "weight", 0.5)
    for net in (normed, pruned):
        net(torch.rand(1, 3))
        with torch.no_grad():
            net(torch.rand(1, 3))
        assert nnw.check(net) == ()
    net = MLP()
    net.last = net(torch.rand(1, 20))
    assert nnw.check(net) == ()


def test_a_module_that_contains_itself():
    net = nn.Sequential(nn.Linear(2, 2))
    net.add_module("me", net)
    assert codes(net) == [("cycle", "error", "me")]


def test_a_tensor_that_the_class_saves_itself_is_not_told_to_be_left_out():
    class Seen(nn.Linear):
        def __init__(self):
            super().__init__(2, 2)
            self.seen = torch.zeros(3)
            self.lists = [nn.Parameter(torch.ones(1))]

        def get_extra_state(self):
            return self.seen

    found = {each.path: each for each in nnw.check(Seen()) if each.code == "unregistered-tensor"}
    assert (found["seen"].severity, found["seen"].fix) == ("note", None)
    assert all("only where the class's own code for that does" in each.message for each in found.values())
    assert found.keys() == {"seen", "lists[0]"}
