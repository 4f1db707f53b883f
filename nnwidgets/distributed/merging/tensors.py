"""Statistics of the shares that ranks hold, made those of whole tensors: each part once, and what is missing said."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from typing import Any

from nnwidgets.distributed.merging.stats import StatsRows
from nnwidgets.distributed.merging.stats import merged as merged_rows
from nnwidgets.formatting import counted
from nnwidgets.introspect.records import RankStats, TensorStats

Replies = Mapping[int, Mapping[str, Any]]


def merged(replies: Replies, missing: Iterable[int]) -> list[TensorStats | str]:
    """Make the statistics of whole tensors of what each rank answered of its shares.

    Args:
        replies: Of the ranks that answered, what `answering.answer` says of ``"stats"``.
        missing: The others.

    Returns:
        Of each tensor its statistics, or in words why it has none.
    """
    n = len(next(iter(replies.values()))["shares"])
    rows = {rank: StatsRows.from_bytes(base64.b64decode(reply["rows"]), n) for rank, reply in replies.items()}
    # A part that several hold is taken of the first: the others' rows are of no elements then.
    owned = {rank: StatsRows(each.whole.clone(), each.real.clone()) for rank, each in rows.items()}
    taken: list[dict[tuple[int, ...], int]] = [{} for _ in range(n)]
    for rank, reply in replies.items():
        for at, (state, part, _, _) in enumerate(reply["shares"]):
            if state != "held" or taken[at].setdefault(tuple(part), rank) != rank:
                owned[rank].whole[at] = 0
                owned[rank].real[at] = 0
    numbers = {rank: _numbers(each) for rank, each in rows.items()}
    lost = tuple(missing)

    def beside(at: int, n_found: int) -> dict[str, Any]:
        if not taken[at]:
            return {"is_exact": False}
        shares = {rank: reply["shares"][at] for rank, reply in replies.items()}
        by_rank = tuple(
            RankStats(rank, tuple(share[1]), *numbers[rank][at]) for rank, share in shares.items() if share[0] == "held"
        )
        _, _, n_parts, n_elements = shares[by_rank[0].rank]
        is_whole = len(taken[at]) == n_parts and n_found == n_elements
        of = "all" if is_whole else f"{len(taken[at])} of {counted(n_parts, 'part')}"
        if is_whole and len(by_rank) > len(taken[at]) and not _replicas_agree(by_rank):
            is_whole, of = False, f"rank {by_rank[0].rank}: its replicas differ"
        absent = lost if len(taken[at]) < n_parts else ()
        return {"is_exact": is_whole, "of": of, "by_rank": by_rank, "missing": absent}

    wholes = merged_rows(list(owned.values()), beside)
    return [
        whole if taken[at] else why_none(reply["shares"][at][0] for reply in replies.values())
        for at, whole in enumerate(wholes)
    ]


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


def _numbers(rows: StatsRows) -> list[tuple[Any, ...]]:
    """Of each tensor of a rank, the numbers of `RankStats`; those of finite elements NaN where there are none."""
    made: list[tuple[Any, ...]] = []
    for (n, _, n_nan, n_inf), (mean, _, low, high, norm) in zip(
        rows.whole[:, :4].tolist(), rows.real.tolist(), strict=True
    ):
        values = (low, high, mean) if n > n_nan + n_inf else (math.nan,) * 3
        made.append((n, *values, norm, n_nan, n_inf))
    return made


def _replicas_agree(by_rank: tuple[RankStats, ...]) -> bool:
    """Whether those that hold one part have the same numbers."""
    numbers: dict[tuple[int, ...], set[str]] = {}
    for each in by_rank:
        # As text, in which NaN is NaN.
        said = f"{each.n} {each.min} {each.max} {each.mean} {each.norm} {each.n_nan} {each.n_inf}"
        numbers.setdefault(each.part, set()).add(said)
    return all(len(said) == 1 for said in numbers.values())
