"""Modules made from the paths of their tensors."""

from __future__ import annotations

from torch import nn


def module_at(net, keys):
    """Return the module below another by these keys, made where there is none."""
    for key in keys:
        if key not in net._modules:
            net.add_module(key, nn.Module())
        net = net._modules[key]
    return net
