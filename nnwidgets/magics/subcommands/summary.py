"""``%nn summary``: torchinfo's table where it can be had without harm, ours in the same columns where not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from nnwidgets.errors import closest_names
from nnwidgets.formatting import counted
from nnwidgets.introspect.module_tree.nodes import ModuleTree
from nnwidgets.introspect.module_tree.tree import tree
from nnwidgets.introspect.records import Trace
from nnwidgets.introspect.safe_access.scan import read
from nnwidgets.introspect.tracing.trace import trace
from nnwidgets.magics.line.grammar import Candidate, InputSize, LineError, cut
from nnwidgets.magics.subcommands.subcommand import Answer, Option, Subcommand, TypedLine
from nnwidgets.magics.subcommands.torchinfo_table import DeclinedError, torchinfo_table
from nnwidgets.text.document import Document, Note, Preformatted
from nnwidgets.text.pages.model import shapes_text
from nnwidgets.text.pages.summary_table import DEFAULT_DEPTH, summary_table

_MOST_LINES = 2_000
_MOST_ELEMENTS = 2**31
_MOST_DIMENSIONS = 25
_MOST_DEPTH = 9
_SHAPE = re.compile(r"\(?\s*(\d+(?:\s*,\s*\d+)*)?\s*,?\s*\)?")
_DTYPES = (
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
    "complex64", "complex128",
)  # fmt: skip
"""What ``--input 2,20:dtype`` can name."""


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
        traced = _trace(module, inputs) if inputs else None
        made = summary_table(found, traced, depth=depth)
        said = f"nnwidgets' own table: torchinfo {declined}."
    else:
        said = "torchinfo's table; the model is as it was before."
    return (Preformatted(_first_lines(made)), Note(said))


def _trace(module: nn.Module, inputs: Sequence[torch.Tensor]) -> Trace:
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


def _first_lines(table: str) -> str:
    lines = table.split("\n")
    more = len(lines) - _MOST_LINES
    return "\n".join([*lines[:_MOST_LINES], f"… {counted(more, 'more line')}"]) if more > 0 else table


def _read_depth(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 9):  # noqa: PLR2004 - deep enough
        raise LineError(f"--depth {cut(value)} is not a whole number of at least 0, such as 2.")
    return int(value)


def _read_input(value: str) -> InputSize:
    sizes, _, dtype = value.partition(":")
    match = _SHAPE.fullmatch(sizes)
    if match is None:
        raise LineError(f"--input {cut(value)} is not a shape such as 2,20 or 2,20:int64.")
    numbers = match[1].split(",") if match[1] else []
    if any(len(number.strip()) > 12 for number in numbers) or len(numbers) > _MOST_DIMENSIONS:  # noqa: PLR2004 - a size
        raise LineError(f"--input {cut(value)} is too large to make.")
    shape = tuple(int(number) for number in numbers)
    n_elements = 1
    for size in shape:
        n_elements *= size
    if n_elements > _MOST_ELEMENTS:
        raise LineError(f"--input {cut(value)} is too large to make: {counted(n_elements, 'element')}.")
    if ":" in value and dtype not in _DTYPES:
        near = closest_names(dtype, _DTYPES, n=1)
        known = f"did you mean {near[0]}?" if near else f"known are {', '.join(_DTYPES)}."
        raise LineError(f"--input {cut(value)}: no dtype {cut(dtype)}; {known}")
    return InputSize(shape, dtype)


def _complete_depth(_typed: TypedLine) -> Iterator[Candidate]:
    yield from (Candidate(str(depth), "value") for depth in range(1, _MOST_DEPTH + 1))


def _complete_input(typed: TypedLine) -> Iterator[Candidate]:
    shape, colon, _ = typed.last.partition(":")
    if colon:
        yield from (Candidate(f"{shape}:{dtype}", "value") for dtype in _DTYPES)


def depth_option(value: str) -> Option:
    """``--depth``, with a value for the usage."""
    return Option("--depth", value=value, field="depth", read=_read_depth, complete=_complete_depth)


SUMMARY = Subcommand(
    "summary",
    "torchinfo's table. --input is the shape of one input, batch included; without it no forward is run.",
    lambda request: Answer(summary_page(request.module, request.command.inputs, depth=request.command.depth)),
    options=(
        Option("--input", "", "2,20", "inputs", _read_input, _complete_input, is_repeated=True),
        depth_option("3"),
    ),
)
