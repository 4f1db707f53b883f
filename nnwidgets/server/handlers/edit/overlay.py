"""Two distributions laid over common bins: what `preview` and `init` show of each tensor, before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

from nnwidgets.introspect.records import TensorStats
from nnwidgets.wire.schema.changes import Overlay

_BINS = 64
_TAIL = 0.0025
_MARGIN = 0.08


def overlay(before: TensorStats, after: TensorStats) -> Overlay | None:
    """Lay two distributions over common bins, a power of two wide; thin tails of both are cut. None without numbers.

    Example:
        >>> import torch
        >>> from nnwidgets.introspect import stats
        >>> made = overlay(stats(torch.zeros(4)), stats(torch.tensor([-1.0, 1.0])))
        >>> sum(made["before"]), sum(made["after"]), made["edges"][0] <= -1, made["edges"][-1] > 1
        (1.0, 1.0, True, True)
    """
    ends = [_bulk(each) for each in (before, after) if sum(each.hist_counts)]
    low, high = min((low for low, _ in ends), default=0.0), max((high for _, high in ends), default=0.0)
    margin = (high - low) * _MARGIN or max(abs(low), 1.0) / _BINS
    width = 2.0 ** math.ceil(math.log2((high - low + 2 * margin) / _BINS))
    first, last = math.floor((low - margin) / width), math.ceil((high + margin) / width)
    if not ends or not math.isfinite(width) or not 0 < last - first <= 2 * _BINS:
        return None
    edges = [k * width for k in range(first, last + 1)]
    return {"edges": list(edges), "before": _shares(before, edges), "after": _shares(after, edges)}


def _bulk(found: TensorStats) -> tuple[float, float]:
    """Where all but the thin tails lie."""
    if found.min == found.max:
        return found.min, found.max
    counts, edges = found.hist_counts, found.hist_edges
    below = list(accumulate(counts))
    allowed = below[-1] * _TAIL
    first = next(k for k, n in enumerate(below) if n > allowed)
    last = next(k for k, n in enumerate(below) if n >= below[-1] - allowed)
    return max(edges[first], found.min), min(edges[last + 1], found.max)


def _shares(found: TensorStats, edges: Sequence[float]) -> list[float]:
    """How much of the values each bin has; a bin that is cut gives of its own in proportion."""
    n = sum(found.hist_counts)
    if not n:
        return [0.0] * (len(edges) - 1)
    if found.min == found.max:
        return [float(low <= found.min < high) for low, high in pairwise(edges)]
    up_to = [0, *accumulate(found.hist_counts)]
    own, at, made = found.hist_edges, 0, []
    for edge in edges:
        while at + 1 < len(own) and own[at + 1] <= edge:
            at += 1
        if edge <= own[0]:
            made.append(0.0)
        elif at + 1 >= len(own):
            made.append(float(n))
        else:
            made.append(up_to[at] + found.hist_counts[at] * (edge - own[at]) / (own[at + 1] - own[at]))
    return [(high - low) / n for low, high in pairwise(made)]
