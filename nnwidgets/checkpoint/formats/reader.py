"""What every format gives: the content described without its tensors' bytes, and those bytes when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from operator import mul
from pathlib import Path
from typing import Any

import torch

from nnwidgets.checkpoint.description import Composed, Described, Storage, Strided, dtype_name
from nnwidgets.checkpoint.formats import sha256_sidecar
from nnwidgets.checkpoint.formats.file import Closing, File, memory_of
from nnwidgets.checkpoint.progress import Tick
from nnwidgets.checkpoint.records import Format
from nnwidgets.errors import CorruptCheckpointError
from nnwidgets.formatting import counted
from nnwidgets.introspect.safe_access.tensors import plain_torch

MOST_OPEN = 64
"""Files of one checkpoint that stay open: a process has about a thousand."""


class CheckpointReader(Closing):
    """A checkpoint whose header was read and checked whole: every range lies in its file, every shape in its range.

    Attributes:
        path: The file or folder.
        files: Its files, open; `Storage.file` counts in them.
        content: What it holds: plain values, lists, tuples and dicts, and `Described` for each tensor.
        metadata: Text kept with it.
        departures: In what it isn't as its format says.
        attributes: Dicts of the content that attributes were set on, each with these.
        is_torchs: Whether ``torch.load(weights_only=True)`` reads all of it, where it is a file of torch's.
    """

    format: Format
    path: Path
    files: list[File]
    content: Any
    metadata: dict[str, str]
    departures: list[str]
    attributes: Sequence[tuple[dict[Any, Any], dict[Any, Any]]] = ()
    is_torchs: bool = True

    def verify(self, storages: Iterable[Storage], tick: Tick | None = None) -> None:
        """Compare storages with the checksums the format keeps; nothing where it keeps none.

        Raises:
            CorruptCheckpointError: One differs.
        """

    @cached_property
    def expected_sums(self) -> list[sha256_sidecar.ExpectedSums]:
        """What is said of each whole file, beside it; none is read for it."""
        return [sha256_sidecar.expected_sums(file.path) for file in self.files]

    @property
    def n_bytes_to_hash(self) -> int:
        """Bytes that `verify_files` reads."""
        return sum(file.n_bytes for file, each in zip(self.files, self.expected_sums, strict=True) if each.sums)

    def verify_files(self, tick: Tick | None = None) -> None:
        """Compare whole files with the SHA-256 that is said of them; nothing where none is.

        Raises:
            CorruptCheckpointError: One differs.
        """
        for file, each in zip(self.files, self.expected_sums, strict=True):
            if each.sums:
                sha256_sidecar.compare(file, each.sums, tick)
                if len(self.files) > MOST_OPEN:
                    file.release()

    def located(self, described: Described) -> Described:
        """A tensor by where its elements lie in the files; formats that store each in a file of its own override it.

        Raises:
            CorruptCheckpointError: Something else is there.
        """
        return described

    def read_into(self, storage: Storage, offset: int, out: torch.Tensor) -> None:
        """Read bytes of a storage, in this machine's byte order where ``out`` has the elements' dtype.

        Args:
            storage: Of this checkpoint.
            offset: First byte within it.
            out: A contiguous tensor on the CPU, filled whole.

        Raises:
            CorruptCheckpointError: The file ends before.
        """
        self.read_bytes(storage, offset, memory_of(out))
        if storage.is_swapped:
            _swap(out)

    def read_bytes(self, storage: Storage, offset: int, out: memoryview) -> None:
        """Read bytes of a storage as they lie in the file.

        Raises:
            CorruptCheckpointError: The file ends before.
        """
        if offset < 0 or offset + len(out) > storage.n_bytes:
            raise CorruptCheckpointError(
                f"{self.path.name} has a tensor that reaches to byte {offset + len(out):,} of a storage of "
                f"{storage.n_bytes:,}.",
                path=str(self.path),
            )
        if storage.held is None:
            self.files[storage.file].read_into(storage.offset + offset, out)
        else:
            out[:] = storage.held[offset : offset + len(out)]

    def storage(self, storage: Storage, dtype: torch.dtype) -> torch.Tensor:
        """A whole storage as a tensor of one dimension, of its own memory."""
        with plain_torch():
            n = storage.n_bytes // dtype.itemsize
            out = self._memory(n, dtype)
            self.read_into(storage, 0, out)
            return out

    def tensor(self, described: Described, storages: dict[str, torch.Tensor] | None = None) -> torch.Tensor:
        """A tensor with its bytes, of its own memory.

        Args:
            described: Of this checkpoint.
            storages: Those read before, by key, and filled with those read now: names that share bytes in the file
                then share them in memory. Without it only the bytes of this tensor are read.

        Raises:
            CorruptCheckpointError: Its bytes aren't there, or make no tensor.
        """
        with plain_torch():
            if isinstance(described, Composed):
                return compose(described, lambda part: self.tensor(part, storages), self.path)
            return self._strided(described, storages)

    def _strided(self, described: Strided, storages: dict[str, torch.Tensor] | None) -> torch.Tensor:
        made: torch.Tensor
        if storages is not None:
            whole = storages.get(described.storage.key)
            if whole is None:
                whole = storages[described.storage.key] = self.storage(described.storage, described.dtype)
            made = torch.empty(0, dtype=described.dtype, device="cpu").set_(
                whole.untyped_storage(), described.first, described.shape, described.strides
            )
        else:
            reach = span(described)
            flat = self._memory(reach, described.dtype)
            self.read_into(described.storage, described.first * described.dtype.itemsize, flat)
            made = flat.as_strided(described.shape, described.strides) if reach else flat.reshape(described.shape)
        if described.is_conjugated:
            made = made.conj()
        if described.is_negated:
            made = torch._neg_view(made)  # noqa: SLF001 - torch names it nowhere else
        return made if described.quantizer is None else self.quantized(made, described)

    def quantized(self, data: torch.Tensor, described: Strided) -> torch.Tensor:  # noqa: ARG002 - for those that can
        """A quantized tensor over its integers; formats that hold such override it."""
        raise CorruptCheckpointError(
            f"{self.path.name} holds a quantized tensor ({dtype_name(described.dtype)}), which {self.format} can't.",
            path=str(self.path),
        )

    def _memory(self, n: int, dtype: torch.dtype) -> torch.Tensor:
        """Memory for elements.

        Raises:
            CorruptCheckpointError: There isn't as much.
        """
        try:
            return torch.empty(n, dtype=dtype, device="cpu")
        except RuntimeError:
            raise CorruptCheckpointError(
                f"{self.path.name} holds more than there is memory for: another "
                f"{counted(n * dtype.itemsize, 'byte')} of "
                f"{dtype_name(dtype)}.",
                path=str(self.path),
                hint="load takes its tensors one by one.",
            ) from None

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum(file.n_bytes for file in self.files)

    def close(self) -> None:
        """Close its files; may be called again."""
        for file in self.files:
            file.close()


def span(described: Strided) -> int:
    """Elements of the storage from a tensor's first to its last, both included; 0 for an empty one."""
    if 0 in described.shape:
        return 0
    steps: int = sum(map(mul, described.shape, described.strides)) - sum(described.strides)
    return 1 + steps


