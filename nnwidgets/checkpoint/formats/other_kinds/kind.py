"""What something is that is no checkpoint, and the error that says so."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from nnwidgets.errors import InvalidTargetError, NNWidgetsError, UnsafeCheckpointError


class Kind(NamedTuple):
    """What something is.

    Attributes:
        what: As the sentence "… is what." has it.
        hint: What to do; ``{file}`` stands for its name.
        error: Of a program `UnsafeCheckpointError`; where damage looks the same `CorruptCheckpointError`.
    """

    what: str
    hint: str = ""
    error: type[NNWidgetsError] = InvalidTargetError


def error_of(kind: Kind, path: Path) -> NNWidgetsError:
    """The error that names it."""
    known = "" if kind.error is UnsafeCheckpointError else "no checkpoint known here: it is "
    return kind.error(
        f"{path.name} is {known}{kind.what}.", path=str(path), hint=kind.hint.replace("{file}", repr(path.name))
    )
