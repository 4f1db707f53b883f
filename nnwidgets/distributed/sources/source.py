"""What takes a question to each rank and brings the answers that come in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Missing:
    """Stands for the answer of a rank that gave none.

    Attributes:
        why: In a few words: ``"no answer for 5 s"``.
        seconds: How long it was waited for.
    """

    why: str
    seconds: float


Answers = Mapping[int, "Mapping[str, Any] | Missing"]
"""By rank."""


class Source(Protocol):
    """Ranks that can be asked. An adapter for another engine has `call` alone."""

    def call(self, request: Mapping[str, Any], ranks: Sequence[int], deadline: float) -> Answers:
        """Ask ranks.

        Args:
            request: ``{"v": 1, "id": "7", "kind": "rank_tree", "body": {"model": "net"}}``, for `nnwidgets.handle`.
            ranks: Which.
            deadline: On the clock of `time.monotonic`; a rank that hasn't answered by then is missing.
        """
        ...
