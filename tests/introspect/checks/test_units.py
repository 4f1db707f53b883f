"""`check` finds units that compute the same, and those that are dead."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nnwidgets as nnw
from tests.support.checked_models import MLP, apply_fix, codes, only


def test_constant_initialization_of_every_layer():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    def init_constant(module):
        if type(module) is nn.Linear:
            nn.init.constant_(module.weight, 1)
            nn.init.zeros_(module.bias)

    net.apply(init_constant)
    assert codes(net) == [("constant-weight", "warning", "0.weight"), ("constant-weight", "note", "2.weight")]
    assert (
        "All its elements are 1, so its 8 units compute the same. 2.weight, the next in order, treats them alike too. "
        "Unless what follows treats each otherwise" in nnw.check(net)[0].message
    )
    for finding in nnw.check(net):
        apply_fix(finding, net)
    assert nnw.check(net) == ()


def test_units_of_equal_weights_are_said_to_stay_the_same_only_unless_what_follows_differs():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    nn.init.ones_(net[0].weight)
    (finding,) = nnw.check(net)
    assert "so its 8 units differ by their biases alone now. 2.weight, the next in order, has other" in finding.message

    nn.init.zeros_(net[0].bias)
    (finding,) = nnw.check(net)
    assert "compute the same now. 2.weight, the next in order, has other weights for each" in finding.message
    assert finding.severity == "note"
    net(torch.ones(1, 4)).sum().backward()
    assert not torch.equal(net[0].weight.grad[0], net[0].weight.grad[1])


def test_a_gate_of_zeros_with_biases_passes_nothing_of_its_input_on():
    net = nn.ModuleDict({"gate": nn.Linear(4, 4), "rest": nn.Linear(4, 4)})
    nn.init.zeros_(net["gate"].weight)
    (finding,) = nnw.check(net)
    assert finding.severity == "note"
    assert "adapters, gates and the last" in finding.message
    assert "passes nothing of its input on, and no gradient back to it" in finding.message


def test_units_that_are_equal_but_not_constant():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), nn.Conv2d(3, 5, 2), nn.ConvTranspose2d(3, 5, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.rand(4).expand(8, 4))
        net[3].weight.copy_(torch.rand(3, 2, 2).expand(5, 3, 2, 2))
        net[4].weight.copy_(torch.rand(3, 1, 2, 2).expand(3, 5, 2, 2))
        for layer in (net[3], net[4]):
            layer.bias.zero_()
    assert [path for code, _, path in codes(net) if code == "constant-weight"] == ["3.weight", "4.weight"]
    nn.init.ones_(net[0].bias)
    assert codes(net) == [
        ("constant-weight", "warning", "3.weight"),
        ("constant-weight", "note", "0.weight"),
        ("constant-weight", "note", "4.weight"),
    ]


def step(net, x, loss):
    """One step of plain SGD."""
    loss(net(x)).backward()
    with torch.no_grad():
        for each in net.parameters():
            each.sub_(each.grad if each.grad is not None else 0)
            each.grad = None


@pytest.mark.parametrize(("follows", "severity"), [("constant", "warning"), ("random", "note")])
def test_units_alike_are_warned_of_only_where_what_follows_treats_them_alike(follows, severity):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    nn.init.constant_(net[0].weight, 0.5)
    nn.init.zeros_(net[0].bias)
    if follows == "constant":
        nn.init.constant_(net[2].weight, 0.5)
    said = {found.path: found for found in nnw.check(net)}
    assert said["0.weight"].severity == severity
    step(net, torch.randn(16, 4), lambda y: nn.functional.cross_entropy(y, torch.arange(16) % 3))
    assert (len(net[0].weight.detach().unique(dim=0)) == 1) == (severity == "warning")


def test_a_constant_last_layer_is_told_apart_by_its_targets_and_only_noted():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    nn.init.constant_(net[2].weight, 0.5)
    (found,) = nnw.check(net)
    assert (found.severity, found.path) == ("note", "2.weight")
    assert "their targets tell them apart" in found.message
    step(net, torch.randn(16, 4), lambda y: nn.functional.cross_entropy(y, torch.arange(16) % 3))
    assert len(net[2].weight.detach().unique(dim=0)) == 3
    assert not nnw.check(net)


def test_constants_that_are_no_problem():
    blur = nn.Conv2d(4, 4, 3, groups=4)
    nn.init.constant_(blur.weight, 1 / 9)
    frozen = nn.Linear(3, 3)
    nn.init.ones_(frozen.weight).requires_grad_(False)
    single = nn.Linear(8, 1)
    nn.init.constant_(single.weight, 42)
    norm = nn.LayerNorm((3, 3))
    assert {
        code for code, severity, _ in codes(nn.Sequential(blur, frozen, single, norm)) if severity != "note"
    } == set()


def test_a_zero_start_of_a_branch_is_a_note_and_zeros_everywhere_a_warning():
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    nn.init.zeros_(net[2].weight)
    assert codes(net) == [("constant-weight", "note", "2.weight")]
    nn.init.zeros_(net[0].weight)
    assert codes(net) == [("constant-weight", "warning", "0.weight"), ("constant-weight", "note", "2.weight")]


def test_dead_units_behind_a_relu():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    with torch.no_grad():
        net[0].weight[[2, 5]] = 0
        net[0].bias[[2, 5]] = torch.tensor([0.0, -1.0])
    finding = only(net, "dead-units")
    assert (finding.severity, finding.path) == ("warning", "0.weight")
    assert "2 of its 8 units (2, 5)" in finding.message
    x = torch.rand(16, 4)
    net(x).sum().backward()
    assert net[0].weight.grad[[2, 5]].abs().sum() == 0
    apply_fix(finding, net)
    assert "dead-units" not in {code for code, _, _ in codes(net)}


def test_dead_units_are_seen_behind_a_relu_that_forward_applies_and_not_where_a_bias_keeps_them_alive():
    net = MLP()
    with torch.no_grad():
        net.hidden.weight[0] = 0
        net.hidden.bias[0] = 1
    assert nnw.check(net) == ()
    nn.init.zeros_(net.hidden.bias)
    assert codes(net) == [("dead-units", "warning", "hidden.weight")]


def test_the_zero_row_of_a_padding_token_is_not_dead_in_the_head_tied_to_it():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 9, bias=False)
            self.embedding = nn.Embedding(9, 4, padding_idx=1)
            self.head.weight = self.embedding.weight

        def forward(self, x):
            return F.relu(self.head(self.embedding(x)))

    assert nnw.check(Tied()) == ()
