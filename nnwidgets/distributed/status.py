"""How a rank is, by what it answered, or didn't."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from nnwidgets.distributed.sources.source import Missing
from nnwidgets.formatting import inert
from nnwidgets.introspect.records import Record


@dataclass(frozen=True, slots=True)
class RankStatus(Record):
    """How a rank was when it was last asked.

    Attributes:
        rank: Which.
        host: Where it runs; ``""`` where it has never answered.
        state: ``"idle"`` it has nothing to do, ``"busy"`` it computes, ``"stuck"`` it has waited for a second or more
            in one call, such as a collective that another rank doesn't come to; ``"missing"`` it didn't answer,
            ``"dead"`` its process is gone. Without a side door a rank that answers is idle.
        since: On the clock of `time.monotonic`, since when that is so.
        doing: What is known of it: ``"in all_reduce at train.py:88"``, ``"hasn't answered for 5.0 s"``.
        answered: Whether it did, when it was last asked: a stuck rank can, at a side door.
        pid: The number of its process there; 0 where it has never answered.
    """

    rank: int
    host: str
    state: Literal["idle", "busy", "stuck", "missing", "dead"]
    since: float
    doing: str = ""
    answered: bool = True
    pid: int = 0


def status_of(rank: int, reply: Mapping[str, Any] | Missing, before: RankStatus | None, now: float) -> RankStatus:
    """How a rank is.

    Args:
        rank: Which.
        reply: What it said, or what stands for that.
        before: How it was.
        now: On the clock of `time.monotonic`, when it was asked.
    """
    pid = before.pid if before is not None else 0
    if isinstance(reply, Missing):
        host, where, doing = reply.host, reply.where, reply.why
        otherwise = "dead" if reply.is_dead else "missing"
    else:
        host = str(reply.get("host") or reply.get("body", {}).get("host", ""))
        pid = int(reply.get("body", {}).get("pid", pid))
        is_at_work = "at_work" in reply.get("body", {}).get("said", {})
        where, doing, otherwise = reply.get("where", {}), "", "busy" if is_at_work else "idle"
    status = RankStatus(
        rank,
        host or (before.host if before is not None else ""),
        where.get("state", otherwise),
        now - where.get("seconds", 0.0),
        inert(where.get("doing") or doing, 200),
        not isinstance(reply, Missing),
        pid,
    )
    if before is not None and before.state == status.state != "stuck":
        return replace(status, since=before.since)
    return status
