"""What the last forward of each model took, to run another on it; no tensor is kept alive for that."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch

from nnwidgets.formatting import inert, shape_text
from nnwidgets.introspect.model_values import ModelValues
from nnwidgets.introspect.safe_access.objects import no_torch_function, plain_items
from nnwidgets.introspect.safe_access.tensors_in import tensors_in

_PLAIN = (type(None), bool, int, float, complex, torch.dtype, torch.device)
_LONGEST_TEXT = 200
_MOST_ITEMS = 1_000
_MOST_DEPTH = 8
_MOST_TOLD = 3

Getter = Callable[[], Any]


class LastInputs(NamedTuple):
    """What a forward took.

    Attributes:
        args: By position.
        kwargs: By name.
        input_size: Sizes of inputs to be made before these, as for `trace`.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    input_size: Any

    @property
    def words(self) -> str:
        """The tensors among them: ``"64 × 20 float32"``."""
        if self.input_size is not None:
            return f"of size {inert(str(self.input_size), 80)}"
        every = list(islice(tensors_in((self.args, self.kwargs)), _MOST_TOLD + 1))
        told = [_told(tensor) for tensor in every[:_MOST_TOLD]]
        return ", ".join([*told, "…"] if len(every) > _MOST_TOLD else told)


class _GoneError(Exception):
    """It is there no more, or was never held."""


_INPUTS: ModelValues[tuple[Getter, Getter, Any]] = ModelValues()
"""What gives them."""


def remember_inputs(module: Any, args: Sequence[Any], kwargs: Mapping[str, Any], input_size: Any) -> None:
    """Remember what a forward of ``module`` takes.

    Tensors and other objects are held weakly, plain numbers and short texts themselves, lists, tuples and dicts by what
    is in them.
    """
    _INPUTS.put(module, (_held(tuple(args)), _held(dict(kwargs)), input_size))


def last_inputs(module: Any) -> LastInputs | None:
    """What the last forward of ``module`` that was traced took; None where there was none, or some of it is gone.

    Example:
        >>> from nnwidgets.introspect import trace
        >>> net, x = torch.nn.Linear(2, 3), torch.ones(4, 2)
        >>> _ = trace(net, x)
        >>> last_inputs(net).words
        '4 × 2 float32'
        >>> del x
        >>> last_inputs(net) is None
        True
    """
    known = _INPUTS.get(module)
    if known is None:
        return None
    args, kwargs, input_size = known
    try:
        return LastInputs(args(), kwargs(), input_size)
    except _GoneError:
        return None


def _held(value: Any, depth: int = 0) -> Getter:
    kind = type(value)
    if kind in _PLAIN or (kind is str and len(value) <= _LONGEST_TEXT):
        return lambda: value
    if kind in (tuple, list) and len(value) <= _MOST_ITEMS and depth < _MOST_DEPTH:
        items = [_held(each, depth + 1) for each in value]
        return lambda: kind(each() for each in items)
    if kind is dict and len(value) <= _MOST_ITEMS and depth < _MOST_DEPTH:
        pairs = [(key, _held(each, depth + 1)) for key, each in plain_items(value) if type(key) in (str, int)]
        return (lambda: {key: each() for key, each in pairs}) if len(pairs) == len(value) else _gone
    try:
        reference = weakref.ref(value)
    except TypeError:
        return _gone
    return lambda: _live(reference)


def _live(reference: weakref.ref[Any]) -> Any:
    value = reference()
    return value if value is not None else _gone()


def _gone() -> Any:
    raise _GoneError


def _told(tensor: torch.Tensor) -> str:
    with no_torch_function():
        return f"{shape_text(tuple(tensor.shape))} {str(tensor.dtype).removeprefix('torch.')}"
