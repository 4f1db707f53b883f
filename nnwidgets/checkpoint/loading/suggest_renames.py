"""Names in a file that are others in the model: those that leave one answer, and candidates for the rest."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from nnwidgets.checkpoint.loading.apply_renames import apply_renames
from nnwidgets.checkpoint.loading.layouts.join_layouts import Joined, join
from nnwidgets.checkpoint.loading.layouts.known_layouts import CONTRARY, SYNONYMS, WRAPPERS, may_be_turned
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


@dataclass(slots=True)
class Suggested:
    """Names in a file that may be others in the model.

    Attributes:
        sure: By path in the model: the one answer.
        candidates: By path, for others: what it may be, the likeliest first. There may be one alone: nothing speaks
            against it, and too little for it.
        doubts: Sentences on what a known layout says and shapes deny.
    """

    sure: dict[str, Suggestion] = field(default_factory=dict)
    candidates: dict[str, tuple[Suggestion, ...]] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)


def suggest(
    model: Sequence[Named], file: Sequence[Named], *, matched: Iterable[Named] = (), with_candidates: bool = True
) -> Suggested:
    """Tell which names in the file are which in the model.

    Sure is what leaves one answer: a beginning that all names have more or fewer, a known layout, names that mean the
    same component by component, names that differ in one component where no other tensor of the same shape could be
    meant. Each fits by shape, and never are two names led to one. The order of names says nothing. Names that no model
    has, of very many characters or components, are left alone.

    Args:
        model: Tensors of the model that no name in the file fits.
        file: Tensors of the file that no path in the model fits.
        matched: Tensors whose names fit already.
        with_candidates: Whether to list those for what isn't sure.

    Example:
        >>> found = suggest([Named("output.weight", (10, 256))], [Named("out.weight", (10, 256))])
        >>> found.sure["output.weight"].source, found.sure["output.weight"].reason
        ('out.weight', 'out in the file is output in the model, and nothing else of its shape is left')
    """
    model, file = ([each for each in side if _is_sensible(each.name)] for side in (model, file))
    matching = _Matching(model, file, matched)
    matching.solve()
    if with_candidates:
        matching.list_candidates()
    return matching.made


Parts = tuple[str, ...]
Pair = tuple[str, str]
"""A name in the file and a path in the model."""


def _is_sensible(name: str) -> bool:
    # What is done with a name grows with the square of its components.
    return len(name) <= _LONGEST_NAME and name.count(".") <= _MOST_DOTS


_LONGEST_NAME = 500
_MOST_DOTS = 40
_MOST_ROUNDS = 12
_MOST_IN_BUCKET = 12
_MOST_WITH_CANDIDATES = 1_500
_MOST_CANDIDATES = 3


class _WordsByName(dict[str, "Parts"]):
    """The words of names, found when they are asked for: where a prefix tells all, none are."""

    def __missing__(self, name: str) -> Parts:
        self[name] = made = _words(name)
        return made


class _Matching:
    """Two lists of names, being brought together step by step."""

    def __init__(self, model: Sequence[Named], file: Sequence[Named], matched: Iterable[Named]) -> None:
        self.made = Suggested()
        self.open = {each.name: each.shape for each in model}
        self.left = {each.name: each.shape for each in file}
        those = list(matched)
        self.matched_shapes = {each.shape for each in those}
        self.n_matched = len(those)
        self.n_left = Counter(self.left.values())
        self.words = _WordsByName()

    def solve(self) -> None:
        """Match what can be."""
        self._match_prefix(lambda name: tuple(name.split(".")))
        self._match_layouts()
        for _ in range(_MOST_ROUNDS):
            n = len(self.open)
            self._match_same_words()
            self._match_prefix(self.words.__getitem__)
            self._match_one_component(self.words.__getitem__)
            self._match_one_component(_components)
            if not self.open or not self.left or len(self.open) == n:
                break

    def _match(self, pairs: Iterable[tuple[Pair, str]], confidence: float) -> None:
        for (name, path), reason in pairs:
            self.made.sure[path] = Suggestion(name, reason, confidence)
            self.matched_shapes.add(self.left[name])
            del self.open[path], self.left[name]
            self.n_matched += 1

    def _fits(self, name: str, path: str) -> bool:
        ours, theirs = self.open[path], self.left[name]
        return ours is None or ours == theirs or (may_be_turned(path) and ours == (theirs or ())[::-1])

    def _only(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Those whose name and path are in no other of them."""
        paths_of, names_of = _both_ways(pairs)
        return [
            (name, next(iter(paths)))
            for name, paths in paths_of.items()
            if len(paths) == 1 and len(names_of[next(iter(paths))]) == 1
        ]

    # ---- a beginning more or less ----

    def _match_prefix(self, parts_of: Callable[[str], Parts]) -> None:
        """Match names by a beginning that those of one side have and the other's haven't."""
        found: dict[tuple[str, bool], list[Pair]] = defaultdict(list)
        for is_files, (longer, shorter) in enumerate(((self.open, self.left), (self.left, self.open))):
            ends: dict[Parts, list[str]] = defaultdict(list)
            for name in shorter:
                ends[parts_of(name)].append(name)
            for name in longer:
                parts = parts_of(name)
                for start in range(1, len(parts)):
                    for other in ends.get(parts[start:], ())[:2]:
                        pair = (name, other) if is_files else (other, name)
                        if self._fits(*pair):
                            found[".".join(parts[:start]), bool(is_files)].append(pair)
        ranked = sorted(found.items(), key=lambda each: (-len(each[1]), len(each[0][0])))
        if not ranked:
            return
        (prefix, is_files), pairs = ranked[0]
        names, paths = {name for name, _ in pairs}, {path for _, path in pairs}
        contested = {
            each
            for _, those in ranked[1:]
            for name, path in those
            if (path in paths) != (name in names)
            for each in (name, path)
        }
        is_wrapper = prefix.rpartition(".")[2] in _PREFIXES
        sure = [pair for pair in self._only(pairs) if not contested.intersection(pair)]
        if (len(sure) < len(pairs) and not is_wrapper) or (len(pairs) <= self.n_matched and not is_wrapper):
            return
        side = "the file's names begin with" if is_files else "the model's names begin with"
        self._match([(pair, f"{side} {prefix}.") for pair in sure], 0.95)

    # ---- known layouts ----

    def _match_layouts(self) -> None:
        for pairs in join(self.left, self.open):
            still = [pair for pair in pairs if pair.name in self.left and pair.path in self.open]
            fitting = [pair for pair in still if _fits_by_form(self.open[pair.path], self.left[pair.name], pair)]
            if len(fitting) < len(still):
                those = set(fitting)
                self._doubt([pair for pair in still if pair not in those], n_fitting=len(fitting))
            if 2 * len(fitting) > len(still):
                self._match([((each.name, each.path), _layout_reason(each)) for each in fitting], 0.95)

    def _doubt(self, pairs: Sequence[Joined], n_fitting: int) -> None:
        first = pairs[0]
        more = f", and {len(pairs) - 1:,} more don't fit" if len(pairs) > 1 else ""
        whole = "" if n_fitting > len(pairs) else "; the layout is not believed"
        self.made.doubts.append(
            f"By the names of {first.title} {first.name} is {first.path}, but it is {self.left[first.name]} in the "
            f"file and {self.open[first.path]} in the model{more}{whole}."
        )

    # ---- words that mean the same ----

    def _match_same_words(self) -> None:
        paths: dict[Parts, list[str]] = defaultdict(list)
        for path in self.open:
            paths[self.words[path]].append(path)
        pairs = [(name, path) for name in self.left for path in paths.get(self.words[name], ())[:2]]
        fitting = [pair for pair in self._only(pairs) if self._fits(*pair)]
        self._match([(pair, _difference(*pair).reason) for pair in fitting], 0.9)

    # ---- one component that is another, or is there on one side only ----

    def _match_one_component(self, parts_of: Callable[[str], Parts]) -> None:
        """Match names that differ in one component, where no other of the shape could be meant by either."""
        paths: dict[Any, list[str]] = defaultdict(list)
        for path, shape in self.open.items():
            for key in _with_one_open(parts_of(path), _turnable(path, shape)):
                paths[key].append(path)
        partners: list[Pair] = []
        crowded: set[str] = set()
        for name, shape in self.left.items():
            theirs = parts_of(name)
            for key in _with_one_open(theirs, _turnable(name, shape)):
                ours = paths.get(key)
                if ours is None:
                    continue
                if len(ours) > _MOST_IN_BUCKET:
                    crowded.update((name, *ours))
                    continue
                # Two names less a component each say nothing; a name less one may be another's whole.
                partners += [
                    (name, path) for path in ours
                    if (key[0] is _OPEN or len(theirs) != len(parts_of(path))) and self._fits(name, path)
                ]  # fmt: skip
        sure = [
            (name, path)
            for name, path in self._only(partners)
            if not (path in crowded or name in crowded)
            and not {*parts_of(name)}.isdisjoint(parts_of(path))
            and not _are_contrary(parts_of(name), parts_of(path))
            and not self._is_off_by_number(parts_of(name), parts_of(path), self.left[name])
        ]
        reasons = {pair: f"{_difference(*pair).reason}, and nothing else of its shape is left" for pair in sure}
        self._match(reasons.items(), 0.85)
        self._write_by(sure)

    def _is_off_by_number(self, theirs: Parts, ours: Parts, shape: Shape) -> bool:
        """Whether they differ in a number, and others of the shape are told: all may be off by as many."""
        if len(ours) != len(theirs):
            is_number = any(
                part.isdecimal() for part in (Counter(ours) - Counter(theirs)) + (Counter(theirs) - Counter(ours))
            )
        else:
            is_number = any(a != b and a.isdecimal() and b.isdecimal() for a, b in zip(ours, theirs, strict=True))
        return is_number and (shape in self.matched_shapes or self.n_left[shape] > 1)

    def _write_by(self, rules: Iterable[Pair]) -> None:
        """Write the rest of the file's names by a component that turned out to be another."""
        known = {part for path in (*self.open, *self.made.sure) for part in self.words[path]}
        becomes: dict[str, set[str]] = defaultdict(set)
        for name, path in rules:
            ours, theirs = self.words[path], self.words[name]
            if len(ours) == len(theirs):
                for old, new in zip(theirs, ours, strict=True):
                    if old != new:
                        becomes[old].add(new)
        words = {old: next(iter(news)) for old, news in becomes.items() if len(news) == 1 and old not in known}
        if words:
            for name in self.left:
                self.words[name] = tuple(words.get(part, part) for part in self.words[name])

    # ---- candidates ----

    def list_candidates(self) -> None:
        """For what is still open: tensors of the same shape and kind, those with the likest names first."""
        names: dict[Any, list[str]] = defaultdict(list)
        for name, shape in self.left.items():
            names[shape].append(name)
            names[shape, self.words[name][-1:]].append(name)
            names[shape, self.words[name][-1:], _numbers(self.words[name])].append(name)
        for path, shape in list(self.open.items())[:_MOST_WITH_CANDIDATES]:
            if shape is None or not shape:
                continue
            last = self.words[path][-1:]
            keys: tuple[Any, ...] = ((shape, last, _numbers(self.words[path])), (shape, last), shape)
            those = next((names[key] for key in keys if key in names), [])
            if not 0 < len(those) <= _MOST_IN_BUCKET:
                continue
            likely = sorted(((_likeness(name, path), name) for name in those), reverse=True)
            why = "it has the shape" if len(those) > 1 else "it has the shape, and no other that is left is so near"
            self.made.candidates[path] = tuple(
                Suggestion(name, why, round(0.1 + 0.5 * likeness / len(those) ** 0.5, 2))
                for likeness, name in likely[:_MOST_CANDIDATES]
            )


