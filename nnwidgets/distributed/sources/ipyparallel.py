"""ipyparallel's engines, asked from the notebook's kernel by a Client or a view of it."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from nnwidgets.distributed.serving.door import LOOKS, handled, open_shared
from nnwidgets.distributed.sources.side_door import DoorSource, Way
from nnwidgets.distributed.sources.source import Answers, Missing

_PAUSE = 0.001
_DEAD = Missing("is gone: its engine has ended", is_dead=True)
_ELSEWHERE = (
    ": on another host than this notebook, it answers between its cells only (with nnw.ranks().serve(host=…) in them, "
    "nnw.ranks(address, token=…) asks it beside them)"
)


def is_ipyparallel(source: object) -> bool:
    """Whether it is a Client or a view of ipyparallel's; nothing is imported to find out."""
    return any(kind.__module__.startswith("ipyparallel.client") for kind in type(source).__mro__)


class EngineSource:
    """Engines, one rank each.

    ipyparallel answers only between tasks. So each engine of this machine opens a side door as soon as it has time, and
    tells where over ipyparallel's own signed channel; from then on it is asked there.

    Args:
        source: A Client, for all its engines, or a DirectView of some.
    """

    def __init__(self, source: Any) -> None:
        self._view = source if hasattr(source, "targets") else source[:]
        self._opening: dict[int, Any] = {}
        self._doors: dict[int, Way | None] = {}
        self._elsewhere: dict[int, str] = {}
        self._ranks: dict[int, int] = {}
        self._under_way: dict[int, tuple[str, Any]] = {}
        self._open(self._engines())

    def call(self, request: Mapping[str, Any], ranks: None, deadline: float) -> Answers:  # noqa: ARG002 - all
        """Ask every engine at once; one that has no door answers when its cell ends, or is missing at the deadline."""
        client, engines, began = self._view.client, self._engines(), time.monotonic()
        gone = {engine for engine in engines if engine not in client.ids}
        self._open(engine for engine in engines if engine not in gone)
        self._learn()
        answers: dict[int, Mapping[str, Any] | Missing] = {}
        # What isn't only looked at is for the engine's own thread.
        known = self._doors if request["body"]["ask"] in LOOKS else dict.fromkeys(engines)
        doors = {engine: way for engine in engines if engine not in gone and (way := known.get(engine))}
        beside = threading.Thread(
            target=lambda: answers.update(DoorSource(doors).call(request, None, deadline)), name="nnwidgets-ask"
        )
        beside.start()
        left = {engine for engine in engines if engine not in gone and engine not in doors}
        asked: dict[int, Any] = {}
        may_shorten = "patience" in request["body"]
        while left and time.monotonic() < deadline:
            self._learn()
            for engine in left & known.keys():
                way = known[engine]
                if way is not None:  # it has just had time for that
                    answers.update(DoorSource({engine: way}).call(request, None, deadline))
                elif engine not in asked:
                    asked[engine] = self._asked(engine, request)
                elif asked[engine] is None:
                    answers[engine] = _DEAD
                elif asked[engine].ready():
                    self._under_way.pop(engine, None)
                    answers[engine] = _taken(asked[engine])
            left -= answers.keys()
            if may_shorten and any(_has_failed(answer) for answer in answers.values()):
                may_shorten, deadline = False, min(deadline, time.monotonic() + request["body"]["patience"])
            time.sleep(_PAUSE)
        beside.join()
        answers |= dict.fromkeys(gone, _DEAD)
        answers |= self._late([engine for engine in engines if engine not in answers], began)
        found = {engine: answers[engine] for engine in engines}
        self._ranks = _ranks_of(found)
        return {self._ranks[engine]: found[engine] for engine in sorted(found, key=self._ranks.__getitem__)}

    def _asked(self, engine: int, request: Mapping[str, Any]) -> Any:
        """What will have an engine's answer, to what it was asked before and is at still too."""
        long = request["body"].get("long")
        if long is None:
            return _sent(self._view.client, engine, handled, dict(request))
        number, result = self._under_way.pop(engine, ("", None))
        if number != long["number"]:
            # One that tells at its door how far it is needn't answer before it is done.
            told = dict(long, seconds=None) if self._doors.get(engine) else long
            asked = {**request, "body": {**request["body"], "long": told}}
            result = _sent(self._view.client, engine, handled, asked)
        self._under_way[engine] = long["number"], result
        return result

    def _late(self, engines: list[int], began: float) -> dict[int, Missing]:
        """What stands for the answers of some that are silent, with what they do, where they have a door to tell it."""
        ways = {engine: way for engine in engines if (way := self._doors.get(engine))}
        where = DoorSource(ways).where(ways)
        found = {}
        for engine in engines:
            said = where.get(engine, {})
            late = Missing.late(began, said.get("host", self._elsewhere.get(engine, "")), said.get("where"))
            found[engine] = replace(late, why=late.why + _ELSEWHERE) if engine in self._elsewhere else late
        return found

    def settled(self) -> Answers:
        """How each rank that was asked, and has a door, is at this moment."""
        doors = {self._ranks[engine]: way for engine, way in self._doors.items() if way and engine in self._ranks}
        return DoorSource(doors).settled()

    def _open(self, engines: Iterable[int]) -> None:
        for engine in engines:
            opening = None if engine in self._opening else _sent(self._view.client, engine, open_shared)
            if opening is not None:
                self._opening[engine] = opening

    def _learn(self) -> None:
        for engine, opening in self._opening.items():
            if engine not in self._doors and opening.ready():
                try:
                    host, address, token = opening.get(0)
                except Exception:  # noqa: BLE001 - whatever the engine raises, it is asked as it was before it had doors
                    self._doors[engine] = None
                else:
                    self._doors[engine] = Way((address[0], address[1]), token) if host == platform.node() else None
                    if self._doors[engine] is None:
                        self._elsewhere[engine] = host

    def _engines(self) -> list[int]:
        targets = self._view.targets
        if targets is None or targets == "all":
            return list(self._view.client.ids)
        return [targets] if isinstance(targets, int) else list(targets)


def _sent(client: Any, engine: int, function: Any, *args: Any) -> Any:
    """What will have an engine's answer; None where the engine has just ended, which its client hears between."""
    try:
        return client[engine].apply_async(function, *args)
    except Exception:
        if engine in client.ids:
            raise
        return None


def _has_failed(answer: Mapping[str, Any] | Missing) -> bool:
    """Whether what all do together was refused, or raised: others may wait for this rank as long as they ever do."""
    if isinstance(answer, Missing):
        return False
    said = answer.get("body", {}).get("said", {})
    return not answer.get("ok") or ("calls" in said and said["error"] is not None)


def _taken(result: Any) -> Mapping[str, Any] | Missing:
    try:
        return dict(result.get(0))
    except Exception as error:  # noqa: BLE001 - whatever the engine or the way to it raises is told
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "died" in why:
            return _DEAD
        return Missing(f"gave no answer: {why}")


def _ranks_of(found: Mapping[int, Mapping[str, Any] | Missing]) -> dict[int, int]:
    """The ranks that engines say they are; their places among the engines where there is no process group."""
    places = {engine: place for place, engine in enumerate(found)}
    said = {
        engine: int(reply["body"]["rank"])
        for engine, reply in found.items()
        if not isinstance(reply, Missing) and reply.get("ok") and reply["body"]["world_size"] > 1
    }
    free = [place for place in places.values() if place not in said.values()]
    return {engine: said[engine] if engine in said else free.pop(0) for engine in found}
