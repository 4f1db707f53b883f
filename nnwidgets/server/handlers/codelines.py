"""Python that gives the very thing on a row, to paste into a cell."""

from __future__ import annotations

import json
import keyword

from torch import nn

from nnwidgets.introspect.module_tree.expressions import spelled
from nnwidgets.wire.schema.inspect import CodeLine

_MAX_CODE = 20_000


def code_lines(module: nn.Module, name: str | None, path: str, role: str | None) -> list[CodeLine]:
    """Return Python for the module or tensor at ``path``.

    Args:
        module: The model.
        name: The variable that holds it; ``model`` stands for it where there is none.
        path: A path of the tree.
        role: The tensor's role, or None for a module.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3))
        >>> [line["code"] for line in code_lines(net, "net", "0.weight", "parameter")]
        ['net[0].weight', 'net.get_parameter("0.weight")', 'net[0].weight.grad']
    """
    variable = name if name is not None and name.isidentifier() and not keyword.iskeyword(name) else "model"
    spelling = spelled(module, variable, path)
    if spelling is None or len(spelling.code) > _MAX_CODE:
        return []
    code, dotted = spelling
    lines: list[CodeLine] = [{"label": "Python", "code": code}]
    getter = {None: "get_submodule", "parameter": "get_parameter", "buffer": "get_buffer"}.get(role)
    if path and dotted and getter is not None:
        lines.append({"label": "By path", "code": f"{variable}.{getter}({json.dumps(path, ensure_ascii=False)})"})
    if role == "parameter":
        lines.append({"label": "Gradient", "code": f"{code}.grad"})
    return lines
