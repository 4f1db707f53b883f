"""The grammar of ``%nn``: a line in, what it asks for out. Knows nothing of IPython, nor of any model."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, replace

from nnwidgets.errors import closest_names
from nnwidgets.introspect.labels import inert
from nnwidgets.magics.words import UnclosedError, words

USAGE: dict[str, str] = {
    "explore": "%nn net",
    "tree": "%nn tree net [path] [--depth 2]",
    "show": "%nn show net [path]",
    "summary": "%nn summary net [--input 2,20] [--depth 3]",
    "tied": "%nn tied net",
    "check": "%nn check net",
    "trace": "%nn trace net X [mask=M]",
    "auto": "%nn auto on|off",
}
"""Every subcommand with the shape of its line."""

SUBCOMMANDS = tuple(name for name in USAGE if name != "explore")

OPTIONS: dict[str, tuple[str, ...]] = {"tree": ("--depth",), "summary": ("--input", "--depth")}
"""The options each subcommand takes; every one takes a value."""

DTYPES = (
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
    "complex64", "complex128",
)  # fmt: skip
"""What ``--input 2,20:dtype`` can name."""

ANY_USAGE = "Usage: %nn net | %nn tree|show|summary|tied|check|trace net … | %nn auto on|off. %nn? says more."

_MAX_ELEMENTS = 2**31
_MAX_DIMENSIONS = 25
_SHAPE = re.compile(r"\(?\s*(\d+(?:\s*,\s*\d+)*)?\s*,?\s*\)?")
_KEYWORD = re.compile(r"([^\W\d]\w*)=(?!=)(.*)", re.DOTALL)


class LineError(ValueError):
    """A line that can't be parsed: one line of text that says what was found and what would do."""


@dataclass(frozen=True)
class InputSize:
    """One ``--input``: a shape, and the name of a dtype; empty for that of the parameters."""

    shape: tuple[int, ...]
    dtype: str = ""


@dataclass(frozen=True)
class Command:
    """What a line asks for.

    Attributes:
        name: A subcommand, or ``"explore"``.
        model: The model as it was written, ``"net"``, ``"nets[0].encoder"``; empty for a bare ``%nn``.
        target: A path, glob or class below it; ``""`` for the model itself.
        depth: ``--depth``, or None.
        inputs: Each ``--input``, in order.
        arguments: What ``trace`` passes by position, as written.
        keywords: What ``trace`` passes by name, as written.
        is_on: What ``auto`` is to be.
    """

    name: str
    model: str = ""
    target: str = ""
    depth: int | None = None
    inputs: tuple[InputSize, ...] = ()
    arguments: tuple[str, ...] = ()
    keywords: tuple[tuple[str, str], ...] = ()
    is_on: bool = False


def parse(line: str, models: Container[str] = ()) -> Command:
    """Read the rest of a line after ``%nn``.

    A subcommand's name alone, where a variable of that name holds a model, explores that variable.

    Args:
        line: The line.
        models: Names of the variables that hold a model.

    Raises:
        LineError: If it can't be read.

    Example:
        >>> parse("tree net 2 --depth 1")
        Command(name='tree', model='net', target='2', depth=1, inputs=(), arguments=(), keywords=(), is_on=False)
        >>> parse("net").name
        'explore'
    """
    try:
        texts = [word.text for word in words(line)]
    except UnclosedError as error:
        raise LineError(f"{error}: {cut(line.strip())}") from None
    if not texts:
        return Command("explore")
    first, *rest = texts
    if first not in SUBCOMMANDS or (not rest and first in models):
        return _explore(first, rest, models)
    if first == "auto":
        return _auto(rest)
    plain, options = _options(first, rest)
    if not plain:
        raise _wrong(first, "no model is named")
    command = Command(
        first, model=plain[0], depth=_depth(options), inputs=tuple(map(_input, options.get("--input", ())))
    )
    below = plain[1:]
    if first == "trace":
        return _trace(command, below)
    if first in {"tree", "show"} and len(below) == 1:
        return replace(command, target=_unquoted(below[0]))
    if below:
        n_taken = 1 if first in {"tree", "show"} else 0
        raise _wrong(first, f"{cut(below[n_taken])} is one word too many")
    return command


def cut(text: str, limit: int = 80) -> str:
    """Quote a user's text for a message: inert and cut.

    Example:
        >>> cut("net")
        "'net'"
    """
    return f"'{inert(text, limit)}'"


def usage(name: str) -> str:
    """One line of usage for a subcommand.

    Example:
        >>> usage("tied")
        'Usage: %nn tied net'
    """
    return f"Usage: {USAGE[name]}"


def _wrong(name: str, what: str) -> LineError:
    return LineError(f"%nn {name}: {what}. {usage(name)}")


def _unquoted(target: str) -> str:
    """A path with a space in it is written in quotes."""
    is_quoted = len(target) > 1 and target[0] == target[-1] and target[0] in "\"'"
    return target[1:-1] if is_quoted else target


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
        raise _wrong("auto", f"expected on or off, got {cut(' '.join(rest))}" if rest else "on or off is missing")
    return Command("auto", is_on=rest[0] == "on")


def _options(name: str, rest: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    plain: list[str] = []
    options: dict[str, list[str]] = {}
    known = OPTIONS.get(name, ())
    waiting = iter(rest)
    for word in waiting:
        if not word.startswith("-"):
            plain.append(word)
            continue
        option, equals, value = word.partition("=")
        if option not in known:
            raise _wrong(name, f"no option {cut(option)}{_which(option, known)}")
        if not equals:
            value = next(waiting, "")
        if not value or (value.startswith("--") and not equals):
            raise _wrong(name, f"{option} wants a value")
        options.setdefault(option, []).append(value)
    return plain, options


def _which(option: str, known: tuple[str, ...]) -> str:
    near = closest_names(option, known, n=1)
    if near:
        return f" (did you mean {near[0]}?)"
    return f"; it takes {' and '.join(known)}" if known else "; it takes none"


def _depth(options: dict[str, list[str]]) -> int | None:
    values = options.get("--depth", [])
    if len(values) > 1:
        raise LineError(f"--depth is given {len(values)} times, expected once.")
    if not values:
        return None
    if not (values[0].isascii() and values[0].isdigit() and len(values[0]) <= 9):  # noqa: PLR2004 - deep enough
        raise LineError(f"--depth {cut(values[0])} is not a whole number of at least 0, such as 2.")
    return int(values[0])


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
                raise _wrong("trace", f"{cut(word)} by position comes after {next(iter(keywords))}=")
            arguments.append(word)
        elif not match[2]:
            raise _wrong("trace", f"{match[1]}= wants a variable, without a space")
        elif match[1] in keywords:
            raise _wrong("trace", f"{match[1]}= is given twice")
        else:
            keywords[match[1]] = match[2]
    return replace(command, arguments=tuple(arguments), keywords=tuple(keywords.items()))
