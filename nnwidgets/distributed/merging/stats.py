"""Statistics of parts made into the statistics of the whole: many tensors at once, and the same bits in any process.

Each part is a row of numbers (`rows_of`), sent as bytes. Its bins are a power of two wide and begin at multiples of
their width, so finer ones make up coarser ones exactly, and the merged bins are those that one reading of the whole
tensor gives. Moments are joined by Chan, Golub and LeVeque's update ("Algorithms for computing the sample variance",
1983), part by part in the order of ranks.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import torch

from nnwidgets.formatting import counted
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.statistics.histogram import WIDEST, Histogram, bins_of_many

T = TypeVar("T")

BINS = 64
_WHOLE = ("n", "n_zero", "n_nan", "n_inf")
_REAL = ("mean", "std", "min", "max", "norm")
_N_BAD = slice(2, 4)
_EXPONENT, _FIRST = len(_WHOLE), len(_WHOLE) + 1
_N_WHOLE = len(_WHOLE) + 2
MEAN, STD, MIN, MAX, NORM = range(len(_REAL))
_HALF = 0.5
_TWO = torch.tensor(2.0, dtype=torch.float64)
_COUNTS = (torch.uint8, torch.int16, torch.int32, torch.int64)


class StatsRows(NamedTuple):
    """Statistics of some tensors as numbers, a row each; a row of zeros is a part without elements.

    Attributes:
        whole: int64, (tensors, 6): counts of elements, zeros, NaN and infinities; the bins' width as the power of two
            that it is, and the first bin's index.
        real: float64, (tensors, 5): mean, standard deviation, least, greatest, norm.
        bins: (tensors, 64): elements per bin, in the narrowest integers that hold them; (tensors, 0) of statistics
            without bins.
    """

    whole: torch.Tensor
    real: torch.Tensor
    bins: torch.Tensor

    def to_text(self) -> str:
        """The rows as base64 of little-endian bytes."""
        return base64.b64encode(b"".join(each.numpy().tobytes() for each in self)).decode("ascii")

    @classmethod
    def from_text(cls, text: str, n: int) -> StatsRows:
        """The rows of ``n`` tensors.

        Raises:
            ValueError: The bytes are fewer or more.
        """
        data = bytearray(base64.b64decode(text))
        if not n and not data:
            return rows_of([])
        widths = 8 * _N_WHOLE, 8 * len(_REAL)
        sizes = {sum(widths) + BINS * dtype.itemsize: dtype for dtype in _COUNTS}
        row_bytes, rest = divmod(len(data), max(n, 1))
        if rest or not n or row_bytes not in {sum(widths), *sizes}:
            wanted = " or ".join(str(n * size) for size in (sum(widths), *sizes))
            raise ValueError(f"{counted(len(data), 'byte')}, expected {wanted}")
        whole = torch.frombuffer(data, dtype=torch.int64, count=n * _N_WHOLE)
        real = torch.frombuffer(data, dtype=torch.float64, offset=n * widths[0], count=n * len(_REAL))
        if row_bytes in sizes:
            bins = torch.frombuffer(data, dtype=sizes[row_bytes], offset=n * sum(widths)).reshape(n, BINS)
        else:
            bins = torch.zeros(n, 0, dtype=torch.uint8)
        return cls(whole.reshape(n, _N_WHOLE), real.reshape(n, len(_REAL)), bins)


def rows_of(parts: Sequence[TensorStats | None]) -> StatsRows:
    """Make rows of statistics with at most 64 bins; of None, where a rank owns nothing of a tensor, zeros."""
    whole = torch.zeros(len(parts), _N_WHOLE, dtype=torch.int64)
    real = torch.zeros(len(parts), len(_REAL), dtype=torch.float64)
    held = [(at, part) for at, part in enumerate(parts) if part is not None and part.n]
    if not held:
        return StatsRows(whole, real, torch.zeros(len(parts), 0, dtype=torch.uint8))
    places = torch.tensor([at for at, _ in held])
    heads = [(part.n, part.n_zero, part.n_nan, part.n_inf, *_bins_of(part)) for _, part in held]
    whole[places] = torch.tensor(heads, dtype=torch.int64)
    numbers = [(part.mean, part.std, part.min, part.max, part.norm) for _, part in held]
    real[places] = torch.tensor(numbers, dtype=torch.float64)
    if not any(part.hist_counts for _, part in held):
        return StatsRows(whole, real, torch.zeros(len(parts), 0, dtype=torch.uint8))
    counts = [(*part.hist_counts, *([0] * (BINS - len(part.hist_counts)))) for _, part in held]
    bins = torch.zeros(len(parts), BINS, dtype=torch.int64)
    bins[places] = torch.tensor(counts, dtype=torch.int64)
    most = int(bins.max())
    return StatsRows(whole, real, bins.to(next(dtype for dtype in _COUNTS if torch.iinfo(dtype).max >= most)))


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


def _bins(low: float, high: float) -> Histogram:
    """The bins that a reading of values from ``low`` to ``high`` counts in; none where no value is finite."""
    bins = Histogram(BINS)
    if math.isfinite(low) and math.isfinite(high):
        bins.cover(low, high)
    return bins


_Numbers = tuple[int, float, float, float, float, float, int, int, int]


class OnRequest(Sequence[T]):
    """Records that are made each when it is asked for, by `record`."""

    def record(self, at: int) -> T:
        """The record at a place."""
        raise NotImplementedError

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self.record(each) for each in range(len(self))[at]]
        return self.record(range(len(self))[at])


class MergedStats(OnRequest[TensorStats]):
    """The statistics of whole tensors, each made a record when it is asked for; bins are merged when first asked for.

    Counts, least, greatest, bins and edges are as of one reading, to the bit; moments to rounding. Where a part's
    deviation is infinite, of values beyond 1e307, the whole's is.

    Args:
        parts: Of each rank, in their order, rows of the same tensors, of elements that no other rank's are of.

    Attributes:
        numbers: Of each tensor what `TensorStats` begins with, from ``n`` to ``n_inf``.
    """

    def __init__(self, parts: Sequence[StatsRows]) -> None:
        self._parts = parts
        self._whole = torch.stack([part.whole for part in parts])
        real = torch.stack([part.real for part in parts])
        counts = self._whole[..., : len(_WHOLE)].sum(0)
        n_finite = self._whole[..., 0] - self._whole[..., _N_BAD].sum(-1)
        there = n_finite > 0
        low = real[..., MIN].masked_fill(~there, math.inf).amin(0)
        high = real[..., MAX].masked_fill(~there, -math.inf).amax(0)
        mean, std = _moments(n_finite, real, low, high)
        n_of_all = n_finite.sum(0)
        mean = torch.minimum(torch.maximum(mean, low), high)
        none = n_of_all == 0
        columns = [column.masked_fill(none, math.nan) for column in (mean, low, high)]
        norm = _hypot(real[..., NORM].masked_fill(self._whole[..., 0] == 0, 0.0))
        self._low, self._high = low, high
        least, greatest = columns[1].tolist(), columns[2].tolist()
        std = std.masked_fill(n_of_all <= 1, math.nan)
        n, n_zero, n_nan, n_inf = counts.T.tolist()
        each: Any = zip(
            n, columns[0].tolist(), std.tolist(), least, greatest, norm.tolist(), n_zero, n_nan, n_inf, strict=True
        )
        self.numbers: list[_Numbers] = list(each)

    @cached_property
    def bins(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Elements per bin, (tensors, 64), and edges, (tensors, 65), of all tensors at once."""
        exponent, first, _ = self._cells
        made = torch.zeros(len(self), BINS, dtype=torch.int64)
        for whole, part in zip(self._whole, self._parts, strict=True):
            if part.bins.shape[1]:
                coarser = (exponent - whole[:, _EXPONENT]).clamp(0, 63)
                index = whole[:, _FIRST, None] + torch.arange(BINS)
                # An empty bin past the last may have an index beyond the merged ones; it adds nothing wherever it is.
                place = ((index >> coarser[:, None]) - first[:, None]).clamp_(0, BINS - 1)
                made.scatter_add_(1, place, part.bins.long())
        index = first[:, None] + torch.arange(BINS + 1)
        return made, _scaled(index.double(), exponent[:, None]).clamp(-WIDEST, WIDEST)

    @cached_property
    def _cells(self) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
        exponent, first, n = bins_of_many(self._low, self._high, BINS)
        return exponent, first, n.tolist()

    def __len__(self) -> int:
        return len(self.numbers)

    def record(self, at: int, *, has_bins: bool = True, is_exact: bool = True, **beside: Any) -> TensorStats:
        """One tensor's statistics.

        Args:
            at: Which.
            has_bins: Whether its bins are told.
            is_exact: As `TensorStats` has it.
            **beside: Its other fields.
        """
        counts, edges = self._histogram(at) if has_bins else ((), ())
        return TensorStats(*self.numbers[at], counts, edges, is_exact, **beside)

    def _histogram(self, at: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
        n, low, high = self._cells[2][at], float(self._low[at]), float(self._high[at])
        if not n or not any(part.bins.shape[1] for part in self._parts):
            return (), ()
        counts, edges = self.bins
        if low == high:
            bins = _bins(low, high)
            bins.add(bins.first, counts[at, :1].tolist())
            return bins.result(BINS)
        return tuple(counts[at, :n].tolist()), tuple(edges[at, : n + 1].tolist())


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
        theirs = _scaled(torch.where(there, row[:, MEAN], 0.0), -power)
        spread = _scaled(torch.where(n > 1, row[:, STD], 0.0), -power)
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
