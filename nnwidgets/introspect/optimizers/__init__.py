"""Optimizers: which train a model, what they hold of it, what they remember of each parameter; no code of theirs runs.

Start at `optimizer.optimizer`, which puts a model's parameters beside the groups that hold them.

    live_optimizers.py  which were passed, are among variables, train a model
    group_fields.py     an optimizer's groups and states, read from its fields, in whatever it is wrapped
    optimizer.py        a model's parameters beside its optimizers' groups, with what is remembered of each
    table_records.py    these as records
"""

from __future__ import annotations

from nnwidgets.introspect.optimizers.group_fields import held_tensors, states_by_id
from nnwidgets.introspect.optimizers.live_optimizers import (
    optimizer_variables,
    optimizers_holding,
    optimizers_in,
    tensors_elsewhere,
    training_of,
)

__all__ = [
    "held_tensors",
    "optimizer_variables",
    "optimizers_holding",
    "optimizers_in",
    "states_by_id",
    "tensors_elsewhere",
    "training_of",
]
