"""Which modules and tensors of a tree a text means: a path, a glob, ``ClassName.tensor``, ``ClassName``, or words.

A class stands for the classes derived from it too, as in ``isinstance``, and may be written ``nn.Linear``. A glob that
fits no path is one over classes and their tensors: ``Conv*``, ``Conv*.weight``, ``LSTM.*``.
``*`` stands for anything within a component, ``**`` for anything at all, ``?`` for one character; ``{0…11}``,
``{0..11}``, ``[0-11]`` and the component ``0-11`` for the whole numbers of a range, and ``{attn,mlp}`` for each of its
parts in turn. Everything else stands for itself: a pattern is never a regular expression.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Literal

from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import counted
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.records import TensorEntry

LONGEST = 2_000
"""Characters of a pattern."""
_MOST_ALTERNATIVES = 500

Meaning = Literal["path", "glob", "class", "class-tensor", "words", "nothing"]


@dataclass(frozen=True, slots=True)
class Match:
    """What a pattern means in a tree.

    Attributes:
        meaning: How it was understood.
        nodes: Modules it names, in walk order.
        tensors: Tensors it names, in walk order.
    """

    meaning: Meaning
    nodes: tuple[ModuleNode, ...]
    tensors: tuple[TensorEntry, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of all it names, modules first."""
        return (*(node.path for node in self.nodes), *(entry.path for entry in self.tensors))


def match(tree: ModuleTree, pattern: str, *, words: bool = True) -> Match:
    """Find what ``pattern`` names.

    Args:
        tree: Where.
        pattern: A path, a glob over paths, ``ClassName.tensor`` or ``ClassName``.
        words: Whether a pattern that is none of these is looked for in all paths and class names, in any case; every
            word must be there.

    Raises:
        InvalidTargetError: If it is empty, not text, or too long.

    Example:
        >>> from torch import nn
        >>> from nnwidgets.introspect import tree
        >>> found = tree(nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10)))
        >>> match(found, "Linear.weight").paths
        ('0.weight', '2.weight')
        >>> match(found, "**.bias").paths
        ('0.bias', '2.bias')
    """
    return PatternMatcher(tree).match(pattern, words=words)


