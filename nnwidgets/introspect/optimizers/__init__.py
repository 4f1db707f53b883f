"""Optimizers: which train a model, what they hold of it, what they remember of each parameter; no code of theirs runs.

Start at `live_optimizers.optimizers_holding`.

    live_optimizers.py  which were passed, are among variables, train a model
    group_fields.py     an optimizer's groups and states, read from its fields, in whatever it is wrapped
"""

from __future__ import annotations

from nnwidgets.introspect.optimizers.group_fields import held_tensors, states_by_id
from nnwidgets.introspect.optimizers.live_optimizers import (
    is_users_name,
    optimizer_variables,
    optimizers_holding,
    optimizers_in,
)

__all__ = [
    "held_tensors",
    "is_users_name",
    "optimizer_variables",
    "optimizers_holding",
    "optimizers_in",
    "states_by_id",
]
