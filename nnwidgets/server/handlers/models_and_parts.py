"""Answers to what is about no model: `models` and `variables` of the notebook, and each `part` of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnwidgets.formatting import inert, shape_text
from nnwidgets.introspect.module_tree.tensor_metadata import facts
from nnwidgets.introspect.safe_access.objects import no_torch_function, type_name
from nnwidgets.server.handlers.registry import handles_without_model
from nnwidgets.server.notebook.variables import Identities, listed_modules, modules, optimizers, tensors
from nnwidgets.server.page_files import part
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.envelope import ModelsReply, PartReply, Variable, VariablesReply
from nnwidgets.wire.schema.inspect import TensorsReply

_MOST_TENSORS = 200

_identities = Identities()


@handles_without_model("models")
def answer_models(_body: Mapping[str, Any], _job: Job) -> ModelsReply:
    """Name the notebook's variables that hold a module."""
    return {
        "models": [{"name": name, "class_name": inert(type(module).__name__)} for name, module in modules().items()]
    }


@handles_without_model("variables")
def answer_variables(_body: Mapping[str, Any], _job: Job) -> VariablesReply:
    """Name the notebook's modules, those right within its variables too, and its optimizers, by their types alone."""
    listed = {name: each for name, each in optimizers().items() if not name.startswith("_")}
    return {"modules": _variables(listed_modules()), "optimizers": _variables(listed)}


def _variables(values: Mapping[str, object]) -> list[Variable]:
    return [
        {"name": name, "class_name": type_name(type(value)), "identity": _identities.of(value)}
        for name, value in values.items()
    ]


@handles_without_model("tensors")
def answer_tensors(_body: Mapping[str, Any], _job: Job) -> TensorsReply:
    """Name the notebook's tensors, with shapes and dtypes."""
    found = list(tensors().items())[:_MOST_TENSORS]
    with no_torch_function():
        kinds = [(name, facts(tensor).kind) for name, tensor in found]
    return {"tensors": [{"name": name, "shape": shape_text(kind.shape), "dtype": kind.dtype} for name, kind in kinds]}


@handles_without_model("part")
def answer_part(body: Mapping[str, Any], _job: Job) -> PartReply:
    """Give what the page lacks to open a panel, or to write in another language.

    Raises:
        NNWidgetsError: The page was never built.
    """
    code, style = part(body["name"])
    return {"code": code, "style": style}
