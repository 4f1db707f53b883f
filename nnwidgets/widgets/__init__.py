"""The Explorer, the anywidget view of a session. anywidget loads with the Explorer, not before.

Start at `explorer.explore`. Who calls whom:

- `explore` makes an `Explorer`, and that a `server.session.session.Session` for the model. The first rows go with the
  widget itself; its page module is what `bundle.traits` says.
- The page's requests are custom messages: `Explorer._receive` gives each to its `wire.dispatch.Dispatcher`, which calls
  the functions of `server.handlers` and replies through `_send_wire`.
- Events go the other way: the session calls the Explorer's `_emit` after a change, a check, or a cell that ran.
- `tick()` asks `TrainingTicks` whether the page hears of this step of a training.
- Where no widget can be shown, the output has the text and HTML of `static_bundle` beside it.

    explorer.py        the widget, and `explore`
    bundle.py          the page's code, sent once however many Explorers there are
    any_base.py        models of ipywidgets' own that every front end has
    static_output.py   a static tree for where no widget can be
    training_ticks.py  what the page hears as the model trains
    marimo.py          what a running marimo notebook tells
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnwidgets.widgets.explorer import Explorer, explore

__all__ = ["Explorer", "explore"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.explorer"), name)
