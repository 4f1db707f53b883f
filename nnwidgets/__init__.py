"""Explore a live ``torch.nn.Module`` inside the notebook.

    %load_ext nnwidgets
    %nn net

or, from Python, ``import nnwidgets as nnw`` and ``nnw.explore(net)``, ``nnw.tree(net)``, ``nnw.ties(net)``,
``nnw.stats(net)``, ``nnw.check(net)``, ``nnw.trace(net, x)``, ``nnw.activations(net, x, loss=y)``,
``nnw.costs(net, x)``;
``nnw.init(net, "0.weight", "xavier_uniform_")``, ``nnw.apply``, ``nnw.assign``, ``nnw.freeze``, ``nnw.undo(net)``,
``nnw.history(net)``; ``nnw.save(net, "mlp.params")``, ``nnw.read("mlp.params")``;
``nnw.snapshot(net)``, ``nnw.diff(net, mark)``.
Names load on first use, so that the import itself costs little more than torch's.
"""

# Names below begin with an underscore, for those that Tab offers to be the package's own.
import importlib as _importlib
import typing as _typing
from threading import RLock as _RLock
from types import FunctionType as _FunctionType

from nnwidgets.formatting import set_printer as _set_printer
from nnwidgets.keywords import refusing_positional as _refusing_positional

if _typing.TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nnwidgets.checkpoint import (
        Changed,
        CheckpointIndex,
        Described,
        LoadPlan,
        LoadReport,
        PlanEntry,
        SaveReport,
        Snapshot,
        StateDiff,
        StoredTensor,
        assert_equal,
        diff,
        load,
        peek,
        plan,
        read,
        save,
        snapshot,
    )
    from nnwidgets.distributed import RankedModel, Ranks, RankStatus, ranks
    from nnwidgets.edit import (
        Change,
        History,
        InitCandidate,
        InitComparison,
        SignalBand,
        SignalPoint,
        UpdateRatio,
        apply,
        assign,
        compare_inits,
        freeze,
        history,
        init,
        initializer,
        redo,
        undo,
        unfreeze,
    )
    from nnwidgets.errors import (
        ChangedSinceError,
        CheckpointMismatchError,
        CorruptCheckpointError,
        InitializerError,
        InvalidTargetError,
        NNWidgetsError,
        PathNotFoundError,
        RankMissingError,
        RanksDisagreeError,
        SaveError,
        UnsafeCheckpointError,
    )
    from nnwidgets.introspect import (
        Activations,
        CallSignal,
        Costs,
        Finding,
        FlowEdge,
        FlowGraph,
        FlowNode,
        ModuleCosts,
        ModuleNode,
        ModuleTree,
        OptimizerGroup,
        OptimizerTable,
        OutputSignal,
        ParameterSignal,
        ParameterState,
        StateTensor,
        StatsRow,
        StatsTable,
        TensorEntry,
        TensorStats,
        TieGroup,
        Trace,
        TraceCall,
        TraceEdge,
        TraceOperator,
        activations,
        check,
        costs,
        optimizer,
        stats,
        ties,
        trace,
        tree,
    )
    from nnwidgets.server.handle import handle
    from nnwidgets.spoken_language import language
    from nnwidgets.widgets import Explorer, explore


_first_use = _RLock()
"""Two threads that import packages at once, each of which imports its own modules, may find one half made."""


def _as_page(record: object) -> str:
    """What a result prints as; pages are imported when the first is printed."""
    with _first_use:
        from nnwidgets.text.printing import as_text
    return as_text(record)


_set_printer(_as_page)

__version__ = "0.1.0"

