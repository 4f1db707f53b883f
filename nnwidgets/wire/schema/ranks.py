"""The part of the wire's schema that speaks of models over several processes: `rank`."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from nnwidgets.wire.schema.changes import TargetBody
from nnwidgets.wire.schema.envelope import ModelBody

Ask = Literal[
    "here", "tree", "stats", "values", "check", "trace", "history", "initializers", "target", "plan", "diff", "save",
    "prepare", "renew", "commit", "release", "revoke", "call-off",
]  # fmt: skip


class RankTarget(TargetBody):
    """A target as a view over ranks has found it: its `paths`."""

    paths: list[str]


class RankBody(ModelBody):
    """What this process is asked of its model.

    ask: "tree" its structure, "stats" statistics of its share of each tensor at `paths`, "values" cells of the
        tensor at the first of them, "check" what it finds and fingerprints of its shares, "trace" one forward pass,
        begun when all ranks have come, "here" only whether it has the model, "history" what was done to it,
        "initializers" and "target" what can fill a target and which paths it means; "plan" and "diff" with a file;
        "save" its part, as all ranks do; "prepare" to make a change and set it aside, "renew" whether it has it still,
        "commit" to have it stay, "release" when all have, "revoke" to let it go.
    full: whether "tree" gives the tree itself, not its fingerprint alone: on rank 0, or on all.
    paths: the tensors that "stats" and "values" are of.
    bins: whether "stats" counts elements per bin too; it does unless told.
    window: for "values", `area`, first row, first column, rows and columns, and `steps`, rows and columns per cell.
    inputs: what "trace" gives to the forward: `nnwidgets.distributed.inputs` makes it.
    given: what "plan", "diff" and "save" are called with besides the model, made the same way.
    patience: seconds that "trace" and "save" wait for the other ranks.
    change: its `number`; for "prepare", the `function`, what it is `given` and the seconds `within` which the next
        question comes; for "commit", the seconds since "renew" `within` which it may come.
    long: of "prepare", "plan", "diff" and "save", which may take long and are asked again until all have answered:
        the question's `number`, and the `seconds` after which a rank that is at it still answers so, and how far it
        is; null: when it is done. "call-off" has the rank end what is under way of that number.
    """

    ask: Ask
    full: NotRequired[Literal["", "first", "all"]]
    paths: NotRequired[list[str]]
    bins: NotRequired[bool]
    window: NotRequired[dict[str, list[int]]]
    inputs: NotRequired[dict[str, Any]]
    given: NotRequired[dict[str, Any]]
    patience: NotRequired[float]
    change: NotRequired[dict[str, Any]]
    long: NotRequired[dict[str, Any]]
    target: NotRequired[RankTarget]


class RankReply(TypedDict):
    """What one rank says; `said` is for `nnwidgets` of the same `version` on the other side."""

    rank: int
    world_size: int
    host: str
    pid: int
    version: str
    said: dict[str, Any]
