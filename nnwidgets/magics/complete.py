"""What could stand next on a line, from what is typed and the user's variables; nothing of theirs is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nnwidgets.magics.line.grammar import Candidate
from nnwidgets.magics.line.tokenizer import words_so_far
from nnwidgets.magics.resolve import MOST_CANDIDATES, model_candidates
from nnwidgets.magics.subcommands.cell import NN_INIT
from nnwidgets.magics.subcommands.subcommand import Subcommand, TypedLine
from nnwidgets.magics.subcommands.table import SUBCOMMANDS

MOST = MOST_CANDIDATES
"""The most candidates given."""

_GLOB = frozenset("*?")


@dataclass(frozen=True)
class Completion:
    """What is typed of the last word, and what it could become."""

    fragment: str
    candidates: tuple[Candidate, ...]


def complete(line: str, namespace: dict[str, Any]) -> Completion:
    """Complete a line.

    Args:
        line: What stands between ``%nn`` and the cursor.
        namespace: The user's variables.

    Example:
        >>> from torch import nn
        >>> complete("show net 0.w", {"net": nn.Sequential(nn.Linear(2, 3))}).candidates
        (Candidate(text='0.weight', kind='path'),)
    """
    *before, last = _split(line)
    if before:
        subcommand = SUBCOMMANDS.get(before[0])
        found = iter(()) if subcommand is None else _candidates(subcommand, before[1:], last, namespace)
        return _completion(found, last)
    return _completion(_first_words(last, namespace), last)


def complete_cell(line: str, namespace: dict[str, Any]) -> Completion:
    """Complete the line of ``%%nn_init``.

    Args:
        line: What stands between ``%%nn_init`` and the cursor.
        namespace: The user's variables.

    Example:
        >>> from torch import nn
        >>> complete_cell("net Lin", {"net": nn.Sequential(nn.Linear(2, 3))}).candidates
        (Candidate(text='Linear', kind='path'),)
    """
    *before, last = _split(line)
    return _completion(_candidates(NN_INIT, before, last, namespace), last)


def _split(line: str) -> list[str]:
    return [word.text for word in words_so_far(line)] or [""]


def _completion(candidates: Iterator[Candidate], last: str) -> Completion:
    """The first candidates that go on from what is typed, each once."""
    found: dict[str, Candidate] = {}
    for candidate in candidates:
        if candidate.text.startswith(last) or (_GLOB & set(last)):  # what a glob means doesn't begin like it
            found.setdefault(candidate.text, candidate)
            if len(found) == MOST:
                break
    return Completion(last, tuple(found.values()))


def _first_words(last: str, namespace: dict[str, Any]) -> Iterator[Candidate]:
    yield from (Candidate(name, "keyword") for name in SUBCOMMANDS)
    yield from model_candidates(last, namespace)


def _candidates(subcommand: Subcommand, before: list[str], last: str, namespace: dict[str, Any]) -> Iterator[Candidate]:
    """Ways to go on after a subcommand."""
    options = subcommand.valued_options
    if last.startswith("-"):
        name, equals, value = last.partition("=")
        if equals and name in options:
            typed = TypedLine(_without_options(before, options), value, namespace)
            yield from (Candidate(f"{name}={each.text}", each.kind) for each in options[name].complete(typed))
        else:
            repeated = {each.name for each in options.values() if each.is_repeated}
            names = (each for each in subcommand.option_names if each in repeated or each not in before)
            yield from (Candidate(each, "keyword") for each in names)
    elif before and before[-1] in options:
        typed = TypedLine(_without_options(before[:-1], options), last, namespace)
        yield from options[before[-1]].complete(typed)
    else:
        typed = TypedLine(_without_options(before, options), last, namespace)
        if subcommand.takes_model and not typed.words:
            yield from model_candidates(last, namespace)
        else:
            yield from subcommand.complete(typed)


def _without_options(words: list[str], options: dict[str, Any]) -> list[str]:
    plain: list[str] = []
    waiting = iter(words)
    for word in waiting:
        if word in options:
            next(waiting, None)
        elif not word.startswith("-"):
            plain.append(word)
    return plain
