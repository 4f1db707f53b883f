"""What the Explorer puts beside its widget, for where none can be: a static tree in HTML, and plain text."""

from __future__ import annotations

from datetime import datetime

from nnwidgets.errors import InvalidTargetError, PathNotFoundError
from nnwidgets.introspect import stats
from nnwidgets.introspect.safe_access.objects import is_module
from nnwidgets.server.session.live_tensor import live_tensor
from nnwidgets.server.session.session import Session
from nnwidgets.text.document import Document, Note
from nnwidgets.text.flow_layout import MOST_DRAWN
from nnwidgets.text.html import render_html
from nnwidgets.text.pages.model import MOST_ROWS, flow_page, tensor_page, tree_page
from nnwidgets.text.pages.signal import signal_curves_page
from nnwidgets.text.plain import render_text

_MAX_HTML = 11_000
_MAX_TEXT = 4_500
_MAX_GRAPH = 6_000
_MOST_CALLS = 10_000
"""Of a trace whose graph is made while the view is shown."""
_MOST_EXACT = 4_000_000
_CUTS = ((None, MOST_ROWS), (4, MOST_ROWS), (3, MOST_ROWS), (2, MOST_ROWS), (1, MOST_ROWS), (1, 60), (1, 15))
"""Levels of the tree and rows of them, the most first."""


def static_bundle(session: Session, selected: str = "") -> dict[str, str]:
    """Return the ``text/html`` and ``text/plain`` of a view, each small enough to sit in every saved notebook.

    The HTML has the graph of the last trace too, as far as there is room for a picture of it.

    Only a model whose very names are too long for that has no ``text/html``.

    Args:
        session: Of the view.
        selected: Path of the row that the view begins with: of a tensor, its numbers stand below the tree. So do the
            curves of a run of `activations` that the view shows.
    """
    tree = session.index().tree
    read = Note(f"As read on {datetime.now().astimezone():%Y-%m-%d %H:%M}. Run the cell for the live view.")
    numbers = _numbers(session, selected)
    curves = () if session.signal.found is None else signal_curves_page(session.signal.found)
    numbers = (*numbers, *curves, *_graph(session))
    drawn = render_text(curves) if curves else ""
    made = {"text/plain": "\n".join(filter(None, (_cut(str(tree), _MAX_TEXT - len(drawn.encode())), drawn)))}
    for depth, most in _CUTS:
        html = render_html((*tree_page(tree, name=session.name, depth=depth, most=most), *numbers, read))
        if len(html.encode()) <= _MAX_HTML:
            made["text/html"] = html
            break
    return made


def _numbers(session: Session, selected: str) -> Document:
    """What a tensor that is selected holds; from a sample where it has many elements."""
    if not selected or not is_module(session.module):
        return ()
    try:
        found = live_tensor(session, selected)
    except (InvalidTargetError, PathNotFoundError):
        # A module, or what is there no more.
        return ()
    if found.unreadable is not None:
        return tensor_page(found.entry, unread=found.unreadable)
    return tensor_page(found.entry, stats(found.tensor, exact=found.entry.n_elements <= _MOST_EXACT))


def _graph(session: Session) -> Document:
    """What flows through the forward that the view shows, with as many boxes open as there is room for."""
    trace = session.trace
    if trace is None or not trace.edges or len(trace.calls) > _MOST_CALLS:
        return ()
    for depth in (None, 2, 1):
        graph = session.trace_marks.flow.graph(depth)
        page = flow_page(graph)[:1] if len(graph.nodes) <= MOST_DRAWN else ()
        if page and len(render_html(page).encode()) <= _MAX_GRAPH:
            return page
    return ()


def _cut(text: str, most: int) -> str:
    written = text.encode()
    if len(written) <= most:
        return text
    return written[:most].rpartition(b"\n")[0].decode() + "\n…"
