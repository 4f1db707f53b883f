"""What a line of ``%nn`` asks for, and what is wrong with one, as data; knows no subcommand, nor IPython or torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nnwidgets.formatting import inert

if TYPE_CHECKING:
    from nnwidgets.introspect.tracing.inputs import InputSize

KEYWORD = re.compile(r"([^\W\d]\w*)=(?!=)(.*)", re.DOTALL)
"""A word that passes a value by name: ``gain=2``."""


class LineError(ValueError):
    """A line that can't be parsed: one line of text that says what was found and what would do."""


class MisuseError(ValueError):
    """What is wrong with the words of a line; the parser adds whose words they are, and how they should be."""


@dataclass(frozen=True)
class Command:
    """What a line asks for.

    Attributes:
        name: A subcommand, ``"explore"``, ``"help"`` or ``"%%nn_init"``.
        model: The model as it was written, ``"net"``, ``"nets[0].encoder"``; empty for a bare ``%nn``.
        target: A path, glob or class below it; ``""`` for the model itself. What ``help`` is asked of.
        depth: ``--depth``, or None.
        inputs: Each ``--input``, in order.
        arguments: What ``trace`` and its like pass by position, or all targets of a change, as written.
        keywords: What ``trace`` and its like, or ``init``, pass by name, as written.
        is_on: What ``auto`` is to be.
        how: The initializer.
        inits: What ``inits`` compares, as written.
        targets: Each ``--target``.
        n_seeds: ``--seeds``.
        steps: ``--steps``.
        value: What ``set`` sets, as written.
        seed: ``--seed``, or None.
        number: Which change ``code`` is asked for; None for all.
        flags: The options without a value that are given.
        files: Files or folders, as written; for ``diff``, either side.
        renames: Each ``--rename``: a name or pattern in the file, and what it is in the model.
        optimizer: ``--optimizer``, as written.
        entry: ``--entry``: the name of a state dict in the file.
        filter: ``--filter``: what the Explorer's filter box is to hold.
        shard_bytes: ``--shards``, or None.
        sort: ``--sort``, or None.
        since: ``--since``, as written.
        loss: ``--loss``, as written.
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
    inits: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    n_seeds: int = 3
    steps: int = 0
    value: str = ""
    seed: int | None = None
    number: int | None = None
    flags: frozenset[str] = field(default=frozenset())
    files: tuple[str, ...] = ()
    renames: tuple[tuple[str | re.Pattern[str], str], ...] = ()
    optimizer: str = ""
    entry: str | None = None
    filter: str = ""
    shard_bytes: int | None = None
    sort: str | None = None
    since: str = ""
    loss: str = ""


@dataclass(frozen=True)
class Candidate:
    """One way to go on that Tab offers.

    Attributes:
        text: What replaces the fragment.
        kind: What it is, for the front end's icon: ``"module"``, ``"path"``, ``"keyword"``.
    """

    text: str
    kind: str


def cut(text: str, limit: int = 80) -> str:
    """Quote a user's text for a message: inert and cut.

    Example:
        >>> cut("net")
        "'net'"
    """
    return f"'{inert(text, limit)}'"


def unquote(target: str) -> str:
    """Take off the quotes in which a path with a space in it is written."""
    is_quoted = len(target) > 1 and target[0] == target[-1] and target[0] in "\"'"
    return target[1:-1] if is_quoted else target


def require_at_most(n: int, words: Sequence[str], advice: str = "") -> None:
    """Refuse words that no meaning is left for.

    Raises:
        MisuseError: There are more than ``n``.
    """
    if len(words) > n:
        raise MisuseError(f"{cut(words[n])} is one word too many{advice}")


def keyword_pairs(words: Sequence[str], *, value: str, otherwise: str) -> tuple[tuple[str, str], ...]:
    """Split words such as ``gain=2``.

    Args:
        words: The words.
        value: What stands after the sign, for a message: ``"a variable"``.
        otherwise: What is wrong with a word that has none, for a message.

    Raises:
        MisuseError: A word has no such form, or a name comes twice.
    """
    pairs: dict[str, str] = {}
    for word in words:
        match = KEYWORD.fullmatch(word)
        if match is None:
            raise MisuseError(f"{cut(word)} {otherwise}")
        if not match[2]:
            raise MisuseError(f"{match[1]}= wants {value}, without a space")
        if match[1] in pairs:
            raise MisuseError(f"{match[1]}= is given twice")
        pairs[match[1]] = match[2]
    return tuple(pairs.items())
