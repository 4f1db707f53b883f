"""A box of a tensor in a file: where its bytes lie, by arithmetic on the description; nothing is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from nnwidgets.checkpoint.description import Composed, Described, Strided

Box = Sequence[range]
"""Of each dimension, the indices that are in it."""


def cut(described: Described, box: Box) -> Described:
    """What a file has for a box of a tensor: of one in pieces, those that reach into it.

    Args:
        described: A strided tensor, stored whole or in pieces.
        box: Within its shape.

    Example:
        >>> import torch
        >>> from nnwidgets.checkpoint.description import Storage
        >>> stored = Strided(torch.float32, (4, 3), (3, 1), Storage("0", 0, 0, 48))
        >>> rows = cut(stored, (range(1, 3), range(3)))
        >>> rows.shape, rows.first, rows.is_run
        ((2, 3), 3, True)
        >>> cut(stored, (range(4), range(1, 2))).is_run
        False
    """
    if tuple(map(len, box)) == tuple(described.shape):
        return described
    if isinstance(described, Strided):
        return _cut(described, box)
    parts = tuple(_parts_within(described, box))
    return replace(described, shape=tuple(map(len, box)), parts=parts)


def pieces_of(described: Described) -> Iterator[tuple[tuple[slice, ...], Strided]]:
    """The strided pieces that a tensor is stored in, each with its place; one where it is stored whole."""
    if isinstance(described, Strided):
        yield tuple(slice(0, size) for size in described.shape), described
        return
    for name, part in described.parts:
        starts = _offsets(name)
        yield tuple(slice(start, start + size) for start, size in zip(starts, part.shape, strict=True)), part


def is_strided(described: Described) -> bool:
    """Whether a box of it can be read without the rest: it isn't sparse or quantized."""
    return described.layout == "strided" if isinstance(described, Composed) else described.quantizer is None


def _parts_within(described: Composed, box: Box) -> Iterator[tuple[str, Strided]]:
    for name, part in described.parts:
        starts = _offsets(name)
        common = [
            range(max(each.start, start), min(each.stop, start + size))
            for each, start, size in zip(box, starts, part.shape, strict=True)
        ]
        if all(common):
            inner = [range(each.start - start, each.stop - start) for each, start in zip(common, starts, strict=True)]
            at = (str(each.start - of.start) for each, of in zip(common, box, strict=True))
            yield ",".join(at), _cut(part, inner)


def _cut(described: Strided, box: Box) -> Strided:
    first = sum(each.start * stride for each, stride in zip(box, described.strides, strict=True)) if all(box) else 0
    return replace(described, shape=tuple(map(len, box)), first=described.first + first)


def _offsets(name: str) -> list[int]:
    """Where a piece begins, from its name."""
    return [int(each) for each in name.split(",")] if name else []
