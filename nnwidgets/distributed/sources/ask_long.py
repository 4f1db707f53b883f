"""Questions that may take long: a rank is waited for as long as it is at work, and named where it falls silent.

Ranks that are done hear on the group's store who is at work, and tell whoever asks; of one with a side door, what it
does says so too. So a question is asked again and again, of which a rank that has answered keeps the answer.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from nnwidgets.distributed.sources.source import Missing, Replies

_LONGEST = 600.0
"""Seconds beyond the timeout that a rank is waited for of which nothing is known, not even by other ranks."""

_ROUNDS = 4
"""How often ranks are asked in the time after which a silent one is named."""


def ask_long(
    ask: Callable[..., tuple[Replies, Mapping[int, Missing]]],
    question: str,
    *,
    seconds: float,
    without: frozenset[int] = frozenset(),
    is_any: bool = False,
    **body: Any,
) -> tuple[Replies, dict[int, Missing]]:
    """Ask every rank something that may take long.

    Args:
        ask: Asks once.
        question: What.
        seconds: How long a rank may be silent.
        without: Ranks that are known not to answer.
        is_any: Whether what some say is of use where others are silent; else the first that is silent ends it.
        **body: Of the request.

    Returns:
        What each said, and what stands for the answers of those that are silent.
    """
    number, began = secrets.token_hex(8), time.monotonic()
    known: dict[int, tuple[object, float]] = {}
    late: list[int] = []
    while True:
        asked = time.monotonic()
        replies, missing = ask(
            question, seconds=seconds / _ROUNDS, is_any=True, long={"number": number, "late": late}, **body
        )
        late, now = sorted(missing), time.monotonic()
        for rank, why in missing.items():
            sign = _sign_of(rank, why, replies)
            before, since = known.get(rank, (0, began))
            known[rank] = sign, now if sign is _WORKS or (sign and sign not in (before, _UNKNOWN)) else since
        # Who is missing before the time is up isn't late, but can't be asked.
        is_up = now - asked >= 0.9 * seconds / _ROUNDS
        silent = {
            rank: why
            for rank, why in missing.items()
            if why.is_dead
            or not is_up
            or rank in without
            or now - known[rank][1] >= seconds + (_LONGEST if known[rank][0] is _UNKNOWN else 0.0)
        }
        if missing.keys() <= silent.keys() | without or (silent.keys() - without and not is_any):
            said = {
                rank: {name: each for name, each in reply.items() if name != "heard"} for rank, reply in replies.items()
            }
            return said, silent


_WORKS, _UNKNOWN = object(), object()


def _sign_of(rank: int, why: Missing, replies: Replies) -> object:
    """What is known of a rank at work: the same twice where it does nothing."""
    for reply in replies.values():
        told = reply.get("heard")
        if told is not None and str(rank) in told:
            return told[str(rank)]
    if why.where:
        return _WORKS if why.where.get("state") == "busy" else 0
    return _UNKNOWN
