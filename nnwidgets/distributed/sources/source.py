"""What takes a question to each rank and brings the answers that come in time; the error where ranks refuse it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from nnwidgets.errors import (
    Advice,
    AdvisedText,
    ChangedSinceError,
    CheckpointMismatchError,
    CorruptCheckpointError,
    InitializerError,
    InvalidTargetError,
    NNWidgetsError,
    PathNotFoundError,
    RankMissingError,
    SaveError,
    UnsafeCheckpointError,
)
from nnwidgets.formatting import inert, rank_names


@dataclass(frozen=True, slots=True)
class Missing:
    """Stands for the answer of a rank that gave none.

    Attributes:
        why: What the rank did instead: ``"hasn't answered for 5.0 s"``.
        is_dead: Whether the rank is known to be gone, rather than silent.
        host: Where it runs, where that is known.
        where: What it does meanwhile, where that is known: as `position.Watch.where` tells it.
    """

    why: str
    is_dead: bool = False
    host: str = ""
    where: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def late(cls, began: float, host: str = "", where: Mapping[str, Any] | None = None) -> Missing:
        """Of a rank that was asked at a time of `time.monotonic`, and is silent since."""
        return cls(f"hasn't answered for {time.monotonic() - began:.1f} s", host=host, where=where or {})

    def told(self, rank: int, answered: Iterable[int]) -> str:
        """In a sentence.

        Example:
            >>> late = Missing("hasn't answered for 5.0 s", host="node7", where={"doing": "in wait at train.py:88"})
            >>> late.told(3, [0, 1, 2])
            "Rank 3 (node7) hasn't answered for 5.0 s; it is in wait at train.py:88; ranks 0–2 answered."
        """
        doing = self.where.get("doing")
        said = f"Rank {rank}{f' ({inert(self.host, 80)})' if self.host else ''} {inert(self.why, 200)}"
        said += f"; it is {inert(doing, 200)}" if doing else ""
        others = sorted(answered)
        return f"{said}; {rank_names(others)} answered." if others else f"{said}."


Answers = Mapping[int, "Mapping[str, Any] | Missing"]
"""By rank: a reply of the wire, as `nnwidgets.handle` gives it, or what stands for one that didn't come."""


Replies = Mapping[int, Mapping[str, Any]]
"""By rank, what was said by those that answered."""


def why_missing(missing: Mapping[int, Missing]) -> str:
    """What became of ranks that gave no answer, a sentence for each."""
    return " ".join(each.told(rank, ()) for rank, each in missing.items())


class Source(Protocol):
    """Ranks that can be asked. An adapter for another engine is any object with this method."""

    def call(self, request: Mapping[str, Any], ranks: None, deadline: float) -> Answers:
        """Ask ranks.

        Args:
            request: ``{"v": 1, "id": "7", "kind": "rank", "body": {"model": "net", "ask": "tree"}}``: JSON, for
                `nnwidgets.handle` on each rank.
            ranks: Which; None for all there are.
            deadline: On the clock of `time.monotonic`; a rank that hasn't answered by then is missing.
        """
        ...


def refusal(
    refused: Mapping[int, Mapping[str, Any]], missing: Mapping[int, Missing], *, is_all: bool
) -> NNWidgetsError:
    """The error of a question that ranks refuse, or that none answers: their own, where all of them say the same.

    Args:
        refused: The errors of the wire, by rank.
        missing: What stands for answers that didn't come.
        is_all: Whether each rank refused it.

    Example:
        >>> said = {"code": "save", "message": "There is no space.", "hint": "", "path": None}
        >>> refusal({0: said, 1: said}, {}, is_all=True)
        SaveError('There is no space.')
        >>> print(refusal({0: said | {"message": ""}, 1: said}, {}, is_all=False).message)
        Not every rank can answer. rank 1: There is no space.
    """
    by_text: dict[str, list[int]] = {}
    for rank, error in refused.items():
        by_text.setdefault(inert(str(error["message"]), _MOST_TEXT), []).append(rank)
    # Others repeat what one of them has told them.
    texts = by_text.keys() - {""}
    causes = {text: by_text[text] for text in by_text if text and not any(each in text for each in texts - {text})}
    causes = causes or by_text
    if len(causes) == 1 and is_all:
        ((rank, *_),) = causes.values()
        first = refused[rank]
        if first["code"] in _KINDS:
            hint = _with_advice(str(first.get("hint") or ""))
            return _KINDS[first["code"]](str(first["message"]), path=first.get("path"), hint=hint)
    why = "; ".join(f"{rank_names(ranks)}: {text}" for text, ranks in causes.items())
    why = why or why_missing(missing)
    return RankMissingError(f"Not every rank can answer. {why}", ranks=tuple(refused or missing))


def _with_advice(hint: str) -> str:
    """A hint as it was before it was sent: with its advice."""
    for advice in Advice:
        before, found, after = hint.partition(advice.value)
        if found:
            return AdvisedText(before, advice, after)
    return hint


_MOST_TEXT = 400
_KINDS: dict[str, type[NNWidgetsError]] = {
    kind.code: kind
    for kind in (
        ChangedSinceError,
        CheckpointMismatchError,
        CorruptCheckpointError,
        InitializerError,
        InvalidTargetError,
        PathNotFoundError,
        SaveError,
        UnsafeCheckpointError,
    )
}
