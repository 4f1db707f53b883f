"""What tests of loads share: a model, its bits, and running code that was handed out."""

from __future__ import annotations

import torch
from torch import nn


def mlp(out="output"):
    net = nn.Module()
    net.hidden = nn.Linear(20, 256)
    setattr(net, out, nn.Linear(256, 10))
    return net


def bits(module):
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[name].view(-1).view(torch.uint8), other[name].view(-1).view(torch.uint8)) for name in one
    )


def run(code, **names):
    exec(code, names)  # noqa: S102 - it is what the user would paste


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(11, 4)
        self.head = nn.Linear(4, 11, bias=False)
        self.head.weight = self.wte.weight


class StopError(Exception):
    pass
