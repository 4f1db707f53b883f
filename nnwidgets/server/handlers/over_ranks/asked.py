"""Whom a request about a model over ranks asks, and of which tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from nnwidgets.introspect.records import TensorEntry
from nnwidgets.server.session.live_tensor import not_a_tensor
from nnwidgets.server.session.ranked_session import RankedSession
from nnwidgets.server.session.session import Session


def session_over_ranks(session: Session) -> RankedSession:
    """The session that a request which asks the ranks came to."""
    return cast("RankedSession", session)


def path_in_question(session: Session, body: Mapping[str, Any]) -> tuple[TensorEntry, str]:
    """The tensor at a request's path, and what the ranks know it, or its gradient, by.

    Raises:
        PathNotFoundError: Nothing is there.
        InvalidTargetError: A module is.
    """
    index, path = session.index(), body["path"]
    place = index.place(path)
    if place.entry is None:
        raise not_a_tensor(index, path, place.row)
    return place.entry, f"{path}.grad" if body.get("of") == "grad" else path
