"""Answers to `stats`: a tensor's statistics, sampled at once or exact with progress."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nnwidgets.formatting import inert
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.safe_access.holders import part_here
from nnwidgets.introspect.safe_access.objects import no_torch_function
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch
from nnwidgets.introspect.statistics.exact_stats import exact_stats, version
from nnwidgets.introspect.statistics.sampling import sample, sampled_stats
from nnwidgets.introspect.statistics.stats import stats
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.notebook.ipykernel import is_cell_running
from nnwidgets.server.session.live_tensor import LiveTensor, live_tensor
from nnwidgets.server.session.session import Session
from nnwidgets.server.session.stats_cache import Moment
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.inspect import Bulk, Figures, StatsReply

_DEFAULT_BINS = 64
_MAX_BINS = 1_024


def _is_exact(body: Mapping[str, Any]) -> bool:
    return bool(body.get("exact", True))


@handles("stats", patient=_is_exact)  # the page shows the exact ones last: it has those of a sample already
def answer_stats(session: Session, body: Mapping[str, Any], job: Job) -> StatsReply:
    """Describe a tensor or its gradient.

    Raises:
        RequestError: `unreadable`.
    """
    live = live_tensor(session, body["path"]).part(body.get("of", "value"))
    return stats_of(live, body.get("bins", _DEFAULT_BINS), job, exact=_is_exact(body), session=session)


def stats_of(live: LiveTensor, bins: int, job: Job, *, exact: bool, session: Session | None = None) -> StatsReply:
    """Return the statistics of a live tensor; those of a sample unless ``exact``.

    Args:
        live: The tensor.
        bins: Of the histogram.
        job: Told of progress, and asked whether to stop.
        exact: Whether all elements are to be read.
        session: Whose exact statistics may be those measured before, where nothing changed since.

    Raises:
        RequestError: `unreadable`.
    """
    bins = min(max(bins, 1), _MAX_BINS)
    tensor = live.readable()
    with no_torch_function():
        n_total = tensor.numel()
    before = version(tensor)
    found = _exact(live, bins, job, session) if exact else sampled_stats(tensor, bins=bins)
    made: StatsReply = {
        **figures(found, n_total),  # type: ignore[typeddict-item] # no bulk is among the figures
        "hist_counts": list(found.hist_counts),
        "hist_edges": list(found.hist_edges),
        "version": before,
    }
    bulk = _bulk_of(tensor, found, bins)
    if bulk is not None:
        made["bulk"] = bulk
    return made


def _exact(live: LiveTensor, bins: int, job: Job, session: Session | None) -> TensorStats:
    tensor, key = live.tensor, (live.path, live.of, bins)
    moment = None
    if session is not None and session.hears_of_cells:
        moment = Moment(version(tensor), session.n_changes, sampled_stats(tensor, bins=bins))
        known = session.stats_cache.find(key, tensor, moment)
        if known is not None:
            return known
    found = exact_stats(
        tensor, bins=bins, progress=job.progress, cancelled=lambda: job.cancelled, is_busy=is_cell_running
    )
    if session is not None and moment is not None:
        session.stats_cache.keep(key, tensor, moment, found)
    return found


def figures(found: TensorStats, n_total: int) -> Figures:
    """Return statistics for the page, all but the histogram."""
    made: Figures = {
        "n": found.n,
        "n_total": n_total,
        "mean": found.mean,
        "std": found.std,
        "min": found.min,
        "max": found.max,
        "norm": found.norm,
        "n_zero": found.n_zero,
        "n_nan": found.n_nan,
        "n_inf": found.n_inf,
        "is_exact": found.is_exact,
    }
    if found.of not in {"all", "magnitudes"}:  # the page knows complex tensors
        made["of"] = inert(found.of, _MOST_TEXT)
    return made


_MOST_TEXT = 120


_FEWEST_BINS = 8
_NARROW = 8
_LEFT_OUT = 400
_MARGIN = 0.15


def _bulk_of(tensor: Any, found: TensorStats, bins: int) -> Bulk | None:
    """Return a histogram of the range that nearly all lie in, where it is a small part of the whole range.

    Left out at each end is one value in four hundred, and at least one.
    """
    counts, width = found.hist_counts, found.max - found.min
    if bins < _FEWEST_BINS or not math.isfinite(width) or sum(map(bool, counts)) > len(counts) // _NARROW:
        return None
    data = as_plain_tensor(part_here(tensor))
    with plain_torch():
        values = sample(data)
        values = (values.abs() if values.is_complex() else values).double()
        values = values[values.isfinite()].sort().values
        n = values.numel()
        cut = max(1, n // _LEFT_OUT)
        if n <= 4 * cut:
            return None
        low, high = values[cut].item(), values[n - 1 - cut].item()
        margin = _MARGIN * (high - low)
        inside = values[(values >= low - margin) & (values <= high + margin)]
    if not 0 < high - low < width / _NARROW:
        return None
    shown = stats(inside, bins=bins)
    return {
        "hist_counts": list(shown.hist_counts),
        "hist_edges": list(shown.hist_edges),
        "outside": 1 - inside.numel() / n,
    }
