"""The wire's schema, in one place: every message and body, typed. The page's types are generated from here.

What changes a model is in `schema_changes`, what speaks of files in `schema_checkpoints`.
Every class below is a JSON object. An `Array` travels as its JSON head plus one binary buffer beside the message.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

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
    PartBody,
    PartReply,
    PeekBody,
    PeekReply,
    PlanBody,
    PlanReply,
    SaveBody,
    SaveReply,
)
from nnwidgets.wire.schema.envelope import Number

VERSION = 1

RowKind = Literal["module", "fold", "alias", "cycle", "tensor", "problem"]
Of = Literal["value", "grad"]
Severity = Literal["error", "warning", "note"]
Chip = Literal["trainable", "frozen", "tied", "findings"]


# ---- envelope ----


class Request(TypedDict):
    """page → kernel."""

    v: int
    id: str
    kind: str
    body: dict[str, Any]


class WireError(TypedDict):
    """What went wrong, for programs (`code`) and people (`message`, `hint`)."""

    code: str
    message: str
    path: str | None
    hint: str


class Reply(TypedDict):
    """kernel → page, exactly one per request: `body` where `ok`, else `error`.

    `id` is "" where the request's own could not be read. `buffers` only comes from `nnwidgets.handle`: in base64.
    """

    v: int
    id: str
    ok: bool
    body: NotRequired[dict[str, Any]]
    error: NotRequired[WireError]
    buffers: NotRequired[list[str]]


class ProgressBody(TypedDict):
    """How far, in the work's own units."""

    done: int
    total: int


class Progress(TypedDict):
    """kernel → page, zero or more before the reply."""

    v: int
    id: str
    progress: ProgressBody


class Event(TypedDict):
    """kernel → page, unasked.

    changed: the model may have changed: ask again for what is in sight. `body` is a `ChangedBody`.
    closed: the view is over. `body` is a `ClosedBody`.
    traced: a trace arrived; `body` is empty.
    ticked: a step of a training was measured. `body` is a `TickedBody`.
    """

    v: int
    event: Literal["changed", "closed", "traced", "ticked"]
    body: dict[str, Any]


class ChangedBody(TypedDict):
    """`structure` False: only values may have changed, rows need not be asked again."""

    structure: bool


class ClosedBody(TypedDict):
    """Why the view is over, as an error reply would say it: `model-gone` or `view-closed`."""

    code: str
    message: str


class TickedBody(TypedDict):
    """One step of a training, of the rows that the page was sent last.

    step: how many times `tick()` was called.
    beats: for each row by path the norm of its trainable parameters, that of their gradients, and how far the step
        moved them, over the norm; null where there is none, or it isn't known.
    part: with the first such event, the part of the page `pulse`, since a busy kernel answers no requests.
    """

    step: int
    beats: dict[str, list[Number | None]]
    part: NotRequired[PartReply]


class Array(TypedDict):
    """A binary array: row-major, little-endian; `buffer` is its index among the message's buffers.

    Where a message can carry no buffers (`nnwidgets.handle`), the reply has them beside its body, in base64.
    """

    dtype: str
    shape: list[int]
    buffer: int


# ---- kind "open": what the view shows first ----


class OpenBody(TypedDict):
    """`model` names a variable of the kernel; a widget's own messages leave it out."""

    model: NotRequired[str]


class Totals(TypedDict):
    """Counts of the whole model, each storage element once.

    `n_params_torch` is what torch's own sum says, None where it raises, and `why` the reason where they differ.
    """

    n_params: Number
    n_params_trainable: Number
    n_params_torch: Number | None
    size_bytes: Number
    n_modules: int
    n_tensors: int
    why: str | None


class ChipCounts(TypedDict):
    """Rows each chip would keep: tensors for the first three, findings for the last."""

    trainable: int
    frozen: int
    tied: int
    findings: int


