"""What a folder is that holds no file of weights itself: one of another kind, or above those that are meant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from nnwidgets.checkpoint.formats import other_kinds
from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.formats.file_names import BESIDE, OTHERS, SUFFIXES, USUAL
from nnwidgets.checkpoint.formats.other_kinds import Kind
from nnwidgets.checkpoint.formats.torch import plain_pickle, zip_directory
from nnwidgets.errors import CorruptCheckpointError, NNWidgetsError
from nnwidgets.formatting import and_more, inert


def no_weights(place: Path, names: set[str]) -> NNWidgetsError:
    """The error that says what is in a folder in place of weights.

    Args:
        place: It.
        names: What is in it.
    """
    kind = other_kinds.kind_of_folder(names)
    if kind is not None:
        return other_kinds.error_of(kind, place)
    none = f"The folder {place.name} holds no *.index.json, no .metadata and no file of weights"
    for name in sorted(names):
        of_file = None if BESIDE.fullmatch(name) else _kind(place / name)
        if of_file is not None:
            hint = of_file.hint.replace("{file}", repr(name))
            return of_file.error(f"{none} known here: {inert(name)} is {of_file.what}.", path=str(place), hint=hint)
    below = sorted(_below(place))
    if below:
        told, hint = f"{none} itself; below it is {_told(below)}.", "Name the one you mean."
    else:
        told = f"{none}: it has {_told(sorted(names))}." if names else f"The folder {place.name} is empty."
        hint = "Name the file or the folder that holds the weights."
    return CorruptCheckpointError(told, path=str(place), hint=hint)


def _kind(file: Path) -> Kind | None:
    """What a file is whose name says that it may hold weights."""
    suffix = file.suffix.lower()
    if suffix not in _LIKELY and not suffix.removeprefix(".").isdigit():
        return None
    try:
        with File(file) as held:
            start = held.start()
            if plain_pickle.recognizes(start):
                return Kind("a pickle that torch.save didn't write", "Name it to look into it.")
            if start.startswith(b"PK"):
                return other_kinds.kind_of_zip(zip_directory.names_in(held))
            return other_kinds.kind_of_file(file, start, held)
    except NNWidgetsError:
        return None


def _below(place: Path) -> Iterator[str]:
    """What may be meant in the folders below one, as far as a few thousand names tell."""
    n_seen = 0
    for where, folders, files in os.walk(place):
        here = Path(where).relative_to(place)
        is_deepest = len(here.parts) == _DEEPEST
        folders[:] = [] if is_deepest else sorted(name for name in folders if not name.startswith("."))
        n_seen += len(folders) + len(files)
        if n_seen > _MOST_SEEN:
            return
        if not here.parts:
            continue
        if any(name in _SIGNS or name in USUAL or name.endswith(".index.json") for name in files):
            yield here.as_posix()
        else:
            yield from ((here / name).as_posix() for name in files if _may_be_meant(name))


def _may_be_meant(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and not name.startswith(".") and not BESIDE.fullmatch(name)


def _told(names: list[str]) -> str:
    return f"{', '.join(inert(name, _MOST_TEXT) for name in names[:_MOST_NAMED])}{and_more(len(names) - _MOST_NAMED)}"


_LIKELY = (SUFFIXES | OTHERS) - {".json"} | {
    ".gguf", ".pkl", ".joblib", ".keras", ".msgpack", ".tflite", ".pte", ".hdf5", ".pdparams", ".pdiparams",
}  # fmt: skip
"""What names end in that may hold weights, of any kind."""
_SIGNS = (".metadata", "data.pkl")
_DEEPEST = 4
_MOST_SEEN = 5_000
_MOST_NAMED = 3
_MOST_TEXT = 80
