"""A file that is one pickle, as ``pickle.dump`` writes it: of plain values, NumPy's arrays, described objects.

Tensors in one are files of torch within it, which only running code could read: it is refused, and says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.formats.malformed import BeyondLimits, Elsewhere, Malformed, brief
from nnwidgets.checkpoint.formats.pickle.machine import PickleResult
from nnwidgets.checkpoint.formats.pickle.unpickle import MOST_BYTES
from nnwidgets.checkpoint.formats.torch.torch_file import TorchFile
from nnwidgets.checkpoint.records import Format
from nnwidgets.errors import UnsafeCheckpointError
from nnwidgets.formatting import counted


class PlainPickle(TorchFile):
    """A pickle that is no file of ``torch.save``."""

    format: Format = "pickle"

    def __init__(self, path: Path, file: File | None = None) -> None:
        """Read and check it.

        Raises:
            UnsafeCheckpointError: It would have to run code to be read.
            CorruptCheckpointError: It isn't as a pickle should be.
        """
        self.path = path
        self.files = [file or File(path)]
        self.departures = []
        self.metadata = {}
        with self._closed_unless_whole():
            self._read()

    def _read(self) -> None:
        file = self.files[0]
        if file.n_bytes > MOST_BYTES:
            raise BeyondLimits(
                f"is a plain pickle of {counted(file.n_bytes, 'byte')}, of which {MOST_BYTES:,} can be read"
            )
        found = self.unpickle(file.read(0, file.n_bytes), 0, _no_storages)
        if found.end != file.n_bytes:
            raise Malformed(
                f"is a pickle that ends at byte {found.end:,}, followed by "
                f"{counted(file.n_bytes - found.end, 'byte')}: "
                "several values, or damage"
            )
        self.content = found.content
        self.is_torchs = False

    def refusal(self, found: PickleResult) -> UnsafeCheckpointError:
        """The error that says what it would do; tensors are pickled so by those who don't mean harm too."""
        error = super().refusal(found)
        if found.wanted == ["joblib.numpy_pickle.NumpyArrayWrapper"]:
            return UnsafeCheckpointError(
                f"{self.path.name} is a file of joblib's: a pickle with the bytes of NumPy's arrays between its "
                "opcodes, which joblib reads by running it. Nothing was imported or run.",
                path=str(self.path),
                hint='Whoever wrote it can write its arrays anew: numpy.savez("weights.npz", **arrays).',
            )
        if found.wanted != ["torch.storage._load_from_bytes"]:
            return error
        return UnsafeCheckpointError(
            f"{self.path.name} is a plain pickle with tensors of torch, each a pickle of its own within it that "
            "torch.storage._load_from_bytes would run. Nothing was imported or run.",
            path=str(self.path),
            hint="Whoever wrote it can write it anew with torch.save instead of pickle.dump.",
        )


def recognizes(start: bytes) -> bool:
    """Whether a file's first bytes are those of a pickle of protocol 2 or later, not of ``torch.save``."""
    return start[:1] == b"\x80" and start[1:2] <= _NEWEST


def may_be(start: bytes, file: File) -> bool:
    """Whether a file begins and ends as a pickle of protocol 0 or 1 does, which has no mark of its own."""
    return start[:1] in _FIRST and file.n_bytes <= MOST_BYTES and file.read(file.n_bytes - 1, 1) == b"."


def _no_storages(found: Any) -> Any:
    raise Elsewhere(f"is a plain pickle that refers to {brief(found)}, which is kept elsewhere")


_NEWEST = b"\x05"
_FIRST = tuple(bytes([each]) for each in b"(]})cilFGIJKLMNSTUVX")
