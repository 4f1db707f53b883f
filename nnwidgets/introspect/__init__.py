"""The one thing that reads a module: trees, ties, statistics, findings, traces; nothing here changes what it reads.

Start at `module_tree/tree.py`: one scan of a model becomes the records that all front ends show.

    records.py     what reading a module gives: frozen records that hold no tensor
    paths.py       the grammar of paths: `encoder.layers.0`, `["a.b"]`, `[3]`
    meeting.py     ranks that do something together, or not at all
    handles.py     what stands for a model that isn't in this process alone
    safe_access/   touching strange objects without running their code; the scan of a model
    module_tree/   the tree of modules and tensors, counted, folded, written as text and as Python
    sharing/       who shares bytes with whom
    patterns.py    which modules and tensors of a tree a text means
    statistics/    numbers of one tensor, exact or of a sample; norms of a model in training
    stats_table.py those of all tensors of a model, a row each
    heatmap/       a window of a tensor as a matrix of a bounded number of cells
    model_values.py  what is remembered of a model as long as it lives: its last runs
    last_inputs.py what the last forward of a model took, held weakly
    data_flow/     which call takes what others gave, and the graph made of that
    tracing/       a forward pass call by call, and the model as it was afterwards
    signal/        what a forward and a backward bring to each layer
    optimizers/    which train a model, what they hold of it and remember
    costs.py       memory and arithmetic, module by module
    cost_records.py  these as records
    checks/        what is wrong or worth knowing in a model
"""

from __future__ import annotations

from nnwidgets.introspect.checks import check
from nnwidgets.introspect.cost_records import Costs, ModuleCosts
from nnwidgets.introspect.costs import costs
from nnwidgets.introspect.data_flow.flow_graph import FlowEdge, FlowGraph, FlowNode
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.module_tree.tree import tree
from nnwidgets.introspect.optimizers.optimizer import optimizer
from nnwidgets.introspect.optimizers.table_records import OptimizerGroup, OptimizerTable, ParameterState, StateTensor
from nnwidgets.introspect.records import (
    Finding,
    TensorEntry,
    TensorStats,
    TieGroup,
    TraceCall,
    TraceEdge,
    TraceOperator,
)
from nnwidgets.introspect.safe_access.lookup import LiveModel, get
from nnwidgets.introspect.sharing.ties import ties
from nnwidgets.introspect.signal.activations import activations
from nnwidgets.introspect.signal.signal_records import Activations, CallSignal, OutputSignal, ParameterSignal
from nnwidgets.introspect.statistics.sampling import sampled_stats
from nnwidgets.introspect.statistics.stats import stats
from nnwidgets.introspect.stats_table import StatsRow, StatsTable
from nnwidgets.introspect.tracing.trace import trace
from nnwidgets.introspect.tracing.trace_record import Trace

__all__ = [
    "Activations",
    "CallSignal",
    "Costs",
    "Finding",
    "FlowEdge",
    "FlowGraph",
    "FlowNode",
    "LiveModel",
    "ModuleCosts",
    "ModuleNode",
    "ModuleTree",
    "OptimizerGroup",
    "OptimizerTable",
    "OutputSignal",
    "ParameterSignal",
    "ParameterState",
    "StateTensor",
    "StatsRow",
    "StatsTable",
    "TensorEntry",
    "TensorStats",
    "TieGroup",
    "Trace",
    "TraceCall",
    "TraceEdge",
    "TraceOperator",
    "activations",
    "check",
    "costs",
    "get",
    "optimizer",
    "sampled_stats",
    "stats",
    "ties",
    "trace",
    "tree",
]
