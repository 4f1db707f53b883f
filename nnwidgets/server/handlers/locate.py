"""Which rows to open so that a path has a row of its own."""

from __future__ import annotations

from dataclasses import replace

from nnwidgets.errors import PathNotFoundError
from nnwidgets.server.rows.flatten import ViewState, default_opening, fold_id
from nnwidgets.server.rows.tree_index import TreeIndex
from nnwidgets.server.session.session import Session
from nnwidgets.wire.schema.tree import LocateReply


def locate(session: Session, path: str, state: ViewState) -> LocateReply:
    """Answer `locate`: open what hides ``path``, pick the fold members on the way, and say where its row is.

    Raises:
        PathNotFoundError: Nothing is there, or the filter hides it.
    """
    index = session.index()
    number = place_of(index, path)
    expanded = set(default_opening(index) if state.expanded is None else state.expanded)
    picked = dict(state.picked)
    wanted = f"t:{path}" if path in index.tensor_at else f"m:{index.nodes[number].path}"
    up = number
    if path in index.tensor_at:
        expanded.add(f"m:{index.nodes[number].path}")
    while up > 0:
        parent = index.parent[up]
        run = index.run_of(up)
        if run is not None and up == run.container:
            wanted = fold_id(index, run) if up == number and path not in index.tensor_at else wanted
        elif run is not None:
            expanded.add(fold_id(index, run))
            if fold_id(index, run) not in state.unfolded:
                picked[fold_id(index, run)] = index.member_index(run, up)
        if run is None or run.container != parent:
            expanded.add(f"m:{index.nodes[parent].path}")
        up = parent
    asked = replace(state, expanded=frozenset(expanded), picked=picked)
    flat = session.flat(asked)
    if wanted not in flat.place:
        raise PathNotFoundError(f"{path!r} is not among the rows shown.", path=path, hint="Clear the filter to see it.")
    return {"index": flat.place[wanted], "id": wanted, "expanded": sorted(flat.expanded), "picked": picked}


def place_of(index: TreeIndex, path: str) -> int:
    """Return the number of the row of modules that stands for ``path``: see `Index.resolve`.

    Raises:
        PathNotFoundError: Nothing is there; the closest paths are named.
    """
    found = index.resolve(path)
    if found is None:
        raise PathNotFoundError.among(path, [*index.number, *index.tensor_at])
    return found[1]


def siblings_of(index: TreeIndex, number: int) -> tuple[int, list[int]] | None:
    """Return the fold member above node ``number`` and all members of its fold; the innermost one, or None."""
    up = number
    while up > 0:
        run = index.run_of(up)
        if run is not None and up != run.container:
            return up, list(run.members)
        up = index.parent[up]
    return None
