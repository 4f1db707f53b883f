"""Statistics of a stream of blocks: range, moments, zeros, NaN, infinities and bins, each block read once.

Counting and binning are exact. Sums are taken in float64, and again about the block's own mean wherever the plain sum
of squares would cancel, so the standard deviation holds however large the mean is; blocks are joined by Chan, Golub
and LeVeque's update ("Algorithms for computing the sample variance", 1983).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.statistics import kernels
from nnwidgets.introspect.statistics.histogram import Histogram

_CANCELS = 2.0**-6
_SMALLEST_SQUARED, _LARGEST_SQUARED = 2.0**-400, 2.0**400


@dataclass(slots=True)
class _StandIn:
    """What takes the place of a block's NaN and infinite elements, and how often."""

    value: float = 0.0
    count: int = 0
    source: torch.Tensor | None = None


class Accumulator:
    """What has been learnt from the blocks so far.

    Args:
        bins: The most bins the histogram may have; 0 for none, which halves the work.
    """

    def __init__(self, bins: int) -> None:
        self._bins = bins
        self._histogram = Histogram(bins)
        self._n = self._n_nan = self._n_inf = self._n_zero = 0
        self._low, self._high = math.inf, -math.inf
        # Moments are of the values times 2^-shift, so that no square of a float64 overflows or vanishes.
        self._shift = 0
        self._n_finite = 0
        self._mean = self._squares = self._about_mean = 0.0

    def add_block(self, block: torch.Tensor, scratch: kernels.Scratch) -> None:
        """Take in a contiguous one-dimensional float32 or float64 block."""
        n = block.numel()
        if n == 0:
            return
        self._n += n
        low, high = kernels.extremes(block)
        if math.isfinite(low) and math.isfinite(high) and self._take(block, low, high, _StandIn(), scratch):
            self._n_zero += n - kernels.n_nonzero(block, low, high, scratch)
        else:
            # Several looks at it have to agree, also where another thread writes to the tensor meanwhile.
            self._take_mixed(scratch.kept(n).copy_(block), scratch)

    def add_constant(self, value: float, count: int) -> None:
        """Take in ``count`` elements of one value, such as a sparse tensor's implicit zeros."""
        if count:
            self.add_table(torch.tensor([value], dtype=torch.float64, device="cpu"), [count])

    def add_table(self, values: torch.Tensor, counts: list[int]) -> None:
        """Take in ``counts[i]`` elements equal to ``values[i]``, float64 on the CPU; NaN and infinities may occur."""
        tally = torch.tensor(counts, dtype=torch.int64, device="cpu")
        values, tally = values[tally > 0], tally[tally > 0]
        self._n += int(tally.sum())
        self._n_nan += int(tally[values.isnan()].sum())
        self._n_inf += int(tally[values.isinf()].sum())
        self._n_zero += int(tally[values == 0].sum())
        finite = values.isfinite()
        values, tally = values[finite], tally[finite]
        if not values.numel():
            return
        low, high = kernels.extremes(values)
        self._cover(low, high)
        if self._bins:
            exponent = self._histogram.exponent
            first, last = Histogram.index(low, exponent), Histogram.index(high, exponent)
            indices = kernels.bin_indices(values, exponent, torch.empty_like(values)).sub_(first).long()
            cells = torch.zeros(last - first + 1, dtype=torch.int64, device="cpu").index_add_(0, indices, tally)
            self._histogram.add(first, cells.tolist())
        n, weights = int(tally.sum()), tally.double()
        values = kernels.scale_(values, -self._rescale(max(abs(low), abs(high))))
        mean = torch.dot(values, weights).item() / n
        squares = torch.dot(values * values, weights).item()
        about = values - mean
        rest = torch.dot(about, weights).item()
        self._join(n, mean + rest / n, squares, torch.dot(about * about, weights).item() - rest * rest / n)

    def result(self, *, repeats: int = 1, is_exact: bool = True) -> TensorStats:
        """Return the statistics, every element counted ``repeats`` times."""
        counts, edges = self._histogram.result(self._bins)
        n_finite = self._n_finite * repeats
        mean = std = low = high = math.nan
        if n_finite:
            low, high = self._low, self._high
            mean = min(max(_ldexp(self._mean, self._shift), low), high)
        if n_finite > 1:
            std = _ldexp(math.sqrt(max(0.0, self._about_mean) * (repeats / (n_finite - 1))), self._shift)
        return TensorStats(
            n=self._n * repeats,
            mean=mean,
            std=std,
            min=low,
            max=high,
            norm=_ldexp(math.sqrt(self._squares * repeats), self._shift),
            n_zero=self._n_zero * repeats,
            n_nan=self._n_nan * repeats,
            n_inf=self._n_inf * repeats,
            hist_counts=tuple(count * repeats for count in counts),
            hist_edges=edges,
            is_exact=is_exact,
        )

    def _take_mixed(self, block: torch.Tensor, scratch: kernels.Scratch) -> None:
        """Take in a block with NaN or infinite elements: they are replaced by a finite one, which is then left out."""
        n = block.numel()
        filled = torch.nan_to_num(block, nan=0.0, posinf=math.inf, neginf=-math.inf, out=scratch.filled(n))
        low, high = kernels.extremes(filled)
        n_bad = n_nan = kernels.n_not_finite(block, scratch)
        if not (math.isfinite(low) and math.isfinite(high)):
            n_nan = kernels.n_nan(block, scratch)
            low, high = kernels.extremes(kernels.fill(block, 0.0, filled))
        self._n_nan += n_nan
        self._n_inf += n_bad - n_nan
        if n_bad >= n:
            return
        self._n_zero += n - n_bad - kernels.n_nonzero(filled, min(low, 0.0), max(high, 0.0), scratch)
        stand_in = _StandIn(0.0, n_bad, block)
        if low == 0.0 or high == 0.0:
            # That zero may be one just put in: look again with values that can't be the least or the greatest.
            largest = torch.finfo(block.dtype).max
            low = kernels.fill(block, largest, filled).amin().item()
            high = kernels.fill(block, -largest, filled).amax().item()
            stand_in.value = min(max(0.0, low), high)
            kernels.fill(block, stand_in.value, filled)
        self._take(filled, low, high, stand_in, scratch)

    def _take(self, block: torch.Tensor, low: float, high: float, stand_in: _StandIn, scratch: kernels.Scratch) -> bool:
        """Take in a block of finite elements; return False, and take nothing, where one is NaN or infinite by now."""
        if not self._sum(block, low, high, stand_in, scratch):
            return False
        self._cover(low, high)
        if not self._bins:
            return True
        exponent = self._histogram.exponent
        first = Histogram.index(low, exponent)
        size = Histogram.index(high, exponent) - first + 1
        counts = kernels.count_bins(block, exponent, first, size, scratch)
        if stand_in.count:
            counts[Histogram.index(stand_in.value, exponent) - first] -= stand_in.count
        self._histogram.add(first, counts)
        return True

    def _sum(self, block: torch.Tensor, low: float, high: float, stand_in: _StandIn, scratch: kernels.Scratch) -> bool:
        """Add the block's moments, taken about the stand-in's value, where the elements it stands for add nothing."""
        n = block.numel() - stand_in.count
        shift = self._rescale(max(abs(low), abs(high)))
        pivot = stand_in.value if stand_in.count else 0.0
        first, second = kernels.sums(block, pivot, shift, scratch)
        about = second - first * first / n
        if low < high and about <= second * _CANCELS:
            mean = pivot + _ldexp(first / n, shift)
            pivot = torch.tensor(min(max(mean, low), high), dtype=block.dtype, device="cpu").item()
            if stand_in.source is not None:
                stand_in.value = pivot
                kernels.fill(stand_in.source, pivot, block)
            first, second = kernels.sums(block, pivot, shift, scratch)
            about = second - first * first / n
        if not math.isfinite(second):
            return False
        centre = _ldexp(pivot, -shift)
        squares = max(0.0, second + 2.0 * centre * first + n * centre * centre)
        self._join(n, centre + first / n, squares, about if low < high else 0.0)
        return True

    def _cover(self, low: float, high: float) -> None:
        self._low, self._high = min(self._low, low), max(self._high, high)
        if self._bins:
            self._histogram.cover(low, high)

    def _rescale(self, largest: float) -> int:
        """Return the shift for values up to ``largest``, having brought the moments so far to it."""
        if largest == 0.0:
            return self._shift
        wanted = 0 if _SMALLEST_SQUARED <= largest <= _LARGEST_SQUARED else math.frexp(largest)[1]
        if wanted > self._shift or self._squares == 0.0:
            change = self._shift - wanted
            self._mean = _ldexp(self._mean, change)
            self._squares = _ldexp(self._squares, 2 * change)
            self._about_mean = _ldexp(self._about_mean, 2 * change)
            self._shift = wanted
        return self._shift

    def _join(self, n: int, mean: float, squares: float, about_mean: float) -> None:
        total = self._n_finite + n
        delta = mean - self._mean
        self._about_mean += about_mean + delta * delta * (self._n_finite * (n / total))
        self._mean += delta * (n / total)
        self._squares += squares
        self._n_finite = total


def _ldexp(value: float, power: int) -> float:
    try:
        return math.ldexp(value, power)
    except OverflowError:
        return math.copysign(math.inf, value)
