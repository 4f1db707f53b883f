"""Which values of an output lie where the module that made it is flat, so that hardly a gradient passes.

A value counts where the slope is below 6 % of the steepest: |tanh| > 0.97, as is usual in courses (Karpathy,
"makemore, part 3"); at the same slope for sigmoid. Of pieces that are flat altogether, their ends count; zeros of
ReLU6 are told as zeros. Of softmax, a whole distribution counts whose largest value is so near to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from nnwidgets.introspect.safe_access.objects import class_attribute, instance_dict, is_a

_TANH = 0.97
_SIGMOID = (1 + _TANH) / 2
"""Sigmoid is tanh of half the argument, moved to 0 … 1."""


def _beyond(low: float, high: float) -> Callable[[Any, torch.Tensor], int]:
    return lambda _, values: _n_outside(values, low, high)


def _n_outside(values: torch.Tensor, low: float, high: float) -> int:
    return int((values.lt(low) | values.gt(high)).sum())


def _at_ends(module: Any, values: torch.Tensor) -> int:
    own = instance_dict(module)
    return int((values.le(own["min_val"]) | values.ge(own["max_val"])).sum())


def _distributions(module: Any, values: torch.Tensor) -> int:
    dim = instance_dict(module).get("dim")
    if type(dim) is not int or not values.dim():
        return 0
    return int(values.amax(dim).gt(_SIGMOID).sum()) * values.shape[dim]


_KINDS: tuple[tuple[type, Callable[[Any, torch.Tensor], int]], ...] = (
    (nn.Tanh, _beyond(-_TANH, _TANH)),
    (nn.Softsign, _beyond(-_TANH, _TANH)),
    (nn.Sigmoid, _beyond(1 - _SIGMOID, _SIGMOID)),
    (nn.Hardsigmoid, lambda _, values: int((values.le(0) | values.ge(1)).sum())),
    (nn.ReLU6, lambda _, values: int(values.ge(6).sum())),
    (nn.Hardtanh, _at_ends),
    (nn.Softmax, _distributions),
)


def n_saturated(module: Any, values: torch.Tensor) -> int | None:
    """How many elements of a module's output lie where it is flat; None where its class isn't one of those known.

    Args:
        module: What made the output.
        values: The output, any shape.

    Example:
        >>> n_saturated(nn.Tanh(), torch.tensor([-1.0, 0.0, 0.99]))
        2
        >>> n_saturated(nn.ReLU(), torch.tensor([0.0])) is None
        True
    """
    for kind, count in _KINDS:
        # A class with a forward of its own may do something else.
        if is_a(module, kind) and class_attribute(type(module), "forward") is class_attribute(kind, "forward"):
            return count(module, values)
    return None
