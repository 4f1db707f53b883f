"""Files that a checkpoint names: only such as lie in its own folder."""

from __future__ import annotations

from pathlib import Path

from nnwidgets.errors import UnsafeCheckpointError


def within(folder: Path, name: str, named_by: Path) -> Path:
    """The path of a file that a checkpoint names.

    Links are followed, and must end in the folder as well, or where a hub's cache keeps what its links lead to: in
    ``blobs``, beside the ``snapshots`` that the folder is one of.

    Args:
        folder: The checkpoint's.
        name: As it is named.
        named_by: The file that names it.

    Raises:
        UnsafeCheckpointError: It lies elsewhere.
    """
    parts = name.replace("\\", "/").split("/")
    is_plain = bool(name) and "\0" not in name and not Path(name).is_absolute() and ":" not in parts[0]
    if is_plain and not {"", ".", ".."}.intersection(parts):
        place = folder / name
        if len(parts) == 1 and not place.is_symlink():
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
