"""A window of a tensor seen as a matrix, thinned to a bounded number of cells: what a heat map draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect.heatmap.downsample import dense_cells, sparse_cells
from nnwidgets.introspect.heatmap.exact_text import text_rows
from nnwidgets.introspect.heatmap.matrix_view import Matrix, matrix_shape
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch
from nnwidgets.introspect.statistics.exact_stats import CancelledError
from nnwidgets.introspect.statistics.sampling import sample

Box = tuple[int, int, int, int]
"""First row, first column, rows, columns of a matrix."""

MOST_TEXTS = 4096
_MOST_SIDE = 1024
_FULL_COLOUR = 0.995
_MOST = 0.9
_FAR = 4.0


@dataclass(frozen=True, slots=True)
class Window:
    """Cells of a matrix view of a tensor.

    Attributes:
        n_rows: Rows of the whole matrix.
        n_columns: Columns of the whole matrix.
        row: First row of the window.
        column: First column of the window.
        row_step: Rows per cell.
        column_step: Columns per cell.
        shape: Rows and columns of cells.
        values: The cells as float32, row by row, little-endian: each the element of largest magnitude of its block,
            NaN or infinite where one of them is. Finite values beyond float32's range are its largest.
        texts: Each cell's exact text, where every cell is one element and there are at most 4,096; else None.
        scale: Magnitude at full colour: the 99.5th percentile of a sample's finite magnitudes, without those that are
            more than four times as large as nine tenths of them.
        row_axes: Dimensions of the tensor that a row index runs over.
        column_axes: Dimensions that a column index runs over, last fastest.
        tensor_shape: The tensor's sizes.
    """

    n_rows: int
    n_columns: int
    row: int
    column: int
    row_step: int
    column_step: int
    shape: tuple[int, int]
    values: bytes
    texts: list[list[str]] | None
    scale: float
    row_axes: tuple[int, ...]
    column_axes: tuple[int, ...]
    tensor_shape: tuple[int, ...]

    def cells(self) -> list[list[float]]:
        """Return the values as rows of numbers."""
        flat: Any = memoryview(self.values).cast("f").tolist()
        width = self.shape[1]
        return [flat[start : start + width] for start in range(0, len(flat), max(width, 1))]


def window(
    tensor: torch.Tensor,
    *,
    row: int = 0,
    column: int = 0,
    rows: int | None = None,
    columns: int | None = None,
    max_rows: int = 128,
    max_columns: int = 128,
    cancelled: Callable[[], bool] = lambda: False,
) -> Window:
    """Return a rectangle of a tensor seen as a matrix, thinned to at most ``max_rows`` × ``max_columns`` cells.

    Runs no code of a tensor subclass, and needs memory for the cells and one piece at a time. Complex elements are
    shown by magnitude, with both parts in the texts.

    Args:
        tensor: Any tensor whose data can be read.
        row: First row; one beyond the matrix is brought inside.
        column: First column, likewise.
        rows: How many rows; to the end if None, cut at the end.
        columns: How many columns, likewise.
        max_rows: Most rows of cells, 1 to 1,024.
        max_columns: Most columns of cells, 1 to 1,024.
        cancelled: Asked before each piece is read; true ends the work.

    Raises:
        CancelledError: ``cancelled`` was true.
        InvalidTargetError: It isn't a tensor, its data can't be read, or a number is out of range.

    Example:
        >>> import torch
        >>> found = window(torch.tensor([[1.0, -3.0], [0.5, 2.0]]), max_rows=1)
        >>> found.cells(), found.row_step
        ([[1.0, -3.0]], 2)
    """
    for name, value in {"max_rows": max_rows, "max_columns": max_columns}.items():
        if not 1 <= value <= _MOST_SIDE:
            raise InvalidTargetError(f"{name} is {value}, expected 1 to {_MOST_SIDE}.")
    data = as_plain_tensor(tensor)
    with plain_torch():
        n_rows, n_columns, row_axes, column_axes = matrix_shape(data.shape)
        area, steps = grid(data.shape, (row, column), (rows, columns), (max_rows, max_columns))
        row, column, rows, columns = area
        row_step, column_step = steps
        shape = (-(-rows // row_step), -(-columns // column_step))
        unthinned = steps == (1, 1) and rows * columns <= MOST_TEXTS
        is_strided = data.layout is torch.strided and not data.is_quantized

        def tick() -> None:
            if cancelled():
                raise CancelledError("Reading values was cancelled.")

        read = dense_cells if data.layout is torch.strided else sparse_cells
        cells = read(data, area, steps, tick)
        exact = None
        if unthinned:
            own = Matrix(data).piece(*area).reshape(-1).cpu() if is_strided else cells.reshape(-1)
            exact = text_rows(own, columns)
        return Window(
            n_rows=n_rows,
            n_columns=n_columns,
            row=row,
            column=column,
            row_step=row_step,
            column_step=column_step,
            shape=shape,
            values=float32_bytes(cells),
            texts=exact,
            scale=full_colour(_magnitudes(data, cells)),
            row_axes=row_axes,
            column_axes=column_axes,
            tensor_shape=tuple(data.shape),
        )


def grid(
    shape: Sequence[int], start: tuple[int, int], count: tuple[int | None, int | None], most: tuple[int, int]
) -> tuple[Box, tuple[int, int]]:
    """The window that is meant within the matrix, and the rows and columns per cell.

    Raises:
        InvalidTargetError: It is no part of the matrix.

    Example:
        >>> grid((10, 300), (2, 0), (None, 500), (4, 100))
        ((2, 0, 8, 300), (2, 3))
    """
    n_rows, n_columns, *_ = matrix_shape(shape)
    row, rows = _within("row", start[0], count[0], n_rows)
    column, columns = _within("column", start[1], count[1], n_columns)
    return (row, column, rows, columns), (max(1, -(-rows // most[0])), max(1, -(-columns // most[1])))


def _within(name: str, start: int, count: int | None, size: int) -> tuple[int, int]:
    if start < 0 or (count is not None and count < 1):
        raise InvalidTargetError(f"{name} {start} for {count} is no part of {size}.", hint="Start at 0 or later.")
    start = min(start, max(size - 1, 0))
    return start, min(size - start, size if count is None else count)


def float32_bytes(cells: torch.Tensor) -> bytes:
    """Cells as little-endian float32; finite values beyond its range are its largest."""
    if cells.numel() == 0:
        return b""
    largest = torch.finfo(torch.float32).max
    narrowed = torch.where(cells.isfinite(), cells.clamp(-largest, largest), cells)
    buffer = bytearray(4 * cells.numel())
    torch.frombuffer(buffer, dtype=torch.float32).view(cells.shape).copy_(narrowed)
    return bytes(buffer)


def full_colour(magnitudes: Iterable[torch.Tensor]) -> float:
    """The magnitude at full colour, as `Window.scale`: of the first that have one; never 0, so it can be divided by."""
    for candidates in magnitudes:
        finite = candidates[candidates.isfinite()]
        if finite.numel():
            place = min(finite.numel(), max(1, math.ceil(_FULL_COLOUR * finite.numel())))
            found = finite.kthvalue(place).values.item() or finite.max().item()
            near = _FAR * finite.kthvalue(max(1, math.ceil(_MOST * finite.numel()))).values.item()
            if 0.0 < near < found:
                # A few that lie far off the rest would leave the rest without colour.
                found = finite[finite <= near].max().item()
            if found > 0.0:
                return found
    return 1.0


def sampled_magnitudes(data: torch.Tensor) -> torch.Tensor:
    """Magnitudes of a sample of a tensor's elements, in float64."""
    picked = sample(data)
    return picked.to(torch.complex128 if picked.dtype.is_complex else torch.float64).abs()


def _magnitudes(data: torch.Tensor, cells: torch.Tensor) -> Iterator[torch.Tensor]:
    yield sampled_magnitudes(data)
    yield cells.abs().double().reshape(-1)
