"""Exact statistics: of one tensor in one pass over cache-sized blocks, of many small ones together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from nnwidgets.errors import NNWidgetsError
from nnwidgets.formatting import counted
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.safe_access.holders import part_here
from nnwidgets.introspect.safe_access.objects import is_tensor, no_torch_function
from nnwidgets.introspect.safe_access.own_values import VERSIONS
from nnwidgets.introspect.safe_access.tensors import (
    as_plain_tensor,
    plain_runs,
    plain_torch,
    torch_attribute,
    unreadable_reason,
)
from nnwidgets.introspect.statistics.accumulator import Accumulator
from nnwidgets.introspect.statistics.dtype_readers import feed
from nnwidgets.introspect.statistics.sampling import as_of
from nnwidgets.introspect.statistics.threads import single_thread

_SECONDS_BETWEEN_REPORTS = 0.05


class CancelledError(NNWidgetsError):
    """Reading was stopped because the caller asked for it."""

    code = "cancelled"


def exact_stats(
    tensor: torch.Tensor,
    *,
    bins: int = 64,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    is_busy: Callable[[], bool] = lambda: False,
) -> TensorStats:
    """Describe every element, saying how far it is and stopping when asked.

    The elements are read while others may write them; what is read is then neither the old nor the new tensor, but
    nothing worse happens. `version` before and after tells.

    Args:
        tensor: As for `stats`.
        bins: As for `stats`; 0 for no histogram, which takes half the time.
        progress: Called with elements done and elements in all, at most every 50 ms, and once at the end.
        cancelled: Asked after each block; True stops.
        is_busy: Asked before each block; while True, the cores are left to others and one thread reads.

    Raises:
        InvalidTargetError: As for `stats`.
        CancelledError: ``cancelled`` said so.

    Example:
        >>> import torch
        >>> exact_stats(torch.ones(3), progress=lambda done, total: print(done, "of", total)).norm
        3 of 3
        1.7320508075688772
    """
    data = as_plain_tensor(part_here(tensor))
    total = data.numel()
    done, due = 0, time.monotonic() + _SECONDS_BETWEEN_REPORTS

    def tick(n: int) -> None:
        nonlocal done, due
        done += n
        if cancelled is not None and cancelled():
            raise CancelledError(f"Stopped after {done} of {counted(total, 'element')}.")
        if progress is not None and done < total and time.monotonic() >= due:
            progress(done, total)
            due = time.monotonic() + _SECONDS_BETWEEN_REPORTS
        choose_threads()

    accumulator = Accumulator(bins)
    with plain_torch(), single_thread(is_busy) as choose_threads:
        repeats = feed(data, accumulator, tick)
        found = accumulator.result(repeats=repeats)
    if progress is not None:
        progress(total, total)
    return as_of(found, tensor)


SMALL = 4_096
"""Elements of a tensor that is measured together with others of its shape."""

_ROWS_BYTES = 2**21
_SHORT = {torch.float32, torch.float16, torch.bfloat16, torch.int8, torch.uint8, torch.int16, torch.int32, torch.bool}
"""Dtypes whose squares float64 holds with room to spare."""


def each_stats(
    tensors: Sequence[Any],
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    is_busy: Callable[[], bool] = lambda: False,
) -> list[TensorStats | None]:
    """Describe many tensors, without histograms; None for one whose data can't be read.

    Small ones are measured together: one by one, ten thousand of ten elements would take seconds.

    Args:
        tensors: Any objects.
        progress: As for `exact_stats`, of all elements.
        cancelled: As for `exact_stats`.
        is_busy: As for `exact_stats`.

    Raises:
        CancelledError: ``cancelled`` said so.

    Example:
        >>> import torch
        >>> [found and found.mean for found in each_stats([torch.ones(2), torch.ones(2, device="meta")])]
        [1.0, None]
    """
    plain = _plain_each(tensors)
    made: list[TensorStats | None] = [None] * len(tensors)
    sizes = [_n_elements(tensor) for tensor in tensors]
    done, total = 0, sum(sizes)
    with plain_torch(), single_thread(is_busy) as choose_threads:
        for indices in _alike(plain):
            choose_threads()
            found = _rows_stats([plain[index] for index in indices])
            for index, each in zip(indices, found, strict=True):
                made[index] = each
            done += sum(sizes[index] for index in indices)
            if cancelled is not None and cancelled():
                raise CancelledError(f"Stopped after {done} of {counted(total, 'element')}.")

    def report(n: int, _total: int) -> None:
        if progress is not None:
            progress(done + n, total)

    for index, tensor in enumerate(tensors):
        if made[index] is None and (plain[index] is not None or unreadable_reason(tensor) is None):
            made[index] = exact_stats(tensor, bins=0, progress=report, cancelled=cancelled, is_busy=is_busy)
            done += sizes[index]
    return made


def _plain_each(tensors: Sequence[Any]) -> list[torch.Tensor | None]:
    """The data of those that are one run of memory."""
    found = plain_runs(tensors)
    if found is not None:
        return list(found)
    each = (plain_runs((tensor,)) for tensor in tensors)
    return [None if one is None else one[0] for one in each]


def _n_elements(tensor: Any) -> int:
    with no_torch_function():
        return int(torch_attribute(tensor, "numel")()) if is_tensor(tensor) else 0


def _alike(plain: Sequence[torch.Tensor | None]) -> Iterator[list[int]]:
    """Indices of small tensors of one size and dtype, as many as are measured at once."""
    groups: dict[tuple[torch.dtype, int], list[int]] = {}
    for index, data in enumerate(plain):
        if data is not None and data.dtype in _SHORT and 0 < data.numel() <= SMALL:
            groups.setdefault((data.dtype, data.numel()), []).append(index)
    for (_, n), indices in groups.items():
        step = max(1, _ROWS_BYTES // (8 * n))
        yield from (indices[start : start + step] for start in range(0, len(indices), step))


def _rows_stats(alike: Sequence[Any]) -> list[TensorStats | None]:
    """Statistics of tensors of one size; None for one with NaN or infinities."""
    rows = torch.stack([data.view(-1) for data in alike]).to(torch.float64)
    n = rows.shape[1]
    lows, highs = torch.aminmax(rows, dim=1)
    means = rows.mean(1)
    about = (rows - means[:, None]).square_().sum(1)
    stds = about.div_(n - 1).sqrt_() if n > 1 else torch.full_like(means, math.nan)
    n_zero = n - rows.count_nonzero(1)
    norms = rows.square_().sum(1).sqrt_()
    each = (column.tolist() for column in (lows, highs, means, stds, norms, n_zero))
    return [
        TensorStats(
            n=n, mean=min(max(mean, low), high), std=std if low < high else 0.0 if n > 1 else math.nan,
            min=low, max=high, norm=norm, n_zero=zeros, n_nan=0, n_inf=0, hist_counts=(), hist_edges=(), is_exact=True,
        )
        if math.isfinite(low) and math.isfinite(high) else None
        for low, high, mean, std, norm, zeros in zip(*each, strict=True)
    ]  # fmt: skip


def version(tensor: torch.Tensor) -> int | None:
    """Return a tensor's version counter, which in-place changes raise; None where it keeps none.

    Example:
        >>> import torch
        >>> x = torch.zeros(2)
        >>> before = version(x)
        >>> version(x.add_(1)) == before
        False
    """
    with no_torch_function():
        if torch_attribute(tensor, "is_inference")():
            return None
        return int(VERSIONS.read_one(tensor, lambda: torch_attribute(tensor, "_version")))
