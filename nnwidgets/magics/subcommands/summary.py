"""``%nn summary``: torchinfo's table where it can be had without harm, ours in the same columns where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import counted
from nnwidgets.introspect.module_tree.tree import tree_of
from nnwidgets.introspect.safe_access.scan import read
from nnwidgets.introspect.tracing.inputs import DTYPES, InputSize, make_inputs, read_input_size
from nnwidgets.introspect.tracing.trace import trace
from nnwidgets.introspect.tracing.trace_record import Trace
from nnwidgets.magics.line.grammar import Candidate, LineError, cut
from nnwidgets.magics.subcommands.subcommand import Answer, Option, Request, Subcommand, TypedLine
from nnwidgets.magics.subcommands.torchinfo_table import DeclinedError, torchinfo_table
from nnwidgets.text.document import Document, Note, Preformatted
from nnwidgets.text.pages.model import shapes_text
from nnwidgets.text.pages.summary_table import DEFAULT_DEPTH, summary_table

_MOST_LINES = 2_000
_MOST_DEPTH = 9


def summary_page(module: nn.Module, sizes: Sequence[InputSize], *, depth: int | None = None) -> Document:
    """Summarize ``module``, leaving it bit for bit as it was.

    Args:
        module: The model.
        sizes: The inputs of a forward; without any, none is run.
        depth: Levels of modules shown; 3 where None.

    Raises:
        LineError: If its forward can't take such inputs.
    """
    reading = read(module)
    found = tree_of(reading)
    try:
        inputs = make_inputs(sizes, reading)
    except InvalidTargetError as error:
        raise LineError(str(error)) from None
    depth = DEFAULT_DEPTH if depth is None else depth
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


def _first_lines(table: str) -> str:
    lines = table.split("\n")
    more = len(lines) - _MOST_LINES
    return "\n".join([*lines[:_MOST_LINES], f"… {counted(more, 'more line')}"]) if more > 0 else table


def _read_depth(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 9):  # noqa: PLR2004 - deep enough
        raise LineError(f"--depth {cut(value)} is not a whole number of at least 0, such as 2.")
    return int(value)


def _read_input(value: str) -> InputSize:
    try:
        return read_input_size(value)
    except InvalidTargetError as error:
        raise LineError(f"--input {error}") from None


def _complete_depth(_typed: TypedLine) -> Iterator[Candidate]:
    yield from (Candidate(str(depth), "value") for depth in range(1, _MOST_DEPTH + 1))


def _complete_input(typed: TypedLine) -> Iterator[Candidate]:
    shape, colon, _ = typed.last.partition(":")
    if colon:
        yield from (Candidate(f"{shape}:{dtype}", "value") for dtype in DTYPES)


def depth_option(value: str) -> Option:
    """``--depth``, with a value for the usage."""
    return Option("--depth", value=value, field="depth", read=_read_depth, complete=_complete_depth)


def _run(request: Request) -> Answer:
    """The table, as a page and as text."""
    page = summary_page(request.module, request.command.inputs, depth=request.command.depth)
    return Answer(page, next(block.text for block in page if isinstance(block, Preformatted)))


def input_option(about: str = "") -> Option:
    """``--input``: a size of one input, as often as there are inputs."""
    return Option("--input", about, "2,20", "inputs", _read_input, _complete_input, is_repeated=True)


SUMMARY = Subcommand(
    "summary",
    "torchinfo's table. --input is the shape of one input, batch included; without it no forward is run.",
    _run,
    options=(
        input_option(),
        depth_option("3"),
    ),
)
