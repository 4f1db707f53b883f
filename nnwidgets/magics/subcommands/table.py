"""The table of all subcommands of ``%nn``: what the parser, Tab, the dispatcher and the help go by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from nnwidgets.magics.explore import explore_line
from nnwidgets.magics.line.grammar import Candidate, Command, MisuseError, cut, require_at_most, unquote
from nnwidgets.magics.subcommands.cell import NN_INIT
from nnwidgets.magics.subcommands.edit import EDIT
from nnwidgets.magics.subcommands.files import FILES
from nnwidgets.magics.subcommands.init import INIT, INITS
from nnwidgets.magics.subcommands.inspect import AUTO, INSPECT
from nnwidgets.magics.subcommands.subcommand import (
    Answer,
    Option,
    Request,
    Subcommand,
    TypedLine,
    complete_target,
    help_page,
)
from nnwidgets.text.document import Document, Note, Table, Title


def _explore(request: Request) -> Answer:
    return explore_line(request, usage_of_all())


def _parse_explore(command: Command, words: list[str]) -> Command:
    require_at_most(1, words)
    return replace(command, target=unquote(words[0])) if words else command


def _parse_help(command: Command, words: list[str]) -> Command:
    require_at_most(1, words)
    name = SYNONYMS.get(words[0], words[0]) if words else ""
    if name and name not in ENTRIES:
        raise MisuseError(f"{cut(name)} is no subcommand")
    return replace(command, target=name)


def _help(request: Request) -> Document:
    if request.command.target:
        return help_page(ENTRIES[request.command.target])
    lines = ((f"{each.magic} {each.arguments}".rstrip(), each.about) for each in ENTRIES.values())
    rows = tuple((line, about.split(". ")[0].rstrip(".")) for line, about in lines)
    return (Title("%nn", "and %%nn_init"), Table(("line", "what it does"), rows), Note(_MORE))


def _complete_help(typed: TypedLine) -> Iterator[Candidate]:
    yield from (Candidate(name, "keyword") for name in ENTRIES if not typed.words)


_MORE = "%nn init? says more of one of them, %nn? of all."

EXPLORE = Subcommand(
    "explore",
    "The Explorer of a model, at a row where a path is named; %nn net is the same. What means several rows is put into "
    "the filter.",
    _explore, arguments="net [path]", parse=_parse_explore,
    complete=partial(complete_target, tensors=True, classes=True),
    options=(
        Option(
            "--filter", "what the filter box is to hold", "Linear.weight", "filter", unquote,
            partial(complete_target, tensors=True, classes=True, is_repeated=True),
        ),
    ),
    examples="%nn net\n%nn net 0.weight\n%nn net --filter Linear",
)  # fmt: skip

HELP = Subcommand(
    "help", "What all lines are, or one.", _help, arguments="[subcommand]", summary="", parse=_parse_help,
    complete=_complete_help, takes_model=False,
)  # fmt: skip

SUBCOMMANDS = {each.name: each for each in (*INSPECT, AUTO, INIT, INITS, *EDIT, *FILES, EXPLORE, HELP)}
"""Every subcommand by name, in the order in which Tab offers them."""

WRITING = frozenset({"init", "set", "freeze", "unfreeze", "undo", "redo", "save", "load"})
"""Those that change a model or a file, or may."""

ENTRIES: dict[str, Subcommand] = {**SUBCOMMANDS, NN_INIT.name: NN_INIT}
"""All that lines can begin with, the cell magic too."""


SYNONYMS = {
    "ties": "tied", "history": "log", "peek": "ls", "assign": "set", "plan": "load",
}  # fmt: skip
"""What functions of the package are on a line; ``plan`` is ``load --dry-run``."""


def usage_of_all() -> str:
    """One line with the shape of every line.

    Example:
        >>> usage_of_all()[:90]
        'Usage: %nn net | %nn tree|show|stats|summary|tied|check|trace|graph|activations|costs|opti'
    """
    names: dict[tuple[int, str], list[str]] = {}
    for number, group in enumerate((INSPECT, (INIT, INITS, *EDIT), FILES, (AUTO,))):
        for each in group:
            names.setdefault((number, each.summary), []).append(each.name)
    shapes = (f"%nn {'|'.join(group)} {summary}".rstrip() for (_, summary), group in names.items())
    return f"Usage: {' | '.join(('%nn net', *shapes))}. %nn? says more."
