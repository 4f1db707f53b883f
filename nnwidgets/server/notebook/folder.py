"""The notebook's own folder, and what is in it: the only files that a page may ask for.

All handlers of checkpoints turn a page's path into a file here, and errors back into the page's words.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from nnwidgets.checkpoint.formats.folder_files import begins_as, is_named_as_checkpoint
from nnwidgets.errors import NNWidgetsError
from nnwidgets.formatting import inert
from nnwidgets.wire.errors import RequestError
from nnwidgets.wire.schema.checkpoints import Crumb, FileBody, FolderReply

_MOST_ENTRIES = 2_000
_MOST_TOLD = 500
"""Files of whose format is told, the newest: each is opened for it."""
_MOST_TEXT = 200
_AT_IMPORT = Path.cwd()
_SAY = "Name one below the notebook's folder."


def root() -> Path:
    """Return the notebook's own folder: where the kernel was when it started, whatever a cell did since."""
    shell = getattr(sys.modules.get("IPython.core.interactiveshell"), "InteractiveShell", None)
    if shell is not None and shell.initialized():
        started = getattr(shell.instance(), "starting_dir", None)
        if isinstance(started, str):
            return Path(started)
    return _AT_IMPORT


def resolve_in_folder(path: str) -> Path:
    """Return where a path of the page's is, links followed; nothing need be there.

    Args:
        path: Relative to the notebook's folder, ``""`` for that itself.

    Raises:
        RequestError: `outside-folder`.
    """
    parts = PurePath(path)
    if "\0" in path or parts.is_absolute() or parts.drive or ".." in parts.parts:
        raise _outside(path, "leads out of the notebook's folder" if "\0" not in path else "is no path")
    base = root()
    file = Path(os.path.realpath(base / parts))
    if not file.is_relative_to(os.path.realpath(base)):
        raise _outside(path, "is a link that leads out of the notebook's folder")
    return file


def relative(file: str | os.PathLike[str]) -> str:
    """Return how the page calls a file of the notebook's folder; only the name of one that isn't below it."""
    for base in (root(), Path(os.path.realpath(root()))):
        if Path(file).is_relative_to(base):
            found = Path(file).relative_to(base).as_posix()
            return "" if found == "." else found
    return Path(file).name


def list_folder(
    path: str, cancelled: Callable[[], bool] = lambda: False, *, checkpoints_only: bool = False
) -> FolderReply:
    """Return what is in a folder; no file is opened, but for its first bytes where ``checkpoints_only``.

    Args:
        path: Of the folder, as in `resolve_in_folder`.
        checkpoints_only: Leave out what is no checkpoint by its name and first bytes.
        cancelled: Asked at each entry; true ends the listing.

    Raises:
        RequestError: `outside-folder`, or `path-not-found` where there is no such folder or it can't be read.
    """
    file = resolve_in_folder(path)
    here = PurePath(path).as_posix() if path else ""
    here = "" if here == "." else here
    entries: list[FileBody] = []
    is_checkpoint, n_hidden = False, 0
    try:
        with os.scandir(file) as found:
            for entry in found:
                if cancelled():
                    raise RequestError("cancelled", "The request was cancelled.")
                is_checkpoint = is_checkpoint or entry.name == ".metadata" or entry.name.endswith(".index.json")
                if not entry.name.startswith("."):
                    made = _entry(entry, f"{here}/{entry.name}" if here else entry.name)
                    is_shown = not checkpoints_only or _is_checkpoint(file, made)
                    entries += [made] if is_shown else []
                    n_hidden += not is_shown
    except OSError as error:
        raise RequestError(
            "path-not-found",
            f"The folder {inert(path, _MOST_TEXT) or 'of the notebook'} can't be read: {error.strerror}.",
            path=path,
            hint="Go back to the folder above.",
        ) from None
    entries.sort(key=lambda each: each["name"])
    entries.sort(key=lambda each: -(each["modified"] or 0.0))
    for each in entries[:_MOST_TOLD] if checkpoints_only else ():
        if cancelled():
            raise RequestError("cancelled", "The request was cancelled.")
        if each["kind"] == "file" and each["refused"] is None and "format" not in each:
            _tell_format(file, each)
    return {
        "path": here,
        "crumbs": _crumbs(here),
        "entries": entries[:_MOST_ENTRIES],
        "n_entries": len(entries),
        "n_hidden": n_hidden,
        "is_checkpoint": is_checkpoint,
    }


@contextmanager
def errors_named_from_here() -> Iterator[None]:
    """Have errors call files as the page does: by their place below the notebook's folder, not by the machine's."""
    try:
        yield
    except RequestError:
        raise
    except NNWidgetsError as error:
        error.message, error.hint = name_from_here(error.message), name_from_here(error.hint)
        if error.path is not None and Path(error.path).is_absolute():
            error.path = relative(error.path)
        raise


def name_from_here(text: str) -> str:
    """Return a text with files of the notebook's folder called as the page does."""
    for base in dict.fromkeys((str(root()), os.path.realpath(root()))):
        text = text.replace(f"{base.rstrip(os.sep)}{os.sep}", "").replace(f"'{base}'", "of the notebook")
    return text


def _entry(entry: os.DirEntry[str], path: str) -> FileBody:
    found: os.stat_result | None = None
    refused: str | None = None
    try:
        path.encode("utf-8")
        resolve_in_folder(path)
        found = entry.stat()
    except UnicodeEncodeError:
        refused = "its name is no text"
    except RequestError:
        refused = "leads out of this folder"
    except OSError as error:
        refused = f"can't be read: {error.strerror}"
    is_folder = found is not None and stat.S_ISDIR(found.st_mode)
    if found is not None and not is_folder and not stat.S_ISREG(found.st_mode):
        refused = "no regular file"
    return {
        "name": entry.name,
        "path": path,
        "kind": "folder" if is_folder else "file",
        "size_bytes": None if found is None or is_folder else found.st_size,
        "modified": None if found is None else found.st_mtime,
        "refused": refused,
    }


def _is_checkpoint(folder: Path, entry: FileBody) -> bool:
    """Whether an entry is listed among checkpoints; what is refused is, with why."""
    named = is_named_as_checkpoint(folder / entry["name"], is_folder=entry["kind"] == "folder")
    return entry["refused"] is not None or (_tell_format(folder, entry) if named is None else named)


def _tell_format(folder: Path, entry: FileBody) -> bool:
    """Put in the format that a file's first bytes are of, if they are of one."""
    found = begins_as(folder / entry["name"])
    if found:
        entry["format"] = found
    return found != ""


def _crumbs(path: str) -> list[Crumb]:
    made: list[Crumb] = [{"name": root().name or "/", "path": ""}]
    parts = PurePath(path).parts
    made += [{"name": part, "path": "/".join(parts[: index + 1])} for index, part in enumerate(parts)]
    return made


def _outside(path: str, why: str) -> RequestError:
    return RequestError("outside-folder", f"{inert(path, _MOST_TEXT)!r} {why}.", path=path, hint=_SAY)