_HOME = {
    name: home
    for home, names in {
        "widgets": ("explore", "Explorer"),
        "introspect": (
            "tree", "ties", "stats", "check", "trace", "activations", "costs", "optimizer",
            "ModuleTree", "ModuleNode", "TensorEntry", "TieGroup", "TensorStats", "StatsTable", "StatsRow", "Finding",
            "Trace", "TraceCall", "TraceOperator", "TraceEdge", "FlowGraph", "FlowNode", "FlowEdge",
            "Costs", "ModuleCosts", "OptimizerTable", "OptimizerGroup", "ParameterState", "StateTensor",
            "Activations", "CallSignal", "OutputSignal", "ParameterSignal",
        ),
        "edit": (
            "init", "compare_inits", "apply", "assign", "freeze", "unfreeze", "undo", "redo", "history", "initializer",
            "Change", "History", "InitComparison", "InitCandidate", "SignalPoint", "SignalBand", "UpdateRatio",
        ),
        "checkpoint": (
            "save", "read", "peek", "plan", "load", "diff", "assert_equal", "CheckpointIndex", "StoredTensor",
            "LoadPlan", "PlanEntry", "LoadReport", "SaveReport", "StateDiff", "Changed", "Described",
            "Snapshot", "snapshot",
        ),
        "server.handle": ("handle",),
        "spoken_language": ("language",),
        "distributed": ("ranks", "Ranks", "RankedModel", "RankStatus"),
        "errors": (
            "NNWidgetsError", "PathNotFoundError", "InvalidTargetError", "ChangedSinceError", "InitializerError",
            "UnsafeCheckpointError", "CorruptCheckpointError", "CheckpointMismatchError", "SaveError",
            "RankMissingError", "RanksDisagreeError",
        ),
    }.items()
    for name in names
}  # fmt: skip
"""Where each public name is imported from when it is first used. `__all__` is written out for type checkers."""

__all__ = [  # noqa: RUF022 - functions first, then what they give, then errors: the order a reader wants
    "explore", "tree", "ties", "stats", "check", "trace", "activations", "costs", "optimizer", "init",
    "compare_inits", "apply", "assign", "freeze", "unfreeze", "undo", "redo", "history", "initializer", "save", "read",
    "peek", "plan", "load", "diff", "assert_equal", "snapshot", "ranks", "language", "handle",
    "Explorer", "ModuleTree", "ModuleNode", "TensorEntry", "TieGroup", "TensorStats", "StatsTable", "StatsRow",
    "Finding", "Trace", "TraceCall", "TraceOperator", "TraceEdge", "FlowGraph", "FlowNode", "FlowEdge",
    "Costs", "ModuleCosts", "OptimizerTable", "OptimizerGroup",
    "ParameterState", "StateTensor",
    "Activations", "CallSignal", "OutputSignal", "ParameterSignal",
    "InitComparison", "InitCandidate", "SignalPoint", "SignalBand", "UpdateRatio",
    "Change", "History", "CheckpointIndex", "StoredTensor", "LoadPlan",
    "PlanEntry", "LoadReport", "SaveReport", "StateDiff", "Changed", "Described", "Snapshot",
    "Ranks", "RankedModel", "RankStatus",
    "NNWidgetsError", "PathNotFoundError", "InvalidTargetError", "ChangedSinceError", "InitializerError",
    "UnsafeCheckpointError", "CorruptCheckpointError", "CheckpointMismatchError", "SaveError",
    "RankMissingError", "RanksDisagreeError",
    "load_ipython_extension", "unload_ipython_extension",
]  # fmt: skip


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'nnwidgets' has no attribute {name!r}")
    with _first_use:
        value = getattr(_importlib.import_module(f"nnwidgets.{home}"), name)
    if isinstance(value, _FunctionType):
        value = _refusing_positional(value)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Tell ``jupyter labextension develop`` where the built extension is."""
    return [{"src": "labextension", "dest": "nnwidgets"}]


def load_ipython_extension(ipython: "InteractiveShell") -> None:
    """Register the ``%nn`` magic, its completion and the comm target; ``%load_ext nnwidgets`` calls this."""
    from nnwidgets.magics import load

    load(ipython)


def unload_ipython_extension(ipython: "InteractiveShell") -> None:
    """Take back what `load_ipython_extension` registered."""
    from nnwidgets.magics import unload

    unload(ipython)
