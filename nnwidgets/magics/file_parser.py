"""The grammar of the lines that work on files."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nnwidgets.magics.edit_parser import split_assignment
from nnwidgets.magics.line.grammar import Command, LineError, Sorted, cut, once, told_apart, unquoted, wrong

PATTERN = "re:"
"""What a rename by regular expression begins with."""

_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([kKmMgGtT]?)(i?)[bB]?")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def file_command(name: str, rest: Sequence[str]) -> Command:
    """Read a line of ``save``, ``load``, ``diff`` or ``ls``.

    Args:
        name: Which.
        rest: Its words after the subcommand.

    Raises:
        LineError: If it can't be read.

    Example:
        >>> found = file_command("load", ["net", "mlp.params", "--rename", "out=output"])
        >>> found.model, found.files, found.renames
        ('net', ('mlp.params',), (('out', 'output'),))
    """
    apart = told_apart(name, list(rest))
    plain = apart.plain
    if name == "ls":
        return Command("ls", files=_files(name, plain, most=1))
    if name == "diff":
        if len(plain) < 2:  # noqa: PLR2004 - two sides
            raise wrong("diff", "two sides are compared: a model and a file, or two of either")
        return Command("diff", files=_files(name, plain, most=2))
    if not plain:
        raise wrong(name, "no model is named")
    if len(plain) == 1:
        raise wrong(name, "no file is named")
    return Command(
        name,
        model=plain[0],
        files=_files(name, plain[1:], most=1),
        renames=tuple(map(_rename, apart.options.get("--rename", ()))),
        optimizer=once(apart.options, "--optimizer") or "",
        shard_bytes=_size(apart),
        flags=apart.flags,
    )


def _files(name: str, words: Sequence[str], *, most: int) -> tuple[str, ...]:
    if len(words) > most:
        raise wrong(name, f"{cut(words[most])} is one word too many; a name with a space stands in quotes")
    return tuple(map(unquoted, words))


def _rename(text: str) -> tuple[str, str]:
    text = unquoted(text)
    if text.startswith(PATTERN):
        old, equals, new = text.rpartition("=")
        parts = (old, new) if equals else None
    else:
        parts = split_assignment(text)
    if parts is None or not parts[0] or parts[0] == PATTERN:
        raise LineError(
            f"--rename {cut(text)} is not old=new, such as out=output, module.= or re:^h(\\d+)=layers.\\1; old is the "
            "name in the file."
        )
    return unquoted(parts[0]), unquoted(parts[1])


def _size(apart: Sorted) -> int | None:
    text = once(apart.options, "--shards")
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    n_bytes = int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2].lower()]) if match else 0
    if n_bytes < 1:
        raise LineError(f"--shards {cut(text)} is not a size such as 2GB or 500MiB.")
    return n_bytes
