"""Numbers by which a page tells objects apart, without keeping any alive."""

from __future__ import annotations

import itertools
import weakref


class Identities:
    """A number for each object, the same for as long as it lives and never given to another.

    ``id`` alone won't do: a new object often gets the address of the one that it replaces.

    Example:
        >>> class Model: ...
        >>> numbers, net = Identities(), Model()
        >>> numbers.of(net) == numbers.of(net) != numbers.of(Model())
        True
    """

    def __init__(self) -> None:
        self._count = itertools.count(1)
        self._known: dict[int, tuple[weakref.ref[object], int]] = {}

    def of(self, value: object) -> int:
        """Return the number of ``value``, which must take weak references, as modules and optimizers do."""
        known = self._known.get(id(value))
        if known is not None and known[0]() is value:
            return known[1]
        address, number = id(value), next(self._count)

        def forget(_reference: object) -> None:
            # Where another object has the address already, that one's number stays.
            if self._known.get(address, (None, None))[1] == number:
                del self._known[address]

        self._known[address] = weakref.ref(value, forget), number
        return number
