"""A change of a model, as it was made: the one record of every kind."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nnwidgets.edit.code import Recipe, script
from nnwidgets.edit.targets import Tie
from nnwidgets.formatting import and_more, counted
from nnwidgets.introspect.records import Record, TensorStats, as_json

Kind = Literal["init", "assign", "freeze", "unfreeze", "function", "load"]
Outcome = Literal["done", "undone", "redone"]
Statistics = Mapping[str, TensorStats]


@dataclass(frozen=True, slots=True, repr=False, eq=False, weakref_slot=True)
class Change(Record):
    """What was done, or in a preview would be done, to a model.

    Attributes:
        label: ``"xavier_uniform_(gain=2)"``.
        kind: ``"init"``, ``"assign"``, ``"freeze"``, ``"unfreeze"``, ``"function"``, ``"load"``.
        paths: Every name whose value changed, ties included, in walk order.
        seed: What the random numbers came from; None where there were none.
        warnings: What its author should know.
        time: Seconds since the epoch.
        n_elements: Elements written, each once; of a function or a reset, those of the tensors that changed.
        ties: The names among ``paths`` that were reached through another one, and how.
        is_preview: Whether nothing was written.
        ranks: Those that made it together; none where it is this process's own.
        world_size: How many ranks there are.
    """

    label: str
    kind: Kind
    paths: tuple[str, ...]
    seed: int | None
    warnings: tuple[str, ...]
    time: float
    n_elements: int
    ties: tuple[Tie, ...]
    is_preview: bool
    _recipe: Recipe = field(repr=False)
    _numbers: Numbers = field(repr=False)
    _outcome: Outcome = "done"
    ranks: tuple[int, ...] = ()
    world_size: int = 1

    @property
    def before(self) -> Statistics:
        """Statistics of the old values by path.

        They are made when asked for, from the undo copy: exact up to four million elements, else sampled and marked
        so. A path is left out where its old values are no longer known: those of more than 16 tensors, where the
        history dropped the copy.
        """
        return self._numbers.before()

    @property
    def after(self) -> Statistics:
        """Statistics of the new values by path.

        Made as ``before`` is. Where other code has written over the new values, those made at the time of the change
        are given, or none where it had more than 16 tensors.
        """
        return self._numbers.after()

    def numbers(self, paths: Collection[str]) -> tuple[Statistics, Statistics]:
        """``before`` and ``after`` of a few paths, without the time it takes to make those of all.

        Args:
            paths: Some of ``paths``.

        Example:
            >>> from torch import nn
            >>> from nnwidgets.edit import init
            >>> before, after = init(nn.Linear(2, 3), "**", "ones_").numbers(["bias"])
            >>> list(after), after["bias"].mean
            (['bias'], 1.0)
        """
        return self._numbers.some(paths)

    def to_code(self, name: str = "net", optimizer: str = "optimizer") -> str:
        """Python that makes the same change, bit for bit, with torch alone.

        Args:
            name: The variable that holds the model.
            optimizer: The variable that holds the optimizer, where its state was cleared.

        Raises:
            InvalidTargetError: A name is none.
        """
        return script([self._recipe], name, optimizer)

    def __repr__(self) -> str:
        where = ", ".join(self.paths[:3]) + and_more(len(self.paths) - 3)
        seed = "" if self.seed is None else f", seed {self.seed}"
        warned = f", {counted(len(self.warnings), 'warning')}" if self.warnings else ""
        undone = ", undone" if self._outcome == "undone" else ""
        return f"Change({'preview of ' if self.is_preview else ''}{self.label}: {where}{seed}{warned}{undone})"

    @property
    def outcome(self) -> Outcome:
        """Whether it was made, taken back, or made again by the call that gave it."""
        return self._outcome

    def to_dict(self) -> dict[str, Any]:
        """All fields and statistics, as JSON has them."""
        return {**Record.to_dict(self), **as_json({"before": self.before, "after": self.after})}

    @property
    def when(self) -> str:
        """The local time of day: ``"14:03:59"``."""
        return clock.strftime("%H:%M:%S", clock.localtime(self.time))


Make = Callable[[Collection[str] | None], dict[str, TensorStats]]
"""Makes statistics of some paths, or of all where None is given."""


class Numbers:
    """Statistics of a change: made once, when asked for."""

    def __init__(
        self,
        before: Make,
        after: Make,
        at_once: dict[str, TensorStats] | None = None,
        beforehand: dict[str, TensorStats] | None = None,
    ) -> None:
        """Take what makes them.

        Args:
            before: Gives those of the old values that are known, of some paths or of all.
            after: Gives those of the new values that are known.
            at_once: Those of new values that were made with the change.
            beforehand: Those of old values that were made before it.
        """
        self._make_before, self._make_after = before, after
        self._before: dict[str, TensorStats] = {}
        self._after: dict[str, TensorStats] = {}
        self._at_once = at_once or {}
        self._beforehand = beforehand or {}

    def before(self) -> dict[str, TensorStats]:
        """Those of the old values."""
        if not self._before:
            self._before = self._make_before(None)
        return {**self._beforehand, **self._before}

    def after(self) -> dict[str, TensorStats]:
        """Those of the new values."""
        if not self._after:
            self._after = self._make_after(None)
        return {**self._at_once, **self._after}

    def some(self, paths: Collection[str]) -> tuple[dict[str, TensorStats], dict[str, TensorStats]]:
        """Those of the old and of the new values at some paths."""
        before = {**self._beforehand, **(self._before or self._make_before(paths))}
        after = {**self._at_once, **(self._after or self._make_after(paths))}
        return (
            {path: before[path] for path in paths if path in before},
            {path: after[path] for path in paths if path in after},
        )
