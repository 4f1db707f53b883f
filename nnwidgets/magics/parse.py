"""From a line of ``%nn`` to what it asks for. Knows the table of subcommands and no subcommand, nor any model."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any

from nnwidgets.errors import closest_names
from nnwidgets.formatting import counted
from nnwidgets.magics.line.grammar import Command, LineError, MisuseError, cut
from nnwidgets.magics.line.tokenizer import Word, words
from nnwidgets.magics.subcommands.cell import NN_INIT
from nnwidgets.magics.subcommands.subcommand import Subcommand
from nnwidgets.magics.subcommands.table import EXPLORE, SUBCOMMANDS, SYNONYMS, WRITING, usage_of_all

_HELP = frozenset({"--help", "-h"})
_ALIKE = 0.6
_TYPED_WRONG = 0.75
"""How alike a word and a subcommand that writes must be, for the one to be the other with a slip of the finger."""


def parse(line: str, models: Container[str] = ()) -> Command:
    """Read the rest of a line after ``%nn``.

    A subcommand's name alone, where a variable of that name holds a model, explores that variable.

    Args:
        line: The line.
        models: Names of the variables that hold a model.

    Raises:
        LineError: If it can't be read.

    Example:
        >>> found = parse("tree net 2 --depth 1")
        >>> found.name, found.model, found.target, found.depth
        ('tree', 'net', '2', 1)
        >>> parse("net").name, parse("plan net mlp.params").name
        ('explore', 'load')
        >>> parse("net 0.weight", models={"net"}).target
        '0.weight'
    """
    found = words(line)
    if not found:
        return Command("explore")
    first = found[0].text
    if len(found) > 1 and first in SYNONYMS:
        line = f"{SYNONYMS[first]}{line[found[0].start + len(first) :]}{' --dry-run' * (first == 'plan')}"
        found = words(line)
        first = found[0].text
    subcommand = SUBCOMMANDS.get(first)
    if subcommand is None or (len(found) == 1 and first in models):
        return _parse_model(line, found, models)
    return _parse_subcommand(subcommand, line, found[1:])


def parse_cell(line: str) -> Command:
    """Read the rest of a line after ``%%nn_init``.

    Raises:
        LineError: If it can't be read.

    Example:
        >>> found = parse_cell("net Linear --seed 7")
        >>> found.model, found.arguments, found.seed
        ('net', ('Linear',), 7)
    """
    return _parse_subcommand(NN_INIT, line, words(line))


def _parse_model(line: str, found: Sequence[Word], models: Container[str]) -> Command:
    model = found[0].text
    if model.startswith("-"):
        raise LineError(f"{cut(model)} is an option without a subcommand. {usage_of_all()}")
    variable = re.split(r"[.\[]", model, maxsplit=1)[0]
    if len(found) == 1 or variable in models or variable != model:
        return _parse_subcommand(EXPLORE, line, found)
    near = _meant(model)
    if near:
        raise LineError(f"{cut(model)} is no subcommand; did you mean {near!r}? Usage: {SUBCOMMANDS[near].line}")
    raise LineError(f"{cut(model)} is no subcommand and no model. {usage_of_all()}")


def _meant(word: str) -> str:
    """The subcommand that a word is like; one that writes only where the word can't be anything else."""
    for near in closest_names(word, [*SUBCOMMANDS, *SYNONYMS]):
        name, ratio = SYNONYMS.get(near, near), SequenceMatcher(None, word, near).ratio()
        if name in WRITING and (ratio < _TYPED_WRONG or near[0] != word[0]):
            continue
        if ratio >= _ALIKE:
            return name
    return ""


def _parse_subcommand(subcommand: Subcommand, line: str, rest: Sequence[Word]) -> Command:
    texts = [word.text for word in rest]
    if _HELP.intersection(texts) and (not subcommand.takes_text or len(texts) == 1):
        return Command("help", target=subcommand.name)
    try:
        return _read(subcommand, line, rest)
    except MisuseError as error:
        raise subcommand.misuse(str(error)) from None


def _read(subcommand: Subcommand, line: str, rest: Sequence[Word]) -> Command:
    plain, values, flags = _split_options(subcommand, line, rest)
    command = Command(subcommand.name, flags=flags)
    if subcommand.takes_model:
        if not plain:
            raise MisuseError("no model is named")
        command = replace(command, model=plain.pop(0))
    return replace(subcommand.parse(command, plain), **_read_values(subcommand, values))


def _split_options(
    subcommand: Subcommand, line: str, rest: Sequence[Word]
) -> tuple[list[str], dict[str, list[str]], frozenset[str]]:
    """Words that are no options, the values of options, and flags."""
    if subcommand.takes_text:
        if rest and rest[0].text.startswith("-"):
            raise MisuseError(f"it takes no options, got {cut(rest[0].text)}")
        end = max((word.start + len(word.text) for word in rest), default=0)
        return [word.text for word in rest[:1]] + [line[word.start : end] for word in rest[1:2]], {}, frozenset()
    plain: list[str] = []
    values: dict[str, list[str]] = {}
    flags: set[str] = set()
    known, valued = subcommand.option_names, subcommand.valued_options
    waiting = iter(word.text for word in rest)
    for word in waiting:
        if not word.startswith("-"):
            plain.append(word)
            continue
        option, equals, value = word.partition("=")
        if option not in known:
            raise MisuseError(f"no option {cut(option)}{_suggestion(option, known)}")
        if option not in valued:
            if equals:
                raise MisuseError(f"{option} takes no value")
            flags.add(option)
            continue
        if not equals:
            value = next(waiting, "")
        if not value or (value.startswith("--") and not equals):
            raise MisuseError(f"{option} wants a value")
        values.setdefault(option, []).append(value)
    return plain, values, frozenset(flags)


def _read_values(subcommand: Subcommand, values: dict[str, list[str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, option in subcommand.valued_options.items():
        given = values.get(name, [])
        if option.is_repeated:
            fields[option.field] = tuple(map(option.read, given))
        elif len(given) > 1:
            raise LineError(f"{name} is given {counted(len(given), 'time')}, expected once.")
        elif given:
            fields[option.field] = option.read(given[0])
    return fields


def _suggestion(option: str, known: tuple[str, ...]) -> str:
    near = closest_names(option, known, n=1)
    if near:
        return f" (did you mean {near[0]}?)"
    return f"; it takes {' and '.join(known)}" if known else "; it takes none"
