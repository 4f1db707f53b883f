"""What tests of `check` share: models of a tutorial, and what is found in them."""

import ast

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nnwidgets as nnw


def codes(net, **kwargs):
    return [(found.code, found.severity, found.path) for found in nnw.check(net, **kwargs)]


def only(net, code, **kwargs):
    found = [finding for finding in nnw.check(net, **kwargs) if finding.code == code]
    assert len(found) == 1, found
    return found[0]


def apply_fix(finding, net, optimizer=None):
    ast.parse(finding.fix)
    exec(finding.fix, {"net": net, "optimizer": optimizer, "torch": torch})  # noqa: S102 - what a user would paste


class MySequential(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        for block in blocks:
            self._modules[block] = block

    def forward(self, x):
        for block in self._modules.values():
            x = block(x)
        return x


class MyLinear(nn.Module):
    def __init__(self, in_units, units):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(in_units, units))
        self.bias = nn.Parameter(torch.randn(units))

    def forward(self, x):
        linear = torch.matmul(x, self.weight.data) + self.bias.data
        return F.relu(linear)


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 256)
        self.output = nn.Linear(256, 10)

    def forward(self, x):
        return self.output(F.relu(self.hidden(x)))


def mlp():
    return nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))


def gpt2():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        n_layer=2, n_embd=8, n_head=2, vocab_size=16, n_positions=8, bos_token_id=1, eos_token_id=1
    )
    return transformers.GPT2LMHeadModel(config)
