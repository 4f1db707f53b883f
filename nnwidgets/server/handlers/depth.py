"""Answers to `depth`: the spread of the same tensor in each member of its fold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import inert
from nnwidgets.introspect.safe_access.lookup import Lookup
from nnwidgets.introspect.safe_access.tensors import unreadable_reason
from nnwidgets.introspect.statistics.sampling import sampled_stats
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.rows.row_body import run_label
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.inspect import DepthReply

_MAX_BARS = 128
_MAX_READ = 4_096


@handles("depth", long=True)
def answer_depth(session: Session, body: Mapping[str, Any], job: Job) -> DepthReply:
    """Give the standard deviation in each member, or of several in a row the greatest and the least.

    Raises:
        InvalidTargetError: The path is not a tensor inside a fold.
    """
    index, path = session.index(), body["path"]
    found = index.fold_around(index.place(path).row)
    if path not in index.tensor_at or found is None:
        raise InvalidTargetError(
            f"{inert(path)!r} is not a tensor of repeated blocks.", path=path, hint="Pick a tensor inside a fold."
        )
    member, members = found
    at = members.index(member)
    below = path[len(index.nodes[member].path) :]
    per_bar = -(-len(members) // _MAX_BARS)
    bars = [members[first : first + per_bar] for first in range(0, len(members), per_bar)]
    # Of bars of very many members some are read, evenly among them; the one asked about is.
    step = -(-len(members) // _MAX_READ)
    read = [[each for each in bar[::step] if each != member] + [member] * (member in bar) for bar in bars]
    n_read = sum(map(len, read))
    lookup = Lookup(session.module)
    spread, done = [], 0
    for bar in read:
        found_here = []
        for each in bar:
            job.check()
            found_here.append(_spread(lookup.get(index.nodes[each].path + below)))
            done += 1
            job.progress(done, n_read)
        spread.append(found_here)
    return {
        "name": inert(below.removeprefix(".")),
        "labels": [run_label(index, bar) for bar in bars],
        "paths": [index.nodes[bar[0]].path + below for bar in bars],
        "std": [_extreme(max, here) for here in spread],
        "least": [_extreme(min, here) for here in spread],
        "is_exact": all(is_exact for here in spread for _, is_exact in here),
        "index": at // per_bar,
        "per_bar": per_bar,
        "n_members": len(members),
        "n_read": n_read,
    }


def _extreme(which: Callable[[list[float]], float], spread: list[tuple[float, bool]]) -> float:
    """The greatest or the least; NaN where one is no finite number, so that it shows."""
    values = [std for std, _ in spread]
    return which(values) if all(map(math.isfinite, values)) else math.nan


def _spread(tensor: Any) -> tuple[float, bool]:
    if unreadable_reason(tensor) is not None:
        return math.nan, True
    found = sampled_stats(tensor, bins=1)
    return found.std, found.is_exact
