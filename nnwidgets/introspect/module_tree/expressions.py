"""Python that gives the very thing at a path.

Which spelling works depends on the objects on the way: a dotted name fails where a class attribute hides a child, an
index only works on the containers that torch itself made indexable. Each step is checked against the live objects,
with none of their code run.
"""

from __future__ import annotations

import json
import keyword
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

from nnwidgets.introspect import paths
from nnwidgets.introspect.safe_access.objects import class_attribute, instance_dict, is_module, plain_items

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


class _Step(NamedTuple):
    """One step down: what to do to the parent's code (``{}``), what it leads to, and whether a dotted name would do."""

    code: Callable[[str], str]
    value: Any
    dotted: bool


def expression_for(module: nn.Module, variable: str, path: str) -> Expression | None:
    """Return Python for the module or tensor at ``path``; None where nothing is there.

    Example:
        >>> expression_for(nn.Sequential(nn.Linear(2, 3)), "net", "0.weight")
        Expression(code='net[0].weight', dotted=True)
    """
    code, dotted, value = variable, True, module
    for component in paths.split(path):
        step = _step(value, component)
        if step is None:
            return None
        code, value = step.code(code), step.value
        dotted = dotted and step.dotted
    return Expression(code, dotted)


def _step(parent: Any, component: str) -> _Step | None:
    if is_module(parent):
        return _below_module(parent, component)
    return _below_container(parent, component)


def _below_module(parent: Any, component: str) -> _Step | None:
    own = instance_dict(parent)
    if component.startswith("[") and not component.startswith('["'):
        return _by_position(own, int(component[_POSITION]))
    key = json.loads(component[_POSITION]) if component.startswith("[") else component
    for registry in _REGISTRIES:
        held = own.get(registry)
        items = plain_items(held) if isinstance(held, dict) else []
        for position, (name, value) in enumerate(items):
            if type(name) is str and name == key and value is not None:
                return _Step(_then(_named(parent, own, registry, key, position)), value, "." not in key and bool(key))
    return _Step(_then(f".{key}"), own[key], dotted=False) if key in own and _is_identifier(key) else None


def _named(parent: Any, own: dict[str, Any], registry: str, key: str, position: int) -> str:
    kind = type(parent)
    if registry == "_modules":
        getter = class_attribute(kind, "__getitem__")
        if getter in (nn.Sequential.__getitem__, nn.ModuleList.__getitem__) and key == str(position):
            return f"[{position}]"
        if getter is nn.ModuleDict.__getitem__:
            return f"[{json.dumps(key, ensure_ascii=False)}]"
    if _getattr_is_torchs(kind) and _is_identifier(key) and key not in own and class_attribute(kind, key) is None:
        return f".{key}"
    return f".{registry}[{json.dumps(key, ensure_ascii=False)}]"


def _by_position(own: dict[str, Any], position: int) -> _Step | None:
    held = own.get("_modules")
    values = [value for _, value in plain_items(held)] if isinstance(held, dict) else []
    if position >= len(values):
        return None
    return _Step(lambda code: f"list({code}._modules.values())[{position}]", values[position], dotted=False)


def _below_container(parent: Any, component: str) -> _Step | None:
    """Return the step to an item of a plain list, tuple or dict in an attribute."""
    if isinstance(parent, dict):
        pairs = plain_items(parent)
        if component.startswith('["'):
            key = json.loads(component[_POSITION])
            found = [value for name, value in pairs if type(name) is str and name == key]
            return _Step(_then(f"[{json.dumps(key, ensure_ascii=False)}]"), found[0], dotted=False) if found else None
        position = int(component[_POSITION])
        if position >= len(pairs):
            return None
        return _Step(lambda code: f"list({code}.values())[{position}]", pairs[position][1], dotted=False)
    if isinstance(parent, list | tuple) and component.startswith("["):
        position = int(component[_POSITION])
        return _Step(_then(f"[{position}]"), parent[position], dotted=False) if position < len(parent) else None
    return None


def _then(suffix: str) -> Callable[[str], str]:
    return lambda code: code + suffix


def _getattr_is_torchs(kind: type) -> bool:
    """Return whether attributes of a class are found the way torch finds them."""
    return (
        class_attribute(kind, "__getattr__") is nn.Module.__getattr__
        and class_attribute(kind, "__getattribute__") is object.__getattribute__
    )


def _is_identifier(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)
