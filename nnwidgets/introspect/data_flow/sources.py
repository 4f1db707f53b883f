"""Where what a tensor holds came from.

Tensors are known by their storage: autograd makes new tensor objects for views and the operators below it see others
than the modules above, but the memory is one. A weak reference to each storage keeps its identity from being given to
another as long as it is known here, not its memory.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch.multiprocessing.reductions import StorageWeakRef

from nnwidgets.introspect.safe_access.holders import local_shard

Through = tuple[str, ...]
"""Names of what only moved or reshaped the values, in order."""

_FIRST_LOOK = 4_096


class Source(NamedTuple):
    """What gave the values, and through what they came."""

    node: int
    through: Through


class _Held:
    __slots__ = ("alive", "source", "views")

    def __init__(self, alive: StorageWeakRef, source: Source | None) -> None:
        self.alive = alive
        self.source = source
        self.views: dict[Any, Source] = {}


class TensorSources:
    """The sources of the tensors that are alive."""

    def __init__(self) -> None:
        self._held: dict[int, _Held] = {}
        self._next_look = _FIRST_LOOK

    def of(self, tensor: Any) -> Source | None:
        """Where a tensor's values came from; None for what no one here gave, such as a parameter."""
        held = self._held.get(memory_of(tensor))
        if held is None:
            return None
        return (held.views.get(_geometry(tensor)) if held.views else None) or held.source

    def set(self, tensor: Any, source: Source) -> None:
        """Know that all of a tensor's memory holds what ``source`` gave."""
        held = self._held_of(tensor)
        if held is not None:
            held.source = source
            held.views.clear()

    def see(self, view: Any, of: Any, known: Source, through: Through) -> None:
        """Know that a view of a tensor was made, through what, and where that tensor came from."""
        held = self._held.get(memory_of(view))
        if held is not None:
            held.views.setdefault(_geometry(of), known)
            found = held.views.get(_geometry(view))
            if found is None or found.node != known.node:  # what lies as it did before came through nothing
                held.views[_geometry(view)] = Source(known.node, through)

    def give(self, tensor: Any, node: int) -> None:
        """Know that a call gave a tensor: its own, or one over memory that it was given and hasn't written."""
        held = self._held.get(memory_of(tensor))
        is_own = is_all_of_it(tensor) if held is None else held.source is not None and held.source.node == node
        if is_own:
            self.set(tensor, Source(node, ()))
        elif (held := held or self._held_of(tensor)) is not None:
            held.views[_geometry(tensor)] = Source(node, ())

    def forget(self, tensor: Any) -> None:
        """Know that a tensor's memory holds what no one here gave."""
        self._held.pop(memory_of(tensor), None)

    def _held_of(self, tensor: Any) -> _Held | None:
        key = memory_of(tensor)
        held = self._held.get(key)
        if held is None and key:
            if len(self._held) >= self._next_look:
                self._forget_dead()
            held = self._held[key] = _Held(StorageWeakRef(_storage(tensor)), None)  # type: ignore[no-untyped-call] # torch's
        return held

    def _forget_dead(self) -> None:
        for key in [key for key, held in self._held.items() if held.alive.expired()]:  # type: ignore[no-untyped-call] # torch's
            del self._held[key]
        self._next_look = max(_FIRST_LOOK, 2 * len(self._held))


def memory_of(tensor: Any) -> int:
    """What tells a tensor's memory from other memory; 0 where it has none that can be told, as a sparse one's."""
    try:
        return int(_storage(tensor)._cdata)  # noqa: SLF001 - a storage's identity
    except (RuntimeError, NotImplementedError, AttributeError):
        return 0


def is_all_of_it(tensor: Any) -> bool:
    """Whether a tensor's elements are all that its memory holds."""
    try:
        return bool(tensor.numel() * tensor.element_size() == _storage(tensor).nbytes())
    except (RuntimeError, NotImplementedError, AttributeError):
        return False


def _storage(tensor: Any) -> Any:
    return local_shard(tensor).untyped_storage()


def _geometry(tensor: Any) -> Any:
    local = local_shard(tensor)
    try:
        found = local.storage_offset(), tuple(local.shape), local.stride(), local.dtype
        hash(found)
    except (RuntimeError, NotImplementedError, AttributeError, TypeError):
        return None  # a nested tensor has no such sizes, and those that aren't numbers yet may have no hash
    return found
