"""A window of a tensor over ranks: each cell from a rank that has it, and which areas nobody gave."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch

from nnwidgets.distributed.merging.tensors import why_none
from nnwidgets.distributed.sources.source import Replies
from nnwidgets.introspect.heatmap.matrix_view import matrix_shape
from nnwidgets.introspect.heatmap.window import Box, Window, float32_bytes, full_colour

_MOST_BOXES = 256
UNKNOWN = "–"
"""Stands for the text of an element that nobody gave."""


class RankedWindow(NamedTuple):
    """A window, and who has what of the whole matrix.

    Attributes:
        window: As of one tensor; 0 where nobody gave a value.
        shards: Each part's rectangle (first row, first column, rows, columns) and the ranks that have it.
        absent: Rectangles within the window that nobody who answered has.
    """

    window: Window
    shards: tuple[tuple[Box, tuple[int, ...]], ...]
    absent: tuple[Box, ...]


def merged(replies: Replies, shape: tuple[int, ...], area: Box, steps: tuple[int, int]) -> RankedWindow | str:
    """Make one window of what each rank has of it.

    Args:
        replies: Of the ranks that answered, what `tiles.tile_of` says.
        shape: The whole tensor's.
        area: The window asked for.
        steps: Rows and columns per cell.

    Returns:
        The window, or in words why there is none.
    """
    held = {rank: reply for rank, reply in replies.items() if reply["state"] == "held"}
    if not held:
        return why_none(reply["state"] for reply in replies.values())
    n_cells = -(-area[2] // steps[0]), -(-area[3] // steps[1])
    cells = torch.zeros(n_cells, dtype=torch.float64)
    covered = torch.zeros(n_cells, dtype=torch.bool)
    words = [[UNKNOWN] * n_cells[1] for _ in range(n_cells[0])]
    owners: dict[tuple[Box, tuple[int, ...]], list[int]] = {}
    samples = []
    for rank, reply in held.items():
        ranks = owners.setdefault((tuple(reply["box"]), tuple(reply["part"])), [])
        ranks.append(rank)
        if len(ranks) > 1:
            continue
        samples.append(_numbers(reply["sample"]))
        if "at" not in reply:
            continue
        (i, j), (n_rows, n_columns) = reply["at"], reply["shape"]
        here = slice(i, i + n_rows), slice(j, j + n_columns)
        theirs, ours = _numbers(reply["values"]).reshape(n_rows, n_columns), cells[here]
        larger = theirs.isnan() | ~covered[here] | (theirs.abs() > ours.abs())
        cells[here] = torch.where(larger, theirs, ours)
        covered[here] = True
        for at, line in enumerate(reply.get("texts", ())):
            words[i + at][j : j + n_columns] = line
    n_rows, n_columns, row_axes, column_axes = matrix_shape(shape)
    has_texts = any("texts" in reply for reply in held.values())
    window = Window(
        n_rows=n_rows,
        n_columns=n_columns,
        row=area[0],
        column=area[1],
        row_step=steps[0],
        column_step=steps[1],
        shape=n_cells,
        values=float32_bytes(cells),
        texts=words if has_texts else None,
        scale=full_colour([torch.cat(samples), cells.abs().reshape(-1)]),
        row_axes=row_axes,
        column_axes=column_axes,
        tensor_shape=shape,
    )
    shards = tuple((box, tuple(ranks)) for (box, _), ranks in owners.items())
    absent = tuple(_rectangles(~covered, area, steps))
    return RankedWindow(window, shards[:_MOST_BOXES], absent[:_MOST_BOXES])


def _numbers(packed: str) -> torch.Tensor:
    data = bytearray(base64.b64decode(packed))
    return torch.frombuffer(data, dtype=torch.float32).double() if data else torch.zeros(0, dtype=torch.float64)


def _rectangles(mask: torch.Tensor, area: Box, steps: tuple[int, int]) -> Iterator[Box]:
    """What is set in a mask of cells, as rectangles of the matrix: rows that are alike together."""
    rows = mask.tolist()
    start = 0
    for at in range(1, len(rows) + 1):
        if at < len(rows) and rows[at] == rows[start]:
            continue
        top, bottom = start * steps[0], min(at * steps[0], area[2])
        for left, right in _runs(rows[start]):
            first, last = left * steps[1], min(right * steps[1], area[3])
            yield area[0] + top, area[1] + first, bottom - top, last - first
        start = at


def _runs(flags: Iterable[bool]) -> Iterator[tuple[int, int]]:
    start, end = None, 0
    for at, is_set in enumerate(flags):
        end = at + 1
        if is_set and start is None:
            start = at
        elif not is_set and start is not None:
            yield start, at
            start = None
    if start is not None:
        yield start, end
