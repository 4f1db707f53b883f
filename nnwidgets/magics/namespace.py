"""The user's variables that matter to a change: optimizers, and names that are free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from nnwidgets.edit import optimizers_holding


def optimizers_in(namespace: Mapping[str, Any], module: nn.Module) -> dict[str, Optimizer]:
    """The optimizers that hold a tensor of a model, each under its first public name.

    Example:
        >>> net = nn.Linear(2, 3)
        >>> import torch
        >>> list(optimizers_in({"adam": torch.optim.Adam(net.parameters()), "x": 1}, net))
        ['adam']
    """
    named = {name: value for name, value in list(namespace.items()) if not name.startswith("_")}
    found = optimizers_holding(module, named.values())
    return {next(name for name, value in named.items() if value is each): each for each in found}


def free_name(namespace: Mapping[str, Any]) -> str:
    """A name for a model that no variable has."""
    names = ("net", "model", *(f"model_{number}" for number in range(2, len(namespace) + 3)))
    return next(name for name in names if name not in namespace)
