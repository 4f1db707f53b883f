"""Python that gives the very thing at a path.

Which expression works depends on the objects on the way: a dotted name fails where a class attribute hides a child, an
index only works on the containers that torch itself made indexable. Each step is checked against the live objects,
with none of their code run.
"""

from __future__ import annotations

import json
import keyword
from typing import Any, NamedTuple, TypeGuard

from torch import nn

from nnwidgets.introspect import paths
from nnwidgets.introspect.safe_access.objects import class_attribute, instance_dict, is_a, is_module, plain_items
from nnwidgets.introspect.safe_access.scan import step

_POSITION = slice(1, -1)
_REGISTRIES = ("_modules", "_parameters", "_buffers")


class Expression(NamedTuple):
    """How a thing is written.

    Attributes:
        code: A Python expression.
        dotted: Whether the path itself would do for ``get_submodule`` and the like.
    """

    code: str
    dotted: bool


class _Registered(NamedTuple):
    """What a module holds in a registry, with its key and its place there."""

    registry: str
    key: Any
    position: int
    value: Any


_Step = tuple[str, Any, bool]
"""The code of one thing below another, the thing, and whether a dotted name would do."""


class ExpressionWriter:
    """Writes Python for paths of a model that stays as it is meanwhile: each module is looked through once.

    Example:
        >>> writer = ExpressionWriter(nn.Sequential(nn.Linear(2, 3)), "net")
        >>> writer.code("0.weight"), writer.code("0.gone")
        ('net[0].weight', 'net.get_parameter("0.gone")')
    """

    def __init__(self, module: Any, variable: str) -> None:
        self._module = module
        self._variable = variable
        self._registered: dict[int, dict[str, _Registered]] = {}
        self._reached: dict[str, _Step | None] = {"": (variable, module, True)}

    def code(self, path: str) -> str:
        """Return Python for what is at ``path``, as torch would be asked where nothing is found there."""
        found = self.expression(path)
        return f"{self._variable}.get_parameter({_quoted(path)})" if found is None else found.code

    def expression(self, path: str) -> Expression | None:
        """Return Python for the module or tensor at ``path``; None where nothing is there."""
        reached = self._reach(path)
        return None if reached is None else Expression(reached[0], reached[2])

    def _reach(self, path: str) -> _Step | None:
        """Go down from the nearest module above that was reached before; what is below it is kept for its siblings."""
        steps: list[str] = []
        at = path
        while at not in self._reached:
            at, last = paths.divide(at)
            steps.append(last)
        reached = self._reached[at]
        while steps:
            last = steps.pop()
            reached = None if reached is None else self._one_down(reached, last)
            at = paths.join(at, last)
            if steps:
                self._reached[at] = reached
        return reached

    def _one_down(self, above: _Step, component: str) -> _Step | None:
        code, value, dotted = above
        below = self._below_module if is_module(value) else _below_container
        reached = below(code, value, component)
        return None if reached is None else (reached[0], reached[1], dotted and reached[2])

    def _below_module(self, code: str, parent: Any, component: str) -> _Step | None:
        own = instance_dict(parent)
        found = self._registered_in(parent, own).get(component)
        if found is None:
            is_attribute = component in own and is_identifier(component)
            return (f"{code}.{component}", own[component], False) if is_attribute else None
        key = found.key
        if type(key) is not str:
            return f"list({code}.{found.registry}.values())[{found.position}]", found.value, False
        return code + _suffix(parent, own, found), found.value, "." not in key and bool(key)

    def _registered_in(self, module: Any, own: dict[str, Any]) -> dict[str, _Registered]:
        """By component of a path, as the walk names them."""
        known = self._registered.get(id(module))
        if known is None:
            known = self._registered[id(module)] = {}
            n_tensors = 0
            for registry in _REGISTRIES:
                held = own.get(registry)
                for position, (key, value) in enumerate(plain_items(held) if is_a(held, dict) else ()):
                    if value is not None:
                        named_by = position if registry == "_modules" else n_tensors
                        known.setdefault(step(key, named_by), _Registered(registry, key, position, value))
                        n_tensors += registry != "_modules"
        return known


def expression_for(module: nn.Module, variable: str, path: str) -> Expression | None:
    """Return Python for the module or tensor at ``path``; None where nothing is there.

    Example:
        >>> expression_for(nn.Sequential(nn.Linear(2, 3)), "net", "0.weight")
        Expression(code='net[0].weight', dotted=True)
    """
    return ExpressionWriter(module, variable).expression(path)


def is_identifier(name: object) -> TypeGuard[str]:
    """Say whether a name can follow a dot in Python."""
    return type(name) is str and name.isidentifier() and not keyword.iskeyword(name)


def _suffix(parent: Any, own: dict[str, Any], found: _Registered) -> str:
    kind, key = type(parent), found.key
    if found.registry == "_modules":
        getter = class_attribute(kind, "__getitem__")
        if getter in (nn.Sequential.__getitem__, nn.ModuleList.__getitem__) and key == str(found.position):
            return f"[{key}]"
        if getter is nn.ModuleDict.__getitem__:
            return f"[{_quoted(key)}]"
    if _getattr_is_torchs(kind) and is_identifier(key) and key not in own and class_attribute(kind, key) is None:
        return f".{key}"
    return f".{found.registry}[{_quoted(key)}]"


def _below_container(code: str, parent: Any, component: str) -> _Step | None:
    """Return the step to an item of a plain list, tuple or dict in an attribute."""
    if is_a(parent, dict):
        pairs = plain_items(parent)
        if component.startswith('["'):
            key = json.loads(component[_POSITION])
            found = [value for name, value in pairs if type(name) is str and name == key]
            return (f"{code}[{_quoted(key)}]", found[0], False) if found else None
        position = int(component[_POSITION])
        return (f"list({code}.values())[{position}]", pairs[position][1], False) if position < len(pairs) else None
    if (is_a(parent, list) or is_a(parent, tuple)) and component.startswith("["):
        position = int(component[_POSITION])
        return (f"{code}[{position}]", parent[position], False) if position < len(parent) else None
    return None


def _quoted(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)


def _getattr_is_torchs(kind: type) -> bool:
    """Return whether attributes of a class are found the way torch finds them."""
    return (
        class_attribute(kind, "__getattr__") is nn.Module.__getattr__
        and class_attribute(kind, "__getattribute__") is object.__getattribute__
    )
