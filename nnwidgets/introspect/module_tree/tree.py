"""`tree`: one scan of a module, made into records."""

from __future__ import annotations

from itertools import islice
from typing import Any

from nnwidgets.formatting import inert
from nnwidgets.introspect.handles import over_handles
from nnwidgets.introspect.module_tree.counts import ParameterCounts
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.module_tree.shape_summary import Summarizer, summarizer
from nnwidgets.introspect.module_tree.tensor_metadata import TensorTable
from nnwidgets.introspect.records import TensorEntry
from nnwidgets.introspect.safe_access.objects import base_names, no_torch_function, own_dict, text_of, type_name
from nnwidgets.introspect.safe_access.scan import ModelScan, gc_paused, read
from nnwidgets.introspect.sharing.ties import address_intervals, slot_groups, tie_groups

_new: Any = object.__new__


def mutable_class(record: type) -> Any:
    """Return a class with the slots of a frozen record, to make an object of, fill, and then give the record's class.

    A frozen record sets each field through ``object.__setattr__``, which costs six times the rest of making it.

    Example:
        >>> from nnwidgets.introspect.records import TieGroup
        >>> made = mutable_class(TieGroup)()
        >>> made.id, made.kind, made.members, made.shared_bytes = "A", "view", ("a", "b"), 8
        >>> made.__class__ = TieGroup
        >>> made == TieGroup("A", "view", ("a", "b"), 8)
        True
    """
    return type(f"_Open{record.__name__}", record.__bases__, {"__slots__": record.__slots__})  # type: ignore[attr-defined] # it has


_OpenEntry, _OpenNode = mutable_class(TensorEntry), mutable_class(ModuleNode)


@over_handles
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
    return tree_of(read(module))


def tree_of(scan: ModelScan) -> ModuleTree:
    """Make the tree of what was read."""
    return counted_tree(scan)[0]


def counted_tree(scan: ModelScan) -> tuple[ModuleTree, ParameterCounts]:
    """Make the tree of what was read, and give the counts that it was made with."""
    with no_torch_function(), gc_paused():
        table = TensorTable(scan)
        addresses = address_intervals(scan, table.sizes)
        groups = slot_groups(scan, addresses)
        named, tie_of = tie_groups(scan, addresses, groups)
        param_counts = ParameterCounts(scan, addresses, groups, table)
        for row in scan.places:
            if row and text_of(scan.keys[row]) is None:
                param_counts.mark_uncountable(row, f"the key at {inert(scan.row_paths[row])} is not a string")
        entries = _open_entries(scan, table)
        _mark_roles(scan, entries)
        _mark(scan, table, param_counts, tie_of, entries)
        for entry in entries:
            entry.__class__ = TensorEntry
        tensors = tuple(entries)
        nodes = _nodes(scan, table, param_counts, tensors)
    tree = ModuleTree(
        root=nodes[0],
        nodes=tuple(nodes),
        tensors=tensors,
        ties=named,
        n_params=nodes[0].n_params,
        n_params_trainable=param_counts.n_trainable(),
        size_bytes=param_counts.size_bytes(),
        local_bytes=nodes[0].local_bytes,
        n_params_torch=nodes[0].n_params_torch,
        why=nodes[0].why,
    )
    return tree, param_counts


_Class = tuple[str, tuple[str, ...], Summarizer | None, bool]


class _Classes(dict[int, _Class]):
    """By id of a class: its name, its bases', what summarizes its modules, whether it is a norm that says no size."""

    def of(self, kind: type) -> _Class:
        """Work it out and keep it."""
        name, summarize = type_name(kind), summarizer(kind)
        known = self[id(kind)] = (name, base_names(kind), summarize, summarize is None and "Norm" in name)
        return known


