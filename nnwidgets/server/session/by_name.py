"""Sessions by the name of a variable, for requests that come from no widget: those of `comm` and `handle`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torch import nn

from nnwidgets.errors import closest_names
from nnwidgets.introspect.safe_access.frames import name_of
from nnwidgets.introspect.safe_access.objects import is_module, type_name
from nnwidgets.server.notebook.variables import is_place, listed_modules, modules, notebook, running_variable
from nnwidgets.server.session.open_views import open_models
from nnwidgets.server.session.session import Emit, Session
from nnwidgets.wire.errors import RequestError

_MAX_LISTED = 10


class NamedSessions:
    """A session for each model asked about; it holds no model, and forgets those that died.

    Args:
        emit: Takes events about any of them.
        default: Name of the variable meant where a request names none.
    """

    def __init__(self, emit: Emit = lambda _event, _body: None, default: str | None = None) -> None:
        self._emit = emit
        self._default = default
        self._sessions: dict[int, Session] = {}
        self._known: set[str] = set()

    def find(self, body: Mapping[str, Any]) -> Session:
        """Return the session of the model that a request's body means.

        Raises:
            RequestError: `model-not-found`, or `model-gone` where the name held a module before.
        """
        name = body.get("model", self._default)
        if name is None:
            module = _only_model()
            name = name_of(module, notebook())
        else:
            module = self._module_named(name)
        for key, session in list(self._sessions.items()):
            if session.model_or_none is None:
                del self._sessions[key]
        if id(module) not in self._sessions:
            self._sessions[id(module)] = Session(module, name=name, emit=self._emit)
        session = self._sessions[id(module)]
        session.mark_stale()
        return session

    def report_possible_change(self) -> None:
        """Tell the page that a cell ran."""
        for session in list(self._sessions.values()):
            session.report_possible_change()

    def close(self) -> None:
        """Forget everything."""
        for session in list(self._sessions.values()):
            session.close()
        self._sessions.clear()

    def _module_named(self, name: str) -> nn.Module:
        value: Any = notebook().get(name)
        if value is None and is_place(name):
            value = listed_modules().get(name)
        if value is None:
            value = running_variable(name)
        if is_module(value):
            self._known.add(name)
            return cast("nn.Module", value)
        if name in self._known:
            raise RequestError(
                "model-gone", f"The variable {name!r} no longer holds a module.", hint="Run the cell that makes it."
            )
        if value is not None:
            kind = type_name(type(value))
            raise RequestError(
                "model-not-found", f"The variable {name[:80]!r} holds no module, but an object of class {kind[:80]}."
            )
        close = closest_names(name, modules(), n=1)
        hint = f"Did you mean {close[0]!r}?" if close else _candidates()
        raise RequestError("model-not-found", f"No variable {name[:80]!r} holds a module.", hint=hint)


def _only_model() -> nn.Module:
    """Return the model meant where none is named: that of the open Explorers, else the only one in a variable."""
    for found in (open_models(), list({id(module): module for module in modules().values()}.values())):
        if len(found) == 1:
            return found[0]
    raise RequestError("model-not-found", "The request names no model.", hint=_candidates())


def _candidates() -> str:
    names = list(modules())
    if not names:
        return "No variable holds a module yet."
    listed = ", ".join(names[:_MAX_LISTED])
    return f"Variables that hold one: {listed}{', …' if len(names) > _MAX_LISTED else ''}."
