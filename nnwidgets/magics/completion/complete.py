"""What could stand next on a line, from what is typed and the user's variables; nothing of theirs is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nnwidgets.introspect.patterns import is_glob
from nnwidgets.magics.line.grammar import Candidate
from nnwidgets.magics.line.tokenizer import words_so_far
from nnwidgets.magics.resolve import model_candidates
from nnwidgets.magics.subcommands.subcommand import Subcommand, TypedLine
from nnwidgets.magics.subcommands.table import ENTRIES, EXPLORE, SUBCOMMANDS, SYNONYMS

MOST = 300
"""The most candidates given."""


@dataclass(frozen=True)
class Completion:
    """What is typed of the last word, and what it could become."""

    fragment: str
    candidates: tuple[Candidate, ...]


def complete(line: str, namespace: dict[str, Any]) -> Completion:
    """Complete a line.

    Args:
        line: What stands between ``%nn`` and the cursor; or from ``%%nn_init`` on.
        namespace: The user's variables.

    Example:
        >>> from torch import nn
        >>> complete("show net 0.w", {"net": nn.Sequential(nn.Linear(2, 3))}).candidates
        (Candidate(text='0.weight', kind='path'),)
    """
    *before, last = [word.text for word in words_so_far(line)] or [""]
    fitting: dict[str, Candidate] = {}
    means_others = is_glob(last.removeprefix("!"))  # what a glob means doesn't begin like it
    for candidate in _candidates(before, last, namespace):
        if candidate.text.startswith(last) or means_others:
            fitting.setdefault(candidate.text, candidate)
            if len(fitting) == MOST:
                break
    return Completion(last, tuple(fitting.values()))


def _candidates(before: list[str], last: str, namespace: dict[str, Any]) -> Iterator[Candidate]:
    if not before:
        yield from (Candidate(name, "keyword") for name in SUBCOMMANDS)
        yield from model_candidates(last, namespace)
    elif (name := SYNONYMS.get(before[0], before[0])) in ENTRIES:
        yield from _after(ENTRIES[name], before[1:], last, namespace)
    else:
        yield from _after(EXPLORE, before, last, namespace)


def _after(subcommand: Subcommand, before: list[str], last: str, namespace: dict[str, Any]) -> Iterator[Candidate]:
    """Ways to go on after a subcommand."""
    options = subcommand.valued_options
    name, equals, value = last.partition("=")
    if last.startswith("-") and equals and name in options:
        typed = TypedLine(_without_options(before, options), value, namespace)
        yield from (Candidate(f"{name}={each.text}", each.kind) for each in options[name].complete(typed))
    elif last.startswith("-"):
        repeated = {each.name for each in subcommand.options if each.is_repeated}
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