class PatternMatcher:
    """Patterns in one tree: any number of exact ones cost one pass over it together, each other one a pass of its own.

    Args:
        tree: Where.
    """

    def __init__(self, tree: ModuleTree) -> None:
        self._tree = tree

    def match(self, pattern: str, *, words: bool = True) -> Match:
        """Find what a pattern names, as `match` does.

        Raises:
            InvalidTargetError: If it is empty, not text, or too long.
        """
        if type(pattern) is not str or not pattern.strip():
            raise InvalidTargetError(
                "The target is empty, expected a path, a glob or a class.", hint="Such as 0.weight."
            )
        if len(pattern) > LONGEST:
            raise InvalidTargetError(
                f"The target has {counted(len(pattern), 'character')}, expected at most {LONGEST:,}."
            )
        bare = pattern.strip()
        exact = self._exact(pattern) or self._exact(bare) or self._exact(_without_library(bare))
        return exact or self._of_each(alternatives(bare), words=words)

    def names(self, path: str) -> bool:
        """Whether a module or a tensor has this very path."""
        return path in self._at

    def _of_each(self, patterns: list[str], *, words: bool) -> Match:
        """What several patterns name together, in walk order."""
        if len(patterns) == 1:
            return self._loose(patterns[0], words=words)
        found = [self.match(each, words=words) for each in patterns]
        named = {id(each) for one in found for each in (*one.nodes, *one.tensors)}
        nodes = tuple(node for node in self._tree.nodes if id(node) in named)
        tensors = tuple(entry for entry in self._tree.tensors if id(entry) in named)
        return Match("glob" if named else "nothing", nodes, tensors)

    @cached_property
    def _at(self) -> dict[str, list[ModuleNode | TensorEntry]]:
        """Modules and tensors by path."""
        found: defaultdict[str, list[ModuleNode | TensorEntry]] = defaultdict(list)
        both: Iterable[ModuleNode | TensorEntry] = chain(self._tree.nodes, self._tree.tensors)
        for each in both:
            found[each.path].append(each)
        return found

    @cached_property
    def _of_class(self) -> dict[str, list[ModuleNode]]:
        found: dict[str, list[ModuleNode]] = {}
        for node in self._tree.nodes:
            for name in dict.fromkeys((node.class_name, *node.bases)):
                found.setdefault(name, []).append(node)
        return found

    @property
    def classes(self) -> Collection[str]:
        """Names of the classes in the tree, those that they are derived from too."""
        return self._of_class.keys()

    def of_class(self, pattern: str) -> tuple[list[ModuleNode], str]:
        """The modules of the class in ``ClassName.tensor``, and the name of the tensor; none where it is no class."""
        class_name, _, name = _without_library(pattern.strip()).rpartition(".")
        return self._of_class.get(class_name, []), name

    def _exact(self, pattern: str) -> Match | None:
        """As a path, a class or ``ClassName.tensor``."""
        if pattern in self._at:
            found = self._at[pattern]
            nodes = tuple(each for each in found if isinstance(each, ModuleNode))
            return Match("path", nodes, tuple(each for each in found if isinstance(each, TensorEntry)))
        if pattern in self._of_class:
            return Match("class", tuple(self._of_class[pattern]), ())
        class_name, _, name = pattern.rpartition(".")
        named = tuple(
            entry
            for node in self._of_class.get(class_name, ())
            for entry in node.tensors
            if entry.path[len(node.path) :].removeprefix(".") == name
        )
        return Match("class-tensor", (), named) if named and class_name else None

    def _loose(self, pattern: str, *, words: bool) -> Match:
        """As a glob, a path through an alias, or words."""
        tree = self._tree
        if is_glob(pattern):
            fits = glob(pattern).match
            nodes = tuple(node for node in tree.nodes if fits(searchable(node.path)))
            tensors = tuple(entry for entry in tree.tensors if fits(searchable(entry.path)))
            if nodes or tensors:
                return Match("glob", nodes, tensors)
            found = self._class_glob(_without_library(pattern))
            if found.paths or "*" in pattern or "?" in pattern:
                return found
        if tree.resolve(pattern) is not None:
            met = tree.find(pattern)
            return Match("path", (), (met,)) if isinstance(met, TensorEntry) else Match("path", (met,), ())
        wanted = pattern.casefold().split() if words else []
        if not wanted:
            return Match("nothing", (), ())
        nodes = tuple(node for node in tree.nodes if _has(f"{node.path} {node.class_name}", wanted))
        tensors = tuple(entry for entry in tree.tensors if _has(entry.path, wanted))
        return Match("words" if nodes or tensors else "nothing", nodes, tensors)

    def _class_glob(self, pattern: str) -> Match:
        """As a glob over classes, ``Conv*``, or over classes and the tensors in them, ``Conv*.weight``, ``LSTM.*``."""
        nodes = self._of_classes(pattern)
        if nodes:
            return Match("class", nodes, ())
        class_glob, _, name = pattern.rpartition(".")
        fits = glob(name).match
        tensors = tuple(
            entry
            for node in (self._of_classes(class_glob) if class_glob else ())
            for entry in node.tensors
            if fits(searchable(entry.path[len(node.path) :].removeprefix(".")))
        )
        return Match("glob" if tensors else "nothing", (), tensors)

    def _of_classes(self, pattern: str) -> tuple[ModuleNode, ...]:
        """The modules of the classes whose names a glob fits, in walk order."""
        fits = glob(pattern).match
        if not pattern.strip("*?"):
            return ()
        paths = {node.path for name, nodes in self._of_class.items() if fits(name) for node in nodes}
        return tuple(node for node in self._tree.nodes if node.path in paths) if paths else ()


_LIBRARY = re.compile(r"\A(?:torch\.)?nn\.(?:modules\.(?:[a-z]+\.)?)?(?=[A-Z_])")


def library_of(pattern: str) -> str:
    """What stands before a class of torch's where it is written in full.

    Example:
        >>> library_of("nn.Linear.weight"), library_of("torch.nn.modules.linear.Linear"), library_of("0.weight")
        ('nn.', 'torch.nn.modules.linear.', '')
    """
    found = _LIBRARY.match(pattern)
    return found.group() if found else ""


def _without_library(pattern: str) -> str:
    return pattern[len(library_of(pattern)) :]


def is_glob(pattern: str) -> bool:
    """Whether a pattern may stand for several names of a kind, by its form.

    Example:
        >>> is_glob("*.bias"), is_glob("h.{0…11}"), is_glob("h.[0-2].attn"), is_glob("block[0].weight")
        (True, True, True, False)
    """
    has_braces = any(found[1] for found in _BRACES.finditer(pattern))
    return has_braces or "*" in pattern or "?" in pattern or _mark_ranges(pattern) != pattern


def alternatives(pattern: str) -> list[str]:
    """The patterns that one with braces stands for.

    Raises:
        InvalidTargetError: They are too many.

    Example:
        >>> alternatives("h.{0,1}.{attn,mlp}"), alternatives("h.{0…11}")
        (['h.0.attn', 'h.0.mlp', 'h.1.attn', 'h.1.mlp'], ['h.{0…11}'])
    """
    made = [pattern]
    for _ in range(pattern.count("{")):
        split = [_in_braces(each) for each in made]
        if sum(map(len, split)) > _MOST_ALTERNATIVES:
            raise InvalidTargetError(
                f"{pattern[:80]} stands for more than {_MOST_ALTERNATIVES} targets.", hint="Write a range or a star."
            )
        made = list(itertools.chain.from_iterable(split))
    return list(dict.fromkeys(made))


