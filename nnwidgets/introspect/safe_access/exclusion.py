"""Threads kept out of each other's way where one writes, or runs and puts back, what another would meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from nnwidgets.introspect.safe_access.scan import ModelScan, read

_CHANGED = threading.Condition()
_HELD: dict[object, tuple[int, frozenset[int]]] = {}
"""Threads, and the ids of what each has for itself."""

_LONGEST_WAIT = 1.0
"""Seconds until who waits looks again, told or not: who should have told may have been interrupted."""


@contextmanager
def exclude_others(ids: Iterable[int]) -> Iterator[bool]:
    """Wait until no other thread has one of some modules and tensors for itself, and have them inside.

    Args:
        ids: Their ids. A thread may have one several times; more than it has it asks for at once, or two could wait
            for each other.

    Yields:
        Whether another thread had one.

    Example:
        >>> def waits_for(each):
        ...     with exclude_others([each]):
        ...         pass
        >>> other = threading.Thread(target=waits_for, args=(2,))
        >>> with exclude_others([1, 2]):
        ...     other.start()
        ...     other.join(0.01)
        ...     other.is_alive()
        True
        >>> other.join()
    """
    key, me, wanted = object(), threading.get_ident(), frozenset(ids)
    has_waited = False
    try:
        with _CHANGED:
            while any(thread != me and not held.isdisjoint(wanted) for thread, held in tuple(_HELD.values())):
                has_waited = True
                _CHANGED.wait(_LONGEST_WAIT)
            _HELD[key] = me, wanted
        yield has_waited
    finally:
        _HELD.pop(key, None)
        with _CHANGED:
            _CHANGED.notify_all()


@contextmanager
def alone_with(module: object) -> Iterator[ModelScan]:
    """Read a model, and have all of it, and of other models what they share with it, for this thread inside.

    Example:
        >>> import torch
        >>> with alone_with(torch.nn.Linear(2, 3)) as scan:
        ...     len(scan.slot_values)
        2
    """
    scan = read(module)
    with exclude_others(map(id, (*scan.modules, *scan.slot_values))) as has_waited:
        yield read(module) if has_waited else scan
