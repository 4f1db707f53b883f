"""Statistics of one tensor, exact or of a sample; of a module, a table of all its tensors'."""

from __future__ import annotations

from typing import Any, overload

import torch
from torch import nn

from nnwidgets.errors import InvalidTargetError, NNWidgetsError
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.safe_access.lookup import get
from nnwidgets.introspect.safe_access.objects import is_module, is_tensor
from nnwidgets.introspect.statistics.exact_stats import exact_stats
from nnwidgets.introspect.statistics.histogram import check_bins
from nnwidgets.introspect.statistics.sampling import sampled_stats
from nnwidgets.introspect.stats_table import Mark, StatsTable, Target, stats_table


@overload
def stats(tensor: torch.Tensor, *, bins: int = 64, exact: bool = True) -> TensorStats: ...
@overload
def stats(tensor: nn.Module, target: Target | None = None, *, since: Mark | None = None) -> StatsTable: ...
def stats(
    tensor: Any, target: Any = None, *, bins: int = 64, exact: bool = True, since: Mark | None = None
) -> TensorStats | StatsTable:
    """Describe a tensor's elements: range, mean, spread, norm, zeros, NaN, infinities and a histogram.

    Runs no code of a tensor subclass, tracks no gradient, draws no global random number, and talks to no other process:
    of a sharded tensor the part that is here is described, of a packed one its codes, and ``of`` says so; neither is
    exact. A complex tensor is described by its elements' magnitudes, which ``of`` says too, a quantized one of torch's
    by what its codes stand for, and a sparse one with its implicit zeros.

    Of a module it gives the same of every tensor, a row each, without histograms: a `StatsTable`.

    Args:
        tensor: Any tensor whose data can be read, of any shape, dtype, layout and device; or a module.
        target: Of a module, what to describe: a path, a glob, a class or ``Linear.weight``, a module or tensor of it,
            or a list of these; all of it where None. ``"0.weight.grad"`` is that gradient, as a tensor.
        bins: Of a tensor, the most bins the histogram may have, 1 to 4,096.
        exact: Of a tensor, read every element; else a sample of at most 65,536, and the result says so.
        since: Of a module, a mark that `snapshot` made: each row then says how far its tensor has moved.

    Returns:
        The statistics. ``std`` has Bessel's correction; ``hist_counts`` is what ``numpy.histogram`` gives of the
        float64 values for ``hist_edges``.

    Raises:
        InvalidTargetError: It isn't a tensor, its data can't be read, or ``bins`` is out of range. Of a module: the
            target is none.
        PathNotFoundError: The target names nothing.

    Example:
        >>> import torch
        >>> found = stats(torch.tensor([0.0, 1.0, 2.0, float("nan")]), bins=2)
        >>> found.n, found.mean, found.std, found.n_zero, found.n_nan
        (4, 1.0, 1.0, 1, 1)
        >>> found.hist_counts, found.hist_edges
        ((2, 1), (0.0, 2.0, 4.0))
        >>> [(row.path, row.shape) for row in stats(nn.Sequential(nn.Linear(2, 3)))]
        [('0.weight', (3, 2)), ('0.bias', (3,))]
    """
    if is_module(tensor):
        gradient = _gradient_at(tensor, target) if since is None else None
        if gradient is None:
            return stats_table(tensor, target, since=since)
        tensor, target = gradient, None
    if target is not None or since is not None:
        raise InvalidTargetError("A target and a mark are of a module.", hint="Such as stats(net, '0.weight').")
    check_bins(bins)
    return exact_stats(tensor, bins=bins) if exact else sampled_stats(tensor, bins=bins)


def _gradient_at(module: nn.Module, target: Any) -> Any:
    """The gradient that a path such as ``0.weight.grad`` names; None where it is another target."""
    of, dot, name = target.rpartition(".") if type(target) is str else ("", "", "")
    if not dot or name != "grad":
        return None
    try:
        tensor = get(module, of)
    except NNWidgetsError:
        return None
    return get(module, target) if is_tensor(tensor) else None
