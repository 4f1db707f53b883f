"""Bytes from an open checkpoint into live tensors, and their comparison with it: in pieces, by a few threads.

What lies in the file as it lies in memory is read straight into the model. All else goes through a piece of memory of
bounded size, where torch converts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from nnwidgets.checkpoint.content import Composed, Described, Strided
from nnwidgets.checkpoint.formats import Opened
from nnwidgets.checkpoint.lanes import PIECE_BYTES, in_lanes
from nnwidgets.checkpoint.sameness import is_same, settled
from nnwidgets.introspect.readable import plain, reading

Tick = Callable[[int], None]
"""Told how many more bytes are done, by one thread at a time; may raise to cancel."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A live tensor and what it gets.

    Attributes:
        path: The tensor's.
        source: Its name in the file.
        tensor: Itself.
        described: What the file has.
    """

    path: str
    source: str
    tensor: torch.Tensor
    described: Described


def write(held: Opened, pairs: Sequence[Pair], tick: Tick) -> None:
    """Fill live tensors from the file.

    Raises:
        CorruptCheckpointError: Bytes aren't there; what was written so far stays.
    """
    _in_lanes(held, pairs, tick, _write)


def differing(held: Opened, pairs: Sequence[Pair], tick: Tick) -> list[Pair]:
    """Those whose live bytes aren't the file's, converted as writing converts them."""
    found: list[Pair] = []

    def compare(held: Opened, piece: _Piece, room: _Room) -> None:
        if not _is_equal(held, piece, room):
            found.append(piece.pair)

    _in_lanes(held, pairs, tick, compare)
    wrong = {id(pair) for pair in found}
    return [pair for pair in pairs if id(pair) in wrong]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a tensor, rows of it, or all.

    Attributes:
        pair: Whose.
        target: The live part.
        first: Its first element in the file's tensor; None where all of it is read at once.
    """

    pair: Pair
    target: torch.Tensor
    first: int | None

    @property
    def n_bytes(self) -> int:
        return self.target.numel() * self.pair.described.dtype.itemsize


class _Room:
    """Memory to read a piece into, kept from piece to piece."""

    def __init__(self) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8, device="cpu")

    def of(self, dtype: torch.dtype, shape: torch.Size) -> torch.Tensor:
        n_bytes = shape.numel() * dtype.itemsize
        if self._bytes.numel() < n_bytes:
            self._bytes = torch.empty(n_bytes, dtype=torch.uint8, device="cpu")
        return self._bytes[:n_bytes].view(dtype).view(shape)


def _in_lanes(held: Opened, pairs: Sequence[Pair], tick: Tick, work: Callable[[Opened, _Piece, _Room], None]) -> None:
    with reading():
        pieces = [piece for pair in pairs for piece in _pieces(pair)]

    def begin() -> Callable[[_Piece], int]:
        room = _Room()

        def done(piece: _Piece) -> int:
            work(held, piece, room)
            return piece.n_bytes

        return done

    in_lanes(pieces, begin, tick, n_bytes=sum(piece.n_bytes for piece in pieces))


def _pieces(pair: Pair) -> Iterator[_Piece]:
    target, described = plain(pair.tensor), pair.described
    is_whole = isinstance(described, Composed) or described.quantizer is not None or not described.is_run
    if is_whole or not target.dim() or not target.numel():
        yield _Piece(pair, target, None if is_whole else 0)
        return
    if target.is_contiguous():
        target = target.view(-1)
    while target.dim() > 1 and target.size(0) == 1:
        target = target[0]
    n_per_row = target[0].numel()
    n_rows = max(1, PIECE_BYTES // (n_per_row * described.dtype.itemsize))
    for start in range(0, target.size(0), n_rows):
        yield _Piece(pair, target[start : start + n_rows], start * n_per_row)


def _write(held: Opened, piece: _Piece, room: _Room) -> None:
    described, target = piece.pair.described, piece.target
    is_direct = target.device.type == "cpu" and target.is_contiguous() and target.dtype is described.dtype
    if isinstance(described, Strided) and piece.first is not None and is_direct and not _is_lazy_view(target):
        if target.numel():
            held.read_into(described.storage, _offset(described, piece.first), target)
        return
    target.copy_(_read(held, piece, room))


def _is_equal(held: Opened, piece: _Piece, room: _Room) -> bool:
    return is_same(settled(_read(held, piece, room).to(piece.target.dtype)), settled(piece.target))


def _read(held: Opened, piece: _Piece, room: _Room) -> torch.Tensor:
    described = piece.pair.described
    if piece.first is None or not isinstance(described, Strided):
        made = held.tensor(described)
        return (made if made.layout is torch.strided else made.to_dense()).view(piece.target.shape)
    made = room.of(described.dtype, piece.target.shape)
    if made.numel():
        held.read_into(described.storage, _offset(described, piece.first), made)
    return made


def _offset(described: Strided, first: int) -> int:
    return (described.first + first) * described.dtype.itemsize


def _is_lazy_view(target: torch.Tensor) -> bool:
    return target.is_conj() or target.is_neg()
