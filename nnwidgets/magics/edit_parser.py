"""The grammar of the lines that change a model."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

from nnwidgets.magics.line.grammar import CELL, Command, LineError, Sorted, cut, once, told_apart, unquoted, wrong
from nnwidgets.magics.line.tokenizer import Word

_KEYWORD = re.compile(r"([^\W\d]\w*)=(?!=)(.*)", re.DOTALL)
_MOST_LITERAL = 100_000
_OPEN, _CLOSE = "([{", ")]}"


def edit_command(name: str, line: str, rest: Sequence[Word]) -> Command:
    """Read a line of ``init``, ``set``, ``freeze``, ``unfreeze``, ``undo``, ``redo``, ``log``, ``code`` or the cell.

    Args:
        name: Which.
        line: The line.
        rest: Its words after the subcommand.

    Raises:
        LineError: If it can't be read.
    """
    if name == "set":
        return _set(line, rest)
    apart = told_apart(name, [word.text for word in rest])
    if not apart.plain:
        raise wrong(name, "no model is named")
    if name == "init":
        return _init(apart)
    if name in {"freeze", "unfreeze", CELL}:
        return _targets(name, apart)
    return _model_only(name, apart)


def literal(text: str) -> Any:
    """The value of a Python literal.

    Raises:
        ValueError: It is none; nothing was run.

    Example:
        >>> literal("[1, -2.5]"), literal("inf")
        ([1, -2.5], inf)
    """
    if text in _FLOATS:
        return float(text)
    if len(text) > _MOST_LITERAL:
        raise ValueError(text)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise ValueError(text) from None


_FLOATS = frozenset(sign + word for sign in ("", "-", "+") for word in ("nan", "inf"))


def split_assignment(text: str) -> tuple[str, str] | None:
    """What stands before and after the first ``=`` that is in no bracket and no quotes; None where there is none.

    Example:
        >>> split_assignment('["a=b"].weight[0, 0] = 42')
        ('["a=b"].weight[0, 0]', '42')
    """
    depth, quote = 0, ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote and text[at - 1] != "\\" else quote
        elif character in "\"'":
            quote = character
        elif character in _OPEN:
            depth += 1
        elif character in _CLOSE:
            depth -= 1
        elif character == "=" and not depth:
            return text[:at].strip(), text[at + 1 :].strip()
    return None


def _init(apart: Sorted) -> Command:
    plain = apart.plain
    if len(plain) == 1:
        raise wrong("init", "no tensor or module is named")
    if len(plain) == 2 or _KEYWORD.fullmatch(plain[2]):  # noqa: PLR2004 - a model and a target
        raise wrong("init", "no initializer is named")
    keywords: dict[str, str] = {}
    for word in plain[3:]:
        match = _KEYWORD.fullmatch(word)
        if match is None:
            raise wrong("init", f"{cut(word)} is one word too many; parameters are written as gain=2")
        if not match[2]:
            raise wrong("init", f"{match[1]}= wants a value, without a space")
        if match[1] in keywords:
            raise wrong("init", f"{match[1]}= is given twice")
        keywords[match[1]] = match[2]
    target = unquoted(plain[1])
    return Command(
        "init", model=plain[0], target=target, arguments=(target,), how=unquoted(plain[2]),
        keywords=tuple(keywords.items()), seed=_seed(apart), flags=apart.flags,
    )  # fmt: skip


def _set(line: str, rest: Sequence[Word]) -> Command:
    if not rest:
        raise wrong("set", "no model is named")
    if rest[0].text.startswith("-"):
        raise wrong("set", f"it takes no options, got {cut(rest[0].text)}")
    if len(rest) == 1:
        raise wrong("set", "no tensor is named")
    parts = split_assignment(line[rest[1].start : rest[-1].start + len(rest[-1].text)])
    if parts is None:
        raise wrong("set", "there is no = and value")
    target, value = parts
    if not target:
        raise wrong("set", "no tensor is named before the =")
    if not value or value.startswith("="):
        raise wrong("set", "no value stands after the =")
    return Command("set", model=rest[0].text, target=unquoted(target), value=value)


def _targets(name: str, apart: Sorted) -> Command:
    targets = tuple(map(unquoted, apart.plain[1:]))
    if not targets:
        wanted = "no module is named" if name == CELL else "no tensor or module is named; ** means all"
        raise wrong(name, wanted)
    return Command(
        name, model=apart.plain[0], target=targets[0], arguments=targets, seed=_seed(apart), flags=apart.flags
    )


def _model_only(name: str, apart: Sorted) -> Command:
    model, *rest = apart.plain
    number = None
    if name == "code" and rest:
        word = rest.pop(0)
        if not (word.isascii() and word.isdigit() and 0 < len(word) < 10):  # noqa: PLR2004 - enough changes
            raise wrong("code", f"{cut(word)} is not the number of a change, as %nn log has it")
        number = int(word)
    if rest:
        raise wrong(name, f"{cut(rest[0])} is one word too many")
    return Command(name, model=model, number=number, flags=apart.flags)


def _seed(apart: Sorted) -> int | None:
    text = once(apart.options, "--seed")
    if text is None:
        return None
    digits = text[1:] if text[:1] in {"-", "+"} else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):  # noqa: PLR2004 - digits of 64 bits
        raise LineError(f"--seed {cut(text)} is not a whole number of at most 64 bits, such as 7.")
    return int(text)
