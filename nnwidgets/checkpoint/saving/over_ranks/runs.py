"""A part of a tensor where the whole lies in a file: written there run by run, and read back."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from typing import Any

import torch

from nnwidgets.checkpoint.progress import Tick
from nnwidgets.checkpoint.saving.over_ranks.shares import Share
from nnwidgets.checkpoint.writing.hashing_stream import BUFFER_BYTES, pieces
from nnwidgets.edit.over_ranks.part import Part


def runs_of(part: Part, width: int) -> tuple[int, Iterator[int]]:
    """How many bytes of a part lie one after the other in the whole, and where each such run begins.

    Args:
        part: It.
        width: Bytes of an element.

    Example:
        >>> n_bytes, starts = runs_of(Part((4, 6), (6, 1), (range(1, 3), range(2, 4))), 4)
        >>> n_bytes, list(starts)
        (8, [32, 56])
        >>> n_bytes, starts = runs_of(Part((4, 6), (6, 1), (range(1, 3), range(6))), 4)
        >>> n_bytes, list(starts)
        (48, [24])
    """
    dim = len(part.shape)
    while dim and len(part.box[dim - 1]) == part.shape[dim - 1]:
        dim -= 1
    # All dimensions from `dim` on are whole, and of the one before a range.
    steps = [width * math.prod(part.shape[each + 1 :]) for each in range(len(part.shape))]
    if not dim:
        return width * math.prod(part.shape), iter((0,))
    n_bytes = len(part.box[dim - 1]) * steps[dim - 1]
    first = part.box[dim - 1].start * steps[dim - 1]
    outer = itertools.product(*(range(each.start, each.stop) for each in part.box[: dim - 1]))
    return n_bytes, (first + sum(at * step for at, step in zip(place, steps, strict=False)) for place in outer)


def write_part(fd: int, begin: int, share: Share, digest: Any, tick: Tick) -> None:
    """Write a part where it belongs.

    Args:
        fd: The file.
        begin: Where in it the whole tensor begins.
        share: What to write.
        digest: Takes what is written, in the order of the part's elements.
        tick: Told of the bytes.

    Raises:
        OSError: It can't be written.
    """
    n_bytes, starts = runs_of(share.part, share.data.element_size())
    held = memoryview(bytearray(min(BUFFER_BYTES, max(share.n_bytes, 1))))
    source = _Source(share.data)
    for at, n in _blocks(n_bytes, starts):
        block = held[:n]
        source.fill(block)
        digest.update(block)
        done = 0
        while done < n:
            done += os.pwrite(fd, block[done:], begin + at + done)
        tick(n)


def read_part(fd: int, begin: int, share: Share, digest: Any, tick: Tick) -> None:
    """Read a part back; ``digest`` takes it as `write_part` did.

    Raises:
        OSError: It can't be read.
    """
    held = memoryview(bytearray(BUFFER_BYTES))
    for at, n in _blocks(*runs_of(share.part, share.data.element_size())):
        n_read = os.preadv(fd, [held[:n]], begin + at)
        digest.update(held[:n_read])
        tick(n)


def _blocks(n_bytes: int, starts: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Runs, the long ones in blocks."""
    for start in starts:
        for at in range(0, n_bytes, BUFFER_BYTES):
            yield start + at, min(BUFFER_BYTES, n_bytes - at)


class _Source:
    """The bytes of a tensor's elements in their order, as many at a time as asked for."""

    def __init__(self, data: torch.Tensor) -> None:
        self._pieces = pieces(data)
        self._left = memoryview(b"")

    def fill(self, out: memoryview) -> None:
        done = 0
        while done < len(out):
            if not len(self._left):
                self._left = next(self._pieces)
            n = min(len(out) - done, len(self._left))
            out[done : done + n] = self._left[:n]
            self._left = self._left[n:]
            done += n
