"""How what the functions return looks in a notebook: the pages that `%nn` shows, as HTML; in a terminal, its text."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnwidgets.text.printing import PAGES

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nnwidgets.text.document import Document


def register_records(shell: InteractiveShell) -> None:
    """Make a shell show them."""
    formatter = _html_formatter(shell)
    if formatter is not None:
        for module, name in PAGES:
            formatter.for_type_by_name(module, name, _as_html)


def unregister_records(shell: InteractiveShell) -> None:
    """Take that back; what somebody else has said of them since stays."""
    formatter = _html_formatter(shell)
    if formatter is not None:
        for module, name in PAGES:
            found = formatter.pop(f"{module}.{name}", None)
            if found not in (None, _as_html):
                formatter.for_type_by_name(module, name, found)


class ShownOnce(ast.NodeTransformer):
    """Has IPython not show what a line of ours returns where nobody takes it: the line has shown it already."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        """Make ``magic(…)`` to ``(magic(…), None)[1]``."""
        if _is_ours(node.value):
            pair = ast.Tuple([node.value, ast.Constant(None)], ast.Load())
            node.value = ast.Subscript(pair, ast.Constant(1), ast.Load())
        return node


def _is_ours(called: ast.expr) -> bool:
    match called:
        case ast.Call(
            func=ast.Attribute(attr="run_line_magic" | "run_cell_magic"), args=[ast.Constant(value=name), *_]
        ):
            return name in ("nn", "nn_init")
    return False


def _as_html(record: Any) -> str | None:
    from nnwidgets.text.html import render_html
    from nnwidgets.text.printing import page_of

    page = page_of(record)
    return None if page is None else render_html(page)


def _html_formatter(shell: InteractiveShell) -> Any:
    found = shell.display_formatter
    return None if found is None else found.formatters.get("text/html")


@dataclass(frozen=True, repr=False)
class DisplayedPage:
    """A document on its way to the front end; it holds text, no model.

    Example:
        >>> from nnwidgets.text.document import Note
        >>> DisplayedPage((Note("Nothing found."),))
        Nothing found.
    """

    document: Document

    def __repr__(self) -> str:
        from nnwidgets.text.plain import render_text

        return render_text(self.document)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002 - IPython passes both and filters itself
        from nnwidgets.text.html import render_html

        return {"text/plain": repr(self), "text/html": render_html(self.document)}
