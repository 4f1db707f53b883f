"""What the tests of changes share: models, their bits, and running code that was handed out."""

from __future__ import annotations

import torch
from torch import nn

from nnwidgets.introspect import LiveModel


def bits(net):
    """Every tensor of a model as bytes, with what else of it a change may touch."""
    return {
        path: (tensor.detach().clone().contiguous().view(-1).view(torch.uint8).tolist(), tensor.requires_grad)
        for path, tensor in LiveModel(net).tensors.items()
        if tensor.numel()
    }


def run(code, **names):
    """Run code as pasted into a cell where ``names`` are defined."""
    exec(code, names)  # noqa: S102 - it is what the test is about
    return names


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))


def tied():
    """Ties of all kinds: an object, a view, an overlap, and two interleaved tensors that share a storage."""
    torch.manual_seed(0)
    net = nn.Module()
    net.a = nn.Linear(4, 4)
    net.b = nn.Linear(4, 4)
    net.b.weight = net.a.weight
    net.t = nn.Linear(4, 4)
    net.t.weight = nn.Parameter(net.a.weight.data.t())
    flat = torch.randn(24)
    net.register_parameter("low", nn.Parameter(flat[:14]))
    net.register_parameter("high", nn.Parameter(flat[10:]))
    woven = torch.randn(6, 10)
    net.register_buffer("even", woven[:, ::2])
    net.register_parameter("odd", nn.Parameter(woven[:, 1::2]))
    net.plain = torch.randn(3)
    return net
