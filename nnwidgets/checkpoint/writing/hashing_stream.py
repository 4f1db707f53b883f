"""Bytes of tensors written to a file through one small buffer, fingerprinted on the way.

What is fingerprinted is what was written, even where another thread changes the tensor meanwhile: each piece is copied
into the buffer once, and both work on that. The buffer stays in the processor's cache, so the memory is read once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import torch
import xxhash

from nnwidgets.checkpoint.formats.file import memory_of
from nnwidgets.checkpoint.progress import Tick
from nnwidgets.checkpoint.writing.atomic_file import write_all

BUFFER_BYTES = 1 << 20
"""Of the buffer; what writing takes beyond the tensors is this, twice where one isn't contiguous."""

DIGEST = "xxh3_128"
"""The function of all digests, as a digest's text begins."""

Checksum = Callable[[memoryview, int], int]
"""Of bytes, going on from that of the bytes before; `zlib.crc32` is one."""

_DEVICE_PIECE_BYTES = 8 << 20
_PLAIN_DTYPES = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64, 16: torch.complex128}


class HashingWriter:
    """A file that is written from its beginning to its end.

    Attributes:
        n_bytes: Written so far.
    """

    def __init__(self, fd: int, tick: Tick | None = None) -> None:
        """Write to an open file; ``tick`` is told of each piece, and may raise to stop."""
        self.n_bytes = 0
        self._fd, self._tick = fd, tick
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._n_buffered = 0
        self._hash = xxhash.xxh3_128()

    def write(self, data: bytes | memoryview, checksum: Checksum | None = None, so_far: int = 0) -> int:
        """Write bytes.

        Returns:
            Their checksum, going on from ``so_far``.

        Raises:
            OSError: The file can't be written.
        """
        done = 0
        while done < len(data):
            n = min(len(data) - done, BUFFER_BYTES - self._n_buffered)
            part = self._buffer[self._n_buffered : self._n_buffered + n]
            part[:] = data[done : done + n]
            if checksum is not None:
                so_far = checksum(part, so_far)
            self._n_buffered += n
            done += n
            if self._n_buffered == BUFFER_BYTES:
                self._flush()
        self.n_bytes += done
        return so_far

    def write_tensor(self, data: torch.Tensor, checksum: Checksum | None = None) -> int:
        """Write the elements of a plain strided tensor in order, whatever its strides and device.

        Returns:
            Their checksum.

        Raises:
            OSError: The file can't be written.
        """
        so_far = 0
        for piece in pieces(data):
            so_far = self.write(piece, checksum, so_far)
        return so_far

    def skip(self, n_bytes: int) -> None:
        """Begin after so many bytes, which `write_first` writes when all others are written."""
        os.lseek(self._fd, n_bytes, os.SEEK_SET)

    def write_first(self, data: bytes) -> None:
        """Write the bytes that were skipped; they come last in the digest.

        Raises:
            OSError: The file can't be written.
        """
        self._flush()
        os.lseek(self._fd, 0, os.SEEK_SET)
        self.write(data)

    def begin_anew(self) -> None:
        """Count and fingerprint what follows a `finish` by itself, as a file within the file."""
        self.n_bytes, self._hash = 0, xxhash.xxh3_128()

    def finish(self) -> str:
        """Write what is left in the buffer, and give the digest of all."""
        self._flush()
        return f"{DIGEST}:{self._hash.hexdigest()}"

    def _flush(self) -> None:
        held = self._buffer[: self._n_buffered]
        self._hash.update(held)
        write_all(self._fd, held)
        self._n_buffered = 0
        if self._tick is not None:
            self._tick(len(held))


def pieces(data: torch.Tensor) -> Iterator[memoryview]:
    """The bytes of a plain strided tensor's elements, in order; of one contiguous on the CPU, its own memory."""
    if not data.numel():
        return
    is_resolved = not (data.is_conj() or data.is_neg())
    if is_resolved:
        data = as_plain_dtype(data)
    if data.device.type == "cpu" and is_resolved and data.is_contiguous():
        yield memory_of(data)
        return
    limit = BUFFER_BYTES if data.device.type == "cpu" else _DEVICE_PIECE_BYTES
    for block in _blocks(data, max(1, limit // data.element_size())):
        # Copied also where it is contiguous: a view of the model's memory could change while it is read.
        yield memory_of(block.resolve_conj().resolve_neg().contiguous().cpu())


def as_plain_dtype(data: torch.Tensor) -> torch.Tensor:
    """The same memory as a dtype that every operation knows; bits pass through it unchanged."""
    wide = _PLAIN_DTYPES.get(data.element_size())
    if wide is None or data.dtype is wide:
        return data
    place = data.storage_offset(), tuple(data.shape), data.stride()
    return torch.empty(0, dtype=wide, device=data.device).set_(data.untyped_storage(), *place)


def _blocks(data: torch.Tensor, most: int) -> Iterator[torch.Tensor]:
    """Parts of at most so many elements that follow each other in the tensor's order."""
    waiting = [data]
    while waiting:
        part = waiting.pop()
        if part.numel() <= most:
            yield part
            continue
        dim = next(index for index, size in enumerate(part.shape) if size > 1)
        rows = max(1, most // (part.numel() // part.shape[dim]))
        starts = range(0, part.shape[dim], rows)
        waiting.extend(part.narrow(dim, at, min(rows, part.shape[dim] - at)) for at in reversed(starts))