class OpenReply(TypedDict):
    """The model at a glance, with the first window of rows."""

    name: str
    class_name: str
    totals: Totals
    chips: ChipCounts
    rows: RowsReply


# ---- kind "rows": a window of the flattened tree ----


class RowsBody(TypedDict):
    """Which rows are open is the page's to say; what that comes to is the kernel's to work out.

    expanded: ids of open rows, or None for the default opening (which the reply tells).
    picked: for an open fold, the index of the member shown (default 0). What was open below another member is open
        below this one, and the reply's `expanded` says so.
    unfolded: folds opened as all their members.
    filter: words of the filter box, all of which must hold; "" for none. A word is a path, a glob, a class, or a part
        of a name. In a filtered view every ancestor of a match is open, and nothing is folded but below a match.
    chips: every chip must hold, but `trainable` and `frozen` together keep both.
    start, count: the window; at most 500 rows come.
    """

    model: NotRequired[str]
    expanded: list[str] | None
    picked: dict[str, int]
    unfolded: list[str]
    filter: str
    chips: list[Chip]
    start: int
    count: int


class FoldMember(TypedDict):
    """One cell of a fold's strip."""

    path: str
    label: str
    frozen: bool
    findings: int


class Fold(TypedDict):
    """A run of like siblings shown as one row. `members` holds at most 64 cells around `picked`, from `first`."""

    count: int
    picked: int
    unfolded: bool
    first: int
    members: list[FoldMember]


class RowTrace(TypedDict):
    """The last trace, on its row. `shape` is input → output of the last call."""

    n_calls: int
    shape: str
    seconds: float | None
    failed: bool
    unused: bool


class Row(TypedDict):
    """One line of the tree grid.

    id: stable across requests: "m:" + path, "t:" + path, "f:" + path of the run's first member.
    level: 1 for the model itself. position, set_size: among its siblings, from 1.
    name: what the name column shows; path: the real path ("" the model; a fold's is its first member's).
    shape: "256 × 20", "20 → 256", "p = 0.1", "()", "? → 10", "".
    n_params: None shows as a dash. counted: False where every element was already counted under an earlier name.
    share: of the model's parameters, 0 to 1.
    dtype: "float32"; dtype_short: "f32". Empty for modules.
    tie: letter of the group this tensor is in. tie_inside: of the first group with a member below.
    frozen: "all", "some" of the parameters here and below, or None.
    findings: worst severity on this very row; findings_inside: count below it.
    note: hover text: why counts differ, what is special.
    """

    id: str
    kind: RowKind
    level: int
    position: int
    set_size: int
    name: str
    path: str
    class_name: str
    shape: str
    n_params: Number | None
    counted: bool
    share: float
    dtype: str
    dtype_short: str
    role: Literal["parameter", "buffer", "unregistered"] | None
    expandable: bool
    expanded: bool
    tie: str | None
    tie_inside: str | None
    frozen: Literal["all", "some"] | None
    findings: Severity | None
    findings_inside: int
    alias_of: str | None
    problem: str | None
    note: str | None
    matched: bool
    fold: Fold | None
    trace: RowTrace | None


class RulerMark(TypedDict):
    """A tick of the overview ruler, at row `index` of the flattened tree."""

    index: int
    tie: str | None
    severity: Severity | None
    path: str


class RowsReply(TypedDict):
    """A window of rows, and what the whole flattened tree comes to.

    `expanded` is what is open now: take it over. `n_matches` counts matches of the filter and chips, 0 without any.
    `problem` says why the filter can't be read; the rows are then the unfiltered ones. `ruler` has at most 200 marks.
    """

    generation: int
    total: int
    start: int
    rows: list[Row]
    expanded: list[str]
    n_matches: int
    problem: str | None
    ruler: list[RulerMark]


# ---- kind "locate": open what must be open for a path to have a row ----


