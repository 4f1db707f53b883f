"""Any tensor as a matrix that is read piece by piece: rows are its first dimension, columns all the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from nnwidgets.introspect.statistics.sampling import gather

_SHORTEST_MATRIX = 2


def matrix_shape(shape: Sequence[int]) -> tuple[int, int, tuple[int, ...], tuple[int, ...]]:
    """Say how a tensor of this shape is laid out as a matrix.

    A scalar is 1 × 1 and a vector one row, as it is used; from two dimensions on, a row is an element of the first
    dimension (an output unit of a linear or convolutional layer) and its columns are all the others, last fastest.

    Args:
        shape: The tensor's sizes.

    Returns:
        Rows, columns, the dimensions a row index runs over, the dimensions a column index runs over.

    Example:
        >>> matrix_shape((64, 3, 7, 7))
        (64, 147, (0,), (1, 2, 3))
        >>> matrix_shape((256,))
        (1, 256, (), (0,))
        >>> matrix_shape(())
        (1, 1, (), ())
    """
    if len(shape) < _SHORTEST_MATRIX:
        return 1, math.prod(shape), (), tuple(range(len(shape)))
    return shape[0], math.prod(shape[1:]), (0,), tuple(range(1, len(shape)))


class Matrix:
    """A plain strided tensor seen as `matrix_shape` says, any rectangle of it at hand without a copy of the rest.

    Args:
        data: A plain strided tensor.
    """

    def __init__(self, data: torch.Tensor) -> None:
        self.data = data
        self.n_rows, self.n_columns, row_axes, column_axes = matrix_shape(data.shape)
        self._row_stride = data.stride(0) if row_axes else 0
        self._columns = _merge_dimensions([(data.shape[axis], data.stride(axis)) for axis in column_axes])

    @property
    def is_column_major(self) -> bool:
        """Whether neighbours in memory are one above the other."""
        return len(self._columns) == 1 and 0 < self._row_stride < self._columns[0][1]

    def transposed(self) -> Matrix:
        """Return the same matrix with rows and columns swapped; its columns must be one run."""
        size, stride = self._columns[0]
        view = self.data.as_strided((size, self.n_rows), (stride, self._row_stride), self.data.storage_offset())
        return Matrix(view)

    def piece(self, row: int, column: int, rows: int, columns: int) -> torch.Tensor:
        """Return a rectangle, as a view where memory allows.

        Args:
            row: Its first row.
            column: Its first column.
            rows: How many rows.
            columns: How many columns.

        Returns:
            A tensor ``[rows, columns]`` of the tensor's own dtype.
        """
        start = self.data.storage_offset() + row * self._row_stride
        if len(self._columns) <= 1:
            stride = self._columns[0][1] if self._columns else 0
            return self.data.as_strided((rows, columns), (self._row_stride, stride), start + column * stride)
        if columns == self.n_columns:
            return self.data.narrow(0, row, rows).reshape(rows, columns)
        device = self.data.device
        places = torch.arange(column, column + columns, dtype=torch.int64, device=device)
        offsets = torch.zeros_like(places)
        reach = 1 + (rows - 1) * self._row_stride
        for size, stride in reversed(self._columns):
            offsets.add_(places.remainder(size), alpha=stride)
            places = places.div(size, rounding_mode="floor")
            reach += (size - 1) * stride
        down = torch.arange(rows, dtype=torch.int64, device=device) * self._row_stride
        return gather(self.data.as_strided((reach,), (1,), start), down[:, None] + offsets)


def _merge_dimensions(dimensions: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join neighbouring (size, stride) dimensions that are one run, in the order they have."""
    merged: list[tuple[int, int]] = []
    for size, stride in dimensions:
        if size == 1:
            continue
        if merged and merged[-1][1] == stride * size:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    return merged
