"""How two pieces of memory differ as numbers: how many elements, by how much at most, and the squares of that.

Where all numbers are finite and float32 holds them, which is what checkpoints are made of, all is done in float32 in
blocks that stay in the cache, their sums added in float64. All else is computed in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

_BLOCK = 2**19
"""Elements: enough for torch to share the work out among the cores, few enough for the cache that these share."""

_FLOATS = {torch.float32, torch.bfloat16, torch.float16}
_WIDEST = 4
"""Bytes of the widest elements that are compared in blocks."""

_SAFE_SQUARES = (2.0**-100, 2.0**100)
"""Sums of squares in float32 that neither overflowed nor lost much below the least number."""


@dataclass(frozen=True, slots=True)
class Differences:
    """What was found.

    Attributes:
        n_different: Elements that differ in a bit; of unlike dtypes, in value.
        greatest: The greatest absolute difference; float32's where both sides are that or narrower.
        squares: The sum of the differences' squares.
        squares_of_one: That of the first side's elements.
        has_odd_nan: Whether one side has NaN where the other has a number.
    """

    n_different: int
    greatest: float
    squares: float
    squares_of_one: float
    has_odd_nan: bool = False


class Scratch:
    """Memory for blocks, made when first asked for."""

    def __init__(self) -> None:
        self._made: dict[str, torch.Tensor] = {}

    def of(self, use: str, dtype: torch.dtype, n: int) -> torch.Tensor:
        """Memory for ``n`` elements, at most a block of them."""
        if use not in self._made:
            self._made[use] = torch.empty(_BLOCK * _WIDEST, dtype=torch.uint8, device="cpu")
        return self._made[use].view(dtype)[:n]


def differences(one: torch.Tensor, other: torch.Tensor, scratch: Scratch) -> Differences:
    """Compare two contiguous tensors on the CPU, of one shape.

    Example:
        >>> import torch
        >>> found = differences(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]), Scratch())
        >>> found.n_different, found.greatest, found.squares, found.squares_of_one
        (1, 0.5, 0.25, 5.0)
    """
    if one.dtype is other.dtype and one.dtype in _FLOATS:
        found = _in_blocks(one.view(-1), other.view(-1), scratch)
        if found is not None:
            return found
    return _odd(one, other) if _has_odd(one) or _has_odd(other) else _plain(one, other)


def _in_blocks(one: torch.Tensor, other: torch.Tensor, scratch: Scratch) -> Differences | None:
    """What differs, computed in float32; None where that can't tell."""
    n, greatest, of_gaps, of_ones = 0, 0.0, 0.0, 0.0
    word, is_narrow = _WORDS[one.element_size()], one.dtype is not torch.float32
    for ours, theirs in zip(torch.split(one, _BLOCK), torch.split(other, _BLOCK), strict=True):
        size = ours.numel()
        # As wide as what is compared: torch is three times slower to narrow them.
        marks, gap = scratch.of("marks", word, size), scratch.of("gap", torch.float32, size)
        torch.ne(ours.view(word), theirs.view(word), out=marks)
        n_here = int(marks.sum(dtype=torch.int32))
        a = scratch.of("one", torch.float32, size).copy_(ours) if is_narrow else ours
        b = scratch.of("other", torch.float32, size).copy_(theirs) if is_narrow else theirs
        torch.sub(b, a, out=gap)
        low, high = torch.aminmax(gap)
        of_gap = gap.square_().sum().item()
        of_one = torch.mul(a, a, out=gap).sum().item()
        if not (_is_safe(of_gap) and _is_safe(of_one)):
            return None
        n += n_here
        greatest = max(greatest, high.item(), -low.item())
        of_gaps += of_gap
        of_ones += of_one
    return Differences(n, greatest, of_gaps, of_ones)


def _is_safe(squares: float) -> bool:
    return squares == 0.0 or _SAFE_SQUARES[0] < squares < _SAFE_SQUARES[1]


def squares(data: torch.Tensor) -> float:
    """The sum of a piece's squares, in float64."""
    if not (data.is_floating_point() or data.is_complex()) or data.dtype.itemsize == 1:
        data = data.to(torch.float64)
    norm = float(torch.linalg.vector_norm(data, dtype=_wide(data)))
    return norm * norm


def _plain(one: torch.Tensor, other: torch.Tensor) -> Differences:
    """What differs where all numbers are finite."""
    gap = other.to(_wide(other)) - one.to(_wide(one))
    n = int(torch.count_nonzero(_bits_differ(one, other) if one.dtype is other.dtype else gap))
    greatest = float(gap.abs().max())
    return Differences(n, greatest, squares(gap), squares(one))


def _odd(one: torch.Tensor, other: torch.Tensor) -> Differences:
    """What differs where some are not. Equal infinities have no difference, and NaN on both sides is no news."""
    a, b = one.to(_wide(one)), other.to(_wide(other))
    nan_a, nan_b = torch.isnan(a), torch.isnan(b)
    gap = (b - a).abs()
    gap[(a == b) | (nan_a & nan_b)] = 0
    n = int(torch.count_nonzero(_bits_differ(one, other) if one.dtype is other.dtype else gap))
    known = gap[~torch.isnan(gap)]
    greatest = float(known.max()) if known.numel() else 0.0
    finite = torch.where(torch.isfinite(a), a, torch.zeros((), dtype=a.dtype))
    return Differences(n, greatest, squares(known), squares(finite), bool((nan_a ^ nan_b).any()))


def _wide(data: torch.Tensor) -> torch.dtype:
    return torch.complex128 if data.is_complex() else torch.float64


def _has_odd(data: torch.Tensor) -> bool:
    """Whether a number is NaN or infinite: then so is the sum of all."""
    is_whole = not (data.is_floating_point() or data.is_complex())
    if is_whole:
        return False
    total = (data.to(torch.float64) if data.dtype.itemsize == 1 else data).sum(dtype=_wide(data)).item()
    return not math.isfinite(abs(total))


def _bits_differ(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Elements that differ in a bit; of complex ones, in either part."""
    if one.is_complex():
        return _bits_differ(torch.view_as_real(one), torch.view_as_real(other)).any(-1)
    word = _WORDS[one.element_size()]
    return one.view(word) != other.view(word)


def is_within(one: torch.Tensor, other: torch.Tensor, rtol: float, atol: float) -> bool:
    """Whether no element of the first side is further from the other's than ``atol`` and ``rtol`` of that.

    Whole numbers are within only where they are equal; NaN and NaN are, and equal infinities.

    Example:
        >>> import torch
        >>> is_within(torch.tensor([1.0]), torch.tensor([1.001]), 0.01, 0.0)
        True
    """
    if not (one.is_floating_point() or one.is_complex()):
        return torch.equal(one, other)
    return bool(torch.isclose(one.to(_wide(one)), other.to(_wide(other)), rtol=rtol, atol=atol, equal_nan=True).all())


_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
