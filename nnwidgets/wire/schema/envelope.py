"""Messages of any kind, and what several parts of the schema are made of."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

Number = int | float | str
"""Integers beyond 2^53 travel as decimal strings; NaN and infinities as "NaN", "Infinity", "-Infinity"."""


VERSION = 1


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
    activated: a run of `activations` arrived; `body` is empty.
    """

    v: int
    event: Literal["changed", "closed", "traced", "ticked", "activated"]
    body: dict[str, Any]


class ChangedBody(TypedDict):
    """`structure` False: only values may have changed, rows need not be asked again."""

    structure: bool


class ClosedBody(TypedDict):
    """Why the view is over, as an error reply would say it: `model-gone` or `view-closed`."""

    code: str
    message: str


class NotFinite(TypedDict):
    """NaN and infinities in what trains.

    step: the first after which some were seen. last_clean: the last before it after which there were none, null where
        that was never seen.
    path: the first tensor with some; `of`: whether in its gradient or its values.
    n_tensors: how many tensors had some then.
    """

    step: int
    last_clean: int | None
    path: str
    of: Literal["gradient", "value"]
    n_tensors: int


class TickedBody(TypedDict):
    """One step of a training, of the rows that the page was sent last.

    step: how many times `tick()` was called.
    broken: where NaN and infinities came in, null while there are none.
    beats: for each row by path, for a fold by its id, the norm of its trainable parameters, that of their gradients,
        and how far the step moved them, over the norm; null where there is none, or it isn't known.
    moved: how far rows have moved since a mark, by path, over the norm then; null where only that they did is known,
        and none for those that didn't. Such an event has no beats.
    signals: of modules, by path or fold, the mean and the standard deviation of what they gave in this step, and the
        standard deviation of the gradient that arrived there; null where none did. Such an event has no beats.
    part: with the first such event, the part of the page `pulse`, since a busy kernel answers no requests.
    """

    step: int
    beats: dict[str, list[Number | None]]
    broken: NotFinite | None
    moved: NotRequired[dict[str, Number | None]]
    signals: NotRequired[dict[str, list[Number | None]]]
    part: NotRequired[PartReply]


class Array(TypedDict):
    """A binary array: row-major, little-endian; `buffer` is its index among the message's buffers.

    Where a message can carry no buffers (`nnwidgets.handle`), the reply has them beside its body, in base64.
    """

    dtype: str
    shape: list[int]
    buffer: int


class ModelBody(TypedDict):
    """Only which model."""

    model: NotRequired[str]


class PathBody(ModelBody):
    """A path of the model."""

    path: str


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
    """Modules and torch optimizers among the kernel's variables, in the order they were made.

    Modules right within a list, a dict or an object's attributes come after, by Python's names: `models[0]`,
    `nets["a"]`, `trainer.model`; requests may name them so. No code of theirs runs. Names that begin with an underscore
    are left out.
    """

    modules: list[Variable]
    optimizers: list[Variable]


class CancelBody(TypedDict):
    """Id of the request to stop. It then replies with error code `cancelled`; this one replies whether it was found."""

    id: str


class CancelReply(TypedDict):
    """False where that request had ended, or never was."""

    found: bool


class PartBody(TypedDict):
    """Which part of the page.

    name: `checkpoints` is its panel of checkpoints, `reinitialize` what fills tensors anew, `pulse` the column of a
        training's course, `help` what the filter and the keys mean, `depth` a tensor in every block, `table` the view
        of all tensors, a row each, `ranks` what is drawn of a model over ranks, `signal` what is drawn of a run of
        `activations`, `graph` what is drawn of a forward's graph, `layout` what finds
        places for it, `zh` its words in Simplified Chinese, `sentences` what reads by them what the kernel says.
    """

    name: Literal[
        "checkpoints", "reinitialize", "pulse", "help", "depth", "table", "ranks", "signal", "graph", "layout",
        "sentences", "zh",
    ]  # fmt: skip


class PartReply(TypedDict):
    """A module's source that has a function as its default export, and the style that goes with it.

    Of words, a JSON object from English to the other language, and no style.
    """

    code: str
    style: str
