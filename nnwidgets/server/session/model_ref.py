"""Holding a user's object no longer than the user wants it: how a session holds its model and its optimizers."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")


class ModelRef(Generic[T]):
    """A reference to somebody else's object: weak, or strong until `release`.

    A view of a model that a variable holds must not outlive ``del net``, so it holds the model weakly. A view of
    ``explore(nn.Linear(2, 2))`` is all that holds the model, so it must.

    Args:
        value: The object.
        strong: Whether nobody else may be holding it.
        gone: Called, from anywhere and at any time, once a weakly held object has died; not when Python itself ends,
            since what it needs may have gone already.

    Example:
        >>> class Model: pass
        >>> net = Model()
        >>> held = ModelRef(net, strong=False)
        >>> held.get() is net
        True
        >>> del net
        >>> held.get() is None
        True
    """

    def __init__(self, value: T, *, strong: bool, gone: Callable[[], None] | None = None) -> None:
        self._strong: T | None = value if strong else None
        self._weak: weakref.ref[object] | None = None
        if not strong:
            self._weak = weakref.ref(value, None if gone is None else partial(_fallen, gone, sys.is_finalizing))

    def get(self) -> T | None:
        """Return the object, or None once it is gone or released."""
        if self._weak is not None:
            return self._weak()  # type: ignore[return-value] # a weakref.ref[T] wants a T that is known to allow it
        return self._strong

    def release(self) -> None:
        """Let go of it."""
        self._strong = None
        self._weak = None


def _fallen(gone: Callable[[], None], is_finalizing: Callable[[], bool], _: object) -> None:
    if not is_finalizing():
        gone()
