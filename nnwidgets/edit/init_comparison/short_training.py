"""Some steps of an optimizer on stand-ins: how the loss goes, and how far each step moves the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle, islice
from typing import Any

import torch

from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import short_repr
from nnwidgets.introspect.safe_access.objects import is_a, is_tensor
from nnwidgets.introspect.safe_access.scan import ModelScan
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch
from nnwidgets.introspect.safe_access.tensors_in import tensors_in
from nnwidgets.introspect.signal.backward_state import begins_before, gradients_aside
from nnwidgets.introspect.signal.losses import NOISE, Loss, loss_function
from nnwidgets.introspect.tracing.restore import generators_kept
from nnwidgets.introspect.tracing.trace import error_text

LEARNING_RATE = 0.1
"""Of the plain SGD that is taken where no optimizer is named; makemore (Karpathy) begins with the same."""

_MATRIX = 2
_PAIR = 2
_SINGLE = 4
"""Bytes of a number from which on differences are taken in its own format."""
Batch = tuple[tuple[Any, ...], dict[str, Any], Callable[[Any], torch.Tensor]]


def training_batches(
    n_steps: int, batches: Iterable[Any] | None, inputs: tuple[tuple[Any, ...], dict[str, Any]], loss: Loss
) -> list[Batch]:
    """What each step is made of; the same for all candidates.

    Random generators that the batches draw from are afterwards as before.

    Args:
        n_steps: How many.
        batches: Pairs of what the forward takes and a loss, as `compare_inits` has it; begun again where they are
            fewer than steps. None for the one batch.
        inputs: The one batch, by position and by name.
        loss: Its loss.

    Raises:
        InvalidTargetError: A batch is no pair, there are none, or there is no loss to go down.
    """
    if batches is None:
        if loss is None or (type(loss) is str and loss == NOISE):
            raise InvalidTargetError("A training needs a loss to go down.", hint="Pass loss=y, or batches=….")
        return [(*inputs, loss_function(loss))] * n_steps
    made: list[Batch] = []
    with generators_kept():
        taken_up = list(islice(batches, n_steps))
    for each in taken_up:
        if type(each) not in (tuple, list) or len(each) != _PAIR:
            raise InvalidTargetError(
                f"A batch is {short_repr(each)}, expected a pair of what the forward takes and a target."
            )
        taken, goal = each
        goal = (loss[0], goal) if is_tensor(goal) and type(loss) in (tuple, list) and loss else goal
        given = tuple(taken) if type(taken) in (tuple, list) else (taken,)
        made.append((given, inputs[1], loss_function(loss if goal is None else goal)))
    if not made:
        raise InvalidTargetError("There are no batches.", hint="Pass pairs of what the forward takes and a target.")
    return list(islice(cycle(made), n_steps))


def sgd(parameters: list[Any]) -> torch.optim.Optimizer:
    """The optimizer where none is named."""
    return torch.optim.SGD(parameters, lr=LEARNING_RATE)


class TrainingError(Exception):
    """What raised in a step.

    Attributes:
        error: As ``"RuntimeError: …"``.
        failed_in: ``"forward"``, ``"loss"``, ``"backward"`` or ``"step"``.
    """

    def __init__(self, error: str, failed_in: str) -> None:
        super().__init__(error)
        self.error, self.failed_in = error, failed_in


def train(
    scan: ModelScan,
    batches: Sequence[Batch],
    optimizer: Callable[[list[Any]], Any],
    *,
    watch: Callable[[], None],
    losses: list[float],
    updates: dict[str, list[float]],
) -> None:
    """Train a model whose tensors are stand-ins, and note each step.

    Args:
        scan: The model.
        batches: One for each step.
        optimizer: Makes one of a list of parameters.
        watch: Called before each step.
        losses: Gets the loss of each step, before it.
        updates: Gets the update ratios, by weight.

    Raises:
        TrainingError: A step raised.
    """
    trained = [(slot, value) for slot, _, value in scan.parameters.values() if value.requires_grad]
    trained.sort(key=lambda each: each[0])
    module: Any = scan.modules[0]
    place = "step"
    made: Any = None
    try:
        made = _made_by(optimizer, [value for _, value in trained])
        weights = [(scan.slot_path(slot), value) for slot, value in trained if value.dim() >= _MATRIX]
        for args, kwargs, compute in batches:
            watch()
            place = "forward"
            with torch.enable_grad():
                result = module(*args, **kwargs)
                place = "loss"
                loss = compute(result)
            losses.append(float(loss.detach()))
            given = tuple(tensors_in((args, kwargs)))
            with gradients_aside(loss, (*scan.slot_values, *given)):
                place = "backward"
                loss.backward(retain_graph=begins_before(given))  # type: ignore[no-untyped-call] # torch's
                place = "step"
                before = [as_plain_tensor(value).clone() for _, value in weights]
                made.step()
            with plain_torch():
                for (path, value), old in zip(weights, before, strict=True):
                    updates.setdefault(path, []).append(_log_ratio(as_plain_tensor(value), old))
    except Exception as raised:  # noqa: BLE001 - whatever a user's forward, loss or optimizer raises is told
        raise TrainingError(error_text(raised), place) from None
    finally:
        if made is not None:
            made.state.clear()  # it was empty, and the optimizer may be one that the caller goes on with


def _made_by(factory: Callable[[list[Any]], Any], parameters: list[Any]) -> Any:
    made = factory(parameters)
    if not is_a(made, torch.optim.Optimizer):
        raise InvalidTargetError(
            f"The optimizer's factory gave {short_repr(made)}, expected an optimizer.",
            hint="Such as lambda parameters: torch.optim.Adam(parameters, lr=1e-3).",
        )
    if made.state:
        raise InvalidTargetError(
            "The optimizer's factory gave an optimizer that has taken steps, expected a new one.",
            hint="Make it in the factory, such as lambda parameters: torch.optim.Adam(parameters, lr=1e-3).",
        )
    return made


def _log_ratio(now: torch.Tensor, old: torch.Tensor) -> float:
    if now.element_size() < _SINGLE:
        now, old = now.float(), old.float()
    spread, moved = float(old.std()), float((now - old).std())
    return math.log10(moved / spread) if moved > 0 and spread > 0 else math.nan
