"""`tree`: one reading of a module, made into records."""

from __future__ import annotations

from itertools import chain, islice, repeat
from typing import Any

from nnwidgets.introspect import paths
from nnwidgets.introspect.facts import Columns
from nnwidgets.introspect.guard import own_dict, text_of, type_name
from nnwidgets.introspect.labels import inert
from nnwidgets.introspect.reading import Reading, quiet, read
from nnwidgets.introspect.records import ModuleNode, ModuleTree, TensorEntry
from nnwidgets.introspect.storage import place, slot_groups, tie_groups
from nnwidgets.introspect.summaries import Summarizer, summarizer
from nnwidgets.introspect.tally import Tally

_new: Any = object.__new__

# A frozen record sets each field through object.__setattr__, which costs six times the rest of making it. These twins
# have the same slots and are open; once filled, they are given the record's class.
_OpenEntry: Any = type("_OpenEntry", (), {"__slots__": TensorEntry.__slots__})
_OpenNode: Any = type("_OpenNode", (), {"__slots__": ModuleNode.__slots__})


def tree(module: object) -> ModuleTree:
    """Read a module: every module and tensor of it, ties and counts; its code isn't run and it isn't changed.

    Raises:
        InvalidTargetError: If ``module`` is not a module.

    Example:
        >>> from torch import nn
        >>> found = tree(nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10)))
        >>> found.n_params, [node.path for node in found.nodes]
        (7946, ['', '0', '1', '2'])
        >>> found.find("2.weight").shape
        (10, 256)
    """
    with quiet():
        reading = read(module)
        columns = Columns(reading)
        placement = place(reading, columns.sizes)
        groups = slot_groups(reading, placement)
        named, tie_of = tie_groups(reading, placement, groups)
        tally = Tally(reading, placement, groups, columns)
        nodes = _open_nodes(reading, columns, tally)
        entries = _open_entries(reading, columns, nodes)
        _mark_roles(reading, entries)
        _mark(reading, columns, tally, tie_of, entries)
        tensors = _close(reading, tally, nodes, entries)
    return ModuleTree(
        root=nodes[0],
        nodes=tuple(nodes),
        tensors=tensors,
        ties=named,
        n_params=nodes[0].n_params,
        n_params_trainable=tally.n_trainable(),
        size_bytes=tally.size_bytes(),
        n_params_torch=nodes[0].n_params_torch,
        why=nodes[0].why,
    )


class _Tails(dict[str, str]):
    """How a text key continues a path: ``.weight`` or ``["a.b"]``."""

    def __missing__(self, key: str) -> str:
        tail = self[key] = paths.join("x", paths.component(key))[1:]
        return tail


class _Classes(dict[int, tuple[str, Summarizer | None, bool]]):
    """By id of a class: its name, what summarizes its modules, and whether it is a norm that says no size."""

    def of(self, kind: type) -> tuple[str, Summarizer | None, bool]:
        """Work it out and keep it."""
        name, summarize = type_name(kind), summarizer(kind)
        known = self[id(kind)] = (name, summarize, summarize is None and "Norm" in name)
        return known


def _open_nodes(reading: Reading, columns: Columns, tally: Tally) -> list[Any]:
    """A node per row, still open and without what depends on others."""
    nodes: list[Any] = []
    classes, tails = _Classes(), _Tails()
    irregular = reading.irregular
    below: dict[int, list[Any]] = {row: [] for row in reading.inner}
    for row, (parent, key, module, own) in enumerate(
        zip(reading.parents, reading.keys, reading.modules, reading.owns, strict=True)
    ):
        node = _new(_OpenNode)
        nodes.append(node)
        if parent > 0 and type(key) is str:
            node.path = nodes[parent].path + tails[key]
        elif row:
            node.path = paths.join(nodes[parent].path, reading.step(row))
            if text_of(key) is None:
                tally.spoil(row, f"the key at {inert(node.path)} is not a string")
        else:
            node.path = ""
        if row:
            below[parent].append(node)
        kind = type(module)
        try:
            node.class_name, summarize, is_norm = classes[id(kind)]
        except KeyError:
            node.class_name, summarize, is_norm = classes.of(kind)
        node.key = key
        node.kind = "module"
        node.children = node.tensors = ()
        node.alias_of = node.problem = node.why = None
        if own is None:
            node.training, held = irregular[row][0] if row in irregular else None, own_dict(module)
        else:
            flag = own.get("training")
            node.training, held = flag if flag is True or flag is False else None, own
        node.summary = summarize(held) if summarize else columns.first_size(row) if is_norm else ""
    for row, children in below.items():
        nodes[row].children = tuple(children)
    return nodes


