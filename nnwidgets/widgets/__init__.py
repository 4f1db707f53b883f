"""The Explorer, the anywidget view of a session. anywidget loads with the Explorer, not before."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnwidgets.widgets.explorer import Explorer, explore

_HOME = {"Explorer": "explorer", "explore": "explorer"}

__all__ = ["Explorer", "explore"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
