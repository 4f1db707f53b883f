"""Names in a file that are others in the model: those a user gives, applied; those that can be told, suggested."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from nnwidgets.checkpoint.loading.apply_renames import apply_renames, tidy_dots
from nnwidgets.checkpoint.records import Suggestion
from nnwidgets.errors import CheckpointMismatchError, PathNotFoundError

Shape = tuple[int, ...] | None


class Named(NamedTuple):
    """A tensor of one side.

    Attributes:
        name: Its.
        shape: Its sizes; None for a lazy one, which any will do for.
    """

    name: str
    shape: Shape


_SPELLINGS = {
    "gamma": "weight",
    "beta": "bias",
    "kernel": "weight",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "moving_var": "running_var",
    "embedding": "weight",
}
"""Last components that other libraries, or older versions, write for ours."""

_SYNONYMS = (
    {"query", "q", "q_proj", "q_lin", "wq"},
    {"key", "k", "k_proj", "k_lin", "wk"},
    {"value", "v", "v_proj", "v_lin", "wv"},
    {"out", "output", "o_proj", "out_proj", "out_lin", "wo"},
    {"gate_proj", "w1"},
    {"down_proj", "w2"},
    {"up_proj", "w3"},
)
"""Components that mean the same in the models people exchange."""

_WRAPPERS = {"module", "_orig_mod", "model", "_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "net"}
_MOST_ROUNDS = 40
_MOST_IN_BUCKET = 12
_MOST_SAMPLED = 1_500
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class _Rule:
    """A run of components in the file's names that is another in the model's; ``#`` stands for a number in both."""

    old: str
    new: str
    is_first: bool

    def pattern(self) -> re.Pattern[str]:
        start = "^" if self.is_first else r"(?:(?<=\.)|^)"
        if not self.old:
            return re.compile("^")
        return re.compile(start + re.escape(self.old).replace(r"\#", r"(\d+)") + r"(?=\.|$)")

    def apply(self, name: str, pattern: re.Pattern[str]) -> str | None:
        found = pattern.search(name)
        if found is None:
            return None
        new = self.new
        if "#" in new:
            numbers = iter(found.groups())
            new = re.sub("#", lambda _: next(numbers, "#"), new)
        if not self.old:
            return f"{new}.{name}"
        return tidy_dots(name[: found.start()] + new + name[found.end() :])

    @property
    def reason(self) -> str:
        if not self.new and self.is_first:
            return f"the file's names begin with {self.old}."
        if not self.old:
            return f"the model's names begin with {self.new}."
        if not self.new:
            return f"the file's names have {self.old} where the model's have nothing"
        return f"{self.old} in the file is {self.new} in the model"


def suggest(
    model: Sequence[Named], file: Sequence[Named], *, is_ordered: bool = False, matched: Iterable[Shape] = ()
) -> dict[str, Suggestion]:
    """Tell which names in the file are probably which in the model.

    What is suggested fits by shape, and never two names for one. Where several would do as well, none is suggested.

    Args:
        model: Tensors of the model that no name in the file fits.
        file: Tensors of the file that no path in the model fits.
        is_ordered: Whether the file's names are in the order of its model.
        matched: Shapes of the tensors whose names fit already. Where only numbers differ (``4.weight``, ``0.weight``)
            and others of that shape have found their match, all may be off by as many: nothing is suggested.

    Returns:
        By path in the model: the name in the file, why, and how sure.

    Example:
        >>> found = suggest([Named("output.weight", (10, 256))], [Named("out.weight", (10, 256))])
        >>> found["output.weight"].source, found["output.weight"].reason
        ('out.weight', 'out in the file is output in the model')
    """
    return _Matching(model, file, is_ordered=is_ordered, matched=matched).solve()


