"""What takes a question to each rank and brings the answers that come in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Missing:
    """Stands for the answer of a rank that gave none.

    Attributes:
        why: In a few words: ``"no answer for 5.0 s"``.
        is_dead: Whether the rank is known to be gone, rather than silent.
    """

    why: str
    is_dead: bool = False


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
