"""The part of the schema that is about the signal through the layers: a run, its points, candidates compared."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from nnwidgets.wire.schema.changes import TargetBody
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
        many, where no gradient passes at zero and it isn't chance; silent: their share. Of several calls it is that
        with the greatest.
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


class CandidateBody(TypedDict):
    """An initializer with its parameters, as for `init`; "" for the values as they are."""

    how: str
    kwargs: NotRequired[dict[str, Number | bool | None]]


class CompareInitsBody(TargetBody):
    """Run candidates for a target on stand-ins, with three seeds from `seed` (0 by default) on; nothing is changed.

    inputs, size: as for `activations`.
    """

    candidates: list[CandidateBody]
    seed: NotRequired[Number | None]
    inputs: NotRequired[list[str]]
    size: NotRequired[str]


class ComparedPoint(TypedDict):
    """A call that called nothing itself."""

    path: str
    call_index: int
    class_name: str


class Compared(TypedDict):
    """What goes through the layers with one candidate.

    how, kwargs: as they were sent. verdict: what it does, in a sentence with its numbers. forward, backward: at each
        point the std over seeds as its mean, the lowest and the highest; None where nothing came. bad: the points where
        there were NaN or infinite values, in any call that they stand for. error: what a forward or a backward raised,
        or None.
    """

    name: str
    how: str
    kwargs: dict[str, Number | bool | None]
    verdict: str
    forward: list[list[Number] | None]
    backward: list[list[Number] | None]
    bad: list[int]
    error: str | None


class CompareInitsReply(TypedDict):
    """Candidates side by side, at up to 200 points of `n_calls`; `init` with `seed` gives the first run's numbers.

    Where a point stands for several calls in a row it is the first of these, the last point the last call, with the
    lowest and the highest of all.
    """

    points: list[ComparedPoint]
    n_calls: int
    candidates: list[Compared]
    verdict: str
    seed: Number
    n_seeds: int
