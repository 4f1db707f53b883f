"""The formats that checkpoints come in, told apart by content."""

from __future__ import annotations

import os
from pathlib import Path

from nnwidgets.checkpoint.formats import safetensors, torch_legacy
from nnwidgets.checkpoint.formats.base import Opened
from nnwidgets.checkpoint.formats.files import File
from nnwidgets.checkpoint.formats.safetensors import Safetensors
from nnwidgets.checkpoint.formats.torch_legacy import TorchLegacy
from nnwidgets.checkpoint.formats.torch_zip import TorchZip
from nnwidgets.errors import CorruptCheckpointError, InvalidTargetError

__all__ = ["Opened", "opened"]

_START = 512


def opened(path: str | os.PathLike[str]) -> Opened:
    """Open a checkpoint by what is in it, whatever its name ends in; its header is read and checked whole.

    Args:
        path: A file, a sharded checkpoint's index, or the folder of a sharded or distributed one.

    Returns:
        It, to be closed.

    Raises:
        PathNotFoundError: Nothing is there.
        UnsafeCheckpointError: It would have to run code to be read, or is no regular file.
        CorruptCheckpointError: It is in no format known here, or damaged.
        InvalidTargetError: ``path`` is no path.
    """
    place = checked_path(path)
    if place.is_dir():
        return _folder(place)
    file = File(place)
    try:
        start = file.read(0, min(_START, file.n_bytes))
        if safetensors.recognizes(start, file.n_bytes):
            return Safetensors(place, file)
        if start.startswith(b"PK"):
            return TorchZip(place, file)
        if torch_legacy.recognizes(start):
            return TorchLegacy(place, file)
    except BaseException:
        file.close()
        raise
    file.close()
    raise CorruptCheckpointError(
        f"{place.name} is no checkpoint known here: it begins with {start[:8]!r}."
        if start
        else f"{place.name} is empty.",
        path=str(place),
        hint="Torch's files, safetensors, sharded and distributed checkpoints can be read.",
    )


def checked_path(path: object) -> Path:
    """A path as one.

    Raises:
        InvalidTargetError: It is none.
    """
    if isinstance(path, str | os.PathLike) and "\0" not in (text := os.fspath(path)) and text:
        if isinstance(text, bytes):
            text = os.fsdecode(text)
        return Path(text).expanduser()
    raise InvalidTargetError(f"The path is {path!r}, expected text or a pathlib.Path.", hint='Such as "mlp.params".')


def _folder(place: Path) -> Opened:
    raise CorruptCheckpointError(
        f"The folder {place.name} holds no checkpoint: no *.index.json, no .metadata.", path=str(place)
    )
