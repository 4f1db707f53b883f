"""The grammar of ``%nn``: a line in, what it asks for out. Knows nothing of IPython, nor of any model."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import replace

from nnwidgets.errors import closest_names
from nnwidgets.magics.edit_parser import edit_command
from nnwidgets.magics.file_parser import file_command
from nnwidgets.magics.line.grammar import (
    ANY_USAGE,
    CELL,
    DTYPES,
    EDITS,
    FILES,
    HELP,
    SUBCOMMANDS,
    Command,
    InputSize,
    LineError,
    cut,
    once,
    told_apart,
    unquoted,
    usage,
    wrong,
)
from nnwidgets.magics.line.tokenizer import UnclosedError, Word, words

_MAX_ELEMENTS = 2**31
_MAX_DIMENSIONS = 25
_SHAPE = re.compile(r"\(?\s*(\d+(?:\s*,\s*\d+)*)?\s*,?\s*\)?")
_KEYWORD = re.compile(r"([^\W\d]\w*)=(?!=)(.*)", re.DOTALL)


def parse(line: str, models: Container[str] = ()) -> Command:  # noqa: C901, PLR0911 - one way out per kind of line
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
        >>> parse("net").name
        'explore'
    """
    found = _words(line)
    if not found:
        return Command("explore")
    first, *rest = [word.text for word in found]
    if first not in SUBCOMMANDS or (not rest and first in models):
        return _explore(first, rest, models)
    if HELP.intersection(rest) and (first != "set" or len(rest) == 1):
        return Command("help", target=first)
    if first == "auto":
        return _auto(rest)
    if first in EDITS:
        return edit_command(first, line, found[1:])
    if first in FILES:
        return file_command(first, rest)
    apart = told_apart(first, rest)
    if not apart.plain:
        raise wrong(first, "no model is named")
    command = Command(
        first,
        model=apart.plain[0],
        depth=_depth(apart.options),
        inputs=tuple(map(_input, apart.options.get("--input", ()))),
    )
    below = apart.plain[1:]
    if first == "trace":
        return _trace(command, below)
    if first in {"tree", "show"} and len(below) == 1:
        return replace(command, target=unquoted(below[0]))
    if below:
        n_taken = 1 if first in {"tree", "show"} else 0
        raise wrong(first, f"{cut(below[n_taken])} is one word too many")
    return command


def parse_cell(line: str) -> Command:
    """Read the rest of a line after ``%%nn_init``.

    Raises:
        LineError: If it can't be read.

    Example:
        >>> found = parse_cell("net Linear --seed 7")
        >>> found.model, found.arguments, found.seed
        ('net', ('Linear',), 7)
    """
    found = _words(line)
    if HELP.intersection(word.text for word in found):
        return Command("help", target=CELL)
    return edit_command(CELL, line, found)


def _words(line: str) -> list[Word]:
    try:
        return words(line)
    except UnclosedError as error:
        raise LineError(f"{error}: {cut(line.strip())}") from None


def _explore(model: str, rest: list[str], models: Container[str]) -> Command:
    if model.startswith("-"):
        raise LineError(f"{cut(model)} is an option without a subcommand. {ANY_USAGE}")
    if rest:
        near = () if model in models else closest_names(model, SUBCOMMANDS, n=1)
        if near:
            raise LineError(f"{cut(model)} is no subcommand; did you mean {near[0]!r}? {usage(near[0])}")
        raise LineError(f"{cut(rest[0])} is one word too many after {cut(model)}, which is no subcommand. {ANY_USAGE}")
    return Command("explore", model=model)


def _auto(rest: list[str]) -> Command:
    if len(rest) != 1 or rest[0] not in {"on", "off"}:
        raise wrong("auto", f"expected on or off, got {cut(' '.join(rest))}" if rest else "on or off is missing")
    return Command("auto", is_on=rest[0] == "on")


def _depth(options: dict[str, list[str]]) -> int | None:
    value = once(options, "--depth")
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 9):  # noqa: PLR2004 - deep enough
        raise LineError(f"--depth {cut(value)} is not a whole number of at least 0, such as 2.")
    return int(value)


def _input(value: str) -> InputSize:
    sizes, _, dtype = value.partition(":")
    match = _SHAPE.fullmatch(sizes)
    if match is None:
        raise LineError(f"--input {cut(value)} is not a shape such as 2,20 or 2,20:int64.")
    numbers = match[1].split(",") if match[1] else []
    if any(len(number.strip()) > 12 for number in numbers) or len(numbers) > _MAX_DIMENSIONS:  # noqa: PLR2004 - a size
        raise LineError(f"--input {cut(value)} is too large to make.")
    shape = tuple(int(number) for number in numbers)
    n_elements = 1
    for size in shape:
        n_elements *= size
    if n_elements > _MAX_ELEMENTS:
        raise LineError(f"--input {cut(value)} is too large to make: {n_elements:,} elements.")
    if ":" in value and dtype not in DTYPES:
        near = closest_names(dtype, DTYPES, n=1)
        known = f"did you mean {near[0]}?" if near else f"known are {', '.join(DTYPES)}."
        raise LineError(f"--input {cut(value)}: no dtype {cut(dtype)}; {known}")
    return InputSize(shape, dtype)


def _trace(command: Command, rest: list[str]) -> Command:
    arguments: list[str] = []
    keywords: dict[str, str] = {}
    for word in rest:
        match = _KEYWORD.fullmatch(word)
        if match is None:
            if keywords:
                raise wrong("trace", f"{cut(word)} by position comes after {next(iter(keywords))}=")
            arguments.append(word)
        elif not match[2]:
            raise wrong("trace", f"{match[1]}= wants a variable, without a space")
        elif match[1] in keywords:
            raise wrong("trace", f"{match[1]}= is given twice")
        else:
            keywords[match[1]] = match[2]
    return replace(command, arguments=tuple(arguments), keywords=tuple(keywords.items()))
