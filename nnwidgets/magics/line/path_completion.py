"""What could stand next in a path of a live model: one level of it, so that its size doesn't matter; or of a tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from nnwidgets.errors import NNWidgetsError
from nnwidgets.introspect import paths
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.module_tree.tree import tree
from nnwidgets.introspect.patterns import is_glob, library_of, match
from nnwidgets.introspect.safe_access import lookup
from nnwidgets.introspect.safe_access.modules import found_in, parts
from nnwidgets.introspect.safe_access.objects import (
    base_names,
    is_a,
    is_module,
    is_tensor,
    no_torch_function,
    type_name,
)
from nnwidgets.introspect.safe_access.scan import read

_IN_BRACES = re.compile(r"(.*)([{\[](?:.*,|\d+(?:…|\.\.\.?|-))?)([^][{}]*)", re.DOTALL)
"""What stands before braces that are still open, and what in them before the part that is being typed."""


def target_completions(module: Any, typed: str, *, tensors: bool, classes: bool = False) -> Iterator[str]:
    """Ways to go on from what is typed of a target.

    These are the paths up to the end of the component being typed; without any, classes and ``Class.tensor``; and
    where a glob is typed, the paths that it means. Behind ``!``, and between braces, it is the same.

    Args:
        module: The model, or its tree.
        typed: What is typed of the target.
        tensors: Whether tensors are wanted too, and with them classes.
        classes: Whether classes are wanted even without.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> list(target_completions(net, "0.", tensors=True)), list(target_completions(net, "Lin", tensors=True))
        (['0.weight', '0.bias'], ['Linear'])
    """
    if typed.startswith("!"):
        yield from (f"!{each}" for each in target_completions(module, typed[1:], tensors=tensors, classes=classes))
        return
    opened = _IN_BRACES.fullmatch(typed)
    if opened is not None and opened[2] != "[":
        before, inside, part = opened.groups()
        found = target_completions(module, before + part, tensors=tensors, classes=classes)
        yield from (f"{before}{inside}{each[len(before) :]}" for each in found if each.startswith(before))
        return
    if is_glob(typed):
        yield from _glob_matches(module, typed, tensors=tensors)
        return
    below = _paths_below(module, typed, tensors=tensors)
    first = next(below, None)
    if first is not None:
        yield first
        yield from below
    elif tensors or (classes and "." not in typed):
        yield from _class_targets(module, typed)


def _paths_below(module: Any, typed: str, *, tensors: bool) -> Iterator[str]:
    if is_a(module, ModuleTree):
        known = {node.path: node for node in module.nodes}
        node = next((known[each] for each in _parents(typed) if each in known), module.root)
        held = [*node.children, *(node.tensors if tensors else ())]
        yield from (each.path for each in held if each.path.startswith(typed))
        return
    for parent in _parents(typed):
        try:
            live = lookup.get(module, parent)
        except NNWidgetsError:
            continue
        if is_module(live):
            names = (paths.join(parent, component) for component in _components(live, tensors=tensors))
            yield from (name for name in names if name.startswith(typed))
            return


def _parents(typed: str) -> Iterator[str]:
    """What may be the path of the module that the last component is being typed of, longest first."""
    yield from (typed[:at] for at in range(len(typed) - 1, -1, -1) if typed[at] in ".[")
    yield ""


def _components(module: Any, *, tensors: bool) -> Iterator[str]:
    with no_torch_function():
        held = parts(module)
        children = zip(held.positions, held.children, strict=True)
        yield from (paths.component(key) if type(key) is str else paths.position(at) for at, (key, _) in children)
        if tensors:
            registered = [*held.parameters, *held.buffers]
            yield from (paths.component(key) for key, _ in registered if type(key) is str)
            known = {id(value) for _, value in registered}
            yield from (
                found.name
                for found in found_in(held.attributes)
                if is_tensor(found.value) and id(found.value) not in known
            )


def _glob_matches(module: Any, typed: str, *, tensors: bool) -> Iterator[str]:
    try:
        meant = match(
            module if is_a(module, ModuleTree) else tree(module),
            typed if typed.endswith("*") else f"{typed}*",
            words=False,
        )
    except NNWidgetsError:
        return
    yield from (node.path for node in meant.nodes)
    if tensors:
        yield from (entry.path for entry in meant.tensors)


def _class_targets(module: Any, typed: str) -> Iterator[str]:
    prefix = library_of(typed)
    typed = typed.removeprefix(prefix)
    class_name, dot, _ = typed.partition(".")
    first: dict[str, Any] = {}
    for found, names in _classes(module):
        for name in names:
            first.setdefault(name, found)
    if not dot:
        yield from (prefix + name for name in first if name.startswith(class_name))
    elif class_name in first:
        found = first[class_name]
        own = _components(found, tensors=True) if is_module(found) else _names_below(found)
        yield from (prefix + name for each in own if (name := f"{class_name}.{each}").startswith(typed))


def _classes(module: Any) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """The first module of each class, or its node in a tree, with the names that mean it."""
    if is_a(module, ModuleTree):
        yield from ((node, (node.class_name, *node.bases)) for node in module.nodes)
        return
    first_of_kind: dict[int, Any] = {}
    for found in read(module).modules:
        first_of_kind.setdefault(id(type(found)), found)
    for kind, found in ((type(each), each) for each in first_of_kind.values() if is_module(each)):
        yield found, (type_name(kind), *base_names(kind))


def _names_below(node: ModuleNode) -> Iterator[str]:
    start = len(node.path) + 1 if node.path else 0
    yield from (each.path[start:] for each in node.children)
    yield from (each.path[start:] for each in node.tensors)
