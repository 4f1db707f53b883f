"""Answers to `locate`: which rows to open so that a path has a row of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nnwidgets.errors import PathNotFoundError
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.rows.flatten import ViewState, default_opening, fold_id
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.tree import LocateReply


@handles("locate", over_ranks=True)
def answer_locate(session: Session, body: Mapping[str, Any], _job: Job) -> LocateReply:
    """Open what hides a path, pick the fold members on the way, and say where its row is.

    Raises:
        PathNotFoundError: Nothing is there, or the filter hides it.
    """
    index, path, state = session.index(), body["path"], ViewState.of(body)
    number = index.place(path).row
    is_tensor = path in index.tensor_at
    expanded = set(default_opening(index) if state.expanded is None else state.expanded)
    picked = dict(state.picked)
    wanted = f"t:{path}" if is_tensor else f"m:{index.nodes[number].path}"
    up = number
    if is_tensor:
        expanded.add(f"m:{index.nodes[number].path}")
    while up > 0:
        parent = index.parent[up]
        run = index.run_of(up)
        if run is not None and up == run.container:
            wanted = fold_id(index, run) if up == number and not is_tensor else wanted
        elif run is not None:
            expanded.add(fold_id(index, run))
            if fold_id(index, run) not in state.unfolded:
                picked[fold_id(index, run)] = index.member_index(run, up)
        if run is None or run.container != parent:
            expanded.add(f"m:{index.nodes[parent].path}")
        up = parent
    flat = session.flat(replace(state, expanded=frozenset(expanded), picked=picked))
    if wanted not in flat.position:
        raise PathNotFoundError(f"{path!r} is not among the rows shown.", path=path, hint="Clear the filter to see it.")
    return {"index": flat.position[wanted], "id": wanted, "expanded": sorted(flat.expanded), "picked": picked}
