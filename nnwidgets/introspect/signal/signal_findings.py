"""What a run tells that is worth knowing: a signal that fades or grows, dead units, the call where NaN is born.

Layers here are modules with a weight of their own and nothing below them but what makes it up, as weight norm does,
embeddings aside, in the order of their calls. A signal that goes through n of them and is multiplied by c at each
arrives multiplied by c^n; Glorot and Bengio (2010), He et al. (2015) and Saxe et al. (2014) choose weights so that c is
1, forward and back.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import nn

from nnwidgets.formatting import counted
from nnwidgets.introspect.checks.findings import SingleFinding, findings
from nnwidgets.introspect.module_tree.expressions import ExpressionWriter
from nnwidgets.introspect.records import Finding, Severity, TensorStats
from nnwidgets.introspect.safe_access.objects import instance_dict, is_a, is_module, is_tensor
from nnwidgets.introspect.signal.saturation import flat_parts, is_flat_at_zero
from nnwidgets.introspect.signal.signal_records import CallSignal, ParameterSignal, tells_silence
from nnwidgets.introspect.signal.thresholds import LIMITS


class Birth(NamedTuple):
    """What is known of the first call that gave NaN, and of the first layer that gave infinite values.

    Attributes:
        inputs: Statistics of what went in.
        bad_weights: Names of its own parameters that hold NaN or infinite elements.
    """

    inputs: tuple[TensorStats, ...]
    bad_weights: tuple[str, ...]


class CallFacts(NamedTuple):
    """What is known of a called module besides its output.

    Attributes:
        class_name: Its class.
        is_layer: Whether it has a weight of its own that its input is multiplied by.
        is_fillable: Whether that weight is a parameter, and not made of others as weight norm has it.
        is_flat_at_zero: Whether no gradient passes where it gives zero.
        tells_ends: Whether much at the ends of its range is worth telling.
        nonlinearity: What `torch.nn.init.calculate_gain` calls it, where it has ends or is a ReLU of some kind.
        birth: Where this call was the first that gave NaN or, of layers, infinite values: what went in.
    """

    class_name: str
    is_layer: bool
    is_fillable: bool
    is_flat_at_zero: bool
    tells_ends: bool
    nonlinearity: str | None
    birth: Birth | None = None


def call_facts(module: Any, class_name: str) -> CallFacts:
    """What is known of a module when it is called.

    Example:
        >>> call_facts(nn.Linear(2, 2), "Linear").is_layer, call_facts(nn.Embedding(2, 2), "Embedding").is_layer
        (True, False)
    """
    own = instance_dict(module)
    parameters, below = dict(own.get("_parameters") or {}), dict(own.get("_modules") or {})
    weights: list[Any] = [parameters.get(name) for name in ("weight", "weight_v", "weight_orig")]
    if list(below) == ["parametrizations"]:
        made_of = dict(instance_dict(below["parametrizations"]).get("_modules") or {}).get("weight")
        weights += dict(instance_dict(made_of).get("_parameters") or {}).values() if is_module(made_of) else ()
        below = {}
    is_layer = not below and not any(is_a(module, kind) for kind in (nn.Embedding, nn.EmbeddingBag))
    is_layer = is_layer and any(is_tensor(each) and each.dim() > 1 for each in weights)
    parts = flat_parts(module)
    tells_ends = parts is not None and parts.n_at_ends is not None and parts.is_told
    gain = next((name for kind, name in _NONLINEARITIES if is_a(module, kind)), None)
    return CallFacts(class_name, is_layer, is_tensor(weights[0]), is_flat_at_zero(module), tells_ends, gain)


_NONLINEARITIES = (
    (nn.ReLU, "relu"), (nn.ReLU6, "relu"), (nn.LeakyReLU, "relu"), (nn.Tanh, "tanh"), (nn.Sigmoid, "sigmoid"),
)  # fmt: skip


def signal_findings(
    calls: Sequence[CallSignal],
    facts: Sequence[CallFacts | None],
    parameters: Sequence[ParameterSignal],
    writer: ExpressionWriter,
) -> tuple[Finding, ...]:
    """What a run tells, the worst first.

    Args:
        calls: As they were seen.
        facts: Of each, what is known of its module; None where it raised.
        parameters: As they were seen.
        writer: What writes Python for the model.
    """
    seen = _Run(calls, facts, writer)
    return findings(
        (
            *seen.of_depth(),
            *seen.of_outputs(),
            *seen.of_nan(),
            *_equal_units(parameters, len(calls), writer),
        )
    )


class _Run:
    """Calls, and the layers among them."""

    def __init__(
        self, calls: Sequence[CallSignal], facts: Sequence[CallFacts | None], writer: ExpressionWriter
    ) -> None:
        self._calls, self._facts, self._writer = calls, facts, writer
        self._n_calls = Counter(call.path for call in calls)
        self._layers = [at for at, each in enumerate(facts) if each and each.is_layer and calls[at].outputs]

    def of_depth(self) -> Iterator[SingleFinding]:
        """How the signal and the gradients go through the layers."""
        forward = [(at, self._calls[at].outputs[0].values) for at in self._layers]
        back = [(at, found) for at in reversed(self._layers) if (found := self._calls[at].outputs[0].gradient)]
        for way, name, what in ((forward, "signal", "outputs"), (back, "gradient", "gradients that arrive")):
            stds = [(at, found.std) for at, found in way if found.std > 0 and math.isfinite(found.std)]
            if len(stds) < max(LIMITS.n_layers, len(way) / 2):
                continue
            order = [at for at, _ in stds]
            quarter = len(stds) // 4
            begin, first = sorted(stds[:quarter], key=lambda each: each[1])[quarter // 2]
            # A branch may carry little where the trunk carries all, as an attention's query does: all must have it.
            end, last = max(stds[-quarter:], key=lambda each: each[1])
            is_fading = last < first * LIMITS.faded
            if not is_fading:
                end, last = min(stds[-quarter:], key=lambda each: each[1])
            through = [math.log(std) for _, std in stds[order.index(begin) : order.index(end) + 1]]
            n_steps = len(through) - 1
            rate = math.exp((through[-1] - through[0]) / n_steps)
            if not is_fading and not first < last * LIMITS.faded:
                continue
            # One step alone, as of an input that isn't normalized, is no rate: the others must do as much each.
            sign = -1 if is_fading else 1
            steps = sorted(sign * (after - before) for before, after in itertools.pairwise(through))
            least = max(-math.log(LIMITS.rate), -math.log(LIMITS.faded) / n_steps)
            if sum(steps[:-1]) <= least * (n_steps - 1):
                continue
            yield SingleFinding(
                f"{'vanishing' if is_fading else 'exploding'}-{name}",
                "warning",
                end,
                self._calls[end].path,
                f"The std of the {what} goes from {first:.2g} at {self._name(begin)} to {last:.2g} at "
                f"{self._name(end)}: {'' if is_fading else 'times '}{rate:.2g} {'of it ' if is_fading else ''}"
                f"per layer, over {counted(n_steps + 1, 'layer')}.",
                self._keep_std,
            )

    def of_outputs(self) -> Iterator[SingleFinding]:
        """What single calls gave."""
        last: dict[str, int] = {}
        for at, (call, facts) in enumerate(zip(self._calls, self._facts, strict=True)):
            before = last.get(call.path, -1)
            last[call.path] = at
            for out in call.outputs if facts else ():
                n_each = out.values.n / max(out.n_units, 1)
                is_known = facts is not None and facts.is_flat_at_zero and tells_silence(out)
                if is_known and out.n_silent_units >= LIMITS.silent * out.n_units:
                    yield SingleFinding(
                        "dead-units",
                        _severity(out.n_silent_units / out.n_units),
                        at,
                        call.path,
                        f"{out.n_silent_units:,} of {counted(out.n_units, 'unit')} are 0 for all of this batch"
                        f"{self._which(at)}, each with {counted(int(n_each), 'value')}: no gradient passes there.",
                        self._fix(before, at) if out.n_silent_units >= LIMITS.mostly_silent * out.n_units else None,
                        call.class_name,
                        out.n_silent_units / out.n_units,
                        mends_all=True,
                    )
                share = (out.n_saturated or 0) / max(out.values.n, 1)
                # What a model ends in may be sure of itself, and a loss may be made for that, as cross entropy is.
                is_told = facts is not None and facts.tells_ends and out not in self._calls[0].outputs
                if is_told and share > LIMITS.saturated:
                    yield SingleFinding(
                        "saturated",
                        "warning",
                        at,
                        call.path,
                        f"{100 * share:.0f} % of the values of this {call.class_name}{self._which(at)} lie where its "
                        f"slope is below {100 * (1 - LIMITS.flat**2):.0f} % of the steepest: hardly any gradient "
                        "passes there.",
                        self._fix(before, at) if facts is not None and facts.nonlinearity else None,
                        call.class_name,
                        share,
                        mends_all=True,
                    )

    def of_nan(self) -> Iterator[SingleFinding]:
        """Where NaN came first, and infinite values that a layer made of finite ones."""
        born = [(at, each.birth) for at, each in enumerate(self._facts) if each and each.birth]
        of_nan = next(((at, birth) for at, birth in born if self._count(at, "n_nan")), None)
        for at, birth in born:
            call = self._calls[at]
            has_nan = bool(self._count(at, "n_nan"))
            comes_of_infinite = any(found.n_inf and not found.n_nan for found in birth.inputs)
            if has_nan and comes_of_infinite and len(born) > 1:
                continue  # told where the infinite values were born
            n_bad, n = (self._count(at, each) for each in ("n_nan" if has_nan else "n_inf", "n"))
            what = "call that gives NaN" if has_nan else "layer that makes infinite values of finite ones"
            said = f"The first {what}{self._which(at)}: "
            said += f"{n_bad:,} of {counted(n, 'value')}"
            if not has_nan:
                dtype = call.outputs[0].dtype
                said += f" of {dtype}, whose largest number is {torch.finfo(getattr(torch, dtype)).max:.3g}"
            said += "."
            ranges = " and ".join(
                f"{found.min:.3g} to {found.max:.3g}" for found in birth.inputs if math.isfinite(found.min)
            )
            n_inf = sum(found.n_inf for found in birth.inputs)
            if any(found.n_nan for found in birth.inputs):
                said += " There is NaN in its input already."
            elif ranges:
                said += f" Its input goes from {ranges}{f', and {n_inf:,} of it is infinite' if n_inf else ''}."
            elif n_inf:
                said += " All of its input is infinite."
            fix = None
            if birth.bad_weights:
                said += f" NaN or infinite elements are in its own {' and '.join(birth.bad_weights)}."
                code = self._writer.code(call.path)
                fix = "with torch.no_grad():\n" + "\n".join(
                    f"    {code}.{name}.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)" for name in birth.bad_weights
                )
            if not has_nan and of_nan is not None and any(found.n_inf for found in of_nan[1].inputs):
                said += f" NaN comes of it in {self._name(of_nan[0])}."
            yield SingleFinding("first-nan", "error", at, call.path, said, fix)

    def _count(self, at: int, of: str) -> int:
        return sum(getattr(out.values, of) for out in self._calls[at].outputs)

    def _which(self, at: int) -> str:
        """Which of its module's calls it is, where there are several."""
        n = self._n_calls[self._calls[at].path]
        return f" (call {self._calls[at].call_index + 1} of {n})" if n > 1 else ""

    def _name(self, at: int) -> str:
        return self._calls[at].path or "the model itself"

    def _fix(self, before: int, at: int) -> str | None:
        """What fills the layers, where one of them was called between two calls."""
        following = bisect_left(self._layers, at)
        if not following or self._layers[following - 1] <= before:
            return None
        return self._keep_std if self._is_fillable(self._layers[following - 1]) else None

    def _is_fillable(self, at: int) -> bool:
        facts = self._facts[at]
        return facts is not None and facts.is_fillable

    @cached_property
    def _keep_std(self) -> str | None:
        """Python that fills the layers so that the std is kept; None without any."""
        fillers: dict[str, dict[str, None]] = {}
        for at, following in itertools.zip_longest(self._layers, self._layers[1:]):
            if not self._is_fillable(at):
                continue
            between = filter(None, self._facts[at + 1 : following])
            after = next((each.nonlinearity for each in between if each.nonlinearity), None)
            fillers.setdefault(_FILLERS[after], {}).setdefault(self._writer.code(self._calls[at].path))
        return (
            "\n".join(
                f"for layer in ({', '.join(layers)}{',' * (len(layers) == 1)}):\n"
                f"    torch.nn.init.{filler}\n"
                '    if getattr(layer, "bias", None) is not None:\n'
                "        torch.nn.init.zeros_(layer.bias)"
                for filler, layers in fillers.items()
            )
            or None
        )


_FILLERS: dict[str | None, str] = {
    "relu": 'kaiming_normal_(layer.weight, nonlinearity="relu")',
    **{
        each: f'xavier_normal_(layer.weight, gain=torch.nn.init.calculate_gain("{each}"))'
        for each in ("tanh", "sigmoid")
    },
    None: "xavier_normal_(layer.weight)",
}
"""What keeps the std, by what comes after a layer: He et al. (2015) for ReLU, else Glorot and Bengio (2010)."""


def _severity(silent: float) -> Severity:
    return "error" if silent == 1 else "warning" if silent >= LIMITS.mostly_silent else "note"


def _equal_units(
    parameters: Sequence[ParameterSignal], n_calls: int, writer: ExpressionWriter
) -> Iterator[SingleFinding]:
    for at, each in enumerate(parameters):
        if each.has_equal_units:
            yield SingleFinding(
                "symmetric-units",
                "warning",
                n_calls + at,
                each.path,
                "All of its units have the same weights and get the same gradient: training keeps them alike.",
                f"torch.nn.init.xavier_uniform_({writer.code(each.path)})",
            )
