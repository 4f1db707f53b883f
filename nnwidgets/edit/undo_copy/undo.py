"""What a change keeps to be undone: old bytes, flags, optimizer state, and where they belong."""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch

from nnwidgets.edit.undo_copy.swap import KeptBytes
from nnwidgets.edit.undo_copy.threads import retry_until_complete
from nnwidgets.introspect import sampled_stats, stats
from nnwidgets.introspect.checks.training import keep_frozen
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.safe_access.objects import ORDINARY, no_torch_function
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch, unreadable_reason

_EXACT_ELEMENTS = 4_000_000


class Flag:
    """A parameter's ``requires_grad``, before and after."""

    def __init__(self, path: str, tensor: Any, *, after: bool) -> None:
        self.path = path
        self._tensor = weakref.ref(tensor)
        self._before: bool = tensor.requires_grad
        self._after = after

    def set(self, *, after: bool) -> None:
        """Set it to what it was, or to what it became."""
        tensor = self._tensor()
        if tensor is not None:
            tensor.requires_grad_(self._after if after else self._before)
            keep_frozen(tensor, is_kept=after and not self._after)

    def is_as_left(self, *, after: bool) -> bool:
        """Whether nobody changed it since."""
        tensor = self._tensor()
        return tensor is not None and tensor.requires_grad is (self._after if after else self._before)


class Exchangeable(Protocol):
    """What a change exchanges besides bytes and flags: an optimizer's state, tensors that had no data."""

    @property
    def is_changed(self) -> bool:
        """Whether the change's side is in place, be it in part."""

    def exchange(self) -> None:
        """Put the other side in place; where that was interrupted, the next call takes back what was done."""


@runtime_checkable
class Watched(Protocol):
    """An `Exchangeable` that can tell whether somebody else has changed what it left."""

    def foreign(self) -> list[str]:
        """Names of what somebody else has changed."""


class TensorSite:
    """Where a tensor was, to tell that it is still there; holds it weakly."""

    __slots__ = ("_geometry", "_tensor", "path")

    def __init__(self, path: str, tensor: Any, geometry: tuple[Any, ...]) -> None:
        self.path = path
        self._tensor = weakref.ref(tensor)
        self._geometry = geometry

    @property
    def tensor(self) -> Any:
        """The tensor; None where it is gone."""
        return self._tensor()

    def is_there(self, live: Any) -> bool:
        """Whether ``live``, what is at its path now, is the same tensor over the same memory."""
        with no_torch_function():
            return live is not None and live is self.tensor and _geometry(live) == self._geometry


def sites_of(named: Iterable[tuple[str, Any]]) -> list[TensorSite]:
    """Where tensors are now, given with their paths."""
    with no_torch_function():
        return [TensorSite(path, tensor, _geometry(tensor)) for path, tensor in named]


