"""What optimizers remember of a parameter, found, told with numbers, cleared and put back."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.optim import Optimizer

from nnwidgets.errors import Advice, AdvisedText
from nnwidgets.formatting import and_more
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
