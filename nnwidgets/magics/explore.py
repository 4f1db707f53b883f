"""``%nn net``: an Explorer of a model or a file, at a row where one is named; ``%nn`` alone lists models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from nnwidgets.introspect.handles import ModelHandle
from nnwidgets.introspect.module_tree.text import count_text
from nnwidgets.introspect.module_tree.tree import tree
from nnwidgets.introspect.patterns import match
from nnwidgets.introspect.safe_access import lookup
from nnwidgets.introspect.safe_access.objects import is_module
from nnwidgets.magics.line.grammar import LineError
from nnwidgets.magics.resolve import model_names
from nnwidgets.magics.subcommands.subcommand import Answer, Request
from nnwidgets.text.document import Document, Note, Table

if TYPE_CHECKING:
    from nnwidgets.widgets import Explorer

_MOST_MODELS = 100


def make_explorer(module: nn.Module | ModelHandle, name: str | None, namespace: Mapping[str, Any]) -> Explorer:
    """Make an Explorer of ``module``.

    Args:
        module: The model.
        name: How it was written; None to look for the variable that holds it.
        namespace: The user's variables.
    """
    from nnwidgets.widgets import explore

    if name is None:
        name = next((known for known in model_names(namespace) if namespace[known] is module), None)
    return explore(module, name=name)  # type: ignore[arg-type] # what is over ranks is a RankedModel


def explore_line(request: Request, usage: str) -> Answer:
    """Explore the model that a line names, or the only one there is; several are listed.

    Args:
        request: The line.
        usage: How lines are written.

    Raises:
        LineError: There is none, or nothing is at the path.
    """
    command, namespace = request.command, request.namespace
    if command.model and request.file is not None:
        from nnwidgets.widgets import explore

        return Answer(None, explore(request.file))
    if command.model:
        module, selected, text = request.model, "", command.filter
        if command.target:
            found = match(tree(module), command.target, words=False).paths
            if len(found) == 1:
                selected = found[0]
            else:
                # Of several the filter shows all; of none the path is looked for, to say what is near.
                text = command.target if found or not is_module(module) else lookup.get(module, command.target)
        view = make_explorer(module, command.model, namespace)
        view.selected, view.filter = selected, text
        return Answer(None, view)
    names = model_names(namespace)
    distinct = {id(namespace[name]): name for name in reversed(names)}
    if len(distinct) == 1:
        (name,) = distinct.values()
        return Answer(None, make_explorer(namespace[name], name, namespace))
    if names:
        return Answer(_models_page(names, namespace, usage))
    raise LineError(f"No variable holds a model yet. {usage}")


def _models_page(names: list[str], namespace: Mapping[str, Any], usage: str) -> Document:
    rows = []
    for name in names[:_MOST_MODELS]:
        found = tree(namespace[name])
        rows.append((name, found.root.class_name, count_text(found.n_params)))
    n_more = max(0, len(names) - _MOST_MODELS)
    table = Table(("model", "class", "parameters"), tuple(rows), right=(2,), n_more=n_more)
    return (table, Note(usage))
