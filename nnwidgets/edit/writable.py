"""Whether tensors can be written in place, and which of several to write where they share bytes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

from nnwidgets.edit.over_ranks.part import data_of, part_of
from nnwidgets.edit.targets import TensorTarget
from nnwidgets.edit.undo_copy.memory_blocks import overlaps_itself, piece_of
from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import shape_text
from nnwidgets.introspect.records import Held
from nnwidgets.introspect.safe_access.holders import is_dtensor, local_shard
from nnwidgets.introspect.safe_access.objects import ORDINARY, no_torch_function, type_name
from nnwidgets.introspect.safe_access.tensors import (
    as_plain_tensor,
    how_to_read,
    plain_runs,
    plain_torch,
    torch_attribute,
    unreadable_reason,
)
from nnwidgets.introspect.sharing import byte_ranges

_MOST_NAMED = 3


def check_writable(places: Sequence[TensorTarget], *, parts: bool = False) -> list[torch.Tensor]:
    """Give the plain data of tensors that can all be written in place.

    Args:
        places: The tensors.
        parts: Whether a DTensor can be: its data is then the part that is here.

    Raises:
        InvalidTargetError: One can't, and why.
    """
    tensors = [place.tensor for place in places]
    data = plain_runs(tensors)
    # Of torch's own classes, each one run of memory: what doesn't ask for gradients is a leaf too.
    are_whole = all(place.entry.held is None for place in places)
    if data is not None and are_whole and all(map(_is_leaf, tensors)) and not any(map(_is_inference, tensors)):
        return data
    for place in places:
        held = place.entry.held
        with no_torch_function():
            if parts and held is not None and held.placements:
                part_of(place.tensor, place.path)
                problem, hint = _why_not(local_shard(place.tensor), None)
            else:
                problem, hint = _why_not(place.tensor, held)
        if problem:
            raise InvalidTargetError(f"{place.path} can't be written: {problem}.", path=place.path, hint=hint)
    return [as_plain_tensor(data_of(tensor)) for tensor in tensors]


_is_leaf: Any = torch.Tensor.is_leaf.__get__  # type: ignore[attr-defined] # it is a property
_is_inference: Any = torch.Tensor.is_inference


def _why_not(tensor: Any, held: Held | None) -> tuple[str, str]:  # noqa: PLR0911 - one reason each
    if held is not None and held.kind == "shard" and (held.is_part or held.placements):
        here = f"this process has {shape_text(held.local_shape)} of {shape_text(held.shape)}"
        return (
            f"it is {held.how}, and {here if held.is_part else 'other ranks have it too'}",
            "Change it before it is sharded; a change on one process alone would leave the others as they are.",
        )
    if held is not None and held.kind == "wrapper":
        return f"it is a {type_name(type(tensor))}, {held.how}", "Change the model before its tensors are made so."
    reason = unreadable_reason(tensor)
    if reason is not None:
        return reason, how_to_read(tensor)
    if torch_attribute(tensor, "layout") is not torch.strided:
        return (
            f"its layout is {torch_attribute(tensor, 'layout')}, expected torch.strided",
            "Put a dense tensor in its place, such as its to_dense(), and change that.",
        )
    if torch_attribute(tensor, "is_quantized"):
        return f"it is quantized ({torch_attribute(tensor, 'dtype')})", "Change the float model and quantize it again."
    if torch_attribute(tensor, "is_inference")():
        return (
            "it was made in inference mode, where torch forbids changes in place outside of it",
            "Replace it by tensor.clone() made outside inference mode.",
        )
    kind = type(tensor)
    if id(kind) not in ORDINARY and not _is_ordinary_below(kind):
        return (
            f"it is a {type_name(kind)}, whose bytes are kept by its own class",
            "Change the local tensors it is made of.",
        )
    if torch_attribute(tensor, "requires_grad") and not torch_attribute(tensor, "is_leaf"):
        return (
            "it is computed from other tensors, so the next forward would overwrite it",
            "Change the tensor it is computed from.",
        )
    data = as_plain_tensor(tensor)
    if not data.is_contiguous() and overlaps_itself(data):
        return "some of its elements are the same memory (it was expanded)", "Change the tensor it is a view of."
    return "", ""


def _is_ordinary_below(kind: type) -> bool:
    """A subclass of Tensor or Parameter that leaves operations as they are."""
    own = getattr(kind, "__torch_function__", None)
    plain_function = own is torch._C._disabled_torch_function_impl or (  # noqa: SLF001 - what Parameter has
        getattr(own, "__func__", None) is torch.Tensor.__torch_function__.__func__  # type: ignore[attr-defined]
    )
    return plain_function and kind.__dict__.get("__torch_dispatch__") is None and "DTensor" not in kind.__name__


def distinct_memory(places: Sequence[TensorTarget]) -> tuple[list[TensorTarget], list[str]]:
    """Leave out places whose bytes earlier ones have, and say where they overlap in part.

    Returns:
        The places to fill, in order, and warnings.
    """
    first_of, ranges = _memory_of(places)
    if not first_of:
        return list(places), []
    shared = _bytes_by_owners(places, ranges)
    kept: list[TensorTarget] = []
    written: set[int] = set()
    warnings: list[str] = []
    for index, place in enumerate(places):
        if first_of.get(index, index) != index:
            continue
        met = sorted({each for owners in shared.get(index, ()) for each in owners if each in written})
        if met and all(not owners.isdisjoint(written) for owners in shared[index]):
            if not any(_is_view(ranges[index], ranges[each]) for each in met):
                names = ", ".join(places[each].path for each in met[:_MOST_NAMED])
                warnings.append(f"{place.path} lies within {names} and is filled with it.")
            continue
        if met:
            warnings.append(
                f"{place.path} overlaps {places[met[0]].path}: it is filled after it, "
                "and their common elements get its numbers."
            )
        written.add(index)
        kept.append(place)
    return kept, warnings


def n_distinct_elements(places: Sequence[TensorTarget]) -> int:
    """How many elements places have together, those in common once, and those on other ranks too."""
    first_of, ranges = _memory_of(places)
    sizes = [as_plain_tensor(place.tensor) for place in places]
    ranges = {index: found for index, found in ranges.items() if not places[index].entry.placements}
    n = sum(
        place.entry.n_elements
        for index, place in enumerate(places)
        if first_of.get(index, index) == index and index not in ranges
    )
    for held in _by_device(places, ranges):
        for owners, n_bytes in byte_ranges.coverage(held).items():
            n += n_bytes // sizes[min(owners)].element_size()
    return n


def _by_device(
    places: Sequence[TensorTarget], ranges: dict[int, byte_ranges.ByteRanges]
) -> Collection[list[byte_ranges.ByteRanges]]:
    found: dict[torch.device, list[byte_ranges.ByteRanges]] = {}
    for index, each in ranges.items():
        found.setdefault(places[index].tensor.device, []).append(each)
    return found.values()


def _memory_of(places: Sequence[TensorTarget]) -> tuple[dict[int, int], dict[int, byte_ranges.ByteRanges]]:
    """Of places that are tied, by index: the first one over the very same bytes, and those bytes of each first one."""
    sites: dict[tuple[Any, ...], int] = {}
    first_of: dict[int, int] = {}
    ranges: dict[int, byte_ranges.ByteRanges] = {}
    with plain_torch():
        for index, place in enumerate(places):
            found = piece_of(as_plain_tensor(place.tensor), index) if place.entry.tie is not None else None
            if is_dtensor(type(place.tensor)):
                # The same on all ranks, one that has no element of it too.
                first_of[index] = sites.setdefault((id(place.tensor),), index)
            elif found is not None:
                first_of[index] = sites.setdefault((place.tensor.device, *found[:3]), index)
            if found is not None and first_of[index] == index:
                ranges[index] = found
    return first_of, ranges


def _bytes_by_owners(
    places: Sequence[TensorTarget], ranges: dict[int, byte_ranges.ByteRanges]
) -> dict[int, list[frozenset[int]]]:
    """For each place, by index: the sets of places that have some of its bytes together, itself among them."""
    shared: dict[int, list[frozenset[int]]] = {}
    for held in _by_device(places, ranges):
        for owners in byte_ranges.coverage(held):
            for owner in owners:
                shared.setdefault(owner, []).append(owners)
    return shared


def _is_view(one: byte_ranges.ByteRanges, other: byte_ranges.ByteRanges) -> bool:
    return one.start == other.start and byte_ranges.n_bytes(one) == byte_ranges.n_bytes(other)
