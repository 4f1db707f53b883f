"""Tensors of which a side has kept a digest alone: the same as the other side's, or not."""

from __future__ import annotations

from copy import copy

import torch
import xxhash

from nnwidgets.checkpoint.diffing.operands import PIECE_BYTES, OperandTensor, check_same_part, piece_bounds
from nnwidgets.checkpoint.formats.file import memory_of
from nnwidgets.edit.over_ranks.part import Part
from nnwidgets.introspect.records import TensorStats


class DigestTensor:
    """A tensor of a side whose elements weren't kept; see `OperandTensor`.

    Attributes:
        digest: Of its elements, in order.
        stats: Their statistics.
    """

    is_cut = is_run = False

    def __init__(self, part: OperandTensor, stats: TensorStats | None) -> None:
        self.shape, self.dtype = part.shape, part.dtype
        self.part, self.of = part.part, part.of
        self.digest = digest_of(part if part.part is None else part.within(part.part))
        self.quantizer = part.quantizer
        self.stats = stats

    def elements(self, start: int, stop: int, buffer: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - as others have it
        """There are none."""
        raise LookupError("its elements were not kept")

    rows = elements

    def within(self, part: Part) -> DigestTensor:
        """As of `OperandTensor`."""
        if self.part is not None:
            check_same_part(self.part, part)
        made = copy(self)
        made.shape, made.part = part.local_shape, None
        return made


def digest_of(part: OperandTensor) -> bytes:
    """A fingerprint of a tensor's elements, in order; made once where there is one already."""
    if isinstance(part, DigestTensor):
        return part.digest
    made = xxhash.xxh3_128()
    buffer = torch.empty(PIECE_BYTES, dtype=torch.uint8, device="cpu")
    read = part.elements if part.is_run else part.rows
    for start, stop in piece_bounds(part.shape, part.dtype.itemsize, is_run=part.is_run, is_cut=part.is_cut):
        made.update(memory_of(read(start, stop, buffer)))
    return made.digest()
