"""``%nn summary``: torchinfo's table where it can be had without harm, ours in the same columns where not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from nnwidgets.introspect.module_tree.nodes import ModuleTree
from nnwidgets.introspect.module_tree.tree import tree
from nnwidgets.introspect.records import Trace
from nnwidgets.introspect.safe_access.scan import read
from nnwidgets.introspect.tracing.trace import trace
from nnwidgets.magics.line.grammar import InputSize, LineError
from nnwidgets.magics.subcommands.torchinfo_table import DeclinedError, torchinfo_table
from nnwidgets.text.document import Document, Note, Preformatted
from nnwidgets.text.pages.model import shapes_text
from nnwidgets.text.pages.summary_table import DEFAULT_DEPTH, summary_table

_MOST_LINES = 2_000


def summary_page(module: nn.Module, sizes: Sequence[InputSize], *, depth: int | None = None) -> Document:
    """Summarize ``module``, leaving it bit for bit as it was.

    Args:
        module: The model.
        sizes: The inputs of a forward; without any, none is run.
        depth: Levels of modules shown; 3 where None.

    Raises:
        LineError: If its forward can't take such inputs.
    """
    found = tree(module)
    inputs = [_make(size, found) for size in sizes]
    depth = DEFAULT_DEPTH if depth is None else depth
    reading = read(module)
    live = [part for row, part in enumerate(reading.modules) if row not in reading.first_met]
    try:
        made = torchinfo_table(module, found, live, inputs, depth=depth)
    except DeclinedError as declined:
        traced = _traced(module, inputs) if inputs else None
        made = summary_table(found, traced, depth=depth)
        said = f"nnwidgets' own table: torchinfo {declined}."
    else:
        said = "torchinfo's table; the model is as it was before."
    return (Preformatted(_cut(made)), Note(said))


def _traced(module: nn.Module, inputs: Sequence[torch.Tensor]) -> Trace:
    with torch.no_grad():
        traced = trace(module, *inputs)
    if traced.error is not None:
        at = f" at {traced.failed_at}" if traced.failed_at else ""
        dtypes = [str(one.dtype).removeprefix("torch.") for one in inputs]
        given = shapes_text([tuple(one.shape) for one in inputs], dtypes)
        raise LineError(f"The forward raised{at} when given {given}: {traced.error}")
    return traced


def _make(size: InputSize, found: ModuleTree) -> torch.Tensor:
    """Make an input: random for floating-point dtypes, zeros for others, on the model's device."""
    parameter = next((entry for entry in found.tensors if entry.role == "parameter" and entry.shape is not None), None)
    device = parameter.device if parameter is not None else "cpu"
    dtype = getattr(torch, size.dtype or (parameter.dtype if parameter is not None else "float32"))
    if not dtype.is_floating_point and not size.dtype:
        dtype = torch.float32
    try:
        if device == "meta" or not dtype.is_floating_point or dtype.itemsize < 2:  # noqa: PLR2004 - float8 has no rand
            return torch.zeros(size.shape, dtype=dtype, device=device)
        return torch.rand(size.shape, dtype=dtype, generator=torch.Generator().manual_seed(0)).to(device)
    except (RuntimeError, MemoryError) as error:
        raise LineError(f"An input of {tuple(size.shape)} can't be made: {str(error).splitlines()[0]}") from None


def _cut(table: str) -> str:
    lines = table.split("\n")
    more = len(lines) - _MOST_LINES
    return "\n".join([*lines[:_MOST_LINES], f"… {more:,} more lines"]) if more > 0 else table
