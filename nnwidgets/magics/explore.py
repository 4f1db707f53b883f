"""``%nn net``: an Explorer of a model; ``%nn`` alone explores the only model there is, or lists the models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from nnwidgets.introspect.module_tree.text import count_text
from nnwidgets.introspect.module_tree.tree import tree
from nnwidgets.magics.line.grammar import LineError
from nnwidgets.magics.resolve import model_names, resolve_model
from nnwidgets.magics.subcommands.subcommand import Answer
from nnwidgets.magics.subcommands.table import usage_of_all
from nnwidgets.text.document import Document, Note, Table

if TYPE_CHECKING:
    from nnwidgets.widgets import Explorer

_MOST_MODELS = 100


def make_explorer(module: nn.Module, name: str | None, namespace: Mapping[str, Any]) -> Explorer:
    """Make an Explorer of ``module``.

    Args:
        module: The model.
        name: How it was written; None to look for the variable that holds it.
        namespace: The user's variables.
    """
    from nnwidgets.widgets import explore

    if name is None:
        name = next((known for known in model_names(namespace) if namespace[known] is module), None)
    return explore(module, name=name)


def explore_line(model: str, namespace: Mapping[str, Any]) -> Answer:
    """Explore a model.

    Args:
        model: How it is written; empty for the only one there is.
        namespace: The user's variables.

    Raises:
        LineError: There is none.
    """
    if model:
        return Answer(None, make_explorer(resolve_model(model, namespace), model, namespace))
    names = model_names(namespace)
    distinct = {id(namespace[name]): name for name in reversed(names)}
    if len(distinct) == 1:
        (name,) = distinct.values()
        return Answer(None, make_explorer(namespace[name], name, namespace))
    if names:
        return Answer(_models_page(names, namespace))
    raise LineError(f"No variable holds a model yet. {usage_of_all()}")


def _models_page(names: list[str], namespace: Mapping[str, Any]) -> Document:
    rows = []
    for name in names[:_MOST_MODELS]:
        found = tree(namespace[name])
        rows.append((name, found.root.class_name, count_text(found.n_params)))
    n_more = max(0, len(names) - _MOST_MODELS)
    table = Table(("model", "class", "parameters"), tuple(rows), right=(2,), n_more=n_more)
    return (table, Note(usage_of_all()))
