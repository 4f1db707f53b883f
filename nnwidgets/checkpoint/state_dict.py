"""Where in a checkpoint the state dict is: the whole of it, or one entry of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nnwidgets.checkpoint.description import DESCRIBED, Described, name_of, tensors_in

_USUAL = (
    "state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "weights", "params",
    "ema_state_dict", "model_ema", "ema",
)  # fmt: skip
_OPTIMIZERS = ("optimizer", "optimizer_state_dict", "optimizer_state", "optim", "optimizer_states", "optimizers")


@dataclass(frozen=True, slots=True)
class Found:
    """The parts of a checkpoint's content.

    Attributes:
        key: Key of the state dict: ``""`` for the whole content, None where there is none.
        tensors: The state dict's tensors by name.
        others: What the state dict holds besides tensors (extra state, say), by name.
        optimizer_key: Key of an optimizer's state, or None.
        optimizer: The optimizer's state, or None.
        alternatives: Other keys that hold a state dict too.
    """

    key: str | None
    tensors: dict[str, Described]
    others: dict[str, Any]
    optimizer_key: str | None = None
    optimizer: Any = None
    alternatives: tuple[str, ...] = ()


def find(content: Any) -> Found:
    """Find the state dict in a checkpoint's content.

    It is the entry under the most usual key that is a dict by text with tensors in it, and no fewer than the content
    holds beside it; else the whole content where that is such a dict; else the first entry that is.
    """
    if not isinstance(content, dict):
        return Found(None, {}, {})
    optimizer_key = next((key for key in _OPTIMIZERS if _is_optimizer(content.get(key))), None)
    optimizer = None if optimizer_key is None else content[optimizer_key]
    usual = next((key for key in _USUAL if is_state_dict(content.get(key))), None)
    if is_state_dict(content) and (usual is None or _n_direct(content[usual]) < _n_direct(content)):
        return _found("", content, optimizer_key, optimizer, ())
    having = [key for key, value in content.items() if isinstance(key, str) and is_state_dict(value)]
    having = [key for key in having if key not in _OPTIMIZERS]
    if not having:
        is_empty = not any(True for _ in tensors_in(content)) and not content
        return Found("" if is_empty else None, {}, {}, optimizer_key, optimizer)
    best = next((key for key in _USUAL if key in having), having[0])
    others = tuple(key for key in having if key != best)
    return _found(best, content[best], optimizer_key, optimizer, others)


def is_state_dict(value: Any) -> bool:
    """Whether it is a dict by text that holds a tensor directly."""
    return (
        isinstance(value, dict)
        and all(isinstance(key, str) for key in value)
        and any(isinstance(each, DESCRIBED) for each in value.values())
    )


def _n_direct(held: dict[str, Any]) -> int:
    return sum(isinstance(each, DESCRIBED) for each in held.values())


def _found(
    key: str, held: dict[str, Any], optimizer_key: str | None, optimizer: Any, alternatives: tuple[str, ...]
) -> Found:
    tensors: dict[str, Described] = {}
    others: dict[str, Any] = {}
    for name, value in held.items():
        if isinstance(value, DESCRIBED):
            tensors[name] = value
        elif not key and name == optimizer_key:
            continue
        else:
            others[name] = value
    return Found(key, tensors, others, optimizer_key, optimizer, alternatives)


def _is_optimizer(value: Any) -> bool:
    if isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, dict) and "state" in value and "param_groups" in value


def rest_of(content: Any, found: Found) -> dict[str, Described]:
    """The tensors that aren't the state dict's, by their whole place."""
    own = {id(each) for each in found.tensors.values()}
    if isinstance(content, dict):
        content = {key: each for key, each in content.items() if id(each) not in own}
    return {name_of(steps): each for steps, each in tensors_in(content) if id(each) not in own}
