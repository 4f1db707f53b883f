"""What there is to say of the signal through a model: calls with what they gave and got back, initializers compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from nnwidgets.edit import InitCandidate, InitComparison, SignalBand, SignalPoint, UpdateRatio
from nnwidgets.formatting import counted, exact_count, shape_text
from nnwidgets.introspect.signal.signal_records import (
    Activations,
    CallSignal,
    OutputSignal,
    ParameterSignal,
    leaf_calls,
)
from nnwidgets.text.document import Block, Curve, Curves, Document, Facts, Note, Table
from nnwidgets.text.pages.model import MOST_ROWS, findings_page, table_of

_COLUMNS: tuple[tuple[str, bool, Callable[[OutputSignal], str]], ...] = (
    ("output", True, lambda out: shape_text(out.shape)),
    ("mean", True, lambda out: _number(out.values.mean)),
    ("std", True, lambda out: _number(out.values.std)),
    ("zeros", False, lambda out: _share(out.values.n_zero, out.values.n)),
    ("saturated", False, lambda out: _share(out.n_saturated or 0, out.values.n)),
    ("silent units", False, lambda out: f"{out.n_silent_units} of {out.n_units}" if out.n_silent_units else ""),
    ("NaN or inf", False, lambda out: exact_count(n) if (n := out.values.n_nan + out.values.n_inf) else ""),
    ("gradient's std", False, lambda out: "" if out.gradient is None else _number(out.gradient.std)),
)
"""Heads, whether a column is there where it is empty, and its cells."""


def activations_page(found: Activations, *, name: str | None = None) -> Document:
    """Each call with what it gave and what came back, of many as curves too, then the parameters' gradients."""
    blocks: list[Block] = [_calls(found.calls, name)]
    if len(leaf_calls(found.calls)) >= _FEWEST_PLACES:
        blocks += signal_curves_page(found)
    if found.error is not None:
        where = (
            found.failed_at or name or "the model itself" if found.failed_in == "forward" else f"the {found.failed_in}"
        )
        blocks.append(Note(f"raised: {found.error}", "error", where=where))
    if found.parameters:
        blocks.append(_parameters(found.parameters))
    if found.findings:
        blocks += findings_page(found.findings)
    said = [counted(len(found.calls), "call", exact_count)]
    if found.loss is not None:
        said.append(f"loss {_number(found.loss)}")
    blocks.append(Note(" · ".join(said)))
    return tuple(blocks)


def call_signal_page(call: CallSignal) -> Document:
    """One call."""
    return (_calls((call,)),)


def output_signal_page(output: OutputSignal) -> Document:
    """One tensor that a call gave."""
    heads, cells = _columns([output])
    return (Table(heads, (tuple(cell(output) for cell in cells),), right=tuple(range(1, len(heads)))),)


def parameter_signal_page(parameter: ParameterSignal) -> Document:
    """The gradient of one parameter."""
    return (_parameters((parameter,)),)


