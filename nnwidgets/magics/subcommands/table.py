"""The table of all subcommands of ``%nn``: what the parser, Tab, the dispatcher and the help go by."""

from __future__ import annotations

from nnwidgets.magics.subcommands.cell import NN_INIT
from nnwidgets.magics.subcommands.edit import EDIT
from nnwidgets.magics.subcommands.files import FILES
from nnwidgets.magics.subcommands.init import INIT
from nnwidgets.magics.subcommands.inspect import AUTO, INSPECT

SUBCOMMANDS = {each.name: each for each in (*INSPECT, AUTO, INIT, *EDIT, *FILES)}
"""Every subcommand by name, in the order in which Tab offers them."""

ENTRIES = {**SUBCOMMANDS, NN_INIT.name: NN_INIT}
"""All that lines can begin with, the cell magic too."""


SYNONYMS = {
    "stats": "show", "ties": "tied", "history": "log", "peek": "ls", "assign": "set", "plan": "load",
}  # fmt: skip
"""What functions of the package are on a line; ``plan`` is ``load --dry-run``."""


def usage_of_all() -> str:
    """One line with the shape of every line.

    Example:
        >>> usage_of_all()[:62]
        'Usage: %nn net | %nn tree|show|summary|tied|check|trace|costs '
    """
    names: dict[tuple[int, str], list[str]] = {}
    for number, group in enumerate((INSPECT, (INIT, *EDIT), FILES, (AUTO,))):
        for each in group:
            names.setdefault((number, each.summary), []).append(each.name)
    shapes = (f"%nn {'|'.join(group)} {summary}".rstrip() for (_, summary), group in names.items())
    return f"Usage: {' | '.join(('%nn net', *shapes))}. %nn? says more."
