"""Threads kept out of each other's way where one writes, or runs and puts back, what another would meanwhile.

What waits for others, here or on other ranks, asks now and then whether it is wanted still.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from nnwidgets.introspect.safe_access.scan import ModelScan, read


class _Holds:
    """What threads have for themselves.

    Attributes:
        changed: Told when one has given it back.
        of: By each time that something was taken: the thread, and the ids of what it has.
        n_ended: How often something was given back.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.of: dict[object, tuple[int, frozenset[int]]] = {}
        self.n_ended = 0

    def forget_others(self) -> None:
        """In a forked process, which has none of the other threads."""
        self.changed = threading.Condition()
        me = threading.get_ident()
        self.of = {key: (thread, ids) for key, (thread, ids) in self.of.items() if thread == me}


_HOLDS = _Holds()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_HOLDS.forget_others)

_LONGEST_WAIT = 0.1
"""Seconds until who waits looks again, told or not: who should have told may have been interrupted."""


_CHECK: ContextVar[Callable[[], None]] = ContextVar("check", default=lambda: None)


@contextmanager
def wanted_as_long_as(check: Callable[[], None]) -> Iterator[None]:
    """What waits inside for others calls a function now and then; what that raises ends the wait."""
    token = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(token)


def check_wanted() -> None:
    """Wait no longer where nobody wants it any more.

    Raises:
        Exception: What the function raised that `wanted_as_long_as` was given.
    """
    _CHECK.get()()


def wait_on() -> None:
    """However long others take, wanted or not: as to put back what was done."""


@contextmanager
def exclude_others(ids: Iterable[int], while_waiting: Callable[[], object] = check_wanted) -> Iterator[int]:
    """Wait until no other thread has one of some modules and tensors for itself, and have them inside.

    Args:
        ids: Their ids. A thread may have one several times; more than it has it asks for at once, or two could wait
            for each other.
        while_waiting: Called before each tenth of a second that is waited; what it raises ends the waiting, and nothing
            is had.

    Yields:
        How often what threads had was given back until then.

    Example:
        >>> def waits_for(each, *how):
        ...     with exclude_others([each], *how):
        ...         pass
        >>> other = threading.Thread(target=waits_for, args=(2,))
        >>> with exclude_others([1, 2]):
        ...     other.start()
        ...     other.join(0.01)
        ...     other.is_alive()
        True
        >>> other.join()
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> def give_up():
        ...     raise TimeoutError
        >>> with ThreadPoolExecutor() as pool, exclude_others([1, 2]):
        ...     type(pool.submit(waits_for, 2, give_up).exception())
        <class 'TimeoutError'>
    """
    key, me, wanted = object(), threading.get_ident(), frozenset(ids)
    try:
        with _HOLDS.changed:
            while any(thread != me and not held.isdisjoint(wanted) for thread, held in tuple(_HOLDS.of.values())):
                while_waiting()
                _HOLDS.changed.wait(_LONGEST_WAIT)
            _HOLDS.of[key] = me, wanted
            n_ended = _HOLDS.n_ended
        yield n_ended
    finally:
        _HOLDS.of.pop(key, None)
        with _HOLDS.changed:
            _HOLDS.n_ended += 1
            _HOLDS.changed.notify_all()


@contextmanager
def alone_with(module: object, while_waiting: Callable[[], object] = check_wanted) -> Iterator[ModelScan]:
    """Read a model, and have all of it, and of other models what they share with it, for this thread inside.

    Args:
        module: The model.
        while_waiting: As for `exclude_others`.

    Example:
        >>> import torch
        >>> with alone_with(torch.nn.Linear(2, 3)) as scan:
        ...     len(scan.slot_values)
        2
    """
    before, scan = _HOLDS.n_ended, read(module)
    with exclude_others(map(id, (*scan.modules, *scan.slot_values)), while_waiting) as n_ended:
        yield scan if n_ended == before else read(module)