def _open_entries(reading: Reading, columns: Columns, nodes: list[Any]) -> list[Any]:
    """An entry per slot, still open, as if all were registered parameters without ties or problems."""
    entries: list[Any] = []
    tails = _Tails()
    bases = chain.from_iterable(map(repeat, [node.path for node in nodes], columns.n_slots))
    each = zip(
        reading.slot_names, bases, columns.kinds, columns.asking, columns.with_grad, columns.class_names, strict=True
    )
    for name, base, kind, asks, holds, class_name in each:
        entry = _new(_OpenEntry)
        entries.append(entry)
        entry.path = base + tails[name] if base and type(name) is str else ""
        entry.shape, entry.dtype, entry.device, entry.layout, n_elements, entry.size_bytes = kind
        entry.n_elements = entry.n_counted = n_elements
        entry.requires_grad = asks
        entry.has_grad = holds
        entry.class_name = class_name
        entry.role = "parameter"
        entry.persistent = True
        entry.tie = entry.problem = None
    for slot in [slot for slot, entry in enumerate(entries) if not entry.path]:
        entries[slot].path = reading.slot_path(slot)
    return entries


def _mark(reading: Reading, columns: Columns, tally: Tally, tie_of: dict[int, str], entries: list[Any]) -> None:
    """Set apart the entries that are not what `_open_entries` took them for."""
    for slot, problem in (tally.freed() | columns.problems).items():
        entries[slot].problem = problem
    for slot in columns.without_shape:
        if entries[slot].role == "parameter":
            tally.spoil(reading.owner(slot), f"{inert(entries[slot].path)} has no shape yet")
    for slot in tally.odd:
        entries[slot].n_counted = tally.distinct(slot)
    for slot in tally.repeated:
        entries[slot].n_counted = tally.n_new(slot)
    for slot, tie in tie_of.items():
        entries[slot].tie = tie


def _mark_roles(reading: Reading, entries: list[Any]) -> None:
    """Set apart the entries that are not parameters."""
    for row, (at_buffers, at_unregistered) in reading.splits.items():
        if at_buffers < at_unregistered:
            left_out = _non_persistent(reading, row)
            for slot in range(at_buffers, at_unregistered):
                entry = entries[slot]
                entry.role = "buffer"
                if left_out:
                    name = reading.slot_names[slot]
                    entry.persistent = type(name) is not str or name not in left_out
        for slot in range(at_unregistered, reading.first_slot[row + 1]):
            entry = entries[slot]
            entry.role = "unregistered"
            entry.persistent = False
            entry.path = reading.slot_path(slot)


def _non_persistent(reading: Reading, row: int) -> Any:
    """The names of buffers that ``state_dict`` leaves out; none where these can't be read."""
    own = reading.owns[row]
    names: Any = reading.irregular[row][1] if own is None else own.get("_non_persistent_buffers_set")
    return names if type(names) is set or type(names) is frozenset else ()


def _close(reading: Reading, tally: Tally, nodes: list[Any], entries: list[Any]) -> tuple[TensorEntry, ...]:
    """Fill in what depends on all rows, and give nodes and entries their class; returns the entries."""
    for entry in entries:
        entry.__class__ = TensorEntry
    n_params, n_torch, whys = tally.counts()
    for row, target in reading.first_met.items():
        node, met = nodes[row], nodes[target]
        node.kind = "cycle" if reading.is_cycle(row) else "alias"
        node.alias_of, node.training, node.summary = met.path, met.training, met.summary
    for row, why in whys.items():
        nodes[row].why = why
    for row, problem in reading.problems.items():
        nodes[row].problem = problem
    begin, tensors = 0, tuple(entries)
    for node, n, n_as_torch, end in zip(nodes, n_params, n_torch, islice(reading.first_slot, 1, None), strict=True):
        node.n_params = n
        node.n_params_torch = n_as_torch
        if end != begin:
            node.tensors = tensors[begin:end]
            begin = end
        node.__class__ = ModuleNode
    return tensors
