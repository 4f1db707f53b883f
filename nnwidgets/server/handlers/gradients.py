"""A tensor's gradient, if it keeps one."""

from __future__ import annotations

from typing import Any


def grad_of(tensor: Any) -> Any:
    """Return ``tensor.grad``, or None for an inner node of a graph, which has none and warns when asked.

    Example:
        >>> import torch
        >>> grad_of(torch.ones(2, requires_grad=True) * 2) is None
        True
    """
    return tensor.grad if tensor.is_leaf or tensor.retains_grad else None
