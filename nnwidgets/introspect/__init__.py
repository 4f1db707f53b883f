"""The one thing that reads a module: trees, ties, statistics, findings, traces; nothing here changes what it reads."""

from __future__ import annotations

from nnwidgets.introspect.folding import Alikes, Run, fold
from nnwidgets.introspect.lookup import get, hidden_modules, live_modules, live_tensors
from nnwidgets.introspect.outline import outline
from nnwidgets.introspect.records import (
    Finding,
    ModuleNode,
    ModuleTree,
    TensorEntry,
    TensorStats,
    TieGroup,
    Trace,
    TraceCall,
)
from nnwidgets.introspect.storage import ties
from nnwidgets.introspect.targets import Match, match
from nnwidgets.introspect.walk import tree

__all__ = [
    "Alikes",
    "Finding",
    "Match",
    "ModuleNode",
    "ModuleTree",
    "Run",
    "TensorEntry",
    "TensorStats",
    "TieGroup",
    "Trace",
    "TraceCall",
    "fold",
    "get",
    "hidden_modules",
    "live_modules",
    "live_tensors",
    "match",
    "outline",
    "ties",
    "tree",
]
