"""Files that packages on PyPI ship, and models of their layouts.

`make test` unpacks those packages beside the environment, where nothing imports them.
"""

from __future__ import annotations

from torch import nn

from tests.support.nested_modules import module_at
from tests.support.stacks import beside

BUFFERS = {"running_mean", "running_var", "num_batches_tracked"}


def published(path):
    """Return a file of theirs."""
    found = beside("published") / path
    assert found.exists(), f"{found} is missing: make .venv/test installs it"
    return found


def skeleton(tensors):
    """Return modules that have tensors of these names, shapes and dtypes, of other values."""
    net = nn.Module()
    for name, tensor in tensors.items():
        *above, last = name.split(".")
        place = module_at(net, above)
        other = tensor.clone().fill_(1) if tensor.numel() else tensor.clone()
        if last in BUFFERS or not tensor.is_floating_point():
            place.register_buffer(last, other)
        else:
            place.register_parameter(last, nn.Parameter(other))
    return net
