"""The one thing that reads a module: trees, ties, statistics, findings, traces; nothing here changes what it reads."""

from __future__ import annotations

from nnwidgets.introspect.folding import Alikes, Run, fold
from nnwidgets.introspect.lints import check, data_findings, structural_findings, worst_first
from nnwidgets.introspect.lookup import get, hidden_modules, live_modules, live_tensors
from nnwidgets.introspect.matrix import matrix_shape
from nnwidgets.introspect.outline import outline
from nnwidgets.introspect.readable import unreadable_reason
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
from nnwidgets.introspect.sampling import sampled_stats
from nnwidgets.introspect.statistics import CancelledError, exact_stats, stats
from nnwidgets.introspect.storage import ties
from nnwidgets.introspect.targets import Match, match
from nnwidgets.introspect.tracing import trace
from nnwidgets.introspect.walk import tree
from nnwidgets.introspect.window import Window, window

__all__ = [
    "Alikes",
    "CancelledError",
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
    "Window",
    "check",
    "data_findings",
    "exact_stats",
    "fold",
    "get",
    "hidden_modules",
    "live_modules",
    "live_tensors",
    "match",
    "matrix_shape",
    "outline",
    "sampled_stats",
    "stats",
    "structural_findings",
    "ties",
    "trace",
    "tree",
    "unreadable_reason",
    "window",
    "worst_first",
]
