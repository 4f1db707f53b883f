"""Statistics of parts made into the statistics of the whole: many tensors at once, and the same bits in any process.

Each part is a row of numbers (`rows_of`), sent as bytes. Its bins are a power of two wide and begin at multiples of
their width, so finer ones make up coarser ones exactly, and the merged bins are those that one reading of the whole
tensor gives. Moments are joined by Chan, Golub and LeVeque's update ("Algorithms for computing the sample variance",
1983), part by part in the order of ranks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from nnwidgets.formatting import counted
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.statistics.histogram import WIDEST, Histogram

BINS = 64
_WHOLE = ("n", "n_zero", "n_nan", "n_inf")
_REAL = ("mean", "std", "min", "max", "norm")
_N_BAD = slice(2, 4)
_EXPONENT, _FIRST = len(_WHOLE), len(_WHOLE) + 1
_COUNTS = len(_WHOLE) + 2
_MEAN, _STD, _MIN, _MAX, _NORM = range(len(_REAL))
_HALF = 0.5
_TWO = torch.tensor(2.0, dtype=torch.float64)


class StatsRows(NamedTuple):
    """Statistics of some tensors as numbers, a row each; a row of zeros is a part without elements.

    Attributes:
        whole: int64, (tensors, 6 + bins): counts of elements, zeros, NaN and infinities; the bins' width as the power
            of two that it is, the first bin's index, and elements per bin.
        real: float64, (tensors, 5): mean, standard deviation, least, greatest, norm.
    """

    whole: torch.Tensor
    real: torch.Tensor

    def to_bytes(self) -> bytes:
        """The rows in little-endian bytes."""
        return self.whole.numpy().tobytes() + self.real.numpy().tobytes()

    @classmethod
    def from_bytes(cls, data: bytes, n: int) -> StatsRows:
        """The rows of ``n`` tensors.

        Raises:
            ValueError: The bytes are fewer or more.
        """
        widths = _COUNTS + BINS, len(_REAL)
        if len(data) != 8 * n * sum(widths):
            raise ValueError(f"{counted(len(data), 'byte')}, expected {8 * n * sum(widths)}")
        if not n:
            return rows_of([])
        held = bytearray(data)
        whole = torch.frombuffer(held, dtype=torch.int64, count=n * widths[0])
        real = torch.frombuffer(held, dtype=torch.float64, offset=8 * n * widths[0])
        return cls(whole.reshape(n, widths[0]), real.reshape(n, widths[1]))


def rows_of(parts: Sequence[TensorStats | None]) -> StatsRows:
    """Make rows of statistics with at most 64 bins; of None, where a rank owns nothing of a tensor, zeros."""
    whole = torch.zeros(len(parts), _COUNTS + BINS, dtype=torch.int64)
    real = torch.zeros(len(parts), len(_REAL), dtype=torch.float64)
    held = [(at, part) for at, part in enumerate(parts) if part is not None and part.n]
    if not held:
        return StatsRows(whole, real)
    wholes = []
    for _, part in held:
        counts, (exponent, first) = part.hist_counts, _bins_of(part)
        head = (part.n, part.n_zero, part.n_nan, part.n_inf, exponent, first)
        wholes.append((*head, *counts, *([0] * (BINS - len(counts)))))
    places = torch.tensor([at for at, _ in held])
    whole[places] = torch.tensor(wholes, dtype=torch.int64)
    numbers = [(part.mean, part.std, part.min, part.max, part.norm) for _, part in held]
    real[places] = torch.tensor(numbers, dtype=torch.float64)
    return StatsRows(whole, real)


def _bins_of(part: TensorStats) -> tuple[int, int]:
    """The power of two that is the bins' width, and the index of the first."""
    if not part.hist_counts:
        return 0, 0
    mantissa, power = math.frexp(part.hist_edges[1] - part.hist_edges[0])
    if mantissa == _HALF and part.min < part.max:
        return power - 1, Histogram.index(part.hist_edges[0], power - 1)
    # One value, shown as one bin around it, or edges at the ends of what float64 can tell.
    bins = _bins(part.min, part.max)
    return bins.exponent, bins.first


