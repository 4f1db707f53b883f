"""The Explorer: a widget that shows a live model."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import anywidget
from torch import nn
from traitlets import Bytes, Int, TraitError, Unicode, default, validate

from nnwidgets.checkpoint import Snapshot
from nnwidgets.checkpoint.without_model import file_module
from nnwidgets.distributed.ranks import RankedModel
from nnwidgets.errors import InvalidTargetError, PathNotFoundError
from nnwidgets.formatting import inert
from nnwidgets.introspect.optimizers import optimizers_in
from nnwidgets.introspect.safe_access.frames import callers_variables, name_of
from nnwidgets.introspect.safe_access.objects import is_a, is_module, require_module, type_name
from nnwidgets.introspect.signal.signal_records import Activations
from nnwidgets.introspect.tracing.trace_record import Trace
from nnwidgets.server.handlers.open_and_rows import first_view
from nnwidgets.server.handlers.registry import handlers, is_long, is_long_over_ranks, is_patient
from nnwidgets.server.notebook.ipykernel import after_each_cell, answer_where_asked, is_unattended
from nnwidgets.server.notebook.variables import notebook
from nnwidgets.server.session import open_views
from nnwidgets.server.session.ranked_session import RankedSession
from nnwidgets.server.session.session import Emit, Session
from nnwidgets.spoken_language import chosen_language
from nnwidgets.widgets import bundle, marimo
from nnwidgets.widgets.any_base import AnyLayout
from nnwidgets.widgets.static_output import static_bundle
from nnwidgets.widgets.training_ticks import TrainingTicks
from nnwidgets.wire.codec import encode
from nnwidgets.wire.dispatch import Dispatcher, view_closed_error
from nnwidgets.wire.schema.envelope import VERSION
from nnwidgets.wire.threads import Workers

_HEIGHTS = range(160, 4_001)
_MOST_READ = 2**31
"""Bytes of a file whose values are read to be shown."""
_VIEW_OR_TREE = "application/vnd.nnwidgets.explorer+json"
"""What our extension of JupyterLab shows an output by: the widget, or where there is none any more, the HTML."""


class _PathNotFoundError(PathNotFoundError, TraitError):
    """One that traitlets takes for its own too, so that `selected` keeps its value."""


class Explorer(anywidget.AnyWidget):
    """A view of a live model; made by `explore`.

    Attributes:
        selected: Path of the selected row, ``""`` for the model itself; set it to select. A path that the model hasn't
            is refused with a `PathNotFoundError`.
        filter: Text of the filter box; set it to filter.
    """

    _esm = Unicode().tag(sync=True)
    _css = Unicode().tag(sync=True)
    _bundle = Unicode().tag(sync=True)
    _first = Bytes().tag(sync=True)
    _height = Int(None, allow_none=True).tag(sync=True)
    _seen = Unicode().tag(sync=True)
    _language = Unicode().tag(sync=True)
    selected = Unicode("").tag(sync=True)
    filter = Unicode("").tag(sync=True)

    _session: Session | None = None
    _is_shown = True
    _name = "a model"
    _ipython_display_ = None
    """That of ipywidgets 7 would be asked before `_repr_mimebundle_`, and leave the static tree out."""

    def __init__(
        self,
        module: nn.Module | RankedModel,
        *,
        optimizer: object | None = None,
        name: str | None = None,
        height: int | None = None,
    ) -> None:
        _check(module, name, height)
        session = _session(module, name, optimizer, self._emit)
        first = first_view(session)
        self._is_shown = not is_unattended()
        page = {**bundle.traits(), "layout": AnyLayout()} if self._is_shown else {}
        self._session, self._name = session, session.name or type_name(type(module))
        self._workers = Workers(limit=1)
        self._ticks = TrainingTicks()
        answers = handlers(self._session_for)
        background = is_long if session.over_ranks is None else is_long_over_ranks
        self._dispatcher = Dispatcher(answers, self._send_wire, background=background, patient=is_patient)
        super().__init__(
            **page,
            _first=bundle.compress(json.dumps(first, separators=(",", ":"))),
            _height=height,
            _seen=datetime.now(UTC).isoformat(timespec="seconds"),
            _language=chosen_language(),
        )
        if self._is_shown:
            answer_where_asked(self.comm)
            answer_where_asked(self.layout.comm)
        self.on_msg(self._receive)
        self._stop_watching = after_each_cell(self._on_cell_run)
        open_views.add(self)
        marimo.when_cell_ends(self.close)

    @property
    def model(self) -> nn.Module | None:
        """The model in view, or None once it is gone or the view is closed."""
        return self._session.model_or_none if self._session is not None else None

    def __repr__(self) -> str:
        return f"{'closed ' if self._session is None else ''}Explorer of {inert(self._name, 80)}"

    def open(self) -> None:
        """Have the page make the view; where a program runs the notebook there is no page, and nothing to be saved."""
        if self._is_shown:
            super().open()

    def tick(self, *, stop_on_nan: bool = False, activations: bool = False) -> None:
        """Say that a step was made; for use in a training loop, after each ``optimizer.step()``.

        The page draws the course of each parameter's norm, its gradient's, and how far a step moves it, on the rows in
        sight, and reads anew what else is in sight. It hears of at most four steps a second, and of fewer where
        measuring would take more than a fiftieth of the time. NaN and infinities are looked for in all gradients, after
        each step where that time allows: the view tells the first tensor with some, after which step, and which step
        had none.

        Args:
            stop_on_nan: Look after each step, however long that takes, and raise when something isn't finite.
            activations: Follow the signal as well: mean and standard deviation of what each module in sight gives, and
                of the gradient that arrives there, from up to 4,096 elements of each. Every so often, as the same share
                of the time allows, the step after a tick is watched for it, by a hook that goes with that step, with
                the cell, or with the view. No forward is run for it. Compiled modules aren't watched.

        Raises:
            FloatingPointError: A gradient, or a value, isn't finite, and ``stop_on_nan``; it says which and since when.

        Example:
            >>> net = nn.Linear(2, 3)
            >>> view = explore(net)  # doctest: +SKIP
            >>> view.tick()  # doctest: +SKIP
        """
        if self._session is not None and self._session.over_ranks is not None:
            raise InvalidTargetError(
                "The ranks of this model train, not this view of it.", hint="Call tick on a rank's."
            )
        if self._session is not None:
            self._ticks.tick(self._session, stop_on_nan=stop_on_nan, activations=activations)

    def show_trace(self, trace: Trace) -> None:
        """Show a trace's calls, shapes and times on the rows, and where it failed.

        Args:
            trace: What `trace` gave for this model.

        Raises:
            InvalidTargetError: It is not a `Trace`.
        """
        if not isinstance(trace, Trace):
            raise InvalidTargetError(
                f"A {type_name(type(trace))} is not a Trace.", hint="Pass what nnw.trace(net, x) gives."
            )
        if self._session is not None:
            self._session.show_trace(trace)

    def show_activations(self, found: Activations) -> None:
        """Show the signal through the layers: as bars on the rows, and as curves in the tab Signal.

        Args:
            found: What `activations` gave for this model.

        Raises:
            InvalidTargetError: It is no `Activations`.
        """
        if not isinstance(found, Activations):
            raise InvalidTargetError(
                f"A {type_name(type(found))} is not an Activations.", hint="Pass what nnw.activations(net, x) gives."
            )
        if self._session is not None:
            self._session.show_activations(found)

    def show_mark(self, mark: Snapshot | None) -> None:
        """Have the rows tell how far they have moved since a mark, again after each cell and each change.

        Args:
            mark: What `snapshot` gave for this model; None to end it.

        Raises:
            InvalidTargetError: It is not a `Snapshot`.
        """
        if mark is not None and not isinstance(mark, Snapshot):
            raise InvalidTargetError(
                f"A {type_name(type(mark))} is not a Snapshot.", hint="Pass what nnw.snapshot(net) gives."
            )
        if self._session is not None:
            self._session.show_mark(mark)

    def close(self) -> None:
        """End the view: what is pending is answered, the model is let go, the page is told. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            self._ticks.forget_step()
            self._ticks = TrainingTicks()
            self._stop_watching()
            self._dispatcher.close()
            self._emit("closed", {"code": "view-closed", "message": "The view was closed."})
            session.close()
            open_views.remove(self)
            if self._is_shown:
                self.layout.close()
        super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        if self._session is None:
            return {"text/plain": repr(self)}
        static = static_bundle(self._session, self.selected)
        if not self._is_shown:
            return static
        made: Any = super()._repr_mimebundle_(**kwargs)
        data, metadata = made if isinstance(made, tuple) else (made, {})
        if "google.colab" in sys.modules:
            # Of HTML and a widget in one output it isn't known which Colab would show.
            static.pop("text/html", None)
        elif "text/html" in static:
            data = {**data, _VIEW_OR_TREE: {}}
        return {**data, **static}, metadata

    @default("layout")
    def _make_layout(self) -> AnyLayout:
        return AnyLayout()

    @validate("selected")
    def _check_selected(self, proposal: Mapping[str, Any]) -> str:
        path: str = proposal["value"]
        if self._session is not None and path:
            try:
                self._session.index().place(path)
            except PathNotFoundError as error:
                raise _PathNotFoundError(
                    error.message, path=error.path, hint=error.hint, closest=error.closest
                ) from None
        return path

    # ---- to and from the page ----

    def _session_for(self, _body: Mapping[str, Any]) -> Session:
        session = self._session
        if session is None:
            raise view_closed_error()
        if session.claim_check():
            self._workers.run(session.check_in_background)
        return session

    def _receive(self, _widget: object, content: object, _buffers: object) -> None:
        if content == {"tell": "bundle"}:
            bundle.tell_again()
            self.send({"told": "bundle"})
        else:
            self._dispatcher.receive(content)

    def _send_wire(self, message: dict[str, Any], buffers: list[bytes | memoryview]) -> None:
        if self.comm is not None:
            self.send(message, buffers=buffers or None)

    def _emit(self, event: str, body: dict[str, Any]) -> None:
        message, _ = encode({"v": VERSION, "event": event, "body": body})
        self._send_wire(message, [])

    def _on_cell_run(self) -> None:
        self._ticks.forget_step()
        if self._session is not None:
            self._session.report_possible_change()


