"""What optimizers have of one parameter: the group it is in, its settings, what is remembered of it."""

from __future__ import annotations

from nnwidgets.formatting import inert, shape_text
from nnwidgets.introspect.optimizers import held_tensors
from nnwidgets.introspect.optimizers.optimizer import table_of
from nnwidgets.introspect.safe_access.objects import type_name
from nnwidgets.server.session.live_tensor import LiveTensor
from nnwidgets.server.session.session import Session
from nnwidgets.text.pages.optimizer import is_worth_telling, setting_text, state_text
from nnwidgets.wire.schema.inspect import OptimizerPlace

_MOST_SETTINGS = 30
_MOST_STATES = 20


def optimizer_places(session: Session, live: LiveTensor) -> list[OptimizerPlace] | None:
    """Return the groups that hold a parameter; None where no optimizer of the model is known, or it isn't a parameter.

    Args:
        session: The view, which knows the optimizers.
        live: The parameter.
    """
    if live.entry.role != "parameter":
        return None
    holding = [
        (name, each)
        for name, each in session.named_optimizers()
        if any(tensor is live.tensor for tensor in held_tensors(each))
    ]
    if not holding:
        return [] if live.entry.path in session.untrained else None
    made: list[OptimizerPlace] = []
    for name, each in holding:
        table = table_of([(live.path, live.tensor)], [each])
        parameter = table.parameters[0]
        for at in parameter.groups:
            group = table.groups[at]
            options = [(key, value) for key, value in group.options.items() if is_worth_telling(key, value)]
            made.append({
                "name": inert(name or type_name(type(each)), 80),
                "class_name": group.class_name,
                "group": group.index,
                "n_groups": len(table.groups),
                "settings": [{"name": key, "value": setting_text(value)} for key, value in options[:_MOST_SETTINGS]],
                "step": parameter.step,
                "state": [
                    {
                        "name": kept.name,
                        "value": state_text(kept),
                        "is_norm": kept.norm is not None,
                        "shape": shape_text(kept.shape) if kept.shape is not None else "",
                        "dtype": kept.dtype,
                        "size_bytes": kept.size_bytes,
                    }
                    for kept in parameter.state[:_MOST_STATES]
                ],
            })  # fmt: skip
    return made
