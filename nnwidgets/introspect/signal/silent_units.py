"""Which units of an output are zero for all of a batch.

A unit is what has its own weights: a channel of a convolution (dimension 1), a feature of a linear layer (the last
one). Which of the two the output of an activation function has, the last layer with weights before it says: a
convolution for all of as many dimensions as its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from nnwidgets.introspect.safe_access.objects import instance_dict, is_a

_CHANNELS_FIRST = (_ConvNd, _NormBase, nn.GroupNorm)


def has_channels_first(module: Any) -> bool | None:
    """Whether dimension 1 of a module's output holds its units; False if the last does, None if it doesn't say.

    Example:
        >>> has_channels_first(nn.Conv1d(1, 2, 3)), has_channels_first(nn.Linear(2, 2)), has_channels_first(nn.ReLU())
        (True, False, None)
    """
    if any(is_a(module, kind) for kind in _CHANNELS_FIRST):
        return True
    return False if instance_dict(module).get("_parameters") else None


def silent_units(values: torch.Tensor, n_zero: int, *, channels_first: bool) -> tuple[int, int]:
    """How many units an output has, and how many of them are zero for all of the batch.

    Args:
        values: The output, batch first.
        n_zero: How many of its elements are zero.
        channels_first: Whether dimension 1 holds the units, and not the last.

    Example:
        >>> silent_units(torch.tensor([[0.0, 1.0], [0.0, 2.0]]), 2, channels_first=False)
        (2, 1)
    """
    if values.dim() <= 1 or not values.numel():
        return 0, 0
    dim = 1 if channels_first else values.dim() - 1
    n_units = values.shape[dim]
    if n_zero < values.numel() // n_units:
        return n_units, 0
    low, high = (
        reduced(values, dim=[each for each in range(values.dim()) if each != dim])
        for reduced in (torch.amin, torch.amax)
    )
    return n_units, int((low.eq(0) & high.eq(0)).sum())
