"""The few tensor operations statistics are made of, each exact or in float64, each into memory made once.

They work on one block: contiguous, of one dimension, float32 or float64, small enough to stay in the cache.
"""

from __future__ import annotations

import math

import torch

_LARGEST_PAIRED = 128
_FLOAT32_EXPONENTS = range(-120, 121)
_EXACT_INTEGERS = {torch.float32: 2.0**23, torch.float64: 2.0**52}
_INTEGER = {torch.float32: torch.int32, torch.float64: torch.int64}


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

    def staged(self, n: int) -> torch.Tensor:
        """Return ``n`` elements for a block gathered or converted from elsewhere."""
        return self._buffer("staged", self.dtype)[:n]

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
    return wide.sum().item(), torch.dot(wide, wide).item()


def n_nonzero(block: torch.Tensor, low: float, high: float, scratch: Scratch) -> int:
    """Count elements other than zero in a finite block that spans ``low`` to ``high``."""
    n = block.numel()
    if low > 0.0 or high < 0.0:
        return n
    # The signs' squares sum to the count, exactly, at a third of count_nonzero's time.
    signs = torch.sign(block, out=scratch.wide(n, block.dtype))
    return round(torch.dot(signs, signs).item())


def n_nan_inf(block: torch.Tensor, scratch: Scratch) -> tuple[int, int]:
    """Count NaN elements and infinite elements."""
    marks = scratch.wide(block.numel(), block.dtype)
    torch.mul(block, 0.0, out=marks)
    n_bad = round(torch.nan_to_num(marks, nan=1.0, out=marks).sum().item())
    torch.clamp(block, -1.0, 1.0, out=marks).mul_(0.0)
    n_nan = round(torch.nan_to_num(marks, nan=1.0, out=marks).sum().item())
    return n_nan, n_bad - n_nan


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
        torch.floor(block, out=out)
        return scale_(out, -exponent).floor_()
    if exponent > -_LEAST_NORMAL_POWER:
        return torch.mul(block, 2.0**-exponent, out=out).floor_()
    out.copy_(block)
    return scale_(out, -exponent).floor_()


def count_bins(block: torch.Tensor, exponent: int, first: int, size: int, scratch: Scratch) -> list[int]:
    """Count a finite block's elements in the bins ``2^exponent`` wide from index ``first``.

    Args:
        block: Elements that lie in the ``size`` bins from ``first``.
        exponent: The bins' width is 2 to this power.
        first: Index of the first bin.
        size: How many bins.
        scratch: Its wide memory is written over.

    Returns:
        Counts, ``size`` of them or some more. Elements outside (data written by another thread meanwhile) are counted
        in some bin, and do no harm.
    """
    n = block.numel()
    if size == 1:
        return [n]
    if block.dtype is torch.float32 and exponent not in _FLOAT32_EXPONENTS:
        block = scratch.wide(n).copy_(block)
    indices = bin_indices(block, exponent, scratch.wide(n, block.dtype))
    stride = 1 << (size - 1).bit_length()
    if stride > _LARGEST_PAIRED or n == 1:
        return _tally(indices.sub_(first), 0.0, stride).tolist()
    # Two elements make one number below stride², so that half as many are counted one by one.
    half = n // 2
    rest = [int(indices[-1].item()) - first] if n % 2 else []
    offset = -float(first * (1 + stride))
    if abs(offset) > _EXACT_INTEGERS[block.dtype] / 2 - stride * stride:
        indices.sub_(first)
        offset = 0.0
    pairs = torch.add(indices[:half], indices[half : 2 * half], alpha=stride, out=indices[:half])
    table = _tally(pairs, offset, stride * stride).view(stride, stride)
    counts: list[int] = (table.sum(0) + table.sum(1)).tolist()
    for index in rest:
        counts[min(max(index, 0), size - 1)] += 1
    return counts


def _tally(numbers: torch.Tensor, offset: float, size: int) -> torch.Tensor:
    """Count whole floats plus ``offset``, in ``range(size)``, ``size`` a power of two; writes over them."""
    # Above 2^23 (2^52) the low bits of a float are the number itself. The mask keeps any bits at all within the table.
    exact = _EXACT_INTEGERS[numbers.dtype]
    integers = numbers.add_(exact + offset).view(_INTEGER[numbers.dtype])
    return torch.bincount(integers.bitwise_and_(size - 1), minlength=size)


_LEAST_NORMAL_POWER = 1000