def _in_braces(pattern: str) -> list[str]:
    """A pattern once for each part between its first innermost braces; as it is where it has none with a comma."""
    for found in _BRACES.finditer(pattern):
        if found[1]:
            before, after = pattern[: found.start()], pattern[found.end() :]
            return [f"{before}{part.strip()}{after}" for part in found[1].split(",")]
    return [pattern]


def glob(pattern: str) -> re.Pattern[str]:
    """A glob over paths as a regular expression for `searchable` text; no path takes it long.

    Between two stars each fixed part is taken where it first fits and never tried again (an atomic group), which finds
    a match wherever there is one, so that nothing is gone through twice.
    """
    spans = [_fixed_parts(span) for span in re.split(r"\*{2,}", searchable(_mark_ranges(pattern)))]
    made = []
    for index, parts in enumerate(spans):
        is_last = index == len(spans) - 1
        within = parts[0]
        for number, part in enumerate(parts[1:], start=2):
            within += rf"[^.]*{part}\Z" if is_last and number == len(parts) else rf"(?>[^.]*?{part})"
        if is_last and len(parts) == 1:
            within += r"\Z"
        made.append(within if index == 0 else rf".*?{within}" if is_last else rf"(?>.*?{within})")
    return re.compile("".join(made), re.DOTALL)


def searchable(path: str) -> str:
    r"""A path with a dot between all components and no dot within one, for globs to go by.

    Example:
        >>> searchable('block[0].weight'), searchable('["a.b"].weight')
        ('block.[0].weight', '["a\x01b"].weight')
    """
    if "[" not in path:
        return path
    dotted = _QUOTED.sub(lambda quoted: quoted.group().replace(".", "\x01"), path)
    return _OPENING.sub(".[", dotted)


_QUOTED = re.compile(r'\["(?:[^"\\]|\\.)*"\]', re.DOTALL)
_OPENING = re.compile(r"(?<=[^.])\[")


_BRACES = re.compile(r'\["(?:[^"\\]|\\.)*"\]|\{([^{}]*,[^{}]*)\}', re.DOTALL)
_RANGE = re.compile(
    r'\["(?:[^"\\]|\\.)*"\]'
    r"|(?P<open>[{\[])(?P<low>\d{1,9})(?:…|\.\.\.?|-)(?P<high>\d{1,9})[}\]]"
    r"|(?<![^.])(?P<first>\d{1,9})-(?P<last>\d{1,9})(?![^.])",
    re.DOTALL,
)
_MARKED = re.compile(r"(\A|.)\x02([bni])(\d+)-(\d+)\x03(?=(.?))", re.DOTALL)


def _mark_ranges(pattern: str) -> str:
    """A pattern with its ranges of numbers between characters that no name has, without dots and brackets."""

    def marked(found: re.Match[str]) -> str:
        if found["low"]:
            return f"\x02{'i' if found['open'] == '[' else 'b'}{found['low']}-{found['high']}\x03"
        return f"\x02n{found['first']}-{found['last']}\x03" if found["first"] else found.group()

    return _RANGE.sub(marked, pattern)


def _fixed_parts(span: str) -> list[str]:
    return ["[^.]".join(map(_fixed, part.split("?"))) for part in span.split("*")]


def _fixed(part: str) -> str:
    """A part without stars as a regular expression: each range as its numbers, all else as it is."""
    made, at = "", 0
    for found in _MARKED.finditer(part):
        before, kind, low, high, after = found.groups()
        number = f"{'' if before else r'(?<![0-9])'}{_numbers(low, high)}{'' if after.isdigit() else r'(?![0-9])'}"
        if kind == "i":
            # As Python and as a shell has it: net.h[0] is h.0, and layer[1-4] are layer1 to layer4.
            number = rf"(?:{number}|{'' if before in {'', '.'} else '[.]'}(?:\[{number}\]|{number}))"
        elif kind == "n":
            number = f"(?:{number}|{low}-{high})"
        made += re.escape(part[at : found.start()] + before) + number
        at = found.end()
    return made + re.escape(part[at:])


def _numbers(low: str, high: str) -> str:
    """The whole numbers of a range as a regular expression, those of ``00`` to ``11`` with their zeros.

    Example:
        >>> _numbers("0", "11"), _numbers("08", "11")
        ('(?:[0-9]|10|11)', '(?:08|09|10|11)')
    """
    at, end = sorted((int(low), int(high)))
    width = len(low) if low[0] == "0" and len(low) > 1 else 1
    made = []
    while at <= end:
        free = 0
        while at % 10 ** (free + 1) == 0 and at + 10 ** (free + 1) - 1 <= end and (at or free + 1 <= width):
            free += 1
        rest = at // 10**free
        made.append((str(rest).zfill(width - free) if rest or width > free else "") + "[0-9]" * free)
        at += 10**free
    return f"(?:{'|'.join(made)})"


def _has(text: str, wanted: list[str]) -> bool:
    folded = text.casefold()
    return all(word in folded for word in wanted)
