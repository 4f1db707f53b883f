"""The part of the schema that looks at a row: `inspect`, `stats`, `values`, `depth`, `ties`, `findings`, `trace`."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from nnwidgets.wire.schema.envelope import Array, ModelBody, Number, PathBody

Of = Literal["value", "grad"]


Severity = Literal["error", "warning", "note"]


class WindowBody(TypedDict):
    """What `ValuesBody` says beside the path."""

    of: NotRequired[Of]
    row: NotRequired[int]
    column: NotRequired[int]
    rows: NotRequired[int]
    columns: NotRequired[int]
    max_rows: NotRequired[int]
    max_columns: NotRequired[int]


class InspectBody(PathBody):
    """What else is wanted with the facts, one round trip less.

    bins: sampled statistics of the values, with at most so many bins.
    windows: the values in as many windows, at most 4.
    """

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


class MeshDimension(TypedDict):
    """A dimension of a mesh of ranks."""

    name: str
    size: int


class TensorFacts(TypedDict):
    """What is known of a tensor without reading its data.

    placements, mesh, local_shape: of a DTensor, how it is spread over each dimension of its mesh (`Shard(0)`), and the
        shape of the part here; of a model over ranks, of the part on the first rank that has it.
    """

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
    placements: NotRequired[list[str]]
    mesh: NotRequired[list[MeshDimension]]
    local_shape: NotRequired[list[int] | None]


class ModuleFacts(TypedDict):
    """What is known of a module; of another name of one, what is known of the module.

    n_parameters, n_frozen: tensors that are parameters, and those of them that ask for no gradient.
    extra: its guarded, cut `extra_repr` equivalent, from plain attributes.
    """

    n_params: Number
    n_params_trainable: Number
    size_bytes: Number
    n_modules: int
    n_tensors: int
    n_parameters: int
    n_frozen: int
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


class Setting(TypedDict):
    """A setting of an optimizer's group, and how it is written."""

    name: str
    value: str


class Remembered(TypedDict):
    """What an optimizer remembers of a parameter: its norm where `is_norm`, else a number or how large it is."""

    name: str
    value: str
    is_norm: bool
    shape: str
    dtype: str
    size_bytes: Number


class OptimizerPlace(TypedDict):
    """A group of an optimizer that holds the inspected parameter. `name` is its variable's, or its class's.

    step: how many steps the parameter has made, where that is counted.
    """

    name: str
    class_name: str
    group: int
    n_groups: int
    settings: list[Setting]
    step: Number | None
    state: list[Remembered]


class InspectReply(TypedDict):
    """`tensor` or `module` is set, the other None.

    optimizers: of a parameter, where an optimizer of the model is known; empty where the parameter asks for gradients
        and none holds it.
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
    optimizers: NotRequired[list[OptimizerPlace]]


class StatsBody(PathBody):
    """`exact` False answers from a sample at once; True (the default) reads everything, with progress, cancellably."""

    of: NotRequired[Of]
    exact: NotRequired[bool]
    bins: NotRequired[int]


class Figures(TypedDict):
    """Statistics without the histogram; of a sample where `is_exact` is False, unless `of` says of what.

    of: whose they are, where not the whole tensor's values: a shard's, or codes'.
    """

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
    is_exact: bool
    of: NotRequired[str]


class Bulk(TypedDict):
    """A histogram of the range that nearly all values of a sample lie in; `outside` is the share of the others."""

    hist_counts: list[Number]
    hist_edges: list[Number]
    outside: float


class RankFigures(TypedDict):
    """What one rank holds of a tensor.

    part: its place along each dimension of the mesh that the tensor is cut over; empty where it has all. Ranks of one
        part are replicas.
    """

    rank: int
    part: list[int]
    n: Number
    min: Number
    mean: Number
    max: Number
    norm: Number
    n_nan: Number
    n_inf: Number


class StatsReply(Figures):
    """`TensorStats`, field by field; `n_total` is the tensor's element count, `version` its version counter.

    bulk: where a few values lie so far off that the histogram has the rest in a few bins.
    by_rank: of a model over ranks, a line for each that holds some of it. There is nothing more exact to be asked for.
    missing: the ranks that didn't answer; where what they hold is missing here, `of` says so.
    """

    hist_counts: list[Number]
    hist_edges: list[Number]
    bulk: NotRequired[Bulk]
    by_rank: NotRequired[list[RankFigures]]
    missing: NotRequired[list[int]]
    version: int | None


class ValuesBody(WindowBody):
    """A window of the tensor seen as a matrix, thinned to at most `max_rows` × `max_columns` cells."""

    model: NotRequired[str]
    path: str


class MatrixBox(TypedDict):
    """A rectangle of the matrix that a tensor is seen as."""

    row: int
    column: int
    rows: int
    columns: int


class ShardBox(MatrixBox):
    """The part of a tensor that some ranks have."""

    ranks: list[int]


class ValuesReply(TypedDict):
    """A window of the `n_rows` × `n_columns` matrix that a tensor is seen as.

    values: float32. Cell [i, j] is element (row + i * row_step, column + j * column_step) or, where a step is above 1,
        the element of largest magnitude in its block.
    texts: each cell's exact text, where nothing was thinned and the window is at most 4,096 cells.
    scale: the magnitude at full colour (99.5th percentile of |value| of a sample of the whole tensor, without those
        that are more than four times as large as nine tenths of them).
    row_axes, column_axes: the tensor's dimensions that a row or column runs over.
    shards: of a model over ranks, each part with the ranks that have it. absent: what of the window none has that
        answered; its values are 0, its texts dashes.
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
    shards: NotRequired[list[ShardBox]]
    absent: NotRequired[list[MatrixBox]]


class DepthReply(TypedDict):
    """Standard deviation of the same tensor in each member of its fold, sampled, as at most 128 bars.

    labels, paths: of each bar; it stands for `per_bar` members in a row (the last perhaps for fewer), and leads to the
    first. std, least: the greatest and the least among them, NaN where one can't be told. index: the bar of the tensor
    asked about. n_members: of the fold; n_read: how many were read, at most 4,096.
    """

    name: str
    labels: list[str]
    paths: list[str]
    std: list[Number]
    least: list[Number]
    is_exact: bool
    index: int
    per_bar: int
    n_members: int
    n_read: int


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
    saved_bytes: NotRequired[Number | None]


class ForwardBody(ModelBody):
    """Run a forward in the main thread, once no cell runs: on tensors among the variables, or on inputs of a size.

    inputs: names of variables, passed by position.
    size: a size of one input, such as `2,20` or `2,20:int64`; made and passed where no inputs are named.
    """

    inputs: NotRequired[list[str]]
    size: NotRequired[str]


class TensorVariable(TypedDict):
    """A variable of the kernel that holds a tensor."""

    name: str
    shape: str
    dtype: str


class TensorsReply(TypedDict):
    """Tensors among the kernel's variables, in the order they were made, at most 200."""

    tensors: list[TensorVariable]


class ClearReply(TypedDict):
    """Whether a trace was shown until now."""

    cleared: bool


class TraceReply(TypedDict):
    """The last trace shown in this view; `calls` is cut to 2,000, `n_calls` says how many there were.

    saved_bytes: what autograd keeps for a backward, None where gradients were off or it isn't known.
    """

    calls: list[TraceCallBody]
    n_calls: int
    failed_at: str | None
    error: str | None
    unused: list[str]
    seconds: float
    flops: Number | None
    saved_bytes: NotRequired[Number | None]
