"""The gradients that the caller's tensors have, put aside for a backward and put back after it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from nnwidgets.introspect.safe_access.objects import is_tensor, no_torch_function
from nnwidgets.introspect.safe_access.own_values import GRADIENTS
from nnwidgets.introspect.safe_access.tensors import is_leaf, torch_attribute


@contextmanager
def gradients_aside(root: torch.Tensor, others: Iterable[Any]) -> Iterator[None]:
    """Have no gradient, and nothing that waits for one, at any tensor that a backward would give one to.

    Who reads them in another thread meanwhile is given what was put aside. What waits are hooks after accumulation, as
    an optimizer sets that steps within the backward.

    Args:
        root: Where the backward starts; the leaves of its graph are met there, those outside of the model too.
        others: Tensors that a graph may hide, as a checkpointed segment does.

    Example:
        >>> weight = torch.ones(2, requires_grad=True)
        >>> loss = weight.sum()
        >>> with gradients_aside(loss, ()):
        ...     loss.backward()
        ...     print(weight.grad)
        tensor([1., 1.])
        >>> weight.grad is None
        True
    """
    leaves = {id(leaf): leaf for leaf in (*_leaves(root), *filter(_takes_gradient, others))}
    before = [(leaf, leaf.grad, leaf._post_accumulate_grad_hooks) for leaf in leaves.values()]  # noqa: SLF001 - nothing public tells them
    aside: list[int] = []
    try:
        GRADIENTS.put_aside(((leaf, gradient) for leaf, gradient, _ in before), aside)
        with no_torch_function():
            for leaf, _, hooks in before:
                leaf.grad = None
                if hooks:
                    leaf._post_accumulate_grad_hooks = OrderedDict()  # noqa: SLF001 - the same; None would leave them
        yield
    finally:
        with no_torch_function():
            for leaf, gradient, hooks in before:
                leaf.grad = gradient
                if hooks:
                    leaf._post_accumulate_grad_hooks = hooks  # noqa: SLF001 - the same
        GRADIENTS.take_back(aside)


def begins_before(given: Iterable[Any]) -> bool:
    """Whether a graph goes on behind an input, where a backward would free what isn't its own.

    Args:
        given: The tensors that a forward takes.

    Example:
        >>> weight = torch.ones(2, requires_grad=True)
        >>> begins_before([weight]), begins_before([weight * 2])
        (False, True)
    """
    return any(is_tensor(each) and torch_attribute(each, "grad_fn") is not None for each in given)


def _takes_gradient(value: Any) -> bool:
    return is_tensor(value) and is_leaf(value) and value.requires_grad


def _leaves(root: torch.Tensor) -> Iterator[Any]:
    waiting: list[Any] = [root.grad_fn]
    seen: set[Any] = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if is_tensor(leaf):  # a function of the user's may keep anything by this name
            yield leaf
        waiting.extend(following for following, _ in node.next_functions)