def compose(described: Composed, part: Callable[[Strided], torch.Tensor], path: Path | None = None) -> torch.Tensor:
    """A tensor put together from its parts, its invariants checked by torch.

    Args:
        described: What to put together.
        part: Gives a part with its bytes.
        path: The file that an error speaks of.

    Raises:
        CorruptCheckpointError: The parts make no tensor.
    """
    parts = {name: part(each) for name, each in described.parts}
    try:
        if described.layout == "strided":
            whole = torch.empty(described.shape, dtype=described.dtype, device="cpu")
            for name, piece in parts.items():
                at = [int(each) for each in name.split(",")] if name else []
                place = whole
                for dim, (start, size) in enumerate(zip(at, piece.shape, strict=True)):
                    place = place.narrow(dim, start, size)
                place.copy_(piece)
            return whole
        if described.layout == "sparse_coo":
            return torch.sparse_coo_tensor(
                parts["indices"], parts["values"], described.shape, check_invariants=True,
                is_coalesced=described.is_coalesced,
            )  # fmt: skip
        compressed, plain = (
            ("crow_indices", "col_indices") if described.layout in ("sparse_csr", "sparse_bsr")
            else ("ccol_indices", "row_indices")
        )  # fmt: skip
        return torch.sparse_compressed_tensor(
            parts[compressed], parts[plain], parts["values"], described.shape,
            layout=getattr(torch, described.layout), check_invariants=True,
        )  # fmt: skip
    except (RuntimeError, ValueError, KeyError, IndexError) as error:
        raise CorruptCheckpointError(
            f"A {described.layout} tensor of shape {described.shape}{f' in {path.name}' if path else ''} can't be put "
            f"together: {error}.",
            path=None if path is None else str(path),
            hint="It was damaged, or made to mislead; get it again.",
        ) from None


def _swap(out: torch.Tensor) -> None:
    width = out.element_size() // (2 if out.dtype.is_complex else 1)
    if width > 1:
        data = out.view(torch.uint8).view(-1, width)
        data.copy_(data.flip(1))
