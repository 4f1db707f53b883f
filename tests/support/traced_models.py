"""What tests of traces share: a trace that must leave the model, and all around it, as it was."""

import random

import numpy as np
import torch
from torch import nn
from torch.nn.modules import module as torch_module

import nnwidgets as nnw


def mlp():
    return nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))


def snapshot(net):
    """Everything a forward may change: buffers to the bit, versions, gradients, flags, attributes, generators."""
    return {
        "buffers": {name: (buffer.clone(), buffer._version, id(buffer)) for name, buffer in net.named_buffers()},
        "parameters": {name: (p.detach().clone(), p._version, id(p)) for name, p in net.named_parameters()},
        "gradients": {
            name: None if p.grad is None else (p.grad.clone(), id(p.grad)) for name, p in net.named_parameters()
        },
        "flags": [module.training for module in net.modules()],
        "hooks": [
            (list(module._forward_hooks), list(module._forward_pre_hooks), list(module._backward_hooks))
            for module in net.modules()
        ],
        "global hooks": [
            list(held)
            for held in (
                torch_module._global_forward_hooks,
                torch_module._global_forward_pre_hooks,
                torch_module._global_forward_hooks_always_called,
                getattr(torch_module, "_global_forward_hooks_with_kwargs", ()),
            )
        ],
        "modes": torch._C._len_torch_dispatch_stack(),
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002 - the global generator is the point
    }


def assert_same(one, other):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    else:
        assert one == other


def traced(net, *args, **kwargs):
    """Trace, and check that the model and all around it is left as it was."""
    before = snapshot(net)
    try:
        return nnw.trace(net, *args, **kwargs)
    finally:
        assert_same(before, snapshot(net))


def by_path(trace):
    return {(call.path, call.call_index): call for call in trace.calls}
