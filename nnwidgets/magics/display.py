"""How what the functions return looks in a notebook: the pages that `%nn` shows, as HTML; in a terminal, its repr."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nnwidgets.text.document import Document

_RECORDS: dict[tuple[str, str], tuple[str, str]] = {
    ("nnwidgets.introspect.module_tree.nodes", "ModuleTree"): ("model", "tree_page"),
    ("nnwidgets.introspect.records", "Trace"): ("model", "trace_page"),
    ("nnwidgets.edit.change", "Change"): ("changes", "change_page"),
    ("nnwidgets.edit.history", "History"): ("changes", "history_page"),
    ("nnwidgets.checkpoint.records", "CheckpointIndex"): ("checkpoints", "index_page"),
    ("nnwidgets.checkpoint.records", "LoadPlan"): ("checkpoints", "plan_page"),
    ("nnwidgets.checkpoint.records", "LoadReport"): ("checkpoints", "load_page"),
    ("nnwidgets.checkpoint.records", "SaveReport"): ("checkpoints", "save_page"),
    ("nnwidgets.checkpoint.records", "StateDiff"): ("checkpoints", "diff_page"),
    ("nnwidgets.checkpoint.folder", "Listing"): ("checkpoints", "folder_page"),
}
"""By module and name, so that none is imported before it is shown: where its page is made."""


def register_records(shell: InteractiveShell) -> None:
    """Make a shell show them."""
    formatter = _html_formatter(shell)
    if formatter is not None:
        for (module, name), maker in _HTML_MAKERS.items():
            formatter.for_type_by_name(module, name, maker)


def unregister_records(shell: InteractiveShell) -> None:
    """Take that back; what somebody else has said of them since stays."""
    formatter = _html_formatter(shell)
    if formatter is not None:
        for (module, name), maker in _HTML_MAKERS.items():
            found = formatter.pop(f"{module}.{name}", None)
            if found not in (None, maker):
                formatter.for_type_by_name(module, name, found)


def _html_maker(module: str, page: str) -> Callable[[Any], str]:
    def as_html(record: Any) -> str:
        import importlib

        from nnwidgets.text.html import render_html

        make = getattr(importlib.import_module(f"nnwidgets.text.pages.{module}"), page)
        return render_html(make(record))

    return as_html


def _html_formatter(shell: InteractiveShell) -> Any:
    found = shell.display_formatter
    return None if found is None else found.formatters.get("text/html")


_HTML_MAKERS = {record: _html_maker(*page) for record, page in _RECORDS.items()}


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
