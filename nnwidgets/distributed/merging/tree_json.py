"""A tree as JSON and back, column by column: what many rows say alike is written once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields, make_dataclass, replace
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.module_tree.tree import mutable_class
from nnwidgets.introspect.records import Held, TensorEntry, TieGroup
from nnwidgets.introspect.safe_access.scan import gc_paused

_OWN = ("path", "key", "n_params", "n_params_torch", "local_bytes")
_ALIKE = tuple(each.name for each in fields(ModuleNode) if each.name not in {*_OWN, "children", "tensors", "by_rank"})
_ENTRY = tuple(each.name for each in fields(TensorEntry) if each.name != "path")
_TIE = tuple(each.name for each in fields(TieGroup))
_HELD = tuple(each.name for each in fields(Held))
_TOTALS = ("n_params", "n_params_trainable", "size_bytes", "n_params_torch", "why", "local_bytes")


class Kinds:
    """Records that are alike in some fields: of which kind each is, and what the kinds have in these fields.

    Args:
        records: Nodes or tensors of a tree.
        names: The fields, by which the kinds are in the order that they are met in.
    """

    def __init__(self, records: Iterable[Any], names: Sequence[str]) -> None:
        self._names = names
        self.of_each, self.distinct = interned(map(attrgetter(*names), records))

    def by(self, names: Sequence[str]) -> tuple[list[int], list[Any]]:
        """The same by some of the fields."""
        place, distinct = interned(map(itemgetter(*map(self._names.index, names)), self.distinct))
        return [place[kind] for kind in self.of_each], distinct


class TreeKinds(NamedTuple):
    """The kinds of a tree's nodes and of its tensors, by all that many of them have alike."""

    nodes: Kinds
    tensors: Kinds


def kinds_of(tree: ModuleTree) -> TreeKinds:
    """The kinds that `to_json` writes."""
    return TreeKinds(Kinds(tree.nodes, _ALIKE), Kinds(tree.tensors, _ENTRY))


def to_json(tree: ModuleTree, kinds: TreeKinds) -> str:
    """The tree as JSON, to be made again by `from_json`; keys that aren't text are left behind.

    As text: what carries it on then sees one string, not a million values.
    """
    nodes, tensors = tree.nodes, tree.tensors
    columns = {name: [getattr(node, name) for node in nodes] for name in _OWN}
    columns["key"] = [key if type(key) is str else None for key in columns["key"]]
    said = {
        "nodes": columns,
        "n_children": [len(node.children) for node in nodes],
        "n_tensors": [len(node.tensors) for node in nodes],
        "alike": kinds.nodes.of_each,
        "distinct": kinds.nodes.distinct,
        "tensors": [entry.path for entry in tensors],
        "tensors_alike": kinds.tensors.of_each,
        "distinct_tensors": [[_held_to_json(value) for value in each] for each in kinds.tensors.distinct],
        "totals": {name: getattr(tree, name) for name in _TOTALS},
        "ties": [[getattr(group, name) for name in _TIE] for group in tree.ties],
    }
    return json.dumps(said)


@gc_paused()
def from_json(text: str, by_rank: Sequence[Sequence[int]] = ()) -> ModuleTree:
    """The tree that `to_json` was given.

    Args:
        text: By `to_json`.
        by_rank: The bytes that each rank holds of the nodes in walk order, to be told by the tree.
    """
    made = json.loads(text)
    kinds = [[frozen(value) for value in each] for each in made["distinct_tensors"]]
    entries = copies(
        TensorEntry,
        ("path", *_ENTRY),
        ((path, *kinds[at]) for path, at in zip(made["tensors"], made["tensors_alike"], strict=True)),
    )
    alike = [[frozen(value) for value in each] for each in made["distinct"]]
    tensors = iter(entries)
    columns = [made["nodes"][name] for name in _OWN]
    of_nodes = [tuple(islice(tensors, n)) if n else () for n in made["n_tensors"]]
    rows = ((*own, held, *alike[at]) for *own, at, held in zip(*columns, made["alike"], of_nodes, strict=True))
    nodes = _nodes((*_OWN, "tensors", *_ALIKE), rows, made["n_children"])
    ties = tuple(TieGroup(*map(frozen, each)) for each in made["ties"])
    totals = {name: made["totals"][name] for name in _TOTALS}
    tree = ModuleTree(root=nodes[0], nodes=tuple(nodes), tensors=tuple(entries), ties=ties, **totals)
    return with_bytes(tree, by_rank) if by_rank else tree


@gc_paused()
def with_bytes(tree: ModuleTree, by_rank: Sequence[Sequence[int]]) -> ModuleTree:
    """The tree with the bytes that each rank holds of each node.

    Args:
        tree: Whose nodes nobody else has: they are written to, since new ones would take ten times as long.
        by_rank: Of each rank, of the nodes in walk order.
    """
    _put_bytes(tree.nodes, by_rank)
    return _with_totals(tree)


def _put_bytes(nodes: Sequence[ModuleNode], by_rank: Sequence[Sequence[int]]) -> None:
    put, put_sum = (vars(ModuleNode)[name].__set__ for name in ("by_rank", "local_bytes"))
    for node, each in zip(nodes, zip(*by_rank, strict=True), strict=True):
        put(node, each)
        put_sum(node, sum(each))


def _nodes(names: Sequence[str], rows: Iterable[Sequence[Any]], n_children: Sequence[int]) -> list[ModuleNode]:
    nodes = copies(ModuleNode, (*names, "by_rank", "children"), ((*row, (), ()) for row in rows))
    put: Any = vars(ModuleNode)["children"].__set__
    ready: list[ModuleNode] = []
    for node, n in zip(reversed(nodes), reversed(n_children), strict=True):
        if n:
            put(node, tuple(ready.pop() for _ in range(n)))
        ready.append(node)
    return nodes


def _with_totals(tree: ModuleTree) -> ModuleTree:
    return replace(tree, local_bytes=tree.root.local_bytes, by_rank=tree.root.by_rank, _index=[])


def interned(rows: Iterable[Any]) -> tuple[list[int], list[Any]]:
    """Each row as its place among the distinct ones, and these, in the order they are met.

    Example:
        >>> interned("abca")
        ([0, 1, 2, 0], ['a', 'b', 'c'])
    """
    known: dict[Any, int] = {}
    return [known.setdefault(row, len(known)) for row in rows], list(known)


def copies(record: type, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Any]:
    """Records of rows of fields, made as fast as can be: a frozen one takes six times as long to make by its class."""
    open_class = mutable_class(record)
    open_class.__init__ = vars(make_dataclass(record.__name__, list(names)))["__init__"]
    made = [open_class(*row) for row in rows]
    for each in made:
        each.__class__ = record
    return made


def _held_to_json(value: Any) -> Any:
    return {name: getattr(value, name) for name in _HELD} if type(value) is Held else value


def frozen(value: Any) -> Any:
    """A value of a record as it was before JSON, which has lists for tuples."""
    if type(value) is dict:
        return Held(**{name: frozen(value[name]) for name in _HELD})
    return tuple(map(frozen, value)) if type(value) is list else value
