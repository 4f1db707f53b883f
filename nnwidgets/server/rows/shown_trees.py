"""Trees as a view has them: whether two would show the same, and without what would keep a model alive."""

from __future__ import annotations

from dataclasses import replace
from itertools import starmap

from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree


def look_same(old: ModuleTree, new: ModuleTree) -> bool:
    """Return whether two trees would show the same; nodes are compared one by one, since trees nest deep."""
    return (
        len(old.nodes) == len(new.nodes)
        and old.tensors == new.tensors
        and old.ties == new.ties
        and all(starmap(_same_node, zip(old.nodes, new.nodes, strict=True)))
    )


def _same_node(old: ModuleNode, new: ModuleNode) -> bool:
    return all(getattr(old, name) == getattr(new, name) for name in _SHOWN) and len(old.children) == len(new.children)


_SHOWN = tuple(name for name in ModuleNode.__dataclass_fields__ if name not in {"key", "children"})


def without_raw_keys(read: ModuleTree) -> ModuleTree:
    """Return ``read`` with no key that is not a string: such a key may be a module, which a view must not keep."""
    if all(node.key is None or type(node.key) is str for node in read.nodes):
        return read
    made: dict[str, ModuleNode] = {}
    for node in reversed(read.nodes):
        children = tuple(made[child.path] for child in node.children)
        key = node.key if type(node.key) is str else None
        made[node.path] = replace(node, key=key, children=children)
    return replace(read, root=made[""], nodes=tuple(made[node.path] for node in read.nodes))
