"""`tree`: one reading of a module, made into records."""

from __future__ import annotations

from itertools import islice
from typing import Any

import torch

from nnwidgets.introspect import paths
from nnwidgets.introspect.facts import Kind, Kinds, facts, freed, has_grad
from nnwidgets.introspect.guard import instance_dict, own_dict, text_of, type_name
from nnwidgets.introspect.labels import inert
from nnwidgets.introspect.placement import ORDINARY
from nnwidgets.introspect.reading import Reading, quiet, read
from nnwidgets.introspect.records import ModuleNode, ModuleTree, TensorEntry
from nnwidgets.introspect.storage import place, slot_groups, tie_groups
from nnwidgets.introspect.summaries import Summarizer, norm_summary, summarizer
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
    reading = read(module)
    with quiet():
        placement = place(reading)
        groups = slot_groups(reading, placement)
        named, tie_of = tie_groups(reading, placement, groups)
        tally = Tally(reading, placement, groups)
        nodes, entries = _records(reading, tally, tie_of)
        _close(reading, tally, nodes)
    return ModuleTree(
        root=nodes[0],
        nodes=tuple(nodes),
        tensors=tuple(entries),
        ties=named,
        n_params=nodes[0].n_params,
        n_params_trainable=tally.n_trainable(),
        size_bytes=tally.size_bytes(),
        n_params_torch=nodes[0].n_params_torch,
        why=nodes[0].why,
    )


class _Classes(dict[int, tuple[str, Summarizer | None, bool]]):
    """By id of a class: its name, what summarizes its modules, and whether it is a norm that says no size."""

    def of(self, kind: type) -> tuple[str, Summarizer | None, bool]:
        """Work it out and keep it."""
        name, summarize = type_name(kind), summarizer(kind)
        known = self[id(kind)] = (name, summarize, summarize is None and "Norm" in name)
        return known


