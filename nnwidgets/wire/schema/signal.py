"""The part of the schema that is about the signal through the layers: a run, its points, candidates compared."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from nnwidgets.wire.schema.envelope import ModelBody, Number
from nnwidgets.wire.schema.inspect import FindingBody, ForwardBody, StatsReply


class ActivationsBody(ForwardBody):
    """Run a forward, and a backward where there is a loss, as `forward` does; shown in every view of the model.

    Without inputs and size, on what the last run of the model took, where that is still there.

    loss: `none` for the forward alone; `noise` sends a standard-normal gradient back from the output; `target` computes
        the loss of the output and the tensor in the variable `target`: cross entropy where it holds integers, else the
        mean squared error.
    """

    loss: Literal["none", "noise", "target"]
    target: NotRequired[str]


class SignalPoint(TypedDict):
    """One call, or several in a row, of which it is the one whose std is in the middle.

    at: its place among all calls of the run. path, call_index, class_name: what was called. shape, mean, std: of the
        first tensor of floating point that it gave. gradient: of the loss, its std there, None where none came.
    zeros: share of values that are zero. saturated: share that lies where the module is flat, None where that isn't one
        that can be; the greatest of several calls. n_silent, n_units: units that are zero for all of the batch, of how
        many; silent: their share, the greatest of several calls.
    n_bad, n_bad_gradients: NaN and infinite elements, of several calls together.
    n_calls: how many calls it stands for, where more than one; range, gradient_range: the least std and the greatest.
    """

    at: int
    path: str
    call_index: int
    class_name: str
    shape: str
    mean: Number
    std: Number
    gradient: Number | None
    zeros: float
    saturated: float | None
    n_silent: int
    n_units: int
    silent: float
    n_bad: Number
    n_bad_gradients: Number
    n_calls: NotRequired[int]
    range: NotRequired[list[Number]]
    gradient_range: NotRequired[list[Number]]


class SignalReply(TypedDict):
    """The last run shown in this view, of the calls within a module that called nothing themselves.

    run: which it is, 0 where there was none. points: at most 200, in the order of the calls. n_calls: how many calls
        these are; n_all: of the whole model.
    has_gradients: whether a gradient came anywhere. loss: what it was, where there was one.
    failed_at, failed_in, error: where the forward, the loss or the backward raised, and what; None where nothing did.
    findings: those about the module and what is within, worst first, at most 50; n_findings: how many there are.
    """

    run: int
    points: list[SignalPoint]
    n_calls: int
    n_all: int
    has_gradients: bool
    loss: Number | None
    failed_at: str | None
    failed_in: Literal["forward", "loss", "backward"] | None
    error: str | None
    findings: list[FindingBody]
    n_findings: int


class SignalPointBody(ModelBody):
    """A call of a run, by the run's number and its place among the run's calls."""

    run: int
    at: int


class SignalPointReply(TypedDict):
    """Statistics of what a call gave and of the gradient there, with histograms.

    n_outputs: how many tensors of floating point it gave; these are of the first. Calls after the first 4,000 outputs
        and gradients have no histograms.
    """

    path: str
    n_outputs: int
    values: StatsReply
    gradient: StatsReply | None


class LastInputsReply(TypedDict):
    """What the last forward that was traced of this model took, in words; None where that is gone, or none was."""

    inputs: str | None
