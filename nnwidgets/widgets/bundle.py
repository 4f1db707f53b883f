"""The page's code, sent to the page once however many Explorers there are.

A hidden widget holds it. Each Explorer brings only ``static/stub.js``, which finds that widget, or has the kernel tell
of it again where the page knows none, and imports its code from a Blob URL that the whole page shares. What most never
open comes in parts of its own, each when a page first asks for it.

marimo keeps a widget's code as a file named by its content, and closes what a cell has made when the cell runs again:
there each Explorer names the whole code as its own.

It is compressed, since a notebook that is saved with the state of its widgets holds it too.
"""

from __future__ import annotations

import gzip
import hashlib

import ipywidgets
from traitlets import Bool, Bytes, Unicode

from nnwidgets.server.notebook.ipykernel import (
    after_each_cell,
    answer_where_asked,
    before_each_cell_that_keeps_views_waiting,
    keeps_views_waiting,
)
from nnwidgets.server.page_files import read_page_file
from nnwidgets.widgets import marimo
from nnwidgets.widgets.any_base import AnyBase

_open: Bundle | None = None


class Bundle(AnyBase):
    """The hidden widget: the page's script and style, compressed, and a digest to know them by."""

    code = Bytes().tag(sync=True)
    style = Bytes().tag(sync=True)
    digest = Unicode().tag(sync=True)
    must_wait = Bool(False).tag(sync=True)
    """For hosts that show a page nothing of the kernel: a cell runs, and what is asked is answered after it."""

    def __init__(self, **state: object) -> None:
        super().__init__(**state, must_wait=keeps_views_waiting())
        self._stop_watching = (
            before_each_cell_that_keeps_views_waiting(self._begin_to_wait),
            after_each_cell(self._end_to_wait),
        )

    def close(self) -> None:
        """Close it; may be called again."""
        for stop in self._stop_watching:
            stop()
        super().close()

    def _begin_to_wait(self) -> None:
        self.must_wait = True

    def _end_to_wait(self) -> None:
        self.must_wait = False


def traits() -> dict[str, str]:
    """Return what an Explorer says of the page's code, for the host it runs in.

    Raises:
        NNWidgetsError: The page was never built.
    """
    if marimo.is_running():
        return {"_esm": read_page_file("nnwidgets.js"), "_css": read_page_file("nnwidgets.css")}
    return {"_esm": read_page_file("stub.js"), "_bundle": _reference()}


def _reference() -> str:
    """Return how a page finds the kernel's one bundle, opening it if it isn't open.

    Raises:
        NNWidgetsError: The page was never built.
    """
    global _open  # noqa: PLW0603 - one per kernel is the point
    if _open is None or _open.comm is None:
        code, style = read_page_file("nnwidgets.js"), read_page_file("nnwidgets.css")
        digest = hashlib.sha256(f"{code}\0{style}".encode()).hexdigest()[:16]
        _open = Bundle(code=compress(code), style=compress(style), digest=digest)
        answer_where_asked(_open.comm)
    return f"IPY_MODEL_{_open.model_id}"


def tell_again() -> None:
    """Tell the page of the bundle once more: one that was loaded anew may know nothing of it, and ask for nothing."""
    if _open is not None and _open.comm is not None:
        state = _open.get_state()
        paths = ["code", "style"]
        data = {"buffer_paths": [[path] for path in paths], "state": state}
        buffers = [state.pop(path) for path in paths]
        _open.comm.open(data, metadata={"version": ipywidgets.__protocol_version__}, buffers=buffers)


def compress(text: str) -> bytes:
    """Return ``text`` as the page decompresses it: gzip of its UTF-8."""
    return gzip.compress(text.encode(), mtime=0)
