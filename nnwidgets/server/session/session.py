"""One view of one live model: what was read of it, and how stale that is. All handlers ask one."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from torch import nn
from torch.optim import Optimizer

from nnwidgets.checkpoint import Snapshot
from nnwidgets.distributed.ranks import RankedModel
from nnwidgets.edit import history
from nnwidgets.errors import NNWidgetsError
from nnwidgets.introspect.checks import data_findings, structural_findings, worst_first
from nnwidgets.introspect.checks.training import untrained_paths
from nnwidgets.introspect.model_values import LAST_ACTIVATIONS, LAST_TRACES, ModelValues
from nnwidgets.introspect.module_tree.expressions import is_identifier
from nnwidgets.introspect.module_tree.nodes import ModuleTree
from nnwidgets.introspect.module_tree.tree import tree
from nnwidgets.introspect.optimizers import optimizers_holding, tensors_elsewhere
from nnwidgets.introspect.records import Finding, TensorStats
from nnwidgets.introspect.safe_access.frames import name_of
from nnwidgets.introspect.safe_access.objects import is_module
from nnwidgets.introspect.safe_access.scan import read
from nnwidgets.introspect.signal.signal_records import Activations
from nnwidgets.introspect.statistics.exact_stats import CancelledError
from nnwidgets.introspect.statistics.threads import single_thread
from nnwidgets.introspect.stats_table import StatsTable, stats_table
from nnwidgets.introspect.tracing.trace_record import Trace
from nnwidgets.server.notebook.ipykernel import is_cell_running
from nnwidgets.server.notebook.variables import is_place, notebook, optimizers
from nnwidgets.server.page_files import part
from nnwidgets.server.rows.flatten import FlatTree, ViewState, flatten
from nnwidgets.server.rows.moved_marks import moved_rows
from nnwidgets.server.rows.shown_trees import look_same, without_raw_keys
from nnwidgets.server.rows.signal_marks import SignalMarks
from nnwidgets.server.rows.trace_marks import TraceMarks
from nnwidgets.server.rows.tree_index import RowRun, TreeIndex, is_frozen
from nnwidgets.server.session.file_cache import FileCache
from nnwidgets.server.session.model_ref import ModelRef
from nnwidgets.server.session.stats_cache import StatsCache
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.errors import RequestError
from nnwidgets.wire.threads import Workers

_LOG = logging.getLogger(__name__)

T = TypeVar("T")
Emit = Callable[[str, dict[str, Any]], None]

_MAX_FLATS = 6
_WINDOWS_KEPT = 3
_QUICK_READ = 0.05
"""Seconds that reading may take without a second thought."""
_TIMES_LEFT_ALONE = 5
"""A slow model is read again only after it was left alone this many times as long."""
_CHEAP_CHECK = 0.5
"""Seconds that a check may take to be done again after each cell, rather than only when the tree changed or asked."""


def model_gone_error() -> RequestError:
    """Return the error for a model that no longer exists."""
    return RequestError("model-gone", "The model was deleted.", hint="Run the cell again to open a new view.")


class Session:
    """The kernel's half of a view.

    What a cell may have changed is read again at the next request, not before: an idle view costs nothing. Requests
    come from several threads; each takes the lock for as long as it takes to read the tree, never to read data.

    Args:
        module: The model.
        name: What it is called.
        variable: The variable that holds it, if one does, for code to paste; by default its name.
        optimizers: What trains it, for the checks.
        hold: Whether to keep the model alive, because no variable does.
        emit: Takes an event and its body to the page.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        name: str | None = None,
        variable: str | None = None,
        optimizers: Sequence[object] = (),
        hold: bool = False,
        emit: Emit = lambda _event, _body: None,
    ) -> None:
        self.name = name
        self.variable = variable or name
        self.emit = emit
        self._lock = threading.RLock()
        self._module: ModelRef[nn.Module] = ModelRef(module, strong=hold, gone=self._on_model_gone)
        self._optimizers = [ModelRef(each, strong=name_of(each, notebook()) is None) for each in optimizers]
        self._index: TreeIndex | None = None
        self._is_stale = True
        self._read_at = 0.0
        self._read_seconds = 0.0
        self._generation = 0
        self._n_trees = 0
        self._flats: OrderedDict[object, FlatTree] = OrderedDict()
        self._findings: tuple[Finding, ...] = ()
        self._of_data: tuple[Finding, ...] = ()
        self._checked: int | None = None
        self._check_seconds = 0.0
        self._is_checking = False
        self.trace_marks = TraceMarks(LAST_TRACES.get(module))
        self.signal = SignalMarks(LAST_ACTIVATIONS.get(module), module)
        self.untrained: frozenset[str] = frozenset()
        self.preview_stats: dict[tuple[str, int | None], TensorStats] = {}
        self.file_cache = FileCache()
        self.stats_cache = StatsCache()
        self.n_changes = 0
        self.hears_of_cells = False
        self.stats_table: StatsTable | None = None
        self._mark: Snapshot | None = None
        self._is_comparing = self._is_comparison_due = self._has_pulse = False
        self._windows_shown: deque[list[str]] = deque(maxlen=_WINDOWS_KEPT)
        self._folds_shown: deque[tuple[TreeIndex, Mapping[str, RowRun]]] = deque(maxlen=_WINDOWS_KEPT)
        _SESSIONS.append(weakref.ref(self, _SESSIONS.remove))

    # ---- the model ----

    @property
    def module(self) -> nn.Module:
        """The live model.

        Raises:
            RequestError: `model-gone`.
        """
        module = self._module.get()
        if module is None:
            raise model_gone_error()
        return module

    @property
    def model_or_none(self) -> nn.Module | None:
        """The live model, or None once it is gone or the view is closed."""
        return self._module.get()

    @property
    def over_ranks(self) -> RankedModel | None:
        """The model, where several processes hold it."""
        return None

    def ask(self, question: Callable[[Any], T]) -> T:
        """What a function gives of the model."""
        return question(self.module)

    @property
    def code_name(self) -> str:
        """What pasted code calls the model."""
        name = self.variable
        return name if name is not None and (is_identifier(name) or is_place(name)) else "model"

    def optimizers(self) -> list[Optimizer]:
        """The live optimizers of the model: those passed, then those in the notebook's variables."""
        return optimizers_holding(self.module, [*self._passed_optimizers(), *optimizers().values()])

    def named_optimizers(self) -> list[tuple[str | None, Any]]:
        """The optimizers passed and those in the notebook's variables, each once, under their variables' names."""
        named = {id(each): (name, each) for name, each in reversed(optimizers().items())}
        passed = {id(each): named.get(id(each), (None, each)) for each in self._passed_optimizers()}
        return list((passed | named).values())

    def _passed_optimizers(self) -> list[Any]:
        return [optimizer for held in self._optimizers if (optimizer := held.get()) is not None]

    def close(self) -> None:
        """Let go of the model and of everything read from it."""
        self._module.release()
        for held in self._optimizers:
            held.release()
        self._forget()

    def _on_model_gone(self) -> None:
        # This runs wherever the garbage collector happens to: sending belongs to a thread that holds nothing.
        self._forget()
        Workers().run(partial(self.emit, "closed", {"code": "model-gone", "message": model_gone_error().message}))

    def _forget(self) -> None:
        self._index = None
        self._flats = OrderedDict()
        self._findings = self._of_data = ()
        self.trace_marks, self.signal = TraceMarks(None), SignalMarks(None)
        self.preview_stats = {}
        self.file_cache.clear()
        self.stats_cache.clear()
        self._folds_shown.clear()
        self.stats_table = self._mark = None

    # ---- what was read ----

    @property
    def generation(self) -> int:
        """Counts the different trees that were read."""
        return self._generation

    def index(self) -> TreeIndex:
        """Return the model as it is now, read again if something may have changed it.

        Raises:
            RequestError: `model-gone`.
        """
        module = self.module
        with self._lock:
            index = self._index
            if index is not None and not self._is_stale:
                return index
            self._is_stale = False
            began = time.monotonic()
            made = without_raw_keys(tree(module))
            self._read_at = time.monotonic()
            self._read_seconds = max(0.0, self._read_at - began - _QUICK_READ)
            return self._take_tree(made)

    def _take_tree(self, made: ModuleTree) -> TreeIndex:
        """Show a tree, unless it looks as the last one."""
        if self._index is None or not look_same(self._index.tree, made):
            self._index = self._index_of(made)
            self._generation += 1
            self._n_trees += 1
            self._flats.clear()
        return self._index

    def _index_of(self, made: ModuleTree) -> TreeIndex:
        return TreeIndex(made, self._findings)

    def report_possible_change(self) -> None:
        """Read the model again at the next request, and tell the page; for the end of each cell."""
        self.hears_of_cells = True
        if self.model_or_none is not None:
            self.mark_stale()
            self.emit("changed", {"structure": True})
            self._tell_moved()

    def report_change(self, *, structure: bool) -> None:
        """Tell every view of the model that a change was made; ``structure`` where its rows look different now."""
        for session in self.all_of_model():
            session.mark_stale()
            session.emit("changed", {"structure": structure})
            session._tell_moved()  # noqa: SLF001 - the same class

    def all_of_model(self) -> list[Session]:
        """The sessions of all views of the model, this one among them."""
        module, known = self.module, [reference() for reference in _SESSIONS.copy()]
        return [session for session in known if session is not None and session.is_of(module)]

    def is_of(self, module: object) -> bool:
        """Whether this is a view of a model."""
        return self.model_or_none is module

    def mark_stale(self) -> None:
        """Read the model again at the next request, unless it takes long to read and was read just now."""
        self.n_changes += 1
        if time.monotonic() - self._read_at >= _TIMES_LEFT_ALONE * self._read_seconds:
            self._is_stale = True
            if self._check_seconds < _CHEAP_CHECK:
                self._checked = None

    def flat(self, state: ViewState) -> FlatTree:
        """Return the flattened tree in ``state``; the last few states are remembered, so that scrolling is cheap."""
        with self._lock:
            index = self.index()
            key = (self._generation, state.key)
            flat = self._flats.get(key)
            if flat is None:
                flat = flatten(index, state)
                self._flats[key] = flat
                if len(self._flats) > _MAX_FLATS:
                    self._flats.popitem(last=False)
            else:
                self._flats.move_to_end(key)
            return flat

    def note_shown(self, paths: list[str], folds: tuple[TreeIndex, Mapping[str, RowRun]] | None = None) -> None:
        """Remember that the page was sent the rows of these paths, and these folds of an index by their ids."""
        self._windows_shown.append(paths)
        if folds is not None:
            self._folds_shown.append(folds)

    @property
    def shown_paths(self) -> list[str]:
        """Paths of the rows that the page was sent last, the latest first."""
        return list(dict.fromkeys(path for paths in reversed(self._windows_shown.copy()) for path in paths))

    def shown_folds(self) -> dict[str, list[str]]:
        """The folds that the page was sent last: by their ids the paths of their members."""
        shown = self._folds_shown.copy()
        return {
            fold: [index.nodes[member].path for member in run.members]
            for index, folds in shown
            for fold, run in folds.items()
        }

    # ---- what moved ----

    @property
    def mark(self) -> Snapshot | None:
        """What the tensors were at one moment; the rows tell how far they have moved since."""
        return self._mark

    def show_mark(self, mark: Snapshot | None) -> None:
        """Have the rows tell what moved since a mark, again after each cell and each change; None ends that."""
        had, self._mark = self._mark, mark
        if mark is not None:
            self._tell_moved()
        elif had is not None:
            self._send_moved({})

    def _tell_moved(self) -> None:
        with self._lock:
            if self._mark is None:
                return
            self._is_comparison_due = True
            if self._is_comparing:
                return
            self._is_comparing = True
        Workers().run(self._compare)

    def _compare(self) -> None:
        """Compare with the mark, and again for what has changed meanwhile; for a thread of its own."""
        while True:
            with self._lock:
                mark, module = self._mark, self.model_or_none
                if not self._is_comparison_due or mark is None or module is None:
                    self._is_comparing = False
                    return
                self._is_comparison_due = False
            # A model that is gone, or can't be compared now, has nothing to tell.
            try:
                with suppress(RequestError, NNWidgetsError), single_thread(is_cell_running):
                    self._send_moved(moved_rows(self.index(), mark, module))
            except BaseException:
                self._is_comparing = False
                raise

    def _send_moved(self, moved: dict[str, float | None]) -> None:
        self.send_tick({"step": 0, "beats": {}, "broken": None, "moved": moved})

    def send_tick(self, body: dict[str, Any]) -> None:
        """Send what is drawn beside the rows; the first brings the part of the page that draws it.

        A kernel that trains answers no request for that part.
        """
        if not self._has_pulse:
            code, style = part("pulse")
            body = {**body, "part": {"code": code, "style": style}}
            self._has_pulse = True
        self.emit("ticked", body)

    # ---- what was found ----

    def claim_check(self) -> bool:
        """Return whether findings are out of date and nobody is at it yet.

        The caller then has to call `check_in_background`.
        """
        with self._lock:
            begin = not self._is_checking and self._checked != self._n_trees
            self._is_checking = self._is_checking or begin
            return begin

    def check_in_background(self) -> None:
        """Check the model and tell the page what is new; for a thread of its own."""
        try:
            self.check()
        except (RequestError, CancelledError):
            return  # the model is gone or the view closed, which the page hears otherwise
        except Exception:  # noqa: BLE001 - a check that fails must not end the view; the log has it
            _LOG.exception("The checks failed.")
            self._checked = self._n_trees
        finally:
            self._is_checking = False

    def check(self, cancelled: Callable[[], bool] = lambda: False) -> tuple[Finding, ...]:
        """Check the model now: what its structure tells shows at once, what its data tells follows.

        Args:
            cancelled: Asked now and then; true ends the work.

        Raises:
            RequestError: `model-gone`.
            CancelledError: ``cancelled`` was true, or the view was closed.
        """
        self.index()
        checked, began = self._n_trees, time.monotonic()
        reading = read(self.module)
        name = self.variable or "net"
        training = self.optimizers()
        others = tensors_elsewhere(self.module, training, notebook().values())
        found = self._unasked(
            structural_findings(reading, name=name, optimizers=self._passed_optimizers() or training, elsewhere=others)
        )
        self.untrained = untrained_paths(reading, training)
        self._take_findings(worst_first((*found, *self._of_data)))
        self._of_data = data_findings(reading, name=name, cancelled=lambda: cancelled() or self.model_or_none is None)
        every = worst_first((*found, *self._of_data))
        self._take_findings(every)
        self._check_seconds = time.monotonic() - began
        self._checked = checked
        return every

    def _unasked(self, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        """Leave out the notes on what is frozen where it was frozen through nnwidgets, on purpose."""
        frozen: set[str] = set()
        for change in history(self.module).changes:
            if change.kind == "freeze":
                frozen.update(change.paths)
            elif change.kind == "unfreeze":
                frozen.difference_update(change.paths)
        if not frozen:
            return tuple(findings)
        index = self.index()

        def is_asked(finding: Finding) -> bool:
            place = index.resolve(finding.path) if finding.code == "frozen" else None
            if place is None:
                return False
            if place.entry is not None:
                return place.entry.path in frozen
            below = range(place.row, place.row + index.size[place.row])
            held = (entry.path for number in below for entry in index.nodes[number].tensors if is_frozen(entry))
            return all(path in frozen for path in held)

        return tuple(finding for finding in findings if not is_asked(finding))

    def _take_findings(self, findings: tuple[Finding, ...]) -> None:
        with self._lock:
            if findings == self._findings or self._index is None:
                return
            self._findings = findings
            self._index = self._index_of(self._index.tree)
            self._generation += 1
            self._flats.clear()
        self.emit("changed", {"structure": True})

    def measure(self, job: Job) -> StatsTable:
        """Statistics of all tensors.

        Args:
            job: Told of progress, and asked whether to stop.
        """
        return stats_table(
            self.module, since=self.mark, progress=job.progress, cancelled=lambda: job.cancelled,
            is_busy=is_cell_running,
        )  # fmt: skip

    @property
    def trace(self) -> Trace | None:
        """The last trace shown in this view."""
        return self.trace_marks.trace

    def show_trace(self, trace: Trace | None) -> None:
        """Show ``trace`` on the rows; None takes the last one away."""
        self.trace_marks = TraceMarks(trace)
        self._remember(LAST_TRACES, trace)
        self.emit("traced", {})

    def show_activations(self, found: Activations) -> None:
        """Show a run of `activations` on the rows and as curves."""
        self.signal = SignalMarks(found, self.model_or_none)
        self._remember(LAST_ACTIVATIONS, found)
        self.emit("activated", {})

    def _remember(self, runs: ModelValues[Any], found: Any) -> None:
        """Have views that are opened later show a run too."""
        module = self.model_or_none
        if is_module(module):
            runs.put(module, found)


_SESSIONS: list[weakref.ref[Session]] = []
"""All that live: a change made in one view shows in every other of the same model."""
