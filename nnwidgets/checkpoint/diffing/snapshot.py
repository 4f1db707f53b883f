"""A mark of a model: what its tensors were, in memory, to be compared with what they are later."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch

from nnwidgets.checkpoint.bytes_equal import as_contiguous_cpu
from nnwidgets.checkpoint.diffing.diff import diff_of
from nnwidgets.checkpoint.diffing.digests import DigestTensor
from nnwidgets.checkpoint.diffing.operands import LiveTensor, MadeSide, Operand, OperandTensor, tensors_here
from nnwidgets.checkpoint.state_dict import name_in_state_dict
from nnwidgets.edit.log import log_of
from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import budget_text, counted, shape_text, short_bytes
from nnwidgets.introspect.records import Record
from nnwidgets.introspect.safe_access.exclusion import alone_with
from nnwidgets.introspect.safe_access.objects import type_name
from nnwidgets.introspect.safe_access.scan import gc_paused
from nnwidgets.introspect.safe_access.tensors import plain_torch
from nnwidgets.introspect.statistics.exact_stats import each_stats
from nnwidgets.introspect.stats_table import Moved
from nnwidgets.introspect.tracing.unsharded import live_with_shards

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True, repr=False, eq=False, weakref_slot=True)
class Snapshot(Record, MadeSide):
    """What a model's tensors were when it was made; holds no tensor of the model.

    Attributes:
        model: The class of the model.
        time: Seconds since the epoch.
        n_tensors: How many tensors it has, each name counted.
        n_elements: Their elements, once for names of the same tensor.
        size_bytes: What it holds in memory.
        has_values: Whether it has the values, and not digests and statistics alone.
        unread: Tensors that couldn't be read, and why.
    """

    model: str
    time: float
    n_tensors: int
    n_elements: int
    size_bytes: int
    has_values: bool
    unread: Mapping[str, str]
    _parts: Mapping[str, OperandTensor] = field(repr=False)

    @property
    def label(self) -> str:
        """What it is called: the model's class, and the time of day."""
        return f"{self.model} at {clock.strftime('%H:%M:%S', clock.localtime(self.time))}"

    def __repr__(self) -> str:
        kept = "values" if self.has_values else "digests and statistics"
        left = f", {len(self.unread):,} unread" if self.unread else ""
        told = f"{counted(self.n_tensors, 'tensor')}, {kept} in {short_bytes(self.size_bytes)}"
        return f"Snapshot({self.label}: {told}{left})"

    __str__ = __repr__

    def as_operand(self) -> Operand:
        """It, as a side of `diff`."""
        return Operand(self.label, self._parts)

    def moved(self, module: object) -> dict[str, Moved]:
        """How far each tensor of a model has moved since, by path; one that can't be compared says why.

        Raises:
            InvalidTargetError: ``module`` is no module.

        Example:
            >>> from torch import nn
            >>> net = nn.Linear(2, 3)
            >>> mark = snapshot(net)
            >>> _ = net.weight.data.mul_(1.5)
            >>> moved = mark.moved(net)
            >>> round(moved["weight"].by, 5), moved["bias"].by
            (0.5, 0.0)
        """
        live = live_with_shards(module)
        parts, _ = tensors_here(live)
        found = diff_of(self.as_operand(), Operand("", parts, live=live))
        was = {path: f"{name} in the mark" for name, path in found.renames.items()}
        by_name = {name: Moved(0.0, was.get(name, "")) for name in found.equal}
        by_name |= {name: Moved(None, "not in the mark") for name in found.added}
        for each in found.changed:
            said = {
                "shape": f"{shape_text(each.shapes[0])} in the mark", "dtype": f"{each.dtypes[0]} in the mark",
            }.get(each.kind, each.note)  # fmt: skip
            told = " · ".join(filter(None, (said, was.get(each.path))))
            by_name[each.path] = Moved(each.relative_norm, told)
        paths = ((path, name_in_state_dict(path)) for path in live.tensors)
        return {path: by_name[name] for path, name in paths if name in by_name}


