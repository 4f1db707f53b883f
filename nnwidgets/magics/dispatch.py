"""A line or a cell in, something shown. Knows the table of subcommands and no subcommand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from IPython.display import display

from nnwidgets.errors import NNWidgetsError
from nnwidgets.magics.display import DisplayedPage
from nnwidgets.magics.line.advice import in_words_of_a_line
from nnwidgets.magics.line.grammar import LineError
from nnwidgets.magics.parse import parse, parse_cell
from nnwidgets.magics.resolve import model_names
from nnwidgets.magics.subcommands.subcommand import Answer, Request
from nnwidgets.magics.subcommands.table import ENTRIES

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nnwidgets.magics.auto_explore import AutoExplore
    from nnwidgets.text.document import Document

_END = re.compile(r";\s*(?:#[^\"']*)?\Z")


def run(
    line: str,
    shell: InteractiveShell,
    auto: AutoExplore,
    *,
    local_names: dict[str, Any] | None = None,
    cell: str | None = None,
) -> Any:
    """Do what a line asks for, show the outcome, and return it.

    Args:
        line: What stands after ``%nn``, or after ``%%nn_init``; one that ends with ``;`` shows nothing.
        shell: The shell.
        auto: What ``%nn auto`` switches.
        local_names: The variables of the function the line stands in.
        cell: What stands below ``%%nn_init``; None for ``%nn``.

    Raises:
        LineError: If it can't be read, or what it names isn't there or can't be worked on; nothing was done then.
    """
    # A cell runs among the user's variables, not in a copy of them.
    namespace = shell.user_ns if cell is not None else {**shell.user_ns, **(local_names or {})}
    line, n_ends = _END.subn("", line)
    command = parse(line, model_names(namespace)) if cell is None else parse_cell(line)
    try:
        answer: Answer | Document = ENTRIES[command.name].run(Request(command, namespace, shell, auto, cell or ""))
    except NNWidgetsError as error:
        raise LineError(in_words_of_a_line(error, command.model or "net")) from None
    page, record = (answer.page, answer.record) if isinstance(answer, Answer) else (answer, None)
    if not n_ends:
        display(record if page is None else DisplayedPage(page))
    return record
