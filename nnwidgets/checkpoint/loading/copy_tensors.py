"""Bytes from an open checkpoint into live tensors, and their comparison with it: in pieces, by a few threads.

Each piece is read into memory of its own, and fingerprinted there where it lies in the file as it does in the model;
elsewhere torch converts it on its way.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from nnwidgets.checkpoint.bytes_equal import as_contiguous_cpu, is_same
from nnwidgets.checkpoint.description import Composed, Described, Strided
from nnwidgets.checkpoint.formats import CheckpointReader
from nnwidgets.checkpoint.progress import Tick
from nnwidgets.edit.transaction import WriteGuard
from nnwidgets.edit.undo_copy.digest import CHUNK_BYTES, digest
from nnwidgets.edit.undo_copy.threads import CancelFlag, ThreadGroup
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_runs, plain_torch


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


class Transfer:
    """All that goes from one file into one model."""

    def __init__(self, held: CheckpointReader, pairs: Sequence[Pair], tick: Tick, *, is_kept: bool = True) -> None:
        """Prepare it.

        Args:
            held: The file.
            pairs: What goes where.
            tick: Told bytes copied and compared.
            is_kept: Whether an undo copy is made: it then knows what is live, and what to put back.
        """
        self._held = held
        self._is_kept = is_kept
        self._begun: set[int] = set()
        self._done: list[tuple[int, int]] = []
        self._tick = tick
        self._pairs = pairs
        self._read: dict[tuple[str, int, int], bytes] = {}
        tensors = [pair.tensor for pair in pairs]
        plain = plain_runs(tensors) or map(as_plain_tensor, tensors)
        self._targets = dict(zip(map(id, pairs), plain, strict=True))

    def write(self, pairs: Sequence[Pair], guard: WriteGuard) -> None:
        """Fill live tensors from the file.

        Args:
            pairs: Some of those of the transfer.
            guard: Keeps each part of the tensors before it is written.

        Raises:
            CorruptCheckpointError: Bytes aren't there; what was written so far stays.
        """

        def write(piece: _Piece, room: _Room) -> None:
            if self._is_kept:
                guard.before(piece.target)
            if piece.is_direct:
                self._move(piece, room)
            else:
                made = _read(self._held, piece, room)
                self._begun.add(id(piece.pair))
                piece.target.copy_(made)
            self._done.append((id(piece.pair), piece.n_bytes))

        self._in_lanes(pairs, write)

    def _move(self, piece: _Piece, room: _Room) -> None:
        """Write a direct piece, each chunk of it while it is in the cache."""
        storage = piece.pair.described.storage  # type: ignore[union-attr] # a strided one
        for start, address, n_bytes in piece.chunks():
            self._held.read_bytes(storage, start, room.chunk[:n_bytes])
            # Of what was read, not of what is live: another thread may be writing there.
            self._read[storage.key, start, address] = digest(room.address, n_bytes)
            self._begun.add(id(piece.pair))
            ctypes.memmove(address, room.address, n_bytes)

    def progress_by_path(self) -> dict[str, str]:
        """Of each tensor whether it has the file's values, where no undo copy is made: "new", "old", or "mixed"."""
        n_done: dict[int, int] = {}
        for key, n_bytes in self._done:
            n_done[key] = n_done.get(key, 0) + n_bytes
        return {
            pair.path: "old" if id(pair) not in self._begun
            else "new" if n_done.get(id(pair), -1) >= size(pair.described) else "mixed"
            for pair in self._pairs
        }  # fmt: skip

    def differing(self, guard: WriteGuard) -> list[Pair]:
        """Those whose live bytes aren't the file's, converted as writing converts them.

        Args:
            guard: Knows fingerprints of what is live: what has that of what was read isn't read once more.
        """
        found: list[Pair] = []

        def is_as_read(piece: _Piece) -> bool:
            key = piece.pair.described.storage.key if piece.is_direct else None  # type: ignore[union-attr] # a strided one
            return key is not None and all(
                self._read.get((key, start, address), b"")
                == (guard.fingerprint(address, n_bytes) if self._is_kept else digest(address, n_bytes))
                != b""
                for start, address, n_bytes in piece.chunks()
            )

        def compare(piece: _Piece, room: _Room) -> None:
            if not is_as_read(piece) and not _is_equal(self._held, piece, room):
                found.append(piece.pair)

        self._in_lanes(self._pairs, compare)
        wrong = {id(pair) for pair in found}
        return [pair for pair in self._pairs if id(pair) in wrong]

    def _in_lanes(self, pairs: Sequence[Pair], work: Callable[[_Piece, _Room], None]) -> None:
        def begin() -> Callable[[_Piece], int]:
            room = _Room()

            def done(piece: _Piece) -> int:
                work(piece, room)
                return piece.n_bytes

            return done

        pieces = (piece for pair in pairs for piece in _pieces(pair, self._targets[id(pair)]))
        in_lanes(pieces, begin, self._tick, n_bytes=sum(size(pair.described) for pair in pairs))