def _nodes(
    scan: ModelScan, table: TensorTable, param_counts: ParameterCounts, tensors: tuple[TensorEntry, ...]
) -> list[ModuleNode]:
    """A node per row."""
    nodes: list[Any] = []
    classes, irregular = _Classes(), scan.irregular
    n_params, n_torch, whys = param_counts.counts()
    ends, local = islice(scan.first_slot, 1, None), param_counts.bytes_by_row()
    each = zip(scan.row_paths, scan.keys, scan.modules, scan.owns, n_params, n_torch, local, ends, strict=True)
    begin = 0
    for path, key, module, own, n, n_as_torch, n_bytes, end in each:
        node = _new(_OpenNode)
        nodes.append(node)
        kind = type(module)
        try:
            node.class_name, node.bases, summarize, is_norm = classes[id(kind)]
        except KeyError:
            node.class_name, node.bases, summarize, is_norm = classes.of(kind)
        if own is None:
            row = len(nodes) - 1
            node.training, held = irregular[row][0] if row in irregular else None, own_dict(module)
        else:
            flag = own.get("training")
            node.training, held = flag if flag is True or flag is False else None, own
        node.summary = summarize(held) if summarize else table.first_size(len(nodes) - 1) if is_norm else ""
        node.path = path
        node.key = key
        node.kind = "module"
        node.children = ()
        node.tensors = () if begin == end else tensors[begin:end]
        begin = end
        node.n_params = n
        node.n_params_torch = n_as_torch
        node.local_bytes = n_bytes
        node.by_rank = ()
        node.alias_of = node.problem = node.why = None
    for row, why in whys.items():
        nodes[row].why = why
    for row, problem in scan.problems.items():
        nodes[row].problem = problem
    _join(scan, nodes)
    for node in nodes:
        node.__class__ = ModuleNode
    return nodes


def _join(scan: ModelScan, nodes: list[Any]) -> None:
    """Give nodes what they have of other nodes."""
    below: dict[int, list[Any]] = {row: [] for row in scan.inner}
    for parent, node in islice(zip(scan.parents, nodes, strict=True), 1, None):
        below[parent].append(node)
    for row, children in below.items():
        nodes[row].children = tuple(children)
    for row, target in scan.first_met.items():
        node, met = nodes[row], nodes[target]
        node.kind = "cycle" if scan.is_cycle(row) else "alias"
        node.alias_of, node.training, node.summary = met.path, met.training, met.summary


def _open_entries(scan: ModelScan, table: TensorTable) -> list[Any]:
    """An entry per slot, still open, as if all were registered parameters without ties or problems."""
    entries: list[Any] = []
    each = zip(scan.slot_paths, table.kinds, table.asking, table.with_grad, table.class_names, strict=True)
    for path, kind, asks, holds, class_name in each:
        entry = _new(_OpenEntry)
        entries.append(entry)
        entry.path = path
        entry.shape, entry.dtype, entry.device, entry.layout, n_elements, entry.size_bytes = kind
        entry.n_elements = entry.n_counted = n_elements
        entry.requires_grad = asks
        entry.has_grad = holds
        entry.class_name = class_name
        entry.role = "parameter"
        entry.persistent = True
        entry.tie = entry.problem = entry.held = None
    return entries


def _mark(
    scan: ModelScan, table: TensorTable, param_counts: ParameterCounts, tie_of: dict[int, str], entries: list[Any]
) -> None:
    """Set apart the entries that are not what `_open_entries` took them for."""
    for slot, problem in (param_counts.freed_reasons() | table.problems).items():
        entries[slot].problem = problem
    for slot in table.without_shape:
        if entries[slot].role == "parameter":
            param_counts.mark_uncountable(scan.owner(slot), f"{inert(entries[slot].path)} has no shape yet")
    for slot, held in table.held.items():
        entries[slot].held = held
    for slot in param_counts.odd:
        entries[slot].n_counted = param_counts.distinct(slot)
    for slot in param_counts.repeated:
        entries[slot].n_counted = param_counts.n_new(slot)
    for slot, tie in tie_of.items():
        entries[slot].tie = tie


def _mark_roles(scan: ModelScan, entries: list[Any]) -> None:
    """Set apart the entries that are not parameters."""
    for row, (at_buffers, at_unregistered) in scan.splits.items():
        if at_buffers < at_unregistered:
            left_out = _non_persistent(scan, row)
            for slot in range(at_buffers, at_unregistered):
                entry = entries[slot]
                entry.role = "buffer"
                if left_out:
                    name = scan.slot_names[slot]
                    entry.persistent = type(name) is not str or name not in left_out
        for slot in range(at_unregistered, scan.first_slot[row + 1]):
            entry = entries[slot]
            entry.role = "unregistered"
            entry.persistent = False


def _non_persistent(scan: ModelScan, row: int) -> Any:
    """The names of buffers that ``state_dict`` leaves out; none where these can't be read."""
    own = scan.owns[row]
    names: Any = scan.irregular[row][1] if own is None else own.get("_non_persistent_buffers_set")
    return names if type(names) is set or type(names) is frozenset else ()
