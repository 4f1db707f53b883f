"""Which views are open, and closing those whose cell is run again.

The Explorer adds and removes itself; requests that name no model, `%nn trace` and `%nn activations` ask what is open.
"""

from __future__ import annotations

import weakref
from typing import Protocol

from torch import nn

from nnwidgets.checkpoint import Snapshot
from nnwidgets.introspect.safe_access.objects import is_module
from nnwidgets.introspect.signal.signal_records import Activations
from nnwidgets.introspect.tracing.trace_record import Trace
from nnwidgets.server.notebook.ipykernel import Cell, cell_now


class View(Protocol):
    """What this module needs of an Explorer."""

    @property
    def model(self) -> nn.Module | None:
        """The model, as long as view and model live."""

    def close(self) -> None:
        """End the view."""

    def show_trace(self, trace: Trace) -> None:
        """Show a trace's calls on the rows."""

    def show_activations(self, found: Activations) -> None:
        """Show a run of `activations` on the rows and as curves."""

    def show_mark(self, mark: Snapshot | None) -> None:
        """Have the rows tell what moved since a mark."""


_views: list[tuple[weakref.ref[View], Cell | None]] = []


def add(view: View) -> None:
    """Remember ``view`` as the running cell's, and close what an earlier run of this cell left open.

    ipywidgets keeps every widget until it is closed, so the output that a rerun replaces would keep its model.
    """
    cell = cell_now()
    for reference, made_by in _views.copy():
        earlier = reference()
        if cell is not None and made_by is not None and made_by.cell == cell.cell and made_by.run != cell.run:
            if earlier is not None:
                earlier.close()
            _forget(reference)
    _views.append((weakref.ref(view, _forget), cell))


def remove(view: View) -> None:
    """Forget ``view``."""
    for reference, _ in _views.copy():
        if reference() is view:
            _forget(reference)


def open_models() -> list[nn.Module]:
    """Return the distinct models of the open views that are in this process, in the order they were opened."""
    models: dict[int, nn.Module] = {}
    for reference, _ in _views.copy():
        view = reference()
        model = view.model if view is not None else None
        if model is not None and is_module(model):
            models[id(model)] = model
    return list(models.values())


def views_of(module: nn.Module) -> list[View]:
    """Return the open views of ``module``, in the order they were opened."""
    views = [reference() for reference, _ in _views.copy()]
    return [view for view in views if view is not None and view.model is module]


def _forget(reference: weakref.ref[View]) -> None:
    _views[:] = [(kept, cell) for kept, cell in _views if kept is not reference]