@dataclass(slots=True)
class _Piece:
    """A part of a tensor, rows of it, or all.

    Attributes:
        pair: Whose.
        target: The live part.
        first: Its first element in the file's tensor; None where all of it is read at once.
        is_direct: Whether it lies in memory as it lies in the file.
    """

    pair: Pair
    target: torch.Tensor
    first: int | None
    is_direct: bool = False

    @property
    def n_bytes(self) -> int:
        return self.target.numel() * self.pair.described.dtype.itemsize

    def chunks(self) -> Iterator[tuple[int, int, int]]:
        """Of a direct one, in turn, where each chunk is in the file's storage, where in memory, and its bytes."""
        described: Any = self.pair.described
        offset, address, n_bytes = _offset(described, self.first or 0), self.target.data_ptr(), self.target.nbytes
        for start in range(0, n_bytes, CHUNK_BYTES):
            yield offset + start, address + start, min(CHUNK_BYTES, n_bytes - start)


class _Room:
    """Memory to read into, kept from piece to piece.

    Attributes:
        chunk: For a chunk of a direct piece.
        address: Where that is.
    """

    def __init__(self) -> None:
        held = ctypes.create_string_buffer(CHUNK_BYTES)
        self.chunk, self.address = memoryview(held).cast("B"), ctypes.addressof(held)
        self._bytes = torch.empty(0, dtype=torch.uint8, device="cpu")

    def of(self, dtype: torch.dtype, shape: torch.Size) -> torch.Tensor:
        """For a tensor."""
        n_bytes = shape.numel() * dtype.itemsize
        if self._bytes.numel() < n_bytes:
            self._bytes = torch.empty(n_bytes, dtype=torch.uint8, device="cpu")
        return self._bytes[:n_bytes].view(dtype).view(shape)


def size(described: Described) -> int:
    """Bytes of a tensor's elements."""
    return described.n_elements * described.dtype.itemsize


def _pieces(pair: Pair, target: torch.Tensor) -> Iterator[_Piece]:
    described = pair.described
    is_whole = isinstance(described, Composed) or described.quantizer is not None or not described.is_run
    if is_whole or not target.numel():
        yield _Piece(pair, target, None if is_whole else 0)
        return
    is_run = target.is_contiguous()
    is_plain = is_run and target.device.type == "cpu" and not (target.is_conj() or target.is_neg())
    is_alike = isinstance(described, Strided) and not described.storage.is_swapped and target.dtype is described.dtype
    if target.numel() * described.dtype.itemsize <= PIECE_BYTES:
        yield _Piece(pair, target, 0, is_plain and is_alike)
        return
    if is_run:
        target = target.view(-1)
    while target.dim() > 1 and target.size(0) == 1:
        target = target[0]
    n_per_row = target[0].numel()
    n_rows = max(1, PIECE_BYTES // (n_per_row * described.dtype.itemsize))
    for start in range(0, target.size(0), n_rows):
        yield _Piece(pair, target[start : start + n_rows], start * n_per_row, is_plain and is_alike)


def _is_equal(held: CheckpointReader, piece: _Piece, room: _Room) -> bool:
    return is_same(as_contiguous_cpu(_read(held, piece, room).to(piece.target.dtype)), as_contiguous_cpu(piece.target))


def _read(held: CheckpointReader, piece: _Piece, room: _Room) -> torch.Tensor:
    described = piece.pair.described
    if piece.first is None or not isinstance(described, Strided):
        made = held.tensor(described)
        return (made if made.layout is torch.strided else made.to_dense()).reshape(piece.target.shape)
    made = room.of(described.dtype, piece.target.shape)
    if made.numel():
        held.read_into(described.storage, _offset(described, piece.first), made)
    return made


def _offset(described: Strided, first: int) -> int:
    return (described.first + first) * described.dtype.itemsize


PIECE_BYTES = 4 * CHUNK_BYTES
"""Few enough that threads end together; many enough that they seldom wait for Python's lock."""


_MOST_LANES = 4


Piece = TypeVar("Piece")


def in_lanes(
    pieces: Iterable[Piece],
    begin: Callable[[], Callable[[Piece], int]],
    told: Callable[[int], None],
    *,
    n_bytes: int,
) -> None:
    """Work through pieces, each once, on as many threads as there is work for.

    Args:
        pieces: Taken by one thread at a time.
        begin: Called by each thread; gives what it does with a piece, which gives how many bytes that was.
        told: Told those bytes, by one thread at a time; may raise to stop all.
        n_bytes: Of all pieces, about.
    """
    waiting = iter(pieces)
    lock = threading.Lock()

    def lane(halt: CancelFlag) -> None:
        with plain_torch():
            work = begin()
            while not halt.is_set:
                with lock:
                    piece = next(waiting, None)
                if piece is None:
                    return
                done = work(piece)
                with lock:
                    told(done)

    ThreadGroup().run([lane] * min(_MOST_LANES, torch.get_num_threads(), max(1, n_bytes // PIECE_BYTES)))
