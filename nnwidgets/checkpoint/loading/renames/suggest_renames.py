"""Names in a file that are others in the model: those that leave one answer, and candidates for the rest."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import chain
from typing import Any, NamedTuple

import torch

from nnwidgets.checkpoint.loading.layouts.join_layouts import Joined, join
from nnwidgets.checkpoint.loading.layouts.known_layouts import WRAPPERS, may_be_turned
from nnwidgets.checkpoint.loading.layouts.name_words import (
    Parts,
    are_contrary,
    components,
    contrasts_of,
    difference,
    is_no_weights,
    words,
)
from nnwidgets.checkpoint.loading.renames.short_renames import name_change
from nnwidgets.checkpoint.records import Suggestion

Shape = tuple[int, ...] | None


class Named(NamedTuple):
    """A tensor of one side.

    Attributes:
        name: Its.
        shape: Its sizes; None for a lazy one, which any will do for.
        is_floating: Whether its elements are floating point or complex numbers; None where it isn't known. Whole
            numbers in their place are codes, masks or counters.
    """

    name: str
    shape: Shape
    is_floating: bool | None = None


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
    model: Sequence[Named],
    file: Sequence[Named],
    *,
    matched: Iterable[Named] = (),
    taken: Iterable[Shape] = (),
    with_candidates: bool = True,
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
        taken: Shapes of tensors whose names go together and whose shapes don't: which of that shape is which is open.
        with_candidates: Whether to list those for what isn't sure.

    Example:
        >>> found = suggest([Named("output.weight", (10, 256))], [Named("out.weight", (10, 256))])
        >>> found.sure["output.weight"].source, found.sure["output.weight"].reason
        ('out.weight', 'out in the file is output in the model, and nothing else of its shape is left')
    """
    model, file = ([each for each in side if _is_sensible(each.name)] for side in (model, file))
    matching = _Matching(model, file, matched, taken)
    matching.solve()
    if with_candidates:
        matching.list_candidates()
    return matching.made


Pair = tuple[str, str]
"""A name in the file and a path in the model."""
Difference = tuple[Counter[str], Counter[str]]
"""The words that only the one has, and those that only the other has."""


def _is_sensible(name: str) -> bool:
    # What is done with a name grows with the square of its components.
    return len(name) <= _LONGEST_NAME and name.count(".") <= _MOST_DOTS


_LONGEST_NAME = 500
_MOST_DOTS = 40
_MOST_ROUNDS = 12
_MOST_IN_BUCKET = 12
_MOST_WITH_CANDIDATES = 1_500
_MOST_CANDIDATES = 3
_MOST_BY_CHANCE = 3


class _WordsByName(dict[str, "Parts"]):
    """The words of names, found when they are asked for: where a prefix tells all, none are."""

    def __missing__(self, name: str) -> Parts:
        self[name] = made = words(name)
        return made


