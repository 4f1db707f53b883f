"""All that a model's modules hold, to tell whether a change has left it as it was."""

from __future__ import annotations

import copy
import random

import numpy as np
import torch
from torch.nn.parameter import UninitializedTensorMixin

from tests.support.saved_files import same


def attributes(net):
    """All that a model's modules hold: other objects as they are, tensors with their bits."""
    made = {}
    for path, module in net.named_modules(remove_duplicate=False):
        held = vars(module)
        for key, value in held.items():
            if key not in ("_modules", "_parameters", "_buffers"):
                made[path, key] = copy.deepcopy(value) if isinstance(value, list | int | float | set) else value
        tensors = (*held.get("_parameters", {}).items(), *held.get("_buffers", {}).items())
        for key, tensor in tensors or (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            if tensor is not None:
                made[path, key] = tensor, type(tensor), None if _is_lazy(tensor) else copied(tensor.detach())
        made[path, ""] = id(module)
        if hasattr(module, "helper"):
            made[path, "count"] = module.helper.count
    return made


def unchanged(net, before):
    """Whether a model holds what it held: the same objects, with the same bits."""
    now = attributes(net)
    return now.keys() == before.keys() and all(_equal(now[key], before[key]) for key in now)


def _equal(one, other):
    if isinstance(one, tuple) and len(one) == 3 and isinstance(one[0], torch.Tensor):
        return one[0] is other[0] and one[1] is other[1] and same(one[2], other[2])
    return one is other or (not isinstance(one, torch.Tensor) and same(one, other))


def copied(value):
    """A copy of tensors, and of what else holds them: torch copies deeply none that is sparse and compressed."""
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    is_deep = not isinstance(value, torch.Tensor) or value.is_quantized
    return copy.deepcopy(value) if is_deep else value.detach().clone()


def _is_lazy(tensor):
    return isinstance(tensor, UninitializedTensorMixin)


def digest(net):
    """All that a model is, to the last bit, its hooks and gradients, torch's global hooks and the random states."""
    tensors = {id(value): value for value in (*net.parameters(), *net.buffers())}
    gradients = {id(value.grad): value.grad for value in tensors.values() if value.is_leaf and value.grad is not None}
    held = [
        (path, key, tuple((name, id(each)) for name, each in value.items()) if isinstance(value, dict) else id(value))
        for path, module in net.named_modules(remove_duplicate=False)
        for key, value in vars(module).items()
    ]
    values = [
        (key, value._version, value.requires_grad, value.detach().clone().view(-1).view(torch.uint8).tolist())
        for key, value in (*tensors.items(), *gradients.items())
    ]
    hooks = [
        (key, id(value.grad), dict(value._backward_hooks or {}), dict(value._post_accumulate_grad_hooks or {}))
        for key, value in tensors.items()
    ]
    of_all_modules = [dict(each) for name, each in vars(torch.nn.modules.module).items() if name.startswith("_global_")
                      and isinstance(each, dict)]  # fmt: skip
    random_states = torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 - the state that models draw from
    return held, values, hooks, of_all_modules, random_states
