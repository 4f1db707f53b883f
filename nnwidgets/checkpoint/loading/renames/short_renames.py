"""Renames told in short: what makes one name of another, and the fewest renames that do what many do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nnwidgets.checkpoint.loading.renames.apply_renames import apply_renames
from nnwidgets.errors import CheckpointMismatchError, PathNotFoundError


class NameChange(NamedTuple):
    """What makes one name of another: a run of components; ``#`` stands for a number in both."""

    old: str
    new: str
    is_first: bool

    @property
    def reason(self) -> str:
        """In words."""
        if not self.new:
            return f"the file's names {'begin with' if self.is_first else 'have'} {self.old} where the model's don't"
        if not self.old:
            return f"the model's names {'begin with' if self.is_first else 'have'} {self.new} where the file's don't"
        return f"{self.old} in the file is {self.new} in the model"


_NUMBER = re.compile(r"\d+")


def name_change(old: str, new: str) -> NameChange:
    """What makes one name of the other: the components between those that both begin and end with."""
    olds, news = old.split("."), new.split(".")
    start = 0
    while start < min(len(olds), len(news)) and olds[start] == news[start]:
        start += 1
    end = 0
    while end < min(len(olds), len(news)) - start and olds[-1 - end] == news[-1 - end]:
        end += 1
    before, after = olds[start : len(olds) - end], news[start : len(news) - end]
    if not before and start:
        # Something is put in the middle: the component before says where.
        before, after, start = [olds[start - 1]], [news[start - 1], *after], start - 1
    was, becomes = ".".join(before), ".".join(after)
    if _NUMBER.findall(was) == _NUMBER.findall(becomes):
        was, becomes = _NUMBER.sub("#", was), _NUMBER.sub("#", becomes)
    # What comes or goes at the beginning does so there alone; a word is another one wherever it stands.
    return NameChange(was, becomes, is_first=start == 0 and not (was and becomes))


def in_short(renames: Mapping[str, str], names: Sequence[str]) -> dict[Any, str]:
    """The fewest renames of parts of names that do what renames of whole names do; those where none were found.

    Args:
        renames: From the name in the file to the path in the model.
        names: All names in the file.

    Example:
        >>> in_short({"module.0.weight": "0.weight", "module.0.bias": "0.bias"}, ["module.0.weight", "module.0.bias"])
        {'module.': ''}
    """
    wanted = {name: renames.get(name, name) for name in names}
    made: dict[Any, str] = {}
    written = {name: name for name in names}
    for name in renames:
        if written[name] == wanted[name]:
            continue
        rule = name_change(written[name], wanted[name])
        if len(made) == _MOST_SHORT or "#" in rule.old + rule.new:
            return dict(renames)
        made[f"{rule.old}." if not rule.new else rule.old or re.compile("^")] = rule.new if rule.old else f"{rule.new}."
        try:
            written = apply_renames(names, made)
        except (PathNotFoundError, CheckpointMismatchError):
            return dict(renames)
    return made if written == wanted else dict(renames)


_MOST_SHORT = 4
