"""Cutting a line into words: at spaces, and an assignment at its sign, but never inside brackets or quotes."""

from __future__ import annotations

from typing import NamedTuple

from nnwidgets.magics.line.grammar import LineError, cut

_OPEN = "([{"
_CLOSE = ")]}"


class Word(NamedTuple):
    """A word and where it begins in its line."""

    text: str
    start: int


def words(line: str) -> list[Word]:
    """Cut ``line`` into words; a word that begins with ``#`` ends it.

    Raises:
        LineError: If a bracket or quote stays open.

    Example:
        >>> [word.text for word in words('show nets["a b"] 2.bias  # the last')]
        ['show', 'nets["a b"]', '2.bias']
    """
    found, is_open = _cut(line)
    if is_open:
        raise LineError(f"{is_open} is never closed: {cut(line.strip())}")
    return found


def words_so_far(line: str) -> list[Word]:
    """Cut a line that is being typed: the last word may be unfinished, and is empty after a space.

    Example:
        >>> words_so_far("show net ")
        [Word(text='show', start=0), Word(text='net', start=5), Word(text='', start=9)]
    """
    found, is_open = _cut(line)
    if not is_open and (not found or line[-1:].isspace()):
        found.append(Word("", len(line)))
    return found


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


def _cut(line: str) -> tuple[list[Word], str]:  # noqa: C901 - one pass over the characters, one branch for each kind
    """The words, and the bracket or quote that is still open at the end."""
    found: list[Word] = []
    start: int | None = None
    quote = ""
    brackets: list[str] = []
    escaped = False
    for at, character in enumerate(line):
        if quote:
            if not escaped and character == quote:
                quote = ""
            escaped = not escaped and character == "\\"
        elif character.isspace() and not brackets:
            if start is not None:
                found.append(Word(line[start:at], start))
                start = None
        elif character == "#" and start is None:
            return found, ""
        else:
            if start is None:
                start = at
            if character in "\"'":
                quote = character
            elif character in _OPEN:
                brackets.append(character)
            elif character in _CLOSE and brackets:
                brackets.pop()
    if start is not None:
        found.append(Word(line[start:], start))
    return found, quote or (brackets[-1] if brackets else "")
