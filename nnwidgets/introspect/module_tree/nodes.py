"""`ModuleTree` and its `ModuleNode`: found by path, compared, pickled, written out without recursion, however deep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from nnwidgets.errors import InvalidTargetError, PathNotFoundError
from nnwidgets.formatting import counted, inert, printed
from nnwidgets.introspect import paths
from nnwidgets.introspect.records import TensorEntry, TieGroup
from nnwidgets.introspect.safe_access.objects import text_of

NodeKind = Literal["module", "alias", "cycle"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ModuleNode:
    """One row of modules: a module, or another name of one already met.

    Attributes:
        path: Where it is, as ``named_modules`` would say; ``""`` for the model itself.
        key: The raw key in its parent's ``_modules``; None for the model itself.
        class_name: Its class.
        kind: ``"module"``, ``"alias"`` (met before elsewhere), ``"cycle"`` (one of its own ancestors).
        alias_of: The path where it was first met, or None.
        children: Nodes below it, in order; empty for an alias or cycle.
        tensors: Its own tensors; empty for an alias or cycle.
        n_params: Parameter elements of it and its descendants, each storage element counted once.
        training: Its own training flag; None where it can't be read.
        problem: Why it, or a part of it, can't be read, or None.
        summary: What it does with shapes, from its plain integers: ``"20 → 256"``, ``"p = 0.1"``, or ``""``.
        n_params_torch: What ``sum(p.numel() for p in module.parameters())`` gives; None where that raises.
        why: Why ``n_params_torch`` is not ``n_params``, or None where it is.
        bases: Names of the classes between its own and ``nn.Module``, as ``isinstance`` goes by.
        local_bytes: Bytes of it and its descendants that this process holds, each counted once; of a model over ranks,
            those of all together, replicas as often as they are held.
        by_rank: Of a model over ranks, the bytes that each holds, in the order of ranks; else empty.
    """

    path: str
    key: Any
    class_name: str
    kind: NodeKind
    alias_of: str | None
    children: tuple[ModuleNode, ...]
    tensors: tuple[TensorEntry, ...]
    n_params: int
    training: bool | None
    problem: str | None = None
    summary: str = ""
    n_params_torch: int | None = None
    why: str | None = None
    bases: tuple[str, ...] = ()
    local_bytes: int = 0
    by_rank: tuple[int, ...] = ()

    def __repr__(self) -> str:
        what = f"→ {self.alias_of}" if self.alias_of is not None else counted(self.n_params, "parameter")
        return f"ModuleNode({inert(self.path, 80)!r}, {self.class_name}, {what})"

    def __str__(self) -> str:
        return printed(self)

    def __eq__(self, other: object) -> bool:
        return _equal(self, other) if isinstance(other, ModuleNode) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.path, self.class_name, self.n_params))

    def __reduce__(self) -> tuple[Any, ...]:
        return _node_from_rows, (_rows(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> ModuleNode:
        return self

    def walk(self) -> Iterator[ModuleNode]:
        """Itself and every node below it, in walk order."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them; children and tensors by their paths, so that no depth is too deep."""
        made = _own_fields(self)
        made["key"] = text_of(self.key)
        made["tensors"] = [entry.path for entry in self.tensors]
        made["children"] = [child.path for child in self.children]
        return made


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ModuleTree:
    """A module as it was when read.

    Attributes:
        root: The model itself.
        nodes: Every module row, in walk order.
        tensors: Every tensor, in walk order.
        ties: Groups of names that reach the same bytes.
        n_params: Parameter elements, each storage element counted once.
        n_params_trainable: Of these, the ones that ask for gradients.
        size_bytes: Bytes of parameters, buffers and unregistered tensors, each counted once.
        n_params_torch: What ``sum(p.numel() for p in module.parameters())`` gives; None where that raises.
        why: Why ``n_params_torch`` is not ``n_params``, or None where it is.
        local_bytes: Of ``size_bytes``, those that this process holds: fewer where tensors are sharded. Of a model over
            ranks, those of all together, replicas as often as they are held.
        by_rank: Of a model over ranks, the bytes that each holds, in the order of ranks; else empty.
    """

    root: ModuleNode
    nodes: tuple[ModuleNode, ...]
    tensors: tuple[TensorEntry, ...]
    ties: tuple[TieGroup, ...]
    n_params: int
    n_params_trainable: int
    size_bytes: int
    n_params_torch: int | None = None
    why: str | None = None
    local_bytes: int = 0
    by_rank: tuple[int, ...] = ()
    _index: list[dict[str, ModuleNode | TensorEntry]] = field(default_factory=list, repr=False)

    def find(self, path: str) -> ModuleNode | TensorEntry:
        """Give what is at a path, reached through aliases too (then under the path asked for).

        Raises:
            PathNotFoundError: If nothing is there; it names the closest paths.
            InvalidTargetError: If ``path`` is not a path.
        """
        if type(path) is not str:
            raise InvalidTargetError(f"A path is text, got {type(path).__name__}.", hint='Such as "0.weight".')
        by_path = self._by_path()
        known = self.resolve(path)
        if known is None:
            raise PathNotFoundError.among(path, by_path, where=f"this {self.root.class_name}")
        met = by_path[known]
        if known == path:
            return met
        if isinstance(met, TensorEntry):
            return replace(met, path=path)
        target = met.path if met.alias_of is None else met.alias_of
        return replace(met, path=path, kind="alias", alias_of=target, children=(), tensors=())

    def resolve(self, path: str) -> str | None:
        """Give the path under which the tree has what is at ``path``: each alias on the way replaced by what it is of.

        An alias at the end stays itself. None where the path leads nowhere.

        Example:
            >>> from torch import nn
            >>> from nnwidgets.introspect import tree
            >>> net = nn.Sequential(nn.Linear(2, 2))
            >>> net.again = net[0]
            >>> tree(net).resolve("again.weight")
            '0.weight'
        """
        by_path = self._by_path()
        if path in by_path:
            return path
        try:
            steps = paths.split(path)
        except InvalidTargetError:
            return None
        at, here = "", None
        for step in steps:
            alias_of = here.alias_of if isinstance(here, ModuleNode) else None
            at = paths.join(at if alias_of is None else alias_of, step)
            here = by_path.get(at)
        return None if here is None else at

    def _by_path(self) -> dict[str, ModuleNode | TensorEntry]:
        """Every path; a module before a tensor, the first before a second."""
        if not self._index:
            found: dict[str, ModuleNode | TensorEntry] = {}
            for node in self.nodes:
                found.setdefault(node.path, node)
            for entry in self.tensors:
                found.setdefault(entry.path, entry)
            self._index.append(found)
        return self._index[0]

    def __repr__(self) -> str:
        return (
            f"ModuleTree({self.root.class_name}, {counted(len(self.nodes), 'module')}, "
            f"{counted(len(self.tensors), 'tensor')}, "
            f"{counted(self.n_params, 'parameter')})"
        )

    def __str__(self) -> str:
        # The one import upwards: what a tree prints as is made of trees.
        from nnwidgets.introspect.module_tree.text import outline

        return outline(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ModuleTree):
            return NotImplemented
        if len(self.nodes) != len(other.nodes) or not _equal(self.root, other.root):
            return False
        return all(getattr(self, name) == getattr(other, name) for name in _names(self) if name not in _FROM_ROWS)

    def __hash__(self) -> int:
        return hash((self.n_params, self.size_bytes, len(self.nodes), self.root.class_name))

    def __reduce__(self) -> tuple[Any, ...]:
        rest = {name: getattr(self, name) for name in _names(self) if name not in _FROM_ROWS}
        return _tree_from_rows, (_rows(self.root), rest)

    def __deepcopy__(self, memo: dict[int, Any]) -> ModuleTree:
        return self

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them; ``root`` is a path, and ``nodes`` name their children by path."""
        made = {name: getattr(self, name) for name in _names(self)}
        made["root"] = self.root.path
        made["nodes"] = [node.to_dict() for node in self.nodes]
        made["tensors"] = [entry.to_dict() for entry in self.tensors]
        made["ties"] = [group.to_dict() for group in self.ties]
        return made


_Row = tuple[dict[str, Any], int]
"""A node's own fields and how many children it has; the rows of a subtree follow in walk order."""

