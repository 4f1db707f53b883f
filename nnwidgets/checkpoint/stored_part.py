"""A box of a tensor in a file: where its bytes lie, by arithmetic on the description; nothing is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nnwidgets.checkpoint.description import Composed, Described, Strided

if TYPE_CHECKING:
    from nnwidgets.checkpoint.formats import CheckpointReader

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
    parts, pieces = [], dict(described.parts)
    for name, common in _parts_within(described, box):
        inner = [range(each.start - at, each.stop - at) for each, at in zip(common, _offsets(name), strict=True)]
        place = ",".join(str(each.start - of.start) for each, of in zip(common, box, strict=True))
        parts.append((place, _cut(pieces[name], inner)))
    return replace(described, shape=tuple(map(len, box)), parts=tuple(parts))


def located_within(held: CheckpointReader, described: Described, box: Box) -> Described:
    """What a file has for a box of a tensor, by where its elements lie; only pieces that reach there are looked at.

    Raises:
        CorruptCheckpointError: Something else is there.
    """
    if isinstance(described, Composed):
        within = {name for name, _ in _parts_within(described, box)}
        described = replace(described, parts=tuple(each for each in described.parts if each[0] in within))
    return cut(held.located(described), box)


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


def _parts_within(described: Composed, box: Box) -> Iterator[tuple[str, list[range]]]:
    """The pieces that reach into a box, each with what of the tensor both have."""
    for name, part in described.parts:
        starts = _offsets(name)
        common = [
            range(max(each.start, start), min(each.stop, start + size))
            for each, start, size in zip(box, starts, part.shape, strict=True)
        ]
        if all(common):
            yield name, common


def _cut(described: Strided, box: Box) -> Strided:
    first = sum(each.start * stride for each, stride in zip(box, described.strides, strict=True)) if all(box) else 0
    return replace(described, shape=tuple(map(len, box)), first=described.first + first)


def _offsets(name: str) -> list[int]:
    """Where a piece begins, from its name."""
    return [int(each) for each in name.split(",")] if name else []
