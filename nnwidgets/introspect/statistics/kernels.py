"""The few tensor operations statistics are made of, each exact or in float64, each into memory made once.

They work on one block: contiguous, of one dimension, float32 or float64, small enough to stay in the cache.
"""

from __future__ import annotations

import math

import torch

_LARGEST_PAIRED = 64
_BYTES, _LEAST_BYTE = 256, -128
_FLOAT32_EXPONENTS = range(-120, 121)


class Scratch:
    """Buffers for blocks of at most ``limit`` elements, made when first needed and written over by every block.

    Args:
        limit: Elements per block, below 2^24, so that a float32 counts them exactly.
        device: Where the blocks are.
        dtype: ``torch.float32`` or ``torch.float64``, what the blocks hold.
    """

    def __init__(self, limit: int, device: torch.device, dtype: torch.dtype) -> None:
        self.limit = limit
        self.device = device
        self.dtype = dtype
        self._buffers: dict[str, torch.Tensor] = {}

    def wide(self, n: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        """Return ``n`` elements for sums; in ``dtype``, the same memory for what comes after them."""
        return self._buffer("wide", torch.float64).view(dtype)[:n]

    def whole(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return whole numbers as int64.

        Args:
            numbers: Integers, or whole floats at the start of the wide memory.
        """
        n = numbers.numel()
        half = self.limit // 2
        if n > half or numbers.dtype not in (torch.float32, torch.uint16):
            return self._buffer("numbers", torch.int64)[:n].copy_(numbers)
        # Half the wide memory is free: the numbers take a quarter at most, int32 the next, int64 the other half.
        wide = self._buffer("wide", torch.float64)
        if numbers.dtype is torch.float32:
            # By way of int32: torch converts float32 to that, and that to int64, many at a time, but not straight.
            numbers = wide.view(torch.int32)[half : half + n].copy_(numbers)
        return wide.view(torch.int64)[half : half + n].copy_(numbers)

    def codes(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return whole numbers as int8."""
        return self._buffer("codes", torch.int8)[: numbers.numel()].copy_(numbers)

    def ones(self, n: int) -> torch.Tensor:
        """Return ``n`` ones, to count with."""
        if "ones" not in self._buffers or self._buffers["ones"].numel() < n:
            self._buffers["ones"] = torch.ones(n, dtype=torch.float32, device=self.device)
        return self._buffers["ones"][:n]

    def staged(self, n: int) -> torch.Tensor:
        """Return ``n`` elements for a block gathered or converted from elsewhere."""
        return self._buffer("staged", self.dtype)[:n]

    def kept(self, n: int) -> torch.Tensor:
        """Return ``n`` elements for a block as it was when first looked at."""
        return self._buffer("kept", self.dtype)[:n]

    def filled(self, n: int) -> torch.Tensor:
        """Return ``n`` elements for a block whose NaN and infinite elements are replaced."""
        return self._buffer("filled", self.dtype)[:n]

    def _buffer(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        if name not in self._buffers:
            self._buffers[name] = torch.empty(self.limit, dtype=dtype, device=self.device)
        return self._buffers[name]


def extremes(block: torch.Tensor) -> tuple[float, float]:
    """Return least and greatest element; NaN where any is."""
    low, high = torch.aminmax(block)
    return low.item(), high.item()


def sums(block: torch.Tensor, pivot: float, shift: int, scratch: Scratch) -> tuple[float, float]:
    """Return the sums of ``x`` and of ``x²``, where ``x`` is ``(element - pivot) · 2^-shift``, in float64."""
    wide = scratch.wide(block.numel())
    wide.copy_(block)
    if shift:
        scale_(wide, -shift)
    if pivot:
        wide.sub_(math.ldexp(pivot, -shift))
    return wide.sum().item(), _sum_of_squares_(wide)


def _sum_of_squares_(values: torch.Tensor) -> float:
    """Return the sum of squares; may write over the values."""
    if values.numel() < _SHARED_FROM:
        # A dot product is the BLAS library's, which wakes its threads for any size.
        return values.square_().sum().item()
    return torch.dot(values, values).item()


def n_nonzero(block: torch.Tensor, low: float, high: float, scratch: Scratch) -> int:
    """Count elements other than zero in a finite block that spans ``low`` to ``high``."""
    n = block.numel()
    if low > 0.0 or high < 0.0:
        return n
    # The signs' squares sum to the count, exactly, at a third of count_nonzero's time.
    signs = torch.sign(block, out=scratch.wide(n, block.dtype))
    return round(_sum_of_squares_(signs))


def n_not_finite(block: torch.Tensor, scratch: Scratch) -> int:
    """Count elements that are NaN or infinite."""
    marks = torch.mul(block, 0.0, out=scratch.wide(block.numel(), block.dtype))
    return round(torch.nan_to_num(marks, nan=1.0, out=marks).sum().item())


def n_nan(block: torch.Tensor, scratch: Scratch) -> int:
    """Count NaN elements."""
    marks = torch.clamp(block, -1.0, 1.0, out=scratch.wide(block.numel(), block.dtype))
    return n_not_finite(marks, scratch)


def fill(block: torch.Tensor, value: float, out: torch.Tensor) -> torch.Tensor:
    """Write the block to ``out`` with NaN and infinite elements replaced by ``value``."""
    return torch.nan_to_num(block, nan=value, posinf=value, neginf=value, out=out)


def scale_(values: torch.Tensor, power: int) -> torch.Tensor:
    """Multiply in place by 2 to a power that may itself be out of float64's range."""
    half = power // 2
    if abs(power) < _LEAST_NORMAL_POWER:
        return values.mul_(2.0**power)
    return values.mul_(2.0**half).mul_(2.0 ** (power - half))


def bin_indices(block: torch.Tensor, exponent: int, out: torch.Tensor) -> torch.Tensor:
    """Write to ``out`` the index of each element's bin, ``floor(element / 2^exponent)``, as whole floats, exactly.

    Example:
        >>> import torch
        >>> x = torch.tensor([-0.1, 0.0, 0.74])
        >>> bin_indices(x, -1, torch.empty(3))
        tensor([-1.,  0.,  1.])
    """
    if exponent > 0:
        # Whole numbers first: scaled down, a tiny negative value would become -0, which is in the bin above its own.
        return _floor_(scale_(_floor_(out.copy_(block)), -exponent))
    if exponent > -_LEAST_NORMAL_POWER:
        return _floor_(torch.mul(block, 2.0**-exponent, out=out))
    return _floor_(scale_(out.copy_(block), -exponent))


def _floor_(values: torch.Tensor) -> torch.Tensor:
    """Round down in place."""
    n = values.numel()
    if not _LEAST_SHARED_FLOOR < n < _SHARED_FROM:
        return values.floor_()
    # torch shares floor out from 2,048 elements on, and every share may have to wait for a busy core.
    fractions = values.frac()
    return values.sub_(fractions).add_(fractions.sign_().clamp_(max=0.0))


def count_bins(block: torch.Tensor, exponent: int, first: int, size: int, scratch: Scratch) -> list[int]:
    """Count a finite block's elements in the bins ``2^exponent`` wide from index ``first``.

    Args:
        block: Elements that lie in the ``size`` bins from ``first``.
        exponent: The bins' width is 2 to this power.
        first: Index of the first bin.
        size: How many bins.
        scratch: Its wide memory is written over.

    Returns:
        Counts, one per bin. Elements outside (another thread wrote meanwhile) are counted in some bin.
    """
    n = block.numel()
    if size == 1:
        return [n]
    if block.dtype is torch.float32 and exponent not in _FLOAT32_EXPONENTS:
        block = scratch.wide(n).copy_(block)
    indices = bin_indices(block, exponent, scratch.wide(n, block.dtype))
    try:
        return _count(indices, first, size, scratch)
    except (RuntimeError, IndexError, ValueError, OverflowError):
        bin_indices(block, exponent, indices)
        # From 0 on: far from it, ``first`` itself may be rounded.
        indices.nan_to_num_(nan=first, posinf=first, neginf=first).sub_(first).clamp_(0, size - 1)
        return _count(indices, 0, size, scratch)


def _count(indices: torch.Tensor, first: int, size: int, scratch: Scratch) -> list[int]:
    """Count whole floats from ``first``, which stand at the start of the scratch's wide memory; writes over them."""
    n = indices.numel()
    if n == 1 or size > _LARGEST_PAIRED:
        counter = Counter(size, scratch)
        counter.add(indices.sub_(first))
        single: list[int] = counter.counts().tolist()
        return single
    if first < _LEAST_BYTE or first + size > -_LEAST_BYTE:
        indices.sub_(first)
        first = 0
    # As bytes, two elements are one number, so that half as many are counted one by one.
    codes = scratch.codes(indices)
    if first:
        codes.sub_(first)
    counter = Counter(_BYTES * size, scratch)
    counter.add(codes[: n - n % 2].view(torch.uint16))
    table = counter.counts().view(size, _BYTES)
    counts: list[int] = (table.sum(1) + table.sum(0)[:size]).tolist()
    if n % 2:
        counts[min(max(int(codes[-1].item()), 0), size - 1)] += 1
    return counts


class Counter:
    """Counts whole numbers of ``range(size)`` on several threads, in tables made once.

    ``torch.bincount`` works on one thread, at half the speed; adding ones at indices is spread over lanes, each with
    a table of its own.

    Args:
        size: One more than the largest number.
        scratch: Buffers for the numbers.
    """

    def __init__(self, size: int, scratch: Scratch) -> None:
        self._size = size
        self._scratch = scratch
        self._total = torch.zeros(size, dtype=torch.int64, device=scratch.device)
        self._lanes = torch.zeros(0, size, dtype=torch.float32, device=scratch.device)
        self._n_in_lanes = 0

    def add(self, numbers: torch.Tensor) -> None:
        """Count a one-dimensional tensor of whole numbers, at most the scratch's limit.

        Raises:
            RuntimeError: One is out of range. What this tensor added is then undefined.
        """
        n = numbers.numel()
        if self._scratch.device.type != "cpu":
            self._total += torch.bincount(numbers.to(self._scratch.device, torch.int64), minlength=self._size)
            return
        n_lanes = 1 if n < _SHARED_FROM else min(torch.get_num_threads(), _MOST_LANES)
        # float32 counts stay whole up to 2^24.
        if self._n_in_lanes + n > _MOST_IN_LANES or self._lanes.shape[0] < n_lanes:
            self._flush(n_lanes)
        self._n_in_lanes += n
        whole, length = self._scratch.whole(numbers), n // n_lanes
        self._add_lanes(whole[: n_lanes * length].view(n_lanes, length))
        if n_lanes * length < n:
            self._add_lanes(whole[n_lanes * length :].view(1, -1))

    def counts(self) -> torch.Tensor:
        """Return how often each number occurred, int64 on the CPU."""
        self._flush()
        return self._total.cpu()

    def _add_lanes(self, numbers: torch.Tensor) -> None:
        lanes, length = numbers.shape
        self._lanes[:lanes].scatter_add_(1, numbers, self._scratch.ones(length).expand(lanes, length))

    def _flush(self, n_lanes: int = 0) -> None:
        if self._n_in_lanes:
            self._total += self._lanes.sum(0).long()
            self._lanes.zero_()
            self._n_in_lanes = 0
        if self._lanes.shape[0] < n_lanes:
            self._lanes = torch.zeros(n_lanes, self._size, dtype=torch.float32, device="cpu")


_SHARED_FROM = 32_768
_MOST_LANES = 16
_LEAST_SHARED_FLOOR = 2_048
_MOST_IN_LANES = 2**24
_LEAST_NORMAL_POWER = 1000
