"""Statistics of one tensor: exact in one pass over cache-sized blocks, or at once from a sample."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from nnwidgets.errors import NNWidgetsError
from nnwidgets.formatting import counted
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.safe_access.holders import part_here
from nnwidgets.introspect.safe_access.objects import no_torch_function
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch, torch_attribute
from nnwidgets.introspect.statistics.accumulator import Accumulator
from nnwidgets.introspect.statistics.dtype_readers import feed
from nnwidgets.introspect.statistics.histogram import check_bins
from nnwidgets.introspect.statistics.sampling import as_of, sampled_stats
from nnwidgets.introspect.statistics.threads import single_thread

_SECONDS_BETWEEN_REPORTS = 0.05


class CancelledError(NNWidgetsError):
    """Reading was stopped because the caller asked for it."""

    code = "cancelled"


def stats(tensor: torch.Tensor, *, bins: int = 64, exact: bool = True) -> TensorStats:
    """Describe a tensor's elements: range, mean, spread, norm, zeros, NaN, infinities and a histogram.

    Runs no code of a tensor subclass, tracks no gradient, draws no global random number, and talks to no other process:
    of a sharded tensor the part that is here is described, of a packed one its codes, and ``of`` says so; neither is
    exact. A complex tensor is described by its elements' magnitudes, which ``of`` says too, a quantized one of torch's
    by what its codes stand for, and a sparse one with its implicit zeros.

    Args:
        tensor: Any tensor whose data can be read, of any shape, dtype, layout and device.
        bins: The most bins the histogram may have, 1 to 4,096.
        exact: Read every element; else a sample of at most 65,536, and the result says so.

    Returns:
        The statistics. ``std`` has Bessel's correction; ``hist_counts`` is what ``numpy.histogram`` gives of the
        float64 values for ``hist_edges``.

    Raises:
        InvalidTargetError: It isn't a tensor, its data can't be read, or ``bins`` is out of range.

    Example:
        >>> import torch
        >>> found = stats(torch.tensor([0.0, 1.0, 2.0, float("nan")]), bins=2)
        >>> found.n, found.mean, found.std, found.n_zero, found.n_nan
        (4, 1.0, 1.0, 1, 1)
        >>> found.hist_counts, found.hist_edges
        ((2, 1), (0.0, 2.0, 4.0))
    """
    found = exact_stats(tensor, bins=bins) if exact else sampled_stats(tensor, bins=bins)
    with no_torch_function():
        is_complex = torch_attribute(tensor, "dtype").is_complex
    if not is_complex:
        return found
    return replace(found, of="magnitudes" if found.of == "all" else f"magnitudes; {found.of}")


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
        bins: As for `stats`.
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
    bins = check_bins(bins)
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
        return None if torch_attribute(tensor, "is_inference")() else int(torch_attribute(tensor, "_version"))
