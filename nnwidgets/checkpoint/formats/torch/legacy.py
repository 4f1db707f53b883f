"""The format of ``torch.save`` before 1.6: five pickles one after the other, then the storages, each with its length.

It keeps no checksums: damage to the values of a tensor can't be noticed, all else can.
Source: ``_legacy_save`` and ``_legacy_load`` in ``torch/serialization.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nnwidgets.checkpoint.description import Storage, Strided
from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.formats.malformed import Malformed, brief
from nnwidgets.checkpoint.formats.pickle.arguments import AllowedName
from nnwidgets.checkpoint.formats.pickle.machine import Truncated
from nnwidgets.checkpoint.formats.pickle.unpickle import MOST_BYTES
from nnwidgets.checkpoint.formats.torch.torch_file import TorchFile, as_flat_tensor, storage_id
from nnwidgets.checkpoint.records import Format
from nnwidgets.errors import UnsafeCheckpointError
from nnwidgets.formatting import counted


class TorchLegacy(TorchFile):
    """A file of ``torch.save`` that is no zip file."""

    format: Format = "torch-legacy"

    def __init__(self, path: Path, file: File | None = None) -> None:
        """Read and check the pickles, and that each storage is there.

        Raises:
            UnsafeCheckpointError: It would have to run code to be read.
            CorruptCheckpointError: It isn't as the format says.
        """
        self.path = path
        self.files = [file or File(path)]
        self.departures = []
        self.metadata = {}
        # By key, and the dtype's width and number of elements that it was first named with.
        self._storages: dict[str, tuple[Storage, int, int]] = {}
        self._views: dict[str, tuple[str, int, int]] = {}
        with self._closed_unless_whole():
            self._refuse_tar()
            self._read()

    def _refuse_tar(self) -> None:
        if is_old_tar(self.files[0].read(0, min(_TAR_BLOCK, self.files[0].n_bytes))):
            raise UnsafeCheckpointError(
                f"{self.path.name} is a tar file, as torch 0.1.10 and before wrote them, if it is a checkpoint at all; "
                "they can't be read without running code.",
                path=str(self.path),
                hint="If you trust it, load it with weights_only=False in a sandbox, and save its state_dict anew.",
            )

    def _read(self) -> None:
        magic, at = self._pickle(0, _no_storages)
        if type(magic) is not int or magic != _MAGIC:
            raise Malformed("is a pickle, and not one of torch.save: it has none of its header")
        protocol, at = self._pickle(at, _no_storages)
        if type(protocol) is not int or protocol != _PROTOCOL:
            raise Malformed(f"is of protocol {brief(protocol)}, expected {_PROTOCOL}")
        system, at = self._pickle(at, _no_storages)
        if type(system) is not dict:
            raise Malformed(f"has {brief(system)} where it should describe the machine it is from")
        self.metadata["protocol_version"] = str(protocol)
        # Where a storage lies is known once all of them are.
        begin = at
        _, at = self._pickle(begin, self._storage)
        keys, at = self._pickle(at, _no_storages)
        self.departures.clear()
        self._place(keys, at)
        self.content, _ = self._pickle(begin, self._storage)

    def _pickle(self, start: int, persistent: Callable[[Any], Any]) -> tuple[Any, int]:
        """What a pickle holds, and where it ends; how long it is isn't told before."""
        left = self.files[0].n_bytes - start
        n_bytes = min(_FIRST, left)
        while True:
            try:
                found = self.unpickle(self.files[0].read(start, n_bytes), 0, persistent)
            except Truncated:
                if n_bytes == left:
                    raise
                if n_bytes == MOST_BYTES:
                    raise Malformed(f"has a pickle of more than {MOST_BYTES:,} bytes") from None
                n_bytes = min(n_bytes * _GROWTH, left, MOST_BYTES)
            else:
                return found.content, start + found.end

    def _storage(self, found: Any) -> Any:
        if type(found) is tuple and len(found) == _MODULE and found[0] == "module" and type(found[1]) is AllowedName:
            # The class of a module that is pickled whole, with its source, which isn't looked at.
            return found[1]
        kind, key, n = storage_id(found, 6)
        n_bytes = n * kind.dtype.itemsize
        if key not in self._storages:
            self.files[0].check(0, n_bytes)
            storage = Storage(key, 0, 0, n_bytes, is_swapped=sys.byteorder == "big")
            self._storages[key] = storage, kind.dtype.itemsize, n
        storage = self._storages[key][0]
        if not 0 <= storage.n_bytes - n_bytes < kind.dtype.itemsize:
            raise Malformed(
                f"names the storage {key[:40]!r} with {counted(storage.n_bytes, 'byte')} and with {n_bytes:,}"
            )
        root = as_flat_tensor(kind, storage, n)
        return root if found[5] is None else self._view(root, found[5])

    def _view(self, root: Strided, view: Any) -> Strided:
        """A part of a storage, as files of before torch 0.4 have them."""
        if type(view) is not tuple or [type(each) for each in view] != [str, int, int]:
            raise Malformed(f"has a part of a storage described by {brief(view)}")
        key, first, n = view
        if first < 0 or n < 0 or first + n > root.n_elements:
            raise Malformed(f"has a part of a storage from element {first} to {first + n} of {root.n_elements}")
        if self._views.setdefault(key, (root.storage.key, first, n)) != (root.storage.key, first, n):
            raise Malformed(f"has two parts of storages called {key[:40]!r}")
        return Strided(root.dtype, (n,), (1,), root.storage, first)

    def _place(self, keys: Any, at: int) -> None:
        """Find where the storages lie."""
        if type(keys) is not list or any(type(key) is not str for key in keys):
            raise Malformed(f"has {brief(keys)} where it should list its storages")
        if len(keys) != len(self._storages) or set(keys) != self._storages.keys():
            raise Malformed(
                f"lists {counted(len(keys), 'storage')} and has tensors of {len(self._storages):,}, expected the "
                "same ones"
            )
        file = self.files[0]
        for key in keys:
            storage, width, n = self._storages[key]
            found = int.from_bytes(file.read(at, _LENGTH), "little", signed=True)
            if found != n:
                raise Malformed(f"has a storage {key[:40]!r} of {counted(found, 'element')}, and its pickle says {n:,}")
            at += _LENGTH
            file.check(at, storage.n_bytes)
            self._storages[key] = Storage(key, 0, at, storage.n_bytes, None, storage.is_swapped), width, n
            at += storage.n_bytes
        if at != file.n_bytes:
            self.departures.append(f"Its last storage is followed by {counted(file.n_bytes - at, 'byte')}.")


def recognizes(start: bytes) -> bool:
    """Whether a file's first bytes are those of ``torch.save``, or of the tar files of torch 0.1.10."""
    return (start[:1] == b"\x80" and _MAGIC_BYTES in start[:_FAR]) or is_old_tar(start)


def is_old_tar(start: bytes) -> bool:
    """Whether a file's first bytes are those of a tar file of torch 0.1.10."""
    return start[257:262] == b"ustar" and b"storages" in start


def _no_storages(found: Any) -> Any:
    raise Malformed(f"refers to {brief(found)} in its header")


_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_LENGTH = 8
_MODULE = 4
_FIRST = 2**16
_GROWTH = 8
_MAGIC_BYTES = _MAGIC.to_bytes(10, "little")
_FAR = 64
_TAR_BLOCK = 4_096
