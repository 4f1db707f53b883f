"""The notebook's variables, looked at by identity and type alone: no attribute of a user's object is touched.

Requests name models by them, and code to paste calls models and optimizers as they do.
"""

from __future__ import annotations

import itertools
import sys
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from nnwidgets.introspect.optimizers import is_users_name, optimizer_variables
from nnwidgets.introspect.safe_access.objects import is_module, is_tensor


def notebook() -> Mapping[str, Any]:
    """Return the namespace that cells run in."""
    return vars(sys.modules["__main__"])


def modules() -> dict[str, nn.Module]:
    """Return the notebook's variables that hold a module, in the order they were made."""
    return {name: value for name, value in list(notebook().items()) if is_module(value) and is_users_name(name)}


def optimizers() -> dict[str, Optimizer]:
    """Return the notebook's variables that hold a torch optimizer, in the order they were made."""
    return optimizer_variables(notebook())


def tensors() -> dict[str, Any]:
    """Return the notebook's variables that hold a tensor, in the order they were made."""
    return {name: value for name, value in list(notebook().items()) if is_tensor(value) and is_users_name(name)}


def name_of(value: object, *namespaces: Mapping[str, Any]) -> str | None:
    """Return the first name that holds ``value`` in the first of ``namespaces`` that has one.

    Example:
        >>> net = object()
        >>> name_of(net, {"a": 1, "net": net})
        'net'
    """
    for namespace in namespaces:
        for name, held in list(namespace.items()):
            if held is value and is_users_name(name):
                return name
    return None


def optimizer_name(live: Sequence[Optimizer]) -> str:
    """Return what pasted code calls the first of the live optimizers."""
    return (live and name_of(live[0], notebook())) or "optimizer"


class Identities:
    """A number for each object, the same for as long as it lives and never given to another.

    ``id`` alone won't do: a new object often gets the address of the one that it replaces.

    Example:
        >>> class Model: ...
        >>> numbers, net = Identities(), Model()
        >>> numbers.of(net) == numbers.of(net) != numbers.of(Model())
        True
    """

    def __init__(self) -> None:
        self._count = itertools.count(1)
        self._known: dict[int, tuple[weakref.ref[object], int]] = {}

    def of(self, value: object) -> int:
        """Return the number of ``value``, which must take weak references, as modules and optimizers do."""
        known = self._known.get(id(value))
        if known is not None and known[0]() is value:
            return known[1]
        address, number = id(value), next(self._count)

        def forget(_reference: object) -> None:
            # Where another object has the address already, that one's number stays.
            if self._known.get(address, (None, None))[1] == number:
                del self._known[address]

        self._known[address] = weakref.ref(value, forget), number
        return number
