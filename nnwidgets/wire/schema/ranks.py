"""The part of the wire's schema that speaks of models over several processes: `rank`."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from nnwidgets.wire.schema.envelope import ModelBody

Ask = Literal["tree", "stats", "check"]


class RankBody(ModelBody):
    """What this process is asked of its model.

    ask: "tree" its structure, "stats" statistics of its share of each tensor at `paths`, "check" what it finds and
        fingerprints of its shares.
    full: whether "tree" gives the tree itself, not its fingerprint alone.
    paths: the tensors that "stats" is of.
    """

    ask: Ask
    full: NotRequired[bool]
    paths: NotRequired[list[str]]


class RankReply(TypedDict):
    """What one rank says; `said` is for `nnwidgets` of the same `version` on the other side."""

    rank: int
    world_size: int
    host: str
    pid: int
    version: str
    said: dict[str, Any]
