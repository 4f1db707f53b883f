"""Outcomes written: as plain text or one JSON document to standard output, as a page of HTML to a file."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from nnwidgets.errors import InvalidTargetError

if TYPE_CHECKING:
    from nnwidgets.command_line.commands import Outcome


def write_text(outcomes: Sequence[Outcome]) -> None:
    """Write the pages of outcomes, an empty line between two."""
    from nnwidgets.text.plain import render_text

    write("\n\n".join(render_text(each.page) for each in outcomes if each.page))


def write_json(outcomes: Sequence[Outcome], *, is_list: bool) -> None:
    """Write the records of outcomes as one document, in ASCII alone: any terminal and any pipe takes it."""
    made = [each.record if isinstance(each.record, dict) else each.record.to_dict() for each in outcomes]
    write(json.dumps(made if is_list else made[0], allow_nan=False))


def write_html(outcomes: Sequence[Outcome], place: str, files: Sequence[str]) -> None:
    """Write one page of HTML; only over a page.

    Args:
        outcomes: What is in it.
        place: The file.
        files: Those that were read.

    Raises:
        InvalidTargetError: There is something that isn't a page, or nothing can be written there.
    """
    from nnwidgets.text.html import DOCTYPE, render_page

    target = Path(place)
    document = tuple(block for each in outcomes for block in each.report or each.page)
    page = render_page(document, ", ".join(Path(each).name for each in files))
    try:
        if target.exists() and not _begins_with(target, DOCTYPE):
            raise InvalidTargetError(
                f"{place} is there and is no page of HTML; it was left as it is.", hint="Name another file for --html."
            )
        target.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InvalidTargetError(f"{place} can't be written: {error.strerror}.", path=place) from None


def _begins_with(target: Path, text: str) -> bool:
    with target.open("rb") as file:
        return file.read(len(text)) == text.encode()


def write(text: str) -> None:
    """Write to standard output, in what characters it has; a reader that has gone (``| head``) is no error."""
    if not text:
        return
    try:
        _lenient(sys.stdout)
        print(text, flush=True)  # noqa: T201 - what a command is for
    except BrokenPipeError:
        # Python flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(text: str) -> None:
    """Write a sentence to standard error."""
    _lenient(sys.stderr)
    print(f"nnwidgets: {text}", file=sys.stderr)  # noqa: T201 - the same


def _lenient(stream: TextIO) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
