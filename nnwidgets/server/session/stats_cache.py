"""Exact statistics that need not be measured again: of a tensor that nothing can have changed since.

The version counter tells of changes through torch; what `.data` or numpy wrote it doesn't tell, so a cell that ran, or
another sample, ends what is kept.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any, NamedTuple

from nnwidgets.introspect.records import TensorStats

_MOST_KEPT = 32


class Moment(NamedTuple):
    """What is the same as long as a tensor is.

    Attributes:
        version: Its version counter.
        n_cells: How many cells have run.
        sampled: Statistics of its sample.
    """

    version: int | None
    n_cells: int
    sampled: TensorStats


class StatsCache:
    """The exact statistics measured last, by path, part and bins."""

    def __init__(self) -> None:
        self._kept: OrderedDict[object, tuple[weakref.ref[Any], Moment, TensorStats]] = OrderedDict()

    def find(self, key: object, tensor: Any, moment: Moment) -> TensorStats | None:
        """Return what was measured of this very tensor at a moment like this one."""
        held, then, found = self._kept.get(key, (lambda: None, None, None))
        return found if held() is tensor and then == moment else None

    def keep(self, key: object, tensor: Any, moment: Moment, found: TensorStats) -> None:
        """Keep what was measured; without the tensor."""
        self._kept[key] = weakref.ref(tensor), moment, found
        self._kept.move_to_end(key)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Keep nothing."""
        self._kept.clear()
