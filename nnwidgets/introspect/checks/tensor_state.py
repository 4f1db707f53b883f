"""What state a model's tensors are in: there at all, saved, of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch.nn.parameter import UninitializedParameter

from nnwidgets.formatting import counted
from nnwidgets.introspect.checks.findings import SingleFinding
from nnwidgets.introspect.safe_access.modules import own_attribute
from nnwidgets.introspect.safe_access.objects import is_a, is_tensor, type_name
from nnwidgets.introspect.safe_access.scan import ModelScan

_LAZY = UninitializedParameter.__mro__[1]
"""What lazy parameters and lazy buffers have in common."""

_MOST_LISTED = 4


def state_findings(scan: ModelScan) -> Iterator[SingleFinding]:
    """Yield what can be said of tensors without their data."""
    tensors = _sort_tensors(scan)
    yield from _find_uninitialized(scan, tensors.lazy)
    yield from _without_data(scan, tensors)
    yield from _non_persistent(scan)
    yield from _find_mixed(tensors)


@dataclass(slots=True)
class _Tensors:
    """The tensors of a model by what is known of them, each as slot and row."""

    lazy: list[tuple[int, int]] = field(default_factory=list)
    meta: list[tuple[int, int]] = field(default_factory=list)
    n_real: int = 0
    dtypes: Counter[torch.dtype] = field(default_factory=Counter)
    devices: Counter[torch.device] = field(default_factory=Counter)


def _sort_tensors(scan: ModelScan) -> _Tensors:
    """Sort all tensors in one pass, each class looked at once: models have a hundred thousand."""
    found = _Tensors()
    kinds: dict[int, tuple[bool, bool]] = {}
    dtypes: list[torch.dtype] = []
    devices: list[torch.device] = []
    slots, first, splits = scan.slots, scan.first_slot, scan.splits
    for row in range(len(scan.modules)):
        begin, end = first[row], first[row + 1]
        if begin == end:
            continue
        split = splits.get(row, (end, end))
        for slot in range(begin, end):
            tensor = slots[slot][1]
            kind = id(type(tensor))
            known = kinds.get(kind)
            if known is None:
                known = kinds[kind] = (is_tensor(tensor), is_a(tensor, _LAZY))
            if not known[0]:
                continue
            if known[1]:
                found.lazy.append((slot, row))
                continue
            if tensor.is_meta:
                found.meta.append((slot, row))
            else:
                found.n_real += 1
                if slot < split[1]:
                    devices.append(tensor.device)
            if slot < split[0]:
                dtypes.append(tensor.dtype)
    found.dtypes = Counter(
        {kind: n for kind, n in Counter(dtypes).items() if kind.is_floating_point or kind.is_complex}
    )
    found.devices = Counter(devices)
    return found


def _find_uninitialized(scan: ModelScan, slots: list[tuple[int, int]]) -> Iterator[SingleFinding]:
    lazy: dict[int, list[str]] = {}
    for slot, row in slots:
        lazy.setdefault(row, []).append(scan.slot_name(slot, row))
    for row, names in lazy.items():
        yield SingleFinding(
            "uninitialized",
            "note",
            row,
            scan.path(row),
            f"{_list_names(names)} of this {_class_name(scan, row)} {'is' if len(names) == 1 else 'are'} lazy: shapes "
            "come with the first forward. Until then there is nothing to count, initialize or give to an optimizer; "
            "call the model once on an input of the right shape.",
            None,
            f"{_class_name(scan, row)} {names}",
        )


def _without_data(scan: ModelScan, tensors: _Tensors) -> Iterator[SingleFinding]:
    """Tell of meta tensors: all alike is a model built without memory; some only is a load that stopped half-way."""
    if not tensors.meta:
        return
    if not tensors.n_real:
        yield SingleFinding(
            "uninitialized",
            "note",
            0,
            "",
            "The model is on the meta device: it has shapes and no data. to_empty(device=…) gives it memory, and "
            "loading a checkpoint its values.",
        )
        return
    for slot, row in tensors.meta:
        # accelerate keeps what is offloaded on meta and brings it in by a hook.
        offloaded = own_attribute(scan.modules[row], "_hf_hook") is not None
        name = scan.slot_name(slot, row)
        yield SingleFinding(
            "uninitialized",
            "note" if offloaded else "warning",
            row,
            scan.slot_path(slot),
            f"{name} has no data (it is on the meta device) while other parts of the model have: "
            + ("its hook brings it in when it is needed." if offloaded else "a forward through it will fail."),
            None,
            f"{_class_name(scan, row)} {name}",
        )


def _non_persistent(scan: ModelScan) -> Iterator[SingleFinding]:
    for row, (at, end) in scan.splits.items():
        names = _left_out(scan, row)
        if not names:
            continue
        for slot in range(at, end):
            name, tensor = scan.slots[slot]
            if tensor is not None and type(name) is str and name in names:
                yield SingleFinding(
                    "non-persistent-buffer",
                    "note",
                    row,
                    scan.slot_path(slot),
                    f"{name} is a buffer with persistent=False: it moves with the model, but state_dict() leaves it "
                    "out, so a checkpoint doesn't hold it and the class must make it anew.",
                    None,
                    f"{_class_name(scan, row)} {name}",
                )


def _left_out(scan: ModelScan, row: int) -> frozenset[str]:
    """Return the names of buffers that ``state_dict`` leaves out."""
    if row in scan.irregular:
        return scan.irregular[row][1]
    held = own_attribute(scan.modules[row], "_non_persistent_buffers_set")
    return frozenset(name for name in set.copy(held) if type(name) is str) if type(held) is set else frozenset()


def _find_mixed(tensors: _Tensors) -> Iterator[SingleFinding]:
    dtypes, devices = tensors.dtypes, tensors.devices
    if len(dtypes) > 1:
        listed = ", ".join(
            f"{count:,} of {str(kind).removeprefix('torch.')}" for kind, count in dtypes.most_common(_MOST_LISTED)
        )
        yield SingleFinding(
            "mixed-dtypes",
            "note",
            0,
            "",
            f"The model's parameters have {counted(len(dtypes), 'dtype')} ({listed}): an "
            "operation that meets two of them raises, unless autocast or the class converts.",
        )
    if len(devices) > 1:
        listed = ", ".join(f"{count:,} on {kind}" for kind, count in devices.most_common(_MOST_LISTED))
        yield SingleFinding(
            "mixed-devices",
            "note",
            0,
            "",
            f"The model's tensors are on {counted(len(devices), 'device')} ({listed}): a "
            "forward must move what it computes from one to the other.",
        )


def _list_names(names: list[str]) -> str:
    over = len(names) - _MOST_LISTED
    shown = names if over <= 0 else [*names[:_MOST_LISTED], f"{over} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _class_name(scan: ModelScan, row: int) -> str:
    return type_name(type(scan.modules[row]))
