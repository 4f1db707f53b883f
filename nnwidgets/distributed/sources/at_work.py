"""Questions that may take long: a rank is waited for as long as it is at work, and named where it falls silent.

At work is whose process uses the CPU, or says how far it is. It says so on the group's store, where ranks that are done
hear it and tell whoever asks; of one with a side door, what it does says so too. So a question is asked again and
again, of which a rank that has answered keeps the answer.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, _get_default_store

from nnwidgets.distributed.sources.source import Missing, Replies

LONGEST = 600.0
"""Seconds beyond the timeout that a rank is waited for of which nothing is known, not even by other ranks."""

_BEAT = 0.1
_LEAST_OF_A_CPU = 0.02
_ROUNDS = 4
"""How often ranks are asked in the time after which a silent one is named."""


class Sign:
    """Says that this rank is at a question, as long as it is at work.

    Args:
        number: Which question.
    """

    def __init__(self, number: str) -> None:
        self._n, self._is_done = 1, threading.Event()
        self._store, self._number = _store_of(number), number
        self._thread = threading.Thread(target=self._say, name="nnwidgets-at-work", daemon=True)

    def beat(self) -> None:
        """Something is done."""
        self._n += 1

    def __enter__(self) -> Self:
        _SIGNS.append(self)
        if self._store is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _SIGNS.remove(self)
        self._is_done.set()
        if self._store is not None:
            self._thread.join()

    def _say(self) -> None:
        me, said, used = str(dist.get_rank()), 0, time.process_time()
        try:
            while _SAID:
                _store_of(_SAID.pop()).delete_key(me)
            _SAID.append(self._number)
            while True:
                now = self._n
                if now != said:
                    self._store.add(me, now - said)
                    said = now
                if self._is_done.wait(_BEAT):
                    return
                before, used = used, time.process_time()
                self._n += used - before > _LEAST_OF_A_CPU * _BEAT
        except RuntimeError:  # the store is gone
            return


_SIGNS: list[Sign] = []
_SAID: list[str] = []
"""The last question that this rank was at, of which the store has its signs still: another rank may be reading them."""


def beat(*_: Any) -> None:
    """Something is done of what this rank is at; may be called as often as that is."""
    for sign in _SIGNS:
        sign.beat()


def heard(number: str, ranks: list[int]) -> dict[str, int] | None:
    """How often some ranks have said that they are at a question, 0 of one that hasn't begun; None without a group."""
    store = _store_of(number)
    if store is None:
        return None
    return {str(rank): store.add(str(rank), 0) for rank in ranks}  # `get` would wait for one that isn't there


def _store_of(number: str) -> Any:
    if not dist.is_available() or not dist.is_initialized():
        return None
    return PrefixStore(f"nnwidgets/at work/{number}", _get_default_store())


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
            or now - known[rank][1] >= seconds + (LONGEST if known[rank][0] is _UNKNOWN else 0.0)
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
