"""What this rank has of a window of a tensor seen as a matrix: cells of the whole's grid, where its part reaches."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from nnwidgets.distributed.shares import ABSENT, Share, share_of
from nnwidgets.edit.over_ranks.part import part_of
from nnwidgets.errors import NNWidgetsError
from nnwidgets.introspect.heatmap.downsample import dense_cells
from nnwidgets.introspect.heatmap.exact_text import text_rows
from nnwidgets.introspect.heatmap.matrix_view import Matrix, matrix_shape
from nnwidgets.introspect.heatmap.window import MOST_TEXTS, Box, float32_bytes, sampled_magnitudes
from nnwidgets.introspect.safe_access import objects
from nnwidgets.introspect.safe_access.holders import holder_of, part_here
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch

_MOST_SAMPLED = 2_048


def tile_of(tensor: Any, wanted: Mapping[str, Any], place: tuple[int, int]) -> dict[str, Any]:
    """Say what is here of a window.

    Args:
        tensor: This rank's; None where it has none.
        wanted: ``area``, the window's first row and column, rows and columns; ``steps``, rows and columns per cell.
        place: Rank and world size.

    Returns:
        ``state`` as `Share` has it, or ``"scattered"`` where the part is no rectangle of the matrix; ``part``; where it
        can be read ``box``, the part's rectangle; where it reaches into the window, ``at``, its first cells down and
        across, ``shape`` of them, ``values`` in base64, ``texts`` where each cell is an element; and a ``sample`` of
        the part's magnitudes.
    """
    share: Share = ABSENT if tensor is None else share_of(tensor, *place)
    if share.state != "held":
        return {"state": share.state, "part": list(share.part)}
    try:
        data = as_plain_tensor(part_here(tensor))
        box = _box(tensor, data)
        if box is None or data.layout is not torch.strided or data.is_quantized:
            return {"state": "scattered" if box is None else "unreadable", "part": list(share.part)}
        with plain_torch():
            return {"state": "held", "part": list(share.part), "box": list(box), **_cells(data, box, wanted)}
    except (NNWidgetsError, RuntimeError):
        return {"state": "unreadable", "part": list(share.part)}


def _box(tensor: Any, data: torch.Tensor) -> Box | None:
    """Which rectangle of the whole matrix a part is; None where it is none."""
    with objects.no_torch_function():
        held = holder_of(tensor)
        offset = (0,) * data.dim()
        whole = tuple(data.shape) if held is None or not held.is_part else held.shape
        if held is not None and held.is_part:
            part = part_of(tensor)
            if part is None or part.local_shape != tuple(data.shape) or part.local_shape[2:] != part.shape[2:]:
                return None
            offset = tuple(each.start for each in part.box)
    rows, columns, *_ = matrix_shape(data.shape)
    if data.dim() <= 1:
        return 0, offset[0] if offset else 0, rows, columns
    return offset[0], offset[1] * math.prod(whole[2:]), rows, columns


def _cells(data: torch.Tensor, box: Box, wanted: Mapping[str, Any]) -> dict[str, Any]:
    (row, column, rows, columns), (down, across) = wanted["area"], wanted["steps"]
    top, bottom = max(row, box[0]), min(row + rows, box[0] + box[2])
    left, right = max(column, box[1]), min(column + columns, box[1] + box[3])
    picked = sampled_magnitudes(data).reshape(-1)
    made: dict[str, Any] = {"sample": _packed(picked[:: -(-picked.numel() // _MOST_SAMPLED) or 1])}
    if top >= bottom or left >= right:
        return made
    first = (top - row) // down, (left - column) // across
    shape = (bottom - 1 - row) // down - first[0] + 1, (right - 1 - column) // across - first[1] + 1
    cells = torch.zeros(shape, dtype=torch.float64)
    for y, height, i in _aligned(top - row, bottom - row, down):
        for x, width, j in _aligned(left - column, right - column, across):
            area = (row + y - box[0], column + x - box[1], height, width)
            piece = dense_cells(data, area, (down, across), lambda: None)
            at_row, at_column = i - first[0], j - first[1]
            cells[at_row : at_row + piece.shape[0], at_column : at_column + piece.shape[1]] = piece.double()
    made |= {"at": list(first), "shape": list(shape), "values": _packed(cells)}
    if (down, across) == (1, 1) and rows * columns <= MOST_TEXTS:
        own = Matrix(data).piece(top - box[0], left - box[1], *shape).reshape(-1).cpu()
        made["texts"] = text_rows(own, shape[1])
    return made


def _aligned(start: int, end: int, step: int) -> Iterator[tuple[int, int, int]]:
    """Cut a range where the grid's cells begin: the start, the length and the first cell of each piece."""
    head = min(end, -(-start // step) * step)
    for first, last in ((start, head), (head, end)):
        if last > first:
            yield first, last - first, first // step


def _packed(numbers: torch.Tensor) -> str:
    return base64.b64encode(float32_bytes(numbers)).decode("ascii")
