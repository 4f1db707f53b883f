"""How a rank that is at a question that takes long says that it is at work, and how others hear it.

At work is whose process uses the CPU, or says how far it is; it says so on the group's store.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Self

import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, _get_default_store

_BEAT = 0.1
_LEAST_OF_A_CPU = 0.02


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
