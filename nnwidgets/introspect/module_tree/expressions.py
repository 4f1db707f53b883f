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

_quoted = json.JSONEncoder(ensure_ascii=False).encode
_POSITION = slice(1, -1)
_GETTERS = {"_modules": "get_submodule", "_parameters": "get_parameter", "_buffers": "get_buffer"}
_REGISTRIES = tuple(_GETTERS)


class Expression(NamedTuple):
    """How a thing is written.

    Attributes:
        code: A Python expression.
        dotted: Whether the path itself would do for ``get_submodule`` and the like.
    """

    code: str
    dotted: bool


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
        self._below: dict[int, dict[str, tuple[str, str, Any, bool]]] = {}
        self._keys: dict[tuple[int, str, str], tuple[str, tuple[str, ...], str, bool]] = {}
        self._reached: dict[str, _Step | None] = {"": (variable, module, True)}

    def code(self, path: str) -> str:
        """Return Python for what is at ``path``, as torch would be asked where nothing is found there."""
        reached = self._reach(path)
        return f"{self._variable}.get_parameter({_quoted(path)})" if reached is None else reached[0]

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
            if steps:
                at = paths.join(at, last)
                self._reached[at] = reached
        return reached

    def _one_down(self, above: _Step, component: str) -> _Step | None:
        code, value, dotted = above
        if not is_module(value):
            return _below_container(code, value, component)
        found = self._registered_in(value).get(component)
        if found is not None:
            before, after, below, is_name = found
            return before + code + after, below, dotted and is_name
        own = instance_dict(value)
        is_attribute = component in own and is_identifier(component)
        return (f"{code}.{component}", own[component], False) if is_attribute else None

    def _registered_in(self, module: Any) -> dict[str, tuple[str, str, Any, bool]]:
        """What a module registers, by component of a path, as the walk names them.

        Returns:
            What comes before and after the code of the module, the thing, and whether a dotted name would do.
        """
        known = self._below.get(id(module))
        if known is None:
            known = self._below[id(module)] = {}
            own, kind = instance_dict(module), type(module)
            n_tensors = 0
            for registry in _REGISTRIES:
                held: Any = own.get(registry)
                if not is_a(held, dict) or not dict.__len__(held):
                    continue
                for position, (key, value) in enumerate(plain_items(held)):
                    if value is None:
                        continue
                    is_child = registry == "_modules"
                    in_order = f"[{position}]" if is_child and _is_indexed_in_order(kind) else ""
                    if type(key) is str:
                        name, public, item, is_name = self._written(kind, registry, key)
                        index = _index(kind, key, position) if is_child else ""
                        found = [each for each in public if key not in own and _gives(each, value)]
                        after = next(filter(None, (index, *found[:1], in_order, *found, item)))
                        known.setdefault(name, ("", after, value, is_name))
                    else:
                        name = step(key, position if is_child else n_tensors)
                        before, after = ("", in_order) if in_order else ("list(", f".{registry}.values())[{position}]")
                        known.setdefault(name, (before, after, value, False))
                    n_tensors += not is_child
        return known

    def _written(self, kind: type, registry: str, key: str) -> tuple[str, tuple[str, ...], str, bool]:
        """How a key is written below modules of a class.

        Returns:
            The component of a path; how torch finds it, after a dot and by its method, if it does; as an item of the
            registry; whether a dotted name would do.
        """
        asked = id(kind), registry, key
        if asked not in self._keys:
            item = f".{registry}[{_quoted(key)}]"
            is_name = "." not in key and bool(key)
            public: tuple[str, ...] = ()
            if is_name and class_attribute(kind, key) is None and _getattr_is_torchs(kind):
                getter = _GETTERS[registry]
                is_torchs = class_attribute(kind, getter) is class_attribute(nn.Module, getter)
                by_method = f".{getter}({_quoted(key)})" if is_torchs else item
                public = f".{key}" if is_identifier(key) else "", by_method
            self._keys[asked] = paths.component(key), public, item, is_name
        return self._keys[asked]


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


def _index(kind: type, key: str, position: int) -> str:
    """How a child is written in the containers that torch made indexable; nothing elsewhere."""
    getter = class_attribute(kind, "__getitem__")
    if getter is nn.ModuleDict.__getitem__:
        return f"[{_quoted(key)}]"
    is_list = getter in (nn.Sequential.__getitem__, nn.ModuleList.__getitem__)
    return f"[{key}]" if is_list and key == str(position) else ""


def _is_indexed_in_order(kind: type) -> bool:
    """Whether a child of any key is had by its position."""
    torchs = (nn.Sequential.__getitem__, nn.Sequential.__len__)
    return (class_attribute(kind, "__getitem__"), class_attribute(kind, "__len__")) == torchs


def _gives(code: str, value: Any) -> bool:
    """Whether a way to write a thing gives it: ``get_parameter`` gives nothing else than a `Parameter`."""
    return not code.startswith(".get_parameter(") or is_a(value, nn.Parameter)


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


def _getattr_is_torchs(kind: type) -> bool:
    """Return whether attributes of a class are found the way torch finds them."""
    return (
        class_attribute(kind, "__getattr__") is nn.Module.__getattr__
        and class_attribute(kind, "__getattribute__") is object.__getattribute__
    )
