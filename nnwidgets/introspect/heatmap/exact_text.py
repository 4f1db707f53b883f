"""The shortest decimal text of each element that reads back as the very same element."""

from __future__ import annotations

import math

import torch

_MOST_DIGITS = 17
_SAFE_DIGITS = {torch.float32: 6, torch.float64: 15}
"""Decimals of so many digits survive the trip through the dtype, so where they do, none shorter is missed."""


def text_rows(elements: torch.Tensor, n_columns: int) -> list[list[str]]:
    """The exact texts of a matrix's elements, given row by row in one dimension."""
    words = texts(elements.resolve_conj().resolve_neg())
    return [words[start : start + n_columns] for start in range(0, len(words), max(n_columns, 1))]


def texts(values: torch.Tensor) -> list[str]:
    """Return each element's exact text: whole numbers plain, floats in as few digits as tell them apart.

    Args:
        values: A plain one-dimensional tensor on the CPU, of any dtype torch can convert to a number.

    Returns:
        Texts that ``float``, ``int``, ``complex`` or ``bool`` words read back.

    Example:
        >>> import torch
        >>> texts(torch.tensor([0.1, 1e-8, float("nan")]))
        ['0.1', '1e-08', 'nan']
        >>> texts(torch.tensor([0.1], dtype=torch.bfloat16))
        ['0.1']
        >>> texts(torch.tensor([1 - 2j]))
        ['1.0-2.0j']
    """
    if values.dtype.is_complex:
        parts = torch.view_as_real(values.resolve_conj())
        pairs = zip(texts(parts[:, 0].contiguous()), texts(parts[:, 1].contiguous()), strict=True)
        return [f"{real}{'' if imaginary.startswith('-') else '+'}{imaginary}j" for real, imaginary in pairs]
    if not values.dtype.is_floating_point:
        return [str(value) for value in values.tolist()]
    wide = values.to(torch.float64)
    numbers: list[float] = wide.tolist()
    if values.dtype is torch.float64:
        return [repr(number) for number in numbers]
    found = [repr(number) for number in numbers]
    waiting = [place for place, number in enumerate(numbers) if math.isfinite(number) and number != 0.0]
    least = torch.finfo(values.dtype).smallest_normal
    subnormal = any(abs(numbers[place]) < least for place in waiting)
    for digits in range(1 if subnormal else _SAFE_DIGITS.get(values.dtype, 1), _MOST_DIGITS + 1):
        if not waiting:
            break
        shorter = [float(f"{numbers[place]:.{digits}g}") for place in waiting]
        there = torch.tensor(shorter, dtype=torch.float64, device="cpu").to(values.dtype).to(torch.float64).tolist()
        rest = []
        for place, text, back in zip(waiting, shorter, there, strict=True):
            if back == numbers[place]:
                found[place] = repr(text)
            else:
                rest.append(place)
        waiting = rest
    return found
