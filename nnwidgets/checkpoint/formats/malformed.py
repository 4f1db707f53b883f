"""What is said of a file that is not as its format demands."""

from __future__ import annotations

from typing import Any

from nnwidgets.checkpoint.description import DESCRIBED
from nnwidgets.formatting import repr_start


class Malformed(Exception):  # noqa: N818 - told on as a CorruptCheckpointError by who knows the file
    """What was found makes no sense; the text continues ``"<file> "``.

    Args:
        text: What.
        hint: What to do, where that isn't the same for all that makes no sense; ``{file}`` stands for the file's name.
    """

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


CUT_SHORT = "It was cut short, as by a download that ended early, or damaged; get it again."
"""What to do with a file that ends before it should."""


class BeyondLimits(Malformed):
    """It may be sound, and is larger or deeper than what is read here; the text continues ``"<file> "``."""


class Repacked(Malformed):
    """A zip program packed it anew, so that it isn't as torch writes it; the text continues ``"<file> "``."""


class Elsewhere(Malformed):
    """It refers to what is in no file, only in the program that wrote it; the text continues ``"<file> "``."""


def brief(value: Any) -> str:
    """A value of a file in a few words, whatever it holds."""
    if type(value) in (dict, list, tuple, set, frozenset):
        if len(value) <= _FEW and all(type(each) in (int, float, bool, str, type(None)) for each in value):
            return repr_start(value, _MOST_SAID)
        return f"a {type(value).__name__} of {len(value)}"
    if type(value) in DESCRIBED:
        return f"a tensor of shape {value.shape}"
    return repr_start(value, _MOST_SAID)


def note(notes: list[str], text: str) -> None:
    """Add a remark once."""
    if len(notes) < _MOST_NOTES and text not in notes:
        notes.append(text)


_FEW = 8
_MOST_NOTES = 50


_MOST_SAID = 100
