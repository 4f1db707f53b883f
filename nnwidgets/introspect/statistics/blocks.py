"""Any strided tensor as a run of contiguous blocks, each element once, without a copy of the whole.

The order of elements doesn't matter to a statistic. So dimensions are sorted by stride, merged where they are one run
of memory, and those of stride 0 (an expanded tensor's) read once and counted as often as they repeat.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Runs:
    """How a strided tensor lies in memory, its repeats taken out.

    Attributes:
        sizes: Sizes of the merged dimensions, outermost first; empty for a single element.
        strides: Their strides, in elements.
        repeats: How many times each element occurs.
        n: Elements read: the product of ``sizes``.
    """

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    repeats: int
    n: int

    @classmethod
    def of(cls, tensor: torch.Tensor, *, keep_repeats: bool = False) -> Runs:
        """Merge the dimensions of a plain strided tensor.

        Args:
            tensor: A plain strided tensor.
            keep_repeats: Read repeated elements as often as they occur, instead of once.

        Example:
            >>> import torch
            >>> Runs.of(torch.zeros(3, 4).t().expand(2, 4, 3))
            Runs(sizes=(12,), strides=(1,), repeats=2, n=12)
        """
        repeats, n = 1, 1
        dimensions: list[tuple[int, int]] = []
        for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
            if stride == 0 and not keep_repeats:
                repeats *= size
            else:
                n *= size
                if size != 1:
                    dimensions.append((stride, size))
        if n == 0 or repeats == 0:
            return cls((0,), (1,), 1, 0)
        merged: list[tuple[int, int]] = []
        for stride, size in sorted(dimensions, reverse=True):
            if merged and merged[-1][0] == stride * size:
                merged[-1] = (stride, merged[-1][1] * size)
            else:
                merged.append((stride, size))
        return cls(tuple(size for _, size in merged), tuple(stride for stride, _ in merged), repeats, n)


def blocks(tensor: torch.Tensor, runs: Runs, limit: int) -> Iterator[torch.Tensor]:
    """Cut a plain strided tensor into views of at most ``limit`` elements that together hold each element once.

    Args:
        tensor: A plain strided tensor.
        runs: Its `Runs`.
        limit: Elements per block, at least 1.

    Yields:
        Views, contiguous and of one dimension where memory allows.
    """
    if runs.n == 0:
        return
    offset = tensor.storage_offset()
    inner, cut = 1, len(runs.sizes)
    while cut > 0 and inner * runs.sizes[cut - 1] <= limit:
        cut -= 1
        inner *= runs.sizes[cut]
    whole_sizes, whole_strides = runs.sizes[cut:], runs.strides[cut:]
    if cut == 0:
        yield tensor.as_strided(whole_sizes, whole_strides, offset)
        return
    size, stride = runs.sizes[cut - 1], runs.strides[cut - 1]
    step = _even_step(size, max(1, limit // inner))
    for place in itertools.product(*(range(outer) for outer in runs.sizes[: cut - 1])):
        start = offset + sum(index * step_ for index, step_ in zip(place, runs.strides, strict=False))
        for first in range(0, size, step):
            count = min(step, size - first)
            yield tensor.as_strided((count, *whole_sizes), (stride, *whole_strides), start + first * stride)


def _even_step(size: int, limit: int) -> int:
    """Return the largest step, at most ``limit``, that leaves no small rest: full blocks where there are many."""
    parts = -(-size // limit)
    return limit if parts > _MANY_PARTS else -(-size // parts)


_MANY_PARTS = 16
