"""What a notebook shows of a `Change` or a `History` at the end of a cell: the page that ``%nn`` shows of it.

The records know no front end. IPython's HTML formatter is told of them by name, so that this imports nothing; a
terminal asks for no HTML and prints their ``repr``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell


def _change(change: Any) -> str:
    from nnwidgets.text.html import change_html

    return change_html(change)


def _history(history: Any) -> str:
    from nnwidgets.text.html import history_html

    return history_html(history)


_SHOWN: dict[str, Callable[[Any], str]] = {
    "nnwidgets.edit.changes.Change": _change,
    "nnwidgets.edit.log.History": _history,
}


def add(shell: InteractiveShell) -> None:
    """Show them as HTML.

    Args:
        shell: The IPython shell.
    """
    formatter = _html(shell)
    if formatter is not None:
        for name, shown in _SHOWN.items():
            formatter.for_type_by_name(*name.rsplit(".", 1), shown)


def remove(shell: InteractiveShell) -> None:
    """Print them again; what somebody else has said of them since `add` stays.

    Args:
        shell: The IPython shell.
    """
    formatter = _html(shell)
    if formatter is not None:
        for name, shown in _SHOWN.items():
            found = formatter.pop(name, None)
            if found not in (None, shown):
                formatter.for_type_by_name(*name.rsplit(".", 1), found)


def _html(shell: InteractiveShell) -> Any:
    display = shell.display_formatter
    return None if display is None else display.formatters.get("text/html")
