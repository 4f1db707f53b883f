"""What a run tells that is worth knowing: a signal that fades or grows, dead units, the call where NaN is born.

Layers here are modules with a weight of their own and nothing below them, embeddings aside, in the order of their
calls. A signal that goes through n of them and is multiplied by c at each arrives multiplied by c^n; Glorot and Bengio
(2010), He et al. (2015) and Saxe et al. (2014) choose weights so that c is 1, forward and back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from torch import nn

from nnwidgets.formatting import counted
from nnwidgets.introspect.checks.findings import SingleFinding, findings
from nnwidgets.introspect.module_tree.expressions import ExpressionWriter
from nnwidgets.introspect.records import Finding, Severity, TensorStats
from nnwidgets.introspect.safe_access.objects import instance_dict, is_a, is_tensor
from nnwidgets.introspect.signal.signal_records import CallSignal, ParameterSignal


@dataclass(frozen=True)
class Thresholds:
    """From where on something is told.

    Attributes:
        faded: The last layer's std over the first's; the rounding of a half-precision number begins near there.
        rate: What each layer multiplies by, on the average, in a signal that fades; one over it in one that grows.
            Xavier and He keep 1; PyTorch's own `nn.Linear` keeps 0.58 with tanh and 0.41 with ReLU of zero biases.
        n_layers: Fewer layers than these are no depth.
        saturated: Share of an output where its module is flat. Karpathy (makemore, part 3) calls 5 % good and 20 % too
            many.
        silent: Share of units that are zero for all of the batch, from which dead units are told. Deep in a net of
            ReLUs, samples become alike, and some are silent by that alone, whatever the weights.
        mostly_silent: The same, from which that is a warning.
        n_values: Values of a unit below which being zero for all of them may be chance: half of a ReLU's are.
    """

    faded: float = 1e-4
    rate: float = 0.6
    n_layers: int = 4
    saturated: float = 0.3
    silent: float = 0.25
    mostly_silent: float = 0.75
    n_values: int = 32


LIMITS = Thresholds()

_FIRING = (nn.ReLU, nn.ReLU6, nn.Threshold, nn.Hardtanh)
_FLAT_AT_BOTH_ENDS = ("Tanh", "Sigmoid", "Softsign", "Hardtanh", "Hardsigmoid", "ReLU6")


class NanBirth(NamedTuple):
    """What is known of the first call that gave NaN.

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
        fires: Whether zero is what it gives where it doesn't fire.
        birth: Where this call was the first that gave NaN, what went in.
    """

    class_name: str
    is_layer: bool
    fires: bool
    birth: NanBirth | None = None


def call_facts(module: Any, class_name: str) -> CallFacts:
    """What is known of a module when it is called.

    Example:
        >>> call_facts(nn.Linear(2, 2), "Linear").is_layer, call_facts(nn.Embedding(2, 2), "Embedding").is_layer
        (True, False)
    """
    own = instance_dict(module)
    weight: Any = dict(own.get("_parameters") or {}).get("weight")
    is_layer = (
        is_tensor(weight) and weight.dim() > 1 and not own.get("_modules") and not is_a(module, nn.Embedding)
        and not is_a(module, nn.EmbeddingBag)
    )  # fmt: skip
    return CallFacts(class_name, is_layer, any(is_a(module, kind) for kind in _FIRING))


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
        self._layers = [at for at, each in enumerate(facts) if each and each.is_layer and calls[at].outputs]

    def of_depth(self) -> Iterator[SingleFinding]:
        """How the signal and the gradients go through the layers."""
        forward = [(at, self._calls[at].outputs[0].values) for at in self._layers]
        back = [(at, found) for at in reversed(self._layers) if (found := self._calls[at].outputs[0].gradient)]
        for way, name, what in ((forward, "signal", "outputs"), (back, "gradient", "gradients that arrive")):
            stds = [(at, found.std) for at, found in way if found.std > 0 and math.isfinite(found.std)]
            if len(stds) < max(LIMITS.n_layers, len(way) / 2):
                continue
            quarter = len(stds) // 4
            begin, first = sorted(stds[:quarter], key=lambda each: each[1])[quarter // 2]
            # A branch may carry little where the trunk carries all, as an attention's query does: all must have it.
            end, last = max(stds[-quarter:], key=lambda each: each[1])
            is_fading = last < first * LIMITS.faded
            if not is_fading:
                end, last = min(stds[-quarter:], key=lambda each: each[1])
            n_steps = abs(self._layers.index(end) - self._layers.index(begin))
            rate = (last / first) ** (1 / n_steps)
            if not (is_fading and rate < LIMITS.rate) and not (first < last * LIMITS.faded and rate > 1 / LIMITS.rate):
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
        for at, (call, facts) in enumerate(zip(self._calls, self._facts, strict=True)):
            for out in call.outputs if facts else ():
                n_each = out.values.n / max(out.n_units, 1)
                is_known = facts is not None and facts.fires and n_each >= LIMITS.n_values
                if is_known and out.n_silent_units >= LIMITS.silent * out.n_units > 0:
                    yield SingleFinding(
                        "dead-units",
                        _severity(out.n_silent_units / out.n_units),
                        at,
                        call.path,
                        f"{out.n_silent_units:,} of {counted(out.n_units, 'unit')} are 0 for all of this batch, "
                        f"each with {counted(int(n_each), 'value')}: no gradient passes there.",
                        self._keep_std if out.n_silent_units >= LIMITS.mostly_silent * out.n_units else None,
                        call.class_name,
                    )
                share = (out.n_saturated or 0) / max(out.values.n, 1)
                if share > LIMITS.saturated and call.class_name in _FLAT_AT_BOTH_ENDS:
                    yield SingleFinding(
                        "saturated",
                        "warning",
                        at,
                        call.path,
                        f"{100 * share:.0f} % of the values of this {call.class_name} lie where it is flat: hardly any "
                        "gradient passes there.",
                        self._keep_std,
                        call.class_name,
                    )

    def of_nan(self) -> Iterator[SingleFinding]:
        """Where NaN came first."""
        at, birth = next(((at, each.birth) for at, each in enumerate(self._facts) if each and each.birth), (0, None))
        if birth is None:
            return
        call = self._calls[at]
        n_nan = sum(out.values.n_nan for out in call.outputs)
        of = sum(out.values.n for out in call.outputs)
        ranges = " and ".join(f"{found.min:.3g} to {found.max:.3g}" for found in birth.inputs if found.n > found.n_nan)
        n_inf = sum(found.n_inf for found in birth.inputs)
        said = f"The first call that gives NaN: {n_nan:,} of {counted(of, 'value')}."
        if any(found.n_nan for found in birth.inputs):
            said += " There is NaN in its input already."
        elif ranges:
            said += f" Its input goes from {ranges}{f', and {n_inf:,} of it is infinite' if n_inf else ''}."
        fix = None
        if birth.bad_weights:
            said += f" NaN or infinite elements are in its own {' and '.join(birth.bad_weights)}."
            code = self._writer.code(call.path)
            fix = "with torch.no_grad():\n" + "\n".join(
                f"    {code}.{name}.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)" for name in birth.bad_weights
            )
        yield SingleFinding("first-nan", "error", at, call.path, said, fix)

    def _name(self, at: int) -> str:
        return self._calls[at].path or "the model itself"

    @cached_property
    def _keep_std(self) -> str | None:
        """Python that fills the layers so that the std is kept; None without any."""
        if not self._layers:
            return None
        layers = dict.fromkeys(self._writer.code(self._calls[at].path) for at in self._layers)
        return (
            f"for layer in ({', '.join(layers)},):\n"
            f"    torch.nn.init.{_filler([facts.class_name for facts in self._facts if facts])}\n"
            '    if getattr(layer, "bias", None) is not None:\n'
            "        torch.nn.init.zeros_(layer.bias)"
        )


def _severity(silent: float) -> Severity:
    return "error" if silent == 1 else "warning" if silent >= LIMITS.mostly_silent else "note"


def _filler(class_names: Sequence[str]) -> str:
    """He's initializer for nets with ReLU, Xavier's with the gain of what else there is most of."""
    counts = {name: class_names.count(name) for name in ("ReLU", "LeakyReLU", "Tanh", "Sigmoid")}
    most = max(counts, key=lambda name: counts[name])
    if not counts[most]:
        return "xavier_normal_(layer.weight)"
    if most in ("ReLU", "LeakyReLU"):
        return 'kaiming_normal_(layer.weight, nonlinearity="relu")'
    return f'xavier_normal_(layer.weight, gain=torch.nn.init.calculate_gain("{most.lower()}"))'


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
                "All of its units get the same gradient: those of equal weights stay equal, however long they train.",
                f"torch.nn.init.xavier_uniform_({writer.code(each.path)})",
            )
