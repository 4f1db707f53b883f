"""What optimizers remember of a parameter, found, told with numbers, cleared and put back."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.optim import Optimizer

from nnwidgets.errors import Advice, AdvisedText
from nnwidgets.formatting import and_more, counted, inert
from nnwidgets.introspect.records import Record
from nnwidgets.introspect.safe_access.objects import is_a, is_tensor, type_name
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch, unreadable_reason

_MOST_TOLD = 3


def states_of(optimizers: Iterable[Optimizer], tensors: Iterable[Any]) -> list[tuple[int, Optimizer, Any]]:
    """Number of the optimizer, itself, and the parameter, for each of ``tensors`` that it keeps a state for."""
    wanted = list(tensors)
    return [
        (number, optimizer, tensor)
        for number, optimizer in enumerate(optimizers)
        for tensor in wanted
        if dict.get(optimizer.state, tensor)
    ]


def warning_of(optimizer: Optimizer, held: list[tuple[str, Any]], *, cleared: bool, can_clear: bool = True) -> str:
    """Say what an optimizer remembers of parameters, with numbers.

    Args:
        optimizer: It.
        held: Path and parameter.
        cleared: Whether that is cleared with the change.
        can_clear: Whether it could be, which is then advised.
    """
    told = [f"{path} ({_numbers(dict.get(optimizer.state, tensor))})" for path, tensor in held[:_MOST_TOLD]]
    more = and_more(len(held) - _MOST_TOLD)
    name = type_name(type(optimizer))
    if cleared:
        return f"{name}'s state is cleared with it for {', '.join(told)}{more}; undo brings it back."
    kept = f"{name} keeps moments of the old values of {', '.join(told)}{more}: its next steps still move by them."
    return AdvisedText(f"{kept} ", Advice.CLEAR_STATE, " clears them.") if can_clear else kept


def _numbers(state: Any) -> str:
    parts = []
    for name, value in dict.items(state) if is_a(state, dict) else ():
        if is_tensor(value) and unreadable_reason(value) is None:
            with plain_torch():
                data = as_plain_tensor(value)
                if data.numel() == 1:
                    parts.append(f"{name} {data.item():.6g}")
                elif data.numel():
                    parts.append(f"{name} of norm {torch.linalg.vector_norm(data, dtype=_wide(data)).item():.3g}")
        elif isinstance(value, int | float):
            parts.append(f"{name} {value:.6g}")
    return ", ".join(parts) or "some state"


@dataclass(frozen=True, slots=True)
class OptimizerState(Record):
    """What of an optimizer was saved or loaded.

    Attributes:
        class_name: The optimizer's class; ``"the optimizer"`` where a state dict was passed.
        n_parameters: How many parameters it has a state for.
        n_tensors: Tensors in these, and among its settings.
        steps: The least and the greatest number of steps that one of them has made; None where that isn't counted.
    """

    class_name: str
    n_parameters: int
    n_tensors: int
    steps: tuple[int, int] | None

    def __str__(self) -> str:
        if not self.n_parameters:
            return f"{inert(self.class_name, 80)}'s settings; it has no state yet"
        first, last = self.steps or (None, None)
        steps = "" if first is None else f" step {first}," if first == last else f" steps {first} to {last},"
        return f"{inert(self.class_name, 80)}'s state,{steps} of {counted(self.n_parameters, 'parameter')}"


def summary_of(class_name: str, states: Iterable[Any], groups: Iterable[Any] = ()) -> OptimizerState:
    """Sum up the states that an optimizer has for its parameters.

    Args:
        class_name: What it is called.
        states: For each parameter, a dict of values by name.
        groups: For each group, the same of its settings.

    Example:
        >>> print(summary_of("Adam", [{"step": torch.tensor(3.0), "exp_avg": torch.zeros(2)}]))
        Adam's state, step 3, of 1 parameter
    """
    held = [state for state in states if is_a(state, dict) and state]
    with plain_torch():
        steps = [_step(dict.get(state, "step")) for state in held]
    known = [step for step in steps if step is not None]
    n_tensors = sum(is_tensor(value) for each in (*held, *groups) for value in dict.values(each))
    return OptimizerState(class_name, len(held), n_tensors, (min(known), max(known)) if known else None)


def _step(value: Any) -> int | None:
    if is_tensor(value) and unreadable_reason(value) is None and as_plain_tensor(value).numel() == 1:
        value = as_plain_tensor(value).item()
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else None


class KeptState:
    """The state of one parameter in one optimizer: exchanged with what is there now, to clear and to bring back."""

    def __init__(self, optimizer: Optimizer, tensor: Any) -> None:
        self._optimizer = weakref.ref(optimizer)
        self._tensor = weakref.ref(tensor)
        self._before = dict.get(optimizer.state, tensor)
        self._is_cleared = False

    @property
    def is_changed(self) -> bool:
        """Whether it is out of the optimizer."""
        return self._is_cleared

    def exchange(self) -> None:
        """Clear it where it is there, bring it back where it is cleared."""
        self._is_cleared = not self._is_cleared
        self._put(None if self._is_cleared else self._before)

    def _put(self, state: Any) -> None:
        optimizer, tensor = self._optimizer(), self._tensor()
        if optimizer is None or tensor is None:
            return
        if state is None:
            optimizer.state.pop(tensor, None)
        else:
            optimizer.state[tensor] = state


def _wide(data: torch.Tensor) -> torch.dtype:
    return torch.complex128 if data.is_complex() else torch.float64
