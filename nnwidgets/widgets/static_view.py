"""What an Explorer's output is where no widget can be: a static tree in HTML, and plain text."""

from __future__ import annotations

from nnwidgets.text.html import tree_html
from nnwidgets.widgets.session import Session

_MAX_HTML = 48_000
_MAX_TEXT = 12_000
_DEPTHS = (None, 4, 3, 2, 1, 0)


def static_bundle(session: Session) -> dict[str, str]:
    """Return the ``text/html`` and ``text/plain`` of a view, each small enough to sit in every saved notebook."""
    tree = session.index().tree
    made = {"text/plain": _cut(str(tree))}
    for depth in _DEPTHS:
        html = tree_html(tree, depth=depth)
        if len(html) <= _MAX_HTML:
            made["text/html"] = html
            break
    return made


def _cut(text: str) -> str:
    if len(text) <= _MAX_TEXT:
        return text
    return f"{text[:_MAX_TEXT].rpartition(chr(10))[0]}\n…"
