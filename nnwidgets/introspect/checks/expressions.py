"""Python that reaches a module or a tensor of the model, for the fixes."""

from __future__ import annotations

import json
from keyword import iskeyword
from typing import Any

from nnwidgets.introspect.safe_access.scan import ModelScan


def module_expression(reading: ModelScan, row: int, name: str) -> str:
    """Return Python that gives the module of a row, ``name`` being the model's variable.

    Example:
        >>> from torch import nn
        >>> from nnwidgets.introspect.safe_access.scan import read
        >>> net = nn.Sequential(nn.Sequential(nn.Linear(2, 2)))
        >>> module_expression(read(net), 2, "net")
        'net.get_submodule("0.0")'
    """
    steps: list[tuple[Any, int]] = []
    while row > 0:
        steps.append((reading.keys[row], reading.places.get(row, 0)))
        row = reading.parents[row]
    steps.reverse()
    made = name
    dotted: list[str] = []
    for key, position in steps:
        if type(key) is str and key and "." not in key:
            dotted.append(key)
            continue
        made = _submodule(made, dotted)
        dotted = []
        made = f"{made}._modules[{_quoted(key)}]" if type(key) is str else f"list({made}._modules.values())[{position}]"
    return _submodule(made, dotted)


def attribute_expression(owner: str, name: str) -> str | None:
    """Return Python that gives an attribute, or None where its name can't be written with a dot."""
    return f"{owner}.{name}" if is_plain_name(name) else None


def tensor_expression(reading: ModelScan, slot: int, row: int, name: str) -> str:
    """Return Python that gives the tensor in a slot of a row."""
    owner = module_expression(reading, row, name)
    key = reading.slots[slot][0]
    written = attribute_expression(owner, key) if type(key) is str else None
    if written is not None:
        return written
    held = "_parameters" if reading.role(slot, row) == "parameter" else "_buffers"
    if type(key) is str:
        return f"{owner}.{held}[{_quoted(key)}]"
    return f"list({owner}.{held}.values())[{slot - reading.first_slot[row]}]"


def is_plain_name(name: object) -> bool:
    """Say whether a name can follow a dot in Python."""
    return type(name) is str and name.isidentifier() and not iskeyword(name)


def _submodule(made: str, dotted: list[str]) -> str:
    if not dotted:
        return made
    if all(is_plain_name(step) for step in dotted):
        return ".".join([made, *dotted])
    return f"{made}.get_submodule({_quoted('.'.join(dotted))})"


def _quoted(text: str) -> str:
    return json.dumps(text)