_PREFIXES = {*WRAPPERS, "model", "_module", "net", "network", "state_dict", "ema_model", "online_model", "base_model"}


def _both_ways(pairs: Iterable[Pair]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    paths_of: dict[str, set[str]] = defaultdict(set)
    names_of: dict[str, set[str]] = defaultdict(set)
    for name, path in pairs:
        paths_of[name].add(path)
        names_of[path].add(name)
    return paths_of, names_of


def _fits_by_form(ours: Shape, theirs: Shape, pair: Joined) -> bool:
    """Whether shapes agree, given in which form a layout says that either side keeps the values."""
    if ours is None or theirs is None:
        return ours is None
    forms = {pair.form, pair.wanted}
    if forms == {"T", ""}:
        return ours == theirs[::-1]
    if forms == {"1x1", ""}:
        return (*ours, 1, 1) == theirs or (*theirs, 1, 1) == ours
    return ours == theirs


def _layout_reason(pair: Joined) -> str:
    return f"so it is called by {pair.title}"


_MEANING = {each.replace("_", ""): names[0].replace("_", "") for names in SYNONYMS for each in names}
_COMPONENT = re.compile(r"[^\d]+|\d+")


def _words(name: str) -> Parts:
    """A name's components, each as the word that stands for all of its meaning; numbers apart; wrappers left out.

    Example:
        >>> _words("module.blocks.3.self_attn.LayerNorm1.gamma")
        ('layer', '3', 'attn', 'norm', '1', 'weight')
    """
    made: list[str] = []
    for part in name.split("."):
        if part in WRAPPERS:
            continue
        plain = part.lower().replace("_", "") or part
        if plain in _MEANING:
            made.append(_MEANING[plain])
        else:
            made += [_MEANING.get(each, each) for each in _COMPONENT.findall(plain)]
    return tuple(made)


def _components(name: str) -> Parts:
    """A name's components, each as the word that stands for all of its meaning."""
    plain = (part.lower().replace("_", "") or part for part in name.split(".") if part not in WRAPPERS)
    return tuple(_MEANING.get(each, each) for each in plain)


def _are_contrary(theirs: Parts, ours: Parts) -> bool:
    """Whether a component of one means what a component of the other is not."""
    if len(theirs) != len(ours):
        return False
    different = [{a, b} for a, b in zip(theirs, ours, strict=True) if a != b]
    return any(both <= those for both in different for those in CONTRARY)


_OPEN, _LESS = "open", "less"


def _with_one_open(parts: Parts, shape: Shape) -> Iterator[Any]:
    """Keys of a name: as it is, and with each component in turn open, or left out; each with its shape."""
    yield _LESS, shape, parts
    for index in range(len(parts)):
        before, after = parts[:index], parts[index + 1 :]
        yield _OPEN, shape, (*before, None, *after)
        yield _LESS, shape, before + after


def _turnable(name: str, shape: Shape) -> Shape:
    """A shape to look names up by: the same for a matrix either way round, where that may be so."""
    return tuple(sorted(shape)) if shape is not None and may_be_turned(name) else shape


def _numbers(parts: Parts) -> Parts:
    return tuple(part for part in parts if part.isdecimal())


def _likeness(name: str, path: str) -> float:
    return SequenceMatcher(None, name, path, autojunk=False).ratio()


class _Difference(NamedTuple):
    """What makes one name of another: a run of components; ``#`` stands for a number in both."""

    old: str
    new: str
    is_first: bool

    @property
    def reason(self) -> str:
        if not self.new:
            return f"the file's names {'begin with' if self.is_first else 'have'} {self.old} where the model's don't"
        if not self.old:
            return f"the model's names {'begin with' if self.is_first else 'have'} {self.new} where the file's don't"
        return f"{self.old} in the file is {self.new} in the model"


_NUMBER = re.compile(r"\d+")


def _difference(old: str, new: str) -> _Difference:
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
    return _Difference(was, becomes, is_first=start == 0 and not (was and becomes))


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
        rule = _difference(written[name], wanted[name])
        if len(made) == _MOST_SHORT or "#" in rule.old + rule.new:
            return dict(renames)
        made[f"{rule.old}." if not rule.new else rule.old or re.compile("^")] = rule.new if rule.old else f"{rule.new}."
        try:
            written = apply_renames(names, made)
        except (PathNotFoundError, CheckpointMismatchError):
            return dict(renames)
    return made if written == wanted else dict(renames)


_MOST_SHORT = 4
