"""What is at a path of a tree."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nnwidgets.errors import InvalidTargetError, PathNotFoundError
from nnwidgets.introspect import paths

if TYPE_CHECKING:
    from nnwidgets.introspect.records import ModuleNode, ModuleTree, TensorEntry


def index(tree: ModuleTree) -> dict[str, Any]:
    """Every path of a tree; a module before a tensor, the first before a second."""
    found: dict[str, Any] = {}
    for node in tree.nodes:
        found.setdefault(node.path, node)
    for entry in tree.tensors:
        found.setdefault(entry.path, entry)
    return found


def find(tree: ModuleTree, path: str, found: dict[str, Any]) -> ModuleNode | TensorEntry:
    """What is at ``path``, through aliases where it must be."""
    if type(path) is not str:
        raise InvalidTargetError(f"A path is text, got {type(path).__name__}.", hint='Such as "0.weight".')
    met = found[path] if path in found else _through_aliases(path, found)
    if met is None:
        raise PathNotFoundError.among(path, found, where=f"this {tree.root.class_name}")
    if met.path == path:
        return _as_record(met)
    if hasattr(met, "role"):
        return _as_record(replace(met, path=path))
    target = met.path if met.alias_of is None else met.alias_of
    return _as_record(replace(met, path=path, kind="alias", alias_of=target, children=(), tensors=()))


def _as_record(met: Any) -> ModuleNode | TensorEntry:
    record: ModuleNode | TensorEntry = met
    return record


def _through_aliases(path: str, found: dict[str, Any]) -> Any:
    """Replace the part of a path that is an alias by what it stands for, until the whole is a path of the tree."""
    try:
        rest = paths.split(path)
    except InvalidTargetError:
        return None
    at = ""
    for done, step in enumerate(rest, start=1):
        at = paths.join(at, step)
        here = found.get(at)
        if done == len(rest):
            return here
        alias_of = getattr(here, "alias_of", None)
        if alias_of is not None:
            at = alias_of
    return None
