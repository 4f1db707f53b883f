"""What of a module is saved: its state dict where torch can make one, else its tensors under their path names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from nnwidgets.checkpoint.naming import is_saved
from nnwidgets.errors import SaveError
from nnwidgets.introspect import live_tensors, tree
from nnwidgets.introspect.safe_access import objects


@dataclass(frozen=True, slots=True)
class State:
    """What of a module is saved.

    Attributes:
        content: Its tensors by name, and perhaps extra state.
        by_path: Whether the names are paths, since torch made no state dict.
        warnings: Why.
    """

    content: Any
    by_path: bool = False
    warnings: list[str] = field(default_factory=list)


def state_of(module: Any) -> State:
    """What of a module is saved; its tensors themselves, none copied.

    Where its ``state_dict`` raises, for a key that isn't text, a circle of modules or a hook that throws, its
    parameters and persistent buffers are taken by path.

    Example:
        >>> from torch import nn
        >>> odd = nn.Module()
        >>> odd._modules[nn.ReLU()] = nn.Linear(2, 1)
        >>> list(state_of(odd).content)
        ['[0].weight', '[0].bias']
    """
    try:
        with torch.no_grad():
            made = module.state_dict()
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes the warning's text
        return _by_path(module, f"its state_dict() raised {objects.reason(error).rstrip('.')}")
    if not objects.is_a(made, dict):
        return _by_path(module, f"its state_dict() gave a {objects.type_name(type(made))}")
    odd = next((key for key, _ in objects.plain_items(made) if objects.text_of(key) is None), None)
    if odd is not None:
        return _by_path(module, f"its state_dict() has a key that is a {objects.type_name(type(odd))}")
    return State(made)


def optimizer_state(optimizer: Any) -> Any:
    """An optimizer's state dict; a dict is taken for one.

    Raises:
        SaveError: It has none.
    """
    if objects.is_a(optimizer, dict):
        return optimizer
    make = getattr(optimizer, "state_dict", None)
    if not callable(make):
        raise SaveError(
            f"The optimizer is a {objects.type_name(type(optimizer))}, "
            "expected one of torch.optim or its state_dict().",
            hint="Nothing was changed.",
        )
    try:
        with torch.no_grad():
            return make()
    except Exception as error:
        raise SaveError(
            f"The optimizer's state_dict() raised {objects.reason(error).rstrip('.')}.", hint="Nothing was changed."
        ) from error


def _by_path(module: Any, why: str) -> State:
    live = live_tensors(module)
    kept = {entry.path: live[entry.path] for entry in tree(module).tensors if entry.path in live and is_saved(entry)}
    said = f"Saved under path names, since {why}; to_load_code() of the report gives the Python that loads them."
    return State(kept, by_path=True, warnings=[said])
