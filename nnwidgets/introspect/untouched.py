"""Letting other code at a model, and finding the model afterwards as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn

from nnwidgets.introspect.safe_access.objects import instance_dict, is_a
from nnwidgets.introspect.safe_access.scan import read
from nnwidgets.introspect.tracing.flops import OperatorCounter
from nnwidgets.introspect.tracing.restore import ForwardState


@contextlib.contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Put everything back at the end that a forward, or a tool that runs one, may change.

    That is what `trace` puts back (bytes, versions, gradients, training flags, random generators), and the attributes
    and registries of every module besides: hooks left behind, caches begun.

    Example:
        >>> net = nn.BatchNorm1d(2)
        >>> with untouched(net):
        ...     net.eval().note = "seen"
        >>> net.training, hasattr(net, "note")
        (True, False)
    """
    reading = read(module)
    distinct = [found for row, found in enumerate(reading.modules) if row not in reading.first_met]
    attributes = [_Attributes(instance_dict(found)) for found in distinct]
    state = ForwardState(distinct)
    try:
        with OperatorCounter(state.before_write):
            yield
    finally:
        state.restore()
        for held in attributes:
            held.restore()


class _Attributes:
    """A module's own attributes, and what its registries held."""

    def __init__(self, own: dict[str, Any]) -> None:
        self._own = own
        self._before = dict(own)
        self._registries = [(value, dict(value)) for value in own.values() if is_a(value, dict)]

    def restore(self) -> None:
        _restore(self._own, self._before)
        for registry, before in self._registries:
            _restore(registry, before)


def _restore(held: dict[Any, Any], before: dict[Any, Any]) -> None:
    """Write only where something changed, so that order stays what it was."""
    now = list(dict.items(held))
    if len(now) == len(before) and all(
        key is wanted and value is kept for (key, value), (wanted, kept) in zip(now, dict.items(before), strict=True)
    ):
        return
    dict.clear(held)
    dict.update(held, before)
