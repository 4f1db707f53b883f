"""Which files of a folder are the checkpoint, where no index says so: told by their names and first bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.formats.file_names import BESIDE, OTHERS, SUFFIXES, TEXTS, TOOLS_FOLDERS, USUAL
from nnwidgets.checkpoint.formats.folder_without_weights import no_weights
from nnwidgets.checkpoint.formats.safetensors import single_file
from nnwidgets.checkpoint.formats.torch import legacy
from nnwidgets.errors import CorruptCheckpointError, NNWidgetsError
from nnwidgets.formatting import and_more, counted, inert

_OPTIMIZER = re.compile(r"optimizer(_\d+)?\.(pt|pth|bin)")
_PART = re.compile(r"(?P<before>.*?)(?P<number>\d{1,6})-of-(?P<of>\d{1,6})(?P<after>\.[A-Za-z]+)")
"""``pytorch_model-00001-of-00003.bin``, as transformers numbers parts: each tensor is in one of them, whole."""

_SLICE = re.compile(r"consolidated\.(?P<number>\d{2})\.(pth|safetensors)|mp_rank_(?P<rank>\d{2})_model_states\.pt")
"""``consolidated.00.pth`` of Meta, ``mp_rank_00_model_states.pt`` of DeepSpeed: a slice of every tensor in each."""

_MOST_FILES = 2_000
_MOST_NAMED = 3
_MOST_TEXT = 80
_FIRST_NAME = 512
"""Bytes at the beginning of a zip file that hold the name of its first member, in all that torch writes."""


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The files that a folder's checkpoint is made of.

    Attributes:
        one: The only one, or an index.
        parts: Numbered parts, in order.
    """

    one: str = ""
    parts: tuple[str, ...] = ()


def find_files(place: Path) -> FolderFiles:
    """Tell which files of a folder are its checkpoint.

    Raises:
        CorruptCheckpointError: None is, or it can't be told which; the message names them.
    """
    names = _names(place)
    indexes = sorted(name for name in names if name.endswith(".index.json"))
    usual = [name for name in USUAL if name in names]
    chosen = [name for name in indexes if "safetensors" in name] or indexes or usual[:1]
    if len(chosen) > 1:
        raise CorruptCheckpointError(
            f"The folder {place.name} holds {counted(len(chosen), 'index')}: {_told(chosen)}.",
            path=str(place),
            hint="Name the index you mean.",
        )
    slices = sorted(name for name in names if _SLICE.fullmatch(name))
    if chosen and not (len(slices) > 1 and chosen[0] in slices):
        return FolderFiles(chosen[0])
    if len(slices) > 1:
        raise CorruptCheckpointError(
            f"{_told(slices)} in the folder {place.name} each hold a slice of every tensor, cut for as many processes; "
            "they aren't put together here.",
            path=str(place),
            hint="Convert them to one file with the tools of what wrote them, or name one to look into it.",
        )
    weights = list(_weights(place, names))
    parts = _parts(place, weights)
    if parts:
        return FolderFiles(parts=parts)
    if len(weights) == 1:
        return FolderFiles(weights[0])
    if not weights:
        raise no_weights(place, names)
    raise CorruptCheckpointError(
        f"The folder {place.name} holds {counted(len(weights), 'file')} that may be the model: {_told(weights)}.",
        path=str(place),
        hint="Name the file you mean.",
    )


def is_checkpoint(place: Path) -> bool:
    """Whether a folder says by a name in it that it is a checkpoint, so that it isn't only one that holds some."""
    try:
        names = _names(place)
    except CorruptCheckpointError:
        return False
    return ".metadata" in names or any(name.endswith(".index.json") or name in USUAL for name in names)


def is_named_as_checkpoint(place: Path, *, is_folder: bool) -> bool | None:
    """Whether a file or folder is worth a look by who looks for checkpoints; None where its first bytes tell.

    Folders are, for what may be in them, but for those that tools keep their own files in.

    Example:
        >>> [is_named_as_checkpoint(Path(name), is_folder=False) for name in ("last.ckpt", "a.ipynb", "last")]
        [True, False, None]
    """
    if is_folder:
        return place.name not in TOOLS_FOLDERS
    suffix = place.suffix.lower()
    if suffix in SUFFIXES or place.name.endswith(".index.json"):
        return True
    return False if suffix in OTHERS | TEXTS else None


def begins_as(place: Path) -> str:
    """Return the format that a file's first bytes are of, by the name in `CheckpointIndex.format`, else "".

    "zip" is one that doesn't begin as torch's do.

    Example:
        >>> begins_as(Path(__file__))
        ''
    """
    try:
        with File(place) as file:
            start = file.start()
            if single_file.recognizes(start, file.n_bytes):
                return "safetensors"
    except NNWidgetsError:
        return ""
    if start.startswith(b"PK"):
        return "torch-zip" if b"/data.pkl" in start[:_FIRST_NAME] else "zip"
    return "torch-legacy" if legacy.recognizes(start) else ""


def optimizer_files(place: Path) -> list[Path]:
    """The files of a trainer's folder that hold optimizers' states alone."""
    return [place / name for name in sorted(_names(place)) if _OPTIMIZER.fullmatch(name)]


def _names(place: Path) -> set[str]:
    try:
        return {each.name for each in place.iterdir()}
    except OSError as error:
        raise CorruptCheckpointError(
            f"The folder {place.name} can't be listed: {error.strerror}.", path=str(place)
        ) from None


def _weights(place: Path, names: set[str]) -> Iterator[str]:
    """The files that begin as checkpoints do, those that trainers write beside them left out."""
    likely = sorted(name for name in names if not name.startswith(".") and not BESIDE.fullmatch(name))
    named = [name for name in likely if Path(name).suffix.lower() in SUFFIXES]
    found = [name for name in named[:_MOST_FILES] if _begins_like_one(place / name)]
    others = (name for name in likely[:_MOST_FILES] if Path(name).suffix.lower() not in SUFFIXES | OTHERS)
    yield from found or filter(lambda name: _begins_like_one(place / name), others)


def _begins_like_one(place: Path) -> bool:
    return begins_as(place) != ""


def _parts(place: Path, weights: list[str]) -> tuple[str, ...]:
    """Numbered parts that are all there is, in order.

    Raises:
        CorruptCheckpointError: One is missing.
    """
    found = {name: match for name in weights if (match := _PART.fullmatch(name))}
    kinds = {(match["before"], match["of"], match["after"]) for match in found.values()}
    if not found or len(found) != len(weights) or len(kinds) != 1:
        return ()
    _, of, _ = kinds.pop()
    by_number = {int(match["number"]): name for name, match in found.items()}
    missing = [number for number in range(1, min(int(of), _MOST_FILES) + 1) if number not in by_number]
    if missing or len(by_number) != int(of):
        raise CorruptCheckpointError(
            f"The folder {place.name} holds {len(found)} of {counted(int(of), 'numbered part')}, "
            f"{_told(sorted(found)[:1])} first"
            f"{f'; number {missing[0]}{and_more(len(missing) - 1)} is missing' if missing else ''}.",
            path=str(place),
            hint="Get all of them, or name one to look into it.",
        )
    return tuple(by_number[number] for number in sorted(by_number))


def _told(names: list[str]) -> str:
    told = ", ".join(inert(name, _MOST_TEXT) for name in names[:_MOST_NAMED])
    return f"{told}{and_more(len(names) - _MOST_NAMED)}"
