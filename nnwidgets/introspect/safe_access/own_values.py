"""What is a model's own, while a run that only looks at it has something else in its place.

A comparison of initializers lays stand-ins under tensors, and a backward that is looked at has its own gradients. Who
reads the model from another thread meanwhile, as an Explorer does while a cell runs, is given the model's own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any


class Own:
    """One thing about tensors, such as their gradients, as it is the model's own.

    Example:
        >>> own, tensor, aside = Own(), object(), []
        >>> own.put_aside([(tensor, "the model's")], aside)
        >>> read = lambda: own.read_one(tensor, lambda: "a stand-in")
        >>> read(), _in_a_thread(read)
        ('a stand-in', "the model's")
        >>> own.take_back(aside)
        >>> _in_a_thread(read)
        'a stand-in'
    """

    def __init__(self) -> None:
        self._held: dict[int, tuple[int, Any, Any]] = {}
        self._n_begun = 0

    def put_aside(self, pairs: Iterable[tuple[Any, Any]], aside: list[int]) -> None:
        """Before something takes their place: have other threads read these of tensors.

        Args:
            pairs: Tensors, and what is the model's own. What is put aside already stays.
            aside: Gets what `take_back` takes, before anything is put aside.
        """
        thread = threading.get_ident()
        made = {id(tensor): (thread, tensor, own) for tensor, own in pairs if id(tensor) not in self._held}
        aside += made
        self._held.update(made)
        self._n_begun += 1

    def take_back(self, aside: Iterable[int]) -> None:
        """After all is in its place again: have every thread read what is there."""
        for key in aside:
            self._held.pop(key, None)

    def read(self, tensors: Sequence[Any], found: Callable[[], list[Any] | None]) -> list[Any] | None:
        """What ``found`` gives of tensors, but of those put aside by another thread what is the model's own."""
        while True:
            begun, own = self._n_begun, self._own_of(tensors)
            read = found()
            if begun == self._n_begun:  # else something may have taken a place before it was read
                break
        return read if read is None or not own else [own.get(at, each) for at, each in enumerate(read)]

    def read_one(self, tensor: Any, found: Callable[[], Any]) -> Any:
        """The same of a single tensor."""
        (read,) = self.read((tensor,), lambda: [found()]) or (None,)
        return read

    def _own_of(self, tensors: Sequence[Any]) -> dict[int, Any]:
        if not self._held:
            return {}
        thread = threading.get_ident()
        held = ((at, self._held.get(id(tensor))) for at, tensor in enumerate(tensors))
        return {at: each[2] for at, each in held if each is not None and each[0] != thread}


VALUES, VERSIONS, GRADIENTS = Own(), Own(), Own()
"""A plain tensor over the model's own memory; its version counter; its gradient, or None."""


def _in_a_thread(call: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]
