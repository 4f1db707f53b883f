"""The part of the wire's schema that shows a model as rows: bodies of `open`, `rows` and `locate`."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from nnwidgets.wire.schema.envelope import ModelBody, Number
from nnwidgets.wire.schema.inspect import MeshDimension, Severity

RowKind = Literal["module", "fold", "alias", "cycle", "tensor", "problem"]


Chip = Literal["trainable", "frozen", "tied", "findings", "notes"]


class OpenBody(ModelBody):
    """`model` names a variable of the kernel; a widget's own messages leave it out."""


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
    """What each chip is about: tensors for the first three, errors and warnings, notes."""

    trainable: int
    frozen: int
    tied: int
    findings: int
    notes: int


class RankState(TypedDict):
    """How a rank was when it was last asked.

    answered: whether it did. host: "" where it never has. doing: what is known of it: "hasn't answered for 5.0 s".
    local_bytes: of the model, that it holds.
    """

    rank: int
    host: str
    state: Literal["idle", "busy", "stuck", "missing", "dead"]
    answered: bool
    doing: str
    local_bytes: Number


class RanksState(TypedDict):
    """Of a model over ranks: who holds it.

    mesh: of the tensor that is spread over the most dimensions; empty where none is. problem: why the ranks couldn't
        say what the model is now; the rows are then as last read. can_change: whether it can be changed from here, as
        soon as all ranks answer; else it can be looked at alone.
    """

    mesh: list[MeshDimension]
    ranks: list[RankState]
    problem: str | None
    can_change: bool


class OpenReply(TypedDict):
    """The model at a glance, with the first window of rows.

    `ranks` comes for a model over ranks. `run` is the number of the last run of `activations` that the rows tell of.
    """

    name: str
    class_name: str
    totals: Totals
    chips: ChipCounts
    rows: RowsReply
    ranks: NotRequired[RanksState]
    run: NotRequired[int]


class RowsBody(TypedDict):
    """Which rows are open is the page's to say; what that comes to is the kernel's to work out.

    expanded: ids of open rows, or None for the default opening (which the reply tells).
    picked: for an open fold, the index of the member shown (default 0). What was open below another member is open
        below this one, and the reply's `expanded` says so.
    unfolded: folds opened as all their members.
    filter: words of the filter box, all of which must hold; "" for none. A word is a path, a glob, a class, Python that
        leads to a part (`net.h[0]`), a part of a name, or a condition on tensors: `shape:768`, `shape:256x*`,
        `dtype:bf16`, `device:cuda`, `is:buffer`, `params>1e6`, `frozen`, `trainable`, `tied`,
        `@Shard(0)`, `@rank:3`, `!word`. In a filtered
        view every ancestor of a match is open, and nothing is folded but below a match.
    chips: every chip must hold, but `trainable` and `frozen` together keep both, and so do `findings` and `notes`.
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
    """One cell of a fold's strip: a member, or several in a row, of which `path` is the first's.

    label: the member's name, or the first one's and the last one's. frozen: "all", "some" of their parameters, or None.
    findings: how many are within, the gravest of them being `worst`.
    """

    path: str
    label: str
    frozen: Literal["all", "some"] | None
    findings: int
    worst: Severity | None


class Fold(TypedDict):
    """A run of like siblings shown as one row.

    `members` are at most 64 cells, each of `per_cell` members (the last perhaps of fewer). `picked_path` is the path of
    the member shown.
    """

    count: int
    picked: int
    picked_path: str
    unfolded: bool
    per_cell: int
    members: list[FoldMember]


class RowTrace(TypedDict):
    """The last trace, on its row. `shape` is input → output of the last call."""

    n_calls: int
    shape: str
    seconds: float | None
    failed: bool
    unused: bool
    flops: NotRequired[Number | None]
    saved_bytes: NotRequired[Number | None]


class RowSignal(TypedDict):
    """The last run of `activations`, on its row: of the module's last call, the first tensor that it gave.

    std, gradient: of its values, and of the gradient there, None where none came. level, gradient_level: how long their
        bars are, 0 to 1, each on a logarithmic scale of all rows. n_bad: NaN and infinite values.
    """

    std: Number
    level: float
    gradient: Number | None
    gradient_level: float | None
    n_bad: Number


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
    findings: worst severity on this very row; findings_inside: count below it; worst_inside: their worst severity.
    note: hover text: why counts differ, what is special.
    untrained: true for a parameter that asks for gradients and is in no optimizer, where the model has one.
    placement: how a DTensor is spread over its mesh, in short: "S0 · R".
    signal: of a module that was called in the last run of `activations`; of a fold, that of the member it shows.
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
    worst_inside: Severity | None
    alias_of: str | None
    problem: str | None
    note: str | None
    matched: bool
    fold: Fold | None
    trace: RowTrace | None
    untrained: NotRequired[bool]
    placement: NotRequired[str]
    signal: NotRequired[RowSignal]


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
