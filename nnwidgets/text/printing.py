"""Which page each result of a function is: what it prints as, and what a notebook shows of it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnwidgets.text.document import Document

_INITS = "nnwidgets.edit.init_comparison.comparison_records"

PAGES: dict[tuple[str, str], tuple[str, str]] = {
    ("nnwidgets.introspect.module_tree.nodes", "ModuleTree"): ("model", "tree_page"),
    ("nnwidgets.introspect.module_tree.nodes", "ModuleNode"): ("model", "node_page"),
    ("nnwidgets.introspect.records", "TensorEntry"): ("model", "tensor_page"),
    ("nnwidgets.introspect.records", "TensorStats"): ("model", "stats_page"),
    ("nnwidgets.introspect.stats_table", "StatsTable"): ("tensor_table", "stats_table_page"),
    ("nnwidgets.introspect.stats_table", "StatsRow"): ("tensor_table", "stats_row_page"),
    ("nnwidgets.introspect.records", "TieGroup"): ("model", "tie_page"),
    ("nnwidgets.introspect.records", "TieGroups"): ("model", "ties_page"),
    ("nnwidgets.introspect.records", "Finding"): ("model", "finding_page"),
    ("nnwidgets.introspect.records", "Findings"): ("model", "findings_page"),
    ("nnwidgets.introspect.tracing.trace_record", "Trace"): ("model", "trace_page"),
    ("nnwidgets.introspect.data_flow.flow_graph", "FlowGraph"): ("model", "flow_page"),
    ("nnwidgets.introspect.optimizers.table_records", "OptimizerTable"): ("optimizer", "optimizer_page"),
    ("nnwidgets.introspect.optimizers.table_records", "OptimizerGroup"): ("optimizer", "group_page"),
    ("nnwidgets.introspect.optimizers.table_records", "ParameterState"): ("optimizer", "state_page"),
    ("nnwidgets.introspect.optimizers.table_records", "StateTensor"): ("optimizer", "state_tensor_page"),
    ("nnwidgets.introspect.cost_records", "Costs"): ("costs", "costs_page"),
    ("nnwidgets.introspect.cost_records", "ModuleCosts"): ("costs", "module_costs_page"),
    ("nnwidgets.introspect.signal.signal_records", "Activations"): ("signal", "activations_page"),
    ("nnwidgets.introspect.signal.signal_records", "CallSignal"): ("signal", "call_signal_page"),
    ("nnwidgets.introspect.signal.signal_records", "OutputSignal"): ("signal", "output_signal_page"),
    ("nnwidgets.introspect.signal.signal_records", "ParameterSignal"): ("signal", "parameter_signal_page"),
    ("nnwidgets.introspect.records", "TraceCall"): ("model", "call_page"),
    (_INITS, "InitComparison"): ("signal", "comparison_page"),
    (_INITS, "InitCandidate"): ("signal", "candidate_page"),
    (_INITS, "SignalPoint"): ("signal", "point_page"),
    (_INITS, "SignalBand"): ("signal", "band_page"),
    (_INITS, "UpdateRatio"): ("signal", "update_ratio_page"),
    ("nnwidgets.edit.change", "Change"): ("changes", "change_page"),
    ("nnwidgets.edit.targets", "Tie"): ("changes", "tie_page"),
    ("nnwidgets.edit.history", "History"): ("changes", "history_page"),
    ("nnwidgets.checkpoint.records", "CheckpointIndex"): ("checkpoints", "index_page"),
    ("nnwidgets.checkpoint.records", "StoredTensor"): ("checkpoints", "stored_page"),
    ("nnwidgets.checkpoint.records", "PlanEntry"): ("checkpoints", "entry_page"),
    ("nnwidgets.checkpoint.records", "LoadPlan"): ("checkpoints", "plan_page"),
    ("nnwidgets.checkpoint.records", "LoadReport"): ("checkpoints", "load_page"),
    ("nnwidgets.checkpoint.records", "SaveReport"): ("checkpoints", "save_page"),
    ("nnwidgets.checkpoint.diffing.state_diff", "StateDiff"): ("checkpoints", "diff_page"),
    ("nnwidgets.checkpoint.diffing.state_diff", "Changed"): ("checkpoints", "changed_page"),
    ("nnwidgets.checkpoint.without_model.examine", "FileReport"): ("files", "report_page"),
    ("nnwidgets.checkpoint.folder", "Listed"): ("checkpoints", "listed_page"),
    ("nnwidgets.checkpoint.folder", "Listing"): ("checkpoints", "folder_page"),
}
"""By module and name, so that none is imported before it is shown: where its page is made."""


def page_of(record: Any) -> Document | None:
    """The page of a result; None where it has none and prints as its ``repr``."""
    kind = type(record)
    where = PAGES.get((kind.__module__, kind.__qualname__))
    if where is None:
        return None
    module, name = where
    made: Document = getattr(importlib.import_module(f"nnwidgets.text.pages.{module}"), name)(record)
    return made


def as_text(record: Any) -> str:
    """What a result prints as.

    Example:
        >>> from nnwidgets.introspect.records import Finding
        >>> print(as_text(Finding("frozen", "note", "0", "Not trained.")))
        ℹ note 0
          Not trained. [frozen]
    """
    from nnwidgets.text.plain import render_text

    page = page_of(record)
    return repr(record) if page is None else render_text(page)