def merged(
    parts: Sequence[StatsRows], beside: Callable[[int, int], Mapping[str, Any]] = lambda _at, _n: {"is_exact": True}
) -> list[TensorStats]:
    """Merge the rows of several ranks, in their order, into the statistics of each whole tensor.

    Args:
        parts: Of each rank, rows of the same tensors, of elements that no other rank's are of.
        beside: What else is said of a tensor, of its place and how many elements were found: fields of `TensorStats`.

    Returns:
        Statistics as of one reading: counts, least, greatest, bins and edges to the bit; moments to rounding.
        Where a part's deviation is infinite, of values beyond 1e307, the whole's is.
    """
    whole = torch.stack([part.whole for part in parts])
    real = torch.stack([part.real for part in parts])
    counts = whole[..., : len(_WHOLE)].sum(0)
    n_finite = whole[..., 0] - whole[..., _N_BAD].sum(-1)
    there = n_finite > 0
    low = real[..., _MIN].masked_fill(~there, math.inf).amin(0)
    high = real[..., _MAX].masked_fill(~there, -math.inf).amax(0)
    mean, std = _moments(n_finite, real, low, high)
    norm = _hypot(real[..., _NORM].masked_fill(whole[..., 0] == 0, 0.0))
    cells = [_bins(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    exponent = torch.tensor([bins.exponent for bins in cells], dtype=torch.int64)[:, None]
    first = torch.tensor([bins.first for bins in cells], dtype=torch.int64)[:, None]
    binned = _rebinned(whole, exponent, first).tolist()
    edges = _scaled((first + torch.arange(BINS + 1)).double(), exponent).clamp(-WIDEST, WIDEST).tolist()
    made = []
    each = zip(
        counts.tolist(), mean.tolist(), std.tolist(), low.tolist(), high.tolist(), norm.tolist(), cells, binned, edges,
        strict=True,
    )  # fmt: skip
    for at, ((n, n_zero, n_nan, n_inf), one_mean, one_std, a, b, one_norm, bins, found, ends) in enumerate(each):
        n_finite_of_all = n - n_nan - n_inf
        if a == b:
            bins.add(bins.first, found[:1])
            hist = bins.result(BINS)
        else:
            hist = tuple(found[: len(bins.counts)]), tuple(ends[: len(bins.counts) + 1 if bins.counts else 0])
        made.append(
            TensorStats(
                n=n,
                mean=min(max(one_mean, a), b) if n_finite_of_all else math.nan,
                std=one_std if n_finite_of_all > 1 else math.nan,
                min=a if n_finite_of_all else math.nan,
                max=b if n_finite_of_all else math.nan,
                norm=one_norm,
                n_zero=n_zero,
                n_nan=n_nan,
                n_inf=n_inf,
                hist_counts=hist[0],
                hist_edges=hist[1],
                **beside(at, n),
            )
        )
    return made


def _bins(low: float, high: float) -> Histogram:
    """The bins that a reading of values from ``low`` to ``high`` counts in; none where no value is finite."""
    bins = Histogram(BINS)
    if math.isfinite(low) and math.isfinite(high):
        bins.cover(low, high)
    return bins


def _moments(
    n_finite: torch.Tensor, real: torch.Tensor, low: torch.Tensor, high: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation, of values scaled so that no square overflows or vanishes."""
    largest = torch.maximum(low.abs(), high.abs())
    power = torch.frexp(torch.where(largest.isfinite(), largest, 0.0)).exponent
    total = torch.zeros_like(low)
    mean, about = torch.zeros_like(low), torch.zeros_like(low)
    for n, row in zip(n_finite.double(), real, strict=True):
        there = n > 0
        joined = total + n
        share = torch.where(there, n / joined.clamp(min=1.0), 0.0)
        theirs = _scaled(torch.where(there, row[:, _MEAN], 0.0), -power)
        spread = _scaled(torch.where(n > 1, row[:, _STD], 0.0), -power)
        delta = torch.where(there, theirs - mean, 0.0)
        about = about + spread * spread * (n - 1).clamp(min=0.0) + delta * delta * total * share
        mean = mean + delta * share
        total = joined
    return _scaled(mean, power), _scaled((about / (total - 1).clamp(min=1.0)).sqrt(), power)


def _hypot(norms: torch.Tensor) -> torch.Tensor:
    """The norm of norms over the first dimension, of values scaled so that no square overflows or vanishes."""
    power = torch.frexp(torch.where(norms.isfinite(), norms, 0.0).amax(0)).exponent
    return _scaled(_scaled(norms, -power).square().sum(0).sqrt(), power)


def _scaled(values: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """Values times 2 to a power that may itself be out of float64's range."""
    half = power // 2
    return values * _TWO.pow(half) * _TWO.pow(power - half)


def _rebinned(whole: torch.Tensor, exponent: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """Elements per merged bin, (tensors, bins); a bin of a part lies within one of the merged ones."""
    index = whole[..., _FIRST, None] + torch.arange(BINS)
    coarser = (exponent - whole[..., _EXPONENT, None]).clamp(0, 63)
    # An empty bin past the last may have an index beyond the merged ones; it adds nothing wherever it is put.
    place = ((index >> coarser) - first).clamp(0, BINS - 1)
    made = torch.zeros(whole.shape[1], BINS, dtype=torch.int64)
    for theirs, counts in zip(place, whole[..., _COUNTS:], strict=True):
        made.scatter_add_(1, theirs, counts)
    return made
