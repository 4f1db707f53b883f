"""What takes a question to each rank and brings the answers that come in time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

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
