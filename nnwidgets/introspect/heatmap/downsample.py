"""Blocks of a matrix reduced to their element of largest magnitude, sign kept, a bounded piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from nnwidgets.introspect.heatmap.matrix_view import Matrix, matrix_shape
from nnwidgets.introspect.statistics.dtype_readers import quantized_codes, to_coordinates

Area = tuple[int, int, int, int]
"""First row, first column, rows, columns."""

_PIECE = 1_048_576
_LONG_RUN, _LANES = 256, 64
_NARROW_DTYPES = {torch.bfloat16, torch.float16, torch.bool, torch.uint8, torch.int8, torch.int16, torch.uint16}


def dense_cells(data: torch.Tensor, area: Area, steps: tuple[int, int], tick: Callable[[], None]) -> torch.Tensor:
    """Return the cells of an area of a plain strided tensor.

    Args:
        data: A plain strided tensor, quantized or not.
        area: First row, first column, rows and columns of the matrix.
        steps: Rows and columns per cell.
        tick: Called before each piece is read; raises to stop.

    Returns:
        A floating-point tensor on the CPU, ``[ceil(rows / row step), ceil(columns / column step)]``. NaN where a
        block holds one.
    """
    if data.is_quantized:
        return _cells(_quantized_reader(data), area, steps, tick)
    matrix = Matrix(data)
    if matrix.is_column_major:
        row, column, rows, columns = area
        swapped = _cells(_reader(matrix.transposed()), (column, row, columns, rows), (steps[1], steps[0]), tick)
        return swapped.t().contiguous()
    return _cells(_reader(matrix), area, steps, tick)


def sparse_cells(data: torch.Tensor, area: Area, steps: tuple[int, int], tick: Callable[[], None]) -> torch.Tensor:
    """Return the cells of an area of a plain sparse tensor, as `dense_cells` does, the implicit zeros among them."""
    if str(data.layout) == "torch._mkldnn":
        return dense_cells(data.to_dense(), area, steps, tick)
    stored = to_coordinates(data)
    row, column, rows, columns = area
    shape = (-(-rows // steps[0]), -(-columns // steps[1]))
    n_columns = matrix_shape(data.shape)[1]
    n_inner = stored.values().shape[1:].numel()
    values = _numbers(stored.values().reshape(-1))
    high = torch.zeros(shape[0] * shape[1], dtype=values.dtype, device=values.device)
    low = high.clone()
    linear = torch.zeros(stored.indices().shape[1], dtype=torch.int64, device=values.device)
    for axis, indices in enumerate(stored.indices()):
        linear = linear * data.shape[axis] + indices
    for start in range(0, values.numel(), _PIECE):
        tick()
        count = min(_PIECE, values.numel() - start)
        place = torch.arange(start, start + count, dtype=torch.int64, device=values.device)
        element = linear[place // n_inner] * n_inner + place % n_inner
        down, across = element // n_columns - row, element % n_columns - column
        inside = (down >= 0) & (down < rows) & (across >= 0) & (across < columns)
        cell = (down[inside] // steps[0]) * shape[1] + across[inside] // steps[1]
        piece = values[start : start + count][inside]
        high.scatter_reduce_(0, cell, piece, "amax")
        low.scatter_reduce_(0, cell, piece, "amin")
    return _larger(low, high).view(shape).cpu()


def _cells(
    read: Callable[[int, int, int, int], torch.Tensor], area: Area, steps: tuple[int, int], tick: Callable[[], None]
) -> torch.Tensor:
    row, column, rows, columns = area
    row_step, column_step = steps
    shape = (-(-rows // row_step), -(-columns // column_step))
    if rows == 0 or columns == 0:
        return torch.zeros(shape, dtype=torch.float32, device="cpu")
    low = high = None
    width = _span(columns, column_step, _PIECE)
    for across, n_across in _parts(columns, column_step, width):
        height = _span(rows, row_step, max(1, _PIECE // n_across))
        for down, n_down in _parts(rows, row_step, height):
            tick()
            piece = read(row + down, column + across, n_down, n_across)
            if low is None or high is None:
                low = torch.full(shape, torch.inf, dtype=piece.dtype, device=piece.device)
                high = torch.full_like(low, -torch.inf)
            here = (
                slice(down // row_step, (down + n_down - 1) // row_step + 1),
                slice(across // column_step, (across + n_across - 1) // column_step + 1),
            )
            least, most = _reduce_blocks(piece, steps, torch.amin), _reduce_blocks(piece, steps, torch.amax)
            low[here] = torch.minimum(low[here], least)
            high[here] = torch.maximum(high[here], most)
    assert low is not None and high is not None  # noqa: S101, PT018 - neither side is empty
    return _larger(low, high).cpu()


def _larger(low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    return torch.where(-low > high, low, high)


def _span(size: int, step: int, limit: int) -> int:
    """Return how much of ``size`` to read at once: whole steps if they fit in the limit, else a part of one."""
    return min(size, limit // step * step) if step <= limit else limit


def _parts(size: int, step: int, span: int) -> Iterator[tuple[int, int]]:
    """Cut ``range(size)`` into (start, count) of at most ``span`` that cross no step's end but by whole steps."""
    outer = max(span, step)
    for start in range(0, size, outer):
        end = min(start + outer, size)
        for first in range(start, end, span):
            yield first, min(span, end - first)


