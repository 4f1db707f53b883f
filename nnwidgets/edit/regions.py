"""The memory of some tensors, as blocks that have no byte in common, to be copied and put back.

A tensor that is one run of memory is saved as bytes, one with gaps element by element, so that what lies in the gaps
is left alone. Where tensors overlap in part, their hulls are saved, each byte once.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import torch

from nnwidgets.edit.undo_copy.digest import CHUNK_BYTES
from nnwidgets.introspect.sharing import byte_ranges
from nnwidgets.introspect.statistics.blocks import Runs, blocks


def blocks_of(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """Views that together hold every byte of ``tensors`` once, each at most `CHUNK_BYTES` long.

    Args:
        tensors: Plain strided tensors, as `readable.plain` gives them, of any devices.

    Example:
        >>> import torch
        >>> flat = torch.zeros(10)
        >>> [block.nbytes for block in blocks_of([flat[:6], flat[4:], flat])]
        [24, 16]
    """
    by_device: dict[torch.device, list[torch.Tensor]] = {}
    for tensor in tensors:
        if tensor.numel():
            by_device.setdefault(tensor.device, []).append(tensor)
    return [block for held in by_device.values() for block in _on_one_device(held)]


def turns_of(found: list[torch.Tensor], tensors: Sequence[torch.Tensor]) -> list[range] | None:
    """Order what `blocks_of` gave by tensor, in place.

    Returns:
        The blocks of each tensor, by index; None where tensors interlace or aren't all on the CPU.
    """
    if any(tensor.device.type != "cpu" for tensor in tensors):
        return None
    ends = sorted((*_ends(tensor), index) for index, tensor in enumerate(tensors) if tensor.numel())
    if any(stop > start for (_, stop, _), (start, _, _) in itertools.pairwise(ends)):
        return None
    starts = [start for start, _, _ in ends]
    turn = {id(block): ends[bisect.bisect_right(starts, block.data_ptr()) - 1][2] for block in found}
    found.sort(key=lambda block: turn[id(block)])
    counts = Counter(turn.values())
    edges = [0, *itertools.accumulate(counts[index] for index in range(len(tensors)))]
    return [range(start, stop) for start, stop in itertools.pairwise(edges)]


def _ends(tensor: torch.Tensor) -> tuple[int, int]:
    """Where a plain tensor that has elements begins and ends in memory."""
    reach = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + reach * tensor.element_size()


def piece_of(tensor: torch.Tensor, owner: int = 0) -> byte_ranges.Piece | None:
    """The bytes of a plain strided tensor; None where it has none."""
    return byte_ranges.piece(tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.element_size(), owner)


def overlaps_itself(tensor: torch.Tensor) -> bool:
    """Whether two elements of a plain strided tensor are the same memory."""
    found = piece_of(tensor)
    return found is not None and byte_ranges.n_bytes(found) < tensor.numel() * tensor.element_size()


def raw_bytes(tensor: torch.Tensor, address: int, n_bytes: int) -> torch.Tensor:
    """A run of bytes of a tensor's storage as a ``uint8`` tensor."""
    storage = tensor.untyped_storage()
    bare = torch.empty(0, dtype=torch.uint8, device=storage.device)
    return bare.set_(storage, address - storage.data_ptr(), (n_bytes,), (1,))


def _on_one_device(tensors: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
    sites: dict[tuple[int, byte_ranges.Dims, int], torch.Tensor] = {}
    for tensor in tensors:
        found = piece_of(tensor)
        if found is not None:
            sites.setdefault(found[:3], tensor)
    pieces = [byte_ranges.Piece(*site, index) for index, site in enumerate(sites)]
    owners = list(sites.values())
    for cluster in byte_ranges.clusters(pieces):
        shared = len(cluster) > 1 and any(len(having) > 1 for having in byte_ranges.coverage(cluster))
        if shared:
            yield from _hulls(cluster, owners)
            continue
        for each in cluster:
            tensor = owners[each.owner]
            if not each.dims:
                yield from torch.split(raw_bytes(tensor, each.start, each.run), CHUNK_BYTES)
            elif overlaps_itself(tensor):
                yield from _hulls([each], owners)
            else:
                yield from blocks(tensor, Runs.of(tensor), CHUNK_BYTES // tensor.element_size())


def _hulls(cluster: list[byte_ranges.Piece], owners: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
    """The hulls of pieces, in order of address, what an earlier one covers left out."""
    covered = 0
    for each in sorted(cluster):
        start, stop = max(each.start, covered), byte_ranges.end(each)
        if stop > start:
            yield from torch.split(raw_bytes(owners[each.owner], start, stop - start), CHUNK_BYTES)
            covered = stop
