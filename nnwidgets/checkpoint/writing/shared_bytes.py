"""Which of the tensors to be saved have bytes in common: exact, by addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nnwidgets.introspect.sharing import byte_ranges


@dataclass(frozen=True, slots=True)
class SharingGroup:
    """Tensors whose bytes hang together.

    Attributes:
        members: Their indices, in order; two or more.
        is_same: Whether all are the same elements in the same form, so that one of them is all of them.
    """

    members: tuple[int, ...]
    is_same: bool


def sharing_groups(tensors: Sequence[torch.Tensor]) -> list[SharingGroup]:
    """Group plain strided tensors that have bytes in common, ordered by their first members.

    Example:
        >>> w, b = torch.zeros(4, 3), torch.zeros(4)
        >>> sharing_groups([w, b, w.t(), w.detach()])
        [SharingGroup(members=(0, 2, 3), is_same=False)]
    """
    by_device: dict[Any, list[byte_ranges.ByteRanges]] = {}
    for index, tensor in enumerate(tensors):
        ranges = byte_ranges.piece(
            tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.element_size(), index
        )
        if ranges is not None and ranges.start:
            by_device.setdefault(tensor.device, []).append(ranges)
    found = sorted(members for ranges in by_device.values() for members in byte_ranges.connected(ranges))
    return [SharingGroup(members, _is_same([tensors[index] for index in members])) for members in found]


def _is_same(tensors: list[torch.Tensor]) -> bool:
    first = element_key(tensors[0])
    return all(element_key(each) == first for each in tensors)


def element_key(tensor: torch.Tensor) -> tuple[Any, ...]:
    """What two plain tensors have in common where they are the same elements in the same order."""
    # A step along a dimension of one element leads nowhere.
    strides = tuple(stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size != 1)
    return tensor.data_ptr(), tuple(tensor.shape), strides, tensor.dtype, tensor.is_conj(), tensor.is_neg()