def _reduce_blocks(piece: torch.Tensor, steps: tuple[int, int], reduce: Callable[..., torch.Tensor]) -> torch.Tensor:
    row_step, column_step = steps
    if row_step > 1:
        piece = _reduce_rows(piece, row_step, lambda groups: reduce(groups, dim=1))
    if column_step > 1:
        piece = _reduce_rows(piece.t(), column_step, lambda groups: _along(groups, reduce)).t()
    return piece


def _reduce_rows(piece: torch.Tensor, step: int, reduce: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Reduce every ``step`` rows of ``piece`` to one, the last ones fewer."""
    whole = piece.shape[0] // step * step
    parts = []
    if whole:
        parts.append(reduce(torch.unflatten(piece[:whole], 0, (whole // step, step))))
    if whole < piece.shape[0]:
        parts.append(reduce(piece[whole:].unsqueeze(0)))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _along(groups: torch.Tensor, reduce: Callable[..., torch.Tensor]) -> torch.Tensor:
    """Reduce dimension 1 of ``[groups, step, rows]`` whose steps are neighbours in memory."""
    step = groups.shape[1]
    if step < _LONG_RUN:
        return reduce(groups, dim=1)
    # torch reduces a long contiguous run element by element; folded into lanes it takes many at once.
    whole = step // _LANES * _LANES
    found = reduce(reduce(torch.unflatten(groups[:, :whole], 1, (whole // _LANES, _LANES)), dim=1), dim=1)
    if whole == step:
        return found
    return reduce(torch.stack([found, reduce(groups[:, whole:], dim=1)]), dim=0)


def _reader(matrix: Matrix) -> Callable[[int, int, int, int], torch.Tensor]:
    return lambda *area: _numbers(matrix.piece(*area))


def _quantized_reader(data: torch.Tensor) -> Callable[[int, int, int, int], torch.Tensor]:
    codes = quantized_codes(data)
    if data.qscheme() in {torch.per_tensor_affine, torch.per_tensor_symmetric}:
        scale, zero = data.q_scale(), data.q_zero_point()
        matrix = Matrix(codes)
        return lambda *area: matrix.piece(*area).float().sub_(zero).mul_(scale)
    axis = data.q_per_channel_axis()
    shape = [-1 if dimension == axis else 1 for dimension in range(codes.dim())]
    scales = Matrix(data.q_per_channel_scales().float().view(shape).expand(codes.shape))
    zeros = Matrix(data.q_per_channel_zero_points().float().view(shape).expand(codes.shape))
    matrix = Matrix(codes)
    return lambda *area: matrix.piece(*area).float().sub_(zeros.piece(*area)).mul_(scales.piece(*area))


def _numbers(piece: torch.Tensor) -> torch.Tensor:
    """Return a piece as floating-point numbers that hold it well enough to draw, on a device that can compare them."""
    if piece.device.type not in {"cpu", "cuda"}:
        piece = piece.cpu()
    if piece.dtype.is_complex:
        return piece.to(torch.complex128).abs()
    if piece.dtype in {torch.float32, torch.float64}:
        return piece.resolve_neg()
    narrow = piece.dtype in _NARROW_DTYPES or piece.dtype.itemsize == 1
    return piece.to(torch.float32 if narrow else torch.float64)
