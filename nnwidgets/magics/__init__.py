"""The ``%nn`` magic and its completion. Loading them imports neither torch nor anywidget; the first use does."""

from __future__ import annotations

from nnwidgets.magics.ipython import load, unload

__all__ = ["load", "unload"]
