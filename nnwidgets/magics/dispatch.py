"""A line or a cell in, something shown. Knows the table of subcommands and no subcommand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.display import display

from nnwidgets.errors import NNWidgetsError
from nnwidgets.magics.display import DisplayedPage
from nnwidgets.magics.explore import explore_line
from nnwidgets.magics.line.advice import in_words_of_a_line
from nnwidgets.magics.line.grammar import LineError
from nnwidgets.magics.parse import parse, parse_cell
from nnwidgets.magics.resolve import model_names
from nnwidgets.magics.subcommands.cell import NN_INIT
from nnwidgets.magics.subcommands.subcommand import Request, Subcommand, help_page
from nnwidgets.magics.subcommands.table import SUBCOMMANDS

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nnwidgets.magics.auto_explore import AutoExplore


def run_line(line: str, local_names: dict[str, Any], shell: InteractiveShell, auto: AutoExplore) -> None:
    """Do what ``line`` asks for and show the outcome.

    Args:
        line: What stands after ``%nn``.
        local_names: The variables of the function it stands in.
        shell: The shell.
        auto: What ``%nn auto`` switches.

    Raises:
        LineError: If it can't be read, or what it names isn't there or can't be worked on; nothing was done then.
    """
    namespace = {**shell.user_ns, **local_names}
    command = parse(line, model_names(namespace))
    if command.name == "explore":
        explore_line(command.model, namespace)
    elif command.name == "help":
        display(DisplayedPage(help_page(SUBCOMMANDS[command.target])))
    else:
        _run(SUBCOMMANDS[command.name], Request(command, namespace, shell, auto))


def run_cell(line: str, cell: str, shell: InteractiveShell, auto: AutoExplore) -> None:
    """Do what ``%%nn_init`` asks for and show the outcome.

    Args:
        line: What stands after it.
        cell: What stands below it.
        shell: The shell.
        auto: What ``%nn auto`` switches.

    Raises:
        LineError: If the line or the cell can't be read, what it names can't be worked on, or the cell raises; nothing
            was changed then.
    """
    command = parse_cell(line)
    if command.name == "help":
        display(DisplayedPage(help_page(NN_INIT)))
    else:
        _run(NN_INIT, Request(command, shell.user_ns, shell, auto, cell))


def _run(subcommand: Subcommand, request: Request) -> None:
    try:
        page = DisplayedPage(subcommand.run(request))
    except NNWidgetsError as error:
        raise LineError(in_words_of_a_line(error, request.command.model or "net")) from None
    display(page)
