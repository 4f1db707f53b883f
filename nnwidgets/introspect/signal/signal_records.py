"""The signal through a model, as records."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nnwidgets.formatting import counted, inert
from nnwidgets.introspect.records import Finding, Record, TensorStats, as_json
from nnwidgets.introspect.signal.thresholds import LIMITS


@dataclass(frozen=True, slots=True)
class OutputSignal(Record):
    """One tensor that a call gave, and the gradient that arrived there.

    Attributes:
        shape: Its shape.
        dtype: Its dtype, ``"float32"``.
        values: Statistics of its elements.
        gradient: Statistics of the loss's gradient with respect to it; None without a backward, and where none came.
        n_saturated: How many of its elements lie where the module that made it is flat; None where that isn't one of
            those that can be (`torch.nn`'s tanh, sigmoid, hardtanh, softmax and their kin).
        n_units: How many units it has: channels of a convolution, features of a linear layer.
        n_silent_units: How many of these are zero for all of the batch.
    """

    shape: tuple[int, ...]
    dtype: str
    values: TensorStats
    gradient: TensorStats | None
    n_saturated: int | None
    n_units: int
    n_silent_units: int


@dataclass(frozen=True, slots=True)
class CallSignal(Record):
    """What one call of one module gave.

    Attributes:
        path: The module called.
        call_index: 0 for its first call in this forward, 1 for its second.
        class_name: Its class.
        depth: How deep in the call stack, 0 for the model itself.
        outputs: The tensors of floating point that came out, in order, nested containers flattened; empty where it
            raised.
    """

    path: str
    call_index: int
    class_name: str
    depth: int
    outputs: tuple[OutputSignal, ...]


def leaf_calls(calls: Sequence[CallSignal]) -> list[CallSignal]:
    """The calls that gave tensors of floating point and called no other module, but for what makes up its weights."""
    calls = [call for call in calls if ".parametrizations." not in f".{call.path}"]
    ends = [later.depth <= call.depth for call, later in itertools.pairwise(calls)] + [True]
    return [call for call, is_leaf in zip(calls, ends, strict=False) if is_leaf and call.outputs]


def tells_silence(output: OutputSignal) -> bool:
    """Whether a unit that is zero for all of a batch has so many values that it is no chance."""
    return output.values.n >= LIMITS.n_values * output.n_units > 0


@dataclass(frozen=True, slots=True)
class ParameterSignal(Record):
    """The gradient of one parameter.

    Attributes:
        path: The parameter, by its first name.
        weight: Statistics of its values, without a histogram.
        gradient: Statistics of its gradient, without a histogram; None where none came.
        has_equal_units: Whether all its units, rows of two or more, have the same weights, the same bias beside them,
            and the same gradient, which isn't zero: training keeps them alike.
    """

    path: str
    weight: TensorStats | None
    gradient: TensorStats | None
    has_equal_units: bool

    @property
    def ratio(self) -> float:
        """Standard deviation of the gradient over that of the weight; NaN where either isn't known."""
        if self.weight is None or self.gradient is None:
            return math.nan
        return self.gradient.std / self.weight.std if self.weight.std else math.nan

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them, and ``ratio``."""
        return {**Record.to_dict(self), "ratio": as_json(self.ratio)}


@dataclass(frozen=True, slots=True, repr=False)
class Activations(Record):
    """The signal through the layers of a model on one batch.

    Attributes:
        calls: Every call, in the order they began.
        parameters: Every parameter that asks for a gradient, in walk order; empty without a backward.
        loss: What the loss was; None without one, for ``"noise"``, and where it wasn't reached.
        failed_at: Path of the innermost module whose forward raised, or None.
        error: What the forward, the loss or the backward raised, as ``"RuntimeError: …"``, or None.
        failed_in: ``"forward"``, ``"loss"`` or ``"backward"`` where it raised, or None.
        findings: What is worth knowing of it, the worst first.
    """

    calls: tuple[CallSignal, ...]
    parameters: tuple[ParameterSignal, ...]
    loss: float | None
    failed_at: str | None
    error: str | None
    failed_in: str | None
    findings: tuple[Finding, ...] = ()

    def __repr__(self) -> str:
        what = counted(len(self.calls), "call")
        if self.parameters:
            what += f", {counted(len(self.parameters), 'parameter')}"
        if self.loss is not None:
            what += f", loss {self.loss:.6g}"
        if self.error is not None:
            what += f", {self.failed_in} failed: {inert(self.error, 200)}"
        return f"Activations({what})"
