"""One forward and, where there is a loss, one backward, of which each output and each gradient is summed up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import nn

from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import shape_text, short_repr
from nnwidgets.introspect.handles import over_handles
from nnwidgets.introspect.model_values import LAST_ACTIVATIONS
from nnwidgets.introspect.module_tree.expressions import ExpressionWriter
from nnwidgets.introspect.records import Findings, TensorStats
from nnwidgets.introspect.safe_access.exclusion import alone_with
from nnwidgets.introspect.safe_access.objects import instance_dict, is_tensor, plain_items, type_name
from nnwidgets.introspect.safe_access.scan import ModelScan
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, gradient_of, plain_torch
from nnwidgets.introspect.safe_access.tensors_in import tensors_in
from nnwidgets.introspect.signal.backward_state import begins_before, gradients_aside
from nnwidgets.introspect.signal.losses import NOISE, WHY_NO_GRAPH, Loss, floats_in, loss_function
from nnwidgets.introspect.signal.signal_findings import Birth, CallFacts, call_facts, signal_findings
from nnwidgets.introspect.signal.signal_records import Activations, CallSignal, ParameterSignal
from nnwidgets.introspect.signal.summaries import Summaries, Summary
from nnwidgets.introspect.signal.thresholds import LIMITS
from nnwidgets.introspect.statistics.exact_stats import each_stats
from nnwidgets.introspect.tracing.hooks import Observer, passing_on
from nnwidgets.introspect.tracing.together import come_together, ranks_of_forward
from nnwidgets.introspect.tracing.trace import InputSizes, error_text, run
from nnwidgets.introspect.tracing.trace_record import Trace


@over_handles
def activations(
    module: nn.Module, /, *args: Any, loss: Loss = None, input_size: InputSizes | None = None, **kwargs: Any
) -> Activations:
    """Run one forward, and one backward where there is a loss, and tell what went through the layers.

    Of each call of each module: statistics of the tensors of floating point that it gave and, after a backward, of the
    gradients that arrived there. Of each parameter: the gradient's, beside its own. Of a tensor nothing is kept but
    these; no histograms after the first 4,000.

    The model is afterwards as `trace` leaves it, gradients included; hooks on modules and tensors run, but for those
    after the accumulation of a gradient, as of an optimizer that steps within the backward. The forward runs under the
    caller's autocast and training flags, with gradients on where there is a loss. A compiled module is run uncompiled.
    What `nn.DataParallel` runs on replicas can't be seen. The graph behind what the forward is given stays whole for
    the caller's own backward; one that a function for ``loss`` reaches by itself can't be known, and is freed.

    What raises on the way doesn't raise here: ``error`` and ``failed_in`` tell, and what was seen until then is there.

    Args:
        module: The model.
        *args: What its forward takes.
        loss: Where the backward starts. A function of the output that gives a scalar; a target (`cross_entropy` of the
            output's first tensor of floating point where it holds integers, else `mse_loss`); a pair of another of
            torch's losses by name and a target, ``("l1_loss", y)``; or ``"noise"``, a standard-normal gradient from
            each tensor of floating point of the output, the same one each time.
        input_size: Sizes of inputs to be made, as for `trace`.
        **kwargs: What its forward takes by name; an own argument ``loss`` by position.

    Returns:
        The calls, in the order they began, and the parameters that ask for a gradient.

    Raises:
        InvalidTargetError: If ``module`` is not a module or has lazy parameters, ``loss`` is none of these,
            ``input_size`` no size, gradients can't be had inside `torch.inference_mode`, or nothing that the forward
            gives can be read, as on the meta device.
        RankMissingError: As for `trace`.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> net = torch.nn.Sequential(torch.nn.Linear(20, 256), torch.nn.Tanh(), torch.nn.Linear(256, 10))
        >>> found = activations(net, torch.randn(64, 20), loss="noise")
        >>> [(call.path, call.outputs[0].shape, round(call.outputs[0].values.std, 1)) for call in found.calls[1:]]
        [('0', (64, 256), 0.6), ('1', (64, 256), 0.5), ('2', (64, 10), 0.3)]
        >>> round(found.calls[3].outputs[0].gradient.std, 1)
        1.0
        >>> found.parameters[0].path, net[0].weight.grad
        ('0.weight', None)
    """
    found = watched_activations(module, args, kwargs, loss=loss, input_size=input_size)
    LAST_ACTIVATIONS.put(module, found)
    return found


def watched_activations(
    module: nn.Module,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    *,
    loss: Loss,
    input_size: InputSizes | None = None,
    watch: Callable[[], None] = lambda: None,
    is_brief: bool = False,
) -> Activations:
    """As `activations` does.

    Args:
        module: The model.
        args: What its forward takes.
        kwargs: The same, by name.
        loss: Where the backward starts.
        input_size: Sizes of inputs to be made.
        watch: Called for each call that gives something, and for each gradient that arrives; what it raises ends the
            run and is passed on.
        is_brief: Whether histograms are left out, and of parameters all but which have equal units; that is faster.
    """
    compute = None if loss is None else loss_function(loss)
    with passing_on(watch) as watched, alone_with(module) as scan:
        ranks = ranks_of_forward(scan)
        summaries = Summaries(with_gradients=compute is not None, watch=watched, with_histograms=not is_brief)
        is_noise = isinstance(loss, str) and loss == NOISE
        observer = _Signal(scan, (args, kwargs), compute, watched, summaries, is_noise=is_noise, is_brief=is_brief)
        try:
            with torch.enable_grad() if compute is not None else nullcontext():
                trace = run(scan, args, kwargs, input_size, begin=lambda: come_together(ranks), observer=observer)
            summaries.refuse_unread()
        finally:
            observer.forget()
    return observer.told(trace)


class _Noted(NamedTuple):
    facts: CallFacts
    summaries: tuple[Summary, ...]


class _Signal(Observer):
    """Sums up what the calls give, then goes back from the loss."""

    def __init__(
        self,
        scan: ModelScan,
        inputs: Any,
        compute: Any,
        watch: Callable[[], None],
        summaries: Summaries,
        *,
        is_noise: bool,
        is_brief: bool,
    ) -> None:
        self._is_brief = is_brief
        self._own = set(map(id, scan.modules))
        self._scan, self._inputs, self._compute, self._is_noise = scan, inputs, compute, is_noise
        self._watch = watch
        self._summaries = summaries
        self.parameters: tuple[ParameterSignal, ...] = ()
        self.loss: float | None = None
        self.error: str | None = None
        self.failed_in: str | None = None
        self._met_nan = self._met_infinite = False

    def returned(self, module: Any, args: tuple[Any, ...], output: Any) -> _Noted:
        self._watch()
        facts, summaries = call_facts(module, type_name(type(module))), self._summaries.of_call(module, output)
        if id(module) not in self._own:
            return _Noted(facts, summaries)
        has_nan = not self._met_nan and any(each.values.n_nan for each in summaries)
        is_new = facts.is_layer and not self._met_nan and not self._met_infinite
        if has_nan or (is_new and any(each.values.n_inf for each in summaries)):
            inputs = tuple(found for found in each_stats(floats_in(args)) if found)
            # A layer that was given infinite values, as a mask has, made none.
            if has_nan or not any(found.n_inf for found in inputs):
                self._met_nan, self._met_infinite = self._met_nan or has_nan, True
                facts = facts._replace(birth=Birth(inputs, _bad_parameters(module)))
        return _Noted(facts, summaries)

    def told(self, trace: Trace) -> Activations:
        """All that was seen in a forward that has come to its end."""
        calls = tuple(
            CallSignal(
                call.path,
                call.call_index,
                noted.facts.class_name if noted else "",
                call.depth,
                tuple(each.record() for each in noted.summaries) if noted else (),
            )
            for call, noted in zip(trace.calls, self.noted, strict=True)
        )
        facts = [noted and noted.facts for noted in self.noted]
        writer = ExpressionWriter(self._scan.modules[0], "net")
        return Activations(
            calls=calls,
            parameters=self.parameters,
            loss=self.loss,
            failed_at=trace.failed_at,
            error=self.error if trace.error is None else trace.error,
            failed_in=self.failed_in if trace.error is None else "forward",
            findings=Findings(signal_findings(calls, facts, self.parameters, writer)),
        )

    def finished(self, result: Any) -> None:
        if self._compute is None:
            return
        try:
            self.failed_in = "loss"
            root = _scalar(self._compute(result))
            if not self._is_noise:
                self.loss = float(root.detach())
            self.failed_in = "backward"
            given = tuple(tensors_in(self._inputs))
            with gradients_aside(root, (*self._scan.slot_values, *given)), self._summaries.backward():
                try:
                    root.backward(retain_graph=begins_before(given))  # type: ignore[no-untyped-call] # torch's
                except Exception:
                    self.parameters = _parameters(self._scan, is_brief=self._is_brief)
                    raise
                self.parameters = _parameters(self._scan, is_brief=self._is_brief)
            self.failed_in = None
        except Exception as raised:  # noqa: BLE001 - whatever a user's loss or backward raises is the answer
            self.error = error_text(raised)

    def forget(self) -> None:
        self._summaries.forget()


def _bad_parameters(module: Any) -> tuple[str, ...]:
    own = [(name, value) for name, value in plain_items(instance_dict(module).get("_parameters")) if is_tensor(value)]
    found = zip(own, each_stats([value for _, value in own]), strict=True)
    return tuple(str(name) for (name, _), stats in found if stats and stats.n_nan + stats.n_inf)


def _scalar(value: Any) -> torch.Tensor:
    if not is_tensor(value):
        raise InvalidTargetError(
            f"The loss gave {short_repr(value)}, expected a tensor of one element.",
            hint="Return what .backward() could be called on, not a number made by .item().",
        )
    found: torch.Tensor = value
    if found.numel() != 1:
        raise InvalidTargetError(
            f"The loss is {shape_text(found.shape)}, expected one element.", hint="End it in .mean() or .sum()."
        )
    if not found.requires_grad:
        raise InvalidTargetError(
            "The loss has no graph to go back through.",
            hint=WHY_NO_GRAPH,
        )
    return found


def _parameters(scan: ModelScan, *, is_brief: bool) -> tuple[ParameterSignal, ...]:
    """What each that asks for a gradient got; where it is brief, those alone that got one, without statistics."""
    asking = [(slot, row, value) for slot, row, value in scan.parameters.values() if value.requires_grad]
    asking.sort(key=lambda each: each[0])
    if is_brief:
        asking = [each for each in asking if gradient_of(each[2]) is not None]
    values = [value for _, _, value in asking]
    gradients = [gradient_of(value) for value in values]
    weights: list[TensorStats | None] = [None] * len(values)
    found = weights
    if not is_brief:
        with plain_torch():  # small ones are measured together where no mode is in force
            weights, found = each_stats(values), each_stats(gradients)
    return tuple(
        ParameterSignal(
            scan.slot_path(slot), weight, gradient, _has_equal_units(value, of) and _has_equal_biases(scan, slot, row)
        )
        for (slot, row, value), weight, gradient, of in zip(asking, weights, found, gradients, strict=True)
    )


_MATRIX = 2


def _has_equal_units(weight: Any, gradient: Any) -> bool:
    """Whether all rows of a weight are the same, up to rounding, and those of its gradient too, which isn't zero."""
    if not is_tensor(gradient) or not gradient.numel() or gradient.dim() < _MATRIX or gradient.shape[0] == 1:
        return False
    return _has_equal_rows(gradient, may_be_zero=False) and _has_equal_rows(weight, may_be_zero=True)


def _has_equal_biases(scan: ModelScan, slot: int, row: int) -> bool:
    """Whether the bias beside a weight, if there is one for each of its rows, is the same for all, and its gradient."""
    name, weight = scan.slot_names[slot], scan.slot_values[slot]
    beside = range(scan.first_slot[row], scan.first_slot[row + 1])
    wanted = name.replace("weight", "bias") if type(name) is str else name
    for at in beside:
        bias = scan.slot_values[at]
        if at == slot or scan.slot_names[at] != wanted or not is_tensor(bias) or bias.shape != weight.shape[:1]:
            continue
        gradient = gradient_of(bias)
        known = [bias] if gradient is None else [bias, gradient]
        return all(_has_equal_rows(each, may_be_zero=True) for each in known)
    return True


def _has_equal_rows(tensor: Any, *, may_be_zero: bool) -> bool:
    try:
        rows = as_plain_tensor(tensor)
    except InvalidTargetError:
        return False
    with plain_torch():
        if rows.layout is not torch.strided or not (may_be_zero or bool(rows[0].ne(0).any())):
            return False
        # Two rows tell nearly always; the rest is read where they agree.
        first = rows[0]
        is_wide = first.dtype in (torch.float32, torch.float64)
        tolerance = first.abs().max() * (LIMITS.equal if is_wide else LIMITS.equal_halves)
        return all(bool((first - rows[at]).abs().max() <= tolerance) for at in range(1, rows.shape[0]))
