"""A run of `activations` by the rows that its calls belong to, and as the points that a curve through them has."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from nnwidgets.formatting import inert, shape_text
from nnwidgets.introspect.safe_access.scan import read
from nnwidgets.introspect.signal.saturation import is_flat_at_zero
from nnwidgets.introspect.signal.signal_records import Activations, CallSignal, OutputSignal, leaf_calls, tells_silence
from nnwidgets.wire.schema.signal import SignalPoint
from nnwidgets.wire.schema.tree import RowSignal

MOST_POINTS = 200
_LEAST_DECADES = 1.0
"""A column of bars spans no less than this, so that what is much the same looks so."""
_LEAST_BAR = 0.08
_DIGITS = 5

_runs = itertools.count(1)


class SignalMarks:
    """What the last run says of each module; nothing where there was none.

    Args:
        found: The run.
        model: What was run, which says where units that give zero are dead; it isn't kept.

    Attributes:
        found: The run.
        number: Which run it is, no two of a kernel being the same; 0 where there was none.
        has_gradients: Whether a gradient came anywhere.
    """

    def __init__(self, found: Activations | None, model: object = None) -> None:
        self.found, self.number = found, 0 if found is None else next(_runs)
        calls: Sequence[CallSignal] = () if found is None else found.calls
        self._last: dict[str, CallSignal] = {call.path: call for call in calls if call.outputs}
        places = {id(call): at for at, call in enumerate(calls)}
        self._layers = [places[id(call)] for call in leaf_calls(calls)]
        self._flat_at_zero = _flat_at_zero(model) if any(o.n_silent_units for c in calls for o in c.outputs) else set()
        outputs = [call.outputs[0] for call in self._last.values()]
        self.has_gradients = any(out.gradient is not None for call in calls for out in call.outputs)
        self._values = _Scale([out.values.std for out in outputs])
        self._gradients = _Scale([out.gradient.std for out in outputs if out.gradient is not None])

    def row(self, path: str) -> RowSignal | None:
        """Return what stands on the row of the module at ``path``: of its last call, the first tensor."""
        call = self._last.get(path)
        if call is None:
            return None
        out = call.outputs[0]
        gradient = None if out.gradient is None else out.gradient.std
        return {
            "std": rounded(out.values.std),
            "level": self._values.level(out.values.std),
            "gradient": None if gradient is None else rounded(gradient),
            "gradient_level": None if gradient is None else self._gradients.level(gradient),
            "n_bad": _n_bad(call),
        }

    def points(self, path: str) -> tuple[list[SignalPoint], int]:
        """A point for each call within the module at ``path`` that called nothing itself, and how many these are.

        Of many, a point stands for several in a row: it is the call whose std is in the middle, and tells the range.
        """
        if self.found is None:
            return [], 0
        calls = self.found.calls
        within = [at for at in self._layers if is_within(calls[at].path, path)]
        return [self._point(group, calls) for group in in_groups(within)], len(within)

    def _point(self, group: Sequence[int], calls: Sequence[CallSignal]) -> SignalPoint:
        by_std = sorted(group, key=lambda at: _place(calls[at].outputs[0].values.std))
        at = by_std[len(by_std) // 2]
        call, out = calls[at], calls[at].outputs[0]
        stds = [std for each in group if math.isfinite(std := calls[each].outputs[0].values.std)]
        gradients = [
            came.std for each in group if (came := calls[each].outputs[0].gradient) and math.isfinite(came.std)
        ]
        dead = [(_share(*units), *units) for each in group if (units := self._dead_units(calls[each]))[0]]
        silent, n_silent, n_units = max(dead, default=(0.0, 0, out.n_units))
        made: SignalPoint = {
            "at": at,
            "path": call.path,
            "call_index": call.call_index,
            "class_name": inert(call.class_name, 60),
            "shape": shape_text(out.shape),
            "mean": rounded(out.values.mean),
            "std": rounded(out.values.std),
            "gradient": None if out.gradient is None else rounded(out.gradient.std),
            "zeros": _share(out.values.n_zero, out.values.n),
            "saturated": _most_saturated(calls[each].outputs[0] for each in group),
            "n_silent": n_silent,
            "n_units": n_units,
            "silent": silent,
            "n_bad": sum(_n_bad(calls[each]) for each in group),
            "n_bad_gradients": sum(
                came.n_nan + came.n_inf for each in group for o in calls[each].outputs if (came := o.gradient)
            ),
        }
        if len(group) > 1:
            made["n_calls"] = len(group)
            made["range"] = [rounded(min(stds, default=math.nan)), rounded(max(stds, default=math.nan))]
            if gradients:
                made["gradient_range"] = [rounded(min(gradients)), rounded(max(gradients))]
        return made

    def _dead_units(self, call: CallSignal) -> tuple[int, int]:
        """How many units let no gradient through, of how many: as the findings, where being zero is no chance."""
        out = call.outputs[0]
        is_told = call.path in self._flat_at_zero and tells_silence(out)
        return (out.n_silent_units if is_told else 0), out.n_units


def in_groups(places: Sequence[int]) -> list[Sequence[int]]:
    """As many places in a row as make a point each, where there are at most 200 of these.

    Example:
        >>> in_groups(range(3)), len(in_groups(range(401)))
        ([range(0, 1), range(1, 2), range(2, 3)], 134)
    """
    per_point = max(1, -(-len(places) // MOST_POINTS))
    return [places[at : at + per_point] for at in range(0, len(places), per_point)]


def _flat_at_zero(model: object) -> set[str]:
    scan = read(model)
    return {scan.path(row) for row, module in enumerate(scan.modules) if is_flat_at_zero(module)}


class _Scale:
    """How long a bar is on a logarithmic scale from the least to the greatest of some numbers."""

    def __init__(self, values: Sequence[float]) -> None:
        logs = [math.log10(value) for value in values if 0 < value < math.inf]
        self._top = max(logs, default=0.0)
        self._bottom = min([*logs, self._top - _LEAST_DECADES])

    def level(self, value: float) -> float:
        if not 0 < value < math.inf:
            return 0.0 if value == 0 or math.isnan(value) else 1.0
        share = (math.log10(value) - self._bottom) / (self._top - self._bottom)
        return round(_LEAST_BAR + (1 - _LEAST_BAR) * share, 3)


def is_within(path: str, ancestor: str) -> bool:
    """Return whether a path is another, or below it.

    Example:
        >>> is_within("h.1.attn", "h.1"), is_within("h.10", "h.1"), is_within("h.1", "")
        (True, False, True)
    """
    return not ancestor or (path.startswith(ancestor) and path[len(ancestor) : len(ancestor) + 1] in ("", ".", "["))


def _place(std: float) -> float:
    return math.inf if math.isnan(std) else std


def _n_bad(call: CallSignal) -> int:
    return sum(out.values.n_nan + out.values.n_inf for out in call.outputs)


def _share(n: int, of: int) -> float:
    return rounded(n / of) if of else 0.0


def _most_saturated(outputs: Iterable[OutputSignal]) -> float | None:
    shares = [_share(out.n_saturated, out.values.n) for out in outputs if out.n_saturated is not None]
    return max(shares, default=None)


def rounded(value: float) -> float:
    """As many digits as a page shows."""
    return float(f"{value:.{_DIGITS}g}")