class _Matching:
    """Two lists of names, being brought together round by round."""

    def __init__(
        self, model: Sequence[Named], file: Sequence[Named], *, is_ordered: bool, matched: Iterable[Shape]
    ) -> None:
        self.matched = set(matched)
        self.open = {each.name: each.shape for each in model}
        self.left = {each.name: each.shape for each in file}
        self.written = {each.name: each.name for each in file}
        self.is_ordered = is_ordered
        self.found: dict[str, Suggestion] = {}
        self.parts = {part for name in self.open for part in name.split(".")}

    def solve(self) -> dict[str, Suggestion]:
        """Suggestions, by path in the model."""
        for _ in range(_MOST_ROUNDS):
            self._match_same_names()
            if not self.open or not self.left or not self._round():
                break
        self._match_unique_shapes()
        self._match_in_order()
        return self.found

    def _round(self) -> bool:
        """Find the rule that brings most together; whether one was found."""
        for by in (_with_numbers, _without_numbers, _by_shape):
            rule = self._best(by)
            if rule is not None:
                return self._take(rule)
        return False

    def _match_same_names(self) -> None:
        """Match what is written alike by now."""
        taken = Counter(self.written[name] for name in self.left)
        for name in list(self.left):
            path = self.written[name]
            if path in self.open and taken[path] == 1 and self._may_be(name, path):
                self._match(name, path, "several parts of the name are others in the file", 0.9)

    def _best(self, by: Any) -> _Rule | None:
        pairs: dict[_Rule, set[tuple[str, str]]] = defaultdict(set)
        for name, path in self._candidates(by):
            rule = _rule(self.written[name], path)
            if rule is not None and self._may_be(name, path):
                pairs[rule].add((name, path))
        ranked = sorted(pairs.items(), key=lambda each: (-len(each[1]), each[0].old, each[0].new))
        for rule, supports in ranked:
            if not self._has_rival(rule, supports, ranked):
                return rule
        return None

    def _has_rival(
        self, rule: _Rule, supports: set[tuple[str, str]], ranked: Sequence[tuple[_Rule, set[tuple[str, str]]]]
    ) -> bool:
        """Whether another rule, as well supported, gives one of its names or paths to another."""
        names, paths = {name for name, _ in supports}, {path for _, path in supports}
        mine = _likeness(rule)
        for other, theirs in ranked:
            if len(theirs) < len(supports):
                return False
            if other is rule:
                continue
            is_contrary = any((name in names) != (path in paths) or (name in names and (name, path) not in supports)
                              for name, path in theirs)  # fmt: skip
            if is_contrary and _likeness(other) > mine - _CLEARLY:
                return True
        return False

    def _candidates(self, by: Any) -> Iterator[tuple[str, str]]:
        """Pairs that could be the same tensor, since they have a key in common; of many keys, some."""
        paths: dict[Any, list[str]] = defaultdict(list)
        names: dict[Any, list[str]] = defaultdict(list)
        for path, shape in self.open.items():
            paths[by(path, shape)].append(path)
        for name, shape in self.left.items():
            names[by(self.written[name], shape)].append(name)
        keys = [key for key in names if key in paths]
        for key in keys[:: max(1, len(keys) // _MOST_SAMPLED)]:
            ours, theirs = paths[key], names[key]
            if len(ours) <= _MOST_IN_BUCKET and len(theirs) <= _MOST_IN_BUCKET:
                yield from ((name, path) for name in theirs for path in ours)

    def _take(self, rule: _Rule) -> bool:
        """Match what a rule brings together, and write the rest of the file's names by it where that can't mislead."""
        pattern = rule.pattern()
        made: dict[str, str] = {}
        taken: Counter[str] = Counter()
        for name in self.left:
            new = rule.apply(self.written[name], pattern)
            if new is not None:
                made[name] = new
                taken[new] += 1
        confidence = 0.95 if rule.old.rsplit(".", 1)[-1] in _WRAPPERS or len(made) > 1 else 0.8
        # All are judged before the first is matched, which makes its shape one that others have found their match with.
        hits = [(name, new) for name, new in made.items() if taken[new] == 1 and self._may_be(name, new)]
        reason = rule.reason
        for name, new in hits:
            self._match(name, new, reason, confidence)
        n = len(hits)
        if rule.is_first or not any(part in self.parts for part in rule.old.split(".")):
            for name, new in made.items():
                if name in self.left:
                    n += self.written[name] != new
                    self.written[name] = new
        return n > 0

    def _match(self, name: str, path: str, reason: str, confidence: float) -> None:
        self.found[path] = Suggestion(name, reason, confidence)
        del self.open[path]
        self.matched.add(self.left.pop(name))

    def _may_be(self, name: str, path: str) -> bool:
        """Whether two still open fit by shape, and don't merely differ by number where others of the shape are told."""
        if path not in self.open or not _fits(self.open[path], self.left[name]):
            return False
        written = self.written[name]
        if written == path or self.left[name] not in self.matched:
            return True
        return _NUMBER.sub("#", written) != _NUMBER.sub("#", path)

    def _match_unique_shapes(self) -> None:
        """Match what no other has the shape of, on either side."""
        paths, names = _names_by_shape(self.open), _names_by_shape(self.left)
        for shape, those in paths.items():
            is_alone = len(those) == 1 and len(names.get(shape, ())) == 1 and shape not in (None, (), (1,))
            if is_alone and self._may_be(names[shape][0], those[0]):
                self._match(names[shape][0], those[0], "no other tensor has this shape", 0.6)

    def _match_in_order(self) -> None:
        """Match what is left one after the other, where both sides have the same shapes and endings in order."""
        if not self.is_ordered or not self.open or len(self.open) != len(self.left):
            return
        pairs = list(zip(self.open.items(), self.left.items(), strict=True))
        if all(self._may_be(name, path) and _last(path) == _last(name) for (path, _), (name, _) in pairs):
            for (path, _), (name, _) in pairs:
                self._match(name, path, "it comes at the same place in order, with the same shape", 0.5)


def _names_by_shape(named: Mapping[str, Shape]) -> dict[Shape, list[str]]:
    made: dict[Shape, list[str]] = defaultdict(list)
    for name, shape in named.items():
        made[shape].append(name)
    return made


def _fits(ours: Shape, theirs: Shape) -> bool:
    return ours is None or ours == theirs


def _last(name: str) -> str:
    last = name.rsplit(".", 1)[-1]
    return _SPELLINGS.get(last, last)


def _with_numbers(name: str, shape: Shape) -> Any:
    return shape, _last(name), tuple(_NUMBER.findall(name))


def _without_numbers(name: str, shape: Shape) -> Any:
    return shape, _last(name)


def _by_shape(_name: str, shape: Shape) -> Any:
    return shape


def _rule(old: str, new: str) -> _Rule | None:
    """What makes one name of the other: the components between those that both begin and end with."""
    if old == new:
        return None
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
    return _Rule(was, becomes, is_first=start == 0 and not (was and becomes))


_CLEARLY = 0.25


def _likeness(rule: _Rule) -> float:
    """How much alike the two sides of a rule are, from 0 to 1; a prefix that comes or goes is as good as any."""
    if not rule.old or not rule.new:
        return 1.0
    old, new = rule.old.rsplit(".", 1)[-1], rule.new.rsplit(".", 1)[-1]
    if _SPELLINGS.get(old) == new or any(old in each and new in each for each in _SYNONYMS):
        return 1.0
    return SequenceMatcher(None, rule.old, rule.new, autojunk=False).ratio()


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
        rule = _rule(written[name], wanted[name])
        if rule is None:
            continue
        if len(made) == _MOST_SHORT or "#" in rule.old + rule.new:
            return dict(renames)
        made[f"{rule.old}." if not rule.new else rule.old or re.compile("^")] = rule.new if rule.old else f"{rule.new}."
        try:
            written = apply_renames(names, made)
        except (PathNotFoundError, CheckpointMismatchError):
            return dict(renames)
    return made if written == wanted else dict(renames)


_MOST_SHORT = 4


def one_name_each(suggestions: Iterable[tuple[str, Suggestion]]) -> dict[str, str]:
    """Suggestions as a rename: from the name in the file to the path in the model."""
    return {suggestion.source: path for path, suggestion in suggestions}
