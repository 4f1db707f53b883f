"""Names of a file set beside names of a model by the table of known layouts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from nnwidgets.checkpoint.loading.layouts.known_layouts import Cell, KnownLayouts, known_layouts

_FUSED_FORMS = {"q", "k", "v"}


@dataclass(frozen=True, slots=True)
class Joined:
    """A name in the file and a path in the model that a layout says are the same tensor.

    Attributes:
        name: In the file.
        path: In the model.
        layout: Which layout of the table.
        title: Whose names.
        row: Which row.
        form: Of the file's values.
        wanted: Of the model's.
    """

    name: str
    path: str
    layout: int
    title: str
    row: int
    form: str
    wanted: str

    def fits(self, theirs: tuple[int, ...] | None, ours: tuple[int, ...] | None) -> bool:
        """Whether shapes agree, given in which form the layout says that either side keeps the values."""
        if ours is None or theirs is None:
            return ours is None
        theirs, ours = (*theirs,), (*ours,)
        forms = {self.form, self.wanted}
        if forms == {"T", ""}:
            return ours == theirs[::-1]
        if forms == {"1x1", ""}:
            return (*ours, 1, 1) == theirs or (*theirs, 1, 1) == ours
        return ours == theirs


class _Meaning(NamedTuple):
    """What a name is in a column of the table.

    Attributes:
        key: A row, the numbers in it that are free, and what stands behind it: equal for what is the same tensor.
        form: Of the values.
        before: What stands before it in the name.
    """

    key: tuple[int, tuple[str, ...], str]
    form: str
    before: str


def join(names: Collection[str], paths: Collection[str]) -> list[list[Joined]]:
    """What each layout says goes together, of those that are believed; the one that says most comes first.

    Where several names are the same tensor by the layout, those go together that stand behind the same, or behind the
    same numbers; where that doesn't tell either, none.

    Example:
        >>> file = ["layers.0.attention.wv.weight", "layers.0.attention_norm.weight", "layers.0.ffn_norm.weight"]
        >>> model = ["layers.0.self_attn.v_proj.weight", "layers.0.input_layernorm.weight"]
        >>> [(each.name, each.path) for each in join(file, model)[0]][1]
        ('layers.0.attention_norm.weight', 'layers.0.input_layernorm.weight')
    """
    known = known_layouts()
    ours, theirs = _by_column(paths, known), _by_column(names, known)
    possible = known.possible((*names, *paths))
    made = []
    for (layout, column), found in theirs.items():
        if layout not in possible:
            continue
        for (other, to), wanted in ours.items():
            if other != layout or to == column:
                continue
            pairs = [
                Joined(name, path, layout, known.titles[layout], key[0], mine.form, its.form)
                for key, those in found.items()
                for (name, mine), (path, its) in _one_to_one(those, wanted.get(key, ()))
            ]
            if len({pair.row for pair in pairs}) >= known.least[layout]:
                made.append(pairs)
    return sorted(made, key=lambda pairs: (-len(pairs), pairs[0].layout))


def join_pairs(sources: Mapping[str, str]) -> dict[str, Joined]:
    """What layouts say of names that go together already, by path; where none is believed, nothing."""
    known = known_layouts()
    found: dict[tuple[int, int, int], list[Joined]] = defaultdict(list)
    for path, name in sources.items():
        if name == path:
            continue
        ours = _meanings(path, known)
        for (layout, column), those in _meanings(name, known).items():
            for (other, to), wanted in ours.items():
                if other == layout and to != column:
                    found[layout, column, to] += [
                        Joined(name, path, layout, known.titles[layout], mine.key[0], mine.form, its.form)
                        for mine in those
                        for its in wanted
                        if mine.key == its.key
                    ]
    made: dict[str, Joined] = {}
    possible = known.possible((*sources, *sources.values())) if found else ()
    for (layout, _, _), pairs in sorted(found.items(), key=lambda each: -len(each[1])):
        if layout in possible and len({pair.row for pair in pairs}) >= known.least[layout]:
            for pair in pairs:
                made.setdefault(pair.path, pair)
    return made


class Shaped(Protocol):
    """A tensor of either side, as far as it matters here."""

    @property
    def shape(self) -> Any:
        """Its sizes; None for a lazy one."""


def namesakes(theirs: Mapping[str, Shaped], ours: Mapping[str, Shaped]) -> dict[str, Joined]:
    """Names that both sides have for two tensors, as a layout says that is believed for others of its names.

    Args:
        theirs: Tensors of a file, by name.
        ours: Those of a model, by path.

    Returns:
        By such a name: where the file's tensor of that name goes, or else what the model's is called in the file.
    """
    both = theirs.keys() & ours.keys()
    if len(both) in (0, len(theirs), len(ours)):
        return {}
    known = known_layouts()
    made: dict[str, Joined] = {}
    for pairs in join(theirs, ours):
        others = [pair for pair in pairs if pair.name != pair.path]
        told = {pair.row for pair in others if pair.name not in both and pair.path not in both}
        if len(told) >= known.least[pairs[0].layout]:
            for pair in others:
                if pair.fits(theirs[pair.name].shape, ours[pair.path].shape):
                    made.update((name, made.get(name, pair)) for name in (pair.name, pair.path) if name in both)
    return made


_Named = tuple[str, _Meaning]


def _one_to_one(names: Sequence[_Named], paths: Sequence[_Named]) -> list[tuple[_Named, _Named]]:
    """Those of one meaning that go together, one of each."""
    if len(names) == len(paths) == 1:
        return [(names[0], paths[0])]
    for of in (lambda meaning: meaning.before, lambda meaning: tuple(_NUMBER.findall(meaning.before))):
        theirs, ours = _grouped(names, of), _grouped(paths, of)
        made = [
            (those[0], ours[place][0])
            for place, those in theirs.items()
            if len(those) == 1 and len(ours.get(place, ())) == 1
        ]
        if made:
            return made
    return []


_NUMBER = re.compile(r"\d+")


def _grouped(those: Sequence[_Named], of: Callable[[_Meaning], Any]) -> dict[Any, list[_Named]]:
    made: dict[Any, list[_Named]] = defaultdict(list)
    for each in those:
        made[of(each[1])].append(each)
    return made


def _by_column(names: Iterable[str], known: KnownLayouts) -> dict[tuple[int, int], dict[Any, list[_Named]]]:
    """Names by layout and column, then by what they mean there; what is fused has no place of its own."""
    made: dict[tuple[int, int], dict[Any, list[_Named]]] = defaultdict(dict)
    for name in names:
        for column, meanings in _meanings(name, known).items():
            for meaning in meanings:
                if meaning.form not in _FUSED_FORMS:
                    made[column].setdefault(meaning.key, []).append((name, meaning))
    return made


def _meanings(name: str, known: KnownLayouts) -> dict[tuple[int, int], list[_Meaning]]:
    """What a name is in each column that has it, by its longest run of components there."""
    parts, numbers = known.split(name)
    made: dict[tuple[int, int], list[_Meaning]] = {}
    before = 0
    for start, part in enumerate(parts):
        # A run longer than any that is known is none of them, and cutting it out of a name without end takes long.
        for end in (len(parts), len(parts) - 1) if len(parts) - start <= known.longest + 1 else ():
            found: dict[tuple[int, int], list[_Meaning]] = {}
            for cell in known.cells.get(parts[start:end], ()) if end > start else ():
                free = _free(cell, numbers[before:])
                if free is not None and (cell.layout, cell.column) not in made:
                    stands_before = ".".join(name.split(".")[:start])
                    meaning = _Meaning((cell.row, free, ".".join(parts[end:])), cell.form, stands_before)
                    found.setdefault((cell.layout, cell.column), []).append(meaning)
            made |= found
        before += part.endswith("#")
    return made


def _free(cell: Cell, numbers: tuple[str, ...]) -> tuple[str, ...] | None:
    """The numbers that a cell leaves free; None where those it names are others."""
    own = list(zip(cell.numbers, numbers, strict=False))
    if any(wanted is not None and wanted != number for wanted, number in own):
        return None
    return tuple(number for wanted, number in own if wanted is None)
