"""A tree as JSON and back, column by column: what many rows say alike is written once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from operator import attrgetter
from typing import Any

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
_new: Any = object.__new__


def to_json(tree: ModuleTree) -> dict[str, Any]:
    """The tree as JSON, to be made again by `from_json`; keys that aren't text are left behind."""
    nodes, tensors = tree.nodes, tree.tensors
    alike, distinct = interned(map(attrgetter(*_ALIKE), nodes))
    entries_alike, distinct_entries = interned(map(attrgetter(*_ENTRY), tensors))
    columns = {name: [getattr(node, name) for node in nodes] for name in _OWN}
    columns["key"] = [key if type(key) is str else None for key in columns["key"]]
    return {
        "nodes": columns,
        "n_children": [len(node.children) for node in nodes],
        "n_tensors": [len(node.tensors) for node in nodes],
        "alike": alike,
        "distinct": distinct,
        "tensors": [entry.path for entry in tensors],
        "tensors_alike": entries_alike,
        "distinct_tensors": [[_held_to_json(value) for value in each] for each in distinct_entries],
        "totals": {name: getattr(tree, name) for name in _TOTALS},
        "ties": [[getattr(group, name) for name in _TIE] for group in tree.ties],
    }


@gc_paused()
def from_json(made: Mapping[str, Any]) -> ModuleTree:
    """The tree that `to_json` was given."""
    kinds = [[_frozen(value) for value in each] for each in made["distinct_tensors"]]
    entries = copies(
        TensorEntry,
        ("path", *_ENTRY),
        ((path, *kinds[at]) for path, at in zip(made["tensors"], made["tensors_alike"], strict=True)),
    )
    alike = [[_frozen(value) for value in each] for each in made["distinct"]]
    rows = zip(*(made["nodes"][name] for name in _OWN), made["alike"], strict=True)
    tensors = iter(entries)
    of_nodes = [tuple(islice(tensors, n)) for n in made["n_tensors"]]
    nodes = copies(
        ModuleNode,
        (*_OWN, *_ALIKE, "tensors", "by_rank", "children"),
        ((*own, *alike[at], held, (), ()) for (*own, at), held in zip(rows, of_nodes, strict=True)),
        n_children=made["n_children"],
    )
    ties = tuple(TieGroup(*map(_frozen, each)) for each in made["ties"])
    totals = {name: made["totals"][name] for name in _TOTALS}
    return ModuleTree(root=nodes[0], nodes=tuple(nodes), tensors=tuple(entries), ties=ties, **totals)


@gc_paused()
def with_bytes(tree: ModuleTree, by_rank: Sequence[Sequence[int]]) -> ModuleTree:
    """The tree with the bytes that each rank holds of each node.

    Args:
        tree: Any.
        by_rank: Of each rank, of the nodes in walk order.
    """
    names = tuple(each.name for each in fields(ModuleNode) if each.name not in {"children", "local_bytes", "by_rank"})
    held = list(zip(*by_rank, strict=True))
    rows = zip(map(attrgetter(*names), tree.nodes), held, strict=True)
    nodes = copies(
        ModuleNode,
        (*names, "local_bytes", "by_rank", "children"),
        ((*own, sum(each), each, ()) for own, each in rows),
        n_children=[len(node.children) for node in tree.nodes],
    )
    rest = {each.name: getattr(tree, each.name) for each in fields(tree) if not each.name.startswith("_")}
    total = held[0]
    return ModuleTree(**{**rest, "root": nodes[0], "nodes": tuple(nodes), "local_bytes": sum(total), "by_rank": total})


def interned(rows: Iterable[Any]) -> tuple[list[int], list[Any]]:
    """Each row as its place among the distinct ones, and these, in the order they are met.

    Example:
        >>> interned("abca")
        ([0, 1, 2, 0], ['a', 'b', 'c'])
    """
    known: dict[Any, int] = {}
    return [known.setdefault(row, len(known)) for row in rows], list(known)


def copies(
    record: type, names: Sequence[str], rows: Iterable[Sequence[Any]], *, n_children: Sequence[int] | None = None
) -> list[Any]:
    """Records of rows of fields, made as fast as can be; those of a tree get the children that follow them."""
    open_class = mutable_class(record)
    setters = [getattr(record, name).__set__ for name in names]
    made = []
    for row in rows:
        each = _new(open_class)
        each.__class__ = record
        for put, value in zip(setters, row, strict=True):
            put(each, value)
        made.append(each)
    if n_children is not None:
        put = setters[names.index("children")]
        ready: list[Any] = []
        for each, n in zip(reversed(made), reversed(n_children), strict=True):
            if n:
                put(each, tuple(ready.pop() for _ in range(n)))
            ready.append(each)
    return made


def _held_to_json(value: Any) -> Any:
    return {name: getattr(value, name) for name in _HELD} if type(value) is Held else value


def _frozen(value: Any) -> Any:
    """A value of a record as it was before JSON, which has lists for tuples."""
    if type(value) is dict:
        return Held(**{name: _frozen(value[name]) for name in _HELD})
    return tuple(map(_frozen, value)) if type(value) is list else value
