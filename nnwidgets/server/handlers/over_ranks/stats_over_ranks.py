"""Answers to `stats` of a model over ranks: those of the whole tensor, and a line for each rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnwidgets.distributed.ranks import RankedTensor
from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect.records import RankStats, TensorStats
from nnwidgets.server.handlers.over_ranks.asked import path_in_question, session_over_ranks
from nnwidgets.server.handlers.registry import handles_over_ranks
from nnwidgets.server.handlers.stats import figures
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.errors import RequestError
from nnwidgets.wire.schema.inspect import RankFigures, StatsReply


@handles_over_ranks("stats")
def answer_stats_over_ranks(session: Session, body: Mapping[str, Any], _job: Job) -> StatsReply:
    """Describe a tensor, or its gradient, by what all ranks hold of it.

    Raises:
        PathNotFoundError: Nothing is at the path.
        RequestError: `unreadable`: no rank that answered can read it; `invalid-target`: it is a module.
        RankMissingError: No rank answered.
    """
    entry, path = path_in_question(session, body)

    def ask(model: Any) -> TensorStats:
        found: TensorStats = RankedTensor(model, path).answer("stats", (), {})
        return found

    ranked = session_over_ranks(session)
    try:
        found = ranked.ask(ask)
    except InvalidTargetError as error:
        raise RequestError("unreadable", error.message, path=path, hint=error.hint) from None
    return {
        **figures(found, entry.n_elements),  # type: ignore[typeddict-item] # the rest is not among the figures
        "hist_counts": list(found.hist_counts),
        "hist_edges": list(found.hist_edges),
        "by_rank": list(map(_line, found.by_rank)),
        "missing": [status.rank for status in ranked.statuses if not status.answered],
        "version": None,
    }


def _line(held: RankStats) -> RankFigures:
    return {
        "rank": held.rank,
        "part": list(held.part),
        "n": held.n,
        "min": held.min,
        "mean": held.mean,
        "max": held.max,
        "norm": held.norm,
        "n_nan": held.n_nan,
        "n_inf": held.n_inf,
    }
