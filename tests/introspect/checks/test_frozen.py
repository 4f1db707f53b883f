"""`check` notes what is frozen, where it wasn't meant."""

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from tests.support.checked_models import apply_fix, codes
from tests.support.zoo import torchao


def test_what_freeze_froze_needs_no_note_until_something_else_is_frozen_with_it():
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Linear(2, 2))
    nnw.freeze(net, ["0", "1.bias"])
    assert not nnw.check(net)
    nnw.unfreeze(net, "0.1")
    net[0][1].weight.requires_grad_(False)
    assert codes(net) == [("frozen", "note", "0.1.weight")]
    nnw.freeze(net, "0.1.weight")
    assert not nnw.check(net)
    nnw.undo(net)
    assert codes(net) == [("frozen", "note", "0.1.weight")]


class LoRA(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A, self.B = nn.Parameter(torch.rand(2, 4)), nn.Parameter(torch.zeros(4, 2))


class Peft(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base_layer = base.requires_grad_(False)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(4, 2)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, 4)})
        nn.init.zeros_(self.lora_B["default"].weight)


@pytest.mark.parametrize("kind", [LoRA, Peft])
def test_what_an_adapter_adapts_is_frozen_on_purpose(kind):
    net = nn.Sequential(kind(nn.Linear(4, 4)), nn.Linear(4, 4).requires_grad_(False))
    assert [(code, path) for code, _, path in codes(net)] == [("frozen", "1")]


def test_a_frozen_part_beside_a_trained_token_is_noted():
    net = nn.Module()
    net.token, net.place = nn.Parameter(torch.rand(1, 4)), nn.Parameter(torch.rand(3, 4))
    net.encoder = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).requires_grad_(False)
    assert codes(net) == [("frozen", "note", "encoder")]


def test_frozen_parts_are_noted_at_the_largest_that_is_frozen_whole():
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Linear(2, 2), nn.Linear(2, 2))
    net[0].requires_grad_(False)
    net[2].bias.requires_grad_(False)
    assert codes(net) == [("frozen", "note", "0"), ("frozen", "note", "2.bias")]
    for finding in nnw.check(net):
        apply_fix(finding, net)
    assert nnw.check(net) == ()
    net.requires_grad_(False)
    assert codes(net) == [("frozen", "note", "")]


def test_codes_of_a_wrapping_class_are_not_told_to_be_frozen():
    net = torchao("Int8WeightOnlyConfig")
    net[0].bias.requires_grad_(False)
    assert [(each.code, each.path) for each in nnw.check(net)] == [("frozen", "0")]
    net[0].weight.requires_grad_(True)
    net(torch.ones(2, 16)).sum().backward()
    assert net[0].weight.grad is None, "torchao gives it none"
