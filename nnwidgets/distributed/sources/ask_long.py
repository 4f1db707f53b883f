"""Questions that may take long: a rank is waited for as long as it is at work, and named where it falls silent.

So a question is asked again and again, of which a rank keeps the answer. One with a side door says there how far it
is; one without answers that it is at work still.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from nnwidgets.checkpoint.progress import Progress
from nnwidgets.distributed.sources.source import Missing, Replies, refusal
from nnwidgets.errors import NNWidgetsError
from nnwidgets.introspect.safe_access.exclusion import check_wanted

_ROUNDS = 4
"""How often ranks are asked in the time after which a silent one is named."""

_LONGEST_ROUND = 0.5


def ask_long(
    ask: Callable[..., tuple[Replies, Mapping[int, Missing]]],
    question: str,
    *,
    seconds: float,
    without: frozenset[int] = frozenset(),
    is_any: bool = False,
    is_together: bool = False,
    progress: Progress | None = None,
    **body: Any,
) -> tuple[Replies, dict[int, Missing]]:
    """Ask every rank something that may take long.

    Args:
        ask: Asks once.
        question: What.
        seconds: How long a rank may be silent.
        without: Ranks that are known not to answer.
        is_any: Whether what some say is of use where others are silent; else the first that is silent ends it.
        is_together: Whether ranks do it together: what all have done is done, though it was called off.
        progress: Told how much is done, of how much, by all; what it raises calls it off on all ranks.
        **body: Of the request.

    Returns:
        What each said, and what stands for the answers of those that are silent.

    Raises:
        NNWidgetsError: A rank refuses.
        BaseException: What ``progress`` raised.
    """
    asked = _LongQuestion(ask, seconds, progress)
    try:
        while True:
            replies, missing, silent = asked.once(question, without, body)
            if missing.keys() <= silent.keys() and (missing or not is_together):
                asked.check_wanted()  # the last time: nothing is done yet
            if missing.keys() <= silent.keys() | without or (silent.keys() - without and not is_any):
                if silent and not is_any:
                    asked.call_off()
                return replies, silent
            asked.tell(replies)
    except BaseException:
        asked.call_off()
        raise


class _LongQuestion:
    """One question to every rank, asked until it is answered.

    Attributes:
        unwanted: Why it was called off; None where it wasn't.
    """

    def __init__(
        self, ask: Callable[..., tuple[Replies, Mapping[int, Missing]]], seconds: float, progress: Progress | None
    ) -> None:
        self.unwanted: Exception | None = None
        self._ask, self._seconds, self._progress = ask, seconds, progress
        self._number, self._round = secrets.token_hex(8), min(seconds / _ROUNDS, _LONGEST_ROUND)
        self._began, self._refused_since = time.monotonic(), 0.0
        self._refused: dict[int, Mapping[str, Any]] = {}
        self._far: dict[int, list[int]] = {}
        self._since: dict[int, float] = {}

    def once(
        self, question: str, without: frozenset[int], body: Mapping[str, Any]
    ) -> tuple[Replies, dict[int, Missing], dict[int, Missing]]:
        """Ask once: what each says, what stands for answers that aren't there, and which of those for silent ranks."""
        asked = time.monotonic()
        refused = self._refused  # once is enough
        long = {"number": self._number, "seconds": self._round / 2}
        said, lost = self._ask(question, seconds=self._round, is_any=True, refused=refused, long=long, **body)
        now = time.monotonic()
        far = {rank: reply["at_work"] for rank, reply in said.items() if "at_work" in reply}
        for rank, how_far in [*far.items(), *((rank, why.where.get("at_work")) for rank, why in lost.items())]:
            if how_far is not None and how_far != self._far.get(rank):
                self._far[rank], self._since[rank] = how_far, now
        replies = {rank: reply for rank, reply in said.items() if rank not in far.keys() | refused}
        missing = {**lost, **{rank: Missing.late(self._began) for rank in far}}
        missing = {rank: why for rank, why in missing.items() if rank not in refused}
        # Who is missing before the time is up isn't late, but can't be asked.
        is_up = now - asked >= 0.9 * self._round
        silent = {
            rank: why
            for rank, why in missing.items()
            if why.is_dead
            or rank in without
            or not (is_up or rank in far)
            or now - self._since.get(rank, self._began) >= self._seconds
        }
        self._refused_since = (self._refused_since or now) if refused else 0.0
        # Others that refuse it too have time to say so.
        if refused and (missing.keys() <= silent.keys() or now - self._refused_since >= self._seconds):
            raise self.unwanted or refusal(refused, missing, is_all=not replies and not missing)
        missing |= {rank: Missing.late(self._began) for rank in refused}
        return replies, missing, silent

    def tell(self, replies: Replies) -> None:
        """Tell how far all are, and call it off where it isn't wanted any more."""
        if self.unwanted is not None:
            return
        known = [(total if rank in replies else done, total) for rank, (_, done, total) in self._far.items()]
        try:
            check_wanted()
            if self._progress is not None and any(total for _, total in known):
                self._progress(sum(done for done, _ in known), sum(total for _, total in known))
        except Exception as error:  # noqa: BLE001 - whatever the caller's function raises
            self.unwanted = error
            self.call_off()

    def check_wanted(self) -> None:
        """Go no further where it was called off, or is now.

        Raises:
            Exception: What it was called off for.
        """
        if self.unwanted is not None:
            raise self.unwanted
        check_wanted()

    def call_off(self) -> None:
        """Have no rank go on with it."""
        with suppress(NNWidgetsError):
            self._ask("call-off", seconds=self._round, is_any=True, refused={}, long={"number": self._number})
