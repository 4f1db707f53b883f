"""The log of each model: what was done to it, and what it takes to undo it; freed with the model."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from nnwidgets.edit.change import Change
from nnwidgets.edit.undo_copy.undo import UndoRecord
from nnwidgets.introspect.model_values import ModelValues
from nnwidgets.introspect.safe_access.exclusion import check_wanted, exclude_others, wait_on
from nnwidgets.introspect.safe_access.objects import require_module

DEFAULT_BUDGET_BYTES = 2 * 2**30

FEW = 16
"""Changes of no more tensors have their statistics made while the values are there; for more it would take too long."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A change and how to undo it; None where the copy was dropped, or where ``final`` says why there is none.

    ``said`` is what all ranks said of it that made it together.
    """

    change: Change
    undo: UndoRecord | None
    final: str = ""
    said: str = ""

    @property
    def tensors(self) -> list[Any]:
        """What undoing it writes."""
        return [] if self.undo is None else [site.tensor for site in self.undo.sites]


@dataclass(frozen=True, slots=True)
class State:
    """A history at one moment, replaced as a whole."""

    done: tuple[Entry, ...] = ()
    undone: tuple[Entry, ...] = ()


class Mark(Protocol):
    """What `nnwidgets.checkpoint.snapshot` gives."""

    @property
    def size_bytes(self) -> int:
        """What it holds in memory."""


class Log:
    """The history of one model.

    Attributes:
        state: What was done and undone.
        budget_bytes: How much undo copies and marks may hold.
        held: A change that was made and set aside, until whoever asked for it says that it stays.
    """

    def __init__(self, model_id: int) -> None:
        self.held: Any = None
        self._model_id = model_id
        self.state = State()
        self.budget_bytes = DEFAULT_BUDGET_BYTES
        self._marks: weakref.WeakSet[Mark] = weakref.WeakSet()

    @property
    def lock(self) -> AbstractContextManager[int]:
        """Held, alone or with tensors of the model, by whoever changes the history; who reads it waits for nobody."""
        return self.lock_over(())

    def lock_over(self, tensors: Iterable[Any], *, surely: bool = False) -> AbstractContextManager[int]:
        """Held by whoever writes tensors of the model: nobody else does, nor runs what has them."""
        return exclude_others([self._model_id, *map(id, tensors)], wait_on if surely else check_wanted)

    @property
    def marked_bytes(self) -> int:
        """What marks of the model hold that are still kept."""
        return sum(mark.size_bytes for mark in self._marks)

    def add_mark(self, mark: Mark) -> None:
        """Count a mark for as long as it is kept; undo copies that don't fit beside it are dropped."""
        self._marks.add(mark)
        self.trim()

    @property
    def kept_bytes(self) -> int:
        """What undo copies hold."""
        entries = (*self.state.done, *self.state.undone)
        return sum(entry.undo.size_bytes for entry in entries if entry.undo is not None)

    def push(self, entry: Entry) -> None:
        """Add a change; what was undone before can't be redone any more."""
        self.state = State(self._within_budget((*self.state.done, entry)), ())

    def trim(self) -> None:
        """Drop the oldest undo copies until the budget holds."""
        self.state = State(self._within_budget(self.state.done), self.state.undone)

    def make_room(self, n_bytes: int) -> list[torch.Tensor]:
        """Drop the undo copies that won't fit beside one of ``n_bytes``, for good, and give the memory they were in.

        It is the next copy's: handed back to the system, it would have to be waited for page by page.
        """
        kept = self._within_budget(self.state.done, n_bytes)
        gone = [
            before.undo
            for before, after in zip(self.state.done, kept, strict=True)
            if before.undo is not None and after.undo is None
        ]
        self.state = State(kept, self.state.undone)
        return [undo.release() for undo in gone]

    def _within_budget(self, done: tuple[Entry, ...], n_more: int = 0) -> tuple[Entry, ...]:
        left, kept = self.budget_bytes - n_more - self.marked_bytes, []
        is_full = False
        for entry in reversed(done):
            size = entry.undo.size_bytes if entry.undo is not None else 0
            is_full = is_full or entry.undo is None or size > left
            if is_full and entry.undo is not None and len(entry.change.paths) <= FEW:
                entry.change.before, entry.change.after  # noqa: B018 - made while the bytes are there
            kept.append(replace(entry, undo=None) if is_full else entry)
            left -= size
        return tuple(reversed(kept))


_LOGS: ModelValues[Log] = ModelValues()


def log_of(module: object) -> Log:
    """The log of a model, begun where there is none; runs no ``__eq__`` or ``__hash__`` of the model's class.

    Raises:
        InvalidTargetError: It is no module.
    """
    require_module(module)
    with _LOGS.lock:
        log = _LOGS.get(module)
        if log is None:
            log = Log(id(module))
            _LOGS.put(module, log)
        return log
