"""What goes through the layers with one candidate, over seeds."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nnwidgets.edit.init_comparison.comparison_records import SignalBand, SignalPoint
from nnwidgets.introspect import Activations, CallSignal, TensorStats
from nnwidgets.introspect.safe_access.objects import is_module
from nnwidgets.introspect.signal.signal_findings import call_facts
from nnwidgets.introspect.signal.signal_records import leaf_calls, tells_silence
from nnwidgets.introspect.signal.thresholds import LIMITS

Key = tuple[str, int]
"""A call: the module's path, and which of its calls it is."""


@dataclass(slots=True)
class Seen:
    """What the runs of one candidate gave.

    Attributes:
        runs: For each seed, the calls that gave something.
        first: The run with the first seed.
        error: What raised, as ``"RuntimeError: …"``, or None.
        failed_in: Where.
        failed_at: The module.
        losses: For each seed, the loss of each step of a short training.
        spreads: For the first seed, the standard deviation over samples, by call.
        updates: For each seed, the update ratios of each weight, by step.
    """

    runs: list[dict[Key, CallSignal]] = field(default_factory=list)
    first: Activations | None = None
    error: str | None = None
    failed_in: str | None = None
    failed_at: str | None = None
    losses: list[list[float]] = field(default_factory=list)
    spreads: dict[Key, float] = field(default_factory=dict)
    updates: list[dict[str, list[float]]] = field(default_factory=list)

    def add(self, found: Activations, spreads: dict[Key, float]) -> None:
        """Take in one more run."""
        if self.first is None:
            self.first, self.spreads = found, spreads
        self.runs.append({(call.path, call.call_index): call for call in leaf_calls(found.calls)})
        if found.error is not None:
            self.fail(found.error, found.failed_in, found.failed_at)

    def fail(self, error: str, failed_in: str | None, failed_at: str | None = None) -> None:
        """Take in what raised."""
        self.error, self.failed_in, self.failed_at = error, failed_in, failed_at


def points_of(everything: Iterable[Seen], modules: Mapping[str, Any]) -> tuple[SignalPoint, ...]:
    """The calls that any of the runs has, in the order of the run that has the most, others behind them.

    Args:
        everything: What candidates gave.
        modules: The model's modules, by path.
    """
    runs = sorted((run for seen in everything for run in seen.runs), key=len, reverse=True)
    calls: dict[Key, CallSignal] = {}
    for run in runs:
        for key, call in run.items():
            calls.setdefault(key, call)
    return tuple(
        SignalPoint(call.path, call.call_index, call.class_name, is_layer(modules.get(call.path)))
        for call in calls.values()
    )


def is_layer(module: Any) -> bool:
    """Whether a module has a weight of its own that its input is multiplied by."""
    return is_module(module) and call_facts(module, "").is_layer


def curves(seen: Seen, points: Sequence[SignalPoint]) -> tuple[tuple[SignalBand | None, ...], ...]:
    """The bands of a candidate at each point, forward and back."""
    forward, backward = [], []
    for point in points:
        calls = [run.get((point.path, point.call_index)) for run in seen.runs]
        outputs = [call.outputs[0] for call in calls if call is not None]
        forward.append(_band([each.values for each in outputs]))
        backward.append(_band([each.gradient for each in outputs if each.gradient is not None]))
    return tuple(forward), tuple(backward)


def _band(found: Sequence[TensorStats]) -> SignalBand | None:
    if not found:
        return None
    band = geometric_band([each.std for each in found], sum(bool(each.n_nan + each.n_inf) for each in found))
    return replace(band, n_zero=sum(each.n_zero == each.n for each in found))


def sample_shares(seen: Seen, points: Sequence[SignalPoint]) -> tuple[float | None, ...]:
    """Of each point, the share of the first run's standard deviation that differs from sample to sample."""
    shares: list[float | None] = []
    for point in points:
        key = point.path, point.call_index
        call, spread = seen.runs[0].get(key) if seen.runs else None, seen.spreads.get(key)
        std = math.nan if call is None else call.outputs[0].values.std
        known = spread is not None and math.isfinite(spread) and math.isfinite(std) and std > 0
        shares.append(min(1.0, spread / std) if known and spread is not None else None)
    return tuple(shares)


def geometric_band(values: Sequence[float], n_nonfinite: int = 0) -> SignalBand:
    """The geometric mean of standard deviations, with the lowest and the highest.

    Example:
        >>> geometric_band([0.5, 2.0, float("nan")])
        SignalBand(mean=1.0, low=0.5, high=2.0, n_nonfinite=0, n_zero=0)
    """
    known = [each for each in values if math.isfinite(each)]
    if not known:
        return SignalBand(math.nan, math.nan, math.nan, n_nonfinite)
    mean = math.exp(math.fsum(map(math.log, known)) / len(known)) if min(known) > 0 else 0.0
    return SignalBand(mean, min(known), max(known), n_nonfinite)


def arithmetic_band(values: Sequence[float]) -> SignalBand:
    """The arithmetic mean of losses, with the lowest and the highest.

    Example:
        >>> arithmetic_band([1.0, 3.0, float("inf")])
        SignalBand(mean=2.0, low=1.0, high=3.0, n_nonfinite=1, n_zero=0)
    """
    known = [each for each in values if math.isfinite(each)]
    n_nonfinite = len(values) - len(known)
    if not known:
        return SignalBand(math.nan, math.nan, math.nan, n_nonfinite)
    return SignalBand(math.fsum(known) / len(known), min(known), max(known), n_nonfinite)


@dataclass(frozen=True, slots=True)
class Flaws:
    """What of the first run isn't seen in curves of standard deviations.

    Attributes:
        n_symmetric: Weights all of whose units get the same gradient.
        n_weights: Weights of two dimensions or more that got one.
        n_saturated: Calls more than 30 % of whose values lie where their module is flat, the model's own output and
            softmax aside.
        n_flat_kinds: Calls of modules that can be flat, but for these.
        n_silent: Units that are zero for all of the batch, of calls most of whose units are, where no gradient passes
            at zero.
        n_units: Units of these calls.
    """

    n_symmetric: int = 0
    n_weights: int = 0
    n_saturated: int = 0
    n_flat_kinds: int = 0
    n_silent: int = 0
    n_units: int = 0


def flaws_of(seen: Seen, modules: Mapping[str, Any], matrices: Collection[str]) -> Flaws:
    """What of the first run isn't seen in curves, as `signal_findings` tells it.

    Args:
        seen: What the candidate gave.
        modules: The model's modules, by path.
        matrices: The paths of parameters of two dimensions or more.
    """
    if seen.first is None:
        return Flaws()
    given = seen.first.parameters
    outputs = [
        (call_facts(modules[call.path], ""), out)
        for call in leaf_calls(seen.first.calls)
        if call.path in modules
        for out in call.outputs[:1]
    ]
    last = seen.first.calls[0].outputs if seen.first.calls else ()
    flat = [out for facts, out in outputs if facts.tells_ends and out.values.n and out not in last]
    silent = [
        out
        for facts, out in outputs
        if facts.is_flat_at_zero and tells_silence(out) and out.n_silent_units >= LIMITS.mostly_silent * out.n_units
    ]
    return Flaws(
        n_symmetric=sum(each.has_equal_units for each in given),
        n_weights=sum(each.path in matrices for each in given),
        n_saturated=sum((out.n_saturated or 0) > LIMITS.saturated * out.values.n for out in flat),
        n_flat_kinds=len(flat),
        n_silent=sum(out.n_silent_units for out in silent),
        n_units=sum(out.n_units for out in silent),
    )
