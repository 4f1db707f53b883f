"""The one thing that reads a module: trees, ties, statistics, findings, traces; nothing here changes what it reads."""

from __future__ import annotations

from nnwidgets.introspect.checks import check, data_findings, structural_findings, worst_first
from nnwidgets.introspect.heatmap.matrix_view import matrix_shape
from nnwidgets.introspect.heatmap.window import Window, window
from nnwidgets.introspect.module_tree.folding import Alikes, FoldedRun, fold
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.module_tree.text import outline
from nnwidgets.introspect.module_tree.tree import tree
from nnwidgets.introspect.patterns import Match, match
from nnwidgets.introspect.records import Finding, TensorEntry, TensorStats, TieGroup, Trace, TraceCall
from nnwidgets.introspect.safe_access.lookup import LiveModel, get, hidden_modules, live_tensors
from nnwidgets.introspect.safe_access.tensors import unreadable_reason
from nnwidgets.introspect.sharing.ties import ties
from nnwidgets.introspect.statistics.sampling import sampled_stats
from nnwidgets.introspect.statistics.stats import CancelledError, exact_stats, stats
from nnwidgets.introspect.tracing.trace import trace

__all__ = [
    "Alikes",
    "CancelledError",
    "Finding",
    "FoldedRun",
    "LiveModel",
    "Match",
    "ModuleNode",
    "ModuleTree",
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
