"""The one thing that writes a model's tensors: changes as transactions, previewed, logged, undone, and told as code.

Every kind of change (`init`, `assign`, `freeze`, `unfreeze`, `apply_function`) is planned and checked whole, copies the
old bytes, writes in place, and on any failure leaves each bit as it was. What was done is a `Change`; `history` lists
them, `undo` and `redo` go through them, and ``to_code()`` of either is Python that does the same with torch alone.

Example:
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(2, 3))
    >>> change = init(net, "Linear.weight", "xavier_uniform_", gain=2, seed=7)
    >>> print(history(net).to_code())
    import torch
    from torch import nn
    <BLANKLINE>
    generator = torch.Generator("cpu").manual_seed(7)
    nn.init.xavier_uniform_(net[0].weight, gain=2, generator=generator)
    <BLANKLINE>
    >>> undo(net) is change
    True
"""

from __future__ import annotations

from nnwidgets.edit.assigning import assign
from nnwidgets.edit.changes import Change
from nnwidgets.edit.fan import FanHint, fan_hint
from nnwidgets.edit.freezing import freeze, unfreeze
from nnwidgets.edit.functions import apply_function
from nnwidgets.edit.initializers import Initializer, Parameter, initializer, initializers
from nnwidgets.edit.initializing import init
from nnwidgets.edit.log import History, set_budget
from nnwidgets.edit.optimizers import optimizers_holding
from nnwidgets.edit.targets import Tie
from nnwidgets.edit.transaction import history, redo, undo

__all__ = [
    "Change",
    "FanHint",
    "History",
    "Initializer",
    "Parameter",
    "Tie",
    "apply_function",
    "assign",
    "fan_hint",
    "freeze",
    "history",
    "init",
    "initializer",
    "initializers",
    "optimizers_holding",
    "redo",
    "set_budget",
    "undo",
    "unfreeze",
]