def signal_curves_page(found: Activations) -> Document:
    """Std through the calls that called nothing themselves, forward and back, at up to 120 of them."""
    calls = leaf_calls(found.calls)
    if not calls:
        return ()
    outputs = [call.outputs[0] for call in calls[:: -(-len(calls) // _MOST_PLACES)]]
    ways = (("output", [out.values for out in outputs]), ("gradient", [out.gradient for out in outputs]))
    lines = [
        (name, tuple(None if each is None or math.isnan(each.std) else each.std for each in of)) for name, of in ways
    ]
    curves = tuple(Curve(name, std, std, std) for name, std in lines if any(each is not None for each in std))
    first, last = (call.path or "the model itself" for call in (calls[0], calls[-1]))
    return (Curves("std through depth", first, last, curves),)


_MOST_PLACES = 120
_FEWEST_PLACES = 8
"""From how many on curves show what the eye doesn't see in a column of numbers."""


def comparison_page(found: InitComparison, *, name: str | None = None) -> Document:
    """Candidates beside each other: what they do, their curves, and these as numbers."""
    blocks: list[Block] = [Note(found.verdict)]
    if len(found.candidates) > 1:
        blocks += [Note(each.verdict, where=each.name) for each in found.candidates]
    for title, way in _WAYS:
        bands = [(each.name, way(each)) for each in found.candidates]
        if any(band for _, each in bands for band in each):
            first, last = (_place(point, name) for point in (found.points[0], found.points[-1]))
            curves = tuple(_curve(each, of) for each, of in bands)
            blocks += [Curves(title, first, last, curves), _points(found.points, bands, name)]
    blocks += [each for candidate in found.candidates for each in _training(candidate)]
    n_runs = sum(len(each.seeds) for each in found.candidates)
    said = f"{counted(n_runs, 'run')} on stand-ins of {counted(len(found.targets), 'tensor')}; the model is as it was"
    return (*blocks, Note(said))


_WAYS: tuple[tuple[str, Callable[[InitCandidate], Sequence[SignalBand | None]]], ...] = (
    ("std of what each call gives", lambda each: each.forward),
    ("std of the gradient that arrives there", lambda each: each.backward),
)


def candidate_page(candidate: InitCandidate) -> Document:
    """One candidate."""
    findings = findings_page(candidate.findings) if candidate.findings else ()
    return (Note(candidate.verdict, where=candidate.name), *_training(candidate), *findings)


def point_page(point: SignalPoint) -> Document:
    """One place on the way through the layers."""
    return (Facts((("call", _place(point, None)), ("class", point.class_name))),)


def band_page(band: SignalBand) -> Document:
    """A number over seeds."""
    pairs = [("mean", band.mean), ("lowest", band.low), ("highest", band.high)]
    odd = [("NaN or infinite", counted(band.n_nonfinite, "seed"))] if band.n_nonfinite else []
    return (Facts((*((name, _number(value) or "NaN") for name, value in pairs), *odd)),)


def update_ratio_page(ratio: UpdateRatio) -> Document:
    """How far steps move one weight."""
    return (table_of(("step", "log10 of update : weight"), _steps(ratio.log10), right=(0, 1)),)


def _steps(values: Sequence[float]) -> list[tuple[str, ...]]:
    return [(exact_count(step), _number(value)) for step, value in enumerate(values)]


def _training(candidate: InitCandidate) -> list[Block]:
    if not candidate.losses:
        return []
    first, last = candidate.losses[0], candidate.losses[-1]
    said = f"loss {_number(first.mean)} at step 0, {_number(last.mean)} at step {len(candidate.losses) - 1}"
    ratios = sorted(each.log10[-1] for each in candidate.update_ratios if not math.isnan(each.log10[-1]))
    if ratios:
        said += f"; update : weight 10^{ratios[0]:.1f} to 10^{ratios[-1]:.1f} there"
    return [Note(said, where=candidate.name)]


def _curve(name: str, bands: Sequence[SignalBand | None]) -> Curve:
    known = [band if band and not math.isnan(band.mean) else None for band in bands]
    of = ([None if band is None else getattr(band, each) for band in known] for each in ("mean", "low", "high"))
    return Curve(name, *map(tuple, of))


def _points(
    points: Sequence[SignalPoint], bands: Sequence[tuple[str, Sequence[SignalBand | None]]], name: str | None
) -> Table:
    rows = [
        (_place(point, name), point.class_name, *(_band(each[at]) for _, each in bands))
        for at, point in enumerate(points)
    ]
    heads = ("call", "class", *(each for each, _ in bands))
    return table_of(heads, rows, right=tuple(range(2, len(heads))))


def _band(band: SignalBand | None) -> str:
    if band is None:
        return ""
    return f"{_number(band.mean)}{' NaN or inf' if band.n_nonfinite else ''}".strip()


def _place(point: SignalPoint, name: str | None) -> str:
    again = f" (call {point.call_index + 1})" if point.call_index else ""
    return f"{point.path or name or 'the model itself'}{again}"


def _calls(calls: Sequence[CallSignal], name: str | None = None) -> Table:
    shown = calls[:MOST_ROWS]
    heads, cells = _columns([output for call in shown for output in call.outputs])
    rows: list[tuple[str, ...]] = []
    for call in shown:
        again = f" (call {call.call_index + 1})" if call.call_index else ""
        where = f"{'  ' * min(call.depth, 12)}{call.path or name or 'the model itself'}{again}"
        each = [tuple(cell(output) for cell in cells) for output in call.outputs] or [("",) * len(cells)]
        rows.append((where, call.class_name, *each[0]))
        rows += [("", "", *further) for further in each[1:]]
    heads = ("call", "class", *heads)
    return Table(heads, tuple(rows), right=tuple(range(3, len(heads))), n_more=max(0, len(calls) - MOST_ROWS))


def _columns(outputs: Sequence[OutputSignal]) -> tuple[tuple[str, ...], list[Callable[[OutputSignal], str]]]:
    shown = [(head, cell) for head, is_always, cell in _COLUMNS if is_always or any(map(cell, outputs))]
    return tuple(head for head, _ in shown), [cell for _, cell in shown]


def _parameters(parameters: Sequence[ParameterSignal]) -> Table:
    rows: list[tuple[str, ...]] = [
        (
            each.path,
            "" if each.weight is None else _number(each.weight.std),
            "none came" if each.gradient is None else _number(each.gradient.std),
            "" if math.isnan(each.ratio) else _number(each.ratio),
            "the same for all units" if each.has_equal_units else "",
        )
        for each in parameters
    ]
    heads: tuple[str, ...] = ("parameter", "std", "gradient's std", "gradient : weight", "")
    if not any(row[-1] for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    return table_of(heads, rows, right=(1, 2, 3))


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3g}"


def _share(n: int, total: int) -> str:
    return f"{100 * n / total:.3g} %" if n else ""
