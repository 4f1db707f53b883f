"""The live module or tensor at a path, found without running the model's code."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from nnwidgets.errors import PathNotFoundError
from nnwidgets.formatting import cut
from nnwidgets.introspect import paths
from nnwidgets.introspect.safe_access.modules import Parts, found_in, parts
from nnwidgets.introspect.safe_access.objects import is_module, is_tensor, no_torch_function, require_module
from nnwidgets.introspect.safe_access.scan import read, step
from nnwidgets.introspect.safe_access.tensors import gradient_of


def get(module: object, path: str) -> Any:
    """Give the live object at ``path``: a module, a tensor of whatever role, or its gradient, ``0.weight.grad``.

    Raises:
        PathNotFoundError: If nothing is there; it names the closest paths.
        InvalidTargetError: If ``module`` is not a module, or ``path`` not a path.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(20, 256), nn.ReLU())
        >>> get(net, "0.weight") is net[0].weight
        True
    """
    return Lookup(module).get(path)


class Lookup:
    """`get` for many paths of a model: each module on the way is looked into once, and kept until this is dropped.

    Raises:
        InvalidTargetError: If ``module`` is not a module.
    """

    def __init__(self, module: object) -> None:
        require_module(module)
        self._module = module
        self._below: dict[int, tuple[Any, Parts, dict[str, Any]]] = {}

    def get(self, path: str) -> Any:
        """Give the live object at ``path``; raises as the function `get` does."""
        steps = paths.split(path)
        with no_torch_function():
            here: Any = self._module
            at = 0
            while at < len(steps):
                if is_tensor(here) and steps[at:] == ["grad"]:
                    return self._gradient(here, path)
                if not is_module(here):
                    raise PathNotFoundError.among(path, LiveModel(self._module).tensors)
                below = self._value_below(here, steps[at])
                if below is None and at + 1 < len(steps) and steps[at + 1].startswith("["):
                    below = self._value_below(here, steps[at] + steps[at + 1])
                    at += 1
                if below is None:
                    raise PathNotFoundError.among(path, _all_paths(self._module))
                here = below
                at += 1
        return here

    def _gradient(self, tensor: Any, path: str) -> Any:
        found = gradient_of(tensor)
        if found is None:
            of = path.rpartition(".")[0]
            raise PathNotFoundError(f"{cut(of)!r} has no gradient.", path=path, hint="Run backward first.")
        return found

    def _value_below(self, module: Any, wanted: str) -> Any:
        """What a module holds at one component: a child, a registered tensor, an attribute, an item of one."""
        if id(module) not in self._below:
            held = parts(module)
            named: dict[str, Any] = {}
            children = zip(held.positions, held.children, strict=True)
            for index, (key, value) in (*children, *enumerate((*held.parameters, *held.buffers))):
                named.setdefault(step(key, index), value)
            self._below[id(module)] = module, held, named
        _, held, named = self._below[id(module)]
        if wanted in named:
            return named[wanted]
        return next((found.value for found in found_in(held.attributes) if found.name == wanted), None)


class LiveModel:
    """One reading of a module: the live objects in it, by any path that leads to them.

    What it holds keeps modules and tensors alive.

    Attributes:
        scan: What was read.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(2, 3))
        >>> net.again = net[0]
        >>> live = LiveModel(net)
        >>> list(live.tensors), live.tensor("again.bias") is net[0].bias
        (['0.weight', '0.bias'], True)
    """

    def __init__(self, module: object) -> None:
        """Read a module.

        Raises:
            InvalidTargetError: If ``module`` is not a module.
        """
        self.scan = read(module)

    @cached_property
    def tensors(self) -> dict[str, Any]:
        """Every tensor by its path, in walk order."""
        found: dict[str, Any] = {}
        for path, value in zip(self.scan.slot_paths, self.scan.slot_values, strict=True):
            if value is not None and is_tensor(value):
                found.setdefault(path, value)
        return found

    @cached_property
    def modules(self) -> dict[str, Any]:
        """Every module by its path, in walk order, aliases and cycles included (not followed)."""
        each = zip(self.scan.row_paths, self.scan.modules, strict=True)
        return {path: value for path, value in each if is_module(value)}

    @cached_property
    def _aliases(self) -> dict[str, str]:
        return {self.scan.path(row): self.scan.path(first) for row, first in self.scan.first_met.items()}

    def tensor(self, path: str) -> Any:
        """The tensor at a path, through aliases too; None where there is none."""
        if path in self.tensors or not self._aliases:
            return self.tensors.get(path)
        at = ""
        for step_down in paths.split(path):
            at = paths.join(at, step_down)
            at = self._aliases.get(at, at)
        return self.tensors.get(at)


def _all_paths(module: object) -> Iterable[str]:
    live = LiveModel(module)
    return [*live.modules, *live.tensors]
