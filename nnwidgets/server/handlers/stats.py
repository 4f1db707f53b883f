"""Answers to `stats`: a tensor's statistics, sampled at once or exact with progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnwidgets.formatting import inert
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.safe_access.objects import no_torch_function
from nnwidgets.introspect.statistics.exact_stats import exact_stats, version
from nnwidgets.introspect.statistics.sampling import sampled_stats
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.notebook.ipykernel import is_cell_running
from nnwidgets.server.session.live_tensor import LiveTensor, live_tensor
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.inspect import Figures, StatsReply

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
    return stats_of(live, body.get("bins", _DEFAULT_BINS), job, exact=_is_exact(body))


def stats_of(live: LiveTensor, bins: int, job: Job, *, exact: bool) -> StatsReply:
    """Return the statistics of a live tensor; those of a sample unless ``exact``.

    Raises:
        RequestError: `unreadable`.
    """
    bins = min(max(bins, 1), _MAX_BINS)
    tensor = live.readable()
    with no_torch_function():
        n_total = tensor.numel()
    before = version(tensor)
    if exact:
        found = exact_stats(
            tensor, bins=bins, progress=job.progress, cancelled=lambda: job.cancelled, is_busy=is_cell_running
        )
    else:
        found = sampled_stats(tensor, bins=bins)
    return {
        **figures(found, n_total),
        "hist_counts": list(found.hist_counts),
        "hist_edges": list(found.hist_edges),
        "version": before,
    }


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
