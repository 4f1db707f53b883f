"""Answers to `depth`: the spread of the same tensor in each member of its fold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import inert
from nnwidgets.introspect.safe_access.lookup import Lookup
from nnwidgets.introspect.safe_access.tensors import unreadable_reason
from nnwidgets.introspect.statistics.sampling import sampled_stats
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.rows.row_body import own_name
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.inspect import DepthReply

_MAX_MEMBERS = 256


@handles("depth", long=True)
def answer_depth(session: Session, body: Mapping[str, Any], job: Job) -> DepthReply:
    """Give the standard deviation in each member, at most 256 of them.

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
    first = max(0, min(at - _MAX_MEMBERS // 2, len(members) - _MAX_MEMBERS))
    shown = members[first : first + _MAX_MEMBERS]
    below = path[len(index.nodes[member].path) :]
    paths = [index.nodes[each].path + below for each in shown]
    lookup = Lookup(session.module)
    spread = []
    for done, each in enumerate(paths, start=1):
        job.check()
        spread.append(_spread(lookup.get(each)))
        job.progress(done, len(shown))
    return {
        "name": inert(below.removeprefix(".")),
        "labels": [own_name(index, each) for each in shown],
        "paths": paths,
        "std": [std for std, _ in spread],
        "is_exact": all(is_exact for _, is_exact in spread),
        "index": at - first,
    }


def _spread(tensor: Any) -> tuple[float, bool]:
    if unreadable_reason(tensor) is not None:
        return math.nan, True
    found = sampled_stats(tensor, bins=1)
    return found.std, found.is_exact
