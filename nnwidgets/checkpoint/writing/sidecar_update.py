"""A file given its name while the SHA-256 that lies beside it is brought up to date.

What `sha256sum` wrote of the old file would have the new one refused. So the line about it goes before the new file
comes, and comes back, with the new digest, after: who dies between leaves a file that nothing is said of.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from nnwidgets.checkpoint.formats import sha256_sidecar
from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.formats.sha256_sidecar import Line
from nnwidgets.checkpoint.writing.atomic_file import TargetDirectory, TempFile, write_all
from nnwidgets.errors import NNWidgetsError


class Sidecar:
    """A side file with a line about a file that is being replaced."""

    def __init__(self, path: Path, lines: list[Line], about: str) -> None:
        """Take what was found in it; ``about`` is the file's name."""
        self.path = path
        self._lines = lines
        self._those = sha256_sidecar.lines_about(lines, about)
        self._name = about
        self._mode = path.stat().st_mode & 0o7777

    def take_away(self) -> None:
        """Remove what it says of the file: all of it, where it says nothing else.

        Raises:
            OSError: It can't be changed.
        """
        left = [line.text for line in self._lines if line not in self._those]
        if left:
            self._write(left)
        else:
            self.path.unlink()

    def put_back(self) -> None:
        """Let it say what it said."""
        self._write([line.text for line in self._lines])

    def renew(self, digest: str) -> None:
        """Let it say the new digest.

        Raises:
            OSError: It can't be written.
        """
        first = self._those[0]
        new = sha256_sidecar.line_for(digest, first.name or self._name)
        kept = [line for line in self._lines if line is first or line not in self._those]
        self._write([new if line is first else line.text for line in kept])

    def _write(self, lines: list[str]) -> None:
        data = os.fsencode("".join(f"{line}\n" for line in lines))
        with TargetDirectory(self.path.parent) as folder, folder.draft(self._mode) as draft:
            write_all(draft.fd, data)
            draft.place(self.path, replace=True)
            folder.sync()


def sides_of(*paths: Path) -> list[Sidecar]:
    """The side files that say something of a file, by each of its paths."""
    made: dict[Path, Sidecar] = {}
    for path in paths:
        for side in sha256_sidecar.side_files(path):
            about = side.name.removesuffix(sha256_sidecar.ENDING)
            try:
                lines = sha256_sidecar.lines_of(side)
                if sha256_sidecar.lines_about(lines, about):
                    made.setdefault(Path(os.path.realpath(side.parent), side.name), Sidecar(side, lines, about))
            except (ValueError, OSError, NNWidgetsError):
                # It says nothing that a load would take.
                continue
    return list(made.values())


def digest_of(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """The SHA-256 of a file.

    Raises:
        CorruptCheckpointError: It can't be read.
    """
    with File(path) as file:
        return sha256_sidecar.sha256_of(file, progress)


def place_file(
    folder: TargetDirectory, draft: TempFile, *paths: Path, replace: bool, digest: str | None = None
) -> list[str]:
    """Give a draft its name, and let side files say its SHA-256 where they said that of what it replaces.

    Args:
        folder: That it is in, locked.
        draft: It.
        paths: What it is called; others are links that lead there.
        replace: Whether what is there may be.
        digest: Its SHA-256 where that is known.

    Returns:
        What to know of it.

    Raises:
        OSError: It couldn't be placed; the side files are as they were.
    """
    sides = sides_of(*paths)
    if sides and digest is None:
        digest = digest_of(draft.path)
    gone: list[Sidecar] = []
    try:
        for side in sides:
            side.take_away()
            gone.append(side)
        if gone:
            folder.sync()
        draft.place(paths[0], replace=replace)
    except BaseException:
        for side in gone:
            side.put_back()
        raise
    warnings = []
    for side in gone:
        try:
            side.renew(str(digest))
        except OSError as error:
            warnings.append(f"{side.path.name} couldn't be written anew ({error.strerror}): it is gone.")
    return warnings
