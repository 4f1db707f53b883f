"""The wire's schema: every message and body, typed, and by kind here. The page's types are generated from it.

Start at `KINDS`: the body and the reply of each kind of request. Every class is a JSON object; an `Array` travels as
its JSON head plus one binary buffer beside the message.

    envelope.py     request, reply, error, progress, events, arrays; what several parts are made of
    tree.py         `open`, `rows`, `locate`: the model as rows
    inspect.py      `inspect`, `stats`, `values`, `depth`, `ties`, `findings`, `trace`, `forward`: one row, looked at
    graph.py        `graph`: what flows through a forward
    signal.py       `activations`, `signal` to `compare_inits`: the signal through the layers
    table.py        `table`, `mark`: all tensors at once
    changes.py      `initializers` to `code`: what changes a model
    checkpoints.py  `folder` to `save`: what speaks of files
    ranks.py        `rank`: what a process says of its part of a model
"""

from __future__ import annotations

from nnwidgets.wire.schema.changes import (
    AssignBody,
    ChangeReply,
    CodeBody,
    CodeReply,
    HistoryReply,
    InitBody,
    InitializersReply,
    InitReply,
    TargetBody,
    UndoBody,
)
from nnwidgets.wire.schema.checkpoints import (
    DiffBody,
    DiffReply,
    FolderBody,
    FolderReply,
    LoadBody,
    LoadReply,
    PeekBody,
    PeekReply,
    PlanBody,
    PlanReply,
    SaveBody,
    SaveReply,
)
from nnwidgets.wire.schema.envelope import (
    CancelBody,
    CancelReply,
    ModelBody,
    ModelsReply,
    PartBody,
    PartReply,
    PathBody,
    VariablesBody,
    VariablesReply,
)
from nnwidgets.wire.schema.graph import GraphBody, GraphReply
from nnwidgets.wire.schema.inspect import (
    ClearReply,
    DepthReply,
    FindingsReply,
    ForwardBody,
    InspectBody,
    InspectReply,
    StatsBody,
    StatsReply,
    TensorsReply,
    TiesReply,
    TraceReply,
    ValuesBody,
    ValuesReply,
)
from nnwidgets.wire.schema.ranks import RankBody, RankReply
from nnwidgets.wire.schema.signal import (
    ActivationsBody,
    CompareInitsBody,
    CompareInitsReply,
    LastInputsReply,
    SignalPointBody,
    SignalPointReply,
    SignalReply,
)
from nnwidgets.wire.schema.table import MarkBody, MarkReply, TableBody, TableReply
from nnwidgets.wire.schema.tree import LocateBody, LocateReply, OpenBody, OpenReply, RowsBody, RowsReply

KINDS: dict[str, tuple[type, type]] = {
    "open": (OpenBody, OpenReply),
    "rows": (RowsBody, RowsReply),
    "locate": (LocateBody, LocateReply),
    "inspect": (InspectBody, InspectReply),
    "stats": (StatsBody, StatsReply),
    "values": (ValuesBody, ValuesReply),
    "depth": (PathBody, DepthReply),
    "ties": (ModelBody, TiesReply),
    "findings": (ModelBody, FindingsReply),
    "trace": (ModelBody, TraceReply),
    "graph": (GraphBody, GraphReply),
    "table": (TableBody, TableReply),
    "mark": (MarkBody, MarkReply),
    "forward": (ForwardBody, TraceReply),
    "clear_trace": (ModelBody, ClearReply),
    "tensors": (ModelBody, TensorsReply),
    "models": (ModelBody, ModelsReply),
    "variables": (VariablesBody, VariablesReply),
    "initializers": (TargetBody, InitializersReply),
    "preview": (InitBody, InitReply),
    "init": (InitBody, InitReply),
    "assign": (AssignBody, ChangeReply),
    "freeze": (TargetBody, ChangeReply),
    "unfreeze": (TargetBody, ChangeReply),
    "undo": (UndoBody, ChangeReply),
    "redo": (UndoBody, ChangeReply),
    "history": (ModelBody, HistoryReply),
    "code": (CodeBody, CodeReply),
    "part": (PartBody, PartReply),
    "folder": (FolderBody, FolderReply),
    "peek": (PeekBody, PeekReply),
    "plan": (PlanBody, PlanReply),
    "diff": (DiffBody, DiffReply),
    "load": (LoadBody, LoadReply),
    "save": (SaveBody, SaveReply),
    "rank": (RankBody, RankReply),
    "activations": (ActivationsBody, SignalReply),
    "signal": (PathBody, SignalReply),
    "signal_point": (SignalPointBody, SignalPointReply),
    "last_inputs": (ModelBody, LastInputsReply),
    "compare_inits": (CompareInitsBody, CompareInitsReply),
    "cancel": (CancelBody, CancelReply),
}
"""Every request kind with its body and its reply."""

ERROR_CODES: dict[str, str] = {
    "malformed": "The message is not a request, or its body is not what its kind takes.",
    "unsupported-version": "The message's version is not one this kernel speaks.",
    "unknown-kind": "No such request kind.",
    "model-gone": "The model was deleted, or the name no longer holds a module.",
    "model-not-found": "No variable of that name holds a module.",
    "path-not-found": "No module or tensor at that path.",
    "invalid-target": "The path names something this request can't work on.",
    "unreadable": "The data can't be read now: meta, lazy, freed, or the device failed.",
    "initializer": "The initializer is unknown, its parameters are wrong, or it can't fill the target.",
    "changed-since": "Undo or redo would overwrite what other code has written since; `force` does it all the same.",
    "not-traced": "No trace was made yet.",
    "outside-folder": "The path leads out of the notebook's folder, or is none.",
    "file-exists": "Something is at the path already; `overwrite` replaces it all the same.",
    "unsafe-checkpoint": "The file would have to run code to be read, or is no regular file.",
    "corrupt-checkpoint": "The file is damaged, or no checkpoint.",
    "checkpoint-mismatch": "The file is sound and does not fit the model; nothing was changed.",
    "save": "Nothing was saved; what was there is as it was.",
    "cancelled": "The request was cancelled.",
    "view-closed": "The view was closed.",
    "internal": "A fault of nnwidgets'; the message says what to report.",
}
"""Every code an error reply of this version can carry."""
