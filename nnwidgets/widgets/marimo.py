"""What a running marimo notebook tells the Explorer and its bundle; nothing is imported to find out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any


def is_running() -> bool:
    """Return whether this code runs in a marimo notebook."""
    marimo = sys.modules.get("marimo")
    return marimo is not None and bool(marimo.running_in_notebook())


def when_cell_ends(end: Callable[[], None]) -> None:
    """Call ``end`` when marimo runs the running cell again or takes it away; outside of marimo, never."""
    if is_running():
        # marimo has no public name for this; where it moves, a view stays open until it is closed.
        with suppress(KeyError, AttributeError):
            sys.modules["marimo._runtime.context"].get_context().cell_lifecycle_registry.add(_UntilCellEnds(end))


class _UntilCellEnds:
    """What marimo's registry takes: a `CellLifecycleItem`."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end

    def create(self, context: Any) -> None:
        """Nothing is to be made."""

    def dispose(self, context: Any, deletion: bool) -> bool:  # noqa: ARG002 - the names are marimo's
        """The cell has ended."""
        self._end()
        return True
