"""What the Explorer puts beside its widget, for where none can be: a static tree in HTML, and plain text."""

from __future__ import annotations

from datetime import datetime

from nnwidgets.server.session.session import Session
from nnwidgets.text.document import Note
from nnwidgets.text.html import render_html
from nnwidgets.text.pages.model import MOST_ROWS, tree_page

_MAX_HTML = 11_000
_MAX_TEXT = 4_500
_CUTS = ((None, MOST_ROWS), (4, MOST_ROWS), (3, MOST_ROWS), (2, MOST_ROWS), (1, MOST_ROWS), (1, 60), (1, 15))
"""Levels of the tree and rows of them, the most first."""


def static_bundle(session: Session) -> dict[str, str]:
    """Return the ``text/html`` and ``text/plain`` of a view, each small enough to sit in every saved notebook.

    Only a model whose very names are too long for that has no ``text/html``.
    """
    tree = session.index().tree
    read = Note(f"As read on {datetime.now().astimezone():%Y-%m-%d %H:%M}. Run the cell for the live view.")
    made = {"text/plain": _cut(str(tree))}
    for depth, most in _CUTS:
        html = render_html((*tree_page(tree, name=session.name, depth=depth, most=most), read))
        if len(html.encode()) <= _MAX_HTML:
            made["text/html"] = html
            break
    return made


def _cut(text: str) -> str:
    written = text.encode()
    if len(written) <= _MAX_TEXT:
        return text
    return written[:_MAX_TEXT].rpartition(b"\n")[0].decode() + "\n…"