def _records(reading: Reading, tally: Tally, tie_of: dict[int, str]) -> tuple[list[Any], list[TensorEntry]]:  # noqa: C901, PLR0912, PLR0915
    """An open node per row and a closed record per tensor; one loop, flat for its speed."""
    nodes: list[Any] = []
    entries: list[TensorEntry] = []
    slots, splits, first_met = reading.slots, reading.splits, reading.first_met
    irregular, problems = reading.irregular, reading.problems
    starts, odd, repeated = tally.starts, tally.odd, tally.repeated
    weights, sizes, own, trainable = tally.weights, tally.sizes, tally.own, tally.trainable
    kinds, classes, prefixes = Kinds(), _Classes(), [""]
    steps: dict[str, str] = {}
    begins = zip(reading.first_slot, islice(reading.first_slot, 1, None), strict=False)
    for row, (module, parent, key, (begin, end)) in enumerate(
        zip(reading.modules, reading.parents, reading.keys, begins, strict=True)
    ):
        if type(key) is str:
            step = steps.get(key) or steps.setdefault(key, paths.component(key))
            path = prefixes[parent] + step if step[0] != "[" else nodes[parent].path + step
        elif row:
            path = paths.join(nodes[parent].path, reading.step(row))
            if text_of(key) is None:
                tally.spoil(row, f"the key at {inert(path)} is not a string")
        else:
            path = ""
        prefix = path + "." if path else ""
        if row:
            prefixes.append(prefix)
        node = _new(_OpenNode)
        nodes.append(node)
        kind = type(module)
        class_name, summarize, is_norm = classes.get(id(kind)) or classes.of(kind)
        node.path = path
        node.key = key
        node.class_name = class_name
        node.kind = "module"
        node.children = node.tensors = ()
        node.summary = ""
        node.alias_of = node.problem = node.why = None
        if row in first_met:
            own.append(0)
            continue
        if row in irregular or row in problems:
            held: dict[str, Any] = own_dict(module)
            node.training = irregular[row][0] if row in irregular else None
        else:
            held = instance_dict(module)
            flag = held.get("training")
            node.training = flag if flag is True or flag is False else None
        if summarize:
            node.summary = summarize(held)
        if begin == end:
            own.append(0)
            continue
        mine: list[Any] = []
        n_own = 0
        at_buffers, at_unregistered = splits.get(row) or (end, end)
        for slot in range(begin, end):
            name, tensor = slots[slot]
            if tensor is None:
                continue
            entry = _new(_OpenEntry)
            mine.append(entry)
            common: Kind | None = None
            entry.problem = None
            if id(type(tensor)) in ORDINARY and (layout := tensor.layout) is torch.strided:
                try:
                    common = kinds[tensor.shape, tensor.dtype, tensor.device, layout]
                    entry.requires_grad = asks = tensor.requires_grad
                    entry.has_grad = tensor.grad is not None if tensor.is_leaf else has_grad(tensor)
                except RuntimeError:
                    common = None
            if common is None:
                common, asks, entry.has_grad, entry.problem = facts(tensor)
                entry.requires_grad = asks
            entry.class_name = (classes.get(id(type(tensor))) or classes.of(type(tensor)))[0]
            entry.shape, entry.dtype, entry.device, entry.layout, n_elements, entry.size_bytes = common
            entry.n_elements = n_elements
            if slot >= at_unregistered:
                entry.role = "unregistered"
                entry.persistent = False
                step = name
            else:
                entry.role = "parameter" if slot < at_buffers else "buffer"
                entry.persistent = slot < at_buffers or _is_persistent(reading, row, held, name)
                if type(name) is str:
                    step = steps.get(name) or steps.setdefault(name, paths.component(name))
                else:
                    step = reading.slot_name(slot, row)
            entry.path = prefix + step if step[0] != "[" else path + step
            if not starts[slot] and entry.size_bytes and entry.problem is None:
                entry.problem = freed(tensor)
            if slot in odd:
                n_elements = tally.distinct(slot, n_elements)
            sizes[slot] = entry.size_bytes
            if slot < at_buffers:
                weights[slot] = n_elements
                n_own += n_elements
                if asks:
                    trainable.append(slot)
                if common.shape is None:
                    tally.spoil(row, f"{inert(entry.path)} has no shape yet")
            entry.tie = tie_of.get(slot)
            entry.n_counted = n_elements if slot not in repeated else tally.n_new(slot, n_elements)
            entry.__class__ = TensorEntry
        own.append(n_own)
        node.tensors = tuple(mine)
        entries += mine
        if is_norm and mine:
            node.summary = norm_summary(mine[0].shape)
    return nodes, entries


def _is_persistent(reading: Reading, row: int, held: dict[str, Any], name: Any) -> bool:
    if row in reading.irregular:
        return name not in reading.irregular[row][1]
    names = held.get("_non_persistent_buffers_set")
    return type(name) is not str or type(names) is not set or name not in names


def _close(reading: Reading, tally: Tally, nodes: list[Any]) -> None:
    """Fill in what depends on all rows, and give the nodes their class."""
    below: dict[int, list[Any]] = {}
    for node, parent in zip(nodes, reading.parents, strict=True):
        if parent in below:
            below[parent].append(node)
        else:
            below[parent] = [node]
    del below[-1]
    for row, children in below.items():
        nodes[row].children = tuple(children)
    n_params, n_torch, whys = tally.counts()
    for row, target in reading.first_met.items():
        node, met = nodes[row], nodes[target]
        node.kind = "cycle" if reading.is_cycle(row) else "alias"
        node.alias_of, node.training, node.summary = met.path, met.training, met.summary
    for row, why in whys.items():
        nodes[row].why = why
    for row, problem in reading.problems.items():
        nodes[row].problem = problem
    for node, n, n_as_torch in zip(nodes, n_params, n_torch, strict=True):
        node.n_params = n
        node.n_params_torch = n_as_torch
        node.__class__ = ModuleNode