_FROM_ROWS = ("root", "nodes", "tensors")


def _rows(node: ModuleNode) -> list[_Row]:
    return [(_own_fields(each), len(each.children)) for each in node.walk()]


def _node_from_rows(made: list[_Row]) -> ModuleNode:
    return _nodes(made)[0]


def _tree_from_rows(made: list[_Row], rest: dict[str, Any]) -> ModuleTree:
    nodes = _nodes(made)
    tensors = tuple(entry for node in nodes for entry in node.tensors)
    return ModuleTree(root=nodes[0], nodes=tuple(nodes), tensors=tensors, **rest)


def _nodes(made: list[_Row]) -> list[ModuleNode]:
    """Nodes of rows in walk order, built from the last one up."""
    ready: list[ModuleNode] = []
    nodes: list[ModuleNode] = []
    for own, n_children in reversed(made):
        children = tuple(ready.pop() for _ in range(n_children))
        node = ModuleNode(**own, children=children)
        ready.append(node)
        nodes.append(node)
    return nodes[::-1]


def _names(record: ModuleNode | ModuleTree) -> list[str]:
    return [each.name for each in fields(record) if not each.name.startswith("_")]


def _own_fields(node: ModuleNode) -> dict[str, Any]:
    return {name: getattr(node, name) for name in _names(node) if name != "children"}


def _equal(one: ModuleNode, other: ModuleNode) -> bool:
    """Whether two subtrees say the same; keys that aren't text count as the same only if they are one object."""
    if one is other:
        return True
    for mine, yours in zip(one.walk(), other.walk(), strict=False):
        if mine is not yours and (len(mine.children) != len(yours.children) or not _same_row(mine, yours)):
            return False
    return True


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