def snapshot(module: object, *, values: bool = True) -> Snapshot:
    """Mark what a model's tensors are now, to tell later what moved: ``diff(net, mark)``, ``stats(net, since=mark)``.

    The copies are on the CPU and count as undo copies do: with those of the model's other marks they have to fit its
    undo budget (2 GiB, unless `nnwidgets.edit.set_budget` says otherwise), and older undo copies that no longer fit
    beside them are dropped. They are let go of with the mark.

    Args:
        module: The model: its parameters and the buffers that ``state_dict`` saves. None of its code runs.
        values: Whether to keep the values; else digests and statistics alone, which tell what moved but not by how
            much, and take next to no memory.

    Returns:
        The mark, a side of `diff`.

    Raises:
        InvalidTargetError: ``module`` is no module, or the copies don't fit the undo budget.

    Example:
        >>> from torch import nn
        >>> from nnwidgets.checkpoint import diff
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        >>> mark = snapshot(net)
        >>> mark.n_tensors, mark.size_bytes
        (4, 52)
        >>> _ = nn.init.ones_(net[1].weight)
        >>> [change.path for change in diff(mark, net).changed]
        ['1.weight']
    """
    log = log_of(module)
    with alone_with(module), gc_paused():
        live = live_with_shards(module)
        parts, unread = tensors_here(live)
        first = _first_of_same(parts)
        distinct = {name: part for name, part in parts.items() if first[name] == name}
        size = sum(part.n_bytes for part in distinct.values()) if values else _DIGEST_BYTES * len(distinct)
        if values:
            _check_room(size, log.marked_bytes, log.budget_bytes)
        kept = _copies(distinct) if values else _digests(distinct)
        made = Snapshot(
            model=type_name(type(module)),
            time=clock.time(),
            n_tensors=len(parts),
            n_elements=sum(math.prod(part.shape) for part in distinct.values()),
            size_bytes=size,
            has_values=values,
            unread=MappingProxyType(unread),
            _parts=MappingProxyType({name: kept[first[name]] for name in parts}),
        )
        log.add_mark(made)
        return made


def _check_room(size: int, marked: int, budget: int) -> None:
    if size + marked <= budget:
        return
    beside = f" beside {short_bytes(marked)} of other marks" if marked else ""
    raise InvalidTargetError(
        f"A mark of this model takes {short_bytes(size)}{beside}; marks and undo copies of a model may hold "
        f"{budget_text(budget)}.",
        hint="snapshot(net, values=False) keeps digests and statistics alone; nnwidgets.edit.set_budget(net, n_bytes) "
        "raises the budget.",
    )


def _first_of_same(parts: Mapping[str, LiveTensor]) -> dict[str, str]:
    """For each name the first one of the very same tensor: tied tensors are copied once."""
    known: dict[Any, str] = {}
    made = {}
    for name, part in parts.items():
        data = part.data
        is_plain = data.layout is torch.strided and not data.is_quantized and data.numel() > 0
        place = (data.device, data.data_ptr(), data.dtype, data.shape, data.stride()) if is_plain else name
        flags = (data.is_conj(), data.is_neg()) if is_plain else ()
        made[name] = known.setdefault((place, flags), name)
    return made


def _copies(parts: Mapping[str, LiveTensor]) -> dict[str, OperandTensor]:
    with plain_torch():
        return {name: LiveTensor(_copy(part.data), part.part, part.of) for name, part in parts.items()}


def _copy(data: torch.Tensor) -> torch.Tensor:
    if data.is_quantized or data.layout is not torch.strided:
        return data.cpu().clone()
    dense = as_contiguous_cpu(data)
    return dense.clone() if dense.data_ptr() == data.data_ptr() else dense


def _digests(parts: Mapping[str, LiveTensor]) -> dict[str, OperandTensor]:
    found: Iterable[Any] = each_stats([part.data for part in parts.values()])
    with plain_torch():
        return {name: DigestTensor(part, stats) for (name, part), stats in zip(parts.items(), found, strict=True)}