class _Matching:
    """Two lists of names, being brought together step by step."""

    def __init__(
        self, model: Sequence[Named], file: Sequence[Named], matched: Iterable[Named], taken: Iterable[Shape]
    ) -> None:
        self.made = Suggested()
        self.open = {each.name: each.shape for each in model}
        self.left = {each.name: each.shape for each in file}
        those = list(matched)
        self.matched_shapes = {*(each.shape for each in those), *taken}
        self.numbers = {each.name: each.is_floating for each in (*model, *file)}
        self.left_out: dict[int, set[int]] = {}
        self.n_matched = len(those)
        self.n_left = Counter(self.left.values())
        self.words = _WordsByName()

    def solve(self) -> None:
        """Match what can be."""
        self._match_prefix(lambda name: tuple(name.split(".")))
        self._match_layouts()
        self._match_beginnings()
        for _ in range(_MOST_ROUNDS):
            n = len(self.open)
            self._match_same_words()
            self._match_prefix(self.words.__getitem__)
            self._match_one_component(self.words.__getitem__)
            self._match_one_component(components)
            if not self.open or not self.left or len(self.open) == n:
                break

    def _match(self, pairs: Iterable[tuple[Pair, str]], confidence: float) -> None:
        for (name, path), reason in pairs:
            self.made.sure[path] = Suggestion(name, reason, confidence)
            self.matched_shapes.add(self.left[name])
            del self.open[path], self.left[name]
            self.n_matched += 1

    def _fits(self, name: str, path: str) -> bool:
        if not self._are_alike(name, path):
            return False
        ours, theirs = self.open[path], self.left[name]
        return ours is None or ours == theirs or (may_be_turned(path) and ours == (theirs or ())[::-1])

    def _are_alike(self, name: str, path: str) -> bool:
        """Whether both hold floating point numbers, or neither does."""
        kinds = {self.numbers[name], self.numbers[path]}
        return None in kinds or len(kinds) == 1

    def _only(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Those whose name and path are in no other of them."""
        paths_of, names_of = _both_ways(pairs)
        return [
            (name, next(iter(paths)))
            for name, paths in paths_of.items()
            if len(paths) == 1 and len(names_of[next(iter(paths))]) == 1
        ]

    def _of_one_part(self, pairs: Mapping[Pair, Difference]) -> list[Pair]:
        """Those that don't, by words left out, make one thing of a model's two parts: an encoder and a decoder, say."""
        left_out = {}
        for pair, (theirs, ours) in pairs.items():
            left_out[pair] = {} if theirs and ours else contrasts_of(theirs or ours)
            for contrast, sides in left_out[pair].items():
                self.left_out.setdefault(contrast, set()).update(sides)
        return [pair for pair, found in left_out.items() if all(len(self.left_out[each]) == 1 for each in found)]

    # ---- a beginning more or less ----

    def _match_prefix(self, parts_of: Callable[[str], Parts]) -> None:
        """Match names by a beginning that those of one side have and the other's haven't."""
        found = self._prefixes(parts_of)
        ranked = sorted(found.items(), key=lambda each: (-len(each[1]), len(each[0][0])))
        if not ranked:
            return
        (prefix, is_files), pairs = ranked[0]
        is_wrapper = prefix.rpartition(".")[2] in _PREFIXES
        sure = self._uncontested(pairs, [those for _, those in ranked[1:]])
        if (len(sure) < len(pairs) or len(pairs) <= self.n_matched) and not is_wrapper:
            return
        apart = difference(*pairs[0])
        if any(map(is_no_weights, apart)) or not self._of_one_part({pairs[0]: apart}):
            return
        side = "the file's names begin with" if is_files else "the model's names begin with"
        self._match([(pair, f"{side} {prefix}.") for pair in sure], 0.95)

    def _prefixes(self, parts_of: Callable[[str], Parts]) -> dict[tuple[str, bool], list[Pair]]:
        """Beginnings without which a name is one of the other side, whether the file has them, and such pairs."""
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
        return found

    def _uncontested(self, pairs: Sequence[Pair], others: Sequence[Sequence[Pair]]) -> list[Pair]:
        """Those of a prefix whose name and path no other prefix gives to another."""
        sure = self._only(pairs)
        if len(sure) >= max(len(self.open), _MOST_BY_CHANCE, *(2 * len(those) for those in others)):
            # All that is open follows from it, and from no other half as much.
            return sure
        names, paths = {name for name, _ in pairs}, {path for _, path in pairs}
        contested = {
            each
            for those in others
            for name, path in those
            if (path in paths) != (name in names)
            for each in (name, path)
        }
        return [pair for pair in sure if not contested.intersection(pair)]

    # ---- known layouts ----

    def _match_layouts(self) -> None:
        for pairs in join(self.left, self.open):
            still = [pair for pair in pairs if pair.name in self.left and pair.path in self.open]
            fitting = [
                pair for pair in still
                if pair.fits(self.left[pair.name], self.open[pair.path])
                and self._are_alike(pair.name, pair.path)
            ]  # fmt: skip
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

    # ---- a beginning that is another ----

    def _match_beginnings(self) -> None:
        """Match names that differ in how they begin: all that begin so in the file with all that do in the model."""
        ends: dict[Parts, list[str]] = defaultdict(list)
        for path in self.open:
            parts = tuple(path.split("."))
            for start in range(1, len(parts)):
                ends[parts[start:]].append(path)
        found: dict[Pair, list[Pair]] = defaultdict(list)
        for name in self.left:
            parts = tuple(name.split("."))
            for start in range(1, len(parts)):
                those = ends.get(parts[start:], ())
                for path in those if len(those) <= _MOST_IN_BUCKET else ():
                    if self._fits(name, path):
                        old, new = (each[: -len(".".join(parts[start:]))] for each in (name, path))
                        found[old, new].append((name, path))
        n_beginning = Counter(
            name[: dot + 1] for side in (self.left, self.open) for name in side for dot in _dots(name)
        )
        whole = {
            both: pairs for both, pairs in found.items()
            if len(pairs) >= _MOST_BY_CHANCE and 2 * len(pairs) == n_beginning[both[0]] + n_beginning[both[1]]
            and not are_contrary(*pairs[0]) and not any(map(str.isdecimal, chain(*difference(*pairs[0]))))
        }  # fmt: skip
        for old, new in self._only(whole):
            pairs = [pair for pair in whole[old, new] if pair[0] in self.left and pair[1] in self.open]
            reason = f"all names of the file that begin with {old} are those of the model that begin with {new}"
            self._match([(pair, reason) for pair in pairs], 0.9)

    # ---- words that mean the same ----

    def _match_same_words(self) -> None:
        paths: dict[Parts, list[str]] = defaultdict(list)
        for path in self.open:
            paths[self.words[path]].append(path)
        pairs = [(name, path) for name in self.left for path in paths.get(self.words[name], ())[:2]]
        fitting = [pair for pair in self._only(pairs) if self._fits(*pair)]
        self._match([(pair, name_change(*pair).reason) for pair in fitting], 0.9)

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
        likely = {
            (name, path): difference(name, path)
            for name, path in self._only(partners)
            if not (path in crowded or name in crowded) and not {*parts_of(name)}.isdisjoint(parts_of(path))
        }
        sure = self._of_one_part({
            pair: apart
            for pair, apart in likely.items()
            if not are_contrary(*pair, apart) and not self._is_off_by_number(self.left[pair[0]], apart)
        })  # fmt: skip
        reasons = {pair: f"{name_change(*pair).reason}, and nothing else of its shape is left" for pair in sure}
        self._match(reasons.items(), 0.85)
        self._write_by(sure)

    def _is_off_by_number(self, shape: Shape, apart: Difference) -> bool:
        """Whether names differ in a number, and others of the shape are told: all may be off by as many."""
        theirs, ours = apart
        is_number = any(map(str.isdecimal, theirs)) if len(theirs) >= len(ours) else any(map(str.isdecimal, ours))
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


def _dots(name: str) -> Iterator[int]:
    return (index for index, each in enumerate(name) if each == ".")


def _both_ways(pairs: Iterable[Pair]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    paths_of: dict[str, set[str]] = defaultdict(set)
    names_of: dict[str, set[str]] = defaultdict(set)
    for name, path in pairs:
        paths_of[name].add(path)
        names_of[path].add(name)
    return paths_of, names_of


def _layout_reason(pair: Joined) -> str:
    return f"so it is called by {pair.title}"


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


def is_floating(dtype: Any) -> bool | None:
    """Whether a dtype, or the name of one, is of floating point or complex numbers; None for none of torch's."""
    found = getattr(torch, str(dtype).removeprefix("torch."), None)
    return found.is_floating_point or found.is_complex if isinstance(found, torch.dtype) else None
