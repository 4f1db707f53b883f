"""One view of a model over ranks: its tree is kept here and the ranks are asked for values.

No rank is waited for longer than `ranks` was told to; which answered last is part of what the page shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from torch import nn
from torch.optim import Optimizer

from nnwidgets.checkpoint import Snapshot
from nnwidgets.distributed.merging.trees import Reading
from nnwidgets.distributed.ranks import RankedModel
from nnwidgets.distributed.status import RankStatus
from nnwidgets.errors import InvalidTargetError, NNWidgetsError
from nnwidgets.introspect.checks.check import check
from nnwidgets.introspect.module_tree.nodes import ModuleTree
from nnwidgets.introspect.records import Finding
from nnwidgets.introspect.safe_access.frames import name_of
from nnwidgets.introspect.statistics.stats import stats
from nnwidgets.introspect.stats_table import StatsTable
from nnwidgets.server.notebook.variables import notebook
from nnwidgets.server.rows.tree_index import TreeIndex
from nnwidgets.server.session.session import Emit, Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.errors import RequestError
from nnwidgets.wire.threads import Workers

T = TypeVar("T")


def _states(statuses: Sequence[RankStatus]) -> list[tuple[int, str]]:
    return [(status.rank, status.state) for status in statuses]


class RankedSession(Session):
    """The kernel's half of a view of a model over ranks.

    Args:
        model: The model.
        name: What it is called; by default as on the ranks.
        variable: The variable that holds it here, if one does.
        emit: Takes an event and its body to the page.

    Attributes:
        problem: Why the ranks couldn't say what the model is now; None where they could.
    """

    def __init__(
        self,
        model: RankedModel,
        *,
        name: str | None = None,
        variable: str | None = None,
        emit: Emit = lambda _event, _body: None,
    ) -> None:
        of = name_of(model.ranks, notebook())
        variable = variable if of is None or variable is not None else f'{of}["{model.name}"]'
        super().__init__(cast("nn.Module", model), name=name or model.name, variable=variable, hold=True, emit=emit)
        self._reading: Reading | None = None
        self._is_reading = False
        self._statuses: Sequence[RankStatus] = ()
        self.problem: str | None = None

    @property
    def over_ranks(self) -> RankedModel:
        """The model.

        Raises:
            RequestError: `view-closed`, `model-gone`.
        """
        return cast("RankedModel", self.module)

    def is_of(self, module: object) -> bool:
        """Whether this is a view of a model, by whichever object that is named."""
        own: object = self.model_or_none
        return isinstance(own, RankedModel) and isinstance(module, RankedModel) and own.is_same_as(module)

    @property
    def statuses(self) -> Sequence[RankStatus]:
        """How each rank was when it was last asked, in their order."""
        return self._statuses

    @property
    def reading(self) -> Reading:
        """What the ranks said of the model's structure."""
        self.index()
        return cast("Reading", self._reading)

    @property
    def code_name(self) -> str:
        """What pasted code calls the model: it runs on the ranks."""
        return self.over_ranks.name

    def ask(self, question: Callable[[Any], T]) -> T:
        """Ask the ranks something, and tell the page where one isn't as it was before."""
        model, before = self.over_ranks, self._statuses
        try:
            return question(model)
        finally:
            # Kept, since to ask for them may be a question to the ranks too.
            self._statuses = sorted(model.ranks.statuses, key=lambda status: status.rank)
            if before and _states(before) != _states(self._statuses):
                self.emit("changed", {"structure": True})

    def index(self) -> TreeIndex:
        """Return the model as it was last read; where something may have changed it, it is read again meanwhile.

        Raises:
            RequestError: `model-gone`.
            RankMissingError: It was never read, and no rank answers, or one has no such model.
        """
        with self._lock:
            if self._index is None:
                self._is_stale = False
                self._reading = self.ask(lambda model: model.read())
                return self._take_tree(self._reading.tree)
            if self._is_stale and not self._is_reading:
                self._is_stale, self._is_reading = False, True
                Workers().run(self._read_again)
            return self._index

    def _index_of(self, made: ModuleTree) -> TreeIndex:
        return TreeIndex(made, self._findings, self._reading.owners if self._reading is not None else None)

    def _read_again(self) -> None:
        """Read what may have changed and tell the page; for a thread of its own, which a silent rank may hold up."""
        before, problem, generation = self._reading, self.problem, self._generation
        try:
            made = self.ask(lambda model: model.read(before))
        except RequestError:
            return  # the view was closed meanwhile
        except NNWidgetsError as error:
            self.problem = error.message
        else:
            self.problem = None
            with self._lock:
                self._reading = made
                if before is None or made.tree.nodes is not before.tree.nodes:
                    self._take_tree(made.tree)
        finally:
            self._is_reading = False
        if (self.problem, self._generation) != (problem, generation):
            self.emit("changed", {"structure": True})

    def check(self, cancelled: Callable[[], bool] = lambda: False) -> tuple[Finding, ...]:  # noqa: ARG002 - one message
        """Check the model on all ranks now.

        Raises:
            RequestError: `model-gone`, `unreadable`.
        """
        self.index()
        self._checked, began = self._n_trees, time.monotonic()
        try:
            found = self.ask(lambda model: check(cast("nn.Module", model)))
        except NNWidgetsError as error:
            raise RequestError("unreadable", error.message, hint=error.hint) from None
        finally:
            self._check_seconds = time.monotonic() - began
        self._take_findings(found)
        return found

    def measure(self, job: Job) -> StatsTable:  # noqa: ARG002 - one message to each rank
        """Statistics of all tensors."""
        return self.ask(lambda model: stats(cast("nn.Module", model)))

    def optimizers(self) -> list[Optimizer]:
        """None: those that train it are on the ranks."""
        return []

    def show_mark(self, mark: Snapshot | None) -> None:
        """Refuse.

        Raises:
            InvalidTargetError: There is a mark.
        """
        if mark is not None:
            raise InvalidTargetError("Marks of a model over ranks aren't there yet.", hint="Mark it on each rank.")

    def _forget(self) -> None:
        super()._forget()
        self._reading = None
