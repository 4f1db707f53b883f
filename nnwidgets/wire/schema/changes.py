"""The part of the wire's schema that changes a model: bodies of `initializers` to `code`."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from nnwidgets.wire.schema.envelope import ModelBody, Number, PathBody
from nnwidgets.wire.schema.inspect import Figures
from nnwidgets.wire.schema.tree import Chip

Scope = Literal["here", "fold", "filter"]
Only = Literal["all", "weights", "vectors"]


class TargetBody(PathBody):
    """Which tensors: one, all parameters of a module, the like of them in each member of a fold, or the filter's rows.

    scope: `here` (the default) is `path` itself, `fold` the same path in every member of the innermost fold around it,
        `filter` what `filter` and `chips` keep, as in `rows`; `path` is then what is in view.
    only: `weights` leaves out tensors of fewer than two dimensions, `vectors` keeps only those.
    """

    scope: NotRequired[Scope]
    only: NotRequired[Only]
    filter: NotRequired[str]
    chips: NotRequired[list[Chip]]


class ParameterBody(TypedDict):
    """A parameter of an initializer. `type`: "float", "int", "bool", "str", "any"; `choices` is empty where open."""

    name: str
    type: str
    required: bool
    default: Number | bool | None
    choices: list[str]


class InitializerBody(TypedDict):
    """An initializer. `refused` says why it can't fill this target, None where it can."""

    name: str
    kind: Literal["torch", "user", "reset"]
    doc: str
    signature: str
    parameters: list[ParameterBody]
    draws: bool
    is_constant: bool
    refused: str | None


class ScopeBody(TypedDict):
    """A scope that this path offers, in words ("all 12, h.0 to h.11"), with how many tensors it means."""

    scope: Scope
    label: str
    n_tensors: int


class FanBody(TypedDict):
    """What the usual rules say of a weight: its fans as torch's fillers take them, and the std each rule gives.

    activation: what follows the layer, where that can be told; gain is `calculate_gain` of it, else 1.
    stds: by rule: `xavier`, `kaiming_fan_in`, `kaiming_fan_out`, `lecun`.
    """

    fan_in: Number
    fan_out: Number
    activation: str | None
    activation_path: str | None
    gain: Number
    stds: dict[str, Number]
    note: str


class InitializersReply(TypedDict):
    """Those on offer, the one suggested, and what is known of the target; `problem` says why nothing can fill it."""

    initializers: list[InitializerBody]
    suggested: str
    scopes: list[ScopeBody]
    n_weights: int
    n_vectors: int
    fan: FanBody | None
    problem: str | None


class InitBody(TargetBody):
    """Fill a target anew.

    kwargs: the initializer's own parameters; text where its type is "any" is read as a Python literal if it is one.
    seed: from 0 to 2^64 - 1; drawn and told where it is None or left out.
    clear_state: also clear what live optimizers remember of the tensors.
    """

    how: str
    kwargs: NotRequired[dict[str, Number | bool | None]]
    seed: NotRequired[Number | None]
    clear_state: NotRequired[bool]


class Overlay(TypedDict):
    """Two histograms on common edges, each bin as a share of the finite values looked at."""

    edges: list[Number]
    before: list[float]
    after: list[float]


class ChangedTensor(TypedDict):
    """A tensor that changes. `how`: "target", or how its bytes are reached ("transposed view"); `tie`: its group.

    Statistics and overlay are there for the first tensors only.
    """

    path: str
    shape: str
    tie: str | None
    how: str
    before: Figures | None
    after: Figures | None
    overlay: Overlay | None


class StaleState(TypedDict):
    """What an optimizer remembers of the old values, or that this is cleared with the change."""

    optimizer: str
    n_tensors: int
    message: str


class InitReply(TypedDict):
    """What would change, or has changed: at most 200 tensors are listed. `code` is the same in torch alone."""

    label: str
    seed: Number | None
    n_tensors: int
    n_elements: Number
    tensors: list[ChangedTensor]
    warnings: list[str]
    stale: list[StaleState]
    code: str


class AssignBody(PathBody):
    """Set one element: `index` has a number per dimension, `value` is text as Python has it ("0.5", "nan", "1+2j")."""

    index: list[int]
    value: str


class UndoBody(ModelBody):
    """`force`: also over what other code has written since; without it that is refused as `changed-since`."""

    force: NotRequired[bool]


class ChangeReply(TypedDict):
    """A change that was made, taken back or made again; at most 200 paths are listed."""

    label: str
    paths: list[str]
    n_paths: int
    seed: Number | None
    warnings: list[str]


class HistoryEntry(TypedDict):
    """A change. `time`: seconds since 1970. `state`: `done`, `undone`, or `kept` where its undo copy was dropped."""

    label: str
    kind: str
    paths: list[str]
    n_paths: int
    seed: Number | None
    time: float
    warnings: list[str]
    state: Literal["done", "undone", "kept"]


class HistoryReply(TypedDict):
    """The log, the oldest first; the last 200 entries come. `first` is the number of the first one that does.

    undo, redo: label of the change that it would take back or make again, None where there is none.
    """

    entries: list[HistoryEntry]
    first: int
    n_changes: int
    undo: str | None
    redo: str | None
    kept_bytes: Number
    budget_bytes: Number


class CodeBody(ModelBody):
    """`index` picks one change in force, counted from 0; without it all of them, in order."""

    index: NotRequired[int]


class CodeReply(TypedDict):
    """Python that makes the changes again with torch alone, bit for bit."""

    code: str
