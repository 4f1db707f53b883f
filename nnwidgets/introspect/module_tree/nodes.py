"""Nodes and trees as flat rows: compared, pickled and written out without recursion, however deep they are."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from nnwidgets.errors import InvalidTargetError, PathNotFoundError
from nnwidgets.introspect import paths
from nnwidgets.introspect.safe_access.objects import text_of

if TYPE_CHECKING:
    from nnwidgets.introspect.records import ModuleNode, ModuleTree, TensorEntry

if TYPE_CHECKING:
    from nnwidgets.introspect.records import ModuleNode, ModuleTree

Row = tuple[dict[str, Any], int]
"""A node's own fields and how many children it has; the rows of a subtree follow in walk order."""


def rows(node: ModuleNode) -> list[Row]:
    """The subtree of a node."""
    return [(_own_fields(each), len(each.children)) for each in node.walk()]


def node_from_rows(made: list[Row]) -> ModuleNode:
    """Undo `rows`."""
    return _nodes(made)[0]


def tree_rows(tree: ModuleTree) -> tuple[list[Row], dict[str, Any]]:
    """A tree: its rows and the rest."""
    return rows(tree.root), {name: getattr(tree, name) for name in _names(tree) if name not in _FROM_ROWS}


def tree_from_rows(made: list[Row], rest: dict[str, Any]) -> ModuleTree:
    """Undo `tree_rows`."""
    from nnwidgets.introspect.records import ModuleTree

    nodes = _nodes(made)
    tensors = tuple(entry for node in nodes for entry in node.tensors)
    return ModuleTree(root=nodes[0], nodes=tuple(nodes), tensors=tensors, **rest)


def equal(one: ModuleNode, other: ModuleNode) -> bool:
    """Whether two subtrees say the same; keys that aren't text count as the same only if they are one object."""
    if one is other:
        return True
    for mine, yours in zip(one.walk(), other.walk(), strict=False):
        if mine is not yours and (len(mine.children) != len(yours.children) or not _same_row(mine, yours)):
            return False
    return True


def equal_trees(one: ModuleTree, other: ModuleTree) -> bool:
    """Whether two trees say the same."""
    if len(one.nodes) != len(other.nodes) or not equal(one.root, other.root):
        return False
    names = [name for name in _names(one) if name not in _FROM_ROWS]
    return all(getattr(one, name) == getattr(other, name) for name in names)


def node_to_dict(node: ModuleNode) -> dict[str, Any]:
    """A node, children and tensors by their paths."""
    made = _own_fields(node)
    made["key"] = text_of(node.key)
    made["tensors"] = [entry.path for entry in node.tensors]
    made["children"] = [child.path for child in node.children]
    return made


def tree_to_dict(tree: ModuleTree) -> dict[str, Any]:
    """A tree, its root by path."""
    made = {name: getattr(tree, name) for name in _names(tree)}
    made["root"] = tree.root.path
    made["nodes"] = [node_to_dict(node) for node in tree.nodes]
    made["tensors"] = [entry.to_dict() for entry in tree.tensors]
    made["ties"] = [group.to_dict() for group in tree.ties]
    return made


_FROM_ROWS = ("root", "nodes", "tensors")


def _names(record: ModuleNode | ModuleTree) -> list[str]:
    return [field.name for field in fields(record) if not field.name.startswith("_")]


def _own_fields(node: ModuleNode) -> dict[str, Any]:
    return {name: getattr(node, name) for name in _names(node) if name != "children"}


def _same_row(mine: ModuleNode, yours: ModuleNode) -> bool:
    for name in _names(mine):
        if name == "children":
            continue
        a, b = getattr(mine, name), getattr(yours, name)
        if name == "key":
            a, b = (a, b) if text_of(a) is None else (text_of(a), text_of(b))
            if a is not b and (type(a) is not str or a != b):
                return False
        elif a != b:
            return False
    return True


def _nodes(made: list[Row]) -> list[ModuleNode]:
    """Nodes of rows in walk order, built from the last one up."""
    from nnwidgets.introspect.records import ModuleNode

    ready: list[ModuleNode] = []
    nodes: list[ModuleNode] = []
    for own, n_children in reversed(made):
        children = tuple(ready.pop() for _ in range(n_children))
        node = ModuleNode(**own, children=children)
        ready.append(node)
        nodes.append(node)
    return nodes[::-1]


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
