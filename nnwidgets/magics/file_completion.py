"""What could stand next on a line that works on files: files, folders, names in a file, optimizers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from nnwidgets.checkpoint import plan
from nnwidgets.errors import NNWidgetsError
from nnwidgets.introspect import live_tensors
from nnwidgets.magics.line.candidates import Candidate
from nnwidgets.magics.line.grammar import LineError, unquoted
from nnwidgets.magics.resolve import optimizers_in, resolve_model

_MOST_FILES = 2_000
_MOST_NAMES = 10_000


def file_candidates(name: str, plain: list[str], last: str) -> Iterator[Candidate]:
    """Files and folders whose names begin as typed, folders with a slash.

    Args:
        name: The subcommand.
        plain: The words before, without options.
        last: What is typed of the last word.
    """
    if len(plain) > {"ls": 0, "diff": 1}.get(name, 1):
        return
    typed = last.lstrip("\"'")
    quote = last[: len(last) - len(typed)]
    folder, _ = os.path.split(typed)
    try:
        with os.scandir(os.path.expanduser(folder or ".")) as found:  # noqa: PTH111 - as typed, and no more than needed
            entries = [(entry.name, entry.is_dir()) for entry, _ in zip(found, range(_MOST_FILES), strict=False)]
    except OSError:
        return
    shows_hidden = os.path.basename(typed).startswith(".")  # noqa: PTH119 - of a text
    for entry, is_folder in sorted(entries, key=lambda each: (each[0].startswith("."), each[0])):
        if entry.startswith(".") and not shows_hidden:
            continue
        path = os.path.join(folder, entry) + ("/" if is_folder else "")  # noqa: PTH118 - as typed
        needs_quotes = bool(quote) or any(map(str.isspace, path))
        yield Candidate(f"{quote or chr(34)}{path}{quote or chr(34)}" if needs_quotes else path, "path")


def rename_candidates(plain: list[str], value: str, namespace: Mapping[str, Any]) -> Iterator[Candidate]:
    """Renames that are suggested for a model and a file; then names in the file; after ``=``, paths in the model."""
    if len(plain) < 2:  # noqa: PLR2004 - a model and a file
        return
    try:
        module = resolve_model(plain[0], namespace).module
        if "=" in value:
            old = value.partition("=")[0]
            yield from (Candidate(f"{old}={path}", "path") for path in list(live_tensors(module))[:_MOST_NAMES])
            return
        planned = plan(module, unquoted(plain[1]))
    except (LineError, NNWidgetsError):
        return
    yield from (Candidate(f"{old}={new}", "path") for old, new in planned.renames.items())
    left = [entry.source for entry in planned.entries if entry.path is None]
    yield from (Candidate(f"{name}=", "path") for name in left[:_MOST_NAMES])


def optimizer_candidates(plain: list[str], namespace: Mapping[str, Any]) -> Iterator[Candidate]:
    """The variables that hold an optimizer of the model."""
    if not plain:
        return
    try:
        module = resolve_model(plain[0], namespace).module
    except LineError:
        return
    yield from (Candidate(name, "value") for name in optimizers_in(namespace, module))
