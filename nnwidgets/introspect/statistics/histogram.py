"""Bins a power of two wide, that double in width as the range grows.

Dividing by a power of two is exact in binary floating point, so the bin of ``x`` is ``floor(x / width)`` to the last
bit, and two neighbouring bins make exactly one of twice the width. The width can therefore be settled while counting:
it starts narrow and doubles whenever the values met so far need more bins than are allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from nnwidgets.errors import InvalidTargetError

MOST_BINS = 4096
_MANTISSA_BITS = 53
_LEAST_EXPONENT = -1074
WIDEST = math.ldexp(1.0 - 2.0**-53, 1023) * 2.0
"""The largest finite float64: edges go no further."""


def check_bins(bins: object) -> int:
    """Return ``bins`` where a histogram can have so many.

    Raises:
        InvalidTargetError: It isn't a whole number from 1 to 4,096.
    """
    if isinstance(bins, bool) or not isinstance(bins, int) or not 1 <= bins <= MOST_BINS:
        shown = bins if isinstance(bins, int | float) else f"a {type(bins).__name__[:80]}"
        raise InvalidTargetError(f"bins is {shown}, expected a whole number from 1 to {MOST_BINS}.")
    return bins


class Histogram:
    """Counts in at most ``bins`` bins, the bin with index ``k`` being ``[k · 2^exponent, (k + 1) · 2^exponent)``.

    Attributes:
        exponent: The bins' width is 2 to this power.
        first: Index of the first bin.
        counts: Elements per bin, from the first.

    Example:
        >>> histogram = Histogram(4)
        >>> histogram.cover(0.0, 3.5)
        >>> histogram.add(histogram.first, [1, 0, 0, 2])
        >>> histogram.edges()
        (0.0, 1.0, 2.0, 3.0, 4.0)
    """

    __slots__ = ("_cells", "_high", "_low", "counts", "exponent", "first")

    def __init__(self, bins: int) -> None:
        # Zero is always an edge, so values on both sides of it need two bins; a lone bin is merged at the end.
        self._cells = max(bins, 2)
        self._low = math.inf
        self._high = -math.inf
        self.exponent = _LEAST_EXPONENT - 1
        self.first = 0
        self.counts: list[int] = []

    def cover(self, low: float, high: float) -> None:
        """Widen the bins, or add some, until finite ``low`` to ``high`` are covered too."""
        if low >= self._low and high <= self._high:
            return
        self._low, self._high = min(low, self._low), max(high, self._high)
        exponent = max(self.exponent, _start_exponent(self._low, self._high, self._cells))
        first, last = self.index(self._low, exponent), self.index(self._high, exponent)
        while last - first >= self._cells:
            exponent, first, last = exponent + 1, first >> 1, last >> 1
        counts = [0] * (last - first + 1)
        shift = exponent - self.exponent
        for position, count in enumerate(self.counts):
            counts[((self.first + position) >> shift) - first] += count
        self.exponent, self.first, self.counts = exponent, first, counts

    def add(self, first: int, counts: Iterable[int]) -> None:
        """Add counts of the bins from index ``first``; those outside (data written meanwhile) go to the end bins."""
        last = len(self.counts) - 1
        for position, count in enumerate(counts, first - self.first):
            if count:
                self.counts[min(max(position, 0), last)] += count

    @staticmethod
    def index(value: float, exponent: int) -> int:
        """Return the index of the bin of ``value`` for bins ``2^exponent`` wide."""
        mantissa, power = math.frexp(value)
        # Through integers: a plain division underflows to -0.0 for a tiny negative value, which is another bin.
        scaled = int(mantissa * 2.0**_MANTISSA_BITS)
        shift = power - _MANTISSA_BITS - exponent
        return scaled << shift if shift >= 0 else scaled >> -shift

    def edges(self) -> tuple[float, ...]:
        """Return the bin edges, one more than bins."""
        return tuple(
            _clamped_ldexp(index, self.exponent) for index in range(self.first, self.first + len(self.counts) + 1)
        )

    def result(self, bins: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Return counts and edges in at most ``bins`` bins; a single value gets one bin around it."""
        if not self.counts:
            return (), ()
        if self._low == self._high:
            return (sum(self.counts),), _around(self._low)
        edges = self.edges()
        if len(self.counts) > bins:
            return (sum(self.counts),), (edges[0], edges[-1])
        return tuple(self.counts), edges


def _start_exponent(low: float, high: float, cells: int) -> int:
    """Return a width's exponent that is surely not too large, and at which edges are distinct float64 numbers."""
    largest = max(abs(low), abs(high))
    finest = math.frexp(largest)[1] - _MANTISSA_BITS if largest else _LEAST_EXPONENT
    # Halved first: the range of float64 values can be twice the largest of them.
    span = (high / 2 - low / 2) / cells
    start = math.frexp(span)[1] - 1 if span else finest
    return max(_LEAST_EXPONENT, finest, start)


def _clamped_ldexp(index: int, exponent: int) -> float:
    try:
        return math.ldexp(float(index), exponent)
    except OverflowError:
        return math.copysign(WIDEST, index)


def _around(value: float) -> tuple[float, float]:
    half = math.ldexp(1.0, math.frexp(value)[1] - 2) if value else 0.5
    low, high = value - half, value + half
    if half == 0.0 or low >= value or high <= value:
        low, high = math.nextafter(value, -math.inf), math.nextafter(value, math.inf)
    return max(low, -WIDEST), min(high, WIDEST)


def bins_of_many(low: torch.Tensor, high: torch.Tensor, bins: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The bins that `Histogram.cover` makes of each range, of many at once.

    Args:
        low: float64, the least of each.
        high: The greatest; where either isn't finite, there are no bins.
        bins: As many as are allowed, 2 or more.

    Returns:
        Of each the exponent, the index of the first bin, and how many there are.

    Example:
        >>> exponent, first, n = bins_of_many(torch.tensor([0.0]).double(), torch.tensor([3.5]).double(), 4)
        >>> exponent.item(), first.item(), n.item()
        (0, 0, 4)
    """
    there = low.isfinite() & high.isfinite()
    low, high = (each.masked_fill(~there, 0.0) for each in (low, high))
    ends = [_mantissa_and_power(each) for each in (low, high)]
    largest = torch.maximum(low.abs(), high.abs())
    finest = torch.where(largest == 0, _LEAST_EXPONENT, _mantissa_and_power(largest)[1] - _MANTISSA_BITS)
    # As `_start_exponent` has it.
    span = (high / 2 - low / 2) / bins
    start = torch.where(span == 0, finest, _mantissa_and_power(span)[1] - 1)
    exponent = torch.maximum(finest, start).clamp(min=_LEAST_EXPONENT)
    first, last = (scaled >> (exponent - power + _MANTISSA_BITS).clamp(0, 63) for scaled, power in ends)
    while bool((wide := last - first >= bins).any()):
        exponent, first, last = (exponent + wide), first >> wide.long(), last >> wide.long()
    return exponent, first, torch.where(there, last - first + 1, 0)


def _mantissa_and_power(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mantissas as integers of 53 bits, and the powers of two that go with their fractions."""
    mantissa, power = torch.frexp(values)
    return (mantissa * 2.0**_MANTISSA_BITS).long(), power.long()
