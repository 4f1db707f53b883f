"""Where what a tensor holds came from.

Tensors are known by their storage: autograd makes new tensor objects for views and the operators below it see others
than the modules above, but the memory is one. A weak reference to each storage keeps its identity from being given to
another as long as it is known here, not its memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from nnwidgets.introspect.safe_access.holders import local_shard
from nnwidgets.introspect.safe_access.tensors_in import tensors_among

Through = tuple[str, ...]
"""Names of what only moved or reshaped the values, in order."""

_FIRST_LOOK = 4_096
_ORDINARY = frozenset({torch.Tensor, torch.nn.Parameter})


class Source(NamedTuple):
    """What gave the values, and through what they came."""

    node: int
    through: Through


class Taken(NamedTuple):
    """A tensor whose source is known, and what tells its memory."""

    tensor: Any
    memory: int
    source: Source


class TensorSources:
    """The sources of the tensors that are alive."""

    def __init__(self) -> None:
        self._alive: dict[int, StorageWeakRef] = {}
        self._sources: dict[int, Source] = {}
        self._views: dict[int, dict[Any, Source]] = {}
        self._next_look = _FIRST_LOOK

    def of(self, tensor: Any, memory: int | None = None) -> Source | None:
        """Where a tensor's values came from; None for what no one here gave, such as a parameter."""
        memory = memory_of(tensor) if memory is None else memory
        views = self._views.get(memory) if self._views else None
        return (views.get(_geometry(tensor)) if views else None) or self._sources.get(memory)

    def among(self, values: Iterable[Any]) -> list[Taken]:
        """Those of the tensors among an operator's arguments whose values came from here."""
        found = []
        for value in values:
            for tensor in (value,) if type(value) in _ORDINARY else tensors_among((value,)):
                memory = memory_of(tensor)
                source = self.of(tensor, memory) if memory in self._alive else None
                if source is not None:
                    found.append(Taken(tensor, memory, source))
        return found

    def set(self, tensor: Any, memory: int, source: Source) -> None:
        """Know that all of a tensor's memory, which that tells, holds what ``source`` gave."""
        if self._keep(tensor, memory):
            self._sources[memory] = source
            self._views.pop(memory, None)

    def set_all(self, tensors: Iterable[tuple[Any, int]], source: Source) -> None:
        """Know it of several."""
        for tensor, memory in tensors:
            self.set(tensor, memory, source)

    def see(self, view: Any, of: Any, known: Source, through: Through) -> None:
        """Know that a view of a tensor was made, through what, and where that tensor came from."""
        memory = memory_of(view)
        if memory in self._alive:
            views = self._views.setdefault(memory, {})
            views.setdefault(_geometry(of), known)
            found = views.get(_geometry(view))
            if found is None or found.node != known.node:  # what lies as it did before came through nothing
                views[_geometry(view)] = Source(known.node, through)

    def give(self, tensor: Any, own: Source) -> None:
        """Know that a call gave a tensor: its own, or one over memory that it was given and hasn't written."""
        memory = memory_of(tensor)
        source = self._sources.get(memory)
        if source is own and memory not in self._views:
            return
        is_own = source.node == own.node if source is not None else memory not in self._alive and is_all_of_it(tensor)
        if is_own:
            self.set(tensor, memory, own)
        elif self._keep(tensor, memory):
            self._views.setdefault(memory, {})[_geometry(tensor)] = own

    def forget(self, tensor: Any) -> None:
        """Know that a tensor's memory holds what no one here gave."""
        self._drop(memory_of(tensor))

    def _keep(self, tensor: Any, memory: int) -> bool:
        """Keep what tells a tensor's memory from being given to another; False where nothing does."""
        if memory not in self._alive and memory:
            if len(self._alive) >= self._next_look:
                self._drop_dead()
            self._alive[memory] = StorageWeakRef(_storage(tensor))  # type: ignore[no-untyped-call] # torch's
        return memory != 0

    def _drop(self, memory: int) -> None:
        for known in (self._sources, self._views, self._alive):
            known.pop(memory, None)

    def _drop_dead(self) -> None:
        for memory in [memory for memory, alive in self._alive.items() if alive.expired()]:  # type: ignore[no-untyped-call] # torch's
            self._drop(memory)
        self._next_look = max(_FIRST_LOOK, 2 * len(self._alive))


def memory_of(tensor: Any) -> int:
    """What tells a tensor's memory from other memory; 0 where it has none that can be told, as a sparse one's."""
    try:
        storage = _storage(tensor)
    except (RuntimeError, NotImplementedError, AttributeError):
        return 0
    return int(storage._cdata)  # noqa: SLF001 - a storage's identity


def is_all_of_it(tensor: Any) -> bool:
    """Whether a tensor's elements are all that its memory holds."""
    try:
        return bool(tensor.numel() * tensor.element_size() == _storage(tensor).nbytes())
    except (RuntimeError, NotImplementedError, AttributeError):
        return False


def _storage(tensor: Any) -> Any:
    return (tensor if type(tensor) in _ORDINARY else local_shard(tensor)).untyped_storage()


def _geometry(tensor: Any) -> Any:
    local = local_shard(tensor)
    try:
        found = local.storage_offset(), tuple(local.shape), local.stride(), local.dtype
        hash(found)
    except (RuntimeError, NotImplementedError, AttributeError, TypeError):
        return None  # a nested tensor has no such sizes, and those that aren't numbers yet may have no hash
    return found