class UndoRecord:
    """All that takes a change back, and makes it again.

    Attributes:
        sites: The tensors written, by name, ties included.
        kept: The old bytes; the new ones once it is undone.
    """

    def __init__(
        self,
        sites: Sequence[TensorSite],
        plains: Sequence[torch.Tensor],
        flags: Sequence[Flag],
        states: Sequence[Exchangeable],
        rooms: list[torch.Tensor] | None = None,
    ) -> None:
        self.sites = sites
        self.flags = flags
        self.states = states
        self.is_done = True
        self.kept = KeptBytes(plains, rooms)

    @property
    def size_bytes(self) -> int:
        """Of the copy."""
        return self.kept.size_bytes

    def release(self) -> torch.Tensor:
        """Give away the memory of the copy: from then on nothing can be taken back, and no statistics are known."""
        kept, self.kept, self.sites = self.kept, KeptBytes([]), []
        return kept.room

    def changed(self) -> list[str]:
        """Names whose bytes the change made different."""
        different = self.kept.changed_blocks()
        around = ((site.path, self._blocks_around(site)) for site in self.sites)
        return [path for path, blocks in around if blocks is not None and not different.isdisjoint(blocks)]

    def _blocks_around(self, site: TensorSite) -> list[int] | None:
        """The numbers of the blocks that hold a tensor's bytes; None where it is gone or can't be read."""
        tensor = site.tensor
        if tensor is None or unreadable_reason(tensor) is not None:
            return None
        with plain_torch():
            return self.kept.blocks_around(as_plain_tensor(tensor))

    def restore(self) -> None:
        """Take back a change that is being made; may be called again."""
        self.kept.restore()
        self._set(done=False)

    def foreign(self) -> list[str]:
        """Names whose values aren't what the last change, undo or redo left."""
        changed = self.foreign_states()
        foreign = self.kept.foreign_blocks()
        if foreign:
            around = ((site.path, self._blocks_around(site)) for site in self.sites)
            found = [path for path, blocks in around if blocks is None or not foreign.isdisjoint(blocks)]
            changed += found or [site.path for site in self.sites]
        return changed

    def foreign_states(self) -> list[str]:
        """Names whose flags, or whose modules' attributes, aren't what the last change, undo or redo left."""
        flags = [flag.path for flag in self.flags if not flag.is_as_left(after=self.is_done)]
        return flags + [name for state in self.states if isinstance(state, Watched) for name in state.foreign()]

    def exchange(self, *, check: bool) -> bool:
        """Undo it where it is done, else do it again; all or nothing."""
        is_done, was_turned = self.is_done, self.kept.is_turned

        def take_back() -> None:
            if self.kept.is_turned is not was_turned:
                self.kept.exchange(check=False)
            self._set(done=is_done)

        try:
            if not self.kept.exchange(check=check):
                return False
            self._set(done=not is_done)
        except BaseException:
            retry_until_complete(take_back)
            raise
        return True

    def turn(self, *, done: bool) -> None:
        """Be done, or be undone, whatever is live; may be called again."""
        if self.is_done is not done:
            self.exchange(check=False)

    def _set(self, *, done: bool) -> None:
        for flag in self.flags:
            flag.set(after=done)
        for state in self.states:
            if state.is_changed is not done:
                state.exchange()
        self.is_done = done
        self.touch()

    def touch(self) -> None:
        """Raise the version counter of every name, so that a graph that saved a value refuses rather than errs."""
        for site in self.sites:
            tensor = site.tensor
            if tensor is not None and not tensor.is_inference():
                torch.autograd.graph.increment_version(tensor)

    def before(self, paths: Collection[str] | None = None) -> dict[str, TensorStats]:
        """Statistics of the old values that are known, of some paths or of all."""
        return self._stats_of_kept(paths) if self.is_done else self._stats_of_live(paths)

    def after(self, paths: Collection[str] | None = None) -> dict[str, TensorStats]:
        """Statistics of the new values that are known, of some paths or of all."""
        return self._stats_of_live(paths) if self.is_done else self._stats_of_kept(paths)

    def _stats_of_kept(self, paths: Collection[str] | None) -> dict[str, TensorStats]:
        made = {}
        for site in self._sites_at(paths):
            tensor = site.tensor
            if tensor is not None and unreadable_reason(tensor) is None and site.is_there(tensor):
                with plain_torch():
                    old = self.kept.old(as_plain_tensor(tensor))
                if old is not None:
                    made[site.path] = summarize(old)
        return made

    def _stats_of_live(self, paths: Collection[str] | None) -> dict[str, TensorStats]:
        asked = self._sites_at(paths)
        numbers = None
        if paths is not None:
            around = [self._blocks_around(site) for site in asked]
            if None in around:
                return {}
            numbers = {number for blocks in around for number in blocks or ()}
        if not self.kept.is_as_left(numbers):
            return {}
        return {
            site.path: summarize(site.tensor)
            for site in asked
            if site.tensor is not None and site.is_there(site.tensor) and unreadable_reason(site.tensor) is None
        }

    def _sites_at(self, paths: Collection[str] | None) -> Sequence[TensorSite]:
        wanted = None if paths is None else set(paths)
        return [site for site in self.sites if wanted is None or site.path in wanted]


def summarize(tensor: torch.Tensor) -> TensorStats:
    """Statistics, exact where that is quick."""
    return stats(tensor) if tensor.numel() <= _EXACT_ELEMENTS else sampled_stats(tensor)


def _geometry(tensor: Any) -> tuple[Any, ...]:
    """What changes where a tensor is given other memory; inside `no_torch_function`."""
    is_ordinary = id(type(tensor)) in ORDINARY
    if tensor.layout is not torch.strided or (not is_ordinary and unreadable_reason(tensor) is not None):
        return (tensor.shape,) if is_ordinary else ()
    try:
        data = tensor if is_ordinary else as_plain_tensor(tensor)
        return data.data_ptr(), data.shape, data.stride(), data.dtype, data.device
    except RuntimeError:  # it has no memory of its own
        return (tensor.shape,)
