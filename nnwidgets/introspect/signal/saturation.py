"""Where modules of `torch.nn` are flat, so that hardly a gradient passes: at the ends of their range, or at zero.

Of pieces that are flat altogether, their ends count; zeros of ReLU6 are told as zeros. Of softmax, a whole distribution
counts whose largest value is near to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from nnwidgets.introspect.safe_access.objects import class_attribute, instance_dict, is_a
from nnwidgets.introspect.signal.thresholds import LIMITS

_TANH = LIMITS.flat
_SIGMOID = (1 + _TANH) / 2
"""Sigmoid is tanh of half the argument, moved to 0 … 1."""
_SOFTSIGN = 1 - math.sqrt(1 - _TANH**2)
"""Its slope is (1 - |y|)², tanh's 1 - y²."""


class FlatParts(NamedTuple):
    """Where modules of one class are flat.

    Attributes:
        n_at_ends: How many elements of an output lie at an end where it is; None for a class that has no such end.
        is_told: Whether much of it there is worth telling: of softmax it isn't, which is to choose.
        at_zero: Whether an output of zero means that it is flat there.
    """

    n_at_ends: Callable[[Any, torch.Tensor], int] | None
    is_told: bool = True
    at_zero: Callable[[Any], bool] = lambda _: False


def _beyond(low: float, high: float) -> Callable[[Any, torch.Tensor], int]:
    return lambda _, values: int((values.lt(low) | values.gt(high)).sum())


def _at_ends(module: Any, values: torch.Tensor) -> int:
    own = instance_dict(module)
    return int((values.le(own.get("min_val", -1.0)) | values.ge(own.get("max_val", 1.0))).sum())


def _distributions(module: Any, values: torch.Tensor) -> int:
    dim = instance_dict(module).get("dim")
    if type(dim) is not int or not values.dim():
        return 0
    return int(values.amax(dim).gt(_SIGMOID).sum()) * values.shape[dim]


_KINDS: tuple[tuple[type, FlatParts], ...] = (
    (nn.Tanh, FlatParts(_beyond(-_TANH, _TANH))),
    (nn.Softsign, FlatParts(_beyond(-_SOFTSIGN, _SOFTSIGN))),
    (nn.Sigmoid, FlatParts(_beyond(1 - _SIGMOID, _SIGMOID))),
    (nn.Hardsigmoid, FlatParts(lambda _, values: int((values.le(0) | values.ge(1)).sum()))),
    (nn.ReLU6, FlatParts(lambda _, values: int(values.ge(6).sum()), at_zero=lambda _: True)),
    (nn.Hardtanh, FlatParts(_at_ends, at_zero=lambda module: 0 in (module.get("min_val"), module.get("max_val")))),
    (nn.Softmax, FlatParts(_distributions, is_told=False)),
    (nn.ReLU, FlatParts(None, at_zero=lambda _: True)),
)
"""A class comes after those that descend from it."""


def flat_parts(module: Any) -> FlatParts | None:
    """Where a module is flat; None where its class is none of those known, or has a forward of its own.

    Example:
        >>> flat_parts(nn.Softmax(-1)).is_told, flat_parts(nn.Linear(2, 2))
        (False, None)
    """
    for kind, parts in _KINDS:
        if is_a(module, kind) and class_attribute(type(module), "forward") is class_attribute(kind, "forward"):
            return parts
    return None


def is_flat_at_zero(module: Any) -> bool:
    """Whether a module that gives zero passes no gradient there.

    Example:
        >>> is_flat_at_zero(nn.ReLU()), is_flat_at_zero(nn.Hardtanh()), is_flat_at_zero(nn.Hardtanh(0, 1))
        (True, False, True)
    """
    parts = flat_parts(module)
    return parts is not None and parts.at_zero(instance_dict(module))


def n_saturated(module: Any, values: torch.Tensor) -> int | None:
    """How many elements of a module's output lie at an end where it is flat; None where it isn't known to have one.

    Args:
        module: What made the output.
        values: The output, any shape.

    Example:
        >>> n_saturated(nn.Tanh(), torch.tensor([-1.0, 0.0, 0.99]))
        2
        >>> n_saturated(nn.ReLU(), torch.tensor([0.0])) is None
        True
    """
    parts = flat_parts(module)
    return None if parts is None or parts.n_at_ends is None else parts.n_at_ends(module, values)