def explore(
    module: nn.Module | RankedModel | str | os.PathLike[str],
    *,
    optimizer: object | None = None,
    name: str | None = None,
    height: int | None = None,
) -> Explorer:
    """Show a live model in the notebook, or what is in a checkpoint.

    The view holds the model only while it is open, and where a variable holds the model, not even that: ``del net``
    frees it. Running the cell again closes the view that its last run made.

    Args:
        module: The model, of any kind that torch knows. One over ranks, ``ranks(client)["net"]``, can be looked at: its
            numbers are the whole model's, with a line for each rank. Of a checkpoint's path a copy is shown, its names
            as modules: with values up to 2 GiB, above that names and shapes alone. What is done to it doesn't touch the
            file.
        optimizer: Its optimizer, or a list of them, to check that it holds the model's parameters.
        name: What to call the model; by default the variable that holds it.
        height: Of the view, in pixels; by default the page's own.

    Raises:
        InvalidTargetError: ``module`` is not a module, or an option makes no sense.
        PathNotFoundError: There is no such file.
        UnsafeCheckpointError: The file would have to run code to be read.
        CorruptCheckpointError: It is damaged, or no checkpoint.

    Example:
        >>> view = explore(nn.Sequential(nn.Linear(20, 256), nn.ReLU()), name="net")  # doctest: +SKIP
        >>> view.selected = "0.weight"  # doctest: +SKIP
    """
    # Asking a module would run what it has for `__class__`.
    if not is_module(module) and isinstance(module, str | os.PathLike):
        file = Path(os.fsdecode(module))
        made = file_module(file, most_read=_MOST_READ)
        return Explorer(made, optimizer=optimizer, name=name or file.name, height=height)
    if is_a(module, RankedModel):
        # Where each rank runs this line nobody answers what is asked later: the view is of this rank's own.
        module = cast("RankedModel", module).module or module
    else:
        require_module(module)
    if name is None:
        name = name_of(module, notebook(), *callers_variables())
    return Explorer(module, optimizer=optimizer, name=name, height=height)  # type: ignore[arg-type] # it is a module


def _session(module: nn.Module | RankedModel, name: str | None, optimizer: object, emit: Emit) -> Session:
    variable = name_of(module, notebook())
    if is_a(module, RankedModel):
        if optimizer is not None:
            raise InvalidTargetError("An optimizer of a model over ranks is on the ranks.", hint="Leave it out.")
        return RankedSession(cast("RankedModel", module), name=name or variable, variable=variable, emit=emit)
    return Session(
        cast("nn.Module", module),
        name=name if name is not None else variable,
        variable=variable if variable is not None else name,
        optimizers=optimizers_in(optimizer),
        hold=variable is None,
        emit=emit,
    )


def _check(module: object, name: object, height: object) -> None:
    if not is_a(module, RankedModel):
        require_module(module)
    if name is not None and not isinstance(name, str):
        raise InvalidTargetError(f"The name is a {type_name(type(name))}, expected a string.")
    if height is not None and (isinstance(height, bool) or not isinstance(height, int) or height not in _HEIGHTS):
        shown = height if isinstance(height, int | float) else f"a {type_name(type(height))}"
        raise InvalidTargetError(
            f"The height is {shown}, expected whole pixels from {_HEIGHTS[0]} to {_HEIGHTS[-1]}.", hint="Leave it out."
        )
