"""Tensors of which a side has kept a digest alone: the same as the other side's, or not."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from typing import Any

import torch
import xxhash

from nnwidgets.checkpoint.diffing.operands import OperandTensor
from nnwidgets.introspect.records import TensorStats

_PIECE_BYTES = 2**21


class DigestTensor:
    """A tensor of a side whose elements weren't kept; see `OperandTensor`.

    Attributes:
        digest: Of its elements, in order.
        stats: Their statistics.
    """

    is_cut = is_run = False

    def __init__(self, part: OperandTensor, stats: TensorStats | None) -> None:
        self.shape, self.dtype = part.shape, part.dtype
        self.digest = digest_of(part)
        self.quantizer = part.quantizer
        self.stats = stats

    def elements(self, start: int, stop: int, buffer: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - as others have it
        """There are none."""
        raise LookupError("its elements were not kept")

    rows = elements


def digest_of(part: OperandTensor) -> bytes:
    """A fingerprint of a tensor's elements, in order; made once where there is one already."""
    if isinstance(part, DigestTensor):
        return part.digest
    made = xxhash.xxh3_128()
    for data in _pieces(part):
        n_bytes = data.numel() * data.element_size()
        if n_bytes:
            made.update((ctypes.c_char * n_bytes).from_address(data.data_ptr()))
    return made.digest()


def _pieces(part: OperandTensor) -> Iterator[torch.Tensor]:
    buffer = torch.empty(_PIECE_BYTES, dtype=torch.uint8, device="cpu")
    read: Any = part.elements if part.is_run else part.rows
    n = math.prod(part.shape) if part.is_run else part.shape[0] if part.shape else 1
    per_step = 1 if part.is_run else max(1, math.prod(part.shape[1:]))
    step = max(1, _PIECE_BYTES // (per_step * part.dtype.itemsize)) if part.is_cut else max(1, n)
    yield from (read(start, min(n, start + step), buffer) for start in range(0, n, step))
