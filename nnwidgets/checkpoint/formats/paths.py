"""Paths that a caller names, checked to be some; paths that a checkpoint names, kept within its folder."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from pathlib import Path

from nnwidgets.errors import CorruptCheckpointError, InvalidTargetError, UnsafeCheckpointError


def check_path(path: object) -> Path:
    """A path as one.

    Raises:
        InvalidTargetError: It is none.
    """
    if isinstance(path, str | os.PathLike) and "\0" not in (text := os.fspath(path)) and text:
        if isinstance(text, bytes):
            text = os.fsdecode(text)
        return Path(text).expanduser()
    raise InvalidTargetError(f"The path is {path!r}, expected text or a pathlib.Path.", hint='Such as "mlp.params".')


def within(folder: Path, name: str, named_by: Path, links: Container[str] | None = None) -> Path:
    """The path of a file that a checkpoint names.

    Links are followed, and must end in the folder as well, or where a hub's cache keeps what its links lead to: in
    ``blobs``, beside the ``snapshots`` that the folder is one of.

    Args:
        folder: The checkpoint's.
        name: As it is named.
        named_by: The file that names it.
        links: Names of the links in the folder, where they are known.

    Raises:
        UnsafeCheckpointError: It lies elsewhere.
    """
    parts = name.replace("\\", "/").split("/")
    if "\0" not in name and not leads_elsewhere(parts):
        place = folder / name
        if len(parts) == 1 and not (place.is_symlink() if links is None else name in links):
            return place
        root = folder.resolve()
        target = place.resolve()
        homes = [root]
        if root.parent.name == "snapshots":
            homes.append(root.parent.parent / "blobs")
        if any(target.is_relative_to(home) for home in homes):
            return place
    raise UnsafeCheckpointError(
        f"{named_by.name} names the file {name[:120]!r}, which isn't in its folder.",
        path=str(named_by),
        hint="A checkpoint's files lie beside each other. Don't load it, unless you made that link yourself.",
    )


def leads_elsewhere(parts: Sequence[str]) -> bool:
    """Whether a path of these parts may leave the folder it starts in.

    One from the root has an empty part first, or a drive with its colon.
    """
    return ":" in parts[0] or not _NOWHERE.isdisjoint(parts)


def links_in(folder: Path) -> set[str]:
    """Names of the links in a folder: for many files sooner told all at once."""
    try:
        with os.scandir(folder) as found:
            return {each.name for each in found if each.is_symlink()}
    except OSError as error:
        raise CorruptCheckpointError(
            f"The folder {folder.name} can't be listed: {error.strerror}.", path=str(folder)
        ) from None


_NOWHERE = {"", ".", ".."}
