"""What is remembered of a model for as long as it lives: of each the last trace and the last run of `activations`."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class ModelValues(Generic[T]):
    """A value of each of some models, which are held weakly; runs no ``__eq__`` or ``__hash__`` of a model's class.

    Args:
        size_of: How large a value is.
        most: How large all may be together: the oldest make room for the newest, and what is larger isn't kept.

    Example:
        >>> from torch import nn
        >>> names, net, other = ModelValues(len, most=5), nn.Linear(2, 3), nn.Linear(2, 3)
        >>> names.put(net, "net")
        >>> names.put(other, "a name")
        >>> names.get(net), names.get(other)
        ('net', None)
        >>> names.put(other, "o")
        >>> names.put(other, "oth")
        >>> names.get(net), names.get(other)
        (None, 'oth')
        >>> del other
        >>> len(names)
        0
    """

    def __init__(self, size_of: Callable[[T], int] = lambda _value: 0, most: float = math.inf) -> None:
        self._size_of, self._most = size_of, most
        self._known: dict[int, tuple[weakref.ref[Any], T]] = {}
        self._size = 0
        self.lock = threading.RLock()  # the garbage collector may forget a model while this thread holds it

    def __len__(self) -> int:
        return len(self._known)

    def get(self, model: object) -> T | None:
        """A model's value; None where it has none."""
        known = self._known.get(id(model))
        return known[1] if known is not None and known[0]() is model else None

    def put(self, model: object, value: T | None) -> None:
        """Keep a value in place of a model's last one; None is none."""
        key = id(model)
        with self.lock:
            self._drop(key)
            if value is None or self._size_of(value) > self._most:
                return
            self._known[key] = weakref.ref(model, lambda gone: self._forget(key, gone)), value
            self._size += self._size_of(value)
            while self._size > self._most:
                self._drop(next(iter(self._known)))

    def _forget(self, key: int, gone: weakref.ref[Any]) -> None:
        with self.lock:
            known = self._known.get(key)
            if known is not None and known[0] is gone:
                self._drop(key)

    def _drop(self, key: int) -> None:
        known = self._known.pop(key, None)
        if known is not None:
            self._size -= self._size_of(known[1])


def _n_calls(run: Any) -> int:
    return 1 + len(run.calls)


_MOST_CALLS = 5_000
"""Of all models together, each of some kilobytes, with histograms."""

LAST_TRACES: ModelValues[Any] = ModelValues(_n_calls, _MOST_CALLS)
LAST_ACTIVATIONS: ModelValues[Any] = ModelValues(_n_calls, _MOST_CALLS)
"""What the last run of a model found, wherever it was made: a view that is opened then shows it."""
