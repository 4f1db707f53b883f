"""Statistics of the shares that ranks hold, made those of whole tensors: each part once, and what is missing said."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from nnwidgets.distributed.merging.stats import MAX, MEAN, MIN, NORM, MergedStats, OnRequest, StatsRows
from nnwidgets.distributed.sources.source import Replies
from nnwidgets.formatting import counted
from nnwidgets.introspect.records import RankStats, TensorEntry, TensorStats
from nnwidgets.introspect.stats_table import StatsRow, row_of

_COUNTED = [0, 2, 3]
_NUMBERS = [MIN, MAX, MEAN, NORM]


class WholeTensors(OnRequest["TensorStats | str"]):
    """Of each tensor its statistics, or in words why it has none; all are merged at once, records made one by one.

    Args:
        replies: Of the ranks that answered, what `answering.answer` says of ``"stats"``.
        missing: The others.
    """

    def __init__(self, replies: Replies, missing: Iterable[int]) -> None:
        self._ranks, self._missing = tuple(replies), tuple(missing)
        self._shares, self._at = _interned(replies.values())
        rows = [StatsRows.from_text(reply["rows"], self._at.shape[1]) for reply in replies.values()]
        self._counts, self._real = (torch.stack(each) for each in ([r.whole for r in rows], [r.real for r in rows]))
        parts: dict[tuple[int, ...], int] = {}
        of_shares = [
            (parts.setdefault(tuple(part), len(parts)) if state == "held" else -1, n_parts, n_elements)
            for state, part, n_parts, n_elements in self._shares
        ]
        part, n_parts, n_elements = torch.tensor(of_shares, dtype=torch.int64).reshape(-1, 3)[self._at].unbind(-1)
        self._held = part >= 0
        # A part that several hold is taken of the first: the others' rows are of no elements then.
        in_order, ranks = part.sort(dim=0, stable=True)
        again = (in_order[1:] == in_order[:-1]) & (in_order[1:] >= 0)
        taken = self._held.scatter(0, ranks[1:], ~again & (in_order[1:] >= 0))
        self._merged = MergedStats(
            [
                StatsRows(*(numbers.masked_fill(~own[:, None], 0) for numbers in each))
                for each, own in zip(rows, taken, strict=True)
            ]
        )
        self._first = self._held.to(torch.uint8).argmax(0)
        self._n_taken = taken.sum(0)
        self._n_parts, n_elements = (each.gather(0, self._first[None])[0] for each in (n_parts, n_elements))
        n_found = (self._counts[..., 0] * taken).sum(0)
        is_whole = (self._n_taken == self._n_parts) & (n_found == n_elements)
        self._differ = is_whole & self._differing(again, ranks)
        self._is_exact = is_whole & ~self._differ & (self._n_taken > 0)

    def __len__(self) -> int:
        return len(self._merged)

    def brief(self) -> list[TensorStats | str]:
        """All, as a table shows them: without bins, and without the ranks' lines."""
        each = enumerate(zip(self._merged.numbers, self._is_exact.tolist(), strict=True))
        return [
            TensorStats(*numbers, (), (), is_exact=True) if is_exact else self.record(at, is_brief=True)
            for at, (numbers, is_exact) in each
        ]

    def record(self, at: int, *, is_brief: bool = False) -> TensorStats | str:
        """One tensor's; ``is_brief`` as `brief` has it."""
        if not self._n_taken[at]:
            return why_none(self._shares[number][0] for number in self._at[:, at].tolist())
        is_missing = bool(self._n_taken[at] < self._n_parts[at])
        return self._merged.record(
            at,
            has_bins=not is_brief,
            is_exact=bool(self._is_exact[at]),
            of=self._of(at),
            by_rank=() if is_brief else tuple(self._lines(at)),
            missing=self._missing if is_missing else (),
        )

    def _of(self, at: int) -> str:
        """Whose numbers a tensor's are."""
        if self._is_exact[at]:
            return "all"
        if self._differ[at]:
            return f"rank {self._ranks[int(self._first[at])]}: its replicas differ"
        return f"{int(self._n_taken[at])} of {counted(int(self._n_parts[at]), 'part')}"

    def _lines(self, at: int) -> Iterable[RankStats]:
        """What each rank holds of a tensor; numbers of finite elements are NaN where there are none."""
        held = zip(
            self._ranks, self._held[:, at].tolist(), self._at[:, at].tolist(),
            self._counts[:, at, :4].tolist(), self._real[:, at, _NUMBERS].tolist(), strict=True,
        )  # fmt: skip
        for rank, is_held, share, (n, _, n_nan, n_inf), (low, high, mean, norm) in held:
            if is_held:
                a, b, middle = (low, high, mean) if n > n_nan + n_inf else (math.nan, math.nan, math.nan)
                yield RankStats(rank, tuple(self._shares[share][1]), n, a, b, middle, norm, n_nan, n_inf)

    def _differing(self, again: torch.Tensor, ranks: torch.Tensor) -> torch.Tensor:
        """Of which tensors those that hold one part have other numbers.

        Args:
            again: (ranks - 1, tensors), whether a rank has the part of the one before it in ``ranks``.
            ranks: (ranks, tensors), in the order of parts.
        """
        if not again.any():
            return torch.zeros(len(self), dtype=torch.bool)
        # As bits, of which NaN has one pattern.
        real = self._real[..., _NUMBERS]
        bits = real.masked_fill(real.isnan(), math.nan).view(torch.int64)
        numbers = torch.cat((self._counts[..., _COUNTED], bits), -1)
        numbers = numbers.gather(0, ranks[..., None].expand_as(numbers))
        return ((numbers[1:] != numbers[:-1]).any(-1) & again).any(0)


def _interned(replies: Iterable[Mapping[str, Any]]) -> tuple[list[Any], torch.Tensor]:
    """The distinct shares of all ranks, and by rank and tensor which of them the rank holds."""
    distinct: list[Any] = []
    places = []
    for reply in replies:
        places.append(torch.tensor(reply["share_of"], dtype=torch.int64) + len(distinct))
        distinct += reply["shares"]
    return distinct, torch.stack(places)


def why_none(states: Iterable[str]) -> str:
    """Why there is nothing of a tensor to show, in words, by what it is on each rank.

    Example:
        >>> why_none(["nothing", "unreadable"]), why_none(["nothing"])
        ('no rank has data of it that can be read', 'no rank has it')
    """
    found = set(states)
    return next((why for state, why in _WHY_NONE.items() if state in found), "no rank has it")


_WHY_NONE = {
    "unreduced": "each rank has a summand of its values (Partial), not the values",
    "scattered": "its parts are no rectangles, so no picture of the whole is made",
    "unreadable": "no rank has data of it that can be read",
}


def row_of_whole(entry: TensorEntry, found: TensorStats | str, gradient: TensorStats | str, tied_to: str) -> StatsRow:
    """A tensor's row in the table of all."""
    notes = [entry.held.how] if entry.held is not None else []
    if isinstance(found, str):
        notes.append(found)
    elif found.of != "all":
        notes.append(f"numbers of {found.of}")
    measured, of_gradient = (None if isinstance(each, str) else each for each in (found, gradient))
    return row_of(entry, measured, notes, gradient=of_gradient, tied_to=tied_to)