class LocateBody(TypedDict):
    """As `RowsBody`, with the path to reach."""

    model: NotRequired[str]
    path: str
    expanded: list[str] | None
    picked: dict[str, int]
    unfolded: list[str]
    filter: str
    chips: list[Chip]


class LocateReply(TypedDict):
    """The row's index in the flattened tree once `expanded` and `picked` are taken over."""

    index: int
    id: str
    expanded: list[str]
    picked: dict[str, int]


# ---- kind "inspect": the inspector's head, ties, findings and code, for a module or a tensor ----


class PathBody(TypedDict):
    """A path of the model."""

    model: NotRequired[str]
    path: str


class WindowBody(TypedDict):
    """What `ValuesBody` says beside the path."""

    of: NotRequired[Of]
    row: NotRequired[int]
    column: NotRequired[int]
    rows: NotRequired[int]
    columns: NotRequired[int]
    max_rows: NotRequired[int]
    max_columns: NotRequired[int]


class InspectBody(TypedDict):
    """What else is wanted with the facts, one round trip less.

    bins: sampled statistics of the values, with at most so many bins.
    windows: the values in as many windows, at most 4.
    """

    model: NotRequired[str]
    path: str
    bins: NotRequired[int]
    windows: NotRequired[list[WindowBody]]


class FindingBody(TypedDict):
    """One finding."""

    code: str
    severity: Severity
    path: str
    message: str
    fix: str | None


class TieMember(TypedDict):
    """One name of a tie group. `how` says how it lies to the inspected tensor: "same object", "transposed view"."""

    path: str
    shape: str
    how: str


class TieBody(TypedDict):
    """One tie group."""

    id: str
    kind: str
    shared_bytes: Number
    members: list[TieMember]


class CodeLine(TypedDict):
    """Working Python for the inspected thing, with what it is for."""

    label: str
    code: str


class Siblings(TypedDict):
    """The same tensor or module in the neighbouring members of its fold; `label` is this member's ("h.3")."""

    label: str
    index: int
    count: int
    previous: str | None
    next: str | None


class TensorFacts(TypedDict):
    """What is known of a tensor without reading its data."""

    shape: list[int] | None
    dtype: str
    device: str
    layout: str
    requires_grad: bool
    role: Literal["parameter", "buffer", "unregistered"]
    persistent: bool
    n_elements: Number
    size_bytes: Number
    has_grad: bool
    strides: list[int] | None
    is_contiguous: bool | None
    version: int | None
    """Its version counter, which changes in place raise; None where it keeps none."""
    readable: str | None
    """None where data can be read, else why not ("no data: on the meta device")."""


class ModuleFacts(TypedDict):
    """What is known of a module. `extra` is its guarded, cut `extra_repr` equivalent, from plain attributes."""

    n_params: Number
    n_params_trainable: Number
    size_bytes: Number
    n_modules: int
    n_tensors: int
    training: bool | None
    extra: str
    hooks: list[str]
    doc: str
    tensors: list[ModuleTensor]


class ModuleTensor(TypedDict):
    """A tensor of the inspected module's own."""

    path: str
    name: str
    shape: str
    dtype: str
    role: Literal["parameter", "buffer", "unregistered"]
    n_elements: Number


class InspectReply(TypedDict):
    """`tensor` or `module` is set, the other None.

    stats: where `bins` was asked and the values are at hand.
    windows: where they were asked and the values are at hand and few: each as `values` answers, or None where that
        would be an error.
    """

    path: str
    kind: Literal["module", "alias", "cycle", "tensor"]
    class_name: str
    alias_of: str | None
    problem: str | None
    tie: TieBody | None
    ties_inside: list[TieBody]
    findings: list[FindingBody]
    code: list[CodeLine]
    siblings: Siblings | None
    tensor: TensorFacts | None
    module: ModuleFacts | None
    trace: list[TraceCallBody]
    stats: NotRequired[StatsReply]
    windows: NotRequired[list[ValuesReply | None]]


