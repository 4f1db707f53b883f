"""The words of ``%nn``: subcommands, their options, and what a line asks for, as data. Knows nothing of IPython."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nnwidgets.errors import closest_names
from nnwidgets.formatting import inert

USAGE: dict[str, str] = {
    "explore": "%nn net",
    "tree": "%nn tree net [path] [--depth 2]",
    "show": "%nn show net [path]",
    "summary": "%nn summary net [--input 2,20] [--depth 3]",
    "tied": "%nn tied net",
    "check": "%nn check net",
    "trace": "%nn trace net X [mask=M]",
    "auto": "%nn auto on|off",
    "init": "%nn init net 0.weight xavier_uniform_ [gain=2] [--seed 7] [--preview] [--clear-state]",
    "set": "%nn set net 0.weight[0,0] = 42",
    "freeze": "%nn freeze net 0.*",
    "unfreeze": "%nn unfreeze net 0.*",
    "undo": "%nn undo net [--force]",
    "redo": "%nn redo net [--force]",
    "log": "%nn log net",
    "code": "%nn code net [number]",
    "save": "%nn save net mlp.params [--overwrite] [--optimizer adam] [--shards 2GB] [--no-verify]",
    "load": "%nn load net mlp.params [--dry-run] [--rename out=output] [--partial] [--optimizer adam]",
    "diff": "%nn diff net mlp.params",
    "ls": "%nn ls [folder|file]",
    "%%nn_init": "%%nn_init net Linear [--seed 7] [--preview] [--clear-state], and below it the body of fn(m)",
}
"""Every subcommand with the shape of its line."""

CELL = "%%nn_init"
"""The magic whose cell is a function's body."""

SUBCOMMANDS = tuple(name for name in USAGE if name not in {"explore", CELL})

EDITS = ("init", "set", "freeze", "unfreeze", "undo", "redo", "log", "code")
"""The subcommands that change a model, or speak of its changes."""

FILES = ("save", "load", "diff", "ls")
"""The subcommands that work on files."""

OPTIONS: dict[str, tuple[str, ...]] = {
    "tree": ("--depth",),
    "summary": ("--input", "--depth"),
    "init": ("--seed",),
    CELL: ("--seed",),
    "save": ("--optimizer", "--shards"),
    "load": ("--rename", "--optimizer"),
}
"""The options with a value that each subcommand takes."""

FLAGS: dict[str, tuple[str, ...]] = {
    "init": ("--preview", "--clear-state"),
    CELL: ("--preview", "--clear-state"),
    "undo": ("--force",),
    "redo": ("--force",),
    "save": ("--overwrite", "--no-verify"),
    "load": ("--dry-run", "--partial"),
}
"""The options without a value."""

HELP = frozenset({"--help", "-h"})
"""Either asks for the documentation of a subcommand."""

DTYPES = (
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
    "complex64", "complex128",
)  # fmt: skip
"""What ``--input 2,20:dtype`` can name."""

ANY_USAGE = (
    "Usage: %nn net | %nn tree|show|summary|tied|check|trace net … | "
    "%nn init|set|freeze|unfreeze|undo|redo|log|code net … | %nn save|load|diff net file | %nn ls | "
    "%nn auto on|off. %nn? says more."
)


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
        name: A subcommand, ``"explore"``, ``"help"`` or ``"%%nn_init"``.
        model: The model as it was written, ``"net"``, ``"nets[0].encoder"``; empty for a bare ``%nn``.
        target: A path, glob or class below it; ``""`` for the model itself. What ``help`` is asked of.
        depth: ``--depth``, or None.
        inputs: Each ``--input``, in order.
        arguments: What ``trace`` passes by position, or all targets of a change, as written.
        keywords: What ``trace`` or ``init`` passes by name, as written.
        is_on: What ``auto`` is to be.
        how: The initializer.
        value: What ``set`` sets, as written.
        seed: ``--seed``, or None.
        number: Which change ``code`` is asked for; None for all.
        flags: The options without a value that are given.
        files: Files or folders, as written; for ``diff``, either side.
        renames: Each ``--rename``: a name in the file, and what it is in the model.
        optimizer: ``--optimizer``, as written.
        shard_bytes: ``--shards``, or None.
    """

    name: str
    model: str = ""
    target: str = ""
    depth: int | None = None
    inputs: tuple[InputSize, ...] = ()
    arguments: tuple[str, ...] = ()
    keywords: tuple[tuple[str, str], ...] = ()
    is_on: bool = False
    how: str = ""
    value: str = ""
    seed: int | None = None
    number: int | None = None
    flags: frozenset[str] = field(default=frozenset())
    files: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    optimizer: str = ""
    shard_bytes: int | None = None


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


def called(name: str) -> str:
    """A subcommand as it is typed: ``%nn tied``."""
    return name if name == CELL else f"%nn {name}"


def wrong(name: str, what: str) -> LineError:
    """The error of a line that begins well: what is wrong with it, and how it should be."""
    return LineError(f"{called(name)}: {what}. {usage(name)}")


def unquoted(target: str) -> str:
    """A path with a space in it is written in quotes."""
    is_quoted = len(target) > 1 and target[0] == target[-1] and target[0] in "\"'"
    return target[1:-1] if is_quoted else target


@dataclass(frozen=True)
class Sorted:
    """The words of a line, told apart."""

    plain: list[str]
    options: dict[str, list[str]]
    flags: frozenset[str]


def told_apart(name: str, rest: list[str]) -> Sorted:
    """Tell options and flags from other words.

    Raises:
        LineError: One is unknown, or lacks its value.
    """
    plain: list[str] = []
    options: dict[str, list[str]] = {}
    flags: set[str] = set()
    with_value, without = OPTIONS.get(name, ()), FLAGS.get(name, ())
    waiting: Iterator[str] = iter(rest)
    for word in waiting:
        if not word.startswith("-"):
            plain.append(word)
            continue
        option, equals, value = word.partition("=")
        if option in without:
            if equals:
                raise wrong(name, f"{option} takes no value")
            flags.add(option)
            continue
        if option not in with_value:
            raise wrong(name, f"no option {cut(option)}{_which(option, (*with_value, *without))}")
        if not equals:
            value = next(waiting, "")
        if not value or (value.startswith("--") and not equals):
            raise wrong(name, f"{option} wants a value")
        options.setdefault(option, []).append(value)
    return Sorted(plain, options, frozenset(flags))


def once(options: dict[str, list[str]], option: str) -> str | None:
    """The value of an option that may be given once.

    Raises:
        LineError: It is given more often.
    """
    values = options.get(option, [])
    if len(values) > 1:
        raise LineError(f"{option} is given {len(values)} times, expected once.")
    return values[0] if values else None


def _which(option: str, known: tuple[str, ...]) -> str:
    near = closest_names(option, known, n=1)
    if near:
        return f" (did you mean {near[0]}?)"
    return f"; it takes {' and '.join(known)}" if known else "; it takes none"
