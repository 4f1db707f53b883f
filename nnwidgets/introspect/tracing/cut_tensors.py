"""Which plain tensors of a forward are parts of larger ones: what DTensors gave away, and what was made of it.

A tensor parallel layer works on DTensors, whose shapes are the whole's, and hands on what they hold here, whose shapes
aren't: attention between two such layers runs on this rank's heads alone. A storage is known as cut from the DTensor
over it, and what operators make of it is cut alike, until a collective has brought the parts together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.multiprocessing.reductions import StorageWeakRef

from nnwidgets.introspect.data_flow.sources import memory_of
from nnwidgets.introspect.safe_access.holders import is_dtensor, local_shard
from nnwidgets.introspect.safe_access.tensors_in import tensors_among

Cuts = dict[str, int | None]
"""By the name of a group of ranks, into how many equal parts it cuts a tensor; None where they aren't equal."""

_COLLECTIVE = "_c10d_functional"
_COPYING = ("fsdp", "c10d")
"""Operators of these make whole tensors of parts, in memory that they are given."""
_JOINING = ("all_reduce", "all_gather", "broadcast")


class CutTensors:
    """The storages that hold a part of a tensor, while a forward runs."""

    def __init__(self) -> None:
        self._cuts: dict[int, tuple[StorageWeakRef, Cuts]] = {}
        self._has_met_any = False

    def __bool__(self) -> bool:
        """Whether the forward has met a DTensor."""
        return self._has_met_any

    def note(self, tensors: Iterable[Any]) -> None:
        """Know what DTensors hold here."""
        self._has_met_any = True
        for tensor in tensors:
            local = local_shard(tensor) if is_dtensor(type(tensor)) else None
            if local is not None:
                self._set(local, _cuts_of(tensor._spec))  # noqa: SLF001 - torch's own record

    def of(self, tensors: Iterable[Any]) -> Cuts:
        """How tensors are cut that meet in an operator."""
        made: Cuts = {}
        for tensor in tensors if self._cuts else ():
            held = self._cuts.get(memory_of(tensor))
            made |= {} if held is None else held[1]
        return made

    def follow(self, operator: Any, args: tuple[Any, ...], cuts: Cuts, result: Any) -> None:
        """Know what an operator made of cut tensors."""
        if not cuts:
            return
        namespace, _, name = str(getattr(operator, "_qualified_op_name", "")).partition("::")
        if namespace in _COPYING:
            return
        if namespace.startswith(_COLLECTIVE) and name.startswith(_JOINING):
            cuts = {group: n for group, n in cuts.items() if group not in args}
        for tensor in tensors_among(result):
            self._set(tensor, self.of((tensor,)) | cuts)

    def _set(self, tensor: Any, cuts: Cuts) -> None:
        key = memory_of(tensor)
        if cuts and key:
            self._cuts[key] = StorageWeakRef(tensor.untyped_storage()), cuts  # type: ignore[no-untyped-call] # torch's
        else:
            self._cuts.pop(key, None)


def _cuts_of(spec: Any) -> Cuts:
    """How a DTensor is cut; a dimension that several groups cut has the parts of all."""
    made: Cuts = {}
    n_parts: dict[int, int] = {}
    for at, placement in enumerate(spec.placements):
        dim = getattr(placement, "dim", None)
        if type(dim) is int:
            n_parts[dim] = n_parts.get(dim, 1) * spec.mesh.size(at)
    for at, placement in enumerate(spec.placements):
        dim = getattr(placement, "dim", None)
        if type(dim) is int:
            is_even = spec.tensor_meta is not None and spec.tensor_meta.shape[dim] % n_parts[dim] == 0
            made[spec.mesh.get_group(at).group_name] = spec.mesh.size(at) if is_even else None
    return made