# ---- kind "stats" ----


class StatsBody(TypedDict):
    """`exact` False answers from a sample at once; True (the default) reads everything, with progress, cancellably."""

    model: NotRequired[str]
    path: str
    of: NotRequired[Of]
    exact: NotRequired[bool]
    bins: NotRequired[int]


class StatsReply(TypedDict):
    """`TensorStats`, field by field; `n_total` is the tensor's element count, `version` its version counter."""

    n: Number
    n_total: Number
    mean: Number
    std: Number
    min: Number
    max: Number
    norm: Number
    n_zero: Number
    n_nan: Number
    n_inf: Number
    hist_counts: list[Number]
    hist_edges: list[Number]
    is_exact: bool
    version: int | None


# ---- kind "values": a window of the heat map ----


class ValuesBody(WindowBody):
    """A window of the tensor seen as a matrix, thinned to at most `max_rows` × `max_columns` cells."""

    model: NotRequired[str]
    path: str


class ValuesReply(TypedDict):
    """A window of the `n_rows` × `n_columns` matrix that a tensor is seen as.

    values: float32. Cell [i, j] is element (row + i * row_step, column + j * column_step) or, where a step is above 1,
        the element of largest magnitude in its block.
    texts: each cell's exact text, where nothing was thinned and the window is at most 4,096 cells.
    scale: the magnitude at full colour (99.5th percentile of |value| of a sample of the whole tensor).
    row_axes, column_axes: the tensor's dimensions that a row or column runs over.
    """

    n_rows: int
    n_columns: int
    row: int
    column: int
    row_step: int
    column_step: int
    values: Array
    texts: list[list[str]] | None
    scale: Number
    row_axes: list[int]
    column_axes: list[int]
    shape: list[int]


# ---- kind "depth": the same tensor across a fold ----


class DepthReply(TypedDict):
    """Standard deviation of the same tensor in each member of its fold, sampled; at most 256 members."""

    name: str
    labels: list[str]
    paths: list[str]
    std: list[Number]
    is_exact: bool
    index: int


# ---- kinds "ties", "findings", "trace", "models", "variables", "cancel" ----


class ModelBody(TypedDict):
    """Only which model."""

    model: NotRequired[str]


class TiesReply(TypedDict):
    """All groups."""

    ties: list[TieBody]


class FindingsReply(TypedDict):
    """All findings, worst first."""

    findings: list[FindingBody]


class TraceCallBody(TypedDict):
    """One call."""

    path: str
    call_index: int
    depth: int
    input_shapes: list[list[int]]
    input_dtypes: list[str]
    output_shapes: list[list[int]]
    output_dtypes: list[str]
    seconds: float | None
    flops: Number | None


class TraceReply(TypedDict):
    """The last trace shown in this view; `calls` is cut to 2,000, `n_calls` says how many there were."""

    calls: list[TraceCallBody]
    n_calls: int
    failed_at: str | None
    error: str | None
    unused: list[str]
    seconds: float
    flops: Number | None


class ModelVariable(TypedDict):
    """A variable of the kernel that holds a module."""

    name: str
    class_name: str


class ModelsReply(TypedDict):
    """Modules among the kernel's variables."""

    models: list[ModelVariable]


class VariablesBody(TypedDict):
    """Nothing."""


class Variable(TypedDict):
    """A variable of the kernel: what its value is, and which one.

    identity: stays the same for as long as the name holds the same object; another object never gets it.
    """

    name: str
    class_name: str
    identity: int


class VariablesReply(TypedDict):
    """Modules and torch optimizers among the kernel's variables, in the order they were made; none is looked into."""

    modules: list[Variable]
    optimizers: list[Variable]


class CancelBody(TypedDict):
    """Id of the request to stop. It then replies with error code `cancelled`; this one replies whether it was found."""

    id: str


class CancelReply(TypedDict):
    """False where that request had ended, or never was."""

    found: bool


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
