"""Bytes from an open checkpoint into live tensors, and their comparison with it: in pieces, by a few threads.

Each piece is read into memory of its own, and fingerprinted there where it lies in the file as it does in the model;
elsewhere torch converts it on its way.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch

from nnwidgets.checkpoint.bytes_equal import as_contiguous_cpu, is_same
from nnwidgets.checkpoint.description import Described, Strided
from nnwidgets.checkpoint.formats import CheckpointReader
from nnwidgets.checkpoint.formats.reader import span
from nnwidgets.checkpoint.progress import Tick
from nnwidgets.checkpoint.stored_part import cut, is_strided, pieces_of
from nnwidgets.edit.over_ranks.part import Part
from nnwidgets.edit.transaction import WriteGuard
from nnwidgets.edit.undo_copy.digest import CHUNK_BYTES, digest
from nnwidgets.edit.undo_copy.threads import CancelFlag, ThreadGroup
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, parts_here, plain_torch


@dataclass(frozen=True, slots=True)
class Pair:
    """A live tensor and what it gets.

    Attributes:
        path: The tensor's.
        source: Its name in the file.
        tensor: Itself; of a DTensor, what is here of it gets something.
        described: What the file has for that.
        part: Which part of what the file has it is, where that has to be read as a whole.
    """

    path: str
    source: str
    tensor: torch.Tensor
    described: Described
    part: Part | None = None


class Transfer:
    """All that goes from one file into one model.

    Attributes:
        is_kept: Whether what it writes over is kept by the guard.
    """

    def __init__(self, held: CheckpointReader, pairs: Sequence[Pair], tick: Tick, *, is_kept: bool = True) -> None:
        """Prepare it.

        Args:
            held: The file.
            pairs: What goes where.
            tick: Told bytes copied and compared.
            is_kept: Whether an undo copy is made: it then knows what is live, and what to put back.
        """
        self._held = held
        self.is_kept = is_kept
        self._begun: set[int] = set()
        self._done: list[tuple[int, int]] = []
        self._tick = tick
        self._pairs = pairs
        self._read: dict[tuple[str, int, int], bytes] = {}
        tensors = [pair.tensor for pair in pairs]
        plain = parts_here(tensors) or map(as_plain_tensor, tensors)
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
            if self.is_kept:
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
        storage = piece.described.storage  # type: ignore[union-attr] # a strided one
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
            key = piece.described.storage.key if piece.is_direct else None  # type: ignore[union-attr] # a strided one
            return key is not None and all(
                self._read.get((key, start, address), b"")
                == (guard.fingerprint(address, n_bytes) if self.is_kept else digest(address, n_bytes))
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
    """A part of a tensor, or all of it.

    Attributes:
        pair: Whose.
        target: The live part.
        described: What the file has for it.
        is_run: Whether its elements lie in the file one after the other.
        is_direct: Whether it lies in memory as it lies in the file.
    """

    pair: Pair
    target: torch.Tensor
    described: Described
    is_run: bool
    is_direct: bool = False

    @property
    def n_bytes(self) -> int:
        return self.target.numel() * self.described.dtype.itemsize

    def chunks(self) -> Iterator[tuple[int, int, int]]:
        """Of a direct one, in turn, where each chunk is in the file's storage, where in memory, and its bytes."""
        described: Any = self.described
        offset, address, n_bytes = _offset(described), self.target.data_ptr(), self.target.nbytes
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
    seen = _seen_as(target, tuple(described.shape)) if is_strided(described) and pair.part is None else None
    if seen is None:
        yield _Piece(pair, target, described, is_run=False)
        return
    for place, part in pieces_of(described):
        yield from _within(pair, seen[place], part)


def _seen_as(target: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor | None:
    """A tensor in another shape, without copying; None where it can't be."""
    if tuple(target.shape) == shape:
        return target
    try:
        return target.view(shape)
    except RuntimeError:
        return None


def _within(pair: Pair, target: torch.Tensor, described: Strided) -> Iterator[_Piece]:
    """Pieces of a strided tensor, for each of which few bytes are read."""
    is_plain = target.device.type == "cpu" and not (target.is_conj() or target.is_neg())
    is_alike = is_plain and not described.storage.is_swapped and target.dtype is described.dtype
    waiting = [(target, described)]
    while waiting:
        target, described = waiting.pop()
        is_run = described.is_run or not target.numel()
        reach = target.numel() if is_run else span(described)
        is_direct = is_alike and is_run and target.numel() > 0 and target.is_contiguous()
        if reach * described.dtype.itemsize <= PIECE_BYTES:
            yield _Piece(pair, target, described, is_run, is_direct)
            continue
        if is_run and target.is_contiguous():
            n = PIECE_BYTES // described.dtype.itemsize
            flat = target.view(-1)
            for start in range(0, reach, n):
                part = flat[start : start + n]
                run = replace(described, shape=tuple(part.shape), strides=(1,), first=described.first + start)
                yield _Piece(pair, part, run, is_run, is_direct)
            continue
        halves = [*_halves(target, described)]
        waiting += reversed(halves)


def _halves(target: torch.Tensor, described: Strided) -> Iterator[tuple[torch.Tensor, Strided]]:
    """A strided tensor in parts, cut where its elements are furthest apart in the file."""
    dim = max((at for at, size in enumerate(described.shape) if size > 1), key=described.strides.__getitem__)
    size, n_bytes = described.shape[dim], described.strides[dim] * described.dtype.itemsize
    # What lies between is read as well, unless that is much.
    inner = cut(described, [range(each if at != dim else 1) for at, each in enumerate(described.shape)])
    is_apart = inner.is_run and inner.n_elements * described.dtype.itemsize >= _LARGE_RUN  # type: ignore[union-attr]
    step = 1 if is_apart else min(max(1, PIECE_BYTES // max(1, n_bytes)), max(1, size // 2))
    for start in range(0, size, step):
        n = min(step, size - start)
        box = [range(each) if at != dim else range(start, start + n) for at, each in enumerate(described.shape)]
        yield target.narrow(dim, start, n), cut(described, box)  # type: ignore[misc] # a strided one stays one


def _is_equal(held: CheckpointReader, piece: _Piece, room: _Room) -> bool:
    return is_same(as_contiguous_cpu(_read(held, piece, room).to(piece.target.dtype)), as_contiguous_cpu(piece.target))


def _read(held: CheckpointReader, piece: _Piece, room: _Room) -> torch.Tensor:
    described = piece.described
    if not piece.is_run or not isinstance(described, Strided):
        made = held.tensor(described)
        made = made if made.layout is torch.strided else made.to_dense()
        part = piece.pair.part
        return made.reshape(piece.target.shape) if part is None else part.of(made.reshape(part.shape))
    made = room.of(described.dtype, piece.target.shape)
    if made.numel():
        held.read_into(described.storage, _offset(described), made)
    return made


def _offset(described: Strided) -> int:
    return described.first * described.dtype.itemsize


_LARGE_RUN = 2**18
"""Bytes of a run that are worth a read of their own."""

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
