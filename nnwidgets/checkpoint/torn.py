"""Telling which tensors were written to while they were saved."""

from __future__ import annotations

from collections.abc import Iterable

from nnwidgets.checkpoint.writing.tensors_to_save import Leaf
from nnwidgets.formatting import some
from nnwidgets.introspect.safe_access.tensors import reading, torchs

_MOST_NAMES = 3


class Versions:
    """The version counters of some tensors, as they were; writes past them, by ``.data`` or numpy, go unseen."""

    def __init__(self, named: Iterable[tuple[str, Leaf]]) -> None:
        self._named = list(named)
        self._before = self._now()

    def _now(self) -> list[int | None]:
        with reading():
            return [_version(leaf) for _, leaf in self._named]

    def warnings(self) -> list[str]:
        """What to say of tensors that were written to since."""
        torn = [name for (name, _), a, b in zip(self._named, self._before, self._now(), strict=True) if a != b]
        if not torn:
            return []
        said = f"{some(torn, _MOST_NAMES)} changed while it was saved: the file may mix values of before and after."
        return [f"{said} Save again when nothing trains."]


def _version(leaf: Leaf) -> int | None:
    try:
        found: int = torchs(leaf.live, "_version")
    except RuntimeError:  # inference tensors keep none
        return None
    return found
