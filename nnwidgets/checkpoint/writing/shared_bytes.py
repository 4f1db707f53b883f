"""Which of the tensors to be saved have bytes in common: exact, by addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nnwidgets.introspect.sharing import byte_ranges


@dataclass(frozen=True, slots=True)
class Group:
    """Tensors whose bytes hang together.

    Attributes:
        members: Their indices, in order; two or more.
        is_same: Whether all are the same elements in the same form, so that one of them is all of them.
    """

    members: tuple[int, ...]
    is_same: bool


def groups(tensors: Sequence[torch.Tensor]) -> list[Group]:
    """Group plain strided tensors that have bytes in common, ordered by their first members.

    Example:
        >>> w, b = torch.zeros(4, 3), torch.zeros(4)
        >>> groups([w, b, w.t(), w.detach()])
        [Group(members=(0, 2, 3), is_same=False)]
    """
    by_device: dict[Any, list[byte_ranges.ByteRanges]] = {}
    for index, tensor in enumerate(tensors):
        made = byte_ranges.piece(
            tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.element_size(), index
        ) if tensor.numel() else None  # fmt: skip
        if made is not None and made.start:
            by_device.setdefault(tensor.device, []).append(made)
    found: list[tuple[int, ...]] = []
    for pieces in by_device.values():
        for cluster in byte_ranges.clusters(pieces):
            if len(cluster) > 1:
                found += _connected(cluster)
    return [Group(members, _is_same([tensors[index] for index in members])) for members in sorted(found)]


def _connected(cluster: list[byte_ranges.ByteRanges]) -> list[tuple[int, ...]]:
    """Members of a cluster that meet byte for byte, directly or through others."""
    sites: dict[tuple[int, byte_ranges.Dims, int], list[int]] = {}
    for start, dims, run, owner in cluster:
        sites.setdefault((start, dims, run), []).append(owner)
    holders = list(sites.values())
    leader = list(range(len(holders)))

    def first(site: int) -> int:
        while leader[site] != site:
            leader[site] = site = leader[leader[site]]
        return site

    if len(holders) > 1:
        for owners in byte_ranges.coverage(byte_ranges.ByteRanges(*site, at) for at, site in enumerate(sites)):
            roots = sorted(map(first, owners))
            for root in roots[1:]:
                leader[root] = roots[0]
    made: dict[int, list[int]] = {}
    for site, members in enumerate(holders):
        made.setdefault(first(site), []).extend(members)
    return [tuple(sorted(members)) for members in made.values() if len(members) > 1]


def _is_same(tensors: list[torch.Tensor]) -> bool:
    first = form(tensors[0])
    return all(form(each) == first for each in tensors)


def form(tensor: torch.Tensor) -> tuple[Any, ...]:
    """What two plain tensors have in common where they are the same elements in the same order."""
    # A step along a dimension of one element leads nowhere.
    strides = tuple(stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size != 1)
    return tensor.data_ptr(), tuple(tensor.shape), strides, tensor.dtype, tensor.is_conj(), tensor.is_neg()
