"""The one thing that writes a model's tensors: changes as transactions, previewed, logged, undone, and told as code."""

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
